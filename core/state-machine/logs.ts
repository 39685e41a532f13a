/**
 * The append-only logs: what they are called, what guards them, how long they are. Their records are in the files; here
 * are only counts and the chain value, the CRC-32C over all records so far.
 *
 * Invariants: start ≤ count; count, bytes and chain change only by an append; ids come from one counter and are never used
 * again, also not for a log of the same name.
 */

import { assert } from '../base/assert.ts';
import { CODES } from '../base/codes.ts';
import { crc32c } from '../base/crc32c.ts';
import { COUNTER_MAX, LOGS_MAX } from '../base/limits.ts';
import { done, refused } from './answers.ts';
import type { Answer, LogInfo } from './commands.ts';
import type { EffectsDraft } from './effects.ts';
import { SortedNames } from './sorted-names.ts';

type LogRecord = { -readonly [K in keyof LogInfo]: LogInfo[K] };

export class Logs {
  #nextId = 1;
  readonly #logs = new Map<string, LogRecord>();
  readonly #byId = new Map<number, LogRecord>();
  readonly #names = new SortedNames();

  get nextId(): number {
    return this.#nextId;
  }

  get size(): number {
    return this.#logs.size;
  }

  one(name: string): LogInfo | null {
    const log = this.#logs.get(name);
    return log === undefined ? null : { ...log };
  }

  byId(id: number): LogInfo | null {
    const log = this.#byId.get(id);
    return log === undefined ? null : { ...log };
  }

  /** Logs in the order of their names, after `name`. */
  *after(name: string): Generator<LogInfo> {
    for (const next of this.#names.after(name)) yield this.one(next) as LogInfo;
  }

  create(name: string, guard: string | null, draft: EffectsDraft): Answer {
    if (this.#logs.has(name)) return refused(CODES.comparisonFailed, 'log-exists');
    if (this.#logs.size >= LOGS_MAX) return refused(CODES.badRequest, 'too-many-logs');
    assert(this.#nextId < COUNTER_MAX, 'log counter exhausted');
    const id = this.#nextId++;
    this.#insert({ id, name, guard, start: 0, count: 0, bytes: 0, chain: 0 });
    draft.files.push({ type: 'create', id, name });
    draft.changedLogs.push(name);
    return done(id);
  }

  delete(name: string, draft: EffectsDraft): Answer {
    const log = this.#logs.get(name);
    if (log === undefined) return refused(CODES.notFound, 'no-such-log');
    this.#logs.delete(name);
    this.#byId.delete(log.id);
    this.#names.remove(name);
    draft.files.push({ type: 'delete', id: log.id, name });
    draft.changedLogs.push(name);
    return done();
  }

  /** Records below `before` go. What is gone already is no mistake. */
  trim(name: string, before: number, draft: EffectsDraft): Answer {
    const log = this.#logs.get(name);
    if (log === undefined) return refused(CODES.notFound, 'no-such-log');
    if (before > log.count) return refused(CODES.badRequest, 'bad-range');
    if (before > log.start) {
      log.start = before;
      draft.files.push({ type: 'trim', id: log.id, before });
      draft.changedLogs.push(name);
    }
    return done();
  }

  /** One more record. The fence was checked. */
  append(name: string, data: Uint8Array, draft: EffectsDraft): Answer {
    const log = this.#logs.get(name);
    assert(log !== undefined, `append to unknown log ${name}`);
    assert(log.bytes + data.length < COUNTER_MAX, `log ${name} is full`);
    const offset = log.count++;
    log.bytes += data.length;
    log.chain = crc32c(data, log.chain);
    draft.files.push({ type: 'append', id: log.id, offset, data, chain: log.chain });
    draft.changedLogs.push(name);
    return done(offset);
  }

  image(): LogInfo[] {
    return [...this.after('')];
  }

  load(nextId: number, logs: readonly LogInfo[]): void {
    this.#nextId = nextId;
    for (const log of logs) this.#insert({ ...log });
  }

  #insert(log: LogRecord): void {
    this.#logs.set(log.name, log);
    this.#byId.set(log.id, log);
    this.#names.add(log.name);
  }
}
