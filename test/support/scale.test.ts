// The size of heavy tests follows the environment.

import test from 'ava';
import { scale } from './scale.ts';

test.serial('scale: full size where the environment says so, else a tenth, at least 1', (t) => {
  const before = process.env.BRAMBLE_TEST_SCALE;
  t.teardown(() => {
    if (before === undefined) delete process.env.BRAMBLE_TEST_SCALE;
    else process.env.BRAMBLE_TEST_SCALE = before;
  });
  process.env.BRAMBLE_TEST_SCALE = 'full';
  t.is(scale(200), 200);
  delete process.env.BRAMBLE_TEST_SCALE;
  t.is(scale(200), 20);
  t.is(scale(19), 1);
  t.is(scale(1), 1);
});

test('scale: refuses what is no size', (t) => {
  for (const size of [0, -1, 1.5, Number.NaN]) t.throws(() => scale(size), { instanceOf: RangeError });
});
