/**
 * Locks by name: exclusive and shared, strictly first come first served, reentrant for their holder, fenced by tokens.
 *
 * Holder = (session, owner). A lock exists while somebody holds it or waits for it, and is forgotten after that.
 *
 * Invariants: a lock is held by one exclusive grant or by shared ones only; an owner either holds a lock or waits for it,
 * never both; a queue stands only behind a conflict: its head does not fit the grants; tokens come from one counter, one
 * per grant, and are never used again; grants and waiters of a session stay below GRANTS_PER_SESSION_MAX.
 *
 * The queue is a linked list, so that the head, the tail and any waiter in the middle go in constant time.
 */

import { assert } from '../base/assert.ts';
import { CODES } from '../base/codes.ts';
import { COUNTER_MAX, GRANTS_PER_SESSION_MAX, WAITERS_PER_LOCK_MAX } from '../base/limits.ts';
import { done, refused } from './answers.ts';
import type { Answer, Grant, GrantEnd, Holder, LockMode, Operation, Waiter } from './commands.ts';
import type { EffectsDraft } from './effects.ts';
import type { LockImage } from './image.ts';
import { SortedNames } from './sorted-names.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface WaiterRecord extends Waiter {
  /** The index of the entry that queued it. */
  readonly place: number;
  previous: WaiterRecord | null;
  next: WaiterRecord | null;
}

interface LockRecord {
  readonly name: string;
  /** By holder, in the order of their tokens. */
  readonly grants: Map<string, Mutable<Grant>>;
  readonly waiters: Map<string, WaiterRecord>;
  head: WaiterRecord | null;
  tail: WaiterRecord | null;
}

interface SessionRecord {
  readonly grants: Set<Mutable<Grant>>;
  readonly waiters: Set<WaiterRecord>;
}

export interface LockState {
  readonly lock: string;
  readonly grants: readonly Grant[];
  readonly waiters: readonly Waiter[];
}

/** Waiters that were not heard, by lock: they leave the queue when the lock passes on. */
export type SilentByLock = ReadonlyMap<string, readonly Holder[]>;

type Acquire = Extract<Operation, { type: 'acquire' }>;

export class Locks {
  #nextToken = 1;
  readonly #locks = new Map<string, LockRecord>();
  readonly #names = new SortedNames();
  readonly #byToken = new Map<number, Mutable<Grant>>();
  readonly #bySession = new Map<number, SessionRecord>();
  #waiters = 0;

  get nextToken(): number {
    return this.#nextToken;
  }

