// A whole server loses power while a batch is being written. At every byte: test/soak/power-cut.soak.ts.

import test from 'ava';
import { cutPowerAtBytes, goOnAfterPowerCut } from '../support/power-cut.ts';

test('server: a power cut inside a batch leaves exactly what was acknowledged', async (t) => {
  await cutPowerAtBytes(t, { stride: 80, seed: 1 });
});

for (const part of [0, 0.5]) {
  test(`client: requests in a batch of which ${part * 100} % was written are done once by the next server`, async (t) => {
    await goOnAfterPowerCut(t, { part, seed: 2 + part * 10 });
  });
}
