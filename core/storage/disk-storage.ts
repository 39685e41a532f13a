/**
 * The storage of one server, in one directory:
 *
 *   identity    the storage id, made with the directory
 *   lock        which process has the directory open (directory-lock.ts)
 *   reserve     ballast for a full disk (space.ts)
 *   wal/        the write-ahead log (wal-format.ts)
 *   snapshots/  the newest snapshot (snapshot-file.ts)
 *   store/      the logs' records and their indexes, by log id (record-file.ts)
 *   files/      the logs' records by name, for people (record-names.ts)
 *
 * Opening changes nothing but the lock, and what a fresh directory needs, before everything was read and found sound.
 */

import { assert } from '../base/assert.ts';
import { FILE_BUFFER_BYTES_MAX, SEGMENT_BYTES } from '../base/limits.ts';
import type { Clock, Entropy, Logger } from '../base/ports.ts';
import type { HardState, LogEntry } from '../raft/types.ts';
import type { FileEffect } from '../state-machine/commands.ts';
import { type DirectoryLock, lockDirectory } from './directory-lock.ts';
import { asError, type FileSystem, isNoSpace, realFileSystem, rootedFileSystem } from './file-system.ts';
import { HandleCache } from './handle-cache.ts';
import { openIdentity } from './identity.ts';
import type {
  Durable,
  RecordsState,
  Recovered,
  Snapshot,
  SpaceState,
  Storage,
  StorageCounters,
  WriteNumber,
} from './interface.ts';
import { FILES_DIRECTORY, STORE_DIRECTORY } from './record-file.ts';
import { type RecoveredRecords, resetRecords, Scrub, verifyRecords } from './record-recovery.ts';
import { RecordStore } from './record-store.ts';
import { readSnapshot, removeSnapshot, SNAPSHOT_DIRECTORY, writeSnapshot } from './snapshot-file.ts';
import { ClosingError, Space } from './space.ts';
import { Wal } from './wal.ts';
import { segmentName, WAL_DIRECTORY } from './wal-format.ts';
import { type RecoveredLog, recoverLog } from './wal-recovery.ts';
import { SYNC_BUCKETS_MS } from './wal-segments.ts';

export interface StorageOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger: Logger;
  /** A segment of the log is followed by the next one at this size. */
  readonly segmentBytes?: number;
  /** The ballast, and the free space below which the disk counts as low. */
  readonly reserveBytes?: number;
  readonly fileSystem?: FileSystem;
  /** Records beyond this are compared with their index after the start instead of before it. */
  readonly verifyBytesMax?: number;
}

function freshCounters(): StorageCounters {
  return {
    ...{ bytesWritten: 0, writes: 0, syncs: 0, snapshots: 0, noSpace: 0 },
    ...{ syncBuckets: SYNC_BUCKETS_MS.map(() => 0), syncMsMax: 0 },
  };
}

/** Cuts the torn tail and syncs what is left, so that nothing is acknowledged from a page that never reached the disk. */
async function settleLog(fileSystem: FileSystem, log: RecoveredLog): Promise<void> {
  const present = log.segments.at(-1);
  assert(present !== undefined, 'a log has at least one segment');
  const file = await fileSystem.open(`${WAL_DIRECTORY}/${segmentName(present.number)}`, 'write');
  try {
    if (log.cutBytes > 0) await file.truncate(present.size);
    await file.sync();
  } finally {
    await file.close();
  }
}

class DiskStorage implements Storage {
  readonly recovered: Recovered;
  readonly counters: StorageCounters;
  readonly #fileSystem: FileSystem;
  readonly #space: Space;
  readonly #wal: Wal;
  readonly #records: RecordStore;
  readonly #handles: HandleCache;
  readonly #scrub: Scrub;
  readonly #lock: DirectoryLock;
  #snapshotIndex: number;
  #saving: Promise<boolean> | null = null;
  #closing: Promise<void> | null = null;
  #durableListener: (durable: Durable) => void = () => {};
  #fatalListener: ((error: Error) => void) | null = null;
  #fatal: Error | null = null;