  get counts(): { locks: number; grants: number; waiters: number } {
    return { locks: this.#locks.size, grants: this.#byToken.size, waiters: this.#waiters };
  }

  /** Null: the request waits for its turn. */
  acquire(
    request: { session: number; sequence: number; index: number; operation: Acquire },
    draft: EffectsDraft,
  ): Answer | null {
    const { session, sequence, index, operation } = request;
    const { lock: name, owner, mode, ttlMs, resendMs } = operation;
    const lock = this.#locks.get(name);
    const key = holderKey({ session, owner });
    const held = lock?.grants.get(key);
    if (held !== undefined) return reenter(held, mode, draft);
    if (lock?.waiters.has(key)) return refused(CODES.badRequest, 'already-waiting');
    const free = lock === undefined || (lock.head === null && fits(lock, mode));
    if (!free && !operation.wait) {
      return refused(CODES.notHolder, 'lock-is-held', exclusiveToken(lock));
    }
    const mine = this.#bySession.get(session);
    if (mine !== undefined && mine.grants.size + mine.waiters.size >= GRANTS_PER_SESSION_MAX) {
      return refused(CODES.badRequest, 'too-many-grants');
    }
    if (free) {
      const grant = this.#grant(lock ?? this.#make(name), { session, owner, mode, ttlMs }, draft);
      return done(grant.token, grant.ttlMs);
    }
    if (lock.waiters.size >= WAITERS_PER_LOCK_MAX) return refused(CODES.badRequest, 'too-many-waiters');
    const waiter = { session, owner, lock: name, mode, sequence, ttlMs, resendMs };
    this.#enqueue(lock, waiter, index);
    draft.queued.push(waiter);
    return null;
  }

  /** One step back for a holder; at depth 0 the lock passes on. */
  release(
    operation: Extract<Operation, { type: 'release' }>,
    session: number,
    silent: SilentByLock,
    draft: EffectsDraft,
  ): Answer {
    const lock = this.#locks.get(operation.lock);
    const grant = this.#byToken.get(operation.token);
    if (lock === undefined || grant === undefined || grant.lock !== operation.lock) {
      return refused(CODES.notHolder, 'token-not-current', exclusiveToken(lock));
    }
    if (grant.session !== session || grant.owner !== operation.owner) {
      return refused(CODES.notHolder, 'not-this-owner', exclusiveToken(lock));
    }
    if (grant.depth > 1) return done(--grant.depth);
    this.#end(grant, 'released', draft);
    this.#passOn(lock, silent, draft);
    return done(0);
  }

  /** Takes an owner out of the queue; its acquire is answered too. A grant that was faster stands, and is named. */
  cancel(lock: string, holder: Holder, silent: SilentByLock, draft: EffectsDraft): Answer {
    const record = this.#locks.get(lock);
    const key = holderKey(holder);
    const waiter = record?.waiters.get(key);
    if (record === undefined || waiter === undefined) {
      return refused(CODES.notFound, 'no-such-lock', record?.grants.get(key)?.token ?? 0);
    }
    this.#dequeue(record, waiter, draft);
    answerWaiter(waiter, refused(CODES.notHolder, 'wait-cancelled', exclusiveToken(record)), draft);
    this.#passOn(record, silent, draft);
    return done();
  }

  /** Ends every grant of a lock, whoever holds it. */
  forceRelease(lock: string, silent: SilentByLock, draft: EffectsDraft): Answer {
    const record = this.#locks.get(lock);
    if (record === undefined) return refused(CODES.notFound, 'no-such-lock');
    for (const grant of [...record.grants.values()]) this.#end(grant, 'forced', draft);
    this.#passOn(record, silent, draft);
    return done();
  }

  /** Ends the named grants that are still current. */
  expire(
    grants: readonly { readonly lock: string; readonly token: number }[],
    silent: SilentByLock,
    draft: EffectsDraft,
  ): void {
    const touched = new Set<LockRecord>();
    for (const { lock, token } of grants) {
      const grant = this.#byToken.get(token);
      if (grant === undefined || grant.lock !== lock) continue;
      touched.add(this.#locks.get(lock) as LockRecord);
      this.#end(grant, 'expired', draft);
    }
    for (const lock of touched) this.#passOn(lock, silent, draft);
  }

  /** All that a session holds passes on, and it waits for nothing more. */
  endSession(session: number, silent: SilentByLock, draft: EffectsDraft): void {
    const mine = this.#bySession.get(session);
    if (mine === undefined) return;
    const touched = new Set<LockRecord>();
    for (const grant of [...mine.grants]) {
      touched.add(this.#locks.get(grant.lock) as LockRecord);
      this.#end(grant, 'session-ended', draft);
    }
    for (const waiter of [...mine.waiters]) {
      const lock = this.#locks.get(waiter.lock) as LockRecord;
      touched.add(lock);
      this.#dequeue(lock, waiter, draft);
      answerWaiter(waiter, refused(CODES.sessionEnded, 'session-unknown'), draft);
    }
    for (const lock of touched) this.#passOn(lock, silent, draft);
  }

  /** The current grant with this token, of whatever lock. */
  grant(token: number): Grant | null {
    const grant = this.#byToken.get(token);
    return grant === undefined ? null : { ...grant };
  }

  /** The token of the exclusive grant, or 0 if the lock is free or shared. */
  exclusiveToken(lock: string): number {
    return exclusiveToken(this.#locks.get(lock));
  }

  /** The grants of a lock as they are now, in the order of their tokens; not to be kept. */
  grants(lock: string): Iterable<Grant> {
    return this.#locks.get(lock)?.grants.values() ?? [];
  }

  /** The queue of a lock as it is now, first come first; not to be kept. */
  waiters(lock: string): Iterable<Waiter> {
    const record = this.#locks.get(lock);
    return record === undefined ? [] : queue(record);
  }

  /** The grants of a session as they are now; not to be kept. */
  grantsOf(session: number): Iterable<Grant> {
    return this.#bySession.get(session)?.grants ?? [];
  }

  one(name: string): LockState | null {
    const lock = this.#locks.get(name);
    if (lock === undefined) return null;
    const grants = Array.from(lock.grants.values(), (grant) => ({ ...grant }));
    return { lock: name, grants, waiters: Array.from(queue(lock), waiterOf) };
  }

  /** Locks in the order of their names, after `name`. */
  *after(name: string): Generator<LockState> {
    for (const next of this.#names.after(name)) yield this.one(next) as LockState;
  }

  ofSession(session: number): { grants: Grant[]; waiters: Waiter[] } {
    const mine = this.#bySession.get(session);
    if (mine === undefined) return { grants: [], waiters: [] };
    return {
      grants: Array.from(mine.grants, (grant) => ({ ...grant })),
      waiters: Array.from(mine.waiters, waiterOf),
    };
  }

  image(): LockImage[] {
    return Array.from(this.#names.all(), (name) => {
      const lock = this.#locks.get(name) as LockRecord;
      const grants = Array.from(lock.grants.values(), ({ lock: _, ...grant }) => grant);
      const waiters = Array.from(queue(lock), ({ lock: _, previous, next, ...waiter }) => waiter);
      return { lock: name, grants, waiters };
    });
  }

  /** Sessions' own sets are refilled in the order in which they grew, so that a restored machine does the same next. */
  load(nextToken: number, locks: readonly LockImage[]): void {
    this.#nextToken = nextToken;
    const grants: Mutable<Grant>[] = [];
    const waiters: WaiterRecord[] = [];
    for (const image of locks) {
      this.#make(image.lock);
      for (const grant of image.grants) grants.push({ ...grant, lock: image.lock });
      for (const waiter of image.waiters) {
        waiters.push({ ...waiter, lock: image.lock, previous: null, next: null });
      }
    }
    grants.sort((a, b) => a.token - b.token);
    waiters.sort((a, b) => a.place - b.place);
    for (const grant of grants) this.#insert(this.#locks.get(grant.lock) as LockRecord, grant);
    for (const waiter of waiters) {
      this.#enqueue(this.#locks.get(waiter.lock) as LockRecord, waiterOf(waiter), waiter.place);
    }
  }

  #make(name: string): LockRecord {
    const lock: LockRecord = { name, grants: new Map(), waiters: new Map(), head: null, tail: null };
    this.#locks.set(name, lock);
    this.#names.add(name);
    return lock;
  }

  #grant(
    lock: LockRecord,
    asked: { session: number; owner: number; mode: LockMode; ttlMs: number },
    draft: EffectsDraft,
  ): Grant {
    assert(fits(lock, asked.mode), `lock ${lock.name} granted against a holder`);
    assert(this.#nextToken < COUNTER_MAX, 'token counter exhausted');
    const { session, owner, mode, ttlMs } = asked;
    const token = this.#nextToken++;
    const grant = { session, owner, lock: lock.name, token, mode, depth: 1, ttlMs };
    this.#insert(lock, grant);
    draft.granted.push({ ...grant });
    return grant;
  }

  #insert(lock: LockRecord, grant: Mutable<Grant>): void {
    lock.grants.set(holderKey(grant), grant);
    this.#byToken.set(grant.token, grant);
    this.#sessionOf(grant.session).grants.add(grant);
  }

  #end(grant: Grant, cause: GrantEnd, draft: EffectsDraft): void {
    const lock = this.#locks.get(grant.lock);
    assert(lock?.grants.delete(holderKey(grant)) === true, `token ${grant.token} ended twice`);
    this.#byToken.delete(grant.token);
    this.#sessionOf(grant.session).grants.delete(grant);
    this.#forgetIdle(grant.session);
    draft.ended.push({ lock: grant.lock, token: grant.token, cause });
  }

  #enqueue(lock: LockRecord, waiter: Waiter, place: number): void {
    const record: WaiterRecord = { ...waiter, place, previous: lock.tail, next: null };
    assert(lock.tail === null || lock.tail.place < place, `queue of ${lock.name} out of order`);
    if (lock.tail === null) lock.head = record;
    else lock.tail.next = record;
    lock.tail = record;
    lock.waiters.set(holderKey(waiter), record);
    this.#sessionOf(waiter.session).waiters.add(record);
    this.#waiters++;
  }

