/**
 * The state machine: applies committed commands, one after the other, and says what came of each.
 *
 * Invariants: the same commands at the same indexes give the same state and the same effects, on every replica and in
 * every process; no clock, chance or unsorted walk takes part. A request is executed at most once. Every command that the
 * log can hold is answered, also a senseless one; only a broken machine throws.
 */

import { assert, unreachable } from '../base/assert.ts';
import { CODES } from '../base/codes.ts';
import { FILES_LOCK, LOGS_MAX } from '../base/limits.ts';
import { done, refused } from './answers.ts';
import type {
  Answer,
  Command,
  Effects,
  Grant,
  Holder,
  LogInfo,
  Operation,
  RequestState,
  SilentWaiter,
  Waiter,
} from './commands.ts';
import { type EffectsDraft, noEffects } from './effects.ts';
import type { MachineImage, SessionImage } from './image.ts';
import { checkImage } from './invariants.ts';
import { Kv } from './kv.ts';
import { type LockState, Locks, type SilentByLock } from './locks.ts';
import { Logs } from './logs.ts';
import { Sessions } from './sessions.ts';
import { NONCE_PATTERN, validateOperation } from './validate.ts';

export { validateOperation } from './validate.ts';

type Request = Extract<Command, { type: 'request' }>;
type Append = Extract<Operation, { type: 'append' }>;

export interface MachineCounts {
  readonly sessions: number;
  readonly locks: number;
  readonly grants: number;
  readonly waiters: number;
  readonly logs: number;
  readonly keys: number;
  readonly tokensIssued: number;
  readonly revision: number;
}

export class Machine {
  #index = 0;
  readonly #sessions = new Sessions();
  readonly #locks = new Locks();
  readonly #logs = new Logs();
  readonly #kv = new Kv();

  /** The machine that an image was taken of. An image that no machine can have fails an assertion. */
  static fromImage(image: MachineImage): Machine {
    checkImage(image);
    const machine = new Machine();
    machine.#index = image.index;
    machine.#sessions.load(image.nextSession, image.sessions);
    machine.#locks.load(image.nextToken, image.locks);
    machine.#logs.load(image.nextLog, image.logs);
    machine.#kv.load(image.revision, image.entries, image.changes);
    return machine;
  }

  image(): MachineImage {
    return {
      index: this.#index,
      nextSession: this.#sessions.next,
      nextToken: this.#locks.nextToken,
      nextLog: this.#logs.nextId,
      revision: this.#kv.revision,
      sessions: this.#sessions.image(),
      locks: this.#locks.image(),
      logs: this.#logs.image(),
      ...this.#kv.image(),
    };
  }

