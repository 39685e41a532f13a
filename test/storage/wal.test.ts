import test, { type ExecutionContext } from 'ava';
import { concatBytes, utf8 } from '#core/base/bytes.ts';
import { Prng } from '#core/base/prng.ts';
import type { LogEntry } from '#core/raft/types.ts';
import { DamageError, type Storage } from '#core/storage/interface.ts';
import { decodeRecord, decodeSegmentHeader, encodeRecord } from '#core/storage/wal-format.ts';
import { FaultyFileSystem } from '../support/faulty-file-system.ts';
import { scale } from '../support/scale.ts';
import { abandonedClock, DurableWatch, entries, entry, openTest } from '../support/storage-kit.ts';

const DIRECTORY = '/data';
const FIRST = `${DIRECTORY}/wal/0000000000000001.wal`;
const SECOND = `${DIRECTORY}/wal/0000000000000002.wal`;

function open(fileSystem: FaultyFileSystem, segmentBytes = 1_000_000): Promise<Storage> {
  return openTest(DIRECTORY, { clock: abandonedClock, fileSystem, segmentBytes });
}

/** Writes each list of entries as one batch, and stops dead without closing. */
async function writeBatches(
  batches: readonly (readonly LogEntry[])[],
  options: { readonly segmentBytes?: number; readonly close?: boolean } = {},
): Promise<FaultyFileSystem> {
  const fileSystem = new FaultyFileSystem();
  const storage = await open(fileSystem, options.segmentBytes);
  const watch = new DurableWatch(storage);
  for (const batch of batches) await watch.reach(storage.write({ entries: batch }));
  if (options.close === true) await storage.close();
  return fileSystem.reboot();
}

/** Where the records of a segment begin; the last one is the segment's end. */
function recordOffsets(segment: Uint8Array): number[] {
  const head = decodeSegmentHeader(segment);
  if (!head.ok) throw new Error(head.problem);
  const offsets = [head.size];
  for (;;) {
    const next = decodeRecord(head.header, segment, offsets.at(-1) as number);
    if (next === null) return offsets;
    offsets.push(next.end);
  }
}

/** A disk that differs from `fileSystem` in one file. */
function withFile(fileSystem: FaultyFileSystem, path: string, bytes: Uint8Array): FaultyFileSystem {
  const copy = fileSystem.reboot();
  copy.put(path, bytes);
  return copy;
}

function flipped(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = (copy[at] as number) ^ (1 << bit);
  return copy;
}

/** Every position in the long tier, some dozens in the quick one, the edges always. */
function positions(low: number, high: number): number[] {
  const count = Math.min(high - low, scale((high - low) * 2));
  const all = new Set([low, high - 1]);
  for (let at = 0; at < count; at++) all.add(low + Math.floor((at * (high - low)) / count));
  return [...all];
}

/** The directory as it is but for the lock. */
function unlocked(fileSystem: FaultyFileSystem): [string, string][] {
  return [...fileSystem.contents()].map(([path, bytes]) => [path, bytes.toString('hex')]);
}

async function assertDamage(
  t: ExecutionContext,
  fileSystem: FaultyFileSystem,
  expected: { readonly file: string; readonly offset: number; readonly about: string },
): Promise<void> {
  const before = unlocked(fileSystem);
  const error = await t.throwsAsync(open(fileSystem), { instanceOf: DamageError }, expected.about);
  t.is(error?.file, expected.file.slice(DIRECTORY.length + 1), expected.about);
  t.is(error?.offset, expected.offset, expected.about);
  t.regex(error?.message ?? '', new RegExp(`${expected.offset}`));
  t.deepEqual(unlocked(fileSystem), before, 'nothing was changed');
}

const BATCHES = [entries(1, 3), entries(3, 4), [entry(4, 'x'.repeat(60)), entry(5)], [entry(6), entry(7)]];
const ACKNOWLEDGED = BATCHES.slice(0, -1).flat();

