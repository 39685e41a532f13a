// A storage without a disk, for tests of what stands above it. It stands the same contract suite as the real one.

import { assert, unreachable } from '#core/base/assert.ts';
import { hex } from '#core/base/bytes.ts';
import { crc32c } from '#core/base/crc32c.ts';
import { Prng } from '#core/base/prng.ts';
import type { HardState, LogEntry } from '#core/raft/types.ts';
import type { FileEffect } from '#core/state-machine/commands.ts';
import type {
  Durable,
  RecordsState,
  Recovered,
  Snapshot,
  SpaceState,
  Storage,
  StorageCounters,
  WriteNumber,
} from '#core/storage/interface.ts';

interface MemoryLog {
  readonly name: string;
  start: number;
  readonly records: Uint8Array[];
  /** Before each record, and behind the last: all bytes so far, and the chain value. */
  readonly places: { readonly bytes: number; readonly chain: number }[];
  begun: boolean;
  staged: number;
}

function newLog(name: string, begin: { start: number; bytes: number; chain: number } | null): MemoryLog {
  const start = begin?.start ?? 0;
  const places = new Array(start).fill({ bytes: 0, chain: 0 });
  places.push({ bytes: begin?.bytes ?? 0, chain: begin?.chain ?? 0 });
  const records = new Array(start).fill(new Uint8Array());
  return { name, start, records, places, begun: begin !== null, staged: start };
}

function addRecord(log: MemoryLog, data: Uint8Array): void {
  const { bytes, chain } = log.places.at(-1) as { bytes: number; chain: number };
  log.records.push(data);
  log.places.push({ bytes: bytes + data.length, chain: crc32c(data, chain) });
}

/** What survives the storage: a test keeps it and opens it again. */
export class MemoryDisk {
  storageId: string;
  fresh = true;
  sealed = false;
  hardState: HardState = { term: 0, votedFor: null, commitIndex: 0 };
  snapshot: Snapshot | null = null;
  entries: LogEntry[] = [];
  /** Records as the snapshot has them. */
  logs = new Map<number, MemoryLog>();

  constructor(seed = 1) {
    this.storageId = hex(new Prng(seed).bytes(16));
  }
}

function copyLogs(logs: ReadonlyMap<number, MemoryLog>): Map<number, MemoryLog> {
  return new Map(
    [...logs].map(([id, log]) => [id, { ...log, records: [...log.records], places: [...log.places] }]),
  );
}

/** Durable in the next turn of the loop, or, with `isHeld`, when `release` is called. */
export class MemoryStorage implements Storage {
  readonly recovered: Recovered;
  readonly counters: StorageCounters;
  /** A test sets these to what it wants the server to see. */
  space: SpaceState = 'ok';
  freeBytes = 1_000_000_000;
  stalledMs = 0;
  readonly syncP99Ms = 0;
  isHeld = false;
  readonly #disk: MemoryDisk;
  readonly #logs: Map<number, MemoryLog>;
  #queue: { change: Parameters<Storage['write']>[0]; durable: Durable; bytes: number }[] = [];
  #last: { index: number; term: number };
  #number: WriteNumber = 0;
  #isScheduled = false;
  #isClosed = false;
  #durableListener: (durable: Durable) => void = () => {};
  #fatalListener: (error: Error) => void = () => {};

  constructor(disk: MemoryDisk) {
    this.#disk = disk;
    this.recovered = {
      storageId: disk.storageId,
      fresh: disk.fresh,
      hardState: disk.hardState,
      snapshot: disk.snapshot,
      entries: [...disk.entries],
      sealed: disk.sealed,
      cutBytes: 0,
    };
    this.counters = {
      ...{ bytesWritten: 0, writes: 0, syncs: 0, snapshots: 0, noSpace: 0 },
      ...{ syncBuckets: new Array(12).fill(0), syncMsMax: 0 },
    };
    disk.fresh = false;
    disk.sealed = false;
    this.#logs = copyLogs(disk.logs);
    const last = disk.entries.at(-1) ?? disk.snapshot;
    this.#last = { index: last?.index ?? 0, term: last?.term ?? 0 };
  }

  write(change: { readonly hardState?: HardState; readonly entries?: readonly LogEntry[] }): WriteNumber {
    assert(!this.#isClosed, 'a write after close');
    this.#number += 1;
    let bytes = 32;
    for (const entry of change.entries ?? []) {
      assert(entry.index <= this.#last.index + 1, `entry ${entry.index} leaves a gap in the log`);
      this.#last = { index: entry.index, term: entry.term };
      bytes += entry.data.length;
    }
    this.#queue.push({ change, durable: { write: this.#number, ...this.#last }, bytes });
    this.#schedule();
    return this.#number;
  }

  #schedule(): void {
    if (this.#isScheduled || this.isHeld) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (!this.isHeld) this.#flush();
    });
  }

