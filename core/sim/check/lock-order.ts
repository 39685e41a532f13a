/**
 * One way to explain a partition of locks and logs, put to the test: every operation that happened becomes a node, every
 * rule an edge, and `Precedence` says whether all find their place in time. If not, the contradiction is cut down to the
 * operations that follow from one another directly.
 */

import { READ_RECORDS_DEFAULT } from '../../base/limits.ts';
import { Facts } from './facts.ts';
import { type Finding, finding, inTime } from './findings.ts';
import type { Operation } from './history.ts';
import type { Ledger, LockLedger, LogLedger, Of, TokenLedger } from './ledger.ts';
import { Precedence } from './precedence.ts';
import { capital, deed, span } from './words.ts';

/** What is assumed of operations with unknown outcome: which happened, and what they would have been told. */
export interface Assumption {
  /** By log: which append is taken to have written an offset. */
  readonly records: ReadonlyMap<string, ReadonlyMap<number, Of<'append'>>>;
  /** By lock: which acquire is taken to have been given a token. */
  readonly grants: ReadonlyMap<string, ReadonlyMap<number, Of<'acquire'>>>;
}

/** Null if all find their place. */
export function contradiction(ledger: Ledger, assumption: Assumption): Finding | null {
  return new LockOrder(ledger, assumption).finding();
}

class LockOrder {
  readonly #precedence = new Precedence();
  readonly #nodes = new Map<Operation, number>();
  readonly #operations: (Operation | null)[] = [];
  readonly #facts = new Facts();
  readonly #assumption: Assumption;
  readonly #findings: Finding[] = [];
  /** The read that shows that an append of unknown outcome happened. */
  readonly #evidence = new Map<Operation, Operation>();

  constructor(ledger: Ledger, assumption: Assumption) {
    this.#assumption = assumption;
    const assumedUses = new Map<string, Map<number, Of<'append'>[]>>();
    for (const log of ledger.logs.values()) this.#log(log, assumedUses);
    for (const lock of ledger.locks.values()) this.#lock(lock, assumedUses.get(lock.lock) ?? new Map());
  }

  finding(): Finding | null {
    if (this.#findings.length > 0) return this.#findings[0] as Finding;
    const placement = this.#precedence.place();
    if (placement.type === 'possible') return null;
    if (placement.type === 'late') {
      let best: Operation[] | null = null;
      for (const chain of placement.chains) {
        const way = this.#direct(this.#named(chain));
        if (best === null || way.length < best.length) best = way;
      }
      return this.#lateFinding(best as Operation[]);
    }
    let best: Operation[] | null = null;
    for (const circle of placement.circles) {
      const way = this.#directCircle(this.#named(circle));
      if (best === null || way.length < best.length) best = way;
    }
    return this.#circleFinding(best as Operation[]);
  }

  // --- nodes and edges -----------------------------------------------------------------------------------------------

  #node(operation: Operation): number {
    let node = this.#nodes.get(operation);
    if (node === undefined) {
      node = this.#precedence.add(operation.invoke, operation.complete);
      this.#nodes.set(operation, node);
      this.#operations.push(operation);
    }
    return node;
  }

