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
 *   - A blind write (put, delete) whose value nobody sees before the next blind one can stand right before that one. So
 *     every blind write marks the others under way as `covered`: they may count as placed whenever that is wanted.
 *   - A blind write, or one of unknown outcome, is placed before its time only if somebody sees its value.
 *   - A configuration that allows no more than another with the same value is dropped.
 *
 * Before the whole search, hurried ones go ahead: they keep only the likeliest configurations, and take a write of unknown
 * outcome for one that happened only when nothing else is left. What they find is an order; where they find none, nothing
 * is said. A right history with many unknown outcomes is mostly judged by them.
 *
 * Invariants: times that are equal count as overlapping; a write of unknown outcome may be placed at any time after its
 * invocation, once, or never.
 */

import { assert } from '../../base/assert.ts';
import type { Value } from './history.ts';
import { isLook, type RegisterOperation } from './register-steps.ts';

export type RegisterVerdict =
  | { readonly type: 'linearizable' }
  /** `at` is the operation at whose return no order was left. */
  | { readonly type: 'not-linearizable'; readonly at: RegisterOperation }
  | { readonly type: 'too-many-states' };

interface Configuration {
  /** The number of the register's value. */
  readonly value: number;
  /** Numbers of placed operations that are still under way: each sorted. */
  readonly looked: readonly number[];
  readonly written: readonly number[];
  readonly covered: readonly number[];
  /** Writes of unknown outcome that were placed. */
  readonly used: readonly number[];
}

interface Pass {
  /** Configurations kept after an event. */
  readonly keep: number;
  /** Leaves out what is not likely. */
  readonly hurried: boolean;
}

