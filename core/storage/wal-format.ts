/**
 * The write-ahead log's format. All numbers little-endian.
 *
 *   wal/<number, 16 digits>.wal, numbers growing by one:
 *     header  magic "brmblwal" | body size u32 | CRC-32C of the body u32 | body
 *             body: version u16 | storage id 16 | segment number u64 | salt 16 | marker 8 | log's last index u64 and its
 *             term u64 | size of the segment before u64 | term u64 | vote (optional text)
 *     record  marker 8 | payload size u32 | CRC-32C u32 | payload
 *             payload: type u8 (1 batch, 2 seal) | segment u64 and offset u64 known durable when this was written |
 *             hard state (optional: term varint, vote optional text) | entries (list: index, term, type, data)
 *
 * A record is one batch: one write and one fdatasync, and the next begins only after that came back. Its checksum covers
 * the segment's salt and number, its own offset and its size before its payload; the marker is the segment's own random
 * bytes. So bytes of another segment, of another place, or sent by a client never pass for a record, and a record is found
 * behind damage by looking for the marker.
 *
 * A segment is made under a temporary name, synced, renamed, and the directory synced before anything is written to it:
 * under its own name its header is always whole.
 *
 * Every state that a crash can leave:
 *   - a temporary segment: removed;
 *   - an empty segment (its header only): the log goes on there;
 *   - a last segment whose end is not a valid record: the batch that was being written. Whatever it holds (part of the
 *     batch in any pattern of pages, zeros, garbage) is cut, unless a valid record follows: batches are written one after
 *     another, so the invalid one had been durable, and that is damage. A *final* batch that was durable and has been
 *     flipped or lost cannot be told from one that was torn, and is cut; after a seal (a clean stop) it can, because the
 *     seal follows it;
 *   - a partial batch that met a full disk and was not yet truncated: the same as a torn one;
 *   - segments that a snapshot covers and that were about to be removed: removed by the next snapshot. They go oldest
 *     first, so the numbers stay without gaps;
 *   - a snapshot beyond the end of the log, or with another term there (one received from a leader), before the log's new
 *     start was written: the whole log is covered by the snapshot and is passed over.
 * Anything else is damage: an invalid record or header in a segment that another follows, a segment that is missing, of
 * another storage id, shorter or longer than the next one's header says, or a gap between entries.
 */

import { assert } from '../base/assert.ts';
import { decode, equalBytes, hex, Reader, unhex, utf8, Writer } from '../base/bytes.ts';
import { crc32c } from '../base/crc32c.ts';
import type { EntryType, HardState, LogEntry } from '../raft/types.ts';

export const WAL_DIRECTORY = 'wal';
const MAGIC = utf8('brmblwal');
const VERSION = 1;
const MARKER_BYTES = 8;
export const SALT_BYTES = 16;
/** Before the payload: marker, size, checksum. */
export const RECORD_PREFIX_BYTES = MARKER_BYTES + 8;
const HEADER_PREFIX_BYTES = MAGIC.length + 8;
const HEADER_BODY_BYTES_MAX = 1_024;
/** A node and a storage id, generously. */
const VOTE_BYTES_MAX = 256;
/** Type, the proved place, two empty parts. */
const PAYLOAD_BYTES_MIN = 1 + 16 + 2;
const ENTRIES_PER_RECORD_MAX = 0x1000_0000;

const ENTRY_TYPES: readonly EntryType[] = ['no-op', 'command', 'configuration'];

export function segmentName(number: number): string {
  return `${String(number).padStart(16, '0')}.wal`;
}

/** The number in a segment's name, or null if it is none. */
export function segmentNumber(name: string): number | null {
  const match = /^([0-9]{16})\.wal$/.exec(name);
  return match === null ? null : Number(match[1]);
}

