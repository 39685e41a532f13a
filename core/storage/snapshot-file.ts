/**
 * Snapshots on the disk. All numbers little-endian.
 *
 *   snapshots/<index, 16 digits>.snapshot:
 *     magic "brmblsnp" | manifest size u32 | machine size u64 | CRC-32C of manifest and machine u32 | CRC-32C of the
 *     bytes before it u32 | manifest | machine
 *     manifest: version u16 | storage id 16 | index u64 | term u64 | segment of the log u64 | configuration (bytes) |
 *               logs (list: id, generation of its files, name, optional guard, start, count, bytes, chain)
 *
 * A snapshot is written under a temporary name, synced, renamed, and the directory synced; the files that its manifest
 * stands on are synced before, and older snapshots go after. So a crash leaves: a temporary file (removed); two snapshots
 * (the newer one counts, the older is removed); or one. A snapshot under its own name that does not match its checksums is
 * damage, and is never passed over for an older one: the log behind that may be gone.
 */

import { assert } from '../base/assert.ts';
import { decode, equalBytes, hex, Reader, unhex, utf8, Writer } from '../base/bytes.ts';
import { crc32c } from '../base/crc32c.ts';
import { FILE_CHUNK_BYTES, LOGS_MAX } from '../base/limits.ts';
import type { LogInfo } from '../state-machine/commands.ts';
import { type FileSystem, readWhole, TEMPORARY_SUFFIX, writeAtomically } from './file-system.ts';
import { DamageError, type Snapshot } from './interface.ts';

export const SNAPSHOT_DIRECTORY = 'snapshots';
const MAGIC = utf8('brmblsnp');
const VERSION = 1;
const PREFIX_BYTES = MAGIC.length + 4 + 8 + 4 + 4;
const NAME_BYTES_MAX = 64;
const CONFIGURATION_BYTES_MAX = 1_048_576;

/** A snapshot and what the disk knows beside it. */
export interface StoredSnapshot {
  readonly snapshot: Snapshot;
  readonly segment: number;
  /** Which generation of each log's files the manifest means, by log id. */
  readonly generations: ReadonlyMap<number, number>;
}

function snapshotPath(index: number): string {
  return `${SNAPSHOT_DIRECTORY}/${String(index).padStart(16, '0')}.snapshot`;
}

function encodeManifest(stored: StoredSnapshot, storageId: string): Uint8Array {
  const { snapshot } = stored;
  const identity = unhex(storageId);
  assert(identity !== null && identity.length === 16, `storage id "${storageId}"`);
  const writer = new Writer(1_024)
    .u16(VERSION)
    .raw(identity)
    .u64(snapshot.index)
    .u64(snapshot.term)
    .u64(stored.segment)
    .bytes(snapshot.configuration);
  writer.list(snapshot.logs, (log) => {
    const generation = stored.generations.get(log.id);
    assert(generation !== undefined, `log ${log.id} has no files`);
    writer.varint(log.id).varint(generation).text(log.name);
    writer.optional(log.guard, (guard) => writer.text(guard));
    writer.varint(log.start).varint(log.count).varint(log.bytes).u32(log.chain);
  });
  return writer.finish();
}

interface Manifest extends Omit<StoredSnapshot, 'snapshot'> {
  readonly storageId: string;
  readonly snapshot: Omit<Snapshot, 'machine'>;
}

function readManifest(reader: Reader): Manifest {
  const version = reader.u16();
  if (version !== VERSION) reader.fail(`format version ${version} is not known to this program`);
  const storageId = hex(reader.raw(16));
  const index = reader.u64();
  const term = reader.u64();
  const segment = reader.u64();
  const configuration = reader.bytes(CONFIGURATION_BYTES_MAX).slice();
  const generations = new Map<number, number>();
  const logs = reader.list(LOGS_MAX, (): LogInfo => {
    const id = reader.varint();
    generations.set(id, reader.varint());
    const name = reader.text(NAME_BYTES_MAX);
    const guard = reader.optional(() => reader.text(NAME_BYTES_MAX));
    const start = reader.varint();
    const count = reader.varint();
    const bytes = reader.varint();
    return { id, name, guard, start, count, bytes, chain: reader.u32() };
  });
  return { storageId, segment, generations, snapshot: { index, term, configuration, logs } };
}