test('recoverLog: the log cut at every byte of its last batch gives exactly the acknowledged entries', async (t) => {
  const disk = await writeBatches(BATCHES);
  const whole = disk.get(FIRST);
  const offsets = recordOffsets(whole);
  const durable = offsets.at(-2) as number;
  const random = new Prng(7);
  for (let end = durable; end < whole.length; end++) {
    const cut = whole.subarray(0, end);
    const rest = whole.length - end;
    const tails = {
      cut,
      zeros: concatBytes([cut, new Uint8Array(rest)]),
      garbage: concatBytes([cut, random.bytes(rest)]),
    };
    for (const [about, bytes] of Object.entries(tails)) {
      const after = withFile(disk, FIRST, bytes);
      const storage = await open(after);
      t.deepEqual(storage.recovered.entries, ACKNOWLEDGED, `${about} at ${end}`);
      t.is(storage.recovered.cutBytes, bytes.length - durable, `${about} at ${end}`);
      t.false(storage.recovered.sealed);
      t.is(after.get(FIRST).length, durable, 'the tail is gone from the disk too');
      if (end % 16 === 0) await goesOn(t, after, storage);
    }
  }
  const storage = await open(withFile(disk, FIRST, whole));
  t.deepEqual(storage.recovered.entries, BATCHES.flat(), 'the whole batch was there');
  t.is(storage.recovered.cutBytes, 0);
});

/** After a torn tail the log is written and read like any other. */
async function goesOn(t: ExecutionContext, disk: FaultyFileSystem, storage: Storage): Promise<void> {
  const watch = new DurableWatch(storage);
  await watch.reach(storage.write({ entries: [entry(6, 'after', 2)] }));
  const again = await open(disk.reboot());
  t.deepEqual(again.recovered.entries, [...ACKNOWLEDGED, entry(6, 'after', 2)]);
}

test('recoverLog: a bit flipped anywhere below the last batch is damage, named by segment and offset', async (t) => {
  const disk = await writeBatches(BATCHES);
  const whole = disk.get(FIRST);
  const offsets = recordOffsets(whole);
  const last = offsets.at(-2) as number;
  for (const at of positions(0, last)) {
    const record = offsets.findLast((offset) => offset <= at) ?? 0;
    const damaged = withFile(disk, FIRST, flipped(whole, at, at % 8));
    await assertDamage(t, damaged, { file: FIRST, offset: record, about: `bit at ${at}` });
  }
});

test('recoverLog: a flipped final batch cannot be told from a torn one and is cut', async (t) => {
  const disk = await writeBatches(BATCHES);
  const whole = disk.get(FIRST);
  const last = recordOffsets(whole).at(-2) as number;
  for (const at of positions(last, whole.length)) {
    const storage = await open(withFile(disk, FIRST, flipped(whole, at, at % 8)));
    t.deepEqual(storage.recovered.entries, ACKNOWLEDGED);
    t.is(storage.recovered.cutBytes, whole.length - last);
  }
});

test('recoverLog: after a clean stop a flipped final batch is damage', async (t) => {
  const disk = await writeBatches(BATCHES, { close: true });
  const whole = disk.get(FIRST);
  const offsets = recordOffsets(whole);
  const [last, seal] = [offsets.at(-3) as number, offsets.at(-2) as number];
  for (const at of positions(last, seal)) {
    const damaged = withFile(disk, FIRST, flipped(whole, at, at % 8));
    await assertDamage(t, damaged, { file: FIRST, offset: last, about: `bit at ${at}` });
  }
  const storage = await open(withFile(disk, FIRST, flipped(whole, seal + 3, 1)));
  t.deepEqual(storage.recovered.entries, BATCHES.flat(), 'a seal that is lost costs nothing');
  t.false(storage.recovered.sealed);
});

test('recoverLog: a write after a clean stop unseals, and its torn batch is cut again', async (t) => {
  const disk = await writeBatches(BATCHES.slice(0, -1), { close: true });
  const storage = await open(disk);
  t.true(storage.recovered.sealed);
  const watch = new DurableWatch(storage);
  const size = disk.get(FIRST).length;
  await watch.reach(storage.write({ entries: [entry(6)] }));
  const after = disk.reboot();
  const whole = after.get(FIRST);
  t.deepEqual((await open(after)).recovered.entries, [...ACKNOWLEDGED, entry(6)]);
  const torn = await open(withFile(disk, FIRST, whole.subarray(0, whole.length - 1)));
  t.deepEqual(torn.recovered.entries, ACKNOWLEDGED);
  t.is(torn.recovered.cutBytes, whole.length - 1 - size);
});

