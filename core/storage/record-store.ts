/**
 * The logs' records as files, written behind the write-ahead log. The format and the states after a crash are in
 * record-file.ts.
 *
 * One worker takes the jobs in the order in which they were asked for (create, delete, trim, sync for a snapshot, retire)
 * and writes appended records between them, coalesced by log. What is not written yet is served from memory.
 *
 * Invariants: a job finds its log's files as the jobs before it left them; a snapshot's sync covers every record that was
 * applied before the snapshot was asked for; a generation's files are removed only when no live log, no durable manifest,
 * no manifest under way and no read needs them.
 */

import { assert, unreachable } from '../base/assert.ts';
import { crc32c } from '../base/crc32c.ts';
import { FILE_CHUNK_BYTES } from '../base/limits.ts';
import type { Logger } from '../base/ports.ts';
import type { FileEffect, LogInfo } from '../state-machine/commands.ts';
import { type FileSystem, isNoSpace } from './file-system.ts';
import type { HandleCache } from './handle-cache.ts';
import { DamageError, type RecordsState, type Storage, type StorageCounters } from './interface.ts';
import {
  createRecordFile,
  dataPath,
  FILES_DIRECTORY,
  type RecordFile,
  readIndex,
  readRecordRange,
  removeRecordFile,
  STORE_DIRECTORY,
  syncRecordFile,
  writeRecords,
} from './record-file.ts';
import { appendRecord, emptyLog, type Log, nextBatch, readLog, recoveredLog } from './record-log.ts';
import { removeName, setName } from './record-names.ts';
import { ClosingError, type Space } from './space.ts';

/** Between the files of a log and those that replace them whole. */
const GENERATIONS_APART = 1_000;

export type StagedEffect = Parameters<Storage['stage']>[0][number];

function stateOf({ id, name, start, count, bytes, chain }: Log): RecordsState {
  return { id, name, start, count, bytes, chain };
}

type Job =
  | { readonly type: 'create' | 'delete'; readonly log: Log }
  | { readonly type: 'trim'; readonly log: Log; readonly before: number }
  | {
      readonly type: 'sync';
      readonly logs: readonly { readonly log: Log; readonly count: number }[];
      /** Waits for room instead of being refused. */
      readonly patient: boolean;
      /** Generations by log id, or null for want of room. */
      readonly done: (generations: Map<number, number> | null) => void;
    }
  | { readonly type: 'retire'; readonly done: () => void };

export interface RecordStoreOptions {
  readonly fileSystem: FileSystem;
  readonly handles: HandleCache;
  readonly space: Space;
  readonly counters: StorageCounters;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
}

export class RecordStore {
  readonly #options: RecordStoreOptions;
  readonly #logs = new Map<number, Log>();
  /** The logs as the jobs so far have left them: one that was deleted just now is there until its job is done. */
  readonly #present = new Map<number, Log>();
  /** Every generation that is on the disk. */
  readonly #files = new Set<RecordFile>();
  readonly #jobs: Job[] = [];
  readonly #dirty = new Set<Log>();
  /** What the durable manifest needs, and the one that is being made so. */
  #durableGenerations: ReadonlyMap<number, number>;
  #comingGenerations: ReadonlyMap<number, number> = new Map();
  #namesChanged = true;
  #bufferedBytes = 0;
  #waitsForRoom = false;
  #running: Promise<void> | null = null;
  #failed = false;

  constructor(
    options: RecordStoreOptions,
    recovered: {
      readonly logs: readonly { readonly info: LogInfo; readonly file: RecordFile }[];
      readonly generations: ReadonlyMap<number, number>;
    },
  ) {
    this.#options = options;
    this.#durableGenerations = recovered.generations;
    for (const { info, file } of recovered.logs) {
      this.#files.add(file);
      const log = recoveredLog(info, file);
      this.#logs.set(log.id, log);
      this.#present.set(log.id, log);
    }
  }

