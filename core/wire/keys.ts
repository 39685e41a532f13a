/**
 * Keys: one cluster key, and what derives from it.
 *
 *   cluster key    32 random bytes; servers hold it
 *   class key      HKDF(cluster key, info "bramble class <class>"): peer, client, observer
 *   traffic key    HKDF(class key, salt cluster id, info "bramble traffic", class, sender's boot, receiver's boot)
 *   hello key      HKDF(class key, info "bramble hello")
 *
 * and the text of a key file: comment lines that begin with `#`, and one line `bramble-key 1 <role> <64 hex digits>`.
 *
 * Invariants: no key derives upwards; two (sender, receiver) pairs of boots share no traffic key; whoever holds only a
 * client's or observer's key cannot make a peer's.
 */

import { assert } from '../base/assert.ts';
import { concatBytes, hex, unhex, utf8 } from '../base/bytes.ts';
import type { Entropy } from '../base/ports.ts';
import { BOOT_BYTES, keyClassNumber } from './frame.ts';
import { type Crypto, KEY_BYTES } from './seal.ts';

/** What a key file is for. */
export type KeyRole = 'cluster' | 'client' | 'observer';
/** The classes that have a key. */
export type SealedClass = 'peer' | 'client' | 'observer';
export interface Key {
  readonly role: KeyRole;
  readonly bytes: Uint8Array;
}

const ROLES: readonly KeyRole[] = ['cluster', 'client', 'observer'];
const NO_SALT = new Uint8Array(0);
export const CLUSTER_ID_BYTES = 16;

export function newClusterKey(entropy: Entropy): Key {
  return { role: 'cluster', bytes: entropy.bytes(KEY_BYTES) };
}

/** The key of a role, from a key of the same role or the cluster's; a string says why not. */
export function deriveKey(options: { crypto: Crypto; key: Key; role: KeyRole }): Key | string {
  const { crypto, key, role } = options;
  if (key.role === role) return key;
  if (role === 'cluster' || key.role !== 'cluster') return `no ${role} key derives from a ${key.role} key`;
  return { role, bytes: classKey(crypto, key.bytes, role) };
}

function classKey(crypto: Crypto, clusterKey: Uint8Array, keyClass: SealedClass): Uint8Array {
  assert(clusterKey.length === KEY_BYTES, `a cluster key of ${clusterKey.length} bytes`);
  return crypto.hkdf({
    key: clusterKey,
    salt: NO_SALT,
    info: utf8(`bramble class ${keyClass}`),
    size: KEY_BYTES,
  });
}

/** What an endpoint holds: for each class that it accepts its keys, the current one first, and the class it sends as. */
export interface KeyRing {
  readonly sends: SealedClass;
  readonly classKeys: ReadonlyMap<SealedClass, readonly Uint8Array[]>;
}

/** A server's: every class, under the current cluster key and, during a rotation, the previous one. */
export function serverKeyRing(crypto: Crypto, key: Key, previous: Key | null = null): KeyRing {
  const keys = previous === null ? [key] : [key, previous];
  for (const one of keys) assert(one.role === 'cluster', `a server's key of role ${one.role}`);
  const classKeys = new Map<SealedClass, readonly Uint8Array[]>();
  for (const keyClass of ['peer', 'client', 'observer'] as const) {
    classKeys.set(
      keyClass,
      keys.map((one) => classKey(crypto, one.bytes, keyClass)),
    );
  }
  return { sends: 'peer', classKeys };
}

/** A client's or observer's; given the cluster's key it derives the client's. */
export function clientKeyRing(crypto: Crypto, key: Key): KeyRing {
  const role = key.role === 'cluster' ? 'client' : key.role;
  const derived = deriveKey({ crypto, key, role });
  assert(typeof derived !== 'string', `cannot derive: ${String(derived)}`);
  return { sends: role, classKeys: new Map([[role, [derived.bytes]]]) };
}

export function trafficKey(options: {
  crypto: Crypto;
  classKey: Uint8Array;
  keyClass: SealedClass;
  clusterId: Uint8Array;
  sender: Uint8Array;
  receiver: Uint8Array;
}): Uint8Array {
  const { crypto, classKey: key, clusterId, sender, receiver } = options;
  assert(clusterId.length === CLUSTER_ID_BYTES, `a cluster id of ${clusterId.length} bytes`);
  assert(
    sender.length === BOOT_BYTES && receiver.length === BOOT_BYTES,
    'a boot of another size than 16 bytes',
  );
  const info = concatBytes([
    utf8('bramble traffic'),
    Uint8Array.of(keyClassNumber(options.keyClass)),
    sender,
    receiver,
  ]);
  return crypto.hkdf({ key, salt: clusterId, info, size: KEY_BYTES });
}

export function helloKey(crypto: Crypto, key: Uint8Array): Uint8Array {
  return crypto.hkdf({ key, salt: NO_SALT, info: utf8('bramble hello'), size: KEY_BYTES });
}

// --- key files -------------------------------------------------------------------------------------------------------

const PURPOSES: Record<KeyRole, string> = {
  cluster: 'Cluster key: for servers only. Whoever has it can act as a server. Keep it secret.',
  client:
    'Client key: for programs that lock, append, read and write. It cannot act as a server. Keep it secret.',
  observer: 'Observer key: for programs that only look (ping, status, reads). Keep it secret.',
};

export function formatKeyFile(key: Key): string {
  assert(key.bytes.length === KEY_BYTES, `a key of ${key.bytes.length} bytes`);
  return `# bramble. ${PURPOSES[key.role]}\nbramble-key 1 ${key.role} ${hex(key.bytes)}\n`;
}

/** The key in a key file's text; a string says what is wrong with it, without quoting any of it. */
export function parseKeyFile(text: string): Key | string {
  if (text.trim() === '') return 'the file is empty';
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (lines.length !== 1)
    return `not a bramble key file: ${lines.length} lines that are not comments, where 1 is expected`;
  const words = (lines[0] as string).split(/\s+/);
  if (words[0] !== 'bramble-key')
    return 'not a bramble key file: it has no line that begins with "bramble-key"';
  if (words[1] !== '1')
    return 'a key file of another version than 1: use the version of bramble that made it';
  if (words.length !== 4) return `not a whole key line: ${words.length} words, where 4 are expected`;
  const role = ROLES.find((one) => one === words[2]);
  if (role === undefined) return `an unknown role, where one of ${ROLES.join(', ')} is expected`;
  const bytes = unhex(words[3] as string);
  if (bytes === null || bytes.length !== KEY_BYTES)
    return `the key itself is not ${KEY_BYTES * 2} hexadecimal digits`;
  return { role, bytes };
}