  #flush(): void {
    const last = this.#queue.at(-1);
    if (last === undefined) return;
    for (const { change, bytes } of this.#queue.splice(0)) {
      this.counters.bytesWritten += bytes;
      if (change.hardState !== undefined) this.#disk.hardState = change.hardState;
      for (const entry of change.entries ?? []) {
        const base = this.#disk.snapshot?.index ?? 0;
        this.#disk.entries.length = entry.index - base - 1;
        this.#disk.entries.push(entry);
      }
    }
    this.counters.writes += 1;
    this.counters.syncs += 1;
    this.#durableListener(last.durable);
  }

  release(): void {
    this.isHeld = false;
    this.#schedule();
  }

  /** The disk fails for good. */
  fail(error: Error): void {
    this.isHeld = true;
    this.#fatalListener(error);
  }

  onDurable(listener: (durable: Durable) => void): void {
    this.#durableListener = listener;
  }

  onFatal(listener: (error: Error) => void): void {
    this.#fatalListener = listener;
  }

  get unpersistedBytes(): number {
    return this.#queue.reduce((sum, item) => sum + item.bytes, 0);
  }

  get logBytes(): number {
    const queued = this.#queue.flatMap((item) => item.change.entries ?? []);
    return [...this.#disk.entries, ...queued].reduce((sum, entry) => sum + entry.data.length + 24, 0);
  }

  applyFiles(effects: readonly FileEffect[]): void {
    for (const effect of effects) {
      const log = this.#logs.get(effect.id);
      if (effect.type === 'create') {
        if (log?.begun === true) continue;
        assert(log === undefined, `log ${effect.id} is created twice`);
        this.#logs.set(effect.id, newLog(effect.name, null));
        continue;
      }
      assert(log !== undefined, `there is no log ${effect.id}`);
      if (effect.type === 'append') {
        if (effect.offset < log.staged) continue;
        assert(effect.offset === log.records.length, `append at ${effect.offset} of ${log.records.length}`);
        addRecord(log, effect.data);
      } else if (effect.type === 'trim') log.start = Math.max(log.start, effect.before);
      else if (effect.type === 'delete') this.#logs.delete(effect.id);
      else unreachable(effect);
    }
  }

  async readRecords(
    id: number,
    range: { readonly from: number; readonly to: number; readonly bytesMax: number },
  ): Promise<Uint8Array[]> {
    const log = this.#logs.get(id);
    if (log === undefined) throw new RangeError(`Cannot read log ${id}: there is none of that id`);
    if (range.from < log.start) {
      throw new RangeError(`Cannot read log ${id} from ${range.from}: its first record is ${log.start}`);
    }
    const records: Uint8Array[] = [];
    let bytes = 0;
    for (const record of log.records.slice(range.from, range.to)) {
      bytes += record.length;
      if (records.length > 0 && bytes > range.bytesMax) break;
      records.push(record);
    }
    return records;
  }

  async filesWritten(): Promise<void> {}

  fileStates(): readonly RecordsState[] {
    return [...this.#logs.keys()].map((id) => this.fileState(id) as RecordsState);
  }

  fileState(id: number): RecordsState | null {
    const log = this.#logs.get(id);
    if (log === undefined) return null;
    const { name, start, records, places } = log;
    return { id, name, start, count: records.length, ...(places.at(-1) as { bytes: number; chain: number }) };
  }

  async recordsBefore(id: number, ordinal: number): Promise<{ bytes: number; chain: number }> {
    const place = this.#logs.get(id)?.places[ordinal];
    if (place === undefined) throw new RangeError(`Cannot look before record ${ordinal} of log ${id}`);
    return place;
  }

  stage(effects: Parameters<Storage['stage']>[0]): void {
    for (const effect of effects) {
      if (effect.type === 'begin') {
        this.#logs.set(effect.id, newLog(effect.name, effect));
        continue;
      }
      const log = this.#logs.get(effect.id);
      assert(log !== undefined, `there is no log ${effect.id}`);
      addRecord(log, effect.data);
      log.staged = log.records.length;
    }
  }

  async saveSnapshot(snapshot: Snapshot): Promise<boolean> {
    const logs = copyLogs(this.#logs);
    const base = this.#disk.snapshot?.index ?? 0;
    assert(snapshot.index >= base, `a snapshot at ${snapshot.index} behind the present one`);
    this.#flush();
    const at = snapshot.index - base - 1;
    const term = at < 0 ? this.#disk.snapshot?.term : this.#disk.entries[at]?.term;
    if ((term ?? 0) === snapshot.term) this.#disk.entries.splice(0, at + 1);
    else {
      this.#disk.entries = [];
      this.#last = { index: snapshot.index, term: snapshot.term };
    }
    this.#disk.snapshot = snapshot;
    this.#disk.logs = logs;
    this.counters.snapshots += 1;
    return true;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    if (!this.isHeld) this.#flush();
    this.#isClosed = true;
    this.#disk.sealed = true;
  }
}
