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
import { type FileSystem, isNoSpace } from './file-system.ts';
import type { Durable, StorageCounters, WriteNumber } from './interface.ts';
import { ClosingError, type Space } from './space.ts';
import { entryBytes, RECORD_PREFIX_BYTES } from './wal-format.ts';
import type { RecoveredLog } from './wal-recovery.ts';
import { type Position, WalSegments } from './wal-segments.ts';

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

export class Wal {
  readonly #segments: WalSegments;
  readonly #space: Space;
  readonly #counters: StorageCounters;
  readonly #segmentBytes: number;
  readonly #onDurable: (durable: Durable) => void;
  readonly #onFatal: (error: unknown) => void;
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
  /** The next write begins a segment, because the log begins anew behind a snapshot. */
  #restart: boolean;
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
    this.#segments = new WalSegments(options);
    this.#space = options.space;
    this.#counters = options.counters;
    this.#segmentBytes = options.segmentBytes;
    this.#onDurable = options.onDurable;
    this.#onFatal = options.onFatal;
    const { log, snapshot } = options;
    this.#hardState = log.hardState;
    this.#restart = log.restart;
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
    return this.#segments.number;
  }

  /** The p99 of the last fdatasyncs; 0 without any. */
  get syncP99Ms(): number {
    return this.#segments.syncP99Ms;
  }

  get stalledMs(): number {
    return this.#segments.stalledMs;
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
      const isFull = !this.#segments.isEmpty && this.#segments.size + bytes > this.#segmentBytes;
      if (this.#restart || isFull) await this.#nextSegment();
      await this.#segments.append({ type: 'batch', hardState, entries });
    });
    if (hardState !== null) this.#hardState = hardState;
    const last = batch.at(-1)?.durable;
    assert(last !== undefined, 'a batch holds at least one write');
    this.#durableLast = { index: last.index, term: last.term };
    let lowest = Infinity;
    for (const entry of entries) lowest = Math.min(lowest, entry.index);
    if (entries.length > 0) this.#segments.note(lowest, last.index);
    this.#space.refresh();
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
        await this.#segments.cutBack();
        if (!(await this.#space.makeRoom(bytes))) await this.#space.waitForRoom(bytes);
      }
    }
  }

  async #nextSegment(): Promise<void> {
    await this.#segments.begin(this.#durableLast, this.#hardState);
    this.#restart = false;
  }

  /** Begins a new segment unless the present one is empty, so that a snapshot can let the old ones go. False: no room. */
  rotate(): Promise<boolean> {
    return this.#task(async () => {
      if (this.#segments.isEmpty) return true;
      for (;;) {
        try {
          await this.#nextSegment();
          return true;
        } catch (error) {
          if (!isNoSpace(error)) {
            this.#fail(error);
            throw error;
          }
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
      this.#segments.coverTo(position.index);
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
  removeCovered(index: number): Promise<void> {
    return this.#segments.removeCovered(index);
  }

  /** Writes out what is queued and, if `seal`, the mark of a clean stop. Nothing may be written after. */
  async close(options: { readonly seal: boolean }): Promise<void> {
    while (this.#running !== null) await this.#running;
    try {
      const isClean = !this.#failed && this.#queue.length === 0;
      if (options.seal && isClean && !this.#segments.isSealed) await this.#seal();
    } finally {
      await this.#segments.close();
    }
  }

  async #seal(): Promise<void> {
    for (;;) {
      try {
        if (this.#restart) await this.#nextSegment();
        return await this.#segments.append({ type: 'seal' });
      } catch (error) {
        if (!isNoSpace(error)) throw error;
        await this.#segments.cutBack();
        // Without the mark the next start merely knows less.
        if (!(await this.#space.makeRoom(0))) return;
      }
    }
  }
}
