/**
 * Whether operations whose order is partly prescribed can be given points in time: each between its invocation and its
 * completion, each after all that must come before it.
 *
 * An operation's earliest point is its invocation, or the earliest point of something that must come before it, whichever
 * is later. Points exist exactly if nothing must come before itself and nobody's earliest point lies after its completion.
 * Linear in operations and edges, so that nothing has to be searched where the order is known.
 */

import { assert } from '../../base/assert.ts';

export type Placement =
  | { readonly type: 'possible' }
  /** Each chain begins with an operation that was invoked after its last one, which must follow it, had completed. */
  | { readonly type: 'late'; readonly chains: readonly (readonly number[])[] }
  /** Each must come before the next, and the last before the first. */
  | { readonly type: 'circle'; readonly circles: readonly (readonly number[])[] };

/** So many contradictions are traced back; the shortest is shown. */
const TRACED_MAX = 200;

export class Precedence {
  readonly #invokes: number[] = [];
  readonly #completes: number[] = [];
  readonly #after: number[][] = [];

  /** A node; without bounds it is a mere joint of edges. */
  add(invoke = Number.NEGATIVE_INFINITY, complete = Number.POSITIVE_INFINITY): number {
    assert(invoke <= complete, 'a node that ends before it begins');
    this.#invokes.push(invoke);
    this.#completes.push(complete);
    this.#after.push([]);
    return this.#after.length - 1;
  }

  /** `first` must come before `second`. */
  edge(first: number, second: number): void {
    assert(first !== second, 'an operation cannot come before itself');
    (this.#after[first] as number[]).push(second);
  }

  place(): Placement {
    const count = this.#after.length;
    const missing = new Uint32Array(count);
    for (const nexts of this.#after) for (const next of nexts) missing[next] = (missing[next] as number) + 1;
    const points = Float64Array.from(this.#invokes);
    const from = new Int32Array(count).fill(-1);
    const queue: number[] = [];
    for (let node = 0; node < count; node++) if (missing[node] === 0) queue.push(node);
    for (let head = 0; head < queue.length; head++) {
      const node = queue[head] as number;
      const point = points[node] as number;
      for (const next of this.#after[node] as number[]) {
        if (point > (points[next] as number)) {
          points[next] = point;
          from[next] = node;
        }
        missing[next] = (missing[next] as number) - 1;
        if (missing[next] === 0) queue.push(next);
      }
    }
    if (queue.length < count) return { type: 'circle', circles: this.#circles(missing) };
    const late: number[] = [];
    for (let node = 0; node < count; node++) {
      if ((points[node] as number) > (this.#completes[node] as number)) late.push(node);
    }
    if (late.length === 0) return { type: 'possible' };
    late.sort((a, b) => (this.#completes[a] as number) - (this.#completes[b] as number));
    return { type: 'late', chains: late.slice(0, TRACED_MAX).map((node) => chainTo(node, from)) };
  }

  /** The shortest way from a node back to itself, for some of those that are left over. */
  #circles(missing: Uint32Array): number[][] {
    const circles: number[][] = [];
    let tried = 0;
    for (let start = 0; start < missing.length && tried < TRACED_MAX; start++) {
      if (missing[start] === 0) continue;
      tried++;
      const circle = this.#wayBack(start, missing);
      if (circle !== null) circles.push(circle);
    }
    assert(circles.length > 0 || tried === TRACED_MAX, 'nodes are left over and none is on a circle');
    return circles.length > 0 ? circles : [this.#anyCircle(missing)];
  }

  #wayBack(start: number, missing: Uint32Array): number[] | null {
    const from = new Map<number, number>();
    const queue = [start];
    for (let head = 0; head < queue.length; head++) {
      const node = queue[head] as number;
      for (const next of this.#after[node] as number[]) {
        if (next === start) {
          const way = [node];
          for (let at = node; at !== start; ) way.push((at = from.get(at) as number));
          return way.reverse();
        }
        if (missing[next] === 0 || from.has(next)) continue;
        from.set(next, node);
        queue.push(next);
      }
    }
    return null;
  }

  /** Every node that is left over waits for another one: walking back must come to where it was. */
  #anyCircle(missing: Uint32Array): number[] {
    const before = new Map<number, number>();
    this.#after.forEach((nexts, node) => {
      if (missing[node] !== 0) for (const next of nexts) if (missing[next] !== 0) before.set(next, node);
    });
    const seen = new Set<number>();
    let at = before.keys().next().value as number;
    while (!seen.has(at)) {
      seen.add(at);
      at = before.get(at) as number;
    }
    const circle = [at];
    for (let node = before.get(at) as number; node !== at; node = before.get(node) as number)
      circle.push(node);
    return circle.reverse();
  }
}

function chainTo(node: number, from: Int32Array): number[] {
  const chain = [node];
  for (let at = from[node] as number; at !== -1; at = from[at] as number) chain.push(at);
  return chain.reverse();
}
