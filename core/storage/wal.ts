/**
 * The writer of the write-ahead log: one queue, one batch at a time, one write and one fdatasync a batch (group commit).
 * The format and the states after a crash are in wal-format.ts.
 *
 * Invariants: batches go to the disk in the order of their writes, and the next begins only after the fdatasync of the one
 * before came back; a write is reported once, after its fdatasync; a batch that met a full disk is cut off, and written
 * again from memory when there is room; any other failure stops the log for good.
 */

import { assert } from '../base/assert.ts';
import { BATCH_BYTES_MAX } from '../base/limits.ts';
import type { Clock, Entropy } from '../base/ports.ts';
import type { HardState, LogEntry } from '../raft/types.ts';
import { type FileSystem, isNoSpace, type OpenFile, writeAtomically } from './file-system.ts';
import type { Durable, StorageCounters, WriteNumber } from './interface.ts';
import { ClosingError, type Space } from './space.ts';
import {
  encodeRecord,
  encodeSegmentHeader,
  entryBytes,
  type Place,
  RECORD_PREFIX_BYTES,
  SALT_BYTES,
  type SegmentHeader,
  segmentName,
  WAL_DIRECTORY,
  type WalRecord,
} from './wal-format.ts';
import type { RecoveredLog, SegmentState } from './wal-recovery.ts';

/** Upper bounds in milliseconds of the fdatasync histogram. */
/** Over which the recent p99 is taken: an idle server's lie further back. */
const RECENT_SYNCS = 256;
export const SYNC_BUCKETS_MS = [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, Infinity];

interface Change {
  readonly hardState?: HardState;
  readonly entries?: readonly LogEntry[];
}

interface QueuedWrite {
  readonly type: 'write';
  readonly change: Change;
  readonly bytes: number;
  readonly durable: Durable;
}

/** Something that must happen between two batches. It settles its own promise. */
interface QueuedTask {
  readonly type: 'task';
  readonly run: () => Promise<void>;
  readonly cancel: (error: Error) => void;
}

interface Position {
  readonly index: number;
  readonly term: number;
}

/** A fresh segment's header and its place in the file system. */
export async function createSegment(
  fileSystem: FileSystem,
  entropy: Entropy,
  header: Omit<SegmentHeader, 'salt' | 'marker'>,
): Promise<{ readonly header: SegmentHeader; readonly size: number }> {
  const whole = { ...header, salt: entropy.bytes(SALT_BYTES), marker: entropy.bytes(8) };
  const bytes = encodeSegmentHeader(whole);
  const name = segmentName(header.number);
  await writeAtomically(fileSystem, { directory: WAL_DIRECTORY, name }, (file) => file.write(bytes, 0));
  return { header: whole, size: bytes.length };
}

export class Wal {
  readonly #recentSyncs: number[] = [];
  #syncCount = 0;
  readonly #fileSystem: FileSystem;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #space: Space;
  readonly #counters: StorageCounters;
  readonly #segmentBytes: number;
  readonly #segments: SegmentState[];
  readonly #onDurable: (durable: Durable) => void;
  readonly #onFatal: (error: unknown) => void;
  #header: SegmentHeader;
  #file: OpenFile | null = null;
  /** Durable end of the segment that is written. */
  #offset: number;
  #proved: Place;
  #hardState: HardState;
  #queue: (QueuedWrite | QueuedTask)[] = [];
  #running: Promise<void> | null = null;
  #writeNumber: WriteNumber = 0;
  #unpersisted = 0;
  /** The log's end as queued, and as durable. */
  #last: Position;
  #durableLast: Position;
  /** Terms and sizes of the entries after the snapshot, queued ones too: position p is entry #start + p + 1. */
  #start: Position;
  #entries: { readonly term: number; readonly bytes: number }[] = [];
  #logBytes = 0;
  #operationSince: number | null = null;
  #restart: boolean;
  #sealed: boolean;
  #failed = false;

