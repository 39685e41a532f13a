/**
 * One log as the storage keeps it: what was applied, how much of that is in its files, and the records between, which are
 * served from memory until they are written.
 *
 * Invariants: pending holds exactly the records [written, count), in order; start is never below the files' base.
 */

import { assert } from '../base/assert.ts';
import { crc32c } from '../base/crc32c.ts';
import { FILE_CHUNK_BYTES } from '../base/limits.ts';
import type { FileEffect, LogInfo } from '../state-machine/commands.ts';
import type { HandleCache } from './handle-cache.ts';
import { type PendingRecord, type RecordFile, readRecordRange } from './record-file.ts';

export interface Log {
  readonly id: number;
  readonly name: string;
  file: RecordFile;
  /** The first record that is kept; the files may still hold some before it. */
  start: number;
  count: number;
  bytes: number;
  chain: number;
  /** Records that are in the files. */
  written: number;
  pending: PendingRecord[];
  deleted: boolean;
  /** Made by a snapshot that is on its way, before the state machine knows of it. */
  readonly begun: boolean;
  /** Records below it came with such a snapshot; 0: none. */
  staged: number;
}

export function emptyLog(id: number, name: string): Log {
  const shape = { id, generation: 1, base: 0, byteBase: 0, chainBase: 0 };
  return {
    ...{ id, name, file: { ...shape, unsynced: true, readers: 0 }, start: 0, count: 0, bytes: 0, chain: 0 },
    ...{ written: 0, pending: [], deleted: false, begun: false, staged: 0 },
  };
}

export function recoveredLog(info: LogInfo, file: RecordFile): Log {
  const { id, name, start, count, bytes, chain } = info;
  return {
    ...{ id, name, file, start, count, bytes, chain },
    ...{ written: count, pending: [], deleted: false, begun: false, staged: 0 },
  };
}

/** Adds a record in memory. */
export function appendRecord(log: Log, effect: Extract<FileEffect, { type: 'append' }>): void {
  assert(effect.offset === log.count, `append at ${effect.offset} to log ${log.id} of ${log.count}`);
  const chain = crc32c(effect.data, log.chain);
  assert(chain === effect.chain, `record ${effect.offset} of log ${log.id} has another chain value`);
  log.count += 1;
  log.bytes += effect.data.length;
  log.chain = chain;
  log.pending.push({ data: effect.data, end: log.bytes, chain });
}

/** The next records to write: at most FILE_CHUNK_BYTES, or one record. */
export function nextBatch(log: Log): { readonly batch: readonly PendingRecord[]; readonly bytes: number } {
  const batch: PendingRecord[] = [];
  let bytes = 0;
  for (const record of log.pending) {
    if (batch.length > 0 && bytes + record.data.length > FILE_CHUNK_BYTES) break;
    batch.push(record);
    bytes += record.data.length;
  }
  return { batch, bytes };
}

/** Records [from, to), from the files and from memory, as Storage.readRecords promises. */
export async function readLog(
  handles: HandleCache,
  log: Log,
  range: { readonly from: number; readonly to: number; readonly bytesMax: number },
): Promise<Uint8Array[]> {
  const { from, bytesMax } = range;
  if (from < log.start) {
    throw new RangeError(`Cannot read log ${log.id} from ${from}: its first record is ${log.start}`);
  }
  const to = Math.min(range.to, log.count);
  if (from >= to) return [];
  // Everything that may change while the disk is read is taken now.
  const { file, written } = log;
  const late = fitting(log.pending.slice(Math.max(0, from - written), Math.max(0, to - written)), bytesMax);
  if (from >= written) return late;
  const high = Math.min(to, written);
  file.readers += 1;
  let records: Uint8Array[];
  try {
    records = await readRecordRange(handles, file, { from, to: high, bytesMax });
  } finally {
    file.readers -= 1;
  }
  if (records.length < high - from) return records;
  let bytes = 0;
  for (const record of records) bytes += record.length;
  for (const record of late) {
    bytes += record.length;
    if (bytes > bytesMax) break;
    records.push(record);
  }
  return records;
}

function fitting(pending: readonly PendingRecord[], bytesMax: number): Uint8Array[] {
  const records: Uint8Array[] = [];
  let bytes = 0;
  for (const { data } of pending) {
    bytes += data.length;
    if (records.length > 0 && bytes > bytesMax) break;
    records.push(data);
  }
  return records;
}