test('Wal: a stop without a write in between writes no second seal', async (t) => {
  const disk = await writeBatches(BATCHES, { close: true });
  const before = disk.get(FIRST).toString('hex');
  await (await open(disk)).close();
  t.is(disk.get(FIRST).toString('hex'), before);
});

test('recoverLog: in older segments the last batch too is below a proved offset', async (t) => {
  const disk = await writeBatches(BATCHES, { segmentBytes: 300 });
  const whole = disk.get(FIRST);
  t.deepEqual((await open(disk.reboot())).recovered.entries, BATCHES.flat());
  const offsets = recordOffsets(whole);
  for (const at of positions(0, whole.length)) {
    const record = offsets.findLast((offset) => offset <= at) ?? 0;
    const damaged = withFile(disk, FIRST, flipped(whole, at, at % 8));
    await assertDamage(t, damaged, { file: FIRST, offset: record, about: `bit at ${at}` });
  }
  for (const size of [0, 10, offsets[1] as number, whole.length - 1]) {
    const record =
      size === (offsets[1] as number) ? size : (offsets.findLast((offset) => offset < size) ?? 0);
    const expected = {
      file: FIRST,
      offset: size < (offsets[0] as number) ? 0 : record,
      about: `cut to ${size}`,
    };
    await assertDamage(t, withFile(disk, FIRST, whole.subarray(0, size)), expected);
  }
  const longer = withFile(disk, FIRST, concatBytes([whole, new Uint8Array(5)]));
  await assertDamage(t, longer, { file: FIRST, offset: whole.length, about: 'longer than it was' });
});

test('recoverLog: a segment that is missing or under another name is damage', async (t) => {
  const disk = await writeBatches(
    [...BATCHES, ...Array.from({ length: 8 }, (_, at) => [entry(8 + at, 'y'.repeat(90))])],
    {
      segmentBytes: 300,
    },
  );
  const missing = disk.reboot();
  missing.drop(SECOND);
  await assertDamage(t, missing, { file: SECOND, offset: 0, about: 'missing' });
  const none = disk.reboot();
  for (const path of disk.contents().keys()) if (path.includes('/wal/')) none.drop(path);
  await assertDamage(t, none, { file: FIRST, offset: 0, about: 'all missing' });
  const swapped = withFile(disk, SECOND, disk.get(FIRST));
  await assertDamage(t, swapped, { file: SECOND, offset: 0, about: "another's bytes" });
});

test('recoverLog: a log of another storage is refused', async (t) => {
  const disk = await writeBatches(BATCHES);
  const other = new FaultyFileSystem();
  const entropy = new Prng(99);
  await (await openTest(DIRECTORY, { fileSystem: other, entropy })).close();
  const mixed = withFile(disk, FIRST, other.get(FIRST));
  await assertDamage(t, mixed, { file: FIRST, offset: 0, about: 'foreign' });
});

test('recoverLog: data that look like a record of the log are not mistaken for one', async (t) => {
  const disk = await writeBatches(BATCHES.slice(0, -1));
  const segment = disk.get(FIRST);
  const head = decodeSegmentHeader(segment);
  if (!head.ok) throw new Error(head.problem);
  // The best forgery there is: an own record of this segment, copied from where it truly stands.
  const offsets = recordOffsets(segment);
  const copied = segment.subarray(offsets[0], offsets[1]);
  const proved = { segment: 1, offset: offsets[0] as number };
  const forged = encodeRecord({ ...head.header, salt: new Uint8Array(16) }, 400, {
    ...{ type: 'batch', proved, hardState: { term: 99, votedFor: null, commitIndex: 0 } },
    entries: [entry(1, 'forged', 99)],
  });
  const data = concatBytes([copied, forged, utf8('brmblwal'), copied]);
  const storage = await open(disk);
  const watch = new DurableWatch(storage);
  await watch.reach(storage.write({ entries: [entry(6, data)] }));
  const whole = disk.get(FIRST);
  t.deepEqual((await open(disk.reboot())).recovered.entries.at(-1), entry(6, data));
  for (const size of [whole.length - 1, whole.length - 5, whole.length - copied.length]) {
    const torn = await open(withFile(disk, FIRST, whole.subarray(0, size)));
    t.deepEqual(torn.recovered.entries, ACKNOWLEDGED, `torn at ${size}`);
  }
  // The same bytes where the torn batch should begin.
  const raw = await open(withFile(disk, FIRST, concatBytes([segment, data])));
  t.deepEqual(raw.recovered.entries, ACKNOWLEDGED);
  t.is(raw.recovered.cutBytes, data.length);
});

