/**
 * Who has lost patience: decides when a lease that is over is taken away, when a session has ended, and which waiters are
 * silent. It proposes entries; only an applied entry changes anything.
 *
 * A lease is judged only after the requests that have arrived were processed, also when the loop was held up: a holder
 * whose renewal lies in the socket's buffer has renewed in time.
 */

import { COMMAND_LIST_MAX, SESSION_TIMEOUT_MS, WAITER_SILENT_INTERVALS } from '../base/limits.ts';
import type { Clock, Timer } from '../base/ports.ts';
import type { Command, Effects, SilentWaiter, Waiter } from '../state-machine/commands.ts';
import type { Machine } from '../state-machine/machine.ts';
import { LeaseTable } from './leases.ts';
import type { SessionMemory } from './session-memory.ts';

/** How often sessions are looked at, and contended locks whose waiters are all silent. */
const SESSION_SWEEP_MS = 1_000;
const RECHECK_MS = 100;
/** A timer that fires this late means that the loop was held up and datagrams are still in the socket's buffer. */
const LATE_MS = 25;
const LATE_GRACE_MS = 50;

export interface LeaseKeeperOptions {
  /** As it is now: a snapshot from the leader replaces it whole. */
  readonly machine: () => Machine;
  readonly memory: SessionMemory;
  readonly clock: Clock;
  /** Appends a command of the leader's own; the index, or null if it was not admitted. */
  readonly propose: (command: Command) => number | null;
  readonly term: () => number;
}