  constructor(parts: {
    readonly options: StorageOptions;
    readonly fileSystem: FileSystem;
    readonly counters: StorageCounters;
    readonly space: Space;
    readonly lock: DirectoryLock;
    readonly handles: HandleCache;
    readonly recovered: Recovered;
    readonly log: RecoveredLog;
    readonly records: RecoveredRecords;
    readonly generations: ReadonlyMap<number, number>;
  }) {
    const { options, fileSystem, counters, space, handles, recovered } = parts;
    const { clock, entropy, logger } = options;
    this.recovered = recovered;
    this.counters = counters;
    this.#fileSystem = fileSystem;
    this.#space = space;
    this.#handles = handles;
    this.#lock = parts.lock;
    this.#snapshotIndex = recovered.snapshot?.index ?? 0;
    const onFatal = (error: unknown) => this.#fail(error);
    space.onError(onFatal);
    this.#wal = new Wal({
      ...{ fileSystem, clock, entropy, space, counters, log: parts.log, onFatal },
      segmentBytes: options.segmentBytes ?? SEGMENT_BYTES,
      snapshot: { index: this.#snapshotIndex, term: recovered.snapshot?.term ?? 0 },
      onDurable: (durable) => this.#durableListener(durable),
    });
    this.#records = new RecordStore(
      { fileSystem, handles, space, counters, logger, onFatal },
      { logs: parts.records.logs, generations: parts.generations },
    );
    this.#scrub = new Scrub(parts.records.unverified, { handles, clock, logger });
  }

  #fail(error: unknown): void {
    if (this.#fatal !== null) return;
    this.#fatal = asError(error);
    this.#wal.stop();
    this.#fatalListener?.(this.#fatal);
  }

  write(change: { readonly hardState?: HardState; readonly entries?: readonly LogEntry[] }): WriteNumber {
    assert(this.#closing === null, 'a write after close');
    return this.#wal.write(change);
  }

  onDurable(listener: (durable: Durable) => void): void {
    this.#durableListener = listener;
  }

  onFatal(listener: (error: Error) => void): void {
    this.#fatalListener = listener;
    if (this.#fatal !== null) listener(this.#fatal);
  }

  get unpersistedBytes(): number {
    const behind = Math.max(0, this.#records.bufferedBytes - FILE_BUFFER_BYTES_MAX);
    return this.#wal.unpersistedBytes + behind;
  }

  get stalledMs(): number {
    return this.#wal.stalledMs;
  }

  get syncP99Ms(): number {
    return this.#wal.syncP99Ms;
  }

  get space(): SpaceState {
    return this.#space.state;
  }

  get freeBytes(): number {
    return this.#space.freeBytes;
  }

  get logBytes(): number {
    return this.#wal.logBytes;
  }

  applyFiles(effects: readonly FileEffect[]): void {
    assert(this.#closing === null, 'records applied after close');
    this.#records.apply(effects);
  }

  readRecords(
    id: number,
    range: { readonly from: number; readonly to: number; readonly bytesMax: number },
  ): Promise<Uint8Array[]> {
    return this.#records.read(id, range);
  }

  filesWritten(): Promise<void> {
    return this.#records.idle();
  }

  fileStates(): readonly RecordsState[] {
    return this.#records.states();
  }

  fileState(id: number): RecordsState | null {
    return this.#records.state(id);
  }

  recordsBefore(id: number, ordinal: number): Promise<{ readonly bytes: number; readonly chain: number }> {
    return this.#records.before(id, ordinal);
  }

  stage(effects: Parameters<Storage['stage']>[0]): void {
    assert(this.#closing === null, 'records staged after close');
    this.#records.stage(effects);
  }

  async saveSnapshot(snapshot: Snapshot): Promise<boolean> {
    assert(this.#saving === null, 'two snapshots at once');
    assert(this.#closing === null, 'a snapshot after close');
    assert(snapshot.index >= this.#snapshotIndex, `a snapshot at ${snapshot.index} behind the present one`);
    if (snapshot.index === this.#snapshotIndex) return true;
    const work = this.#save(snapshot).catch((error) => {
      if (!(error instanceof ClosingError)) this.#fail(error);
      throw error;
    });
    this.#saving = work;
    try {
      return await work;
    } finally {
      this.#saving = null;
    }
  }

  /** The order is the safety: files, snapshot, the log's start, old segments, dead files. */
  async #save(snapshot: Snapshot): Promise<boolean> {
    const position = { index: snapshot.index, term: snapshot.term };
    const follows = this.#wal.termAt(snapshot.index) === snapshot.term;
    const filesSynced = this.#records.sync(snapshot.logs, { patient: !follows });
    let settle: (outcome: Promise<void>) => void = () => {};
    const durable = new Promise<void>((resolve) => {
      settle = resolve;
    });
    // A log that the snapshot does not stand in begins anew behind it; what is written from now on waits for that.
    const restarted = follows ? null : this.#wal.restartAfter(position, durable);
    // If these fail, the work below has failed before and is what is reported.
    durable.catch(() => {});
    restarted?.catch(() => {});
    const work = this.#makeDurable(snapshot, { filesSynced, waits: !follows });
    settle(work.then(() => {}));
    const isDurable = await work;
    if (!isDurable) {
      this.#records.abandon();
      return false;
    }
    if (restarted === null) this.#wal.forget(position);
    else await restarted;
    const before = this.#snapshotIndex;
    this.#snapshotIndex = snapshot.index;
    await this.#wal.removeCovered(snapshot.index);
    if (before > 0) await removeSnapshot(this.#fileSystem, before);
    await this.#records.retire();
    this.counters.snapshots += 1;
    return true;
  }

  async #makeDurable(
    snapshot: Snapshot,
    options: { readonly filesSynced: Promise<Map<number, number> | null>; readonly waits: boolean },
  ): Promise<boolean> {
    // Every write before the snapshot is durable once the log has turned to a new segment.
    if (!options.waits && !(await this.#wal.rotate())) {
      await options.filesSynced;
      return false;
    }
    const generations = await options.filesSynced;
    if (generations === null) {
      if (options.waits) throw new Error('a snapshot from another server was given up: the disk has failed');
      return false;
    }
    for (;;) {
      try {
        const stored = { snapshot, segment: this.#wal.segment, generations };
        await writeSnapshot(this.#fileSystem, stored, this.recovered.storageId);
        return true;
      } catch (error) {
        if (!isNoSpace(error)) throw error;
        this.counters.noSpace += 1;
        if (await this.#space.makeRoom(snapshot.machine.length)) continue;
        if (!options.waits) return false;
        await this.#space.waitForRoom(snapshot.machine.length);
      }
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    // Whoever waits for room gives up; what is not durable was never reported.
    await this.#space.close();
    await this.#scrub.close();
    await this.#saving?.catch(() => {});
    await this.#records.idle();
    try {
      await this.#wal.close({ seal: this.#fatal === null });
    } catch (error) {
      this.#fail(error);
    }
    await this.#handles.close();
    await this.#lock.release();
  }
}

/**
 * Opens or makes a server's directory and recovers what it holds. Throws a DamageError for damage, naming file and offset,
 * and a DirectoryInUseError while another process has it open.
 */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const { directory, clock, entropy, logger } = options;
  const outside = options.fileSystem ?? realFileSystem;
  const counters = freshCounters();
  const fileSystem = rootedFileSystem(outside, directory, (bytes) => {
    counters.bytesWritten += bytes;
  });
  await fileSystem.makeDirectory('.');
  const lock = await lockDirectory({ fileSystem, directory, logger });
  try {
    for (const name of [WAL_DIRECTORY, SNAPSHOT_DIRECTORY, STORE_DIRECTORY, FILES_DIRECTORY]) {
      if ((await fileSystem.status(name)) === null) await fileSystem.makeDirectory(name);
    }
    const { storageId, fresh } = await openIdentity(fileSystem, entropy);
    const { stored, leftovers } = await readSnapshot(fileSystem, storageId);
    const snapshot = stored?.snapshot ?? null;
    const position = stored === null ? null : { ...stored.snapshot, segment: stored.segment };
    const log = await recoverLog(fileSystem, { storageId, snapshot: position });
    const handles = new HandleCache(fileSystem, {
      onError: (error) =>
        logger.log('warn', 'a file could not be closed', { problem: asError(error).message }),
    });
    const generations = stored?.generations ?? new Map<number, number>();
    const verify = options.verifyBytesMax === undefined ? {} : { verifyBytesMax: options.verifyBytesMax };
    let records: RecoveredRecords;
    try {
      records = await verifyRecords(handles, { logs: snapshot?.logs ?? [], generations, ...verify });
    } catch (error) {
      await handles.close();
      throw error;
    }
    // All is sound; from here on the directory is changed.
    await settleLog(fileSystem, log);
    for (const path of [...leftovers, ...log.leftovers]) await fileSystem.remove(path);
    await resetRecords(fileSystem, records, { handles, logger });
    const space = new Space({ fileSystem, clock, entropy, logger });
    await space.open({ reserveBytes: options.reserveBytes ?? null, fresh });
    if (log.cutBytes > 0) {
      logger.log('warn', 'cut a torn batch off the log', {
        segment: segmentName(log.header.number),
        bytes: log.cutBytes,
      });
    }
    const recovered: Recovered = {
      ...{ storageId, fresh, hardState: log.hardState, snapshot, entries: log.entries },
      ...{ sealed: log.sealed, cutBytes: log.cutBytes },
    };
    const parts = {
      options,
      fileSystem,
      counters,
      space,
      lock,
      handles,
      recovered,
      log,
      records,
      generations,
    };
    return new DiskStorage(parts);
  } catch (error) {
    await lock.release();
    throw error;
  }
}
