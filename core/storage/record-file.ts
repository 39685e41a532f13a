/**
 * One generation of a log's files. All numbers little-endian.
 *
 *   store/<log id>-<generation>.data    the records' bytes, one after the other, and nothing else
 *   store/<log id>-<generation>.index   header, 64 bytes: magic "brmblidx" | version u32 | zero u32 | log id u64 |
 *                                       generation u64 | base (first record's ordinal) u64 | bytes before it u64 | chain
 *                                       before it u32 | CRC-32C of the header's bytes before u32 | zeros
 *                                       then for each record, 12 bytes: end (bytes of all records so far) u64 | chain u32
 *   files/<name>                        a hard link to the data file of the log's present generation
 *
 * `chain` is the CRC-32C over all records since the log was created. A trim begins a new generation.
 *
 * The files are written behind the log and synced only for a snapshot, whose manifest says which generation it means, how
 * many records it has, and their end and chain. What a crash leaves: up to the manifest everything is there and matches
 * (else it is damage); beyond, any state at all, which is cut off, because the log's entries are applied again; files of
 * generations and logs that no manifest names, which are removed. A name in files/ is put right from the manifest.
 */

import { assert } from '../base/assert.ts';
import { concatBytes, decode, equalBytes, utf8, Writer } from '../base/bytes.ts';
import { crc32c } from '../base/crc32c.ts';
import { FILE_CHUNK_BYTES } from '../base/limits.ts';
import { type FileSystem, isMissing } from './file-system.ts';
import type { HandleCache } from './handle-cache.ts';
import { DamageError } from './interface.ts';

export const STORE_DIRECTORY = 'store';
export const FILES_DIRECTORY = 'files';
const MAGIC = utf8('brmblidx');
const VERSION = 1;
const HEADER_BYTES = 64;
const HEADER_CHECKED_BYTES = 52;
const INDEX_ENTRY_BYTES = 12;
/** Index entries read at once. */
const INDEX_CHUNK = 4_096;

export interface RecordFile {
  readonly id: number;
  readonly generation: number;
  /** The first record's ordinal. */
  readonly base: number;
  /** Bytes of all records before it. */
  readonly byteBase: number;
  readonly chainBase: number;
  /** Written since its last sync. */
  unsynced: boolean;
  /** Reads under way: it is not removed before they are done. */
  readers: number;
}

export function dataPath(file: { readonly id: number; readonly generation: number }): string {
  return `${STORE_DIRECTORY}/${file.id}-${file.generation}.data`;
}

export function indexPath(file: { readonly id: number; readonly generation: number }): string {
  return `${STORE_DIRECTORY}/${file.id}-${file.generation}.index`;
}

export function indexOffset(file: RecordFile, ordinal: number): number {
  return HEADER_BYTES + (ordinal - file.base) * INDEX_ENTRY_BYTES;
}

/** Makes both files, empty but for the header. Whatever stands there under these names is no one's. */
export async function createRecordFile(
  fileSystem: FileSystem,
  shape: Pick<RecordFile, 'id' | 'generation' | 'base' | 'byteBase' | 'chainBase'>,
): Promise<RecordFile> {
  const header = new Writer(HEADER_BYTES)
    .raw(MAGIC)
    .u32(VERSION)
    .u32(0)
    .u64(shape.id)
    .u64(shape.generation)
    .u64(shape.base)
    .u64(shape.byteBase)
    .u32(shape.chainBase);
  assert(header.size === HEADER_CHECKED_BYTES, `index header of ${header.size} bytes`);
  header.u32(crc32c(header.finish()));
  header.raw(new Uint8Array(HEADER_BYTES - header.size));
  const data = await fileSystem.open(dataPath(shape), 'replace');
  await data.close();
  const index = await fileSystem.open(indexPath(shape), 'replace');
  try {
    await index.write(header.finish(), 0);
  } finally {
    await index.close();
  }
  return { ...shape, unsynced: true, readers: 0 };
}

