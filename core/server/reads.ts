/**
 * Reads: of records, keys, locks and logs. Linearizable ones wait until everything is applied that was committed when they
 * came (ReadIndex, Raft dissertation §6.4); a read that wants news is parked until there is some or its time is over.
 *
 * Nothing here is numbered or kept: a repeated read is simply read again.
 */

import { unreachable } from '../base/assert.ts';
import { CODES } from '../base/codes.ts';
import { DamageError } from '../base/errors.ts';
import { PAGE_BYTES_MAX, PAGE_RECORDS_MAX, PARK_MS_MAX, PARKED_READS_MAX } from '../base/limits.ts';
import type { Clock, Logger, Timer } from '../base/ports.ts';
import type { Effects } from '../state-machine/commands.ts';
import type { Machine } from '../state-machine/machine.ts';
import type { Storage } from '../storage/interface.ts';
import type { LockInfo, RequestBody, ResponseBody } from '../wire/client-messages.ts';
import type { Caller } from './client-service.ts';
import type { Counters } from './counters.ts';
import type { LeaseTable } from './leases.ts';

/** Reads of files that may be under way at once: each holds a page in memory. */
const FILE_READS_MAX = 256;
/** Of one page of a list. */
const LIST_LOGS_MAX = 1_000;
const LIST_LOCKS_MAX = 100;
const LIST_WAITERS_MAX = 1_000;

export type ReadBody = Extract<
  RequestBody,
  { type: 'read-log' | 'kv-get' | 'kv-list' | 'kv-changes' | 'lock-list' | 'log-list' }
>;
type Respond = (response: ResponseBody) => void;

interface Parked {
  readonly body: ReadBody;
  respond: Respond;
  readonly timer: Timer;
  /** What it waits for: a log's name, or all keys. */
  readonly topic: string;
}

export interface ReadsOptions {
  /** As it is now: a snapshot from the leader replaces it whole. */
  readonly machine: () => Machine;
  readonly storage: Storage;
  readonly leases: LeaseTable;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly logger: Logger;
  /** Calls back with the index that a linearizable read must see applied, or null if this server leads no more. */
  readonly confirm: (done: (index: number | null) => void) => void;
  readonly appliedIndex: () => number;
}

const KEYS_TOPIC = 'keys';
const logTopic = (log: string): string => `log ${log}`;

export class Reads {
  readonly #options: ReadsOptions;
  /** Linearizable reads whose index is not applied yet, in the order of their indexes. */
  #waiting: { readonly index: number; readonly run: () => void }[] = [];
  readonly #parked = new Map<string, Parked>();
  readonly #topics = new Map<string, Set<string>>();
  #fileReads = 0;

  constructor(options: ReadsOptions) {
    this.#options = options;
  }

  get parkedCount(): number {
    return this.#parked.size;
  }

