// The replay window against a set that forgets nothing.

import test from 'ava';
import { REPLAY_WINDOW } from '#core/base/limits.ts';
import { Prng } from '#core/base/prng.ts';
import { ReplayWindow } from '#core/wire/replay-window.ts';
import { scale } from '../support/scale.ts';

test('ReplayWindow: accepts a counter once', (t) => {
  const window = new ReplayWindow();
  for (const counter of [1, 2, 5, 4, 3, 100]) {
    t.true(window.fresh(counter));
    window.mark(counter);
    t.false(window.fresh(counter));
  }
  t.is(window.highest, 100);
});

test('ReplayWindow: the last counter within reach is accepted, the first beyond is not', (t) => {
  const window = new ReplayWindow();
  window.mark(10 * REPLAY_WINDOW);
  t.true(window.fresh(9 * REPLAY_WINDOW + 1));
  t.false(window.fresh(9 * REPLAY_WINDOW));
  t.false(window.fresh(0));
});

test('ReplayWindow: a jump beyond the window forgets everything before it', (t) => {
  const window = new ReplayWindow();
  for (let counter = 1; counter <= REPLAY_WINDOW; counter++) window.mark(counter);
  window.mark(2 ** 40);
  for (let back = 1; back < REPLAY_WINDOW; back++) t.true(window.fresh(2 ** 40 - back));
  t.false(window.fresh(2 ** 40));
  t.false(window.fresh(1));
});

test('ReplayWindow: agrees with a set over random walks', (t) => {
  const prng = new Prng(4);
  for (let walk = 0; walk < scale(50); walk++) {
    const window = new ReplayWindow();
    const seen = new Set<number>();
    let highest = 0;
    let agree = true;
    for (let step = 0; step < 5_000; step++) {
      const reach = prng.pick([3, 40, 1_000, 1_100, 3_000]);
      const counter = Math.max(1, highest + prng.between(-reach, prng.pick([2, 50, 1_200])));
      const expected = !seen.has(counter) && counter > highest - REPLAY_WINDOW;
      if (window.fresh(counter) !== expected) agree = false;
      if (!expected) continue;
      window.mark(counter);
      seen.add(counter);
      highest = Math.max(highest, counter);
    }
    t.true(agree);
  }
});

test('ReplayWindow.mark: a counter that is not fresh fails the assertion', (t) => {
  const window = new ReplayWindow();
  window.mark(1);
  t.throws(() => window.mark(1), { name: 'AssertionError' });
});
