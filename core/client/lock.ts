/**
 * A held lock: its deadline, its renewals, and its end.
 *
 * Invariants: `held` is true only before the deadline, and the deadline is never later than the moment at which, within the
 * stated clock drift, the lease of the last confirmed attempt ends at the leader (it began later than the attempt was sent,
 * so the lock cannot have passed on); a handle that is lost or released never holds again; the signal is aborted at most
 * once, and at the deadline at the latest, if the process runs then. A process that is stopped or suspended
 * learns of its loss when it goes on: until then only the token protects.
 */

import { assert } from '../base/assert.ts';
import { CODES } from '../base/codes.ts';
import { LockLostError, UsageError } from '../base/errors.ts';
import { CLOCK_DRIFT_MAX, NO_LEADER_PAUSE_MS, RENEW_FRACTION } from '../base/limits.ts';
import type { Timer } from '../base/ports.ts';
import type { Answer, LockMode } from '../state-machine/commands.ts';
import type { Channel } from './channel.ts';
import type { Exchange } from './exchange.ts';
import { type About, refusal } from './outcome.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

/** A lock that this client holds, or has held. */
export interface LockHandle {
  readonly name: string;
  /** The fencing token: grows with every grant. Append with it, and the log refuses whoever came before. */
  readonly token: number;
  readonly mode: LockMode;
  /** The granted lease, in milliseconds; longer than asked for if that was too short to survive a failover. */
  readonly ttlMs: number;
  /** Aborted with a LockLostError as its reason when the lock is lost, before anybody else can get it. */
  readonly signal: AbortSignal;
  /** Until when it is certainly held: milliseconds on the client's monotonic clock. Grows with each renewal. */
  readonly deadline: number;
  /** Milliseconds until the deadline; 0 if it is not held. */
  readonly remainingMs: number;
  readonly held: boolean;
  /** How many times it was entered and not left; 0 if it is not held. */
  readonly depth: number;
  /** Calls back with each new deadline, until the returned function is called. */
  onRenewed(listener: (deadline: number) => void): () => void;
  /**
   * Enters the lock once more, in the same or (`shared`) a weaker mode, past the queue. Each entry needs its own release.
   *
   * @returns this handle, so that `await using` leaves it again
   * @throws RefusedError code 4 if a shared holder asks for exclusive
   * @throws LockLostError if it is not held any more
   */
  reenter(options?: { readonly shared?: boolean }): Promise<LockHandle>;
  /**
   * Leaves the lock once; the last release waits for the answers of this handle's appends, and then passes the lock on.
   * Does nothing if the lock was released already or its client is closed.
   *
   * @throws LockLostError if the lock was lost before the release: what was done under it was not protected to the end
   * @throws UnknownOutcomeError if no answer came; the lease then ends by itself
   */
  release(): Promise<void>;
  /** The same as `release`. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface HeldLockOptions {
  readonly name: string;
  readonly owner: number;
  readonly token: number;
  readonly mode: LockMode;
  readonly ttlMs: number;
  readonly autoRenew: boolean;
  readonly session: Session;
  readonly sessions: Sessions;
  readonly channel: Channel;
  /** The handle is not held any more. */
  readonly onEnd: (handle: HeldLock) => void;
}

type State = 'confirming' | 'held' | 'releasing' | 'released' | 'lost';

export class HeldLock implements LockHandle {
  readonly name: string;
  readonly token: number;
  readonly mode: LockMode;
  readonly ttlMs: number;
  readonly session: Session;
  readonly #options: HeldLockOptions;
  readonly #controller = new AbortController();
  readonly #listeners = new Set<(deadline: number) => void>();
  /** Appends under this lock that are not answered. */
  readonly #appends = new Set<Promise<unknown>>();
  readonly #stopSessionEnd: () => void;
  #state: State = 'confirming';
  #depth = 1;
  /** When the last confirmed attempt was sent; null before there is one. */
  #confirmedAt: number | null = null;
  #renewing: Exchange | null = null;
  #renewTimer: Timer | null = null;
  #deathTimer: Timer | null = null;
  #loss: LockLostError | null = null;
  /** The caller has had the loss from a release: disposal need not throw it once more. */
  #lossTold = false;
  #leaving: Promise<void> | null = null;
  /** Releases for which the session keeps room. */
  #kept = 1;

  /** The session has kept room for the release of depth 1. */
  constructor(options: HeldLockOptions) {
    this.name = options.name;
    this.token = options.token;
    this.mode = options.mode;
    this.ttlMs = options.ttlMs;
    this.session = options.session;
    this.#options = options;
    this.#stopSessionEnd = options.session.onEnd(() =>
      this.lose(`lock "${this.name}" (token ${this.token}) is lost: its session has ended`),
    );
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get deadline(): number {
    return this.#confirmedAt === null ? 0 : this.#confirmedAt + this.ttlMs * (1 - CLOCK_DRIFT_MAX);
  }

  get remainingMs(): number {
    return this.held ? this.deadline - this.#options.channel.clock.now() : 0;
  }

