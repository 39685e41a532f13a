// A tenth of test/soak/flood.soak.ts.

import test from 'ava';
import { flood } from '../support/flood.ts';
import { scale } from '../support/scale.ts';

test('server: insecure, under a flood of hostile datagrams answers good clients and writes nothing', async (t) => {
  await flood(t, { datagrams: scale(500_000), seed: 1, secure: false });
});

test('server: keyed, under a flood of hostile datagrams answers good clients and writes nothing', async (t) => {
  await flood(t, { datagrams: scale(500_000), seed: 2, secure: true });
});
