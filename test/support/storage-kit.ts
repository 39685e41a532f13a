// What storage tests share: a clock and logger that are real enough, temporary directories, and entries to write.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { utf8 } from '#core/base/bytes.ts';
import { crc32c } from '#core/base/crc32c.ts';
import type { Clock, LogFields, Logger, LogLevel } from '#core/base/ports.ts';
import { Prng } from '#core/base/prng.ts';
import type { LogEntry } from '#core/raft/types.ts';
import type { FileEffect, LogInfo } from '#core/state-machine/commands.ts';
import { openStorage, type StorageOptions } from '#core/storage/disk-storage.ts';
import type { Durable, Snapshot, Storage, WriteNumber } from '#core/storage/interface.ts';

export const testClock: Clock = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (callback) => void setImmediate(callback),
};

/** For storages that are left behind as if their process had died: their timers keep nothing alive. */
export const abandonedClock: Clock = {
  ...testClock,
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs).unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

export class TestLogger implements Logger {
  readonly lines: { level: LogLevel; message: string; fields: LogFields }[] = [];

  log(level: LogLevel, message: string, fields: LogFields = {}): void {
    this.lines.push({ level, message, fields });
  }

  has(part: string): boolean {
    return this.lines.some((line) => line.message.includes(part));
  }
}

interface Teardown {
  teardown(work: () => Promise<void> | void): void;
}

/** A directory that is gone after the test. */
export async function temporaryDirectory(t: Teardown): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'bramble-storage-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Small: tests make many, and the ballast is really written. */
export const TEST_RESERVE_BYTES = 4_096;

export function openTest(directory: string, options: Partial<StorageOptions> = {}): Promise<Storage> {
  return openStorage({
    directory,
    clock: testClock,
    entropy: new Prng(1),
    logger: new TestLogger(),
    reserveBytes: TEST_RESERVE_BYTES,
    ...options,
  });
}

export function entry(index: number, data: string | Uint8Array = `entry ${index}`, term = 1): LogEntry {
  return { index, term, type: 'command', data: typeof data === 'string' ? utf8(data) : data };
}

export function entries(from: number, to: number, term = 1): LogEntry[] {
  return Array.from({ length: to - from }, (_, at) => entry(from + at, `entry ${from + at}`, term));
}

/** Waits for writes to become durable. One for each storage, made before its first write. */
export class DurableWatch {
  readonly reports: Durable[] = [];
  #waiting: { number: WriteNumber; resolve: () => void }[] = [];

  constructor(storage: Storage) {
    storage.onDurable((durable) => {
      this.reports.push(durable);
      this.#waiting = this.#waiting.filter(({ number, resolve }) => {
        if (number > durable.write) return true;
        resolve();
        return false;
      });
    });
  }

  get last(): Durable | null {
    return this.reports.at(-1) ?? null;
  }

  reach(number: WriteNumber): Promise<void> {
    if ((this.last?.write ?? 0) >= number) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ number, resolve }));
  }
}

/** Keeps the books that the state machine would: makes effects, and the manifest that fits them. */
export class LogBook {
  readonly logs = new Map<number, { info: LogInfo; records: Uint8Array[] }>();

  create(id: number, name: string): FileEffect {
    const info = { id, name, guard: null, start: 0, count: 0, bytes: 0, chain: 0 };
    this.logs.set(id, { info, records: [] });
    return { type: 'create', id, name };
  }

  append(id: number, text: string | Uint8Array): FileEffect {
    const data = typeof text === 'string' ? utf8(text) : text;
    const log = this.#log(id);
    const chain = crc32c(data, log.info.chain);
    const offset = log.info.count;
    log.info = { ...log.info, count: offset + 1, bytes: log.info.bytes + data.length, chain };
    log.records.push(data);
    return { type: 'append', id, offset, data, chain };
  }

  trim(id: number, before: number): FileEffect {
    const log = this.#log(id);
    log.info = { ...log.info, start: before };
    return { type: 'trim', id, before };
  }

  delete(id: number): FileEffect {
    const { name } = this.#log(id).info;
    this.logs.delete(id);
    return { type: 'delete', id, name };
  }

  #log(id: number): { info: LogInfo; records: Uint8Array[] } {
    const log = this.logs.get(id);
    if (log === undefined) throw new Error(`no log ${id}`);
    return log;
  }

  /** The bytes that a log's plain file must have. */
  plain(id: number): Buffer {
    const log = this.#log(id);
    return Buffer.concat(log.records.slice(log.info.start));
  }

  snapshot(index: number, term = 1): Snapshot {
    return {
      index,
      term,
      configuration: utf8('configuration'),
      machine: utf8(`machine at ${index}`),
      logs: [...this.logs.values()].map((log) => log.info),
    };
  }
}