/** Opens a generation that a manifest names; throws a DamageError if it is not there or its header is not whole. */
export async function openRecordFile(
  handles: HandleCache,
  name: { readonly id: number; readonly generation: number },
): Promise<RecordFile> {
  const path = indexPath(name);
  const bytes = new Uint8Array(HEADER_BYTES);
  const size = await whole(path, () => handles.use(path, (file) => file.read(bytes, 0)));
  if (size < HEADER_BYTES) throw new DamageError('the header is cut off', path, size);
  const decoded = decode(bytes, (reader) => {
    if (!equalBytes(reader.raw(MAGIC.length), MAGIC)) reader.fail('not an index of records');
    const version = reader.u32();
    reader.u32();
    const shape = {
      id: reader.u64(),
      generation: reader.u64(),
      base: reader.u64(),
      byteBase: reader.u64(),
      chainBase: reader.u32(),
    };
    if (crc32c(bytes, 0, 0, HEADER_CHECKED_BYTES) !== reader.u32()) {
      reader.fail('the header does not match its checksum');
    }
    if (version !== VERSION) reader.fail(`format version ${version} is not known to this program`);
    if (shape.id !== name.id || shape.generation !== name.generation) {
      reader.fail(`it is of log ${shape.id}, generation ${shape.generation}, under another's name`);
    }
    reader.raw(reader.remaining);
    return shape;
  });
  if (!decoded.ok) throw new DamageError(decoded.problem, path, 0);
  return { ...decoded.value, unsynced: false, readers: 0 };
}

/** A file that a manifest names and that is not there is damage like any other. */
async function whole<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (isMissing(error)) throw new DamageError('it is missing', path, 0);
    throw error;
  }
}

/** Ends and chain values of the record before `from` (or of the base) and of the records [from, to). */
interface IndexPart {
  readonly ends: number[];
  readonly chains: number[];
}

export async function readIndex(
  handles: HandleCache,
  file: RecordFile,
  range: { readonly from: number; readonly to: number },
): Promise<IndexPart> {
  const { from, to } = range;
  assert(from >= file.base && to >= from, `records [${from}, ${to}) of an index from ${file.base}`);
  const low = from > file.base ? from - 1 : from;
  const ends: number[] = low < from ? [] : [file.byteBase];
  const chains: number[] = low < from ? [] : [file.chainBase];
  const path = indexPath(file);
  const bytes = new Uint8Array((to - low) * INDEX_ENTRY_BYTES);
  const position = indexOffset(file, low);
  const size = await whole(path, () => handles.use(path, (handle) => handle.read(bytes, position)));
  if (size < bytes.length) throw new DamageError('it is cut off', path, position + size);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += INDEX_ENTRY_BYTES) {
    const end = view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
    const before = ends.at(-1) ?? file.byteBase;
    const isFirst = ends.length === 0;
    if (!Number.isSafeInteger(end) || (isFirst ? end < before : end <= before)) {
      throw new DamageError(`a record ends at byte ${end}, the one before at ${before}`, path, position + at);
    }
    ends.push(end);
    chains.push(view.getUint32(at + 8, true));
  }
  return { ends, chains };
}

/**
 * Records [from, to) from the disk, compared with their chain: as many as fit `bytesMax`, at least one. Throws a
 * DamageError if one does not match.
 */
