// How messages are cut and put together, and which claims about them are refused.

import test from 'ava';
import { FRAGMENT_BYTES_MIN, MESSAGE_BYTES_MAX } from '#core/base/limits.ts';
import { Prng } from '#core/base/prng.ts';
import {
  Assembly,
  acknowledges,
  claimedGeometry,
  geometry,
  partOf,
  wholeAcknowledgement,
} from '#core/wire/fragment.ts';

test('geometry: every size is covered by parts in a row, and claimedGeometry agrees with each', (t) => {
  const prng = new Prng(5);
  for (let round = 0; round < 60; round++) {
    const partBytesMax = prng.between(FRAGMENT_BYTES_MIN * 2, 8_192);
    const size = prng.pick([partBytesMax + 1, 2 * partBytesMax, prng.between(partBytesMax + 1, 60_000)]);
    const message = prng.bytes(size);
    const shape = geometry(size, partBytesMax);
    t.is(shape.count, Math.ceil(size / partBytesMax));
    const assembly = new Assembly(shape);
    const indexes = Array.from({ length: shape.count }, (_, index) => index).sort(
      () => prng.fraction() - 0.5,
    );
    for (const index of indexes) {
      t.is(assembly.message, null);
      const part = partOf(message, shape, index);
      t.true(part.length <= partBytesMax);
      const fragment = { id: 1, index, count: shape.count, size, part };
      t.deepEqual(claimedGeometry(fragment), shape);
      t.true(assembly.add(fragment, shape));
      // The same again changes nothing.
      t.true(assembly.add(fragment, shape));
    }
    t.deepEqual(assembly.message, message);
  }
});

test('geometry: the largest message is cut; one byte more fails the assertion', (t) => {
  t.is(geometry(MESSAGE_BYTES_MAX, 1_330).count, Math.ceil(MESSAGE_BYTES_MAX / 1_330));
  t.throws(() => geometry(MESSAGE_BYTES_MAX + 1, 1_330), { name: 'AssertionError' });
});

test('claimedGeometry: lies about index, count and size are refused', (t) => {
  const part = new Uint8Array(500);
  const sound = { id: 1, index: 0, count: 2, size: 1_000, part };
  t.truthy(claimedGeometry(sound));
  t.is(claimedGeometry({ ...sound, index: 2 }), null);
  t.is(claimedGeometry({ ...sound, count: 0 }), null);
  t.is(claimedGeometry({ ...sound, count: 1 }), null);
  t.is(claimedGeometry({ ...sound, count: 1_000_000_000 }), null);
  t.is(claimedGeometry({ ...sound, size: 0 }), null);
  t.is(claimedGeometry({ ...sound, size: 1_002 }), null);
  t.is(claimedGeometry({ ...sound, size: MESSAGE_BYTES_MAX + 1 }), null);
  t.is(claimedGeometry({ ...sound, count: 9_007_199_254_740_991, size: 1_000 }), null);
  t.is(claimedGeometry({ ...sound, part: new Uint8Array(0) }), null);
  // Parts that are smaller than any sender's.
  t.is(claimedGeometry({ id: 1, index: 0, count: 1_000, size: 1_000, part: new Uint8Array(1) }), null);
});

test('Assembly.add: a fragment of another geometry is refused', (t) => {
  const assembly = new Assembly(geometry(1_000, 500));
  const part = new Uint8Array(500);
  t.false(
    assembly.add({ id: 1, index: 0, count: 2, size: 999, part }, { count: 2, size: 999, partBytes: 500 }),
  );
});

test('acknowledges: names exactly what arrived, as far as the bitmap reaches', (t) => {
  const prng = new Prng(6);
  for (let round = 0; round < 50; round++) {
    const shape = geometry(400 * 512, 512);
    const message = new Uint8Array(shape.size);
    const assembly = new Assembly(shape);
    const have = new Set<number>();
    const high = prng.between(1, shape.count);
    for (let index = 0; index < high; index++) {
      if (prng.chance(0.2) && index !== 0) continue;
      have.add(index);
      assembly.add(
        { id: 7, index, count: shape.count, size: shape.size, part: partOf(message, shape, index) },
        shape,
      );
    }
    const ack = assembly.acknowledgement(7);
    t.is(ack.id, 7);
    for (let index = 0; index < shape.count; index++) {
      const reach = index <= ack.base + ack.bitmap.length * 8;
      t.is(acknowledges(ack, index), have.has(index) && reach);
    }
  }
});

test('wholeAcknowledgement: names every fragment', (t) => {
  const ack = wholeAcknowledgement(3, 5);
  for (let index = 0; index < 5; index++) t.true(acknowledges(ack, index));
  t.false(acknowledges(ack, 5));
});
