import test from 'ava';
import { stopTimes } from '#core/cli/watch-protocol.ts';

test('stopTimes: TERM an eighth of the ttl before the deadline, KILL just before it', (t) => {
  t.deepEqual(stopTimes({ ttlMs: 2_000, deadlineMs: 10_000, orderedAtMs: null }), {
    terminateAtMs: 9_750,
    killAtMs: 9_950,
  });
});

test('stopTimes: an order ends the job at once, with a short grace', (t) => {
  t.deepEqual(stopTimes({ ttlMs: 2_000, deadlineMs: 10_000, orderedAtMs: 5_000 }), {
    terminateAtMs: 5_000,
    killAtMs: 5_250,
  });
  t.deepEqual(stopTimes({ ttlMs: 3_600_000, deadlineMs: 4_000_000, orderedAtMs: 0 }), {
    terminateAtMs: 0,
    killAtMs: 1_000,
  });
});

test('stopTimes: no order moves the KILL behind the deadline, and no KILL comes before its TERM', (t) => {
  for (const ttlMs of [1_000, 2_000, 60_000, 3_600_000]) {
    for (const orderedAtMs of [null, 0, 9_000, 9_990, 10_000, 20_000]) {
      const { terminateAtMs, killAtMs } = stopTimes({ ttlMs, deadlineMs: 10_000, orderedAtMs });
      t.true(killAtMs < 10_000);
      t.true(terminateAtMs <= killAtMs);
    }
  }
});