export async function readRecordRange(
  handles: HandleCache,
  file: RecordFile,
  range: { readonly from: number; readonly to: number; readonly bytesMax: number },
): Promise<Uint8Array[]> {
  const records: Uint8Array[] = [];
  let room = range.bytesMax;
  let from = range.from;
  while (from < range.to) {
    const index = await readIndex(handles, file, { from, to: Math.min(range.to, from + INDEX_CHUNK) });
    const start = index.ends[0] as number;
    const available = index.ends.length - 1;
    let count = 0;
    // In steps, so that neither one read nor one stretch of checksums is long.
    const step = Math.min(room, FILE_CHUNK_BYTES);
    while (count < available && (index.ends[count + 1] as number) - start <= step) count += 1;
    if (count === 0) {
      // One that is larger than a step still goes alone; one that is larger than the room only if it is the first.
      if (records.length > 0 && (index.ends[1] as number) - start > room) break;
      count = 1;
    }
    const end = index.ends[count] as number;
    const bytes = await readData(handles, file, { start, end });
    let chain = index.chains[0] as number;
    for (let position = 0; position < count; position++) {
      const low = (index.ends[position] as number) - start;
      const record = bytes.subarray(low, (index.ends[position + 1] as number) - start);
      chain = crc32c(record, chain);
      if (chain !== index.chains[position + 1]) {
        throw new DamageError(
          `record ${from + position} does not match its checksum`,
          dataPath(file),
          start - file.byteBase + low,
        );
      }
      records.push(record);
    }
    room -= end - start;
    from += count;
    if (room <= 0) break;
  }
  return records;
}

/** Bytes [start, end), counted over all records ever appended. */
async function readData(
  handles: HandleCache,
  file: RecordFile,
  range: { readonly start: number; readonly end: number },
): Promise<Uint8Array> {
  const path = dataPath(file);
  const position = range.start - file.byteBase;
  const wanted = range.end - range.start;
  return whole(path, () =>
    handles.use(path, async (handle) => {
      // A damaged index may ask for anything: nothing large is allocated before its last byte is seen to be there.
      if (wanted > FILE_CHUNK_BYTES && (await handle.read(new Uint8Array(1), position + wanted - 1)) === 0) {
        throw new DamageError(`it ends before byte ${position + wanted}`, path, position);
      }
      const bytes = new Uint8Array(wanted);
      const size = await handle.read(bytes, position);
      if (size < wanted) throw new DamageError('it is cut off', path, position + size);
      return bytes;
    }),
  );
}

/** A record on its way into the files. */
export interface PendingRecord {
  readonly data: Uint8Array;
  /** Bytes of all records up to and with this one. */
  readonly end: number;
  readonly chain: number;
}

/** Writes records that follow one another, the first of them at `ordinal`. Nothing is durable before `syncRecordFile`. */
export async function writeRecords(
  handles: HandleCache,
  file: RecordFile,
  write: { readonly batch: readonly PendingRecord[]; readonly ordinal: number },
): Promise<void> {
  const first = write.batch[0];
  if (first === undefined) return;
  const position = first.end - first.data.length - file.byteBase;
  const data = concatBytes(write.batch.map((record) => record.data));
  const entries = encodeIndexEntries(write.batch);
  const at = indexOffset(file, write.ordinal);
  file.unsynced = true;
  await handles.use(dataPath(file), (handle) => handle.write(data, position));
  await handles.use(indexPath(file), (handle) => handle.write(entries, at));
}

export async function syncRecordFile(handles: HandleCache, file: RecordFile): Promise<void> {
  if (!file.unsynced) return;
  file.unsynced = false;
  await handles.use(dataPath(file), (handle) => handle.sync());
  await handles.use(indexPath(file), (handle) => handle.sync());
}

/** Removes both files; one of them may be gone already. Nobody reads them. */
export async function removeRecordFile(
  fileSystem: FileSystem,
  handles: HandleCache,
  file: { readonly id: number; readonly generation: number },
): Promise<void> {
  for (const path of [dataPath(file), indexPath(file)]) {
    handles.forget(path);
    if ((await fileSystem.status(path)) !== null) await fileSystem.remove(path);
  }
}

function encodeIndexEntries(records: readonly PendingRecord[]): Uint8Array {
  const bytes = new Uint8Array(records.length * INDEX_ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [position, record] of records.entries()) {
    const at = position * INDEX_ENTRY_BYTES;
    view.setUint32(at, record.end % 0x1_0000_0000, true);
    view.setUint32(at + 4, Math.floor(record.end / 0x1_0000_0000), true);
    view.setUint32(at + 8, record.chain, true);
  }
  return bytes;
}