  #joint(): number {
    this.#operations.push(null);
    return this.#precedence.add();
  }

  #edge(first: Operation, second: Operation): void {
    if (first !== second) this.#precedence.edge(this.#node(first), this.#node(second));
  }

  #log(log: LogLedger, assumedUses: Map<string, Map<number, Of<'append'>[]>>): void {
    const records = new Map<number, Of<'append'>>(log.appends);
    for (const [offset, append] of this.#assumption.records.get(log.log) ?? []) {
      records.set(offset, append);
      const shown = log.seen.get(offset);
      if (shown !== undefined) this.#evidence.set(append, shown.read);
      const { lock, token } = append.action;
      if (lock === null || token === null) continue;
      const uses = assumedUses.get(lock) ?? new Map<number, Of<'append'>[]>();
      uses.set(token, [...(uses.get(token) ?? []), append]);
      assumedUses.set(lock, uses);
    }
    for (const [offset, append] of records) {
      this.#facts.add(append, { type: 'record', log: log.log, offset });
      const next = records.get(offset + 1);
      if (next !== undefined) this.#edge(append, next);
      else this.#node(append);
    }
    const view = (operation: Operation, seen: number, end: number): void => {
      this.#facts.add(operation, { type: 'view', log: log.log, seen, end });
      const last = seen > 0 ? records.get(seen - 1) : undefined;
      if (last !== undefined) this.#edge(last, operation);
      const next = records.get(end);
      if (next !== undefined) this.#edge(operation, next);
    };
    for (const append of log.absent) view(append, 0, 0);
    for (const read of log.reads) {
      const { from, limit, records: shown } = read.action;
      if (read.outcome === 'refused') view(read, 0, 0);
      else {
        const seen = shown.length === 0 ? 0 : from + shown.length;
        view(
          read,
          seen,
          shown.length < (limit ?? READ_RECORDS_DEFAULT) ? from + shown.length : Number.POSITIVE_INFINITY,
        );
      }
    }
  }

  #lock(lock: LockLedger, assumedUses: ReadonlyMap<number, readonly Of<'append'>[]>): void {
    const assumedGrants = this.#assumption.grants.get(lock.lock);
    const numbers = new Set([...lock.tokens.keys(), ...assumedUses.keys()]);
    const empty = { grant: null, entries: [], releases: [], appends: [], refused: [] };
    const tokens = [...numbers]
      .sort((a, b) => a - b)
      .map((token) => {
        const ledger: TokenLedger = lock.tokens.get(token) ?? { token, ...empty };
        const grant = ledger.grant ?? assumedGrants?.get(token) ?? null;
        return { ledger, grant, appends: [...ledger.appends, ...(assumedUses.get(token) ?? [])] };
      })
      // Nobody was granted it and it was never accepted: it says nothing.
      .filter((each) => each.grant !== null);
    const overs: { node: number; shared: boolean }[] = [];
    let last: Operation | null = null;
    for (const { ledger, grant, appends } of tokens) {
      if (grant === null) continue;
      const shared = grant.action.shared;
      const over = this.#token({ lock, ledger, grant, appends });
      if (last !== null) this.#edge(last, grant);
      last = grant;
      // Shared holders stand beside each other until an exclusive one comes.
      const conflicting = shared ? overs.filter((each) => !each.shared) : overs;
      for (const { node } of conflicting) this.#precedence.edge(node, this.#node(grant));
      const left = shared ? overs.filter((each) => each.shared) : [];
      overs.splice(0, overs.length, ...left, { node: over, shared });
    }
  }

  /** All of one token; gives the joint after which it is over. */
  #token(of: {
    readonly lock: LockLedger;
    readonly ledger: TokenLedger;
    readonly grant: Of<'acquire'>;
    readonly appends: readonly Of<'append'>[];
  }): number {
    const { lock, ledger, grant, appends } = of;
    const { token, releases, refused } = ledger;
    const shared = grant.action.shared;
    const fact = { lock: lock.lock, token, shared };
    const over = this.#joint();
    const end = this.#releases(of);
    this.#facts.add(grant, { type: 'grant', ...fact });
    this.#precedence.edge(this.#node(grant), over);
    for (const use of [...ledger.entries, ...appends, ...releases]) {
      this.#facts.add(use, { type: use === end ? 'end' : 'use', ...fact });
      this.#edge(grant, use);
      this.#precedence.edge(this.#node(use), over);
      if (end !== null) this.#edge(use, end);
    }
    for (const refusal of refused) {
      this.#facts.add(refusal, { type: 'refusal', ...fact });
      this.#precedence.edge(over, this.#node(refusal));
    }
    return over;
  }

  /** The release that ended a token, if one did: as many releases as entries, each entry before its release. */
  #releases(of: {
    readonly lock: LockLedger;
    readonly ledger: TokenLedger;
    readonly grant: Of<'acquire'>;
  }): Of<'release'> | null {
    const { lock, ledger, grant } = of;
    const releases = [...ledger.releases].sort((a, b) => a.complete - b.complete || a.line - b.line);
    if (releases.length === 0) return null;
    const entries = this.#entriesFor(releases, of);
    if (releases.length > entries.length) {
      const times = entries.length === 1 ? 'once' : `${entries.length} times`;
      const last = releases.at(-1) as Operation;
      this.#findings.push(
        finding(
          [
            `Token ${ledger.token} of lock ${lock.lock} was acquired ${times}, but released ${releases.length} times: ${deed(last)} although it was over.`,
          ],
          last,
          [...entries, ...releases],
        ),
      );
      return null;
    }
    releases.forEach((release, index) => {
      const entry = entries[index + 1] ?? (entries.at(-1) as Operation);
      if (entry === grant) return;
      this.#edge(grant, entry);
      this.#edge(entry, release);
      this.#facts.pair(entry, release, 'a lock that is released is held');
    });
    return releases.length === entries.length ? (releases.at(-1) as Of<'release'>) : null;
  }

  /**
   * The entries that the releases undo, in order of time: while the token lives, one more has come before each release. Of
   * re-entries whose outcome nobody learned, as many as can have come in time count: a token that lives on allows more.
   */
  #entriesFor(
    releases: readonly Of<'release'>[],
    of: { readonly lock: LockLedger; readonly ledger: TokenLedger; readonly grant: Of<'acquire'> },
  ): Of<'acquire'>[] {
    const { lock, ledger, grant } = of;
    const known = [grant, ...ledger.entries];
    const unknown = lock.unknownAcquires
      .filter(({ action }) => action.depth > 1 && action.owner === grant.action.owner)
      .sort(inTime);
    for (let count = unknown.length; count > 0; count--) {
      const entries = [...known, ...unknown.slice(0, count)].sort(inTime);
      const inTimeFor = (release: Of<'release'>, index: number): boolean => {
        const entry = entries[index + 1] ?? entries[releases.length - 1];
        return entry !== undefined && entry.invoke <= release.complete;
      };
      if (releases.every(inTimeFor)) return entries;
    }
    return known.sort(inTime);
  }

  // --- words ---------------------------------------------------------------------------------------------------------

  #named(nodes: readonly number[]): Operation[] {
    return nodes.map((node) => this.#operations[node] ?? null).filter((each) => each !== null);
  }

  /** The same chain with as few steps as possible, each of which follows from one rule. */
  #direct(chain: readonly Operation[]): Operation[] {
    const way = [chain[0] as Operation];
    for (let at = 0; at < chain.length - 1; ) {
      let next = chain.length - 1;
      while (next > at + 1 && this.#facts.reason(chain[at] as Operation, chain[next] as Operation) === null) {
        next--;
      }
      way.push(chain[next] as Operation);
      at = next;
    }
    return way;
  }

  #directCircle(circle: readonly Operation[]): Operation[] {
    let best = [...circle];
    for (let start = 0; start < circle.length; start++) {
      const turned = [...circle.slice(start), ...circle.slice(0, start)];
      const way = this.#direct([...turned, turned[0] as Operation]).slice(0, -1);
      if (way.length < best.length) best = way;
    }
    return best;
  }

  #lateFinding(way: readonly Operation[]): Finding {
    const first = way[0] as Operation;
    const last = way.at(-1) as Operation;
    const gap = span(first.invoke - last.complete);
    const sentences = [
      `${capital(deed(last))}. That ended ${gap} before this began: ${deed(first)}.`,
      `But they must have happened the other way round: ${this.#steps(way)}.`,
    ];
    return this.#made(sentences, first, way);
  }

  /** With the reads that show what of unknown outcome happened. */
  #made(sentences: readonly string[], impossible: Operation, way: readonly Operation[]): Finding {
    const shown = [...sentences];
    const operations = [...way];
    for (const operation of way) {
      const read = this.#evidence.get(operation);
      if (read === undefined || operations.includes(read)) continue;
      operations.push(read);
      shown.push(
        `Client ${operation.client} was never told what came of its append, but it happened: ${deed(read)}.`,
      );
    }
    return finding(shown, impossible, operations);
  }

  #circleFinding(way: readonly Operation[]): Finding {
    const last = way.reduce((a, b) => (inTime(a, b) < 0 ? b : a));
    const steps = way.map((from, index) => this.#step(from, way[(index + 1) % way.length] as Operation));
    const order =
      way.length === 2
        ? `The first must have come before the second, since ${steps[0]}; and the second before the first, since ${steps[1]}.`
        : `Each must have come before the next, and the last before the first: ${steps.join('; ')}.`;
    const deeds = way.map((each, index) => `(${index + 1}) ${deed(each)}`);
    return this.#made([`${deeds.join('; ')}.`, order], last, way);
  }

  #steps(way: readonly Operation[]): string {
    const steps = way.slice(1).map((next, index) => this.#step(way[index] as Operation, next));
    return [...new Set(steps)].join('; ');
  }

  #step(from: Operation, next: Operation): string {
    return this.#facts.reason(from, next) ?? 'the one follows from the other';
  }
}
