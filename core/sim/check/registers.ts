/**
 * Whether the operations on one register can be put in an order: a search in the manner of Wing and Gong (1993) with
 * Lowe's just-in-time linearization (2017). Events are taken in the order of their times; an operation is given its place
 * in the order only when it must have one, at its return, and all orders that are possible so far are carried along as
 * configurations. No configuration is left: no order is possible, and the operation that returned is where it shows.
 *
 * A configuration is the register's value after the operations placed so far, and what it says of those under way. Four
 * facts keep their number small, none of which loses an order:
 *   - An operation that only looks (get, a cas that failed, a cas to the same value) is placed as soon as the value fits:
 *     it changes nothing, so earlier is never worse.
 *   - A blind write (put, delete) whose value nobody sees before the next write can stand right before that write. So
 *     every write marks the blind ones under way as `covered`: they may count as placed whenever that is wanted.
 *   - A blind write, or one of unknown outcome, is placed before its time only if somebody sees its value.
 *   - A configuration that allows no more than another with the same value is dropped.
 *
 * Invariants: times that are equal count as overlapping; a write of unknown outcome may be placed at any time after its
 * invocation, once, or never.
 */

import { assert } from '../../base/assert.ts';
import type { Operation, Value } from './history.ts';

/** What an operation asks of the value, and what it leaves. */
export type RegisterStep =
  | { readonly type: 'look'; readonly expect: Value }
  /** A cas that failed: the value was another one. */
  | { readonly type: 'look-not'; readonly expect: Value }
  | { readonly type: 'write'; readonly value: Value }
  | { readonly type: 'swap'; readonly expect: Value; readonly value: Value };

export interface RegisterOperation {
  readonly operation: Operation;
  readonly step: RegisterStep;
  readonly invoke: number;
  /** Infinite: unknown, so optional. */
  readonly complete: number;
}

export type RegisterVerdict =
  | { readonly type: 'linearizable' }
  /** `at` is the operation at whose return no order was left. */
  | { readonly type: 'not-linearizable'; readonly at: RegisterOperation }
  | { readonly type: 'too-many-states' };

/** What an operation says about its register; null: nothing (it did not happen, or nobody learned anything). */
export function registerStep(operation: Operation): RegisterStep | null {
  const { action, outcome, code } = operation;
  const refused = outcome === 'refused';
  switch (action.type) {
    case 'get':
      if (outcome === 'unknown') return null;
      if (refused) return code === 1 ? { type: 'look', expect: null } : null;
      return { type: 'look', expect: action.value };
    case 'put':
      return refused ? null : { type: 'write', value: action.value };
    case 'delete':
      if (refused) return code === 1 ? { type: 'look', expect: null } : null;
      return { type: 'write', value: null };
    case 'cas':
      if (refused) return code === 6 ? { type: 'look-not', expect: action.expect } : null;
      if (action.expect !== action.value) {
        return { type: 'swap', expect: action.expect, value: action.value };
      }
      return outcome === 'unknown' ? null : { type: 'look', expect: action.expect };
    default:
      return null;
  }
}

export function registerOperations(operations: readonly Operation[]): RegisterOperation[] {
  const steps: RegisterOperation[] = [];
  for (const operation of operations) {
    const step = registerStep(operation);
    if (step === null) continue;
    steps.push({ operation, step, invoke: operation.invoke, complete: operation.complete });
  }
  return steps;
}

interface Configuration {
  readonly value: Value;
  /** Numbers of placed operations that are still under way: each sorted. */
  readonly looked: readonly number[];
  readonly written: readonly number[];
  readonly covered: readonly number[];
  /** Writes of unknown outcome that were placed. */
  readonly used: readonly number[];
}

/** Searches one register. Yields between events, so that the caller can look at its clock and stop. */
export function* searchRegister(
  operations: readonly RegisterOperation[],
  statesMax: number,
): Generator<void, RegisterVerdict> {
  const search = new RegisterSearch(operations, statesMax);
  for (const { at, returns } of eventsOf(operations)) {
    if (!returns) search.invoke(at);
    else {
      const possible = search.return(at);
      if (possible === 'too-many') return { type: 'too-many-states' };
      if (!possible) return { type: 'not-linearizable', at: operations[at] as RegisterOperation };
    }
    yield;
  }
  return { type: 'linearizable' };
}

