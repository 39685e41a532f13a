/**
 * The coursework's calls: init, acquire, append, release, close, one at a time, each ending in its numeric code.
 *
 * Two profiles. The coursework's own has its times exactly: a resend every 2 s, five transmissions without any answer and
 * then an error, 1 s of patience for an ACK, a lease of 2 s that nobody renews; it has no deadline of its own,
 * so only the server's answers (code 2) tell that the lock is gone. The default one adapts and renews like the rest of the
 * library, and is a thin layer over it.
 *
 * Invariant: a call begins when the one before has ended, so that one request at most is under way.
 */

import { utf8 } from '../base/bytes.ts';
import { CODES, type Code } from '../base/codes.ts';
import { BrambleError, LockLostError, UsageError } from '../base/errors.ts';
import { COURSEWORK_RESEND_MS, COURSEWORK_TTL_MS, FILES_LOCK, RECORD_BYTES_MAX } from '../base/limits.ts';
import { type Clock, type Entropy, type Logger, SILENT_LOGGER } from '../base/ports.ts';
import type { Operation } from '../state-machine/commands.ts';
import type { Address, Endpoint } from '../transport/interface.ts';
import { COURSEWORK_PACE } from './backoff.ts';
import { Channel } from './channel.ts';
import { Client } from './client.ts';
import { LeaderTracker } from './leader-tracker.ts';
import type { LockHandle } from './lock.ts';
import { type About, failure, refusal } from './outcome.ts';
import { Sessions } from './sessions.ts';

export type RpcProfile = 'coursework' | 'default';

/** What a connection stands on once it has a socket. */
export interface RpcGround {
  readonly endpoint: Endpoint;
  readonly server: Address;
}

export interface RpcPorts {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger?: Logger;
  /** Binds `sourcePort` (0: any) and resolves the server's address. */
  open(sourcePort: number, serverPort: number, serverHost: string): Promise<RpcGround>;
}

/** One profile's way to carry out the calls. A call that is refused throws; `code` turns that into a number. */
interface Engine {
  init(): Promise<void>;
  acquire(): Promise<void>;
  append(name: string, data: Uint8Array): Promise<void>;
  release(): Promise<void>;
  close(): Promise<void>;
}

export class RpcCalls {
  readonly #ports: RpcPorts;
  readonly #profile: RpcProfile;
  #engine: Engine | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #message = '';

  constructor(ports: RpcPorts, profile: RpcProfile) {
    this.#ports = ports;
    this.#profile = profile;
  }

  /** What the last call came to, in words: "Connected!", "Disconnected!", or why it was refused. */
  get message(): string {
    return this.#message;
  }

  init(sourcePort: number, serverPort: number, serverHost: string): Promise<Code> {
    return this.#call('Connected!', async () => {
      if (this.#engine !== null) throw new UsageError('Cannot connect: this connection is open already');
      const ground = await this.#ports.open(sourcePort, serverPort, serverHost);
      const engine =
        this.#profile === 'coursework'
          ? new CourseworkEngine(ground, this.#ports)
          : new AdaptiveEngine(ground, this.#ports);
      try {
        await engine.init();
      } catch (error) {
        await ground.endpoint.close();
        throw error;
      }
      this.#engine = engine;
    });
  }

  acquire(): Promise<Code> {
    return this.#call('', () => this.#open.acquire());
  }

  append(name: string, data: string | Uint8Array): Promise<Code> {
    return this.#call('', async () => {
      const bytes = typeof data === 'string' ? utf8(data) : data;
      if (bytes.length > RECORD_BYTES_MAX) {
        const message = `Cannot append to "${name}": ${bytes.length} bytes, more than ${RECORD_BYTES_MAX}`;
        throw new UsageError(message, 'bad-size');
      }
      await this.#open.append(name, bytes);
    });
  }

  release(): Promise<Code> {
    return this.#call('', () => this.#open.release());
  }

  close(): Promise<Code> {
    return this.#call('Disconnected!', async () => {
      const engine = this.#open;
      this.#engine = null;
      await engine.close();
    });
  }

  get #open(): Engine {
    if (this.#engine === null) {
      throw new Error('Cannot call the server: this connection is not open; call RPC_init first');
    }
    return this.#engine;
  }

  /** Waits for its turn, then runs; resolves to the code, or rejects where there is none because nothing is known. */
  #call(message: string, run: () => Promise<void>): Promise<Code> {
    const result = this.#turn.then(async (): Promise<Code> => {
      try {
        await run();
        this.#message = message;
        return CODES.done;
      } catch (error) {
        this.#message = error instanceof Error ? error.message : String(error);
        if (error instanceof BrambleError && error.code !== null && error.definite) return error.code;
        throw error;
      }
    });
    this.#turn = result.catch(() => {});
    return result;
  }
}

