// A clock that stands still until a test moves it. Same calls, same order: `soon` callbacks run before time passes, timers
// in the order of their due times, equal ones in the order of their making.

import type { Clock, Timer } from '#core/base/ports.ts';

interface Pending {
  readonly due: number;
  readonly order: number;
  readonly callback: () => void;
}

export class ManualClock implements Clock {
  #now: number;
  #order = 0;
  #soon: (() => void)[] = [];
  readonly #timers = new Set<Pending>();

  constructor(startMs = 1_000) {
    this.#now = startMs;
  }

  now(): number {
    return this.#now;
  }

  after(delayMs: number, callback: () => void): Timer {
    const pending = { due: this.#now + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.add(pending);
    return { cancel: () => this.#timers.delete(pending) };
  }

  soon(callback: () => void): void {
    this.#soon.push(callback);
  }

  /** Timers that are set and not yet due. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Runs what is due now, without letting time pass. Throws if that never ends. */
  settle(): void {
    for (let turns = 0; this.#turn(this.#now); turns++) {
      if (turns > 1_000_000) throw new Error('the clock does not settle: something calls soon for ever');
    }
  }

  /** Lets `ms` pass, running everything that comes due on the way. */
  advance(ms: number): void {
    const end = this.#now + ms;
    this.settle();
    for (let next = this.#next(); next !== null && next.due <= end; next = this.#next()) {
      this.#now = Math.max(this.#now, next.due);
      this.settle();
    }
    this.#now = end;
    this.settle();
  }

  /** Lets time pass, event by event, until `condition` holds; throws if it does not within `withinMs`. */
  advanceUntil(condition: () => boolean, withinMs: number): void {
    const end = this.#now + withinMs;
    this.settle();
    while (!condition()) {
      const next = this.#next();
      if (next === null || next.due > end) {
        throw new Error(`the condition does not hold after ${withinMs} ms (${this.timers} timers are left)`);
      }
      this.#now = Math.max(this.#now, next.due);
      this.settle();
    }
  }

  #next(): Pending | null {
    let first: Pending | null = null;
    for (const timer of this.#timers) {
      if (first === null || timer.due < first.due || (timer.due === first.due && timer.order < first.order))
        first = timer;
    }
    return first;
  }

  #turn(until: number): boolean {
    if (this.#soon.length > 0) {
      const batch = this.#soon;
      this.#soon = [];
      for (const callback of batch) callback();
      return true;
    }
    const next = this.#next();
    if (next === null || next.due > until) return false;
    this.#timers.delete(next);
    next.callback();
    return true;
  }
}
