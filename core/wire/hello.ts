/**
 * Hello: how a sender learns the boot behind an address, before anything can be sealed for it.
 *
 *   hello   := header (counter 0, no hint), nonce 12, body 32, tag 16 (or CRC-32C 4)
 *   request := challenge 16, zeros 16          reply := the request's challenge 16, cluster id 16
 *
 * The replier's boot is in its header. It keeps nothing: a reply is a function of the request, its boot and cluster id.
 *
 * Invariants: a reply is exactly as large as its request, so hellos amplify nothing; a reply counts only while its
 * challenge is outstanding, so an old one is worth nothing; requests and replies cannot be taken for each other, since the
 * kind is in the authenticated header.
 */

import { concatBytes } from '../base/bytes.ts';
import { encodeHeader, HEADER_BYTES, HINT_BYTES, type KeyClass } from './frame.ts';
import { CLUSTER_ID_BYTES } from './keys.ts';
import { type Aead, NONCE_BYTES, open, seal } from './seal.ts';

export const CHALLENGE_BYTES = 16;
const BODY_BYTES = CHALLENGE_BYTES + CLUSTER_ID_BYTES;
const FRONT_BYTES = HEADER_BYTES + NONCE_BYTES;

export interface HelloBody {
  readonly challenge: Uint8Array;
  /** Zeros in a request. */
  readonly clusterId: Uint8Array;
}

export const NO_CLUSTER_ID: Uint8Array = new Uint8Array(CLUSTER_ID_BYTES);

/** `nonce`: NONCE_BYTES random bytes. `aead`: the hello key's, null for insecure. */
export function encodeHello(options: {
  kind: 'hello-request' | 'hello-reply';
  keyClass: KeyClass;
  aead: Aead | null;
  boot: Uint8Array;
  nonce: Uint8Array;
  body: HelloBody;
}): Uint8Array {
  const { kind, keyClass, aead, boot, nonce, body } = options;
  const header = encodeHeader({ kind, keyClass, boot, counter: 0, hint: new Uint8Array(HINT_BYTES) });
  return seal({
    aead,
    header: concatBytes([header, nonce]),
    nonce,
    plaintext: concatBytes([body.challenge, body.clusterId]),
  });
}

/** The body of a hello whose header was decoded; null if it is not authentic or not of the right size. */
export function openHello(datagram: Uint8Array, aead: Aead | null): HelloBody | null {
  if (datagram.length < FRONT_BYTES) return null;
  const nonce = datagram.subarray(HEADER_BYTES, FRONT_BYTES);
  const body = open({ aead, datagram, headerBytes: FRONT_BYTES, nonce });
  if (body === null || body.length !== BODY_BYTES) return null;
  return { challenge: body.slice(0, CHALLENGE_BYTES), clusterId: body.slice(CHALLENGE_BYTES) };
}