/** Searches one register. Yields between events, so that the caller can look at its clock and stop. */
export function* searchRegister(
  operations: readonly RegisterOperation[],
  statesMax: number,
): Generator<void, RegisterVerdict> {
  const events = eventsOf(operations);
  const passes: readonly Pass[] = [
    { keep: 32, hurried: true },
    { keep: 1_024, hurried: true },
    { keep: statesMax, hurried: false },
  ];
  for (const pass of passes) {
    const search = new RegisterSearch(operations, pass, statesMax);
    let stuck: RegisterOperation | 'too-many' | null = null;
    for (const { at, returns } of events) {
      if (!returns) search.invoke(at);
      else {
        const possible = search.return(at);
        if (possible === 'too-many') stuck = possible;
        else if (!possible) stuck = operations[at] as RegisterOperation;
        if (stuck !== null) break;
      }
      yield;
    }
    if (stuck === null) return { type: 'linearizable' };
    if (pass.hurried && (search.leftOut || stuck === 'too-many')) continue;
    return stuck === 'too-many' ? { type: 'too-many-states' } : { type: 'not-linearizable', at: stuck };
  }
  return { type: 'too-many-states' };
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

/** An operation with its values as numbers, so that configurations are compared quickly. */
interface Node {
  readonly type: RegisterOperation['step']['type'];
  /** -1: asks for nothing, leaves nothing. */
  readonly expect: number;
  readonly value: number;
  readonly unknown: boolean;
  /** Writes that do the same have the same. */
  readonly signature: string;
}

interface Way {
  readonly target: number;
  readonly seen: Set<string>;
  readonly found: Configuration[];
  readonly unknowns: boolean;
}

class RegisterSearch {
  readonly #nodes: readonly Node[];
  readonly #pass: Pass;
  readonly #statesMax: number;
  /** Under way, by what they are. Unknown ones never return and so stay. */
  readonly #looks = new Set<number>();
  readonly #writes = new Set<number>();
  readonly #unknowns: number[] = [];
  #configurations: Configuration[];
  /** Whether a hurried pass passed something over: a dead end says nothing then. */
  leftOut = false;

  constructor(operations: readonly RegisterOperation[], pass: Pass, statesMax: number) {
    const numbers = new Map<Value, number>();
    const numberOf = (value: Value): number => {
      const known = numbers.get(value) ?? numbers.size;
      numbers.set(value, known);
      return known;
    };
    this.#configurations = [{ value: numberOf(null), looked: [], written: [], covered: [], used: [] }];
    this.#nodes = operations.map(({ step, complete }) => {
      const expect = step.type === 'write' ? -1 : numberOf(step.expect);
      const value = isLook(step) ? -1 : numberOf(step.value);
      const unknown = complete === Number.POSITIVE_INFINITY;
      assert(!unknown || !isLook(step), 'a look of unknown outcome says nothing');
      return { type: step.type, expect, value, unknown, signature: `${expect}>${value}` };
    });
    this.#pass = pass;
    this.#statesMax = statesMax;
  }

  invoke(at: number): void {
    const node = this.#node(at);
    if (node.value >= 0) {
      if (node.unknown) this.#unknowns.push(at);
      else this.#writes.add(at);
      return;
    }
    this.#looks.add(at);
    this.#configurations = this.#configurations.map((each) =>
      fits(node, each.value) ? { ...each, looked: withNumber(each.looked, at) } : each,
    );
  }

  /** Whether any order is left after this return. */
  return(at: number): boolean | 'too-many' {
    let found: Configuration[] = [];
    const attempts = this.#pass.hurried && this.#unknowns.length > 0 ? [false, true] : [true];
    for (const unknowns of attempts) {
      if (found.length > 0) {
        this.leftOut = true;
        break;
      }
      // Those that a configuration was already extended to before this return: each is walked through once.
      const way: Way = { target: at, seen: new Set(), found: [], unknowns };
      for (const configuration of this.#configurations) {
        const placed = withoutNumber(configuration, at);
        if (placed !== null) way.found.push(placed);
        // A covered one may be placed where it is covered, or last.
        if (placed === null || configuration.covered.includes(at)) this.#extend(configuration, false, way);
        if (way.seen.size > this.#statesMax || way.found.length > this.#statesMax) return 'too-many';
      }
      found = way.found;
    }
    this.#looks.delete(at);
    this.#writes.delete(at);
    this.#configurations = this.#kept(strongest(found));
    return this.#configurations.length > 0;
  }

  /** In a hurry: those that have taken the least for granted, and of those the ones that have come furthest. */
  #kept(configurations: Configuration[]): Configuration[] {
    if (configurations.length <= this.#pass.keep) return configurations;
    this.leftOut = true;
    const placed = ({ looked, covered }: Configuration): number => looked.length + covered.length;
    return configurations
      .sort((a, b) => a.used.length - b.used.length || placed(b) - placed(a))
      .slice(0, this.#pass.keep);
  }

  /**
   * All ways to place writes after `from` until the target is placed. `unseen`: the last write is there only to be seen,
   * and was not yet.
   */
  #extend(from: Configuration, unseen: boolean, way: Way): void {
    const { target, seen } = way;
    if (seen.size > this.#statesMax) return;
    const key = `${unseen ? '!' : ''}${keyOf(from)}`;
    if (seen.has(key)) return;
    seen.add(key);
    for (const at of this.#writes) {
      if (at !== target && !from.written.includes(at)) this.#place(from, at, unseen, way);
    }
    const tried = new Set<string>();
    for (const at of way.unknowns ? this.#unknowns : []) {
      const { signature } = this.#node(at);
      // Of unknown writes that do the same, the earliest stands for all.
      if (tried.has(signature) || from.used.includes(at)) continue;
      tried.add(signature);
      this.#place(from, at, unseen, way);
    }
    if (this.#node(target).value < 0) return;
    const last = this.#apply(from, target, unseen);
    if (last === null) return;
    const done = withoutNumber(last.next, target);
    assert(done !== null, 'a write that was placed is not in its configuration');
    way.found.push(done);
  }

  #place(from: Configuration, at: number, unseen: boolean, way: Way): void {
    const applied = this.#apply(from, at, unseen);
    if (applied === null) return;
    const node = this.#node(at);
    const stillUnseen = (node.type === 'write' || node.unknown) && !applied.wasSeen;
    const placed = withoutNumber(applied.next, way.target);
    // The target was placed by the value that came about, or was covered just now. Covered, it may still come last.
    if (placed !== null && !stillUnseen) way.found.push(placed);
    if (placed !== null && !applied.next.covered.includes(way.target)) return;
    this.#extend(applied.next, stillUnseen, way);
  }

  /** The configuration after one more write; null if it cannot come now. */
  #apply(
    from: Configuration,
    at: number,
    unseen: boolean,
  ): { readonly next: Configuration; readonly wasSeen: boolean } | null {
    const node = this.#node(at);
    const blind = node.type === 'write';
    if (blind ? unseen : node.expect !== from.value) return null;
    let looked = from.looked;
    for (const look of this.#looks) {
      if (fits(this.#node(look), node.value) && !looked.includes(look)) looked = withNumber(looked, look);
    }
    let covered = from.covered;
    // A swap sees what stood before it, so that nothing hides there.
    for (const write of blind ? this.#writes : []) {
      if (write === at || this.#node(write).type !== 'write') continue;
      if (!from.written.includes(write) && !covered.includes(write)) covered = withNumber(covered, write);
    }
    const next: Configuration = {
      value: node.value,
      looked,
      written: node.unknown ? from.written : withNumber(from.written, at),
      covered: covered.includes(at) ? covered.filter((each) => each !== at) : covered,
      used: node.unknown ? withNumber(from.used, at) : from.used,
    };
    return { next, wasSeen: looked !== from.looked };
  }

  #node(at: number): Node {
    return this.#nodes[at] as Node;
  }
}

function fits({ type, expect }: Node, value: number): boolean {
  return type === 'look' ? expect === value : expect !== value;
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
  return `${value}|${written.join()}|${looked.join()}|${covered.join()}|${used.join()}`;
}

/** A configuration is compared with so many others of its value; among more of them the comparing costs more than it saves. */
const COMPARED_MAX = 128;

/** Without repetitions and without those that allow no more than another. */
function strongest(configurations: readonly Configuration[]): Configuration[] {
  if (configurations.length === 1) return [...configurations];
  const different = new Map(configurations.map((each) => [keyOf(each), each]));
  const groups = new Map<string, Configuration[]>();
  for (const each of different.values()) {
    const key = `${each.value}|${each.written.join()}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [each]);
    else if (group.length >= COMPARED_MAX) group.push(each);
    else if (!group.some((other) => allowsAsMuch(other, each))) {
      const kept = group.filter((other) => !allowsAsMuch(each, other));
      kept.push(each);
      groups.set(key, kept);
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