test('Wal: what one turn writes shares one sync, and what comes during it the next', async (t) => {
  const fileSystem = new FaultyFileSystem();
  const storage = await open(fileSystem);
  const watch = new DurableWatch(storage);
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let isHeld = false;
  fileSystem.intercept = (call) => {
    if (call.operation !== 'sync' || isHeld) return;
    isHeld = true;
    return held;
  };
  for (let index = 1; index <= 10; index++) storage.write({ entries: [entry(index)] });
  while (!isHeld) await new Promise((resolve) => setImmediate(resolve));
  for (let index = 11; index <= 20; index++) storage.write({ entries: [entry(index)] });
  t.deepEqual(watch.reports, []);
  t.true(storage.stalledMs >= 0);
  release();
  await watch.reach(20);
  t.deepEqual(
    watch.reports.map((report) => report.write),
    [10, 20],
  );
  t.is(storage.counters.syncs, 2);
  t.is(
    storage.counters.syncBuckets.reduce((sum, count) => sum + count, 0),
    2,
  );
});

test('Wal: an idle storage writes nothing', async (t) => {
  const fileSystem = new FaultyFileSystem();
  const storage = await open(fileSystem);
  const watch = new DurableWatch(storage);
  await watch.reach(storage.write({ entries: entries(1, 5) }));
  const { calls } = fileSystem;
  const { bytesWritten } = storage.counters;
  // A generous number of turns and of questions, long enough for every timer there is.
  const until = performance.now() + 700;
  while (performance.now() < until) {
    t.is(storage.space, 'ok');
    t.true(storage.freeBytes > 0);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  t.is(fileSystem.calls, calls);
  t.is(storage.counters.bytesWritten, bytesWritten);
  await storage.close();
});

test('Wal: segments follow one another at their size, and a batch that is larger has one of its own', async (t) => {
  const fileSystem = new FaultyFileSystem();
  const storage = await open(fileSystem, 2_000);
  const watch = new DurableWatch(storage);
  const written = [entry(1), entry(2, 'x'.repeat(5_000)), ...entries(3, 60)];
  for (const one of written) await watch.reach(storage.write({ entries: [one] }));
  const segments = [...fileSystem.contents()].filter(([path]) => path.includes('/wal/'));
  t.true(segments.length > 2);
  const again = await open(fileSystem.reboot(), 2_000);
  t.deepEqual(again.recovered.entries, written);
});

test('openStorage: a power cut after each write loses nothing that was durable', async (t) => {
  const fileSystem = new FaultyFileSystem();
  let disk = fileSystem;
  const all: LogEntry[] = [];
  for (let round = 1; round <= 20; round++) {
    const storage = await open(disk, 500);
    t.deepEqual(storage.recovered.entries, all);
    const watch = new DurableWatch(storage);
    const next = entry(round, 'z'.repeat(round * 10));
    await watch.reach(
      storage.write({ entries: [next], hardState: { term: round, votedFor: `n${round}`, commitIndex: 0 } }),
    );
    all.push(next);
    disk = disk.powerCut({ names: 'synced', data: 'synced' });
  }
  const last = await open(disk);
  t.deepEqual(last.recovered.hardState, { term: 20, votedFor: 'n20', commitIndex: 0 });
});
