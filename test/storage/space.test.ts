// A disk that runs full, and one that fails.

import test from 'ava';
import type { Storage } from '#core/storage/interface.ts';
import { type Call, FaultyFileSystem, fileError } from '../support/faulty-file-system.ts';
import {
  abandonedClock,
  DurableWatch,
  entry,
  LogBook,
  openTest,
  TestLogger,
} from '../support/storage-kit.ts';

const DIRECTORY = '/data';
const RESERVE = 262_144;

function open(fileSystem: FaultyFileSystem, logger = new TestLogger()): Promise<Storage> {
  return openTest(DIRECTORY, { fileSystem, logger, reserveBytes: RESERVE });
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`waited 20 s for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Leaves `bytes` free, whatever else there is. */
async function leaveFree(fileSystem: FaultyFileSystem, bytes: number): Promise<void> {
  fileSystem.capacityBytes = 2 ** 40;
  const { freeBytes } = await fileSystem.space();
  fileSystem.capacityBytes = 2 ** 40 - freeBytes + bytes;
}

test('Space: a full disk gives back ballast, so that small writes go on', async (t) => {
  const fileSystem = new FaultyFileSystem();
  const logger = new TestLogger();
  const storage = await open(fileSystem, logger);
  const watch = new DurableWatch(storage);
  t.is(storage.space, 'ok');
  t.is(fileSystem.get(`${DIRECTORY}/reserve`).length, RESERVE);
  await leaveFree(fileSystem, 0);
  for (let index = 1; index <= 500; index++) await watch.reach(storage.write({ entries: [entry(index)] }));
  t.true(storage.counters.noSpace > 0);
  t.true(fileSystem.get(`${DIRECTORY}/reserve`).length < RESERVE);
  t.is(storage.space, 'low');
  await leaveFree(fileSystem, 4 * RESERVE);
  await until('the ballast is whole again', () => storage.space === 'ok');
  t.is(fileSystem.get(`${DIRECTORY}/reserve`).length, RESERVE);
  t.true(logger.has('disk space is low') && logger.has('disk space is ok'));
  const again = await openTest(DIRECTORY, { fileSystem: fileSystem.reboot(), clock: abandonedClock });
  t.is(again.recovered.entries.length, 500);
  await storage.close();
});

test('Space: when the ballast is used up too, writes wait, lose nothing, and go on by themselves', async (t) => {
  const fileSystem = new FaultyFileSystem();
  const storage = await open(fileSystem);
  const watch = new DurableWatch(storage);
  await watch.reach(storage.write({ entries: [entry(1)] }));
  await leaveFree(fileSystem, 8_192);
  const big = storage.write({ entries: [entry(2, 'x'.repeat(RESERVE + 100_000))] });
  const small = storage.write({ entries: [entry(3)] });
  await until('the write waits', () => storage.space === 'full');
  t.is(watch.last?.write, 1, 'nothing is reported that is not durable');
  t.true(storage.unpersistedBytes > RESERVE);
  t.is(fileSystem.get(`${DIRECTORY}/reserve`).length, 0);
  // A power cut now: what was durable, and nothing else.
  const cut = fileSystem.powerCut({ names: 'all', data: 'all' });
  cut.capacityBytes = Infinity;
  t.deepEqual((await openTest(DIRECTORY, { fileSystem: cut, clock: abandonedClock })).recovered.entries, [
    entry(1),
  ]);
  await leaveFree(fileSystem, 10 * RESERVE);
  await watch.reach(Math.max(big, small));
  t.is(storage.unpersistedBytes, 0);
  await until('the ballast is whole again', () => storage.space === 'ok');
  await storage.close();
  const again = await open(fileSystem.reboot());
  t.deepEqual(
    again.recovered.entries.map((one) => one.index),
    [1, 2, 3],
  );
  await again.close();
});

test('Space: a batch that met a full disk at any byte is written whole afterwards', async (t) => {
  for (let room = 0; room <= 12_288; room += 1_024) {
    const fileSystem = new FaultyFileSystem();
    const storage = await openTest(DIRECTORY, { fileSystem, reserveBytes: RESERVE });
    const watch = new DurableWatch(storage);
    await watch.reach(storage.write({ entries: [entry(1)] }));
    await leaveFree(fileSystem, room);
    await watch.reach(storage.write({ entries: [entry(2, 'y'.repeat(10_000))] }));
    await watch.reach(storage.write({ entries: [entry(3)] }));
    await storage.close();
    const again = await openTest(DIRECTORY, { fileSystem: fileSystem.reboot(), clock: abandonedClock });
    t.deepEqual(again.recovered.entries, [entry(1), entry(2, 'y'.repeat(10_000)), entry(3)], `room ${room}`);
  }
});

test('openStorage: starts on a disk without a free byte, and writes small entries from the ballast', async (t) => {
  const fileSystem = new FaultyFileSystem();
  const first = await open(fileSystem);
  const watch = new DurableWatch(first);
  await watch.reach(first.write({ entries: [entry(1, 'z'.repeat(4_000))] }));
  await leaveFree(fileSystem, 0);
  // Torn, so that recovery has something to cut.
  const disk = fileSystem.reboot();
  const wal = `${DIRECTORY}/wal/0000000000000001.wal`;
  disk.put(wal, Buffer.concat([disk.get(wal), Buffer.from('torn')]));
  await leaveFree(disk, 0);
  const storage = await open(disk);
  t.is(storage.recovered.cutBytes, 4);
  t.deepEqual(storage.recovered.entries, [entry(1, 'z'.repeat(4_000))]);
  const again = new DurableWatch(storage);
  await again.reach(storage.write({ entries: [entry(2, 'release'.repeat(1_000))] }));
  await until('the server hears of it', () => storage.space === 'low');
  await storage.close();
  await first.close();
});

test('openStorage: a fresh directory on a small file system gets what ballast there is room for', async (t) => {
  const fileSystem = new FaultyFileSystem();
  fileSystem.capacityBytes = 100_000;
  const storage = await open(fileSystem);
  t.is(storage.space, 'low');
  const watch = new DurableWatch(storage);
  await watch.reach(storage.write({ entries: [entry(1)] }));
  await storage.close();
  t.pass();
});

test('saveSnapshot: for want of room it is given up, and nothing is lost', async (t) => {
  const fileSystem = new FaultyFileSystem();
  const storage = await open(fileSystem);
  const watch = new DurableWatch(storage);
  await watch.reach(storage.write({ entries: [entry(1), entry(2)] }));
  const book = new LogBook();
  storage.applyFiles([book.create(1, 'a'), book.append(1, 'x')]);
  t.true(await storage.saveSnapshot(book.snapshot(1)));
  await leaveFree(fileSystem, 0);
  const large = { ...book.snapshot(2), machine: new Uint8Array(2 * RESERVE) };
  t.false(await storage.saveSnapshot(large));
  t.is(storage.counters.snapshots, 1);
  t.false(
    [...fileSystem.contents().keys()].some((path) => path.endsWith('.new')),
    'no half snapshot holds room',
  );
  const cut = await openTest(DIRECTORY, { fileSystem: fileSystem.reboot(), clock: abandonedClock });
  t.is(cut.recovered.snapshot?.index, 1);
  t.deepEqual(cut.recovered.entries, [entry(2)]);
  await leaveFree(fileSystem, 10 * RESERVE);
  t.true(await storage.saveSnapshot(large));
  await storage.close();
});

test('applyFiles: records wait in memory while the disk is full, are readable, and get written later', async (t) => {
  const fileSystem = new FaultyFileSystem();
  const storage = await open(fileSystem);
  const watch = new DurableWatch(storage);
  await watch.reach(storage.write({ entries: [entry(1)] }));
  const book = new LogBook();
  storage.applyFiles([book.create(1, 'a')]);
  await leaveFree(fileSystem, 0);
  const records = Array.from({ length: 6 }, (_, at) => `${at}`.repeat(100_000));
  storage.applyFiles(records.map((record) => book.append(1, record)));
  await until('the files wait for room', () => storage.space === 'full');
  t.false(await storage.saveSnapshot(book.snapshot(1)), 'a snapshot is refused instead of waiting');
  const found = await storage.readRecords(1, { from: 0, to: 6, bytesMax: 1_000_000 });
  t.deepEqual(
    found.map((bytes) => Buffer.from(bytes).toString()),
    records,
  );
  await leaveFree(fileSystem, 20 * RESERVE);
  await until('there is room', () => storage.space === 'ok');
  await storage.close();
  t.deepEqual(fileSystem.get(`${DIRECTORY}/files/a`), book.plain(1));
});

test('close: while writes wait for room it ends, and what was durable is there', async (t) => {
  const fileSystem = new FaultyFileSystem();
  const storage = await open(fileSystem);
  const watch = new DurableWatch(storage);
  await watch.reach(storage.write({ entries: [entry(1)] }));
  await leaveFree(fileSystem, 0);
  storage.write({ entries: [entry(2, 'x'.repeat(2 * RESERVE))] });
  await until('the write waits', () => storage.space === 'full');
  await storage.close();
  const disk = fileSystem.reboot();
  disk.capacityBytes = Infinity;
  const again = await open(disk);
  t.deepEqual(again.recovered.entries, [entry(1)]);
  t.false(again.recovered.sealed);
  await again.close();
});

const FAILURES: readonly Call['operation'][] = ['write', 'sync'];
for (const operation of FAILURES) {
  test(`Wal: a failing ${operation} is fatal once, and nothing is reported durable or retried`, async (t) => {
    const fileSystem = new FaultyFileSystem();
    const storage = await open(fileSystem);
    const watch = new DurableWatch(storage);
    const errors: Error[] = [];
    storage.onFatal((error) => errors.push(error));
    await watch.reach(storage.write({ entries: [entry(1)] }));
    let failures = 0;
    fileSystem.intercept = (call) => {
      if (call.operation !== operation || !call.path.includes('/wal/')) return;
      failures += 1;
      throw fileError('EIO', operation, call.path);
    };
    storage.write({ entries: [entry(2)] });
    storage.write({ hardState: { term: 5, votedFor: 'x', commitIndex: 0 } });
    await until('the failure is reported', () => errors.length > 0);
    fileSystem.intercept = () => {};
    storage.write({ entries: [entry(3)] });
    await t.throwsAsync(storage.saveSnapshot(new LogBook().snapshot(1)), { message: /failed/ });
    await storage.close();
    t.is(failures, 1);
    t.is(errors.length, 1);
    t.is((errors[0] as Error & { code?: string }).code, 'EIO');
    t.is(watch.last?.write, 1);
    const again = await openTest(DIRECTORY, { fileSystem: fileSystem.reboot(), clock: abandonedClock });
    t.false(again.recovered.sealed);
    t.deepEqual(again.recovered.entries[0], entry(1));
  });
}

test('applyFiles: a failing write into a record file is fatal once', async (t) => {
  const fileSystem = new FaultyFileSystem();
  const storage = await open(fileSystem);
  const errors: Error[] = [];
  storage.onFatal((error) => errors.push(error));
  const book = new LogBook();
  fileSystem.intercept = (call) => {
    if (call.path.endsWith('.data') && call.operation === 'write') throw fileError('EIO', 'write', call.path);
  };
  storage.applyFiles([book.create(1, 'a'), book.append(1, 'x'), book.create(2, 'b'), book.append(2, 'x')]);
  await until('the failure is reported', () => errors.length > 0);
  await storage.close();
  t.is(errors.length, 1);
});
