/** The cryptographic port over node:crypto: ChaCha20-Poly1305, HKDF-SHA256, and the system's randomness. */

import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { assert } from '../base/assert.ts';
import type { Entropy } from '../base/ports.ts';
import { type Aead, type Crypto, KEY_BYTES, TAG_BYTES } from '../wire/seal.ts';

const ALGORITHM = 'chacha20-poly1305';
const OPTIONS = { authTagLength: TAG_BYTES } as const;

class NodeAead implements Aead {
  readonly #key: KeyObject;

  constructor(key: Uint8Array) {
    assert(key.length === KEY_BYTES, `a key of ${key.length} bytes`);
    this.#key = createSecretKey(key);
  }

  seal(nonce: Uint8Array, associated: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce, OPTIONS);
    cipher.setAAD(associated, { plaintextLength: plaintext.length });
    const sealed = new Uint8Array(plaintext.length + TAG_BYTES);
    sealed.set(cipher.update(plaintext));
    cipher.final();
    sealed.set(cipher.getAuthTag(), plaintext.length);
    return sealed;
  }

  open(nonce: Uint8Array, associated: Uint8Array, sealed: Uint8Array): Uint8Array | null {
    const size = sealed.length - TAG_BYTES;
    if (size < 0) return null;
    const decipher = createDecipheriv(ALGORITHM, this.#key, nonce, OPTIONS);
    decipher.setAAD(associated, { plaintextLength: size });
    decipher.setAuthTag(sealed.subarray(size));
    const plaintext = decipher.update(sealed.subarray(0, size));
    try {
      decipher.final();
    } catch {
      // Not authentic. What update gave is not returned.
      return null;
    }
    return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.length);
  }
}

export const nodeCrypto: Crypto = {
  aead: (key) => new NodeAead(key),
  hkdf: ({ key, salt, info, size }) => new Uint8Array(hkdfSync('sha256', key, salt, info, size)),
};

export const nodeEntropy: Entropy = {
  // A copy, because small random buffers share one pool and a key's bytes should not lie beside others' for long.
  bytes: (size) => new Uint8Array(randomBytes(size)),
  fraction: () => randomBytes(4).readUInt32LE() / 0x1_0000_0000,
};