/** Makes the snapshot durable. On "no space" it throws, and nothing of it is left. */
export async function writeSnapshot(
  fileSystem: FileSystem,
  stored: StoredSnapshot,
  storageId: string,
): Promise<void> {
  const { machine, index } = stored.snapshot;
  const manifest = encodeManifest(stored, storageId);
  const path = snapshotPath(index).slice(SNAPSHOT_DIRECTORY.length + 1);
  await writeAtomically(fileSystem, { directory: SNAPSHOT_DIRECTORY, name: path }, async (file) => {
    await file.write(manifest, PREFIX_BYTES);
    let checksum = crc32c(manifest);
    // In steps, so that a large snapshot does not keep the loop busy.
    for (let at = 0; at < machine.length; at += FILE_CHUNK_BYTES) {
      const chunk = machine.subarray(at, at + FILE_CHUNK_BYTES);
      checksum = crc32c(chunk, checksum);
      await file.write(chunk, PREFIX_BYTES + manifest.length + at);
    }
    const prefix = new Writer(PREFIX_BYTES)
      .raw(MAGIC)
      .u32(manifest.length)
      .u64(machine.length)
      .u32(checksum)
      .finish();
    await file.write(new Writer(PREFIX_BYTES).raw(prefix).u32(crc32c(prefix)).finish(), 0);
  });
}

function decodeSnapshot(path: string, bytes: Uint8Array, storageId: string): StoredSnapshot {
  if (bytes.length < PREFIX_BYTES) throw new DamageError('the header is cut off', path, bytes.length);
  const reader = new Reader(bytes.subarray(0, PREFIX_BYTES));
  if (!equalBytes(reader.raw(MAGIC.length), MAGIC)) throw new DamageError('not a snapshot', path, 0);
  const manifestSize = reader.u32();
  const machineSizeAt = reader.position;
  const machineSizeView = new DataView(bytes.buffer, bytes.byteOffset + machineSizeAt, 8);
  const machineSize = machineSizeView.getUint32(0, true) + machineSizeView.getUint32(4, true) * 0x1_0000_0000;
  reader.raw(8);
  const checksum = reader.u32();
  if (crc32c(bytes, 0, 0, PREFIX_BYTES - 4) !== reader.u32()) {
    throw new DamageError('the header does not match its checksum', path, 0);
  }
  if (bytes.length !== PREFIX_BYTES + manifestSize + machineSize) {
    throw new DamageError(
      `it is ${bytes.length} bytes long instead of ${PREFIX_BYTES + manifestSize + machineSize}`,
      path,
      Math.min(bytes.length, PREFIX_BYTES + manifestSize + machineSize),
    );
  }
  if (crc32c(bytes, 0, PREFIX_BYTES) !== checksum) {
    throw new DamageError('the contents do not match their checksum', path, PREFIX_BYTES);
  }
  const decoded = decode(bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + manifestSize), readManifest);
  if (!decoded.ok) throw new DamageError(decoded.problem, path, PREFIX_BYTES);
  const { snapshot, segment, generations } = decoded.value;
  if (decoded.value.storageId !== storageId) {
    throw new DamageError(
      `it belongs to storage ${decoded.value.storageId}, the directory to ${storageId}`,
      path,
      PREFIX_BYTES,
    );
  }
  if (snapshotPath(snapshot.index) !== path) {
    throw new DamageError(`it is the snapshot at entry ${snapshot.index} under another's name`, path, 0);
  }
  return {
    snapshot: { ...snapshot, machine: bytes.subarray(PREFIX_BYTES + manifestSize) },
    segment,
    generations,
  };
}

/** The newest snapshot, and older and unfinished ones to remove. Changes nothing. */
export async function readSnapshot(
  fileSystem: FileSystem,
  storageId: string,
): Promise<{ readonly stored: StoredSnapshot | null; readonly leftovers: readonly string[] }> {
  const names: string[] = [];
  const leftovers: string[] = [];
  for (const name of await fileSystem.list(SNAPSHOT_DIRECTORY)) {
    if (/^[0-9]{16}\.snapshot$/.test(name)) names.push(name);
    else if (name.endsWith(TEMPORARY_SUFFIX)) leftovers.push(`${SNAPSHOT_DIRECTORY}/${name}`);
  }
  const newest = names.pop();
  for (const name of names) leftovers.push(`${SNAPSHOT_DIRECTORY}/${name}`);
  if (newest === undefined) return { stored: null, leftovers };
  const path = `${SNAPSHOT_DIRECTORY}/${newest}`;
  return { stored: decodeSnapshot(path, await readWhole(fileSystem, path), storageId), leftovers };
}

/** Removes the snapshot at `index`, which a newer durable one has replaced. */
export async function removeSnapshot(fileSystem: FileSystem, index: number): Promise<void> {
  await fileSystem.remove(snapshotPath(index));
}
