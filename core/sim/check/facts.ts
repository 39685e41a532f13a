/**
 * What operations on locks and logs say about each other's order: facts, and which of two facts must come before which.
 *
 * These are the rules of the service, each as an order: records have the order of their offsets; a read comes after the
 * records that it shows and before those that it would have shown; grants have the order of their tokens; what was done
 * under a token comes after its grant and before the next grant that conflicts; what was refused for a token comes after
 * all that was accepted under it. A lease may end silently at any time, which orders nothing.
 */

import type { Operation } from './history.ts';

export type Fact =
  | { readonly type: 'record'; readonly log: string; readonly offset: number }
  /** Shows the records below `seen`; the log had at most `end` records, infinite if the read was cut by its limit. */
  | { readonly type: 'view'; readonly log: string; readonly seen: number; readonly end: number }
  | {
      readonly type: 'grant' | 'use' | 'end' | 'refusal';
      readonly lock: string;
      readonly token: number;
      readonly shared: boolean;
    };

type LogFact = Extract<Fact, { log: string }>;
type LockFact = Extract<Fact, { lock: string }>;

export class Facts {
  readonly #facts = new Map<Operation, Fact[]>();
  /** Orders between two operations that follow from no pair of facts. */
  readonly #pairs = new Map<Operation, Map<Operation, string>>();

  add(operation: Operation, fact: Fact): void {
    const facts = this.#facts.get(operation);
    if (facts === undefined) this.#facts.set(operation, [fact]);
    else facts.push(fact);
  }

  pair(first: Operation, second: Operation, reason: string): void {
    const seconds = this.#pairs.get(first) ?? new Map<Operation, string>();
    seconds.set(second, reason);
    this.#pairs.set(first, seconds);
  }

  /** Why one operation must come before the other; null if it need not. */
  reason(first: Operation, second: Operation): string | null {
    for (const a of this.#facts.get(first) ?? []) {
      for (const b of this.#facts.get(second) ?? []) {
        const reason =
          'log' in a
            ? 'log' in b && a.log === b.log
              ? logReason(a, b)
              : null
            : 'lock' in b && a.lock === b.lock
              ? lockReason(a, b)
              : null;
        if (reason !== null) return reason;
      }
    }
    return this.#pairs.get(first)?.get(second) ?? null;
  }
}

function logReason(a: LogFact, b: LogFact): string | null {
  if (a.type === 'record') {
    if (b.type === 'record') {
      return a.offset < b.offset ? `offset ${a.offset} is written before offset ${b.offset}` : null;
    }
    return a.offset < b.seen ? 'a record is written before it is read' : null;
  }
  const shows = a.end === 0 ? 'that the log was empty' : `that the log had no offset ${a.end}`;
  if (b.type === 'record') return b.offset >= a.end ? `the read found ${shows} yet` : null;
  return b.seen > a.end ? `the one read found ${shows}, the other did read on beyond` : null;
}

function lockReason(a: LockFact, b: LockFact): string | null {
  if (a.token === b.token) {
    if (a.type === 'grant' && b.type !== 'grant') {
      return `token ${a.token} is granted before it is used`;
    }
    const accepted = a.type === 'use' || a.type === 'end';
    if (accepted && b.type === 'refusal') {
      return `a token that was refused once is not accepted again`;
    }
    return a.type === 'use' && b.type === 'end' ? `after its release token ${a.token} is over` : null;
  }
  if (a.token > b.token || a.type === 'refusal') return null;
  if (a.type === 'grant') {
    return b.type === 'grant' ? 'tokens only grow' : `token ${a.token} is granted before token ${b.token}`;
  }
  if (!a.shared || !b.shared) return `once token ${b.token} is granted, token ${a.token} is over`;
  return null;
}
