/**
 * Getting a lock: the wait in the queue, its end by time or by signal, and the deadline before the caller gets it.
 *
 * Invariants: a caller gets a handle only with a confirmed deadline that is not near; a wait that is ended is cancelled in
 * the log, whose order decides, and a grant that was faster is released at once; nothing of a wait is left behind as long
 * as a server answers. Each lock() is an owner of its own.
 */

import { CODES } from '../base/codes.ts';
import { UnknownOutcomeError, UsageError } from '../base/errors.ts';
import { NAME_PATTERN, RENEW_FRACTION, TTL_DEFAULT_MS, TTL_MAX_MS, TTL_MIN_MS } from '../base/limits.ts';
import type { Timer } from '../base/ports.ts';
import type { Answer, LockMode, Operation } from '../state-machine/commands.ts';
import { adaptivePace } from './backoff.ts';
import type { Channel } from './channel.ts';
import type { Outcome } from './exchange.ts';
import { HeldLock, type LockHandle } from './lock.ts';
import { type About, failure, refusal } from './outcome.ts';
import type { Begun, Session } from './session.ts';
import type { Sessions } from './sessions.ts';

export interface LockOptions {
  /** 'exclusive' unless told otherwise. */
  readonly mode?: LockMode;
  /** The same as mode 'shared'. */
  readonly shared?: boolean;
  /** The lease, in milliseconds: 2,000 by default; a short one is raised to what survives a failover. */
  readonly ttlMs?: number;
  /** How long to wait for the lock, in milliseconds. Without it: for ever. */
  readonly waitMs?: number;
  /** Do not wait at all. */
  readonly try?: boolean;
  /** Ends the wait; the promise rejects with the signal's reason. Without effect once the lock is held. */
  readonly signal?: AbortSignal;
  /** Called once when a server has put this request into the queue. */
  readonly onQueued?: () => void;
  /** False: the lease is not renewed, and the handle is lost when it ends. */
  readonly autoRenew?: boolean;
}

type Acquire = Extract<Operation, { type: 'acquire' }>;

/** Why a wait is over before its time; null while it is not. */
interface Stop {
  reason: 'waited' | 'aborted' | null;
  /** Called when the reason is set. */
  wake: () => void;
}

interface Context {
  readonly about: About;
  readonly options: LockOptions;
  readonly stop: Stop;
  readonly onSent: () => void;
}

type Granted = { readonly type: 'granted'; readonly handle: HeldLock };
type Again = { readonly type: 'again' };

export class Locks {
  readonly #channel: Channel;
  readonly #sessions: Sessions;
  readonly #timeoutMs: number;
  readonly #handles = new Set<HeldLock>();
  #nextOwner = 1;

  constructor(channel: Channel, sessions: Sessions, timeoutMs: number) {
    this.#channel = channel;
    this.#sessions = sessions;
    this.#timeoutMs = timeoutMs;
  }

  async acquire(name: string, options: LockOptions = {}): Promise<LockHandle> {
    const about: About = { action: `Cannot acquire lock "${name}"`, lock: name };
    const operation = this.#operation(name, options, about);
    const stop: Stop = { reason: null, wake: () => {} };
    const end = (reason: 'waited' | 'aborted'): void => {
      if (stop.reason !== null) return;
      stop.reason = reason;
      stop.wake();
    };
    options.signal?.throwIfAborted();
    const aborted = (): void => end('aborted');
    options.signal?.addEventListener('abort', aborted, { once: true });
    let timer: Timer | null = null;
    // The wait begins when there is a session to wait in; before that, timeoutMs bounds the way to one.
    const onSent = (): void => {
      if (timer !== null || !operation.wait || options.waitMs === undefined) return;
      timer = this.#channel.clock.after(options.waitMs, () => end('waited'));
    };
    try {
      for (;;) {
        const result = await this.#acquireOnce(operation, { about, options, stop, onSent });
        if (result.type === 'granted') return result.handle;
        // This client was paused and lost its place, or its grant: it queues again, with a new number.
        this.#throwIfStopped(stop, about, options);
      }
    } finally {
      (timer as Timer | null)?.cancel();
      options.signal?.removeEventListener('abort', aborted);
    }
  }