export class LeaseKeeper {
  readonly leases = new LeaseTable();
  readonly #options: LeaseKeeperOptions;
  /** Waiters by lock, for locks that have any. */
  readonly #waiting = new Map<string, number>();
  /**
   * Ends of grants that are in the log and not applied yet, by token. Infinity: an expiry, a forced release or the end of
   * the session; else how many releases.
   */
  readonly #ending = new Map<number, number>();
  #serving = false;
  #judgeTimer: Timer | null = null;
  #judgeAt = Number.POSITIVE_INFINITY;
  #sweepTimer: Timer | null = null;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
  }

  get serving(): boolean {
    return this.#serving;
  }

  /** An entry of the leader's own term is applied: every lease runs its full ttl anew from now. */
  startServing(): void {
    const machine = this.#options.machine();
    const { clock, memory } = this.#options;
    const now = clock.now();
    this.leases.clear();
    this.#ending.clear();
    this.#waiting.clear();
    memory.restart(now);
    for (const { grants, waiters } of machine.locks()) {
      for (const grant of grants) this.leases.start(grant, now);
      for (const waiter of waiters) this.#countWaiter(waiter.lock, 1);
    }
    this.#serving = true;
    this.#judgeSoon(now + RECHECK_MS);
    this.#sweepTimer = clock.after(SESSION_SWEEP_MS, () => this.#sweepSessions());
  }

  stopServing(): void {
    this.#serving = false;
    this.#judgeTimer?.cancel();
    this.#sweepTimer?.cancel();
    this.#judgeTimer = null;
    this.#sweepTimer = null;
    this.#judgeAt = Number.POSITIVE_INFINITY;
  }

  #countWaiter(lock: string, change: 1 | -1): void {
    const count = (this.#waiting.get(lock) ?? 0) + change;
    if (count === 0) this.#waiting.delete(lock);
    else this.#waiting.set(lock, count);
  }

  /** Notes what an applied command did to grants, queues and sessions. */
  applied(effects: Effects): void {
    if (!this.#serving) return;
    const now = this.#options.clock.now();
    for (const waiter of effects.queued) this.#countWaiter(waiter.lock, 1);
    for (const waiter of effects.unqueued) this.#countWaiter(waiter.lock, -1);
    for (const { token } of effects.ended) {
      this.leases.end(token);
      this.#ending.delete(token);
    }
    for (const grant of effects.granted) this.leases.start(grant, now);
    for (const session of effects.endedSessions) this.#options.memory.end(session);
    if (this.#waiting.size > 0 && (effects.queued.length > 0 || effects.granted.length > 0))
      this.#judgeSoon(now);
  }

  /** A release, forced release or session end went into the log: a renewal behind it must not be granted. */
  noteEnding(token: number, ends: number): void {
    this.#ending.set(token, (this.#ending.get(token) ?? 0) + ends);
  }

  /** A release was applied and left a depth: it no longer threatens the grant. */
  noteReleased(token: number): void {
    const left = (this.#ending.get(token) ?? 0) - 1;
    if (left > 0) this.#ending.set(token, left);
    else this.#ending.delete(token);
  }

  /** How many ends of this grant are in the log and not applied. */
  endsInLog(token: number): number {
    return this.#ending.get(token) ?? 0;
  }

  isSilent(waiter: Waiter, now: number): boolean {
    const { memory } = this.#options;
    const heardAt = memory.pending(waiter.session, waiter.sequence)?.heardAt ?? memory.servingSince;
    return now - heardAt > WAITER_SILENT_INTERVALS * waiter.resendMs;
  }

  /**
   * The silent waiters that an entry passing on these locks must name: those at the head of each queue, up to the first
   * exclusive one that is alive, since nobody behind that one can be granted.
   */
  silentWaiters(locks: Iterable<string>): SilentWaiter[] {
    const now = this.#options.clock.now();
    const silent: SilentWaiter[] = [];
    for (const lock of locks) {
      for (const waiter of this.#options.machine().waiters(lock)) {
        // One command names only so many; those left over are named by the entry that passes the lock on next.
        if (silent.length >= COMMAND_LIST_MAX) return silent;
        if (this.isSilent(waiter, now)) silent.push({ lock, session: waiter.session, owner: waiter.owner });
        else if (waiter.mode === 'exclusive') break;
      }
    }
    return silent;
  }

  #someoneWaits(lock: string, now: number): boolean {
    for (const waiter of this.#options.machine().waiters(lock)) if (!this.isSilent(waiter, now)) return true;
    return false;
  }

  #judgeSoon(at: number): void {
    if (!this.#serving || at >= this.#judgeAt) return;
    const { clock } = this.#options;
    this.#judgeTimer?.cancel();
    this.#judgeAt = at;
    this.#judgeTimer = clock.after(Math.max(1, at - clock.now()), () => {
      const late = clock.now() - at > LATE_MS;
      this.#judgeTimer = null;
      // One more turn, so that what has arrived is processed first; after a hold-up a little longer.
      if (late) this.#judgeTimer = clock.after(LATE_GRACE_MS, () => clock.soon(() => this.#judge()));
      else clock.soon(() => this.#judge());
    });
  }

  #judge(): void {
    this.#judgeAt = Number.POSITIVE_INFINITY;
    if (!this.#serving) return;
    const machine = this.#options.machine();
    const { clock, propose, term } = this.#options;
    const now = clock.now();
    let next = Number.POSITIVE_INFINITY;
    const expired: { lock: string; token: number }[] = [];
    for (const lock of this.#waiting.keys()) {
      for (const grant of machine.grants(lock)) {
        const expiresAt = this.leases.get(grant.token)?.expiresAt ?? Number.POSITIVE_INFINITY;
        if (expiresAt > now) next = Math.min(next, expiresAt);
        else if (this.#ending.has(grant.token)) next = Math.min(next, now + RECHECK_MS);
        else if (this.#someoneWaits(lock, now) && expired.length < COMMAND_LIST_MAX) {
          expired.push({ lock, token: grant.token });
        } else next = Math.min(next, now + RECHECK_MS);
      }
    }
    if (expired.length > 0) {
      const silent = this.silentWaiters(new Set(expired.map((one) => one.lock)));
      const index = propose({ type: 'expire', term: term(), grants: expired, silent });
      if (index === null) next = Math.min(next, now + RECHECK_MS);
      else for (const { token } of expired) this.noteEnding(token, Number.POSITIVE_INFINITY);
    }
    if (next !== Number.POSITIVE_INFINITY) this.#judgeSoon(next);
  }

  #sweepSessions(): void {
    if (!this.#serving) return;
    const machine = this.#options.machine();
    const { memory, clock, propose } = this.#options;
    const now = clock.now();
    for (const session of machine.sessions()) {
      if (memory.isEnding(session)) continue;
      if (now - memory.heardAt(session) <= SESSION_TIMEOUT_MS) continue;
      if (this.leases.sessionExpiresAt(session) > now) continue;
      this.endSession(session, propose);
    }
    this.#sweepTimer = clock.after(SESSION_SWEEP_MS, () => this.#sweepSessions());
  }

  /** Proposes the end of a session, and keeps its grants from being renewed behind it. */
  endSession(session: number, propose: (command: Command) => number | null): void {
    const machine = this.#options.machine();
    const { memory } = this.#options;
    const grants = [...machine.grantsOf(session)];
    const silent = this.silentWaiters(new Set(grants.map((grant) => grant.lock)));
    if (propose({ type: 'end-session', session, silent }) === null) return;
    memory.markEnding(session);
    for (const grant of grants) this.noteEnding(grant.token, Number.POSITIVE_INFINITY);
  }
}
