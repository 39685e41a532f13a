// What every storage must do, the real one and the fakes alike: the promises of core/storage/interface.ts.

import type { TestFn } from 'ava';
import { utf8, utf8Text } from '#core/base/bytes.ts';
import type { LogInfo } from '#core/state-machine/commands.ts';
import type { RecordsState, Storage } from '#core/storage/interface.ts';
import { DurableWatch, entries, entry, LogBook } from '../support/storage-kit.ts';

/** One disk: opened, and after `close` opened again. */
export interface StorageUnderTest {
  open(): Promise<Storage>;
}

function omitGuard(book: LogBook, id: number): RecordsState {
  const { guard, ...state } = book.snapshot(1).logs.find((log) => log.id === id) as LogInfo;
  return state;
}

export function storageContract(
  test: TestFn,
  name: string,
  make: (t: { teardown(work: () => Promise<void> | void): void }) => Promise<StorageUnderTest>,
): void {
  test(`${name}: a fresh one is empty and keeps its identity`, async (t) => {
    const disk = await make(t);
    const first = await disk.open();
    t.true(first.recovered.fresh);
    t.regex(first.recovered.storageId, /^[0-9a-f]{32}$/);
    t.deepEqual(first.recovered.hardState, { term: 0, votedFor: null, commitIndex: 0 });
    t.is(first.recovered.snapshot, null);
    t.deepEqual(first.recovered.entries, []);
    t.is(first.unpersistedBytes, 0);
    t.is(first.space, 'ok');
    t.true(first.freeBytes > 0);
    await first.close();
    const second = await disk.open();
    t.false(second.recovered.fresh);
    t.is(second.recovered.storageId, first.recovered.storageId);
    await second.close();
  });

  test(`${name}: writes are numbered by one, become durable in order, and are there after a stop`, async (t) => {
    const disk = await make(t);
    const storage = await disk.open();
    const watch = new DurableWatch(storage);
    t.is(
      storage.write({ hardState: { term: 3, votedFor: 'n1', commitIndex: 0 }, entries: entries(1, 3, 3) }),
      1,
    );
    t.is(storage.write({ entries: [entry(3, '', 3)] }), 2);
    t.is(storage.write({ hardState: { term: 4, votedFor: null, commitIndex: 0 } }), 3);
    t.true(storage.unpersistedBytes > 0);
    t.is(watch.last, null, 'nothing is durable at once');
    await watch.reach(3);
    t.deepEqual(watch.last, { write: 3, index: 3, term: 3 });
    t.is(storage.unpersistedBytes, 0);
    t.is(storage.stalledMs, 0);
    const numbers = watch.reports.map((report) => report.write);
    t.deepEqual(
      numbers,
      [...new Set(numbers)].sort((a, b) => a - b),
      'each once and in order',
    );
    await storage.close();
    const again = await disk.open();
    t.deepEqual(again.recovered.hardState, { term: 4, votedFor: null, commitIndex: 0 });
    t.deepEqual(again.recovered.entries, [...entries(1, 3, 3), entry(3, '', 3)]);
    t.true(again.recovered.sealed);
    t.is(again.recovered.cutBytes, 0);
    await again.close();
  });

  test(`${name}: all types of entries and all bytes come back`, async (t) => {
    const disk = await make(t);
    const storage = await disk.open();
    const data = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const written = [
      { index: 1, term: 1, type: 'no-op', data: new Uint8Array(0) },
      { index: 2, term: 1, type: 'configuration', data },
      { index: 3, term: 2 ** 40, type: 'command', data },
    ] as const;
    storage.write({ entries: written });
    await storage.close();
    const again = await disk.open();
    t.deepEqual(again.recovered.entries, written);
    await again.close();
  });

  test(`${name}: an entry replaces what is at its index and above`, async (t) => {
    const disk = await make(t);
    const storage = await disk.open();
    const watch = new DurableWatch(storage);
    storage.write({ entries: entries(1, 10) });
    await watch.reach(1);
    await watch.reach(storage.write({ entries: [entry(4, 'other', 2)] }));
    t.deepEqual(watch.last, { write: 2, index: 4, term: 2 });
    // And within one batch.
    storage.write({ entries: entries(5, 9, 2) });
    storage.write({ entries: [entry(6, 'third', 3)] });
    await storage.close();
    const again = await disk.open();
    t.deepEqual(again.recovered.entries, [
      ...entries(1, 4),
      entry(4, 'other', 2),
      entry(5, 'entry 5', 2),
      entry(6, 'third', 3),
    ]);
    await again.close();
  });

  test(`${name}: records are read back at once, before and after they are in their files`, async (t) => {
    const disk = await make(t);
    const storage = await disk.open();
    const book = new LogBook();
    storage.applyFiles([
      book.create(1, 'a'),
      book.append(1, 'x'),
      book.append(1, 'yy'),
      book.append(1, 'zzz'),
    ]);
    const read = async (range: { from: number; to: number; bytesMax: number }) =>
      (await storage.readRecords(1, range)).map(utf8Text);
    t.deepEqual(await read({ from: 0, to: 3, bytesMax: 100 }), ['x', 'yy', 'zzz']);
    t.true(await storage.saveSnapshot(await written(storage, book)));
    t.deepEqual(await read({ from: 0, to: 3, bytesMax: 100 }), ['x', 'yy', 'zzz']);
    storage.applyFiles([book.append(1, 'late')]);
    t.deepEqual(await read({ from: 0, to: 9, bytesMax: 100 }), ['x', 'yy', 'zzz', 'late']);
    t.deepEqual(await read({ from: 1, to: 2, bytesMax: 100 }), ['yy']);
    t.deepEqual(await read({ from: 4, to: 9, bytesMax: 100 }), [], 'at count');
    t.deepEqual(await read({ from: 2, to: 2, bytesMax: 100 }), [], 'an empty range');
    t.deepEqual(await read({ from: 2, to: 4, bytesMax: 1 }), ['zzz'], 'at least one record');
    t.deepEqual(await read({ from: 0, to: 4, bytesMax: 3 }), ['x', 'yy'], 'bytesMax exactly');
    t.deepEqual(await read({ from: 0, to: 4, bytesMax: 2 }), ['x'], 'one byte short');
    t.deepEqual(await read({ from: 2, to: 4, bytesMax: 7 }), ['zzz', 'late'], 'across disk and memory');
    t.deepEqual(await read({ from: 2, to: 4, bytesMax: 6 }), ['zzz']);
    await storage.close();
  });

  /** Writes one entry, waits for it, and gives the snapshot there. */
  async function written(storage: Storage, book: LogBook, index = 1) {
    const watch = new DurableWatch(storage);
    await watch.reach(storage.write({ entries: [entry(index)] }));
    return book.snapshot(index);
  }

  test(`${name}: reads of what is not there are refused by name`, async (t) => {
    const disk = await make(t);
    const storage = await disk.open();
    const book = new LogBook();
    storage.applyFiles([book.create(1, 'a'), book.append(1, 'x'), book.append(1, 'y'), book.trim(1, 1)]);
    const range = { from: 0, to: 2, bytesMax: 10 };
    await t.throwsAsync(storage.readRecords(1, range), {
      instanceOf: RangeError,
      message: /first record is 1/,
    });
    await t.throwsAsync(storage.readRecords(2, range), { instanceOf: RangeError, message: /log 2/ });
    t.deepEqual((await storage.readRecords(1, { ...range, from: 1 })).map(utf8Text), ['y']);
    storage.applyFiles([book.delete(1)]);
    await t.throwsAsync(storage.readRecords(1, { ...range, from: 1 }), { instanceOf: RangeError });
    await storage.close();
  });

  test(`${name}: a snapshot comes back with the entries behind it, and the records up to it`, async (t) => {
    const disk = await make(t);
    const storage = await disk.open();
    const watch = new DurableWatch(storage);
    const book = new LogBook();
    await watch.reach(
      storage.write({ hardState: { term: 1, votedFor: 'n1', commitIndex: 0 }, entries: entries(1, 6) }),
    );
    const before = storage.logBytes;
    storage.applyFiles([book.create(1, 'a'), book.append(1, 'x'), book.append(1, 'y'), book.trim(1, 1)]);
    const snapshot = book.snapshot(4);
    t.true(await storage.saveSnapshot(snapshot));
    t.true(storage.logBytes < before);
    t.is(storage.counters.snapshots, 1);
    await storage.close();
    const again = await disk.open();
    t.deepEqual(again.recovered.snapshot, snapshot);
    t.deepEqual(again.recovered.entries, [entry(5)]);
    t.deepEqual(again.recovered.hardState, { term: 1, votedFor: 'n1', commitIndex: 0 });
    t.deepEqual(
      await again.readRecords(1, { from: 1, to: 2, bytesMax: 10 }),
      [utf8('y')].map((bytes) => bytes),
    );
    await again.close();
  });

  test(`${name}: stage takes another server's records ahead, and what is applied later passes over them`, async (t) => {
    const disk = await make(t);
    const storage = await disk.open();
    const book = new LogBook();
    storage.applyFiles([book.create(1, 'a'), book.append(1, 'x')]);
    storage.stage([{ type: 'record', id: 1, data: utf8('y') }]);
    t.is(storage.fileState(1)?.count, 2);
    storage.applyFiles([book.append(1, 'y'), book.append(1, 'z')]);
    t.deepEqual(storage.fileState(1), { ...omitGuard(book, 1), start: 0 });
    // A log that differs is begun anew, wherever the other's begins.
    const place = await storage.recordsBefore(1, 2);
    storage.stage([{ type: 'begin', id: 1, name: 'a', start: 2, ...place }]);
    t.is(storage.fileState(1)?.count, 2);
    storage.stage([{ type: 'record', id: 1, data: utf8('z') }]);
    storage.stage([{ type: 'begin', id: 2, name: 'b', start: 0, bytes: 0, chain: 0 }]);
    const begun = book.create(2, 'b');
    storage.applyFiles([begun]);
    t.is(storage.fileStates().length, 2);
    t.deepEqual((await storage.readRecords(1, { from: 2, to: 9, bytesMax: 9 })).map(utf8Text), ['z']);
    book.trim(1, 2);
    t.true(await storage.saveSnapshot(book.snapshot(40, 7)));
    await storage.close();
    const again = await disk.open();
    t.is(again.recovered.snapshot?.index, 40);
    t.deepEqual((await again.readRecords(1, { from: 2, to: 9, bytesMax: 9 })).map(utf8Text), ['z']);
    await again.close();
  });

  test(`${name}: records applied after the snapshot are gone after a restart and can be applied again`, async (t) => {
    const disk = await make(t);
    const storage = await disk.open();
    const book = new LogBook();
    storage.applyFiles([book.create(1, 'a'), book.append(1, 'x'), book.create(2, 'b'), book.append(2, 'q')]);
    await storage.saveSnapshot(await written(storage, book));
    const later = [
      ...[book.append(1, 'y'), book.append(1, 'z'), book.trim(1, 1), book.delete(2)],
      ...[book.create(3, 'b'), book.append(3, 'new')],
    ];
    storage.applyFiles(later);
    await storage.close();
    const again = await disk.open();
    const all = { from: 0, to: 100, bytesMax: 100 };
    t.deepEqual((await again.readRecords(1, all)).map(utf8Text), ['x']);
    t.deepEqual((await again.readRecords(2, all)).map(utf8Text), ['q']);
    await t.throwsAsync(again.readRecords(3, all), { instanceOf: RangeError });
    again.applyFiles(later);
    t.deepEqual((await again.readRecords(1, { ...all, from: 1 })).map(utf8Text), ['y', 'z']);
    t.deepEqual((await again.readRecords(3, all)).map(utf8Text), ['new']);
    await again.close();
  });

  test(`${name}: a snapshot that the log does not reach replaces the log`, async (t) => {
    const disk = await make(t);
    const storage = await disk.open();
    const book = new LogBook();
    const watch = new DurableWatch(storage);
    await watch.reach(storage.write({ entries: entries(1, 4) }));
    const saved = storage.saveSnapshot(book.snapshot(100, 7));
    const next = storage.write({ entries: [entry(101, 'behind', 7)] });
    t.true(await saved);
    await watch.reach(next);
    t.deepEqual(watch.last, { write: 2, index: 101, term: 7 });
    await storage.close();
    const again = await disk.open();
    t.is(again.recovered.snapshot?.index, 100);
    t.deepEqual(again.recovered.entries, [entry(101, 'behind', 7)]);
    await again.close();
  });

  test(`${name}: a snapshot with another term than the log's entry replaces the log`, async (t) => {
    const disk = await make(t);
    const storage = await disk.open();
    const book = new LogBook();
    storage.write({ entries: entries(1, 9) });
    t.true(await storage.saveSnapshot(book.snapshot(4, 2)));
    await storage.close();
    const again = await disk.open();
    t.is(again.recovered.snapshot?.term, 2);
    t.deepEqual(again.recovered.entries, []);
    const watch = new DurableWatch(again);
    await watch.reach(again.write({ entries: [entry(5, 'x', 2)] }));
    t.deepEqual(watch.last, { write: 1, index: 5, term: 2 });
    await again.close();
    const third = await disk.open();
    t.deepEqual(third.recovered.entries, [entry(5, 'x', 2)]);
    await third.close();
  });
}