  #operation(name: string, options: LockOptions, { action }: About): Acquire {
    if (!NAME_PATTERN.test(name)) {
      throw new UsageError(
        `${action}: a name is 1 to 64 of A-Z a-z 0-9 . _ - and does not begin with "."`,
        'bad-name',
      );
    }
    const {
      ttlMs = TTL_DEFAULT_MS,
      waitMs,
      shared,
      mode = shared === true ? 'shared' : 'exclusive',
    } = options;
    if (!Number.isSafeInteger(ttlMs) || ttlMs < 1 || ttlMs > TTL_MAX_MS) {
      throw new UsageError(
        `${action}: ttlMs is ${ttlMs}, not a whole number from 1 to ${TTL_MAX_MS}`,
        'bad-ttl',
      );
    }
    if (waitMs !== undefined && !(waitMs >= 0)) {
      throw new UsageError(`${action}: waitMs is ${waitMs}, not a number of milliseconds`, 'bad-range');
    }
    if (mode !== 'shared' && mode !== 'exclusive') {
      throw new UsageError(`${action}: mode is "${mode}", neither "shared" nor "exclusive"`);
    }
    const wait = options.try !== true && waitMs !== 0;
    // The server grants no less than the floor, and renewals are due every quarter of what is granted.
    const resendMs = Math.round(Math.max(ttlMs, TTL_MIN_MS) * RENEW_FRACTION);
    return { type: 'acquire', lock: name, owner: this.#nextOwner++, mode, ttlMs, resendMs, wait };
  }

