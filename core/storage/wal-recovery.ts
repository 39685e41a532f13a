/**
 * Reads the write-ahead log at start and says what it holds. Changes nothing: what has to be cut or removed is part of
 * the answer, and is done by the caller once everything else was found sound.
 *
 * The rules (what is a torn tail, what is damage) are at the top of wal-format.ts.
 */

import type { HardState, LogEntry } from '../raft/types.ts';
import { type FileSystem, readWhole, TEMPORARY_SUFFIX } from './file-system.ts';
import { DamageError } from './interface.ts';
import {
  decodeRecord,
  decodeSegmentHeader,
  findRecord,
  type Place,
  type SegmentHeader,
  segmentName,
  segmentNumber,
  WAL_DIRECTORY,
  type WalRecord,
} from './wal-format.ts';

/** A segment that stays. */
export interface SegmentState {
  readonly number: number;
  /** Of its valid part. */
  size: number;
  /** The highest index of the log's present entries that it holds or that stood before it; what a snapshot must reach. */
  lastIndex: number;
}

export interface RecoveredLog {
  readonly hardState: HardState;
  /** Entries after the snapshot. */
  readonly entries: readonly LogEntry[];
  /** Bytes of the log that these entries stand in, by entry. */
  readonly segments: SegmentState[];
  readonly header: SegmentHeader;
  readonly sealed: boolean;
  readonly cutBytes: number;
  /** True if the log ends before the snapshot or beside it: it begins anew after the snapshot, in a new segment. */
  readonly restart: boolean;
  /** Leftovers to remove. */
  readonly leftovers: readonly string[];
}

export interface SnapshotPosition {
  readonly index: number;
  readonly term: number;
  /** The segment that was being written when the snapshot was taken: that one and what follows must be there. */
  readonly segment: number;
}

/** What the entries amount to while the records are read one after the other. */
class LogView {
  entries: LogEntry[] = [];
  baseIndex: number;
  baseTerm: number;

  constructor(baseIndex: number, baseTerm: number) {
    this.baseIndex = baseIndex;
    this.baseTerm = baseTerm;
  }

  get lastIndex(): number {
    return this.baseIndex + this.entries.length;
  }

  /** The term of the entry at `index`, or null if the view does not reach it. */
  term(index: number): number | null {
    if (index === this.baseIndex) return this.baseTerm;
    return this.entries[index - this.baseIndex - 1]?.term ?? null;
  }

  /** True if the entry follows on what is there; it replaces what stands at its index and above. */
  put(entry: LogEntry): boolean {
    if (entry.index <= this.baseIndex || entry.index > this.lastIndex + 1) return false;
    this.entries.length = entry.index - this.baseIndex - 1;
    this.entries.push(entry);
    return true;
  }
}

interface ParsedSegment {
  readonly header: SegmentHeader;
  readonly records: { readonly record: WalRecord; readonly offset: number }[];
  /** Where the valid part ends. */
  readonly end: number;
  readonly size: number;
}

function segmentPath(number: number): string {
  return `${WAL_DIRECTORY}/${segmentName(number)}`;
}

function parseSegment(path: string, bytes: Uint8Array): ParsedSegment {
  const head = decodeSegmentHeader(bytes);
  if (!head.ok) throw new DamageError(head.problem, path, 0);
  const { header } = head;
  const records: { record: WalRecord; offset: number }[] = [];
  let at = head.size;
  try {
    for (;;) {
      const next = decodeRecord(header, bytes, at);
      if (next === null) break;
      records.push({ record: next.record, offset: at });
      at = next.end;
    }
    if (at < bytes.length) {
      const behind = findRecord(header, bytes, at + 1);
      if (behind !== null) {
        throw new DamageError(`an invalid record, with a valid one behind it at offset ${behind}`, path, at);
      }
    }
  } catch (error) {
    if (error instanceof DamageError) throw error;
    throw new DamageError((error as Error).message, path, at);
  }
  return { header, records, end: at, size: bytes.length };
}

/**
 * The numbers of the segments up to the newest without a gap, and the leftovers: segments that were never finished, and
 * those before a gap, which a snapshot covers if it covers the gap (that it does is checked when the entries are known).
 */
async function listSegments(fileSystem: FileSystem): Promise<{ numbers: number[]; leftovers: string[] }> {
  const numbers: number[] = [];
  const leftovers: string[] = [];
  for (const name of await fileSystem.list(WAL_DIRECTORY)) {
    const number = segmentNumber(name);
    if (number !== null) numbers.push(number);
    else if (name.endsWith(TEMPORARY_SUFFIX)) leftovers.push(`${WAL_DIRECTORY}/${name}`);
  }
  let first = numbers.length - 1;
  while (first > 0 && numbers[first - 1] === (numbers[first] as number) - 1) first -= 1;
  for (const number of numbers.splice(0, Math.max(0, first))) leftovers.push(segmentPath(number));
  return { numbers, leftovers };
}

