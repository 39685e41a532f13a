/**
 * The segments of the write-ahead log as files: the one that is written, its successors, and the removal of old ones. What
 * goes into them and when is wal.ts's; the format is in wal-format.ts.
 *
 * Invariants: an append is done when its fdatasync came back, and only then does `size` move; a segment begins only when
 * everything in the one before is durable; segments go oldest first.
 */

import { assert } from '../base/assert.ts';
import type { Clock, Entropy } from '../base/ports.ts';
import type { HardState, LogEntry } from '../raft/types.ts';
import { type FileSystem, type OpenFile, writeAtomically } from './file-system.ts';
import type { StorageCounters } from './interface.ts';
import {
  encodeRecord,
  encodeSegmentHeader,
  type Place,
  SALT_BYTES,
  type SegmentHeader,
  segmentName,
  WAL_DIRECTORY,
} from './wal-format.ts';
import type { RecoveredLog, SegmentState } from './wal-recovery.ts';

/** Over which the recent p99 is taken: an idle server's lie further back. */
const RECENT_SYNCS = 256;
/** Upper bounds in milliseconds of the fdatasync histogram. */
export const SYNC_BUCKETS_MS = [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, Infinity];

/** An entry's place in the log. */
export interface Position {
  readonly index: number;
  readonly term: number;
}

/** A record but for the proved place, which the segments know. */
export type RecordBody =
  | {
      readonly type: 'batch';
      readonly hardState: HardState | null;
      readonly entries: readonly LogEntry[];
    }
  | { readonly type: 'seal' };

/** Makes a segment that is durable when this comes back. */
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

export class WalSegments {
  readonly #recentSyncs: number[] = [];
  #syncCount = 0;
  readonly #fileSystem: FileSystem;
  readonly #clock: Clock;
  readonly #entropy: Entropy;
  readonly #counters: StorageCounters;
  readonly #segments: SegmentState[];
  #header: SegmentHeader;
  #headerBytes: number;
  #file: OpenFile | null = null;
  #proved: Place;
  #sealed: boolean;
  #operationSince: number | null = null;

  constructor(options: {
    readonly fileSystem: FileSystem;
    readonly clock: Clock;
    readonly entropy: Entropy;
    readonly counters: StorageCounters;
    readonly log: RecoveredLog;
  }) {
    this.#fileSystem = options.fileSystem;
    this.#clock = options.clock;
    this.#entropy = options.entropy;
    this.#counters = options.counters;
    this.#segments = options.log.segments;
    this.#header = options.log.header;
    this.#headerBytes = encodeSegmentHeader(this.#header).length;
    this.#sealed = options.log.sealed;
    this.#proved = { segment: this.number, offset: this.size };
  }

  get #present(): SegmentState {
    const present = this.#segments.at(-1);
    assert(present !== undefined, 'a log has at least one segment');
    return present;
  }

  /** Of the segment that is written. */
  get number(): number {
    return this.#header.number;
  }

  /** Its durable size. */
  get size(): number {
    return this.#present.size;
  }

  /** True if it holds no record yet. */
  get isEmpty(): boolean {
    return this.size === this.#headerBytes;
  }

  /** True if the last record is the mark of a clean stop. */
  get isSealed(): boolean {
    return this.#sealed;
  }

  get syncP99Ms(): number {
    const sorted = [...this.#recentSyncs].sort((a, b) => a - b);
    return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 0;
  }

  get stalledMs(): number {
    return this.#operationSince === null ? 0 : Math.max(0, this.#clock.now() - this.#operationSince);
  }

  /** Appends a record and syncs it. When it throws, part of it may be on the disk, to be cut off by `cutBack`. */
  async append(body: RecordBody): Promise<void> {
    this.#file ??= await this.#fileSystem.open(`${WAL_DIRECTORY}/${segmentName(this.number)}`, 'write');
    const file = this.#file;
    const offset = this.size;
    const bytes = encodeRecord(this.#header, offset, { ...body, proved: this.#proved });
    await this.#timed(() => file.write(bytes, offset));
    this.#counters.writes += 1;
    this.#countSync(await this.#timed(() => file.sync()));
    this.#sealed = body.type === 'seal';
    this.#present.size = offset + bytes.length;
    this.#proved = { segment: this.number, offset: this.size };
  }

  #countSync(milliseconds: number): void {
    const counters = this.#counters;
    counters.syncs += 1;
    counters.syncMsMax = Math.max(counters.syncMsMax, milliseconds);
    this.#recentSyncs[this.#syncCount++ % RECENT_SYNCS] = milliseconds;
    const bucket = SYNC_BUCKETS_MS.findIndex((bound) => milliseconds <= bound);
    counters.syncBuckets[bucket] = (counters.syncBuckets[bucket] ?? 0) + 1;
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

  /** Cuts off what a failed append may have written. */
  async cutBack(): Promise<void> {
    if (this.#file !== null) await this.#file.truncate(this.size);
  }

  /** Begins the next segment, behind `last`. When it throws "no space", nothing has changed. */
  async begin(last: Position, hardState: HardState): Promise<void> {
    const number = this.number + 1;
    const shape = { storageId: this.#header.storageId, number, previousSize: this.size, hardState };
    let size = 0;
    let header = this.#header;
    await this.#timed(async () => {
      ({ header, size } = await createSegment(this.#fileSystem, this.#entropy, {
        ...{ ...shape, lastIndex: last.index, lastTerm: last.term },
      }));
    });
    const before = this.#file;
    this.#file = null;
    this.#header = header;
    this.#headerBytes = size;
    this.#sealed = false;
    this.#segments.push({ number, size, lastIndex: last.index });
    this.#proved = { segment: number, offset: size };
    await before?.close();
  }

  /** The log's entries from `lowest` on were replaced by ones up to `last` in the present segment. */
  note(lowest: number, last: number): void {
    this.coverTo(lowest - 1);
    this.#present.lastIndex = last;
  }

  /** No segment holds an entry above `index` any more. */
  coverTo(index: number): void {
    for (const segment of this.#segments) segment.lastIndex = Math.min(segment.lastIndex, index);
  }

  /** Removes segments that hold nothing above `index`. */
  async removeCovered(index: number): Promise<void> {
    let removed = 0;
    while (this.#segments.length > 1) {
      const oldest = this.#segments[0] as SegmentState;
      if (oldest.lastIndex > index) break;
      await this.#fileSystem.remove(`${WAL_DIRECTORY}/${segmentName(oldest.number)}`);
      this.#segments.shift();
      removed += 1;
    }
    if (removed > 0) await this.#fileSystem.syncDirectory(WAL_DIRECTORY);
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
  }
}
