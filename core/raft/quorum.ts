/** Majorities, and nothing else: the arithmetic of Raft §5.3 and §6. Pure. */

import { assert } from '../base/assert.ts';

/** How many of `voters` are a majority. */
export function majority(voters: number): number {
  assert(voters >= 1, `no voters: ${voters}`);
  return Math.floor(voters / 2) + 1;
}

/** The highest index that a majority of the voters has durably; one number a voter. */
export function quorumIndex(durableIndexes: readonly number[]): number {
  const descending = [...durableIndexes].sort((a, b) => b - a);
  return descending[majority(descending.length) - 1] as number;
}