export interface SegmentHeader {
  readonly storageId: string;
  readonly number: number;
  readonly salt: Uint8Array;
  readonly marker: Uint8Array;
  /** The log's last entry when the segment was begun; what the log held otherwise is void. */
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** The size of the segment before, all of it durable; 0 for the first one. */
  readonly previousSize: number;
  readonly hardState: HardState;
}

/** A place up to which everything is durable. */
export interface Place {
  readonly segment: number;
  readonly offset: number;
}

export type WalRecord =
  | {
      readonly type: 'batch';
      readonly proved: Place;
      readonly hardState: HardState | null;
      readonly entries: readonly LogEntry[];
    }
  | { readonly type: 'seal'; readonly proved: Place };

function writeHardState(writer: Writer, state: HardState): void {
  writer.varint(state.term).optional(state.votedFor, (vote) => writer.text(vote));
  writer.varint(state.commitIndex);
}

function readHardState(reader: Reader): HardState {
  return {
    term: reader.varint(),
    votedFor: reader.optional(() => reader.text(VOTE_BYTES_MAX)),
    commitIndex: reader.varint(),
  };
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const storageId = unhex(header.storageId);
  assert(storageId !== null && storageId.length === 16, `storage id "${header.storageId}"`);
  assert(header.salt.length === SALT_BYTES, `salt of ${header.salt.length} bytes`);
  assert(header.marker.length === MARKER_BYTES, `marker of ${header.marker.length} bytes`);
  const body = new Writer()
    .u16(VERSION)
    .raw(storageId)
    .u64(header.number)
    .raw(header.salt)
    .raw(header.marker)
    .u64(header.lastIndex)
    .u64(header.lastTerm)
    .u64(header.previousSize);
  writeHardState(body, header.hardState);
  const bytes = body.finish();
  return new Writer().raw(MAGIC).u32(bytes.length).u32(crc32c(bytes)).raw(bytes).finish();
}

/** The header at the beginning of a segment's bytes and its size, or what is wrong with it. */
export function decodeSegmentHeader(
  bytes: Uint8Array,
):
  | { readonly ok: true; readonly header: SegmentHeader; readonly size: number }
  | { readonly ok: false; readonly problem: string } {
  if (bytes.length < HEADER_PREFIX_BYTES) return { ok: false, problem: 'the header is cut off' };
  const prefix = new Reader(bytes.subarray(0, HEADER_PREFIX_BYTES));
  if (!equalBytes(prefix.raw(MAGIC.length), MAGIC)) return { ok: false, problem: 'not a log segment' };
  const size = prefix.u32();
  const checksum = prefix.u32();
  if (size > HEADER_BODY_BYTES_MAX || size > bytes.length - HEADER_PREFIX_BYTES) {
    return { ok: false, problem: 'the header is cut off' };
  }
  const body = bytes.subarray(HEADER_PREFIX_BYTES, HEADER_PREFIX_BYTES + size);
  if (crc32c(body) !== checksum) return { ok: false, problem: 'the header does not match its checksum' };
  const decoded = decode(body, (reader): SegmentHeader => {
    const version = reader.u16();
    if (version !== VERSION) reader.fail(`format version ${version} is not known to this program`);
    return {
      storageId: hex(reader.raw(16)),
      number: reader.u64(),
      salt: reader.raw(SALT_BYTES).slice(),
      marker: reader.raw(MARKER_BYTES).slice(),
      lastIndex: reader.u64(),
      lastTerm: reader.u64(),
      previousSize: reader.u64(),
      hardState: readHardState(reader),
    };
  });
  if (!decoded.ok) return { ok: false, problem: decoded.problem };
  return { ok: true, header: decoded.value, size: HEADER_PREFIX_BYTES + size };
}

function checksumOf(
  header: SegmentHeader,
  place: { readonly offset: number; readonly payload: Uint8Array },
): number {
  const prefix = new Writer(64)
    .raw(header.salt)
    .u64(header.number)
    .u64(place.offset)
    .u32(place.payload.length)
    .finish();
  return crc32c(place.payload, crc32c(prefix));
}