  /** Given out, and neither lost nor released. */
  get #active(): boolean {
    return this.#state === 'held' || this.#state === 'releasing';
  }

  get #lost(): boolean {
    return this.#state === 'lost';
  }

  get held(): boolean {
    const mayHold = this.#state === 'held' || this.#state === 'confirming';
    return mayHold && this.#options.channel.clock.now() < this.deadline;
  }

  get depth(): number {
    return this.held ? this.#depth : 0;
  }

  onRenewed(listener: (deadline: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** An attempt sent at `sentAt` is confirmed: the lease began after that. */
  confirm(sentAt: number | null): void {
    if (sentAt === null || sentAt <= (this.#confirmedAt ?? Number.NEGATIVE_INFINITY)) return;
    this.#confirmedAt = sentAt;
    if (!this.#active) return;
    this.#watchDeadline();
    for (const listener of [...this.#listeners]) listener(this.deadline);
  }

  /** True if enough of the lease is left to begin with: a renewal fits in. */
  get fresh(): boolean {
    return this.held && this.remainingMs > this.ttlMs * RENEW_FRACTION;
  }

  /** The caller gets the lock: from now on it is renewed, and dies at its deadline. */
  activate(): void {
    assert(this.#state === 'confirming' && this.held, `lock "${this.name}" is given out without a deadline`);
    this.#state = 'held';
    this.#watchDeadline();
    if (this.#options.autoRenew) this.#planRenewal();
  }

  /** Throws LockLostError, and notes the loss, if it is not certainly held now. */
  assertHeld(action: string): void {
    if (this.#state === 'held' && !this.held) this.#die();
    if (this.#state === 'held') return;
    if (this.#state === 'lost') {
      this.#lossTold = true;
      throw new LockLostError(`${action}: ${this.#loss?.message}`);
    }
    throw new UsageError(
      `${action}: lock "${this.name}" (token ${this.token}) ${this.#state === 'releasing' ? 'is being' : 'was'} released`,
    );
  }

  /** Keeps an append in mind until it is answered. */
  track<T>(append: Promise<T>): Promise<T> {
    const settled = append.then(
      () => {},
      () => {},
    );
    this.#appends.add(settled);
    void settled.then(() => this.#appends.delete(settled));
    return append;
  }

  // --- renewing --------------------------------------------------------------------------------------------------------

  /** Asks for one renewal, with as many attempts as it takes within `timeoutMs`. */
  async renew(timeoutMs: number): Promise<'confirmed' | 'refused' | 'unanswered'> {
    const { owner } = this.#options;
    if (this.session.ended) return 'refused';
    const body = { type: 'renew', lock: this.name, owner, token: this.token } as const;
    const exchange = this.session.ask(body, timeoutMs);
    this.#renewing = exchange;
    const outcome = await exchange.outcome;
    if (this.#renewing === exchange) this.#renewing = null;
    if (outcome.type === 'refused') return outcome.code === CODES.unavailable ? 'unanswered' : 'refused';
    if (outcome.type !== 'response' || outcome.body.type !== 'renewed') return 'unanswered';
    const sentAt = exchange.sentAt(outcome.body.confirmedAttempt);
    this.confirm(sentAt);
    // Answered, but by a leader that names no attempt: it must be asked again.
    return sentAt === null ? 'unanswered' : 'confirmed';
  }

  #planRenewal(pauseMs = 0): void {
    const { clock } = this.#options.channel;
    const dueAt = (this.#confirmedAt ?? 0) + this.ttlMs * RENEW_FRACTION;
    this.#renewTimer?.cancel();
    this.#renewTimer = clock.after(Math.max(pauseMs, dueAt - clock.now()), () => void this.#renewDue());
  }

  async #renewDue(): Promise<void> {
    if (!this.#active) return;
    const leftMs = this.deadline - this.#options.channel.clock.now();
    if (leftMs <= 0) return;
    const result = await this.renew(leftMs);
    if (!this.#active) return;
    if (result === 'refused') {
      this.lose(
        `lock "${this.name}" (token ${this.token}) is lost: a renewal was refused, its lease had ended`,
      );
    } else this.#planRenewal(result === 'confirmed' ? 0 : NO_LEADER_PAUSE_MS);
  }

  // --- losing ----------------------------------------------------------------------------------------------------------

  #watchDeadline(): void {
    const { clock } = this.#options.channel;
    this.#deathTimer?.cancel();
    this.#deathTimer = clock.after(Math.max(0, this.deadline - clock.now()), () => this.#die());
  }

  /** Past its own deadline a handle is dead for good, even if nobody else waits; whoever does is not kept waiting. */
  #die(): void {
    if (!this.#active) return;
    const message = `lock "${this.name}" (token ${this.token}) is lost: no renewal was confirmed within its ${this.ttlMs} ms`;
    this.lose(message, { stillOurs: true });
  }

  /**
   * Noted by whoever finds out: a renewal, an append, the session or the deadline. `stillOurs`: the server may think that
   * it is held, so it is told.
   */
  lose(message: string, options: { readonly stillOurs: boolean } = { stillOurs: false }): void {
    if (this.#state === 'released' || this.#state === 'lost') return;
    this.#loss = new LockLostError(message);
    const wasGivenOut = this.#active;
    this.#end('lost');
    if (options.stillOurs) this.#giveBack();
    else this.#letGo();
    if (!wasGivenOut) return;
    this.#options.channel.logger.log('warn', message, { lock: this.name, token: this.token });
    this.#controller.abort(this.#loss);
  }

  /** The client closes, which releases the lock: no loss, but whoever listens learns that it is over. */
  retire(): void {
    if (this.#state === 'released' || this.#state === 'lost') return;
    this.#end('released');
    this.#controller.abort(
      new LockLostError(`lock "${this.name}" (token ${this.token}) was released: its client was closed`),
    );
  }

  /** A grant that came too late, or that nobody wants any more, is released without anybody waiting for it. */
  discard(): void {
    assert(this.#state === 'confirming', `lock "${this.name}" is discarded while it is ${this.#state}`);
    this.#end('released');
    this.#giveBack();
  }

  #end(state: 'released' | 'lost'): void {
    this.#state = state;
    this.#renewTimer?.cancel();
    this.#deathTimer?.cancel();
    this.#renewing?.withdraw();
    this.#stopSessionEnd();
    this.#listeners.clear();
    this.#options.onEnd(this);
  }

  // --- leaving ---------------------------------------------------------------------------------------------------------

  get #about(): About {
    return { action: `Cannot release lock "${this.name}"`, lock: this.name, token: this.token };
  }

  /** Sends one release, in the room that was kept for it if any was. */
  #sendRelease(token = this.token): Promise<Answer> {
    const { owner, sessions } = this.#options;
    const operation = { type: 'release', lock: this.name, owner, token } as const;
    const onStart = (session: Session): void => {
      if (this.#kept === 0) return;
      this.#kept--;
      session.reserve(-1);
    };
    return sessions.perform(this.#about, operation, { session: this.session, need: 'ending', onStart });
  }

  #letGo(): void {
    const kept = this.#kept;
    this.#kept = 0;
    this.session.reserve(-kept);
  }

  #giveBack(): void {
    const all = async (): Promise<void> => {
      await Promise.all(this.#appends);
      while (this.#kept > 0 && !this.session.ended) await this.#sendRelease();
    };
    all().catch((error: unknown) => {
      this.#letGo();
      this.#options.channel.logger.log('debug', `a lock was not given back: ${String(error)}`);
    });
  }

  async reenter(options: { readonly shared?: boolean } = {}): Promise<LockHandle> {
    const action = `Cannot enter lock "${this.name}" again`;
    this.assertHeld(action);
    const { owner, sessions } = this.#options;
    const mode: LockMode = options.shared === true ? 'shared' : this.mode;
    const about = { action, lock: this.name, token: this.token };
    const { ttlMs, name: lock } = this;
    const resendMs = Math.round(ttlMs * RENEW_FRACTION);
    const operation = { type: 'acquire', lock, owner, mode, ttlMs, resendMs, wait: false } as const;
    const answer = await sessions.perform(about, operation, {
      session: this.session,
      need: 're-enter',
    });
    if (answer.code !== CODES.done) {
      throw refusal({ ...about, currentToken: answer.value }, answer.code, answer.reason);
    }
    if (answer.value !== this.token) {
      // Its lease had ended and, as the lock was free, it was granted anew: not the lock that the caller means.
      this.lose(`lock "${lock}" (token ${this.token}) is lost: it has passed to token ${answer.value}`);
      this.#sendRelease(answer.value).catch(() => {});
    } else if (this.#state === 'held') {
      this.#depth++;
      this.#kept++;
      this.session.reserve(1);
    } else {
      this.#sendRelease().catch(() => {});
    }
    this.assertHeld(action);
    return this;
  }

  release(): Promise<void> {
    if (this.#leaving !== null && this.#state !== 'held') return this.#leaving;
    const leaving = this.#release().finally(() => {
      if (this.#leaving === leaving) this.#leaving = null;
    });
    this.#leaving = leaving;
    return leaving;
  }

  async #release(): Promise<void> {
    if (this.#state === 'released' || (this.#state === 'lost' && this.#lossTold)) return;
    const { action } = this.#about;
    this.assertHeld(action);
    this.#depth--;
    const last = this.#depth === 0;
    // Still renewed, until the appends are answered: a release that overtook them would void them.
    if (last) this.#state = 'releasing';
    await Promise.all(this.#appends);
    if (this.#lost) this.assertHeld(action);
    if (last) this.#end('released');
    let answer = await this.#sendRelease();
    // An entry whose answer never came counts at the server and is left, too.
    while (last && answer.code === CODES.done && answer.value > 0) answer = await this.#sendRelease();
    if (answer.code === CODES.done) return;
    const message = refusal(
      { ...this.#about, currentToken: answer.value },
      answer.code,
      answer.reason,
    ).message;
    this.lose(message);
    this.#lossTold = true;
    throw new LockLostError(message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
