// What the program makes of a log with a flipped bit. More places: test/soak/damaged-log.soak.ts.

import test from 'ava';
import { Prng } from '#core/base/prng.ts';
import { ALL_RECORDS, cutsFlip, refusesFlips, writeLog } from '../support/damaged-log.ts';
import { scale } from '../support/scale.ts';

test('server: a flipped bit with a valid record behind it is refused with the segment and the offset', async (t) => {
  const log = await writeLog(t, 'SIGKILL');
  await refusesFlips(t, log, { flips: scale(40), prng: new Prng(1) });
});

test('server: after kill -9 a last batch with a flipped bit is cut, as one that was torn', async (t) => {
  const log = await writeLog(t, 'SIGKILL');
  await cutsFlip(t, log, { at: log.bytes.length - 1, expected: ALL_RECORDS.slice(0, -1) });
});

test('server: after a clean stop a last batch with a flipped bit is refused', async (t) => {
  const log = await writeLog(t, 'SIGTERM');
  // The mark of the clean stop is the last record; the last batch stands before it.
  await refusesFlips(t, log, { flips: scale(10), prng: new Prng(2), from: log.offsets.at(-2) as number });
});

test('server: after a clean stop a flipped bit in its mark alone loses nothing', async (t) => {
  const log = await writeLog(t, 'SIGTERM');
  await cutsFlip(t, log, { at: log.bytes.length - 1, expected: ALL_RECORDS });
});
