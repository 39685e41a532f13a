/**
 * The sessions of one client: opened when the first numbered request needs one, one more when waiting acquires pin the
 * windows of those that are there, closed with the client.
 *
 * Invariants: a request begins in exactly one session and is never sent in another; the queue of those that wait for a
 * place is bounded; one session is being opened at a time.
 */

import { hex } from '../base/bytes.ts';
import { CODES } from '../base/codes.ts';
import { type BrambleError, RefusedError, UnreachableError, UsageError } from '../base/errors.ts';
import {
  CLIENT_QUEUE_MAX,
  CLOSE_TIMEOUT_MS,
  KEEP_ALIVE_MS,
  SESSION_WINDOW,
  SESSIONS_PER_CLIENT_MAX,
} from '../base/limits.ts';
import type { Timer } from '../base/ports.ts';
import type { Answer, Operation, SessionProfile } from '../state-machine/commands.ts';
import { adaptivePace, type Pace } from './backoff.ts';
import type { Channel } from './channel.ts';
import type { Outcome } from './exchange.ts';
import { type About, failure, readFailure } from './outcome.ts';
import { Session } from './session.ts';

export interface SessionsOptions {
  readonly timeoutMs: number;
  readonly profile: SessionProfile;
  /** The pace of every request; null: adaptive. */
  readonly pace?: Pace;
}

/**
 * What a request needs of a window: its own number, and numbers to be kept for what must follow it. Those that follow
 * ("ending") use what was kept.
 */
export type Need = 'ordinary' | 'acquire' | 're-enter' | 'ending';
const ROOM_OF: Readonly<Record<Need, number>> = { ordinary: 1, acquire: 3, 're-enter': 2, ending: 1 };

interface Job {
  readonly need: Need;
  readonly session: Session | null;
  readonly since: number;
  readonly timer: Timer;
  readonly about: About;
  start(session: Session): void;
  fail(error: BrambleError): void;
}

export class Sessions {
  readonly #channel: Channel;
  readonly #options: SessionsOptions;
  readonly #pace: Pace;
  readonly #sessions: Session[] = [];
  /** In the order of their arrival: those that any session may take, and those that belong to one. */
  readonly #jobs = new Set<Job>();
  readonly #boundJobs = new Set<Job>();
  #opening = false;
  #closed = false;
  /** Of the session to be opened; the same until a server has said what became of it. */
  #nonce: string | null = null;
  readonly #performing = new Set<Promise<unknown>>();
  readonly #trimming = new Set<Session>();

  constructor(channel: Channel, options: SessionsOptions) {
    this.#channel = channel;
    this.#options = options;
    this.#pace = options.pace ?? adaptivePace(channel.entropy);
  }

  get pace(): Pace {
    return this.#pace;
  }

  /** How many sessions are open. */
  get count(): number {
    return this.#sessions.length;
  }

  /** Opens a session now, if none is there. */
  async open(about: About): Promise<void> {
    await this.place({ need: 'ordinary', session: null, about }, () => {});
  }

