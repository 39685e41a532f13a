/** What the checker found: the operations that cannot be right together, and sentences that say why. */

import type { LostHold, Operation } from './history.ts';

export interface Finding {
  /** Sentences; the first one says what is wrong. */
  readonly sentences: readonly string[];
  /** Only these contradict each other. In the order of their times. */
  readonly operations: readonly Operation[];
  readonly lost: readonly LostHold[];
  /** The one at which it shows: the last of them that cannot be given a place. */
  readonly impossible: Operation;
}

export function finding(
  sentences: readonly string[],
  impossible: Operation,
  operations: readonly Operation[],
  lost: readonly LostHold[] = [],
): Finding {
  const all = [...new Set([...operations, impossible])].sort(inTime);
  return { sentences, operations: all, lost, impossible };
}

export function inTime(a: Operation, b: Operation): number {
  return a.invoke - b.invoke || a.line - b.line;
}

/** The one with the fewest operations; of those the first in time. */
export function smallest(findings: readonly Finding[]): Finding | null {
  let best: Finding | null = null;
  for (const each of findings) {
    if (best === null || size(each) < size(best)) best = each;
    else if (size(each) === size(best) && each.impossible.invoke < best.impossible.invoke) best = each;
  }
  return best;
}

function size({ operations, lost }: Finding): number {
  return operations.length + lost.length;
}