  constructor(options: {
    readonly fileSystem: FileSystem;
    readonly clock: Clock;
    readonly entropy: Entropy;
    readonly space: Space;
    readonly counters: StorageCounters;
    readonly segmentBytes: number;
    readonly log: RecoveredLog;
    readonly snapshot: Position;
    readonly onDurable: (durable: Durable) => void;
    readonly onFatal: (error: unknown) => void;
  }) {
    this.#fileSystem = options.fileSystem;
    this.#clock = options.clock;
    this.#entropy = options.entropy;
    this.#space = options.space;
    this.#counters = options.counters;
    this.#segmentBytes = options.segmentBytes;
    this.#onDurable = options.onDurable;
    this.#onFatal = options.onFatal;
    const { log, snapshot } = options;
    const present = log.segments.at(-1);
    assert(present !== undefined, 'a log has at least one segment');
    this.#segments = log.segments;
    this.#header = log.header;
    this.#offset = present.size;
    this.#proved = { segment: present.number, offset: present.size };
    this.#hardState = log.hardState;
    this.#restart = log.restart;
    this.#sealed = log.sealed;
    this.#start = snapshot;
    for (const entry of log.entries) this.#remember(entry);
    const last = log.entries.at(-1);
    this.#last = last === undefined ? snapshot : { index: last.index, term: last.term };
    this.#durableLast = this.#last;
  }

  get unpersistedBytes(): number {
    return this.#unpersisted;
  }

  get logBytes(): number {
    return this.#logBytes;
  }

  /** The segment that is written now. */
  get segment(): number {
    return this.#header.number;
  }

  /** The p99 of the last fdatasyncs; 0 without any. */
  get syncP99Ms(): number {
    const sorted = [...this.#recentSyncs].sort((a, b) => a - b);
    return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 0;
  }

  get stalledMs(): number {
    return this.#operationSince === null ? 0 : Math.max(0, this.#clock.now() - this.#operationSince);
  }

  #remember(entry: LogEntry): void {
    const position = entry.index - this.#start.index - 1;
    assert(position >= 0, `entry ${entry.index} stands in the snapshot at ${this.#start.index}`);
    assert(position <= this.#entries.length, `entry ${entry.index} leaves a gap in the log`);
    while (this.#entries.length > position) this.#logBytes -= this.#entries.pop()?.bytes ?? 0;
    const bytes = entryBytes(entry);
    this.#entries.push({ term: entry.term, bytes });
    this.#logBytes += bytes;
    this.#last = { index: entry.index, term: entry.term };
  }

  /** The term of an entry, queued ones too; null if the log does not have it. */
  termAt(index: number): number | null {
    if (index === this.#start.index) return this.#start.term;
    return this.#entries[index - this.#start.index - 1]?.term ?? null;
  }

  write(change: Change): WriteNumber {
    let bytes = RECORD_PREFIX_BYTES + 32;
    for (const entry of change.entries ?? []) {
      this.#remember(entry);
      bytes += entryBytes(entry);
    }
    this.#writeNumber += 1;
    this.#unpersisted += bytes;
    const durable = { write: this.#writeNumber, index: this.#last.index, term: this.#last.term };
    this.#enqueue({ type: 'write', change, bytes, durable });
    return this.#writeNumber;
  }

  /** Does `work` between two batches, after all writes that were queued before. Rejects with what `work` throws. */
  #task<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = () => work().then(resolve, reject);
      this.#enqueue({ type: 'task', run, cancel: reject });
    });
  }

  #enqueue(item: QueuedWrite | QueuedTask): void {
    if (this.#failed) {
      if (item.type === 'task') item.cancel(new Error('the disk has failed before'));
      return;
    }
    this.#queue.push(item);
    // In a microtask, so that everything that one turn of the loop writes shares the first sync too.
    this.#running ??= Promise.resolve().then(() => this.#run());
  }