/** Throws unless `parsed` may stand where it stands: identity, number, and the size that its successor recorded. */
function checkSegment(
  parsed: ParsedSegment,
  expected: {
    readonly path: string;
    readonly number: number;
    readonly storageId: string;
    readonly previous: ParsedSegment | null;
  },
): void {
  const { header } = parsed;
  const { path, previous } = expected;
  if (header.storageId !== expected.storageId) {
    throw new DamageError(
      `it belongs to storage ${header.storageId}, the directory to ${expected.storageId}`,
      path,
      0,
    );
  }
  if (header.number !== expected.number) {
    throw new DamageError(`it is segment ${header.number} under another's name`, path, 0);
  }
  if (previous !== null) {
    const before = segmentPath(expected.number - 1);
    if (previous.end !== previous.size) {
      throw new DamageError('an invalid record, with another segment behind it', before, previous.end);
    }
    if (previous.size !== header.previousSize) {
      throw new DamageError(
        `it is ${previous.size} bytes long and was ${header.previousSize} when segment ${header.number} was begun`,
        before,
        Math.min(previous.size, header.previousSize),
      );
    }
  }
}

/** Brings `view` to where the segment's header says that the log was when the segment was begun. */
function enterSegment(
  view: LogView,
  header: SegmentHeader,
  options: { readonly snapshot: SnapshotPosition | null; readonly path: string },
): LogView {
  if (view.lastIndex === header.lastIndex && view.term(header.lastIndex) === header.lastTerm) return view;
  if (options.snapshot !== null && options.snapshot.index >= header.lastIndex) {
    return new LogView(header.lastIndex, header.lastTerm);
  }
  throw new DamageError(
    `it begins after entry ${header.lastIndex} of term ${header.lastTerm}, but the log before it ends with entry ${view.lastIndex} of term ${view.term(view.lastIndex)}`,
    options.path,
    0,
  );
}

function putEntries(
  view: LogView,
  entries: readonly LogEntry[],
  place: { readonly path: string; readonly offset: number },
): void {
  for (const entry of entries) {
    if (!view.put(entry)) {
      throw new DamageError(
        `entry ${entry.index} does not follow on entry ${view.lastIndex}`,
        place.path,
        place.offset,
      );
    }
  }
}

/** Reads all segments. Throws a DamageError that names segment and offset; changes nothing. */
export async function recoverLog(
  fileSystem: FileSystem,
  options: { readonly storageId: string; readonly snapshot: SnapshotPosition | null },
): Promise<RecoveredLog> {
  const { storageId, snapshot } = options;
  const { numbers, leftovers } = await listSegments(fileSystem);
  const last = numbers.at(-1) ?? 0;
  const needed = snapshot?.segment ?? 1;
  if (last < needed) throw new DamageError('the segment is missing', segmentPath(needed), 0);

  let view: LogView | null = null;
  let hardState: HardState = { term: 0, votedFor: null, commitIndex: 0 };
  let previous: ParsedSegment | null = null;
  let proved: Place = { segment: 0, offset: 0 };
  const segments: SegmentState[] = [];
  for (const number of numbers) {
    const path = segmentPath(number);
    const parsed = parseSegment(path, await readWhole(fileSystem, path));
    checkSegment(parsed, { path, number, storageId, previous });
    const { header } = parsed;
    view =
      view === null
        ? new LogView(header.lastIndex, header.lastTerm)
        : enterSegment(view, header, { snapshot, path });
    hardState = header.hardState;
    const state: SegmentState = { number, size: parsed.end, lastIndex: view.lastIndex };
    for (const { record, offset } of parsed.records) {
      if (isAfter(record.proved, proved)) proved = record.proved;
      if (record.type === 'seal') continue;
      if (record.hardState !== null) hardState = record.hardState;
      putEntries(view, record.entries, { path, offset });
      const first = record.entries[0];
      if (first !== undefined) for (const before of segments) lower(before, first.index - 1);
    }
    state.lastIndex = view.lastIndex;
    segments.push(state);
    previous = parsed;
  }
  if (view === null || previous === null) throw new DamageError('the segment is missing', segmentPath(1), 0);
  const path = segmentPath(last);
  if (proved.segment === last && previous.end < proved.offset) {
    throw new DamageError(
      `it was proved durable up to offset ${proved.offset}, and is invalid before`,
      path,
      previous.end,
    );
  }
  const reach = afterSnapshot(view, { snapshot, first: numbers[0] ?? 1 });
  return {
    hardState,
    entries: reach.entries,
    segments,
    header: previous.header,
    sealed: previous.records.at(-1)?.record.type === 'seal' && previous.end === previous.size,
    cutBytes: previous.size - previous.end,
    restart: reach.restart,
    leftovers,
  };
}

function isAfter(one: Place, other: Place): boolean {
  return one.segment > other.segment || (one.segment === other.segment && one.offset > other.offset);
}

function lower(segment: SegmentState, index: number): void {
  segment.lastIndex = Math.min(segment.lastIndex, index);
}

/** The entries that the snapshot does not cover. */
function afterSnapshot(
  view: LogView,
  options: { readonly snapshot: SnapshotPosition | null; readonly first: number },
): { readonly entries: readonly LogEntry[]; readonly restart: boolean } {
  const index = options.snapshot?.index ?? 0;
  const term = options.snapshot?.term ?? 0;
  if (view.baseIndex > index) {
    throw new DamageError(
      `it is missing: the log that is left begins after entry ${view.baseIndex}, and the snapshot reaches only to entry ${index}`,
      segmentPath(options.first - 1),
      0,
    );
  }
  if (view.term(index) !== term) return { entries: [], restart: true };
  return { entries: view.entries.slice(index - view.baseIndex), restart: false };
}
