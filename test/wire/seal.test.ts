// The envelope, with the real cipher: what was sealed opens, and nothing else does.

import test from 'ava';
import { Prng } from '#core/base/prng.ts';
import { nodeCrypto } from '#core/node/crypto.ts';
import { encodeHeader, HEADER_BYTES, nonceOf } from '#core/wire/frame.ts';
import { encodeHello, NO_CLUSTER_ID, openHello } from '#core/wire/hello.ts';
import { CHECKSUM_BYTES, open, seal, TAG_BYTES } from '#core/wire/seal.ts';

const prng = new Prng(1);
const KEY = nodeCrypto.aead(prng.bytes(32));
const OTHER = nodeCrypto.aead(prng.bytes(32));
const header = encodeHeader({
  kind: 'data',
  keyClass: 'peer',
  boot: prng.bytes(16),
  counter: 5,
  hint: prng.bytes(4),
});
const nonce = nonceOf(header);

for (const [name, aead, extra] of [
  ['sealed', KEY, TAG_BYTES],
  ['insecure', null, CHECKSUM_BYTES],
] as const) {
  test(`open: ${name}: gives back what was sealed, of any size from nothing`, (t) => {
    for (const size of [0, 1, 15, 16, 17, 1_300, 8_000]) {
      const plaintext = prng.bytes(size);
      const datagram = seal({ aead, header, nonce, plaintext });
      t.is(datagram.length, HEADER_BYTES + size + extra);
      t.deepEqual(open({ aead, datagram, headerBytes: HEADER_BYTES, nonce }), plaintext);
    }
  });

  test(`open: ${name}: a flip of any one bit, of the header too, is refused`, (t) => {
    const datagram = seal({ aead, header, nonce, plaintext: prng.bytes(40) });
    for (let bit = 0; bit < datagram.length * 8; bit++) {
      const wrong = datagram.slice();
      wrong[bit >>> 3] = (wrong[bit >>> 3] as number) ^ (1 << (bit & 7));
      t.is(open({ aead, datagram: wrong, headerBytes: HEADER_BYTES, nonce: nonceOf(wrong) }), null);
    }
  });

  test(`open: ${name}: every shortened datagram is refused`, (t) => {
    const datagram = seal({ aead, header, nonce, plaintext: prng.bytes(40) });
    for (let size = HEADER_BYTES; size < datagram.length; size++) {
      t.is(open({ aead, datagram: datagram.subarray(0, size), headerBytes: HEADER_BYTES, nonce }), null);
    }
  });

  test(`openHello: ${name}: gives back the body, as large as any other, and no flipped bit passes`, (t) => {
    const challenge = prng.bytes(16);
    const common = { keyClass: 'client', aead, boot: prng.bytes(16), nonce: prng.bytes(12) } as const;
    const request = encodeHello({
      kind: 'hello-request',
      ...common,
      body: { challenge, clusterId: NO_CLUSTER_ID },
    });
    const reply = encodeHello({
      kind: 'hello-reply',
      ...common,
      body: { challenge, clusterId: prng.bytes(16) },
    });
    t.is(reply.length, request.length);
    t.deepEqual(openHello(request, aead), { challenge, clusterId: NO_CLUSTER_ID });
    for (let bit = 0; bit < reply.length * 8; bit++) {
      const wrong = reply.slice();
      wrong[bit >>> 3] = (wrong[bit >>> 3] as number) ^ (1 << (bit & 7));
      t.is(openHello(wrong, aead), null);
    }
    for (let size = 0; size < reply.length; size++) t.is(openHello(reply.subarray(0, size), aead), null);
  });
}

test('open: another key, or another nonce, opens nothing', (t) => {
  const datagram = seal({ aead: KEY, header, nonce, plaintext: prng.bytes(40) });
  t.is(open({ aead: OTHER, datagram, headerBytes: HEADER_BYTES, nonce }), null);
  t.is(open({ aead: KEY, datagram, headerBytes: HEADER_BYTES, nonce: new Uint8Array(12) }), null);
});