/** Invocations before returns of the same time. */
function eventsOf(operations: readonly RegisterOperation[]): { at: number; returns: boolean }[] {
  const events: { at: number; time: number; returns: boolean }[] = [];
  operations.forEach(({ invoke, complete }, at) => {
    events.push({ at, time: invoke, returns: false });
    if (complete !== Number.POSITIVE_INFINITY) events.push({ at, time: complete, returns: true });
  });
  return events.sort((a, b) => a.time - b.time || Number(a.returns) - Number(b.returns) || a.at - b.at);
}

class RegisterSearch {
  readonly #operations: readonly RegisterOperation[];
  readonly #statesMax: number;
  /** Under way, by what they are. Unknown ones never return and so stay. */
  readonly #looks = new Set<number>();
  readonly #writes = new Set<number>();
  readonly #unknowns: number[] = [];
  #configurations: Configuration[] = [{ value: null, looked: [], written: [], covered: [], used: [] }];

  constructor(operations: readonly RegisterOperation[], statesMax: number) {
    this.#operations = operations;
    this.#statesMax = statesMax;
  }

  invoke(at: number): void {
    const { step, complete } = this.#operations[at] as RegisterOperation;
    if (step.type === 'look' || step.type === 'look-not') {
      assert(complete !== Number.POSITIVE_INFINITY, 'a look of unknown outcome says nothing');
      this.#looks.add(at);
      this.#configurations = this.#configurations.map((each) =>
        fits(step, each.value) ? { ...each, looked: withNumber(each.looked, at) } : each,
      );
    } else if (complete === Number.POSITIVE_INFINITY) this.#unknowns.push(at);
    else this.#writes.add(at);
  }

  /** Whether any order is left after this return. */
  return(at: number): boolean | 'too-many' {
    const found: Configuration[] = [];
    // Those that a configuration was already extended to before this return: each is walked through once.
    const seen = new Set<string>();
    for (const configuration of this.#configurations) {
      const placed = withoutNumber(configuration, at);
      if (placed !== null) found.push(placed);
      else this.#extend(configuration, at, seen, found, false);
      if (seen.size > this.#statesMax || found.length > this.#statesMax) return 'too-many';
    }
    this.#looks.delete(at);
    this.#writes.delete(at);
    this.#configurations = strongest(found);
    return this.#configurations.length > 0;
  }

  /**
   * All ways to place writes after `from` until `target` is placed. `unseen`: the last write is there only to be seen, and
   * was not yet.
   */
  #extend(
    from: Configuration,
    target: number,
    seen: Set<string>,
    found: Configuration[],
    unseen: boolean,
  ): void {
    if (seen.size > this.#statesMax) return;
    const key = `${unseen ? '!' : ''}${keyOf(from)}`;
    if (seen.has(key)) return;
    seen.add(key);
    const { step } = this.#operations[target] as RegisterOperation;
    for (const at of this.#writes) {
      if (at === target || from.written.includes(at)) continue;
      this.#place(from, at, { target, seen, found, unseen });
    }
    const tried = new Set<string>();
    for (const at of this.#unknowns) {
      if (from.used.includes(at)) continue;
      const signature = JSON.stringify((this.#operations[at] as RegisterOperation).step);
      // Of unknown writes that do the same, the earliest stands for all.
      if (tried.has(signature)) continue;
      tried.add(signature);
      this.#place(from, at, { target, seen, found, unseen });
    }
    if (step.type !== 'write' && step.type !== 'swap') return;
    const last = this.#apply(from, target, unseen);
    if (last === null) return;
    const done = withoutNumber(last.next, target);
    assert(done !== null, 'a write that was placed is not in its configuration');
    found.push(done);
  }

  #place(
    from: Configuration,
    at: number,
    way: { target: number; seen: Set<string>; found: Configuration[]; unseen: boolean },
  ): void {
    const applied = this.#apply(from, at, way.unseen);
    if (applied === null) return;
    const { step, complete } = this.#operations[at] as RegisterOperation;
    const mustBeSeen = step.type === 'write' || complete === Number.POSITIVE_INFINITY;
    const looked = withoutNumber(applied.next, way.target);
    // A look that returns now was placed by the value that came about.
    if (looked !== null) way.found.push(looked);
    else this.#extend(applied.next, way.target, way.seen, way.found, mustBeSeen && !applied.wasSeen);
  }

  /** The configuration after one more write; null if it cannot come now. */
  #apply(
    from: Configuration,
    at: number,
    unseen: boolean,
  ): { readonly next: Configuration; readonly wasSeen: boolean } | null {
    const { step, complete } = this.#operations[at] as RegisterOperation;
    assert(step.type === 'write' || step.type === 'swap', 'only writes are placed one by one');
    if (step.type === 'swap' ? step.expect !== from.value : unseen) return null;
    let looked = from.looked;
    for (const look of this.#looks) {
      if (looked.includes(look)) continue;
      if (fits((this.#operations[look] as RegisterOperation).step, step.value)) {
        looked = withNumber(looked, look);
      }
    }
    let covered = from.covered;
    for (const write of this.#writes) {
      if (write === at || from.written.includes(write) || covered.includes(write)) continue;
      if ((this.#operations[write] as RegisterOperation).step.type === 'write') {
        covered = withNumber(covered, write);
      }
    }
    const unknown = complete === Number.POSITIVE_INFINITY;
    const next: Configuration = {
      value: step.value,
      looked,
      written: unknown ? from.written : withNumber(from.written, at),
      covered: covered.includes(at) ? covered.filter((each) => each !== at) : covered,
      used: unknown ? withNumber(from.used, at) : from.used,
    };
    return { next, wasSeen: looked !== from.looked };
  }
}

function fits(step: RegisterStep, value: Value): boolean {
  return step.type === 'look'
    ? step.expect === value
    : step.type === 'look-not'
      ? step.expect !== value
      : false;
}

function withNumber(numbers: readonly number[], number: number): readonly number[] {
  const at = numbers.findIndex((each) => each > number);
  return at < 0 ? [...numbers, number] : [...numbers.slice(0, at), number, ...numbers.slice(at)];
}

/** The configuration once `at` has returned: null if it was not placed, and so could not return. */
function withoutNumber(configuration: Configuration, at: number): Configuration | null {
  for (const name of ['looked', 'written', 'covered'] as const) {
    const numbers = configuration[name];
    if (numbers.includes(at)) return { ...configuration, [name]: numbers.filter((each) => each !== at) };
  }
  return null;
}

function keyOf({ value, looked, written, covered, used }: Configuration): string {
  return `${JSON.stringify(value)}|${written.join()}|${looked.join()}|${covered.join()}|${used.join()}`;
}

/** Without repetitions and without those that allow no more than another. */
function strongest(configurations: readonly Configuration[]): Configuration[] {
  if (configurations.length === 1) return [...configurations];
  const groups = new Map<string, Configuration[]>();
  for (const each of configurations) {
    const key = `${JSON.stringify(each.value)}|${each.written.join()}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [each]);
    else if (!group.some((other) => allowsAsMuch(other, each))) {
      const kept = group.filter((other) => !allowsAsMuch(each, other));
      groups.set(key, [...kept, each]);
    }
  }
  return [...groups.values()].flat();
}

function allowsAsMuch(strong: Configuration, weak: Configuration): boolean {
  return (
    includesAll(strong.looked, weak.looked) &&
    includesAll(strong.covered, weak.covered) &&
    includesAll(weak.used, strong.used)
  );
}

function includesAll(many: readonly number[], few: readonly number[]): boolean {
  return few.length <= many.length && few.every((each) => many.includes(each));
}
