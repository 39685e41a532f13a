/**
 * A client of the service: what people use of this library. It holds no socket, clock or randomness of its own; core/index.ts
 * hands in Node's, tests and the simulator hand in theirs.
 *
 * Sessions are opened by the first request that changes something: reads, ping and status write nothing anywhere.
 */

import { UsageError } from '../base/errors.ts';
import { ANSWER_TIMEOUT_MS, PAGE_RECORDS_MAX, SERVERS_MAX } from '../base/limits.ts';
import { type Clock, type Entropy, type Logger, SILENT_LOGGER } from '../base/ports.ts';
import type { LogInfo } from '../state-machine/commands.ts';
import type { Address, Endpoint } from '../transport/interface.ts';
import type { LockInfo } from '../wire/client-messages.ts';
import {
  AppendLogs,
  type AppendOptions,
  type LogRecord,
  type ReadOptions,
  type ReadResult,
  type TailOptions,
} from './append-log.ts';
import { Channel } from './channel.ts';
import { KeyValues } from './kv.ts';
import { LeaderTracker } from './leader-tracker.ts';
import type { LockHandle } from './lock.ts';
import { type LockOptions, Locks } from './locks.ts';
import { Members } from './members.ts';
import { Reader } from './reader.ts';
import { Sessions } from './sessions.ts';
import { type ClusterStatus, type Pinged, pingAll, statusOfAll } from './status.ts';

export interface ClientOptions {
  readonly endpoint: Endpoint;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger?: Logger;
  /** Numeric addresses; at least one. */
  readonly servers: readonly Address[];
  /** Bounds one answer, in milliseconds; never a wait for a lock. 10,000 by default. */
  readonly timeoutMs?: number;
}

export class Client {
  /** Keys and values. */
  readonly kv: KeyValues;
  /** The logs themselves: list, create, delete, trim. */
  readonly logs: {
    list(): Promise<LogInfo[]>;
    create(log: string, options?: { readonly guard?: string }): Promise<{ readonly id: number }>;
    delete(log: string): Promise<void>;
    trim(log: string, before: number): Promise<void>;
  };
  /** All locks that anybody holds or awaits. */
  readonly locks: {
    list(): Promise<LockInfo[]>;
    forceRelease(name: string): Promise<void>;
  };
  /** The clock on which deadlines are. Milliseconds, monotonic. */
  readonly clock: Clock;
  /** Who is in the cluster and who leads it. */
  readonly members: Members;
  readonly #channel: Channel;
  readonly #sessions: Sessions;
  readonly #reader: Reader;
  readonly #appendLogs: AppendLogs;
  readonly #locks: Locks;
  readonly #timeoutMs: number;
  #closing: Promise<void> | null = null;

  constructor(options: ClientOptions) {
    const { endpoint, clock, entropy, servers, timeoutMs = ANSWER_TIMEOUT_MS } = options;
    if (servers.length === 0 || servers.length > SERVERS_MAX) {
      throw new UsageError(`Cannot connect: ${servers.length} servers, not 1 to ${SERVERS_MAX}`);
    }
    if (!(timeoutMs > 0) || !Number.isFinite(timeoutMs)) {
      throw new UsageError(`Cannot connect: timeoutMs is ${timeoutMs}, not a number of milliseconds above 0`);
    }
    const tracker = new LeaderTracker(servers);
    const logger = options.logger ?? SILENT_LOGGER;
    this.clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#channel = new Channel({ endpoint, clock, entropy, tracker, logger });
    this.#sessions = new Sessions(this.#channel, { timeoutMs, profile: 'default' });
    this.#reader = new Reader(this.#channel, timeoutMs);
    const logs = new AppendLogs(this.#sessions, this.#reader);
    const locks = new Locks(this.#channel, this.#sessions, timeoutMs);
    this.#appendLogs = logs;
    this.#locks = locks;
    this.members = new Members(this.#channel, this.#timeoutMs);
    this.kv = new KeyValues(this.#sessions, this.#reader);
    this.logs = logs;
    this.locks = { list: () => this.#listLocks(), forceRelease: (name) => locks.forceRelease(name) };
  }

  /**
   * Each server's round trip, in the order of the servers given.
   *
   * @throws UnreachableError if none answers
   */
  ping(): Promise<Pinged[]> {
    return pingAll(this.#channel, this.#timeoutMs);
  }

  /** @throws UnreachableError if no server answers */
  status(): Promise<ClusterStatus> {
    return statusOfAll(this.#channel, this.#timeoutMs);
  }

  /**
   * Waits for a lock, in the order in which requests came, and holds it until it is released or lost.
   *
   * @throws RefusedError code 2 with reason lock-is-held (`try`) or wait-cancelled (`waitMs` is over)
   * @throws UnreachableError if no server could be asked, UnknownOutcomeError if none answered any more; the request is then
   *   taken back as soon as a server can be reached
   */
  lock(name: string, options: LockOptions = {}): Promise<LockHandle> {
    return this.#locks.acquire(name, options);
  }

  /**
   * Appends one record of 1 byte to 1 MiB; text as its UTF-8. Resolves when a majority has it on disk.
   *
   * @throws LockLostError, with nothing sent, if the lock given is not held any more
   * @throws RefusedError code 1 (no such log) or 2 (guarded, and the token is not the current exclusive one)
   * @throws UnknownOutcomeError if no answer came: it may have been appended
   */
  append(
    log: string,
    data: string | Uint8Array,
    options: AppendOptions = {},
  ): Promise<{ readonly offset: number }> {
    return this.#appendLogs.append(log, data, options);
  }

  /**
   * Records in the order of their offsets.
   *
   * @throws RefusedError code 1 (no such log) or 8 (trimmed away)
   */
  read(log: string, options: ReadOptions = {}): Promise<ReadResult> {
    return this.#appendLogs.read(log, options);
  }

  /** The records of a log, and those to come, until the caller stops. Errors as for `read`. */
  tail(log: string, options: TailOptions = {}): AsyncGenerator<LogRecord, void, undefined> {
    return this.#appendLogs.tail(log, options);
  }

  async #listLocks(): Promise<LockInfo[]> {
    const locks: LockInfo[] = [];
    for (let after = ''; ; ) {
      const body = { type: 'lock-list', after, limit: PAGE_RECORDS_MAX } as const;
      const page = await this.#reader.ask({ action: 'Cannot list the locks' }, body, 'locks');
      locks.push(...page.locks);
      const last = page.locks.at(-1);
      if (!page.more || last === undefined) return locks;
      after = last.lock;
    }
  }

  /** Waits for what is under way, gives back every lock and closes the sessions and the socket. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#locks.close();
    await this.#sessions.close();
    await this.#channel.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
