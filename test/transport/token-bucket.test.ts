// Rate limits, alone and shared fairly.

import test from 'ava';
import { FairBuckets, TokenBucket } from '#core/transport/token-bucket.ts';

test('TokenBucket: gives its rate at once, then as time passes, and never saves up more', (t) => {
  const bucket = new TokenBucket(10, 0);
  const taken = (nowMs: number) => {
    let count = 0;
    while (bucket.take(nowMs)) count++;
    return count;
  };
  t.is(taken(0), 10);
  t.is(taken(99), 0);
  t.is(taken(100), 1);
  t.is(taken(10_000), 10);
});

test('FairBuckets: a flood from one source leaves room for others, and the total holds', (t) => {
  const buckets = new FairBuckets({ perSecond: 800, nowMs: 0, salt: 1 });
  let flood = 0;
  for (let count = 0; count < 10_000; count++) if (buckets.take('10.6.6.6:6', 0)) flood++;
  t.is(flood, 100);
  let others = 0;
  for (let port = 0; port < 10_000; port++) if (buckets.take(`10.0.0.1:${port}`, 0)) others++;
  t.is(flood + others, 800);
});
