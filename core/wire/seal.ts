/**
 * A datagram's envelope: the header in front, the tag behind, and what may be believed of either.
 *
 *   datagram := header, ciphertext, tag (16 bytes)                        sealed: ChaCha20-Poly1305 (RFC 8439)
 *   datagram := header, plaintext, CRC-32C (4 bytes, little-endian)       insecure: only corruption is found
 *
 * Invariants: the whole header is authenticated beside the content; the nonce is the header's counter, and a key is used
 * by one sender's boot towards one receiver's boot alone, so no nonce comes twice under a key; nothing of a datagram is
 * used before `open` gave its plaintext, except to find the key. Hello datagrams have no boot pair yet: they take a random
 * nonce under a key of their own (wire/hello.ts).
 */

import { assert } from '../base/assert.ts';
import { crc32c } from '../base/crc32c.ts';

export const KEY_BYTES = 32;
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;
export const CHECKSUM_BYTES = 4;

/** One key of ChaCha20-Poly1305. */
export interface Aead {
  /** The ciphertext with its tag behind. */
  seal(nonce: Uint8Array, associated: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** The plaintext, or null if anything at all was changed. Never throws on wrong input. */
  open(nonce: Uint8Array, associated: Uint8Array, sealed: Uint8Array): Uint8Array | null;
}

/** The port to a cryptographic library; core/node/crypto.ts stands behind it. */
export interface Crypto {
  /** `key`: KEY_BYTES bytes. */
  aead(key: Uint8Array): Aead;
  /** HKDF with SHA-256 (RFC 5869). */
  hkdf(options: { key: Uint8Array; salt: Uint8Array; info: Uint8Array; size: number }): Uint8Array;
}

/** Seals `plaintext` behind `header`; `aead` null for the insecure kind. */
export function seal(options: {
  aead: Aead | null;
  header: Uint8Array;
  nonce: Uint8Array;
  plaintext: Uint8Array;
}): Uint8Array {
  const { aead, header, nonce, plaintext } = options;
  if (aead === null) {
    const datagram = new Uint8Array(header.length + plaintext.length + CHECKSUM_BYTES);
    datagram.set(header);
    datagram.set(plaintext, header.length);
    const checked = header.length + plaintext.length;
    new DataView(datagram.buffer).setUint32(checked, crc32c(datagram, 0, 0, checked), true);
    return datagram;
  }
  assert(nonce.length === NONCE_BYTES, `a nonce of ${nonce.length} bytes`);
  const sealed = aead.seal(nonce, header, plaintext);
  assert(
    sealed.length === plaintext.length + TAG_BYTES,
    `sealing ${plaintext.length} bytes gave ${sealed.length}`,
  );
  const datagram = new Uint8Array(header.length + sealed.length);
  datagram.set(header);
  datagram.set(sealed, header.length);
  return datagram;
}

/** The plaintext behind a header of `headerBytes`, or null if the datagram is not as it was sealed. */
export function open(options: {
  aead: Aead | null;
  datagram: Uint8Array;
  headerBytes: number;
  nonce: Uint8Array;
}): Uint8Array | null {
  const { aead, datagram, headerBytes, nonce } = options;
  if (datagram.length < headerBytes + sealBytes(aead !== null)) return null;
  if (aead === null) {
    const checked = datagram.length - CHECKSUM_BYTES;
    const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
    if (view.getUint32(checked, true) !== crc32c(datagram, 0, 0, checked)) return null;
    return datagram.subarray(headerBytes, checked);
  }
  return aead.open(nonce, datagram.subarray(0, headerBytes), datagram.subarray(headerBytes));
}

/** What a seal adds to a plaintext. */
export function sealBytes(sealed: boolean): number {
  return sealed ? TAG_BYTES : CHECKSUM_BYTES;
}
