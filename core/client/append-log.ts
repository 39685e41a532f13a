/**
 * Append-only logs: appending under a fence, reading pages, and following a log as it grows.
 *
 * Invariants: an append under a handle is not sent unless the handle is held then; records come in the order of their
 * offsets, each once, without gaps.
 */

import { utf8, utf8Text } from '../base/bytes.ts';
import { CODES } from '../base/codes.ts';
import { UsageError } from '../base/errors.ts';
import {
  NAME_PATTERN,
  PAGE_RECORDS_MAX,
  PARK_MS_DEFAULT,
  READ_RECORDS_DEFAULT,
  RECORD_BYTES_MAX,
  RECORD_BYTES_MIN,
} from '../base/limits.ts';
import type { LogInfo } from '../state-machine/commands.ts';
import { HeldLock, type LockHandle } from './lock.ts';
import { type About, refusal } from './outcome.ts';
import type { Reader } from './reader.ts';
import type { Sessions } from './sessions.ts';

/** One record of a log. */
export class LogRecord {
  readonly log: string;
  /** The record's ordinal, from 0. */
  readonly offset: number;
  readonly data: Uint8Array;

  constructor(log: string, offset: number, data: Uint8Array) {
    this.log = log;
    this.offset = offset;
    this.data = data;
  }

  /** The data as text, or null if it is not UTF-8. */
  get text(): string | null {
    return utf8Text(this.data);
  }
}

export interface AppendOptions {
  /** A held lock that guards the log. */
  readonly lock?: LockHandle;
  /** The same for a lock that somebody else holds and has told the token of. */
  readonly token?: { readonly lock: string; readonly token: number };
}

export interface ReadOptions {
  /** The first offset; 0 by default. */
  readonly from?: number;
  /** At most so many records; 4,096 by default. */
  readonly limit?: number;
  /** Any server may answer with what it has applied. */
  readonly stale?: boolean;
}

export interface ReadResult {
  readonly records: readonly LogRecord[];
  /** The offset after the last record read: where to go on. */
  readonly next: number;
  /** The log's next offset when it was read last. */
  readonly count: number;
}

export interface TailOptions {
  /** The first offset; 0 by default. */
  readonly from?: number;
  /** Ends the iteration, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** False: stop at the end of the log instead of waiting for more. */
  readonly follow?: boolean;
}

/** A log's name checked, or UsageError. */
export function checkName(name: string, action: string): void {
  if (typeof name === 'string' && NAME_PATTERN.test(name)) return;
  throw new UsageError(
    `${action}: a name is 1 to 64 of A-Z a-z 0-9 . _ - and does not begin with "."`,
    'bad-name',
  );
}

function checkOffset(value: number, what: string, action: string): void {
  if (Number.isSafeInteger(value) && value >= 0) return;
  throw new UsageError(`${action}: ${what} is ${value}, not a whole number from 0`, 'bad-range');
}

export class AppendLogs {
  readonly #sessions: Sessions;
  readonly #reader: Reader;

  constructor(sessions: Sessions, reader: Reader) {
    this.#sessions = sessions;
    this.#reader = reader;
  }

