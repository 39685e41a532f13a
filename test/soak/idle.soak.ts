// A server with held locks for a minute: 120 renewals each.

import test from 'ava';
import { idle } from '../support/idle.ts';
import { scale } from '../support/scale.ts';

test('server: renewing locks for a minute writes nothing to its disk', async (t) => {
  t.timeout(600_000);
  await idle(t, { renewals: scale(120) });
});
