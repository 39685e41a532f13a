// Stops the machine at every call that changes the disk, and looks at what the next start makes of it.

import test, { type ExecutionContext } from 'ava';
import { utf8, utf8Text } from '#core/base/bytes.ts';
import type { LogEntry } from '#core/raft/types.ts';
import type { FileEffect } from '#core/state-machine/commands.ts';
import type { Snapshot, Storage } from '#core/storage/interface.ts';
import { EVERY_REMAINS, FaultyFileSystem, type Remains } from '../support/faulty-file-system.ts';
import { scale } from '../support/scale.ts';
import { abandonedClock, DurableWatch, entry, LogBook, openTest } from '../support/storage-kit.ts';

const DIRECTORY = '/data';
const clock = abandonedClock;

/** A tiny state machine: each entry is a step by name, and the book is what the steps so far have made. */
type Step =
  | { readonly type: 'create'; readonly id: number; readonly name: string }
  | { readonly type: 'append'; readonly id: number; readonly text: string }
  | { readonly type: 'trim'; readonly id: number; readonly before: number }
  | { readonly type: 'delete'; readonly id: number };

function toEntry(index: number, step: Step): LogEntry {
  return entry(index, JSON.stringify(step));
}

function toEffect(book: LogBook, step: Step): FileEffect {
  if (step.type === 'create') return book.create(step.id, step.name);
  if (step.type === 'append') return book.append(step.id, step.text);
  if (step.type === 'trim') return book.trim(step.id, step.before);
  return book.delete(step.id);
}

/** The book after the first `count` steps. */
function bookAfter(steps: readonly Step[], count: number): LogBook {
  const book = new LogBook();
  for (const step of steps.slice(0, count)) toEffect(book, step);
  return book;
}

interface Progress {
  /** Steps that were reported durable. */
  durable: number;
}

/** Writes and applies steps one after another, with snapshots after the given counts, at every restart where it left off. */
async function run(
  storage: Storage,
  plan: { readonly steps: readonly Step[]; readonly snapshotsAfter: readonly number[] },
  progress: Progress,
): Promise<void> {
  const { steps, snapshotsAfter } = plan;
  const watch = new DurableWatch(storage);
  const { book, count } = recover(storage);
  for (let at = count; at < steps.length; at++) {
    const step = steps[at] as Step;
    await watch.reach(storage.write({ entries: [toEntry(at + 1, step)] }));
    progress.durable = at + 1;
    storage.applyFiles([toEffect(book, step)]);
    if (!snapshotsAfter.includes(at + 1)) continue;
    const saved = storage.saveSnapshot({ ...book.snapshot(at + 1), machine: utf8(String(at + 1)) });
    // The next steps go on while the snapshot is under way.
    const next = steps[at + 1];
    if (next !== undefined) {
      await watch.reach(storage.write({ entries: [toEntry(at + 2, next)] }));
      progress.durable = at + 2;
      storage.applyFiles([toEffect(book, next)]);
      at += 1;
    }
    await saved;
  }
  await storage.close();
}

/** What a server does at start: the snapshot's logs, then every entry behind it. */
function recover(storage: Storage): { book: LogBook; count: number } {
  const { snapshot, entries } = storage.recovered;
  const book = new LogBook();
  for (const info of snapshot?.logs ?? []) {
    book.logs.set(info.id, { info, records: [] });
  }
  for (const { data } of entries) storage.applyFiles([toEffect(book, JSON.parse(utf8Text(data) ?? ''))]);
  return { book, count: (snapshot?.index ?? 0) + entries.length };
}

async function check(
  t: ExecutionContext,
  disk: FaultyFileSystem,
  plan: { readonly steps: readonly Step[]; readonly progress: Progress; readonly about: string },
): Promise<void> {
  const { steps, progress, about } = plan;
  const storage = await openTest(DIRECTORY, { clock, fileSystem: disk });
  const { count } = recover(storage);
  if (count < progress.durable)
    t.fail(`${about}: ${progress.durable} steps were durable, ${count} are there`);
  const expected = bookAfter(steps, count);
  for (const [id, { info, records }] of expected.logs) {
    const range = { from: info.start, to: info.count, bytesMax: 10_000 };
    const found = await storage.readRecords(id, range);
    t.deepEqual(found.map(utf8Text), records.slice(info.start).map(utf8Text), `${about}: log ${id}`);
  }
  await storage.close();
  const names = [...disk.contents().keys()].filter((path) => path.includes('/files/')).sort();
  const wanted = [...expected.logs.values()].map(({ info }) => `${DIRECTORY}/files/${info.name}`).sort();
  t.deepEqual(names, wanted, `${about}: names`);
  for (const [id, { info }] of expected.logs) {
    const plain = disk.get(`${DIRECTORY}/files/${info.name}`);
    t.deepEqual(plain, expected.plain(id), `${about}: plain file of log ${id}`);
  }
}