  serve(caller: Caller, body: ReadBody, respond: Respond): void {
    const key = `${caller.remote.boot} ${caller.request}`;
    const parked = this.#parked.get(key);
    if (parked !== undefined) {
      parked.respond = respond;
      return respond({ type: 'ack' });
    }
    const run = (): void => this.#run(key, body, respond);
    if ('stale' in body && body.stale) return run();
    this.#options.confirm((index) => {
      if (index === null)
        return respond({ type: 'refused', code: CODES.unavailable, reason: 'no-leader', leader: '' });
      if (index <= this.#options.appliedIndex()) return run();
      this.#waiting.push({ index, run });
    });
  }

  /** Something was applied: reads that waited for it go on, and those that wanted such news. */
  applied(effects: Effects | null): void {
    const appliedIndex = this.#options.appliedIndex();
    while (this.#waiting.length > 0 && (this.#waiting[0]?.index ?? 0) <= appliedIndex)
      this.#waiting.shift()?.run();
    if (effects === null || this.#parked.size === 0) return;
    for (const log of effects.changedLogs) this.#wake(logTopic(log));
    if (effects.kvChanges.length > 0) this.#wake(KEYS_TOPIC);
  }

  #run(key: string, body: ReadBody, respond: Respond): void {
    const machine = this.#options.machine();
    switch (body.type) {
      case 'read-log':
        return this.#readLog(key, body, respond);
      case 'kv-get':
        return respond({ type: 'kv-value', entry: machine.kv.get(body.key), revision: machine.kv.revision });
      case 'kv-list':
        return this.#list(body, respond);
      case 'kv-changes':
        return this.#changes(key, body, respond);
      case 'lock-list':
        return this.#locks(body, respond);
      case 'log-list': {
        const page = machine.logsAfter(body.after, Math.min(body.limit, LIST_LOGS_MAX));
        return respond({ type: 'logs', ...page });
      }
      default:
        return unreachable(body);
    }
  }

  #readLog(key: string, body: Extract<ReadBody, { type: 'read-log' }>, respond: Respond): void {
    const machine = this.#options.machine();
    const { storage, counters } = this.#options;
    const log = machine.log(body.log);
    if (log === null)
      return respond({ type: 'refused', code: CODES.notFound, reason: 'no-such-log', leader: '' });
    if (body.from < log.start) {
      return respond({ type: 'refused', code: CODES.trimmed, reason: 'trimmed-away', leader: '' });
    }
    if (body.from >= log.count) {
      const empty: ResponseBody = { type: 'records', from: body.from, count: log.count, records: [] };
      if (body.waitMs === 0) return respond(empty);
      return this.#park(key, { body, respond, topic: logTopic(body.log) }, empty);
    }
    if (this.#fileReads >= FILE_READS_MAX) {
      return respond({ type: 'refused', code: CODES.unavailable, reason: 'queue-full', leader: '' });
    }
    const to = Math.min(log.count, body.from + Math.min(Math.max(1, body.limit), PAGE_RECORDS_MAX));
    this.#fileReads += 1;
    storage
      .readRecords(log.id, { from: body.from, to, bytesMax: PAGE_BYTES_MAX })
      .then(
        (records) => respond({ type: 'records', from: body.from, count: log.count, records }),
        (error: unknown) => this.#readFailed(body.log, error, respond),
      )
      .finally(() => {
        this.#fileReads -= 1;
      });
    counters.add('reads.records');
  }

  #readFailed(log: string, error: unknown, respond: Respond): void {
    const machine = this.#options.machine();
    const { counters, logger } = this.#options;
    // A log that was trimmed or deleted while it was being read is an ordinary thing; damage is not.
    if (error instanceof DamageError) {
      counters.add('reads.damaged');
      logger.log('error', error.message, { log, do: 'restore this node from its peers or a backup' });
      return respond({ type: 'refused', code: CODES.unavailable, reason: 'damaged', leader: '' });
    }
    counters.add('reads.failed');
    logger.log('warn', `Cannot read log "${log}": ${error instanceof Error ? error.message : String(error)}`);
    const gone = machine.log(log) === null;
    respond({
      type: 'refused',
      code: gone ? CODES.notFound : CODES.unavailable,
      reason: gone ? 'no-such-log' : 'trimmed-away',
      leader: '',
    });
  }

  #list(body: Extract<ReadBody, { type: 'kv-list' }>, respond: Respond): void {
    const { kv } = this.#options.machine();
    const page = kv.list(body.prefix, body.after, Math.min(body.limit, PAGE_RECORDS_MAX));
    respond({ type: 'kv-entries', ...page, revision: kv.revision });
  }

  #changes(key: string, body: Extract<ReadBody, { type: 'kv-changes' }>, respond: Respond): void {
    const found = this.#options.machine().kv.changesSince(body.since, body.prefix);
    if (found === 'trimmed') {
      return respond({ type: 'refused', code: CODES.trimmed, reason: 'history-trimmed', leader: '' });
    }
    const response: ResponseBody = { type: 'kv-changes', ...found };
    if (found.changes.length > 0 || body.waitMs === 0) return respond(response);
    this.#park(key, { body, respond, topic: KEYS_TOPIC }, response);
  }

  #locks(body: Extract<ReadBody, { type: 'lock-list' }>, respond: Respond): void {
    const machine = this.#options.machine();
    const { leases, clock } = this.#options;
    const now = clock.now();
    const page = machine.locksAfter(body.after, Math.min(body.limit, LIST_LOCKS_MAX));
    const locks: LockInfo[] = page.locks.map(({ lock, grants, waiters }) => ({
      lock,
      grants: grants.map((grant) => ({
        ...grant,
        remainingMs: (leases.get(grant.token)?.expiresAt ?? now) - now,
      })),
      // A queue of thousands is for counting, not for one message.
      waiters: waiters.slice(0, LIST_WAITERS_MAX),
    }));
    respond({ type: 'locks', locks, more: page.more });
  }

  #park(key: string, read: Pick<Parked, 'body' | 'respond' | 'topic'>, whenOver: ResponseBody): void {
    if (this.#parked.size >= PARKED_READS_MAX) {
      return read.respond({ type: 'refused', code: CODES.unavailable, reason: 'queue-full', leader: '' });
    }
    const waitMs = 'waitMs' in read.body ? Math.min(read.body.waitMs, PARK_MS_MAX) : 0;
    const timer = this.#options.clock.after(waitMs, () => this.#unpark(key)?.respond(whenOver));
    this.#parked.set(key, { ...read, timer });
    const keys = this.#topics.get(read.topic);
    if (keys === undefined) this.#topics.set(read.topic, new Set([key]));
    else keys.add(key);
  }

  #unpark(key: string): Parked | null {
    const parked = this.#parked.get(key);
    if (parked === undefined) return null;
    parked.timer.cancel();
    this.#parked.delete(key);
    const keys = this.#topics.get(parked.topic);
    keys?.delete(key);
    if (keys?.size === 0) this.#topics.delete(parked.topic);
    return parked;
  }

  #wake(topic: string): void {
    for (const key of [...(this.#topics.get(topic) ?? [])]) {
      const parked = this.#unpark(key);
      // It was linearizable when it was parked, and this server has applied more since.
      if (parked !== null) this.#run(key, parked.body, parked.respond);
    }
  }

  /** Leadership is gone, or the server stops: whoever waits asks elsewhere. */
  stopServing(): void {
    for (const key of [...this.#parked.keys()]) {
      this.#unpark(key)?.respond({
        type: 'refused',
        code: CODES.unavailable,
        reason: 'not-leader',
        leader: '',
      });
    }
    this.#waiting = [];
  }
}