  #dequeue(lock: LockRecord, waiter: WaiterRecord, draft: EffectsDraft): void {
    assert(lock.waiters.delete(holderKey(waiter)), `waiter left ${lock.name} twice`);
    if (waiter.previous === null) lock.head = waiter.next;
    else waiter.previous.next = waiter.next;
    if (waiter.next === null) lock.tail = waiter.previous;
    else waiter.next.previous = waiter.previous;
    this.#sessionOf(waiter.session).waiters.delete(waiter);
    this.#forgetIdle(waiter.session);
    this.#waiters--;
    draft.unqueued.push(waiterOf(waiter));
  }

  /** After a grant or a waiter went: silent waiters go, and whoever is first and fits is granted, until one must wait. */
  #passOn(lock: LockRecord, silent: SilentByLock, draft: EffectsDraft): void {
    for (const holder of silent.get(lock.name) ?? []) {
      const waiter = lock.waiters.get(holderKey(holder));
      if (waiter === undefined) continue;
      this.#dequeue(lock, waiter, draft);
      answerWaiter(waiter, refused(CODES.notHolder, 'waiter-not-heard', exclusiveToken(lock)), draft);
    }
    while (lock.head !== null && fits(lock, lock.head.mode)) {
      const waiter = lock.head;
      this.#dequeue(lock, waiter, draft);
      const grant = this.#grant(lock, waiter, draft);
      answerWaiter(waiter, done(grant.token, grant.ttlMs), draft);
    }
    if (lock.grants.size > 0) return;
    assert(lock.head === null, `lock ${lock.name} is free and somebody waits`);
    this.#locks.delete(lock.name);
    this.#names.remove(lock.name);
  }

  #sessionOf(session: number): SessionRecord {
    let record = this.#bySession.get(session);
    if (record === undefined) {
      record = { grants: new Set(), waiters: new Set() };
      this.#bySession.set(session, record);
    }
    return record;
  }

  #forgetIdle(session: number): void {
    const record = this.#sessionOf(session);
    if (record.grants.size === 0 && record.waiters.size === 0) this.#bySession.delete(session);
  }
}