  #throwIfStopped(stop: Stop, about: About, options: LockOptions): void {
    if (stop.reason === 'aborted') throw options.signal?.reason;
    if (stop.reason === 'waited') throw refusal(about, CODES.notHolder, 'wait-cancelled');
  }

  async #acquireOnce(operation: Acquire, context: Context): Promise<Granted | Again> {
    const { about, options, stop } = context;
    const begun = await this.#begin(operation, context);
    const outcome = await begun.exchange.outcome;
    stop.wake = () => {};
    const { session, sequence } = begun;
    session.wait(-1);
    if (outcome.type !== 'response' || outcome.body.type !== 'answer') {
      this.#abandon(begun, operation, outcome);
      if (outcome.type === 'response') throw new Error(`unreachable: ${outcome.body.type}`);
      throw failure(about, outcome, this.#timeoutMs);
    }
    session.finish(sequence);
    const { answer, grantAttempt } = outcome.body;
    if (answer.code !== CODES.done) {
      session.reserve(-2);
      if (answer.reason === 'waiter-not-heard') return { type: 'again' };
      this.#throwIfStopped(stop, about, options);
      throw refusal(about, answer.code, answer.reason);
    }
    session.reserve(-1);
    const handle = this.#hold(answer, operation, { session, autoRenew: options.autoRenew ?? true });
    handle.confirm(begun.exchange.sentAt(grantAttempt));
    return this.#giveOut(handle, context);
  }

  /** Sends the acquire, and lets `stop` end it: by a cancel, once a server is known to have it. */
  async #begin(operation: Acquire, { about, options, stop, onSent }: Context): Promise<Begun> {
    const { entropy } = this.#channel;
    let begun: Begun | null = null;
    let cancelled = false;
    const cancel = (): void => {
      if (begun === null || cancelled || stop.reason === null || begun.exchange.settled) return;
      // An acquire that is on its way could arrive after its cancel and wait for ever: first it must be known to be there.
      if (!begun.exchange.acknowledged) return;
      cancelled = true;
      const { lock, owner } = operation;
      const cancelling: Operation = { type: 'cancel', lock, owner };
      const placing = { session: begun.session, need: 'ending' } as const;
      this.#sessions.perform(about, cancelling, placing).catch(() => {});
    };
    let queued = false;
    const onAck = (): void => {
      if (!queued && operation.wait) {
        queued = true;
        options.onQueued?.();
      }
      cancel();
    };
    const placing = this.#sessions.place({ need: 'acquire', session: null, about }, (session) => {
      this.#throwIfStopped(stop, about, options);
      session.reserve(2);
      session.wait(1);
      onSent();
      return session.begin(operation, {
        pace: adaptivePace(entropy, operation.wait ? operation.resendMs : null),
        timeoutMs: this.#timeoutMs,
        ackRestarts: operation.wait,
        onAck,
        keep: true,
      });
    });
    const stopped = new Promise<never>((_resolve, reject) => {
      stop.wake = () => {
        // Rejects, since nothing was sent.
        try {
          this.#throwIfStopped(stop, about, options);
        } catch (error) {
          reject(error);
        }
      };
    });
    begun = await Promise.race([placing, stopped]);
    const { exchange } = begun;
    stop.wake = () => {
      exchange.hurry(adaptivePace(entropy));
      cancel();
    };
    if (stop.reason !== null) stop.wake();
    return begun;
  }

  #hold(answer: Answer, operation: Acquire, where: { session: Session; autoRenew: boolean }): HeldLock {
    const handle: HeldLock = new HeldLock({
      name: operation.lock,
      owner: operation.owner,
      token: answer.value,
      mode: operation.mode,
      ttlMs: answer.ttlMs,
      autoRenew: where.autoRenew,
      session: where.session,
      sessions: this.#sessions,
      channel: this.#channel,
      onEnd: () => this.#handles.delete(handle),
    });
    this.#handles.add(handle);
    return handle;
  }

  /** A grant whose deadline is unknown, near or past is renewed before the caller may believe in it. */
  async #giveOut(handle: HeldLock, context: Context): Promise<Granted | Again> {
    const { about, options, stop } = context;
    const giveUpAt = this.#channel.clock.now() + this.#timeoutMs;
    while (stop.reason === null && !handle.fresh) {
      const leftMs = giveUpAt - this.#channel.clock.now();
      const renewed = leftMs <= 0 ? 'unanswered' : await handle.renew(leftMs);
      if (renewed === 'refused') {
        handle.lose(`lock "${handle.name}" (token ${handle.token}) ended before its grant was received`);
        return { type: 'again' };
      }
      if (renewed === 'unanswered' && this.#channel.clock.now() >= giveUpAt) {
        handle.discard();
        throw new UnknownOutcomeError(
          `${about.action}: granted with token ${handle.token}, but not confirmed within ${this.#timeoutMs} ms; it is given back`,
        );
      }
    }
    if (stop.reason !== null) {
      handle.discard();
      this.#throwIfStopped(stop, about, options);
    }
    handle.activate();
    return { type: 'granted', handle };
  }

  /**
   * No answer came. If a server has the acquire, it is cancelled, and released should it have been granted; nobody waits
   * for that. If no server answers that either, the waiter falls silent and is passed over.
   */
  #abandon(begun: Begun, operation: Acquire, outcome: Outcome): void {
    const { session, sequence, exchange } = begun;
    const { lock, owner } = operation;
    const done = (): void => {
      session.finish(sequence);
      session.reserve(-2);
    };
    if (session.ended || outcome.type !== 'silent' || !exchange.acknowledged) return done();
    const about: About = { action: `Cannot cancel the wait for lock "${lock}"`, lock };
    const cleanUp = async (): Promise<void> => {
      const placing = { session, need: 'ending' } as const;
      await this.#sessions.perform(about, { type: 'cancel', lock, owner }, placing);
      const pace = adaptivePace(this.#channel.entropy);
      const again = session.again(sequence, operation, { pace, timeoutMs: this.#timeoutMs });
      const answered = await again.outcome;
      if (answered.type !== 'response' || answered.body.type !== 'answer') return;
      const { answer } = answered.body;
      if (answer.code !== CODES.done) return;
      await this.#sessions.perform(about, { type: 'release', lock, owner, token: answer.value }, placing);
    };
    cleanUp()
      .catch((error: unknown) => this.#channel.logger.log('debug', String(error), { lock }))
      .finally(done);
  }

  /** Ends a lock's grants, whoever holds them. */
  async forceRelease(name: string): Promise<void> {
    const about: About = { action: `Cannot release lock "${name}" by force`, lock: name };
    const answer = await this.#sessions.perform(about, { type: 'force-release', lock: name });
    if (answer.code !== CODES.done) throw refusal(about, answer.code, answer.reason);
  }

  /** The client closes: every handle is over. */
  close(): void {
    for (const handle of [...this.#handles]) handle.retire();
  }
}
