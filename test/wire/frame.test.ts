// A datagram's header and frames: round trips, each wrong field, and any bytes at all.

import test from 'ava';
import { concatBytes } from '#core/base/bytes.ts';
import { COUNTER_MAX } from '#core/base/limits.ts';
import { Prng } from '#core/base/prng.ts';
import {
  ACK_BITMAP_BYTES,
  BOOT_BYTES,
  decodeFrames,
  decodeHeader,
  encodeAckFrame,
  encodeFragmentFrame,
  encodeHeader,
  encodeMessageFrame,
  FRAGMENT_FRAME_OVERHEAD,
  HEADER_BYTES,
  type Header,
  MESSAGE_FRAME_OVERHEAD,
  nonceOf,
} from '#core/wire/frame.ts';
import { mutated } from '../support/arbitrary.ts';
import { scale } from '../support/scale.ts';

const HEADER: Header = {
  kind: 'data',
  keyClass: 'client',
  boot: new Prng(1).bytes(BOOT_BYTES),
  counter: 0x1_2345_6789,
  hint: Uint8Array.of(1, 2, 3, 4),
};

test('decodeHeader: every kind, class and counter comes back as it was', (t) => {
  for (const keyClass of ['peer', 'client', 'observer', 'insecure'] as const) {
    for (const counter of [1, 2 ** 32 - 1, 2 ** 32, COUNTER_MAX]) {
      const header: Header = { ...HEADER, keyClass, counter };
      const bytes = encodeHeader(header);
      t.is(bytes.length, HEADER_BYTES);
      t.deepEqual(decodeHeader(bytes), header);
    }
    for (const kind of ['hello-request', 'hello-reply'] as const) {
      const header: Header = { ...HEADER, kind, keyClass, counter: 0 };
      t.deepEqual(decodeHeader(encodeHeader(header)), header);
    }
  }
});

test('decodeHeader: names the first thing that is wrong', (t) => {
  const changed = (at: number, value: number) => {
    const bytes = encodeHeader(HEADER);
    bytes[at] = value;
    return decodeHeader(bytes);
  };
  t.is(decodeHeader(new Uint8Array(0)), 'short');
  t.is(decodeHeader(encodeHeader(HEADER).subarray(0, HEADER_BYTES - 1)), 'short');
  t.is(changed(0, 0), 'magic');
  t.is(changed(1, 0), 'magic');
  t.is(changed(2, 0), 'version');
  t.is(changed(2, 2), 'version');
  t.is(changed(3, 0x32), 'kind');
  t.is(changed(3, 0x00), 'class');
  t.is(changed(3, 0x04), 'class');
  t.is(changed(27, 0xff), 'counter');
});

test('decodeHeader: data has a counter and a hello has none', (t) => {
  t.is(decodeHeader(encodeHeader({ ...HEADER, counter: 0 })), 'counter');
  t.is(decodeHeader(encodeHeader({ ...HEADER, kind: 'hello-request', counter: 1 })), 'counter');
});

test('nonceOf: differs for every counter', (t) => {
  const seen = new Set<string>();
  for (const counter of [1, 2, 255, 256, 2 ** 32, 2 ** 32 + 1, COUNTER_MAX]) {
    seen.add(nonceOf(encodeHeader({ ...HEADER, counter })).join());
  }
  t.is(seen.size, 7);
});

test('decodeFrames: frames of every kind together come back as they were', (t) => {
  const prng = new Prng(2);
  const message = prng.bytes(300);
  const fragment = { id: 9, index: 3, count: 7, size: 2_000, part: prng.bytes(286) };
  const ack = { id: 9, base: 2, bitmap: prng.bytes(ACK_BITMAP_BYTES) };
  const plaintext = concatBytes([
    encodeMessageFrame(message),
    encodeFragmentFrame(fragment),
    encodeAckFrame(ack),
  ]);
  t.deepEqual(decodeFrames(plaintext), {
    ok: true,
    value: [
      { type: 'message', message },
      { type: 'fragment', ...fragment },
      { type: 'fragment-ack', ...ack },
    ],
  });
});

test('frame overheads: hold for the largest numbers', (t) => {
  const message = new Uint8Array(8_192);
  t.true(encodeMessageFrame(message).length <= message.length + MESSAGE_FRAME_OVERHEAD);
  const fragment = { id: COUNTER_MAX, index: 9_999, count: 10_000, size: 1_114_112, part: message };
  t.true(encodeFragmentFrame(fragment).length <= message.length + FRAGMENT_FRAME_OVERHEAD);
});

test('decodeFrames: no frame, an empty message, an unknown kind and too long a bitmap are refused', (t) => {
  t.false(decodeFrames(new Uint8Array(0)).ok);
  t.false(decodeFrames(encodeMessageFrame(new Uint8Array(0))).ok);
  t.false(decodeFrames(Uint8Array.of(0)).ok);
  t.false(decodeFrames(Uint8Array.of(4)).ok);
  t.false(decodeFrames(encodeAckFrame({ id: 1, base: 0, bitmap: new Uint8Array(ACK_BITMAP_BYTES + 1) })).ok);
});

test('decodeHeader, decodeFrames: any bytes give a value or a problem, never an exception', (t) => {
  const prng = new Prng(3);
  for (let round = 0; round < scale(100_000); round++) {
    const plaintext = concatBytes([
      encodeMessageFrame(prng.bytes(prng.between(1, 100))),
      encodeFragmentFrame({ id: round, index: 0, count: 2, size: 600, part: prng.bytes(20) }),
      encodeAckFrame({ id: round, base: 1, bitmap: prng.bytes(8) }),
    ]);
    decodeFrames(mutated(prng, plaintext));
    decodeHeader(mutated(prng, encodeHeader(HEADER)));
  }
  t.pass();
});
