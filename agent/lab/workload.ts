/**
 * Real clients at work: each locks, appends under its token, reads, and changes keys, and writes what it asked and was told
 * into the history. They go on through every fault; what they may not do is ask again after an unknown outcome under the
 * same client number.
 */

import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { BrambleError, type Client, connect, type LockHandle } from 'bramble';
import type { History } from './history.ts';

export interface WorkloadOptions {
  readonly servers: readonly string[];
  readonly keyFile: string;
  readonly history: History;
  /** How many work at once. */
  readonly clients: number;
  /** Ends the work. */
  readonly signal: AbortSignal;
}

/** The locks and the logs that each guards. */
export const GUARDED: Readonly<Record<string, readonly string[]>> = {
  files: ['file_0', 'file_1', 'file_2', 'file_3'],
  ledger: ['ledger'],
};
const KEYS = ['colour', 'count', 'owner'];
/** Between two rounds of one client, so that a lab leaves the machine usable. */
const PAUSE_MS = [5, 40] as const;
const ANSWER_MS_MAX = 3_000;
const WAIT_MS_MAX = 5_000;

export class Workload {
  readonly #options: WorkloadOptions;
  readonly #workers: Promise<void>[] = [];

  constructor(options: WorkloadOptions) {
    this.#options = options;
  }

  start(): void {
    for (let index = 0; index < this.#options.clients; index++) this.#workers.push(this.#work());
  }

  /** Resolves when every client has finished its last operation and said goodbye. */
  async ended(): Promise<void> {
    await Promise.all(this.#workers);
  }

  async #work(): Promise<void> {
    const { servers, keyFile, history, signal } = this.#options;
    const client = await connect({ servers, keyFile, timeoutMs: ANSWER_MS_MAX });
    try {
      let worker = new Worker(client, history);
      while (!signal.aborted) {
        const fine = await worker.round();
        if (!fine) worker = new Worker(client, history);
        await sleep(randomInt(...PAUSE_MS));
      }
    } finally {
      await client.close();
    }
  }
}

/** One client number of the history. */
class Worker {
  readonly #client: Client;
  readonly #history: History;
  readonly #number: number;
  #serial = 0;

  constructor(client: Client, history: History) {
    this.#client = client;
    this.#history = history;
    this.#number = history.newClient();
  }

  /** False when an outcome is unknown, so that this number must not be used again. */
  async round(): Promise<boolean> {
    try {
      const kind = randomInt(10);
      if (kind < 6) await this.#locked(kind < 4 ? 'files' : 'ledger');
      else if (kind < 9) await this.#keys();
      else await this.#read();
      return true;
    } catch (error) {
      if (error instanceof BrambleError) return error.definite;
      throw error;
    }
  }

  async #locked(lock: string): Promise<void> {
    const arg = { shared: false, owner: `${this.#number}.${++this.#serial}`, depth: 1 };
    const handle = await this.#record(
      { op: 'acquire', key: lock, arg },
      () => this.#client.lock(lock, { waitMs: WAIT_MS_MAX }),
      ({ token }) => ({ token }),
    );
    const lost = (): void => {
      const { token, deadline } = handle;
      this.#history.lost({ client: this.#number, key: lock, token, heldUntilMs: deadline });
    };
    handle.signal.addEventListener('abort', lost, { once: true });
    let inDoubt = false;
    try {
      for (let left = randomInt(1, 4); left > 0; left--) await this.#append(handle);
    } catch (error) {
      inDoubt = !(error instanceof BrambleError && error.definite);
      throw error;
    } finally {
      await this.#release(handle, inDoubt ? this.#history.newClient() : this.#number);
      handle.signal.removeEventListener('abort', lost);
    }
  }

  async #append(handle: LockHandle): Promise<void> {
    const logs = GUARDED[handle.name] as readonly string[];
    const log = logs[randomInt(logs.length)] as string;
    const data = `client ${this.#number} record ${++this.#serial}\n`;
    await this.#record(
      { op: 'append', key: log, arg: { data, lock: handle.name, token: handle.token } },
      () => this.#client.append(log, data, { lock: handle }),
      ({ offset }) => ({ offset }),
    );
  }

  /** A lock that was lost on the way is not released: it is not ours. After a doubt another number says so. */
  async #release(handle: LockHandle, client: number): Promise<void> {
    if (handle.signal.aborted) return;
    await this.#history.record(
      { client, op: 'release', key: handle.name, arg: { token: handle.token } },
      () => handle.release(),
      () => null,
    );
  }

  async #keys(): Promise<void> {
    const { kv } = this.#client;
    const key = KEYS[randomInt(KEYS.length)] as string;
    const value = `${this.#number}.${++this.#serial}`;
    switch (randomInt(4)) {
      case 0:
        await this.#record(
          { op: 'put', key, arg: value },
          () => kv.put(key, value),
          () => null,
        );
        return;
      case 1: {
        const found = await this.#get(key);
        const arg = { expect: found, value };
        await this.#record(
          { op: 'cas', key, arg },
          () => kv.cas(key, found, value),
          () => null,
        );
        return;
      }
      case 2:
        await this.#record(
          { op: 'delete', key, arg: null },
          () => kv.delete(key),
          () => null,
        );
        return;
      default:
        await this.#get(key);
    }
  }

  async #get(key: string): Promise<string | null> {
    const entry = await this.#record(
      { op: 'get', key, arg: null },
      () => this.#client.kv.get(key),
      (found) => found?.value ?? null,
    );
    return entry?.value ?? null;
  }

  async #read(): Promise<void> {
    const log = GUARDED.files?.[randomInt(4)] as string;
    const arg = { from: randomInt(20), limit: 10 };
    await this.#record(
      { op: 'read', key: log, arg },
      () => this.#client.read(log, arg),
      ({ records }) => records.map((record) => ({ offset: record.offset, data: record.text })),
    );
  }

  #record<T>(
    what: {
      readonly op: 'acquire' | 'release' | 'append' | 'read' | 'put' | 'get' | 'cas' | 'delete';
      readonly key: string;
      readonly arg: unknown;
    },
    run: () => Promise<T>,
    result: (value: T) => unknown,
  ): Promise<T> {
    return this.#history.record({ client: this.#number, ...what }, run, result);
  }
}