  async append(
    log: string,
    data: string | Uint8Array,
    options: AppendOptions = {},
  ): Promise<{ readonly offset: number }> {
    const action = `Cannot append to "${log}"`;
    checkName(log, action);
    const bytes = typeof data === 'string' ? utf8(data) : data;
    if (bytes.length < RECORD_BYTES_MIN || bytes.length > RECORD_BYTES_MAX) {
      throw new UsageError(
        `${action}: a record has ${RECORD_BYTES_MIN} to ${RECORD_BYTES_MAX} bytes, not ${bytes.length}`,
        'bad-size',
      );
    }
    const { lock: handle = null } = options;
    if (handle !== null && !(handle instanceof HeldLock)) {
      throw new UsageError(`${action}: lock is no handle of this library's lock()`);
    }
    if (handle !== null && options.token !== undefined) {
      throw new UsageError(`${action}: give a lock or a token, not both`);
    }
    const fence = handle === null ? (options.token ?? null) : { lock: handle.name, token: handle.token };
    if (fence !== null) {
      checkName(fence.lock, `${action} under lock "${fence.lock}"`);
      checkOffset(fence.token, 'the token', action);
    }
    handle?.assertHeld(action);
    const about: About = { action, log, ...(fence ?? {}) };
    // Checked once more when it is sent: it may have waited for its place.
    const onStart = (): void => handle?.assertHeld(action);
    const performing = this.#sessions.perform(
      about,
      { type: 'append', log, data: bytes, fence },
      { onStart },
    );
    const answer = await (handle === null ? performing : handle.track(performing));
    if (answer.code === CODES.done) return { offset: answer.value };
    const refused = refusal({ ...about, currentToken: answer.value }, answer.code, answer.reason);
    if (answer.reason === 'token-not-current') {
      handle?.lose(`lock "${handle.name}" (token ${handle.token}) is lost: an append under it was refused`);
    }
    throw refused;
  }

  async read(log: string, options: ReadOptions = {}): Promise<ReadResult> {
    const { from = 0, limit = READ_RECORDS_DEFAULT, stale = false } = options;
    const action = `Cannot read "${log}"`;
    checkName(log, action);
    checkOffset(from, 'from', action);
    checkOffset(limit, 'limit', action);
    const records: LogRecord[] = [];
    let count = from;
    for (;;) {
      const page = await this.#page({
        log,
        from: from + records.length,
        limit: limit - records.length,
        stale,
      });
      records.push(...page.records);
      count = page.count;
      const next = from + records.length;
      if (page.records.length === 0 || records.length >= limit || next >= count)
        return { records, next, count };
    }
  }

  async *tail(log: string, options: TailOptions = {}): AsyncGenerator<LogRecord, void, undefined> {
    const { from = 0, follow = true, signal } = options;
    const action = `Cannot read "${log}"`;
    checkName(log, action);
    checkOffset(from, 'from', action);
    for (let next = from; ; ) {
      const waitMs = follow ? PARK_MS_DEFAULT : 0;
      const page = await this.#page({
        log,
        from: next,
        limit: PAGE_RECORDS_MAX,
        stale: false,
        waitMs,
        signal,
      });
      for (const record of page.records) {
        signal?.throwIfAborted();
        yield record;
      }
      next += page.records.length;
      if (!follow && next >= page.count) return;
    }
  }

  async #page(asked: {
    log: string;
    from: number;
    limit: number;
    stale: boolean;
    waitMs?: number;
    signal?: AbortSignal | undefined;
  }): Promise<{ records: LogRecord[]; count: number }> {
    const { log, from, stale, waitMs = 0, signal } = asked;
    const limit = Math.min(asked.limit, PAGE_RECORDS_MAX);
    const about: About = { action: `Cannot read "${log}" from ${from}`, log };
    const body = { type: 'read-log', log, from, limit, waitMs, stale } as const;
    const answer = await this.#reader.ask(about, body, 'records', signal);
    const records = answer.records
      .slice(0, limit)
      .map((data, index) => new LogRecord(log, from + index, data));
    return { records, count: answer.count };
  }

  // --- the logs themselves -----------------------------------------------------------------------------------------------

  async list(): Promise<LogInfo[]> {
    const logs: LogInfo[] = [];
    for (let after = ''; ; ) {
      const body = { type: 'log-list', after, limit: PAGE_RECORDS_MAX } as const;
      const page = await this.#reader.ask({ action: 'Cannot list the logs' }, body, 'logs');
      logs.push(...page.logs);
      const last = page.logs.at(-1);
      if (!page.more || last === undefined) return logs;
      after = last.name;
    }
  }

  /** Creates a log; with a guard, it takes appends only under that lock's current exclusive token. */
  async create(log: string, options: { readonly guard?: string } = {}): Promise<{ readonly id: number }> {
    const action = `Cannot create log "${log}"`;
    checkName(log, action);
    const guard = options.guard ?? null;
    if (guard !== null) checkName(guard, `${action} guarded by "${guard}"`);
    const answer = await this.#sessions.perform({ action, log }, { type: 'create-log', log, guard });
    if (answer.code !== CODES.done) throw refusal({ action, log }, answer.code, answer.reason);
    return { id: answer.value };
  }

  async delete(log: string): Promise<void> {
    const action = `Cannot delete log "${log}"`;
    checkName(log, action);
    const answer = await this.#sessions.perform({ action, log }, { type: 'delete-log', log });
    if (answer.code !== CODES.done) throw refusal({ action, log }, answer.code, answer.reason);
  }

  /** Lets go of the records below `before`; offsets stay as they are. */
  async trim(log: string, before: number): Promise<void> {
    const action = `Cannot trim log "${log}" below ${before}`;
    checkName(log, action);
    checkOffset(before, 'before', action);
    const answer = await this.#sessions.perform({ action, log }, { type: 'trim-log', log, before });
    if (answer.code !== CODES.done) throw refusal({ action, log }, answer.code, answer.reason);
  }
}