  /**
   * Runs one numbered request and returns its answer, whatever its code.
   *
   * @throws UnreachableError, UnknownOutcomeError or RefusedError when there is no answer
   */
  async perform(
    about: About,
    operation: Operation,
    options: { session?: Session; need?: Need; onStart?: (session: Session) => void } = {},
  ): Promise<Answer> {
    const { clock } = this.#channel;
    const { timeoutMs } = this.#options;
    const giveUpAt = clock.now() + timeoutMs;
    const { need = 'ordinary', session = null, onStart } = options;
    const performing = (async () => {
      const { exchange } = await this.place({ need, session, about }, (placed) => {
        onStart?.(placed);
        return placed.begin(operation, { pace: this.#pace, timeoutMs: giveUpAt - clock.now() });
      });
      return exchange.outcome;
    })();
    this.#performing.add(performing);
    try {
      const outcome = await performing;
      if (outcome.type === 'response' && outcome.body.type === 'answer') return outcome.body.answer;
      if (outcome.type === 'response') throw new Error(`unreachable: ${outcome.body.type}`);
      throw failure(about, outcome, timeoutMs);
    } finally {
      this.#performing.delete(performing);
    }
  }

  /** Calls `start` as soon as a session has room for what is needed; in `session` alone if one is given. */
  place<T>(
    job: { readonly need: Need; readonly session: Session | null; readonly about: About },
    start: (session: Session) => T,
  ): Promise<T> {
    const { clock } = this.#channel;
    const { timeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new UsageError(`${job.about.action}: the client is closed`);
      if (this.#jobs.size + this.#boundJobs.size >= CLIENT_QUEUE_MAX) {
        throw new RefusedError(
          `${job.about.action}: ${CLIENT_QUEUE_MAX} requests of this client wait already`,
          CODES.unavailable,
          'queue-full',
        );
      }
      const jobs = job.session === null ? this.#jobs : this.#boundJobs;
      const drop = (): void => {
        queued.timer.cancel();
        jobs.delete(queued);
      };
      const timedOut = (): void =>
        queued.fail(
          new UnreachableError(
            `${job.about.action}: not sent within ${timeoutMs} ms, ` +
              `${this.#opening ? `no server answered (asked last: ${this.#channel.tracker.current})` : 'the window of unanswered requests is full'}; nothing was begun`,
          ),
        );
      const queued: Job = {
        ...job,
        since: clock.now(),
        timer: Number.isFinite(timeoutMs) ? clock.after(timeoutMs, timedOut) : { cancel: () => {} },
        start: (session) => {
          drop();
          try {
            resolve(start(session));
          } catch (error) {
            reject(error);
          }
        },
        fail: (error) => {
          drop();
          reject(error);
        },
      };
      jobs.add(queued);
      this.#pump();
    });
  }

  #pump(): void {
    for (const job of this.#boundJobs) {
      const session = job.session as Session;
      if (session.ended) {
        job.fail(failure(job.about, { type: 'withdrawn', inDoubt: false }, this.#options.timeoutMs));
      } else if (hasRoom(session, job.need)) job.start(session);
    }
    let mustOpen = false;
    for (const job of this.#jobs) {
      const session = this.#roomFor(job.need);
      if (session !== null) {
        job.start(session);
        continue;
      }
      mustOpen ||= !this.#willDrain(job.need);
      // Where there is not even room for one number there is none for whatever comes behind.
      if (this.#roomFor('ordinary') === null) break;
    }
    if (mustOpen && !this.#opening && !this.#closed && this.#sessions.length < SESSIONS_PER_CLIENT_MAX) {
      void this.#open();
    }
  }

  #roomFor(need: Need): Session | null {
    return this.#sessions.find((session) => hasRoom(session, need)) ?? null;
  }

  /** True if some session will have room when what is under way in it is answered. */
  #willDrain(need: Need): boolean {
    return this.#sessions.some(
      (session) => !session.pinned && SESSION_WINDOW - session.reserved >= ROOM_OF[need],
    );
  }

  async #open(): Promise<void> {
    const { clock, entropy, logger } = this.#channel;
    const { timeoutMs, profile } = this.#options;
    this.#opening = true;
    this.#nonce ??= hex(entropy.bytes(16));
    const since = clock.now();
    const exchange = this.#channel.start({
      body: { type: 'open-session', nonce: this.#nonce, profile },
      pace: this.#pace,
      timeoutMs,
    });
    const outcome = await exchange.outcome;
    this.#opening = false;
    if (outcome.type === 'response' && outcome.body.type === 'opened') {
      this.#nonce = null;
      const session = new Session(outcome.body.session, this.#channel, {
        timeoutMs,
        onRoom: () => this.#onRoom(session),
      });
      session.onEnd(() => {
        this.#remove(session);
        if (!this.#closed && !session.idle) logger.log('warn', 'session ended', { session: session.id });
      });
      this.#sessions.push(session);
    } else if (outcome.type !== 'response') {
      if (outcome.type === 'refused') this.#nonce = null;
      for (const job of [...this.#jobs]) {
        const over = outcome.type === 'refused' || job.since <= since;
        if (over) job.fail(readFailure(job.about, outcome, timeoutMs));
      }
    }
    this.#pump();
  }

  #onRoom(session: Session): void {
    if (this.#jobs.size + this.#boundJobs.size > 0) this.#pump();
    if (this.#sessions[0] !== session && session.idle && !session.ended) this.#trim(session);
  }

  /** A session beyond the first that has been of no use for a while is closed. */
  #trim(session: Session): void {
    if (this.#trimming.has(session)) return;
    this.#trimming.add(session);
    this.#channel.clock.after(KEEP_ALIVE_MS, () => {
      this.#trimming.delete(session);
      if (session.ended || this.#closed || !session.idle || this.#sessions[0] === session) return;
      this.#remove(session);
      void this.#farewell(session).then(() => session.end());
    });
  }

  #remove(session: Session): void {
    const at = this.#sessions.indexOf(session);
    if (at >= 0) this.#sessions.splice(at, 1);
  }

  #farewell(session: Session, timeoutMs = CLOSE_TIMEOUT_MS): Promise<Outcome> {
    const options = { pace: this.#pace, timeoutMs: Math.min(timeoutMs, this.#options.timeoutMs) };
    return session.begin({ type: 'close-session' }, options).exchange.outcome;
  }

  /**
   * Waits for what is under way (closing releases every lock, and a release is not sent before its appends are answered),
   * then closes the sessions. Those whose farewell is not answered within `timeoutMs` end by themselves.
   *
   * @returns how that of a session failed, or null
   */
  async close(timeoutMs?: number): Promise<Exclude<Outcome, { type: 'response' }> | null> {
    if (this.#closed) return null;
    this.#closed = true;
    await Promise.allSettled(this.#performing);
    for (const job of [...this.#jobs, ...this.#boundJobs])
      job.fail(new UsageError(`${job.about.action}: the client is closed`));
    const farewells = this.#sessions.map((session) => this.#farewell(session, timeoutMs));
    const outcomes = await Promise.all(farewells);
    for (const session of [...this.#sessions]) session.end();
    for (const outcome of outcomes) {
      if (outcome.type === 'response') continue;
      // Whose farewell comes to an ended session has said it before.
      if (outcome.type !== 'refused' || outcome.code !== CODES.sessionEnded) return outcome;
    }
    return null;
  }
}

function hasRoom(session: Session, need: Need): boolean {
  if (session.ended) return false;
  return need === 'ending' ? session.room + session.reserved >= 1 : session.room >= ROOM_OF[need];
}
