// kill -9 in a loop under load, the full number of kills. The loop itself is in test/support/kill-loop.ts.

import test from 'ava';
import { killLoop } from '../support/kill-loop.ts';
import { scale } from '../support/scale.ts';

test('server: 30 kills under load lose nothing that was acknowledged and double nothing', async (t) => {
  t.timeout(600_000);
  await killLoop(t, { kills: scale(30), seed: 2 });
});
