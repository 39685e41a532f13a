/**
 * The smallest part of a register's history that cannot be right by itself.
 *
 * Leaving out operations is not innocent: without the put of "a", any get of "a" looks wrong. So an operation is left out
 * only together with every look that might have seen it. A look cannot have seen a write that began after the look had
 * ended, or that was certainly overwritten (by a write that is still in the part) before the look began.
 *
 * Invariant: if the part has no order, the whole has none. Proof: from an order of the whole strike out what is not in the
 * part; no look in it had its value from what was struck out, so the rest is an order of the part.
 *
 * The part is locally minimal: leaving out any one more operation leaves something that could be right.
 */

import type { Value } from './history.ts';
import { isLook, type RegisterOperation } from './register-steps.ts';
import { searchRegister } from './registers.ts';

export interface RegisterCore {
  /** In the order of their invocations. */
  readonly operations: readonly RegisterOperation[];
  /** Where it shows. */
  readonly at: RegisterOperation;
}

/** Parts beyond this size are not tried as a whole while the window around the place grows. */
const WINDOW_START = 8;

/** Yields between tries; whoever stops it early takes `best`, the smallest part so far. */
export class RegisterShrinker {
  /** All that can matter: what began before the place where it shows, made optional where it ended after it. */
  readonly #whole: readonly RegisterOperation[];
  readonly #writersByValue = new Map<Value, RegisterOperation[]>();
  readonly #statesMax: number;
  best: RegisterCore;

  constructor(operations: readonly RegisterOperation[], at: RegisterOperation, statesMax: number) {
    const whole: RegisterOperation[] = [];
    for (const each of operations) {
      if (each.invoke > at.complete) continue;
      if (each.complete <= at.complete) whole.push(each);
      else if (!isLook(each.step)) whole.push({ ...each, complete: Number.POSITIVE_INFINITY });
    }
    whole.sort((a, b) => a.invoke - b.invoke);
    this.#whole = whole;
    this.#statesMax = statesMax;
    this.best = { operations: whole, at };
    for (const each of whole) {
      if (isLook(each.step)) continue;
      const writers = this.#writersByValue.get(each.step.value);
      if (writers === undefined) this.#writersByValue.set(each.step.value, [each]);
      else writers.push(each);
    }
  }

  *shrink(): Generator<void, void> {
    // What contradicts is mostly close by: a window that ends at the place, twice as large each time.
    for (let size = WINDOW_START; size < this.#whole.length; size *= 2) {
      if (yield* this.#try(this.#whole.slice(-size))) break;
    }
    for (let chunk = this.best.operations.length >> 1; chunk >= 1; ) {
      let left = false;
      for (let from = 0; from < this.best.operations.length; ) {
        const { operations } = this.best;
        const rest = [...operations.slice(0, from), ...operations.slice(from + chunk)];
        if (yield* this.#try(rest)) left = true;
        else from += chunk;
      }
      if (chunk > 1) chunk >>= 1;
      else if (!left) return;
    }
  }

  /** Whether a part, once it is made honest, still cannot be right; if so it is the best so far. */
  *#try(part: readonly RegisterOperation[]): Generator<void, boolean> {
    yield;
    const honest = this.#honest(part);
    if (honest.length === 0 || honest.length >= this.best.operations.length) return false;
    const search = searchRegister(honest, this.#statesMax);
    for (let step = search.next(); ; step = search.next()) {
      if (step.done !== true) continue;
      if (step.value.type !== 'not-linearizable') return false;
      this.best = { operations: honest, at: step.value.at };
      return true;
    }
  }

  /** Without the operations that may have seen a write which is not in the part. */
  #honest(part: readonly RegisterOperation[]): readonly RegisterOperation[] {
    for (let kept = part; ; ) {
      const inside = new Set(kept);
      const overwrittenBefore = overwriting(kept);
      const next = kept.filter((each) => !this.#mayHaveSeen(each, inside, overwrittenBefore(each.invoke)));
      if (next.length === kept.length) return kept;
      kept = next;
    }
  }

  /** Whether a write outside the part may be what this operation saw. */
  #mayHaveSeen(
    seer: RegisterOperation,
    inside: ReadonlySet<RegisterOperation>,
    overwrittenBefore: number,
  ): boolean {
    if (seer.step.type === 'write') return false;
    const possible = (writer: RegisterOperation): boolean =>
      writer.invoke <= seer.complete && writer.complete >= overwrittenBefore && !inside.has(writer);
    if (seer.step.type !== 'look-not') {
      return this.#writersByValue.get(seer.step.expect)?.some(possible) ?? false;
    }
    for (const [value, writers] of this.#writersByValue) {
      if (value !== seer.step.expect && writers.some(possible)) return true;
    }
    return false;
  }
}

/** For a time: the latest invocation of a write that had certainly ended by then. What ended before that is overwritten. */
function overwriting(part: readonly RegisterOperation[]): (time: number) => number {
  const writes = part
    .filter((each) => !isLook(each.step) && each.complete !== Number.POSITIVE_INFINITY)
    .sort((a, b) => a.complete - b.complete);
  const latest: number[] = [];
  let highest = Number.NEGATIVE_INFINITY;
  for (const write of writes) {
    highest = Math.max(highest, write.invoke);
    latest.push(highest);
  }
  return (time) => {
    let low = 0;
    let high = writes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((writes[middle] as RegisterOperation).complete < time) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? Number.NEGATIVE_INFINITY : (latest[low - 1] as number);
  };
}
