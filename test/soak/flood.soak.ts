// A million hostile datagrams into an insecure server and a million into a keyed one.

import test from 'ava';
import { flood } from '../support/flood.ts';
import { scale } from '../support/scale.ts';

for (const [at, secure] of [false, true].entries()) {
  test.serial(`server: ${secure ? 'keyed' : 'insecure'}, a million hostile datagrams`, async (t) => {
    t.timeout(900_000);
    await flood(t, { datagrams: scale(1_000_000), seed: 11 + at, secure });
  });
}
