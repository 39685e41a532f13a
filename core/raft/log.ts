/**
 * Raft's log in memory: the entries after the last snapshot, and which configuration stands at which of them.
 *
 * Invariants: indexes have no gaps; terms never fall; the configuration in force is the newest in the log, committed or
 * not (dissertation §4.1), and one that is truncated away gives place to the one before it.
 */

import { assert } from '../base/assert.ts';
import { type Configuration, decodeConfiguration } from './configuration.ts';
import type { LogEntry } from './types.ts';

export interface RaftLogStart {
  readonly snapshotIndex: number;
  readonly snapshotTerm: number;
  /** The configuration as of the snapshot; for a log that begins at 1, one without members. */
  readonly configuration: Configuration;
  readonly entries: readonly LogEntry[];
}

export class RaftLog {
  #entries: LogEntry[] = [];
  #snapshotIndex: number;
  #snapshotTerm: number;
  /** In the order of their indexes; the first is the snapshot's. */
  #configurations: { readonly index: number; readonly configuration: Configuration }[];

  constructor(start: RaftLogStart) {
    this.#snapshotIndex = start.snapshotIndex;
    this.#snapshotTerm = start.snapshotTerm;
    this.#configurations = [{ index: start.snapshotIndex, configuration: start.configuration }];
    for (const entry of start.entries) this.append(entry);
  }

  /** The last entry that the snapshot stands for; 0 if there is none. */
  get snapshotIndex(): number {
    return this.#snapshotIndex;
  }

  get snapshotTerm(): number {
    return this.#snapshotTerm;
  }

  get lastIndex(): number {
    return this.#snapshotIndex + this.#entries.length;
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#snapshotTerm;
  }

  /** The configuration in force, and the entry that brought it. */
  get configuration(): Configuration {
    return (this.#configurations.at(-1) as { configuration: Configuration }).configuration;
  }

  get configurationIndex(): number {
    return (this.#configurations.at(-1) as { index: number }).index;
  }

  /** The configuration as of an entry: what a snapshot at `index` must carry. */
  configurationAt(index: number): Configuration {
    const found = this.#configurations.findLast((one) => one.index <= index);
    assert(found !== undefined, `no configuration at ${index}: the snapshot ends at ${this.#snapshotIndex}`);
    return found.configuration;
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
    if (entry.type !== 'configuration') return;
    const decoded = decodeConfiguration(entry.data);
    assert(decoded.ok, `entry ${entry.index}: a configuration that cannot be read`);
    this.#configurations.push({ index: entry.index, configuration: decoded.value });
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

  /** Drops every entry from `index` on: they conflict with the leader's (Raft §5.3). */
  truncateFrom(index: number): void {
    assert(
      index > this.#snapshotIndex,
      `cannot truncate from ${index}: the snapshot ends at ${this.#snapshotIndex}`,
    );
    this.#entries.length = index - this.#snapshotIndex - 1;
    this.#configurations = this.#configurations.filter((one) => one.index < index);
  }

  /** The last index not above `index` whose term is not above `term`: where two logs may meet (Raft §5.3, last part). */
  lastAtOrBelow(index: number, term: number): number {
    let at = Math.min(index, this.lastIndex);
    while (at > this.#snapshotIndex && (this.term(at) as number) > term) at -= 1;
    return at;
  }

  /** Whether a log that ends so is at least as up to date as this one (Raft §5.4.1). */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    if (lastTerm !== this.lastTerm) return lastTerm > this.lastTerm;
    return lastIndex >= this.lastIndex;
  }

  /** Forgets the entries up to and including `index`, for which a durable snapshot now stands. */
  compact(index: number): void {
    if (index <= this.#snapshotIndex) return;
    const term = this.term(index);
    assert(term !== null, `cannot compact to ${index}: the log ends at ${this.lastIndex}`);
    const configuration = this.configurationAt(index);
    this.#entries = this.#entries.slice(index - this.#snapshotIndex);
    this.#snapshotIndex = index;
    this.#snapshotTerm = term;
    const later = this.#configurations.filter((one) => one.index > index);
    this.#configurations = [{ index, configuration }, ...later];
  }

  /** Replaces everything by a snapshot that came from the leader; entries that follow it and agree are kept. */
  install(snapshot: {
    readonly index: number;
    readonly term: number;
    readonly configuration: Configuration;
  }): void {
    if (this.term(snapshot.index) === snapshot.term) {
      this.compact(snapshot.index);
      return;
    }
    this.#entries = [];
    this.#snapshotIndex = snapshot.index;
    this.#snapshotTerm = snapshot.term;
    this.#configurations = [{ index: snapshot.index, configuration: snapshot.configuration }];
  }
}