  #fail(error: unknown): void {
    if (error instanceof ClosingError) return;
    this.stop();
    this.#onFatal(error);
  }

  /** The disk has failed elsewhere: nothing more is written or reported. */
  stop(): void {
    this.#failed = true;
    for (const item of this.#queue) {
      if (item.type === 'task') item.cancel(new Error('the disk has failed'));
    }
  }

  async #run(): Promise<void> {
    try {
      while (this.#queue.length > 0 && !this.#failed) await this.#next();
    } catch (error) {
      this.#fail(error);
    } finally {
      // In the same turn as the last look at the queue, so that no write comes in between.
      this.#running = null;
    }
  }

  /** The task at the queue's head, or as many writes as fit a batch. */
  async #next(): Promise<void> {
    const first = this.#queue[0] as QueuedWrite | QueuedTask;
    if (first.type === 'task') {
      this.#queue.shift();
      return first.run();
    }
    let count = 0;
    let bytes = 0;
    for (const item of this.#queue) {
      if (item.type === 'task' || (count > 0 && bytes + item.bytes > BATCH_BYTES_MAX)) break;
      count += 1;
      bytes += item.bytes;
    }
    await this.#commit(this.#queue.slice(0, count) as QueuedWrite[], bytes);
    if (this.#failed) return;
    this.#queue.splice(0, count);
    this.#unpersisted -= bytes;
    this.#onDurable({ write: first.durable.write + count - 1, ...this.#durableLast });
  }

  async #commit(batch: readonly QueuedWrite[], bytes: number): Promise<void> {
    let hardState: HardState | null = null;
    const entries: LogEntry[] = [];
    for (const { change } of batch) {
      if (change.hardState !== undefined) hardState = change.hardState;
      if (change.entries !== undefined) for (const entry of change.entries) entries.push(entry);
    }
    await this.#withRoom(bytes, async () => {
      // Asked anew at each try: the new segment may be there already, and only the batch not.
      const isFull = this.#offset > this.#segmentBytes - bytes && this.#offset > this.#headerBytes();
      if (this.#restart || isFull) await this.#nextSegment();
      await this.#append({ type: 'batch', proved: this.#proved, hardState, entries });
    });
    if (hardState !== null) this.#hardState = hardState;
    const last = batch.at(-1)?.durable;
    assert(last !== undefined, 'a batch holds at least one write');
    this.#durableLast = { index: last.index, term: last.term };
    const first = entries[0];
    const present = this.#segments.at(-1) as SegmentState;
    if (first !== undefined) {
      let lowest = first.index;
      for (const entry of entries) lowest = Math.min(lowest, entry.index);
      for (const segment of this.#segments) segment.lastIndex = Math.min(segment.lastIndex, lowest - 1);
      present.lastIndex = last.index;
    }
    this.#space.refresh();
  }

  #headerBytes(): number {
    return encodeSegmentHeader(this.#header).length;
  }

  /** Runs `work` until it did not meet a full disk: first from the ballast, then by waiting for room. */
  async #withRoom(bytes: number, work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await work();
        return;
      } catch (error) {
        if (!isNoSpace(error)) throw error;
        this.#counters.noSpace += 1;
        // What was written of the batch is cut off before anything else happens.
        if (this.#file !== null) await this.#file.truncate(this.#offset);
        if (!(await this.#space.makeRoom(bytes))) await this.#space.waitForRoom(bytes);
      }
    }
  }

  async #append(record: WalRecord): Promise<void> {
    this.#file ??= await this.#fileSystem.open(
      `${WAL_DIRECTORY}/${segmentName(this.#header.number)}`,
      'write',
    );
    const file = this.#file;
    const bytes = encodeRecord(this.#header, this.#offset, record);
    await this.#timed(() => file.write(bytes, this.#offset));
    this.#counters.writes += 1;
    const milliseconds = await this.#timed(() => file.sync());
    this.#counters.syncs += 1;
    this.#counters.syncMsMax = Math.max(this.#counters.syncMsMax, milliseconds);
    this.#recentSyncs[this.#syncCount++ % RECENT_SYNCS] = milliseconds;
    const bucket = SYNC_BUCKETS_MS.findIndex((bound) => milliseconds <= bound);
    this.#counters.syncBuckets[bucket] = (this.#counters.syncBuckets[bucket] ?? 0) + 1;
    this.#sealed = record.type === 'seal';
    this.#offset += bytes.length;
    (this.#segments.at(-1) as SegmentState).size = this.#offset;
    this.#proved = { segment: this.#header.number, offset: this.#offset };
  }

  async #timed(work: () => Promise<void>): Promise<number> {
    const since = this.#clock.now();
    this.#operationSince = since;
    try {
      await work();
    } finally {
      this.#operationSince = null;
    }
    return this.#clock.now() - since;
  }

  /** Begins a segment; everything before it is durable. May throw "no space", and nothing has changed then. */
  async #nextSegment(): Promise<void> {
    const number = this.#header.number + 1;
    let created: { readonly header: SegmentHeader; readonly size: number } | null = null;
    await this.#timed(async () => {
      created = await createSegment(this.#fileSystem, this.#entropy, {
        storageId: this.#header.storageId,
        number,
        lastIndex: this.#durableLast.index,
        lastTerm: this.#durableLast.term,
        previousSize: this.#offset,
        hardState: this.#hardState,
      });
    });
    const { header, size } = created as unknown as { header: SegmentHeader; size: number };
    const before = this.#file;
    this.#file = null;
    this.#header = header;
    this.#offset = size;
    this.#restart = false;
    this.#sealed = false;
    this.#proved = { segment: number, offset: size };
    this.#segments.push({ number, size, lastIndex: this.#durableLast.index });
    await before?.close();
  }

  /** Begins a new segment unless the present one is empty, so that a snapshot can let the old ones go. False: no room. */
  rotate(): Promise<boolean> {
    return this.#task(async () => {
      if (this.#offset === this.#headerBytes()) return true;
      for (;;) {
        try {
          await this.#nextSegment();
          return true;
        } catch (error) {
          if (!isNoSpace(error)) this.#fail(error);
          if (!isNoSpace(error)) throw error;
          this.#counters.noSpace += 1;
          if (!(await this.#space.makeRoom(0))) return false;
        }
      }
    });
  }

  /**
   * The log does not reach the snapshot at `position` or has another term there: it begins anew behind it. Writes that are
   * queued from now on wait until `durable` says that the snapshot is.
   */
  restartAfter(position: Position, durable: Promise<void>): Promise<void> {
    this.#start = position;
    this.#entries = [];
    this.#logBytes = 0;
    this.#last = position;
    return this.#task(async () => {
      await durable;
      this.#durableLast = position;
      await this.#withRoom(0, () => this.#nextSegment());
      for (const segment of this.#segments) segment.lastIndex = Math.min(segment.lastIndex, position.index);
    });
  }

  /** A durable snapshot covers the log up to `position`, which the log has: forget those entries. */
  forget(position: Position): void {
    const count = position.index - this.#start.index;
    assert(this.termAt(position.index) === position.term, `the log has another term at ${position.index}`);
    for (const entry of this.#entries.splice(0, count)) this.#logBytes -= entry.bytes;
    this.#start = position;
  }

  /** Removes segments that hold nothing above `index`, the oldest first. */
  async removeCovered(index: number): Promise<void> {
    let removed = 0;
    while (this.#segments.length > 1) {
      const oldest = this.#segments[0] as SegmentState;
      if (oldest.number === this.#header.number || oldest.lastIndex > index) break;
      await this.#fileSystem.remove(`${WAL_DIRECTORY}/${segmentName(oldest.number)}`);
      this.#segments.shift();
      removed += 1;
    }
    if (removed > 0) await this.#fileSystem.syncDirectory(WAL_DIRECTORY);
  }

  /** Writes out what is queued and, if `seal`, the mark of a clean stop. Nothing may be written after. */
  async close(options: { readonly seal: boolean }): Promise<void> {
    while (this.#running !== null) await this.#running;
    try {
      if (options.seal && !this.#sealed && !this.#failed && this.#queue.length === 0) {
        for (;;) {
          try {
            if (this.#restart) await this.#nextSegment();
            await this.#append({ type: 'seal', proved: this.#proved });
            break;
          } catch (error) {
            if (!isNoSpace(error)) throw error;
            await this.#file?.truncate(this.#offset);
            // Without the mark the next start merely knows less.
            if (!(await this.#space.makeRoom(0))) break;
          }
        }
      }
    } finally {
      await this.#file?.close();
      this.#file = null;
    }
  }
}
