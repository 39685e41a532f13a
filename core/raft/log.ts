/**
 * Raft's log in memory: the entries after the last snapshot, and what is known of each position.
 *
 * Invariants: indexes have no gaps; terms never fall; snapshotIndex ≤ commitIndex ≤ lastIndex, and an entry at or below
 * commitIndex is never replaced (Raft §5.4, State Machine Safety).
 */

import { assert } from '../base/assert.ts';
import type { LogEntry } from './types.ts';

export class RaftLog {
  #entries: LogEntry[];
  #snapshotIndex: number;
  #snapshotTerm: number;

  constructor(start: {
    readonly snapshotIndex: number;
    readonly snapshotTerm: number;
    readonly entries: readonly LogEntry[];
  }) {
    this.#snapshotIndex = start.snapshotIndex;
    this.#snapshotTerm = start.snapshotTerm;
    this.#entries = [];
    for (const entry of start.entries) this.append(entry);
  }

  /** The last entry that the snapshot stands for; 0 if there is none. */
  get snapshotIndex(): number {
    return this.#snapshotIndex;
  }

  get lastIndex(): number {
    return this.#snapshotIndex + this.#entries.length;
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#snapshotTerm;
  }

  /** The term of an entry, or null where the log has none (compacted, or not there yet). Index 0 has term 0. */
  term(index: number): number | null {
    if (index === this.#snapshotIndex) return this.#snapshotTerm;
    return this.#entries[index - this.#snapshotIndex - 1]?.term ?? null;
  }

  append(entry: LogEntry): void {
    assert(entry.index === this.lastIndex + 1, `entry ${entry.index} does not follow ${this.lastIndex}`);
    assert(entry.term >= this.lastTerm, `entry ${entry.index}: term ${entry.term} after ${this.lastTerm}`);
    this.#entries.push(entry);
  }

  /** Entries [low, high). */
  slice(low: number, high: number): readonly LogEntry[] {
    assert(
      low > this.#snapshotIndex,
      `entry ${low} is compacted: the snapshot ends at ${this.#snapshotIndex}`,
    );
    assert(high <= this.lastIndex + 1, `entry ${high - 1} is not there: the log ends at ${this.lastIndex}`);
    return this.#entries.slice(low - this.#snapshotIndex - 1, high - this.#snapshotIndex - 1);
  }

  /** Forgets the entries up to and including `index`, for which a durable snapshot now stands. */
  compact(index: number): void {
    if (index <= this.#snapshotIndex) return;
    const term = this.term(index);
    assert(term !== null, `cannot compact to ${index}: the log ends at ${this.lastIndex}`);
    this.#entries = this.#entries.slice(index - this.#snapshotIndex);
    this.#snapshotIndex = index;
    this.#snapshotTerm = term;
  }
}