/** The connection's only owner: acquiring again while it holds the lock enters it once more. */
const OWNER = 1;

class CourseworkEngine implements Engine {
  readonly #channel: Channel;
  readonly #sessions: Sessions;
  /** Of the last grant, until it is released or a release was refused: the server judges it, not this side. */
  #token: number | null = null;

  constructor({ endpoint, server }: RpcGround, { clock, entropy, logger = SILENT_LOGGER }: RpcPorts) {
    const tracker = new LeaderTracker([server]);
    this.#channel = new Channel({ endpoint, clock, entropy, tracker, logger });
    const timeoutMs = Number.POSITIVE_INFINITY;
    this.#sessions = new Sessions(this.#channel, { timeoutMs, profile: 'coursework', pace: COURSEWORK_PACE });
  }

  init(): Promise<void> {
    return this.#sessions.open({ action: 'Cannot connect' });
  }

  async #perform(about: About, operation: Operation): Promise<number> {
    const answer = await this.#sessions.perform(about, operation);
    if (answer.code === CODES.done) return answer.value;
    throw refusal({ ...about, currentToken: answer.value }, answer.code, answer.reason);
  }

  async acquire(): Promise<void> {
    const about: About = { action: `Cannot acquire lock "${FILES_LOCK}"`, lock: FILES_LOCK };
    const operation = {
      type: 'acquire',
      lock: FILES_LOCK,
      owner: OWNER,
      mode: 'exclusive',
      ttlMs: COURSEWORK_TTL_MS,
      resendMs: COURSEWORK_RESEND_MS,
      wait: true,
    } as const;
    for (;;) {
      try {
        this.#token = await this.#perform(about, operation);
        return;
      } catch (error) {
        // This client was stopped for a while and lost its place: it queues again.
        if (!(error instanceof BrambleError) || error.reason !== 'waiter-not-heard') throw error;
      }
    }
  }

  async append(name: string, data: Uint8Array): Promise<void> {
    const fence = this.#token === null ? null : { lock: FILES_LOCK, token: this.#token };
    const about: About = { action: `Cannot append to "${name}"`, log: name, ...(fence ?? {}) };
    await this.#perform(about, { type: 'append', log: name, data, fence });
  }

  async release(): Promise<void> {
    const token = this.#token ?? 0;
    const about: About = { action: `Cannot release lock "${FILES_LOCK}"`, lock: FILES_LOCK, token };
    try {
      const depth = await this.#perform(about, { type: 'release', lock: FILES_LOCK, owner: OWNER, token });
      if (depth === 0) this.#token = null;
    } catch (error) {
      if (error instanceof BrambleError && error.code === CODES.notHolder) this.#token = null;
      throw error;
    }
  }

  async close(): Promise<void> {
    const failed = await this.#sessions.close(Number.POSITIVE_INFINITY);
    await this.#channel.close();
    if (failed !== null) throw failure({ action: 'Cannot disconnect' }, failed, Number.POSITIVE_INFINITY);
  }
}

class AdaptiveEngine implements Engine {
  readonly #client: Client;
  #handle: LockHandle | null = null;

  constructor({ endpoint, server }: RpcGround, ports: RpcPorts) {
    const { clock, entropy, logger = SILENT_LOGGER } = ports;
    this.#client = new Client({ endpoint, clock, entropy, logger, servers: [server] });
  }

  async init(): Promise<void> {
    await this.#client.ping();
  }

  async acquire(): Promise<void> {
    if (this.#handle?.held === true) {
      await this.#handle.reenter();
      return;
    }
    this.#handle = await this.#client.lock(FILES_LOCK);
  }

  async append(name: string, data: Uint8Array): Promise<void> {
    const lock = this.#handle === null ? {} : { lock: this.#handle };
    await this.#client.append(name, data, lock);
  }

  async release(): Promise<void> {
    const handle = this.#handle;
    if (handle?.held !== true) {
      this.#handle = null;
      throw new LockLostError(`Cannot release lock "${FILES_LOCK}": this connection does not hold it`);
    }
    try {
      await handle.release();
    } finally {
      if (!handle.held) this.#handle = null;
    }
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}
