// The logs' records as files: reading, damage, names, and how many files are open.

import { appendFile, link, readFile, rename, writeFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { concatBytes, utf8Text } from '#core/base/bytes.ts';
import { Prng } from '#core/base/prng.ts';
import { DamageError, type Storage } from '#core/storage/interface.ts';
import { FaultyFileSystem } from '../support/faulty-file-system.ts';
import { scale } from '../support/scale.ts';
import {
  abandonedClock,
  DurableWatch,
  entry,
  LogBook,
  openTest,
  TestLogger,
  temporaryDirectory,
} from '../support/storage-kit.ts';

const DIRECTORY = '/data';

/** Makes a snapshot of the book at `index`, so that everything is in the files. */
async function save(storage: Storage, book: LogBook, index: number): Promise<void> {
  const watch = new DurableWatch(storage);
  await watch.reach(storage.write({ entries: [entry(index)] }));
  if (!(await storage.saveSnapshot(book.snapshot(index)))) throw new Error('no snapshot');
}

/** A disk with one log of a few records and a snapshot of it. */
async function makeLog(
  texts: readonly string[],
  trim = 0,
): Promise<{ disk: FaultyFileSystem; book: LogBook }> {
  const fileSystem = new FaultyFileSystem();
  const storage = await openTest(DIRECTORY, { fileSystem });
  const book = new LogBook();
  storage.applyFiles([book.create(1, 'a'), ...texts.map((text) => book.append(1, text))]);
  if (trim > 0) storage.applyFiles([book.trim(1, trim)]);
  await save(storage, book, 1);
  await storage.close();
  return { disk: fileSystem.reboot(), book };
}

function open(disk: FaultyFileSystem): Promise<Storage> {
  return openTest(DIRECTORY, { fileSystem: disk, clock: abandonedClock });
}

test('readRecords: 10,000 small records come back in any parts', async (t) => {
  const directory = await temporaryDirectory(t);
  const storage = await openTest(directory);
  const book = new LogBook();
  const texts = Array.from({ length: 10_000 }, (_, at) => `record ${at}\n`);
  storage.applyFiles([book.create(1, 'many'), ...texts.map((text) => book.append(1, text))]);
  const read = async (from: number, to: number, bytesMax = 1_000_000) =>
    (await storage.readRecords(1, { from, to, bytesMax })).map(utf8Text);
  // While they are on their way into the file, wherever they are by now.
  // Compared as one text each, since comparing long lists takes ava seconds.
  const whole = texts.join('|');
  t.true((await read(0, 10_000)).join('|') === whole);
  await save(storage, book, 1);
  t.true((await read(0, 10_000)).join('|') === whole);
  t.deepEqual(await read(4_095, 4_098), texts.slice(4_095, 4_098), 'across two parts of the index');
  t.deepEqual(await read(9_999, 20_000), texts.slice(9_999), 'the last one');
  t.deepEqual(await read(10_000, 20_000), [], 'at count');
  const some = await read(100, 10_000, 5_000);
  t.is(some.join('|'), texts.slice(100, 100 + some.length).join('|'));
  t.true(some.join('').length <= 5_000);
  t.true(some.join('').length + (texts[100 + some.length] ?? '').length > 5_000, 'as many as fit');
  await storage.close();
  t.is(await readFile(`${directory}/files/many`, 'utf8'), texts.join(''));
});

test('readRecords: records of 1 MiB, one byte, and both mixed', async (t) => {
  const directory = await temporaryDirectory(t);
  const storage = await openTest(directory);
  const book = new LogBook();
  const random = new Prng(3);
  const large = random.bytes(1_048_576);
  const records = [large, random.bytes(1), random.bytes(1_048_575), large, random.bytes(7)];
  storage.applyFiles([book.create(1, 'large'), ...records.map((record) => book.append(1, record))]);
  for (const round of ['from memory', 'from the disk']) {
    const read = async (from: number, bytesMax: number) =>
      (await storage.readRecords(1, { from, to: 5, bytesMax })).length;
    t.is(await read(0, 1), 1, `${round}: larger than asked for, but the first`);
    t.is(await read(0, 1_048_576), 1, round);
    t.is(await read(0, 1_048_577), 2, round);
    t.is(await read(0, 2_097_151), 2, round);
    t.is(await read(0, 2_097_152), 3, round);
    t.is(await read(1, 10_000_000), 4, round);
    const all = await storage.readRecords(1, { from: 0, to: 5, bytesMax: 10_000_000 });
    t.true(Buffer.concat(all).equals(Buffer.concat(records)), round);
    if (round === 'from memory') await save(storage, book, 1);
  }
  await storage.close();
  t.true((await readFile(`${directory}/files/large`)).equals(concatBytes(records)));
});

test('readRecords: a trimmed log keeps its ordinals and loses the bytes before', async (t) => {
  const directory = await temporaryDirectory(t);
  const storage = await openTest(directory);
  const book = new LogBook();
  const texts = Array.from({ length: 100 }, (_, at) => `<${at}>`);
  storage.applyFiles([book.create(1, 'a'), ...texts.map((text) => book.append(1, text))]);
  storage.applyFiles([book.trim(1, 40), book.append(1, '<100>'), book.trim(1, 60)]);
  const read = async (from: number) =>
    (await storage.readRecords(1, { from, to: 200, bytesMax: 10_000 })).map(utf8Text);
  t.deepEqual(await read(60), [...texts.slice(60), '<100>'], 'at the start');
  await t.throwsAsync(read(59), { instanceOf: RangeError }, 'below the start');
  await save(storage, book, 1);
  t.deepEqual(await read(60), [...texts.slice(60), '<100>']);
  t.deepEqual(await read(61), [...texts.slice(61), '<100>']);
  t.deepEqual(await readFile(`${directory}/files/a`), book.plain(1));
  // To nothing, and on from there.
  storage.applyFiles([book.trim(1, 101), book.append(1, 'next')]);
  t.deepEqual(await read(101), ['next']);
  await save(storage, book, 2);
  t.deepEqual(await read(101), ['next']);
  await storage.close();
  const again = await openTest(directory);
  t.deepEqual((await again.readRecords(1, { from: 101, to: 200, bytesMax: 10 })).map(utf8Text), ['next']);
  again.applyFiles([book.append(1, 'last')]);
  await again.close();
  t.is(await readFile(`${directory}/files/a`, 'utf8'), 'nextlast');
  await (await openTest(directory)).close();
  t.is(await readFile(`${directory}/files/a`, 'utf8'), 'next', 'what no snapshot covers is applied again');
});

test('readRecords: a read that is under way survives the trim, the deletion and the snapshot that follow', async (t) => {
  const { disk, book } = await makeLog(['one', 'two', 'three']);
  const storage = await open(disk);
  const range = { from: 0, to: 3, bytesMax: 100 };
  const first = storage.readRecords(1, range);
  storage.applyFiles([book.trim(1, 2)]);
  const second = storage.readRecords(1, { ...range, from: 2 });
  storage.applyFiles([book.delete(1)]);
  await save(storage, book, 2);
  t.deepEqual((await first).map(utf8Text), ['one', 'two', 'three']);
  t.deepEqual((await second).map(utf8Text), ['three']);
  await save(storage, book, 3);
  t.false(
    [...disk.contents().keys()].some((path) => path.includes('/store/')),
    'and then the files are gone',
  );
});

test('applyFiles: logs that are created and written while a snapshot or a long trim is under way', async (t) => {
  const fileSystem = new FaultyFileSystem();
  const storage = await openTest(DIRECTORY, { fileSystem });
  storage.onFatal((error) => t.fail(error.message));
  const watch = new DurableWatch(storage);
  await watch.reach(storage.write({ entries: [entry(1)] }));
  const book = new LogBook();
  storage.applyFiles([book.create(1, 'a')]);
  for (let count = 0; count < 8; count++) storage.applyFiles([book.append(1, `${count}`.repeat(600_000))]);
  const saved = storage.saveSnapshot(book.snapshot(1));
  storage.applyFiles([book.create(2, 'b'), book.append(2, 'during the snapshot')]);
  t.true(await saved);
  storage.applyFiles([book.trim(1, 1)]);
  storage.applyFiles([book.create(3, 'c'), book.append(3, 'during the trim'), book.append(1, 'too')]);
  storage.applyFiles([book.delete(2), book.create(4, 'b'), book.append(4, 'again')]);
  await storage.close();
  for (const [id, { info }] of book.logs) {
    t.true(fileSystem.get(`${DIRECTORY}/files/${info.name}`).equals(book.plain(id)), info.name);
  }
});

test('openStorage: a bit flipped in any file below the manifest is damage, named by file and offset', async (t) => {
  const { disk } = await makeLog(['alpha', 'b', 'gamma', 'delta'], 1);
  for (const [path, bytes] of disk.contents()) {
    if (!/\/(store|snapshots)\/|\/identity$/.test(path)) continue;
    for (let at = 0; at < bytes.length; at++) {
      // The index header ends with zeros that nothing reads.
      if (path.endsWith('.index') && at >= 56 && at < 64) continue;
      const damaged = disk.reboot();
      const copy = Buffer.from(bytes);
      copy[at] = (copy[at] as number) ^ (1 << (at % 8));
      damaged.put(path, copy);
      const before = [...damaged.contents()].map(([name, content]) => [name, content.toString('hex')]);
      const error = await t.throwsAsync(open(damaged), { instanceOf: DamageError }, `${path} at ${at}`);
      t.deepEqual(
        [...damaged.contents()].map(([name, content]) => [name, content.toString('hex')]),
        before,
      );
      const named = path.slice(DIRECTORY.length + 1);
      // A flipped end or chain value shows in the bytes that it is compared with.
      const mayBe = path.endsWith('.index') ? [named, named.replace('.index', '.data')] : [named];
      t.true(mayBe.includes(error?.file ?? ''), `${path} at ${at}: ${error?.message}`);
    }
  }
});

test('openStorage: a record file that is missing or cut off is damage', async (t) => {
  const { disk } = await makeLog(['alpha', 'b', 'gamma']);
  for (const name of ['1-1.data', '1-1.index']) {
    const path = `${DIRECTORY}/store/${name}`;
    const whole = disk.get(path);
    const missing = disk.reboot();
    missing.drop(path);
    const gone = await t.throwsAsync(open(missing), { instanceOf: DamageError });
    t.is(gone?.file, `store/${name}`);
    for (let size = 0; size < whole.length; size++) {
      const cut = disk.reboot();
      cut.put(path, whole.subarray(0, size));
      const error = await t.throwsAsync(open(cut), { instanceOf: DamageError }, `${name} cut to ${size}`);
      t.is(error?.file, `store/${name}`);
    }
    const longer = disk.reboot();
    longer.put(path, Buffer.concat([whole, Buffer.from('rest of a write that no snapshot covers')]));
    await (await open(longer)).close();
    t.deepEqual(longer.get(path), whole, 'what is beyond the manifest is cut off');
  }
});

test('openStorage: a damaged snapshot is not passed over for an older one', async (t) => {
  const { disk, book } = await makeLog(['alpha']);
  const older = [...disk.contents()].find(([path]) => path.includes('/snapshots/'));
  const storage = await open(disk);
  await save(storage, book, 2);
  await storage.close();
  const newer = [...disk.contents().keys()].find((path) => path.includes('/snapshots/')) ?? '';
  disk.put(older?.[0] ?? '', older?.[1] ?? Buffer.alloc(0));
  const both = disk.reboot();
  const opened = await open(both);
  t.is(opened.recovered.snapshot?.index, 2, 'of two whole ones the newer counts');
  t.is([...both.contents().keys()].filter((path) => path.includes('/snapshots/')).length, 1);
  disk.put(newer, disk.get(newer).subarray(0, 50));
  const error = await t.throwsAsync(open(disk.reboot()), { instanceOf: DamageError });
  t.is(error?.file, newer.slice(DIRECTORY.length + 1));
});

test('openStorage: what is too much to compare at the start is scrubbed later, and reads of it are refused', async (t) => {
  const record = (at: number) => String(at % 10).repeat(300_000);
  const { disk } = await makeLog(Array.from({ length: 10 }, (_, at) => record(at)));
  const path = `${DIRECTORY}/store/1-1.data`;
  const bytes = Buffer.from(disk.get(path));
  bytes[300_000 + 17] = 0;
  disk.put(path, bytes);
  await t.throwsAsync(open(disk.reboot()), { instanceOf: DamageError }, 'compared at the start by default');
  const logger = new TestLogger();
  const storage = await openTest(DIRECTORY, { fileSystem: disk, logger, verifyBytesMax: 1_000_000 });
  const error = await t.throwsAsync(storage.readRecords(1, { from: 1, to: 2, bytesMax: 10 }), {
    instanceOf: DamageError,
  });
  t.is(error?.file, 'store/1-1.data');
  t.is(error?.offset, 300_000);
  t.is((await storage.readRecords(1, { from: 2, to: 3, bytesMax: 10 })).length, 1, 'others are whole');
  while (!logger.has('does not match')) await new Promise((resolve) => setTimeout(resolve, 10));
  await storage.close();
  // In the tail it is found at once.
  bytes[300_000 + 17] = '1'.charCodeAt(0);
  bytes[bytes.length - 1] = 0;
  disk.put(path, bytes);
  await t.throwsAsync(openTest(DIRECTORY, { fileSystem: disk.reboot(), verifyBytesMax: 1_000_000 }), {
    instanceOf: DamageError,
  });
});

test('openStorage: files in files/ that are not ours stay, and give way under a warning', async (t) => {
  const directory = await temporaryDirectory(t);
  const first = await openTest(directory);
  const book = new LogBook();
  first.applyFiles([book.create(1, 'a'), book.append(1, 'x'), book.create(2, 'b'), book.append(2, 'y')]);
  await save(first, book, 1);
  await first.close();
  await writeFile(`${directory}/files/notes`, 'mine');
  await writeFile(`${directory}/files/c`, 'mine too');
  // An editor that saves by renaming leaves its own file under the name.
  await writeFile(`${directory}/edited`, 'edited');
  await rename(`${directory}/edited`, `${directory}/files/a`);
  // And a second name of a log is ours, and not one that should be there.
  await link(`${directory}/files/b`, `${directory}/files/copy`);
  const logger = new TestLogger();
  const storage = await openTest(directory, { logger });
  t.is(await readFile(`${directory}/files/a`, 'utf8'), 'x', 'the log is back under its name');
  t.is(await readFile(`${directory}/files/.displaced-a-1`, 'utf8'), 'edited');
  t.is(await readFile(`${directory}/files/notes`, 'utf8'), 'mine');
  await t.throwsAsync(readFile(`${directory}/files/copy`), { code: 'ENOENT' });
  t.true(logger.has('moved a file aside') && logger.has('no log'));
  storage.applyFiles([book.create(3, 'c'), book.append(3, 'z')]);
  await save(storage, book, 2);
  t.is(await readFile(`${directory}/files/c`, 'utf8'), 'z');
  t.is(await readFile(`${directory}/files/.displaced-c-1`, 'utf8'), 'mine too');
  await storage.close();
});

test('readRecords: a file that somebody wrote into is found out', async (t) => {
  const directory = await temporaryDirectory(t);
  const storage = await openTest(directory);
  const book = new LogBook();
  storage.applyFiles([book.create(1, 'a'), book.append(1, 'abc'), book.append(1, 'def')]);
  await save(storage, book, 1);
  await writeFile(`${directory}/files/a`, 'abcdxf', { flag: 'r+' });
  const range = { from: 0, to: 2, bytesMax: 100 };
  const error = await t.throwsAsync(storage.readRecords(1, range), { instanceOf: DamageError });
  t.is(error?.offset, 3);
  t.is((await storage.readRecords(1, { ...range, to: 1 })).length, 1);
  await storage.close();
  await writeFile(`${directory}/files/a`, 'abcdef', { flag: 'r+' });
  await appendFile(`${directory}/files/a`, 'more');
  await (await openTest(directory)).close();
  t.is(await readFile(`${directory}/files/a`, 'utf8'), 'abcdef', 'what was added is cut off');
});

test('HandleCache: with 100 logs the open files stay within their limit', async (t) => {
  const fileSystem = new FaultyFileSystem();
  const storage = await openTest(DIRECTORY, { fileSystem });
  const book = new LogBook();
  for (let id = 1; id <= 100; id++) storage.applyFiles([book.create(id, `file_${id}`)]);
  for (let round = 0; round < 3; round++) {
    for (let id = 1; id <= 100; id++) storage.applyFiles([book.append(id, `${id}:${round} `)]);
    await save(storage, book, round + 1);
    const reads = Array.from({ length: 100 }, (_, at) =>
      storage.readRecords(at + 1, { from: 0, to: 10, bytesMax: 100 }),
    );
    for (const [at, records] of (await Promise.all(reads)).entries()) {
      t.is(records.length, round + 1, `log ${at + 1}`);
    }
  }
  // The reads at once may exceed it; one thing at a time does not.
  fileSystem.openFilesMax = 0;
  await save(storage, book, 4);
  for (let id = 1; id <= 100; id++) await storage.readRecords(id, { from: 0, to: 10, bytesMax: 100 });
  t.true(fileSystem.openFilesMax <= 64 + 4, `${fileSystem.openFilesMax} open files`);
  await storage.close();
  t.is(fileSystem.openFiles, 0);
});

test('applyFiles: any sequence of effects reads as the book has it, through snapshots and restarts', async (t) => {
  for (let seed = 1; seed <= scale(100); seed++) await anySequence(t, seed);
});

async function anySequence(t: ExecutionContext, seed: number): Promise<void> {
  const random = new Prng(seed);
  let disk = new FaultyFileSystem();
  let storage = await open(disk);
  let book = new LogBook();
  let nextId = 1;
  let index = 0;
  for (let round = 0; round < 12; round++) {
    for (let count = random.between(0, 12); count > 0; count--) {
      const ids = [...book.logs.keys()];
      const kind = random.between(0, 10);
      if (ids.length === 0 || kind === 0) {
        storage.applyFiles([book.create(nextId, `log-${nextId % 3}-${nextId}`)]);
        nextId += 1;
        continue;
      }
      const id = random.pick(ids);
      const info = book.logs.get(id)?.info ?? { start: 0, count: 0 };
      if (kind === 1) storage.applyFiles([book.delete(id)]);
      else if (kind === 2) storage.applyFiles([book.trim(id, random.between(info.start, info.count + 1))]);
      else storage.applyFiles([book.append(id, random.bytes(random.between(1, 200)))]);
    }
    for (const [id, { info, records }] of book.logs) {
      const from = random.between(info.start, info.count + 1);
      const found = await storage.readRecords(id, { from, to: info.count, bytesMax: 1_000_000 });
      t.deepEqual(found.map(Buffer.from), records.slice(from).map(Buffer.from), `seed ${seed}, log ${id}`);
    }
    if (!random.chance(0.4)) continue;
    index += 1;
    await save(storage, book, index);
    const copy = new LogBook();
    for (const [id, log] of book.logs) copy.logs.set(id, { info: log.info, records: [...log.records] });
    book = copy;
    if (random.chance(0.3)) await storage.close();
    disk = disk.powerCut({ names: 'synced', data: 'synced' });
    storage = await open(disk);
    t.is(storage.recovered.snapshot?.index, index);
  }
}