function holderKey(holder: Holder): string {
  return `${holder.session}/${holder.owner}`;
}

function exclusiveToken(lock: LockRecord | undefined): number {
  if (lock === undefined) return 0;
  for (const grant of lock.grants.values()) return grant.mode === 'exclusive' ? grant.token : 0;
  return 0;
}

/** Whether a grant of this mode can stand beside those that are there. */
function fits(lock: LockRecord, mode: LockMode): boolean {
  if (lock.grants.size === 0) return true;
  return mode === 'shared' && exclusiveToken(lock) === 0;
}

/** Past the queue, same token, counted. Two shared holders that both asked for exclusive would wait for ever. */
function reenter(grant: Mutable<Grant>, mode: LockMode, draft: EffectsDraft): Answer {
  if (grant.mode === 'shared' && mode === 'exclusive') {
    return refused(CODES.badRequest, 'shared-holder-asks-exclusive');
  }
  grant.depth++;
  draft.granted.push({ ...grant });
  return done(grant.token, grant.ttlMs);
}

function answerWaiter(waiter: Waiter, answer: Answer, draft: EffectsDraft): void {
  draft.answers.push({ session: waiter.session, sequence: waiter.sequence, answer });
}

function* queue(lock: LockRecord): Generator<WaiterRecord> {
  for (let waiter = lock.head; waiter !== null; waiter = waiter.next) yield waiter;
}

function waiterOf(record: Waiter): Waiter {
  const { session, owner, lock, mode, sequence, ttlMs, resendMs } = record;
  return { session, owner, lock, mode, sequence, ttlMs, resendMs };
}