/** About how many bytes an entry takes in a record; never less than it does. */
export function entryBytes(entry: LogEntry): number {
  return entry.data.length + 24;
}

/** The bytes of a record that stands at `offset` of the segment with this header. */
export function encodeRecord(header: SegmentHeader, offset: number, record: WalRecord): Uint8Array {
  let size = 64 + VOTE_BYTES_MAX;
  if (record.type === 'batch') for (const entry of record.entries) size += entryBytes(entry);
  const payload = new Writer(size);
  payload
    .u8(record.type === 'batch' ? 1 : 2)
    .u64(record.proved.segment)
    .u64(record.proved.offset);
  payload.optional(record.type === 'batch' ? record.hardState : null, (state) =>
    writeHardState(payload, state),
  );
  payload.list(record.type === 'batch' ? record.entries : [], (entry) => {
    payload.varint(entry.index).varint(entry.term).u8(ENTRY_TYPES.indexOf(entry.type)).bytes(entry.data);
  });
  const bytes = payload.finish();
  const whole = new Uint8Array(RECORD_PREFIX_BYTES + bytes.length);
  const view = new DataView(whole.buffer);
  whole.set(header.marker, 0);
  view.setUint32(MARKER_BYTES, bytes.length, true);
  view.setUint32(MARKER_BYTES + 4, checksumOf(header, { offset, payload: bytes }), true);
  whole.set(bytes, RECORD_PREFIX_BYTES);
  return whole;
}

/**
 * The record at `offset` of a segment's bytes, or null if what is there does not match its checksum. Throws for one that
 * matches and still cannot be read, which only another version of this program can have written.
 */
export function decodeRecord(
  header: SegmentHeader,
  segment: Uint8Array,
  offset: number,
): { readonly record: WalRecord; readonly end: number } | null {
  if (segment.length - offset < RECORD_PREFIX_BYTES + PAYLOAD_BYTES_MIN) return null;
  const reader = new Reader(segment.subarray(offset, offset + RECORD_PREFIX_BYTES));
  if (!equalBytes(reader.raw(MARKER_BYTES), header.marker)) return null;
  const size = reader.u32();
  const checksum = reader.u32();
  const start = offset + RECORD_PREFIX_BYTES;
  if (size < PAYLOAD_BYTES_MIN || size > segment.length - start) return null;
  const payload = segment.subarray(start, start + size);
  if (checksumOf(header, { offset, payload }) !== checksum) return null;
  const decoded = decode(payload, readRecord);
  if (!decoded.ok) throw new Error(decoded.problem);
  return { record: decoded.value, end: start + size };
}

function readRecord(reader: Reader): WalRecord {
  const type = reader.u8();
  const proved = { segment: reader.u64(), offset: reader.u64() };
  const hardState = reader.optional(() => readHardState(reader));
  const entries = reader.list(ENTRIES_PER_RECORD_MAX, (): LogEntry => {
    const index = reader.varint();
    const term = reader.varint();
    const kind = ENTRY_TYPES[reader.u8()];
    if (kind === undefined) reader.fail('entry of an unknown type');
    // A copy, so that one small entry does not keep its whole segment in memory.
    return { index, term, type: kind, data: reader.bytes(0x7fff_ffff).slice() };
  });
  if (type === 1) return { type: 'batch', proved, hardState, entries };
  if (type !== 2) reader.fail(`record of unknown type ${type}`);
  return { type: 'seal', proved };
}

/** Where a valid record begins at or after `offset`, or null. The marker is random, so this is a plain search. */
export function findRecord(header: SegmentHeader, segment: Uint8Array, offset: number): number | null {
  const buffer = Buffer.from(segment.buffer, segment.byteOffset, segment.byteLength);
  for (let at = buffer.indexOf(header.marker, offset); at >= 0; at = buffer.indexOf(header.marker, at + 1)) {
    if (decodeRecord(header, segment, at) !== null) return at;
  }
  return null;
}
