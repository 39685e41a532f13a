// A hundred thousand operations of twenty clients over twenty keys; and as many at one register, which may not be judged
// but must be given up in time.

import test from 'ava';
import { nodeClock } from '#core/node/clock.ts';
import { checkHistory } from '#core/sim/index.ts';
import { scale } from '../support/scale.ts';
import { crowdedHistory, largeHistory } from './large-histories.ts';

for (const [name, make] of Object.entries({ largeHistory, crowdedHistory })) {
  test(`checkHistory: 100,000 operations (${name}) are judged, or said to be unknown`, (t) => {
    const history = make(scale(100_000));
    const startedAt = performance.now();
    const { verdict, operations, why } = checkHistory(history, { clock: nodeClock });
    const tookMs = Math.round(performance.now() - startedAt);
    t.log(`${operations} operations: ${verdict} after ${tookMs} ms. ${why.join(' ')}`);
    t.true(verdict === 'linearizable' || (verdict === 'unknown' && make === crowdedHistory));
  });
}
