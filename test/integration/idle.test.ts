// A tenth of test/soak/idle.soak.ts.

import test from 'ava';
import { idle } from '../support/idle.ts';
import { scale } from '../support/scale.ts';

test('server: with sessions and renewed locks and nothing else to do writes nothing to its disk', async (t) => {
  await idle(t, { renewals: scale(120) });
});
