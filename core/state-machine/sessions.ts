/**
 * The replicated session table: at most once. A session covers the requests [answeredBelow, +32): answered → the same
 * answer; pending → in progress; unseen → new, in any order; below → dropped; above → refused.
 *
 * Invariants: answeredBelow only grows, and never past a request that is pending; a session keeps at most
 * SESSION_WINDOW requests, all within its window; an answer, once kept, never changes; session numbers come from one
 * counter and are never used again; at the limit a new session is refused and none is evicted.
 */

import { assert } from '../base/assert.ts';
import { COUNTER_MAX, SESSION_WINDOW, SESSIONS_MAX } from '../base/limits.ts';
import type { Answer, RequestState, SessionProfile } from './commands.ts';
import type { SessionImage } from './image.ts';

interface SessionRecord {
  readonly session: number;
  readonly nonce: string;
  readonly profile: SessionProfile;
  answeredBelow: number;
  /** By sequence; null: pending. */
  readonly requests: Map<number, Answer | null>;
}

export class Sessions {
  #next = 1;
  /** In the order of their numbers, because the counter only grows. */
  readonly #sessions = new Map<number, SessionRecord>();
  readonly #byNonce = new Map<string, number>();

  get next(): number {
    return this.#next;
  }

  get size(): number {
    return this.#sessions.size;
  }

  has(session: number): boolean {
    return this.#sessions.has(session);
  }

  ids(): IterableIterator<number> {
    return this.#sessions.keys();
  }

  openedBy(nonce: string): number | null {
    return this.#byNonce.get(nonce) ?? null;
  }

  /** The number of a new session, or null at the limit. */
  open(nonce: string, profile: SessionProfile): number | null {
    assert(!this.#byNonce.has(nonce), `session opened twice by nonce ${nonce}`);
    if (this.#sessions.size >= SESSIONS_MAX) return null;
    assert(this.#next < COUNTER_MAX, 'session counter exhausted');
    const session = this.#next++;
    this.#sessions.set(session, { session, nonce, profile, answeredBelow: 1, requests: new Map() });
    this.#byNonce.set(nonce, session);
    return session;
  }

  end(session: number): void {
    const record = this.#sessions.get(session);
    assert(record !== undefined, `session ended twice: ${session}`);
    this.#sessions.delete(session);
    this.#byNonce.delete(record.nonce);
  }

  requestState(session: number, sequence: number, answeredBelow: number): RequestState {
    const record = this.#sessions.get(session);
    if (record === undefined) return { type: 'no-session' };
    const floor = windowFloor(record, answeredBelow);
    if (sequence < floor) return { type: 'below' };
    if (sequence >= floor + SESSION_WINDOW) return { type: 'above' };
    const answer = record.requests.get(sequence);
    if (answer === undefined) return { type: 'unseen' };
    return answer === null ? { type: 'pending' } : { type: 'answered', answer };
  }

  /** Enters a request that was unseen as pending, and forgets the answers that its client has. */
  begin(session: number, sequence: number, answeredBelow: number): void {
    const record = this.#sessions.get(session);
    assert(record !== undefined, `request in unknown session ${session}`);
    record.answeredBelow = windowFloor(record, answeredBelow);
    for (const known of record.requests.keys()) {
      if (known < record.answeredBelow) record.requests.delete(known);
    }
    assert(!record.requests.has(sequence), `request ${sequence} of session ${session} begun twice`);
    record.requests.set(sequence, null);
    assert(record.requests.size <= SESSION_WINDOW, `session ${session} outgrew its window`);
  }

  /** Keeps the answer of a pending request. An ended session keeps nothing. */
  settle(session: number, sequence: number, answer: Answer): void {
    const record = this.#sessions.get(session);
    if (record === undefined) return;
    assert(
      record.requests.get(sequence) === null,
      `request ${sequence} of session ${session} answered twice`,
    );
    record.requests.set(sequence, answer);
  }

  one(session: number): SessionImage | null {
    const record = this.#sessions.get(session);
    return record === undefined ? null : imageOf(record);
  }

  image(): SessionImage[] {
    return Array.from(this.#sessions.values(), imageOf);
  }

  load(next: number, sessions: readonly SessionImage[]): void {
    this.#next = next;
    for (const { session, nonce, profile, answeredBelow, requests } of sessions) {
      const known = new Map(requests.map(({ sequence, answer }) => [sequence, answer]));
      this.#sessions.set(session, { session, nonce, profile, answeredBelow, requests: known });
      this.#byNonce.set(nonce, session);
    }
  }
}

function imageOf(record: SessionRecord): SessionImage {
  const { session, nonce, profile, answeredBelow } = record;
  const requests = Array.from(record.requests, ([sequence, answer]) => ({ sequence, answer }));
  requests.sort((a, b) => a.sequence - b.sequence);
  return { session, nonce, profile, answeredBelow, requests };
}

/**
 * Where the window begins if the client says that it has all answers below `answeredBelow`. A client that claims the answer
 * of a request which is still pending is wrong, and the request is not forgotten for it: a waiter must have its place.
 */
function windowFloor(record: SessionRecord, answeredBelow: number): number {
  let floor = answeredBelow;
  for (const [sequence, answer] of record.requests) {
    if (answer === null && sequence < floor) floor = sequence;
  }
  return Math.max(floor, record.answeredBelow);
}
