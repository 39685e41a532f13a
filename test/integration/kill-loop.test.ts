// A tenth of test/soak/kill-loop.soak.ts.

import test from 'ava';
import { killLoop } from '../support/kill-loop.ts';
import { scale } from '../support/scale.ts';

test('server: kill -9 under load loses nothing that was acknowledged and doubles nothing', async (t) => {
  await killLoop(t, { kills: scale(30), seed: 1 });
});
