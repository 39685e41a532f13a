// The clock port over the system's monotonic clock.

import { execFileSync } from 'node:child_process';
import test from 'ava';
import { nodeClock } from '#core/node/clock.ts';

test('nodeClock.now: never goes back', (t) => {
  let last = nodeClock.now();
  let back = 0;
  for (let count = 0; count < 10_000; count++) {
    const now = nodeClock.now();
    if (now < last) back++;
    last = now;
  }
  t.is(back, 0);
});

test('nodeClock.now: compares with another process on this machine', (t) => {
  const before = nodeClock.now();
  const script = 'process.stdout.write(String(Number(process.hrtime.bigint()) / 1e6))';
  const there = Number(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' }));
  t.true(before < there && there < nodeClock.now());
});

test('nodeClock.after: calls each once, never early', async (t) => {
  const began = nodeClock.now();
  const called: number[] = [];
  await new Promise<void>((resolve) => {
    nodeClock.after(30, () => {
      called.push(30);
      resolve();
    });
    for (const delayMs of [5.5, 1, 0]) {
      nodeClock.after(delayMs, () => {
        t.true(nodeClock.now() - began >= delayMs);
        called.push(delayMs);
      });
    }
  });
  t.deepEqual(
    called.sort((a, b) => a - b),
    [0, 1, 5.5, 30],
  );
});

test('nodeClock.after: a cancelled timer does not call, and may be cancelled again', async (t) => {
  let called = 0;
  const timer = nodeClock.after(1, () => called++);
  timer.cancel();
  timer.cancel();
  await new Promise<void>((resolve) => nodeClock.after(20, resolve));
  t.is(called, 0);
});

test("nodeClock.after: a delay beyond setTimeout's bound does not call at once", async (t) => {
  let called = 0;
  const timer = nodeClock.after(2 ** 40, () => called++);
  await new Promise<void>((resolve) => nodeClock.after(20, resolve));
  timer.cancel();
  t.is(called, 0);
});

test('nodeClock.soon: calls after what runs now, in order', async (t) => {
  const called: number[] = [];
  const done = new Promise<void>((resolve) => {
    nodeClock.soon(() => called.push(1));
    nodeClock.soon(() => {
      called.push(2);
      resolve();
    });
  });
  called.push(0);
  await done;
  t.deepEqual(called, [0, 1, 2]);
});