  /** Bytes applied and not yet written into the files. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** Every log as it is with what was applied, written or not. */
  states(): RecordsState[] {
    return Array.from(this.#logs.values(), stateOf);
  }

  state(id: number): RecordsState | null {
    const log = this.#logs.get(id);
    return log === undefined ? null : stateOf(log);
  }

  /** The bytes of all records before `ordinal`, and the chain value there. Rejects where the log does not have that. */
  async before(id: number, ordinal: number): Promise<{ readonly bytes: number; readonly chain: number }> {
    const log = this.#logs.get(id);
    if (log === undefined || ordinal < log.start || ordinal > log.count) {
      throw new RangeError(`Cannot look before record ${ordinal} of log ${id}: it is not there`);
    }
    if (ordinal === log.count) return { bytes: log.bytes, chain: log.chain };
    if (ordinal === 0) return { bytes: 0, chain: 0 };
    const pending = log.pending[ordinal - 1 - log.written];
    if (pending !== undefined) return { bytes: pending.end, chain: pending.chain };
    const { file } = log;
    file.readers += 1;
    try {
      const index = await readIndex(this.#options.handles, file, { from: ordinal, to: ordinal });
      return { bytes: index.ends[0] as number, chain: index.chains[0] as number };
    } finally {
      file.readers -= 1;
    }
  }

  /**
   * Takes records that came with another server's snapshot, ahead of the state machine: what it applies later and is here
   * already is passed over then.
   */
  stage(effects: readonly StagedEffect[]): void {
    for (const effect of effects) {
      if (effect.type === 'begin') this.#begin(effect);
      else this.#stageRecord(effect);
    }
    this.#start();
  }

  #begin(effect: Extract<StagedEffect, { type: 'begin' }>): void {
    const { id, name, start, bytes, chain } = effect;
    const known = this.#logs.get(id);
    if (known !== undefined) this.#apply({ type: 'delete', id, name: known.name });
    // Trims that are queued for the old files may still make generations of their own.
    const generation = known === undefined ? 1 : known.file.generation + GENERATIONS_APART;
    const file = {
      id,
      generation,
      base: start,
      byteBase: bytes,
      chainBase: chain,
      unsynced: true,
      readers: 0,
    };
    const log: Log = {
      ...{ id, name, file, start, count: start, bytes, chain, written: start },
      ...{ pending: [], deleted: false, begun: true, staged: start },
    };
    this.#logs.set(id, log);
    this.#jobs.push({ type: 'create', log });
  }

  #stageRecord(effect: Extract<StagedEffect, { type: 'record' }>): void {
    const log = this.#log(effect.id);
    const chain = crc32c(effect.data, log.chain);
    this.#apply({ type: 'append', id: effect.id, offset: log.count, data: effect.data, chain });
    log.staged = log.count;
  }

  apply(effects: readonly FileEffect[]): void {
    for (const effect of effects) this.#apply(effect);
    this.#start();
  }

