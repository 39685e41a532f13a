// The cryptographic port against published vectors.

import test from 'ava';
import { hex, unhex, utf8 } from '#core/base/bytes.ts';
import { nodeCrypto, nodeEntropy } from '#core/node/crypto.ts';

const bytes = (digits: string) => unhex(digits.replaceAll(' ', ''))!;

test('nodeCrypto.aead: RFC 8439 section 2.8.2', (t) => {
  const key = bytes('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f');
  const nonce = bytes('070000004041424344454647');
  const associated = bytes('50515253c0c1c2c3c4c5c6c7');
  const plaintext = utf8(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
  const aead = nodeCrypto.aead(key);
  const sealed = aead.seal(nonce, associated, plaintext);
  t.is(hex(sealed.subarray(0, 16)), 'd31a8d34648e60db7b86afbc53ef7ec2');
  t.is(hex(sealed.subarray(-16)), '1ae10b594f09e26a7e902ecbd0600691');
  t.deepEqual(aead.open(nonce, associated, sealed), plaintext);
  t.is(aead.open(nonce, associated, sealed.subarray(0, 15)), null);
  t.is(aead.open(nonce, new Uint8Array(0), sealed), null);
});

test('nodeCrypto.hkdf: RFC 5869 appendix A.1 and A.3', (t) => {
  const key = new Uint8Array(22).fill(0x0b);
  const first = nodeCrypto.hkdf({
    key,
    salt: bytes('000102030405060708090a0b0c'),
    info: bytes('f0f1f2f3f4f5f6f7f8f9'),
    size: 42,
  });
  t.is(hex(first), '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865');
  const third = nodeCrypto.hkdf({ key, salt: new Uint8Array(0), info: new Uint8Array(0), size: 42 });
  t.is(hex(third), '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8');
});

test('nodeCrypto.aead: a key of another size fails the assertion', (t) => {
  t.throws(() => nodeCrypto.aead(new Uint8Array(16)), { name: 'AssertionError' });
});

test('nodeEntropy: gives as many bytes as asked, never the same, and fractions in [0, 1)', (t) => {
  t.is(nodeEntropy.bytes(0).length, 0);
  t.is(new Set(Array.from({ length: 100 }, () => hex(nodeEntropy.bytes(16)))).size, 100);
  for (let count = 0; count < 1_000; count++) {
    const fraction = nodeEntropy.fraction();
    t.true(fraction >= 0 && fraction < 1);
  }
});
