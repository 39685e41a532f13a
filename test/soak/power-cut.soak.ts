// A whole server loses power at every byte of the batch behind its last completed sync.

import test from 'ava';
import { cutPowerAtBytes } from '../support/power-cut.ts';

test('server: a power cut at every byte behind the last sync leaves exactly what was acknowledged', async (t) => {
  t.timeout(600_000);
  await cutPowerAtBytes(t, { stride: 1, seed: 3 });
});