  #apply(effect: FileEffect): void {
    switch (effect.type) {
      case 'create': {
        const known = this.#logs.get(effect.id);
        if (known?.begun === true) return;
        assert(known === undefined, `log ${effect.id} is created twice`);
        const log = emptyLog(effect.id, effect.name);
        this.#logs.set(log.id, log);
        this.#jobs.push({ type: 'create', log });
        return;
      }
      case 'append': {
        const log = this.#log(effect.id);
        // It came with a snapshot of the leader's, which has only what is committed: it is the same record.
        if (effect.offset < log.staged) return;
        appendRecord(log, effect);
        this.#bufferedBytes += effect.data.length;
        this.#dirty.add(log);
        return;
      }
      case 'delete': {
        const log = this.#log(effect.id);
        log.deleted = true;
        this.#logs.delete(log.id);
        this.#jobs.push({ type: 'delete', log });
        return;
      }
      case 'trim': {
        const log = this.#log(effect.id);
        assert(
          effect.before <= log.count || log.begun || log.staged > 0,
          `trim before ${effect.before} of log ${log.id} of ${log.count}`,
        );
        if (effect.before <= log.start) return;
        log.start = effect.before;
        this.#jobs.push({ type: 'trim', log, before: effect.before });
        return;
      }
      default:
        return unreachable(effect);
    }
  }

  #log(id: number): Log {
    const log = this.#logs.get(id);
    assert(log !== undefined, `there is no log ${id}`);
    return log;
  }

  async read(
    id: number,
    range: { readonly from: number; readonly to: number; readonly bytesMax: number },
  ): Promise<Uint8Array[]> {
    const log = this.#logs.get(id);
    if (log === undefined) throw new RangeError(`Cannot read log ${id}: there is none of that id`);
    return readLog(this.#options.handles, log, range);
  }

  /**
   * Makes every record and name that was applied before this call durable. Gives the generation of each log's files that
   * the manifest then stands on, which stay until the next manifest; or null if there is no room for them and the caller
   * is not patient.
   */
  sync(
    manifest: readonly LogInfo[],
    options: { readonly patient: boolean },
  ): Promise<Map<number, number> | null> {
    const logs = manifest.map((info) => {
      const log = this.#log(info.id);
      const fits = info.start === log.start && info.count === log.count && info.bytes === log.bytes;
      assert(fits && info.chain === log.chain, `log ${info.id} is not as the snapshot's manifest has it`);
      return { log, count: log.count };
    });
    assert(logs.length === this.#logs.size, `the manifest has ${logs.length} of ${this.#logs.size} logs`);
    if (this.#failed || (this.#waitsForRoom && !options.patient)) return Promise.resolve(null);
    return new Promise((done) => {
      this.#jobs.push({ type: 'sync', logs, patient: options.patient, done });
      this.#start();
    });
  }

  /** The manifest under way is not going to be. */
  abandon(): void {
    this.#comingGenerations = new Map();
  }

  /** The manifest under way is durable: what only the one before needed goes. */
  retire(): Promise<void> {
    this.#durableGenerations = this.#comingGenerations;
    this.#comingGenerations = new Map();
    // A trim for which there was no room before is tried again.
    for (const log of this.#logs.values()) {
      if (log.file.base < log.start) this.#jobs.push({ type: 'trim', log, before: log.start });
    }
    if (this.#failed) return Promise.resolve();
    return new Promise((done) => {
      this.#jobs.push({ type: 'retire', done });
      this.#start();
    });
  }

  #start(): void {
    if (this.#failed) return;
    this.#running ??= Promise.resolve().then(() => this.#run());
  }

  async #run(): Promise<void> {
    try {
      while (this.#jobs.length > 0 || this.#dirty.size > 0) {
        const job = this.#jobs.shift();
        await (job === undefined ? this.#flushAny() : this.#do(job));
      }
    } catch (error) {
      this.#failed = true;
      this.#refuseSyncs();
      for (const job of this.#jobs) if (job.type === 'retire') job.done();
      if (!(error instanceof ClosingError)) this.#options.onFatal(error);
    } finally {
      // In the same turn as the last look, so that no job comes in between.
      this.#running = null;
    }
  }

  async #do(job: Job): Promise<void> {
    switch (job.type) {
      case 'create':
        return this.#create(job.log);
      case 'delete':
        return this.#delete(job.log);
      case 'trim':
        return this.#trim(job.log, job.before);
      case 'sync':
        return this.#sync(job).catch((error) => {
          job.done(null);
          throw error;
        });
      case 'retire':
        return this.#removeUnneeded().finally(job.done);
      default:
        return unreachable(job);
    }
  }

  /** Runs `work` until it did not meet a full disk. Snapshots that wait behind it are refused meanwhile. */
  async #withRoom(bytes: number, work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!isNoSpace(error)) throw error;
        this.#options.counters.noSpace += 1;
        if (await this.#options.space.makeRoom(bytes)) continue;
        this.#waitsForRoom = true;
        this.#refuseSyncs();
        try {
          await this.#options.space.waitForRoom(bytes);
        } finally {
          this.#waitsForRoom = false;
        }
      }
    }
  }

  #refuseSyncs(): void {
    for (let at = this.#jobs.length - 1; at >= 0; at--) {
      const job = this.#jobs[at] as Job;
      if (job.type !== 'sync' || (job.patient && !this.#failed)) continue;
      this.#jobs.splice(at, 1);
      job.done(null);
    }
  }

  async #create(log: Log): Promise<void> {
    const { fileSystem, logger } = this.#options;
    await this.#withRoom(0, async () => {
      await createRecordFile(fileSystem, log.file);
      await setName(fileSystem, { name: log.name, path: dataPath(log.file), isOurs: () => false, logger });
    });
    this.#files.add(log.file);
    this.#present.set(log.id, log);
    this.#namesChanged = true;
  }

  async #delete(log: Log): Promise<void> {
    const { fileSystem, logger } = this.#options;
    await removeName(fileSystem, { name: log.name, path: dataPath(log.file), logger });
    this.#dirty.delete(log);
    for (const record of log.pending) this.#bufferedBytes -= record.data.length;
    log.pending = [];
    this.#present.delete(log.id);
    this.#namesChanged = true;
    await this.#removeUnneeded();
  }

  /** Writes some records of a log whose files are there, if one has any. */
  async #flushAny(): Promise<void> {
    for (const log of this.#dirty) {
      // A log whose creation is still among the jobs has no files yet.
      if (this.#present.get(log.id) === log) return this.#flush(log);
    }
  }

  async #flush(log: Log): Promise<void> {
    assert(this.#present.get(log.id) === log, `log ${log.id} has no files`);
    const { batch, bytes } = nextBatch(log);
    const write = { batch, ordinal: log.written };
    await this.#withRoom(bytes, () => writeRecords(this.#options.handles, log.file, write));
    log.written += batch.length;
    log.pending.splice(0, batch.length);
    this.#bufferedBytes -= bytes;
    // To the back, so that logs take turns.
    this.#dirty.delete(log);
    if (log.pending.length > 0) this.#dirty.add(log);
  }

  /**
   * Copies the kept tail into a new generation; records that arrive meanwhile are written to the old one and copied too.
   * Where there is no room for the copy, or the tail is damaged, the old generation stays and only reads know the start.
   */
  async #trim(log: Log, before: number): Promise<void> {
    const { fileSystem, handles, logger } = this.#options;
    if (log.deleted || log.file.base >= before) return;
    while (log.written < before) await this.#flush(log);
    const old = log.file;
    const next = { id: log.id, generation: old.generation + 1 };
    try {
      const index = await readIndex(handles, old, { from: before, to: before });
      const [byteBase, chainBase] = [index.ends[0] as number, index.chains[0] as number];
      const file = await createRecordFile(fileSystem, { ...next, base: before, byteBase, chainBase });
      await this.#copyTail(log, file);
      const status = await fileSystem.status(dataPath(old));
      const isOurs = (identity: string) => identity === status?.identity;
      await setName(fileSystem, { name: log.name, path: dataPath(file), isOurs, logger });
      this.#files.add(file);
      log.file = file;
      this.#namesChanged = true;
    } catch (error) {
      if (!isNoSpace(error) && !(error instanceof DamageError)) throw error;
      logger.log('warn', 'kept the trimmed part of a log on the disk for now', {
        log: log.name,
        problem: (error as Error).message,
      });
      await removeRecordFile(fileSystem, handles, next);
      return;
    }
    await this.#removeUnneeded();
  }

  async #copyTail(log: Log, file: RecordFile): Promise<void> {
    const { handles } = this.#options;
    let ordinal = file.base;
    let end = file.byteBase;
    let chain = file.chainBase;
    while (ordinal < log.written) {
      const range = { from: ordinal, to: log.written, bytesMax: FILE_CHUNK_BYTES };
      const batch = (await readRecordRange(handles, log.file, range)).map((data) => {
        end += data.length;
        chain = crc32c(data, chain);
        return { data, end, chain };
      });
      await writeRecords(handles, file, { batch, ordinal });
      ordinal += batch.length;
      // A long copy must not hold up the other logs, nor this one: what comes is in the old files first.
      if (ordinal < log.written) await this.#flushAny();
    }
  }

  async #sync(job: Extract<Job, { type: 'sync' }>): Promise<void> {
    // A flush that must wait for room answers the job itself, so it has to be found among the jobs.
    this.#jobs.unshift(job);
    for (const { log, count } of job.logs) {
      while (log.written < count && this.#jobs[0] === job) await this.#flush(log);
    }
    if (this.#jobs[0] !== job) return;
    this.#jobs.shift();
    const { fileSystem, handles } = this.#options;
    for (const file of this.#files) await syncRecordFile(handles, file);
    if (this.#namesChanged) {
      this.#namesChanged = false;
      await fileSystem.syncDirectory(STORE_DIRECTORY);
      await fileSystem.syncDirectory(FILES_DIRECTORY);
    }
    const generations = new Map<number, number>();
    for (const { log } of job.logs) generations.set(log.id, log.file.generation);
    this.#comingGenerations = generations;
    job.done(new Map(generations));
  }

  async #removeUnneeded(): Promise<void> {
    for (const file of this.#files) {
      const isPresent = this.#present.get(file.id)?.file === file;
      const isDurable = this.#durableGenerations.get(file.id) === file.generation;
      const isComing = this.#comingGenerations.get(file.id) === file.generation;
      // A file that is being read goes with a later snapshot.
      if (isPresent || isDurable || isComing || file.readers > 0) continue;
      this.#files.delete(file);
      await removeRecordFile(this.#options.fileSystem, this.#options.handles, file);
    }
  }

  /** Resolves when nothing is left to do, or nothing can be done any more. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }
}