  /** Executes one committed command. `term` is the term of its entry. */
  apply(entry: { readonly index: number; readonly term: number; readonly command: Command }): Effects {
    const { index, term, command } = entry;
    assert(index > this.#index, `command ${index} applied after command ${this.#index}`);
    this.#index = index;
    const draft = noEffects();
    switch (command.type) {
      case 'bootstrap':
        this.#bootstrap(command.files, draft);
        break;
      case 'open-session':
        this.#openSession(command, draft);
        break;
      case 'request':
        this.#request(command, index, draft);
        break;
      case 'end-session':
        if (this.#sessions.has(command.session)) {
          draft.executed = true;
          this.#endSession(command.session, bySilentLock(command.silent), draft);
        }
        break;
      case 'expire':
        // A leader that lost its term while this was under way judged leases that its successor has begun anew.
        if (command.term === term) {
          this.#locks.expire(command.grants, bySilentLock(command.silent), draft);
          draft.executed = draft.ended.length > 0;
        }
        break;
      default:
        unreachable(command);
    }
    for (const { session, sequence, answer } of draft.answers)
      this.#sessions.settle(session, sequence, answer);
    return draft;
  }

  // --- questions of the leader and the server ------------------------------------------------------------------------

  /** The index of the last command that was applied. */
  get index(): number {
    return this.#index;
  }

  /** How a request stands: asked before it is proposed, and again when it is applied. */
  requestState(session: number, sequence: number, answeredBelow: number): RequestState {
    return this.#sessions.requestState(session, sequence, answeredBelow);
  }

  /** The living session that was opened with this nonce, or null. */
  openedBy(nonce: string): number | null {
    return this.#sessions.openedBy(nonce);
  }

  hasSession(session: number): boolean {
    return this.#sessions.has(session);
  }

  /** All living sessions, by number. */
  sessions(): number[] {
    return [...this.#sessions.ids()];
  }

  session(session: number): (SessionImage & { grants: Grant[]; waiters: Waiter[] }) | null {
    const image = this.#sessions.one(session);
    return image === null ? null : { ...image, ...this.#locks.ofSession(session) };
  }

  /** Null: nobody holds the lock, and so nobody waits for it. */
  lock(name: string): LockState | null {
    return this.#locks.one(name);
  }

  /** The grants of a lock as they are now; nothing is copied, so nothing is to be kept. */
  grants(lock: string): Iterable<Grant> {
    return this.#locks.grants(lock);
  }

  /** The queue of a lock as it is now, first come first; not to be kept. */
  waiters(lock: string): Iterable<Waiter> {
    return this.#locks.waiters(lock);
  }

  /** What a session holds now; not to be kept. */
  grantsOf(session: number): Iterable<Grant> {
    return this.#locks.grantsOf(session);
  }

  locksAfter(name: string, limit: number): { locks: LockState[]; more: boolean } {
    const { items, more } = page(this.#locks.after(name), limit);
    return { locks: items, more };
  }

  /** All locks that are held, by name: what a new leader begins its leases and its hearing of waiters with. */
  locks(): Iterable<LockState> {
    return this.#locks.after('');
  }

  /** The current grant with this token, or null. */
  grant(token: number): Grant | null {
    return this.#locks.grant(token);
  }

  /** The exclusive grant of a lock, or null if it is free or shared. */
  holderOf(lock: string): Grant | null {
    return this.#locks.grant(this.#locks.exclusiveToken(lock));
  }

  log(name: string): LogInfo | null {
    return this.#logs.one(name);
  }

  logById(id: number): LogInfo | null {
    return this.#logs.byId(id);
  }

  /** In the order of code units: file_10 before file_2. */
  logsAfter(name: string, limit: number): { logs: LogInfo[]; more: boolean } {
    const { items, more } = page(this.#logs.after(name), limit);
    return { logs: items, more };
  }

  /** The keys' side, for reading. */
  get kv(): Pick<Kv, 'get' | 'list' | 'changesSince' | 'revision' | 'size'> {
    return this.#kv;
  }

  get counts(): MachineCounts {
    return {
      sessions: this.#sessions.size,
      ...this.#locks.counts,
      logs: this.#logs.size,
      keys: this.#kv.size,
      tokensIssued: this.#locks.nextToken - 1,
      revision: this.#kv.revision,
    };
  }

  // --- commands ------------------------------------------------------------------------------------------------------

  #bootstrap(files: number, draft: EffectsDraft): void {
    if (this.#logs.nextId > 1 || files > LOGS_MAX) return;
    draft.executed = true;
    for (let number = 0; number < files; number++) {
      const answer = this.#logs.create(`file_${number}`, FILES_LOCK, draft);
      assert(answer.code === CODES.done, `file_${number} could not be created`);
    }
  }

  #openSession(command: Extract<Command, { type: 'open-session' }>, draft: EffectsDraft): void {
    const { nonce, profile } = command;
    if (!NONCE_PATTERN.test(nonce)) {
      draft.openRefused = 'malformed';
      return;
    }
    const known = this.#sessions.openedBy(nonce);
    const session = known ?? this.#sessions.open(nonce, profile);
    if (session === null) {
      draft.openRefused = 'too-many-sessions';
      return;
    }
    draft.executed = known === null;
    draft.opened = { nonce, session };
  }

  #endSession(session: number, silent: SilentByLock, draft: EffectsDraft): void {
    this.#sessions.end(session);
    this.#locks.endSession(session, silent, draft);
    draft.endedSessions.push(session);
  }

  #request(request: Request, index: number, draft: EffectsDraft): void {
    const { session, sequence, answeredBelow } = request;
    if (this.#sessions.requestState(session, sequence, answeredBelow).type !== 'unseen') return;
    this.#sessions.begin(session, sequence, answeredBelow);
    draft.executed = true;
    const malformed = validateOperation(request.operation);
    const answer =
      malformed === null ? this.#execute(request, index, draft) : refused(CODES.badRequest, malformed);
    if (answer !== null) draft.answers.push({ session, sequence, answer });
  }

  /** Null: the request waits. */
  #execute(request: Request, index: number, draft: EffectsDraft): Answer | null {
    const { session, sequence, operation } = request;
    switch (operation.type) {
      case 'acquire':
        return this.#locks.acquire({ session, sequence, index, operation }, draft);
      case 'cancel': {
        const holder: Holder = { session, owner: operation.owner };
        return this.#locks.cancel(operation.lock, holder, bySilentLock(request.silent), draft);
      }
      case 'release':
        return this.#locks.release(operation, session, bySilentLock(request.silent), draft);
      case 'force-release':
        return this.#locks.forceRelease(operation.lock, bySilentLock(request.silent), draft);
      case 'append':
        return this.#append(operation, draft);
      case 'create-log':
        return this.#logs.create(operation.log, operation.guard, draft);
      case 'delete-log':
        return this.#logs.delete(operation.log, draft);
      case 'trim-log':
        return this.#logs.trim(operation.log, operation.before, draft);
      case 'kv-put':
        return this.#kv.put(operation.key, operation.value, draft);
      case 'kv-delete':
        return this.#kv.delete(operation.key, draft);
      case 'kv-cas':
        return this.#kv.compareAndSet(operation.key, operation.expect, operation.value, draft);
      case 'close-session':
        this.#endSession(session, bySilentLock(request.silent), draft);
        return done();
      default:
        return unreachable(operation);
    }
  }

  #append(operation: Append, draft: EffectsDraft): Answer {
    const log = this.#logs.one(operation.log);
    if (log === null) return refused(CODES.notFound, 'no-such-log');
    const refusal = this.#fenced(log.guard, operation.fence);
    if (refusal === null) return this.#logs.append(operation.log, operation.data, draft);
    draft.refusedAppend = refusal.reason === 'token-not-current';
    return refusal;
  }

  /**
   * Null if the fence holds: its token is the current exclusive grant of its lock, from whatever session. A log without a
   * guard asks for no fence, but one that is given must hold.
   */
  #fenced(guard: string | null, fence: Append['fence']): Answer | null {
    if (fence === null) {
      if (guard === null) return null;
      return refused(CODES.notHolder, 'token-required', this.#locks.exclusiveToken(guard));
    }
    if (guard !== null && fence.lock !== guard) return refused(CODES.badRequest, 'not-guarded-by-this-lock');
    const current = this.#locks.exclusiveToken(fence.lock);
    if (current !== 0 && fence.token === current) return null;
    const grant = this.#locks.grant(fence.token);
    const shared = grant !== null && grant.lock === fence.lock;
    return refused(CODES.notHolder, shared ? 'token-is-shared' : 'token-not-current', current);
  }
}

function bySilentLock(silent: readonly SilentWaiter[]): SilentByLock {
  const byLock = new Map<string, Holder[]>();
  for (const waiter of silent) {
    const known = byLock.get(waiter.lock);
    if (known === undefined) byLock.set(waiter.lock, [waiter]);
    else known.push(waiter);
  }
  return byLock;
}

/** The first `limit` items, at least one if there is one, and whether there are more. */
function page<T>(items: Iterable<T>, limit: number): { items: T[]; more: boolean } {
  const taken: T[] = [];
  for (const item of items) {
    if (taken.length > 0 && taken.length >= limit) return { items: taken, more: true };
    taken.push(item);
  }
  return { items: taken, more: false };
}