/** Crashes at each call of the scenario; after each, recovers from everything that may be left, and once more after that. */
async function enumerate(
  t: ExecutionContext,
  plan: { readonly steps: readonly Step[]; readonly snapshotsAfter: readonly number[] },
): Promise<void> {
  const { steps } = plan;
  const whole = new FaultyFileSystem();
  await run(await openTest(DIRECTORY, { clock, fileSystem: whole }), plan, { durable: 0 });
  await check(t, whole.reboot(), { steps, progress: { durable: steps.length }, about: 'no crash' });
  const stride = Math.max(1, Math.round(10 / scale(10)) > 1 ? 3 : 1);
  for (let crashAt = 1; crashAt <= whole.calls; crashAt += stride) {
    const disk = new FaultyFileSystem();
    disk.crashAt = crashAt;
    const progress: Progress = { durable: 0 };
    const work = openTest(DIRECTORY, { clock, fileSystem: disk }).then((storage) =>
      run(storage, plan, progress),
    );
    await Promise.race([disk.crashed, work]);
    const remains = EVERY_REMAINS.filter((_, at) => stride === 1 || (crashAt + at) % 2 === 0);
    for (const left of remains) await checkTwice(t, disk, { steps, progress, crashAt, left });
  }
}

async function checkTwice(
  t: ExecutionContext,
  disk: FaultyFileSystem,
  plan: {
    readonly steps: readonly Step[];
    readonly progress: Progress;
    readonly crashAt: number;
    readonly left: Remains;
  },
): Promise<void> {
  const { steps, progress, crashAt, left } = plan;
  const about = `crash at call ${crashAt}, names ${left.names}, data ${left.data}`;
  try {
    await check(t, disk.powerCut(left), { steps, progress, about });
    // And a second cut in the middle of the recovery.
    const second = disk.powerCut(left);
    second.crashAt = 1 + (crashAt % 7);
    await Promise.race([second.crashed, openTest(DIRECTORY, { clock, fileSystem: second }).then(recover)]);
    await check(t, second.powerCut(left), { steps, progress, about: `${about}, and again` });
  } catch (error) {
    throw new Error(`${about}: ${(error as Error).message}`, { cause: error });
  }
}

const LIFE: readonly Step[] = [
  { type: 'create', id: 1, name: 'a' },
  { type: 'append', id: 1, text: 'one' },
  { type: 'append', id: 1, text: 'two' },
  { type: 'create', id: 2, name: 'b' },
  { type: 'append', id: 2, text: 'x' },
  { type: 'append', id: 1, text: 'three' },
  { type: 'append', id: 2, text: 'y' },
];

test('saveSnapshot: a power cut at every call leaves everything that was durable', async (t) => {
  await enumerate(t, { steps: LIFE, snapshotsAfter: [2, 5] });
});

test('applyFiles: a power cut at every call of a trim leaves the kept records', async (t) => {
  const steps: Step[] = [
    ...LIFE,
    { type: 'trim', id: 1, before: 1 },
    { type: 'append', id: 1, text: 'four' },
    { type: 'trim', id: 1, before: 2 },
    { type: 'append', id: 1, text: 'five' },
    { type: 'trim', id: 2, before: 2 },
    { type: 'append', id: 2, text: 'z' },
  ];
  await enumerate(t, { steps, snapshotsAfter: [7, 9, 12] });
});

test('applyFiles: a power cut at every call of a deletion and a new log of that name', async (t) => {
  const steps: Step[] = [
    ...LIFE,
    { type: 'delete', id: 1 },
    { type: 'create', id: 3, name: 'a' },
    { type: 'append', id: 3, text: 'new' },
    { type: 'delete', id: 2 },
    { type: 'append', id: 3, text: 'newer' },
    { type: 'delete', id: 3 },
    { type: 'create', id: 4, name: 'a' },
    { type: 'append', id: 4, text: 'newest' },
  ];
  await enumerate(t, { steps, snapshotsAfter: [4, 8, 12] });
});

test('saveSnapshot: a power cut at every call while a snapshot replaces the log', async (t) => {
  const received = (book: LogBook): Snapshot => book.snapshot(50, 9);
  const script = async (fileSystem: FaultyFileSystem, progress: { index: number }) => {
    const storage = await openTest(DIRECTORY, { clock, fileSystem });
    const watch = new DurableWatch(storage);
    await watch.reach(
      storage.write({ entries: [entry(1), entry(2)], hardState: { term: 1, votedFor: 'a', commitIndex: 0 } }),
    );
    progress.index = 2;
    await watch.reach(storage.write({ hardState: { term: 9, votedFor: null, commitIndex: 0 } }));
    progress.index = 3;
    const saved = storage.saveSnapshot(received(new LogBook()));
    await watch.reach(storage.write({ entries: [entry(51, 'behind', 9)] }));
    progress.index = 51;
    await saved;
    await storage.close();
  };
  const whole = new FaultyFileSystem();
  await script(whole, { index: 0 });
  for (let crashAt = 1; crashAt <= whole.calls; crashAt++) {
    const disk = new FaultyFileSystem();
    disk.crashAt = crashAt;
    const progress = { index: 0 };
    await Promise.race([disk.crashed, script(disk, progress)]);
    for (const left of EVERY_REMAINS) {
      const about = `crash at ${crashAt}, names ${left.names}, data ${left.data}`;
      const { recovered } = await openTest(DIRECTORY, { clock, fileSystem: disk.powerCut(left) });
      const last = recovered.entries.at(-1)?.index ?? recovered.snapshot?.index ?? 0;
      t.true(last >= (progress.index === 3 ? 2 : progress.index), about);
      if (progress.index >= 3)
        t.deepEqual(recovered.hardState, { term: 9, votedFor: null, commitIndex: 0 }, about);
      if (last === 51) t.is(recovered.snapshot?.index, 50, about);
    }
  }
});
