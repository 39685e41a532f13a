/**
 * What the server does about a client's message: the session table's four answers (new, repeated, in progress, old), the
 * way of a new request into the log, and the way of its answer back.
 *
 * Invariants: a numbered request is proposed at most once by this leader while it is under way; code 5 is sent only for
 * what was never appended; a renewal is confirmed only by a leader that serves, and never behind an end that is in the log.
 */

import { assert } from '../base/assert.ts';
import { CODES, type Code, type Reason } from '../base/codes.ts';
import { COURSEWORK_TTL_MS, TTL_MIN_MS } from '../base/limits.ts';
import type { Clock } from '../base/ports.ts';
import type { Command, Effects, Grant, Operation } from '../state-machine/commands.ts';
import type { Machine } from '../state-machine/machine.ts';
import type { Remote } from '../transport/interface.ts';
import { decodeRequest, encodeResponse } from '../wire/client-codec.ts';
import type { ClientRequest, RequestBody, ResponseBody, ServerStatus } from '../wire/client-messages.ts';
import { isGrowing } from './admission.ts';
import type { Counters } from './counters.ts';
import type { LeaseKeeper } from './lease-keeper.ts';
import type { MembershipRequest } from './membership.ts';
import { mayRequest } from './permissions.ts';
import type { Reads } from './reads.ts';
import type { SessionMemory } from './session-memory.ts';
import { validateRequest } from './validation.ts';

export interface ClientServiceOptions {
  readonly node: string;
  /** As it is now: a snapshot from the leader replaces it whole. */
  readonly machine: () => Machine;
  readonly memory: SessionMemory;
  readonly keeper: LeaseKeeper;
  readonly reads: Reads;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly send: (to: Remote, message: Uint8Array) => void;
  /** Appends a command; its index, or why it is not admitted. */
  readonly propose: (
    command: Command,
    growing: boolean,
  ) => { readonly index: number } | { readonly refused: Reason };
  /** Calls back when a majority has confirmed that this server still leads, with null if it does not. */
  readonly confirm: (done: (index: number | null) => void) => void;
  /** Calls back with null once the change is committed, or with why it cannot be. */
  readonly membership: (request: MembershipRequest, done: (refused: Reason | null) => void) => void;
  readonly status: () => ServerStatus;
  /** Positions of the log: what came last, what is applied, and what a linearizable read must see. */
  readonly positions: () => { readonly lastIndex: number; readonly appliedIndex: number };
  /** Whether this server may serve now, and where to turn to if not. */
  readonly leadership: () => { readonly serving: boolean; readonly leader: string; readonly reason: Reason };
}

/** Whoever asks: where the answer goes and what it refers to. */
export interface Caller {
  readonly remote: Remote;
  readonly request: number;
  readonly attempt: number;
}

function codeOfMembership(reason: Reason): Code {
  if (reason === 'no-such-member') return CODES.notFound;
  return reason === 'last-voter' ? CODES.badRequest : CODES.unavailable;
}

export class ClientService {
  readonly #options: ClientServiceOptions;
  /** Opens in the log and not applied, by nonce. */
  readonly #opening = new Map<string, Caller>();

  constructor(options: ClientServiceOptions) {
    this.#options = options;
  }

  #respond(to: Caller, body: ResponseBody): void {
    this.#options.send(to.remote, encodeResponse({ request: to.request, attempt: to.attempt, body }));
  }

  #refuse(to: Caller, code: Code, reason: Reason): void {
    this.#options.counters.add(`refused.${reason}`);
    const leader = code === CODES.unavailable ? this.#options.leadership().leader : '';
    this.#respond(to, { type: 'refused', code, reason, leader });
  }

  /** One authentic message from a client. */
  receive(remote: Remote, message: Uint8Array): void {
    const decoded = decodeRequest(message);
    if (!decoded.ok) {
      this.#options.counters.add('malformed');
      // Whoever sealed this means well; it is told, so that it need not wait for its timeout.
      if (decoded.head !== null) {
        const { request, attempt } = decoded.head;
        this.#refuse({ remote, request, attempt }, CODES.badRequest, 'malformed');
      }
      return;
    }
    const request = decoded.value;
    const caller: Caller = { remote, request: request.request, attempt: request.attempt };
    if (!mayRequest(remote.keyClass, request.body.type)) {
      this.#refuse(caller, CODES.badRequest, 'not-allowed-for-this-key');
      return;
    }
    const invalid = validateRequest(request.body);
    if (invalid !== null) {
      this.#refuse(caller, CODES.badRequest, invalid);
      return;
    }
    this.#options.counters.add(`request.${request.body.type}`);
    this.#dispatch(caller, request);
  }

  #dispatch(caller: Caller, request: ClientRequest): void {
    const { body } = request;
    if (body.type === 'ping') return this.#respond(caller, { type: 'pong', node: this.#options.node });
    if (body.type === 'status')
      return this.#respond(caller, { type: 'status', status: this.#options.status() });
    const stale = 'stale' in body && body.stale;
    const leadership = this.#options.leadership();
    if (!leadership.serving && !stale) return this.#refuse(caller, CODES.unavailable, leadership.reason);
    switch (body.type) {
      case 'open-session':
        return this.#openSession(caller, body);
      case 'keep-alive':
        if (!this.#touch(request.session)) return this.#refuse(caller, CODES.sessionEnded, 'session-unknown');
        return this.#respond(caller, { type: 'kept-alive' });
      case 'operation':
        return this.#operation(caller, request, body.operation);
      case 'renew':
        return this.#renew(caller, request, body);
      case 'member-add':
      case 'member-remove':
      case 'transfer-leader':
        return this.#options.membership(body, (refused) => {
          if (refused === null) this.#respond(caller, { type: 'changed' });
          else this.#refuse(caller, codeOfMembership(refused), refused);
        });
      default:
        this.#touch(request.session);
        this.#options.reads.serve(caller, body, (response) => this.#respond(caller, response));
    }
  }

  /** Notes that a session was heard; false if there is no such session. */
  #touch(session: number): boolean {
    const machine = this.#options.machine();
    const { memory, clock } = this.#options;
    if (session === 0 || !machine.hasSession(session)) return false;
    memory.heard(session, clock.now());
    return true;
  }

  #openSession(caller: Caller, body: Extract<RequestBody, { type: 'open-session' }>): void {
    const existing = this.#options.machine().openedBy(body.nonce);
    if (existing !== null) {
      this.#touch(existing);
      return this.#respond(caller, { type: 'opened', session: existing });
    }
    if (this.#opening.has(body.nonce)) {
      this.#opening.set(body.nonce, caller);
      return this.#respond(caller, { type: 'ack' });
    }
    const { nonce, profile } = body;
    const proposed = this.#options.propose({ type: 'open-session', nonce, profile }, true);
    if ('refused' in proposed) return this.#refuse(caller, CODES.unavailable, proposed.refused);
    this.#opening.set(nonce, caller);
  }

  #operation(caller: Caller, request: ClientRequest, operation: Operation): void {
    const machine = this.#options.machine();
    const { memory, counters } = this.#options;
    const { session, sequence, answeredBelow } = request;
    const state = machine.requestState(session, sequence, answeredBelow);
    if (state.type === 'no-session') return this.#refuse(caller, CODES.sessionEnded, 'session-unknown');
    this.#touch(session);
    memory.forgetBelow(session, answeredBelow);
    switch (state.type) {
      case 'below':
        counters.add('dropped.below-window');
        return;
      case 'above':
        return this.#refuse(caller, CODES.badRequest, 'above-window');
      case 'answered': {
        counters.add('repeated.answered');
        const grantAttempt = memory.grantAttempt(session, sequence);
        return this.#respond(caller, { type: 'answer', answer: state.answer, grantAttempt });
      }
      case 'pending':
        counters.add('repeated.pending');
        this.#note(caller, request);
        return this.#respond(caller, { type: 'ack' });
      case 'unseen':
        break;
    }
    // Unseen by the machine may still mean: in the log, and not applied yet.
    if (memory.pending(session, sequence) !== null) {
      counters.add('repeated.pending');
      this.#note(caller, request);
      return this.#respond(caller, { type: 'ack' });
    }
    if (memory.isEnding(session)) return this.#refuse(caller, CODES.sessionEnded, 'session-unknown');
    this.#propose(caller, request, operation);
  }

  #propose(caller: Caller, request: ClientRequest, operation: Operation): void {
    const machine = this.#options.machine();
    const { keeper, propose } = this.#options;
    const { session, sequence, answeredBelow } = request;
    const granted = this.#withGrantedTtl(session, operation);
    const silent = keeper.silentWaiters(this.#passesOn(session, operation));
    // Noted before it is appended: this attempt came before the entry that may grant it.
    this.#note(caller, request);
    const command: Command = {
      type: 'request',
      session,
      sequence,
      answeredBelow,
      operation: granted,
      silent,
    };
    const proposed = propose(command, isGrowing(operation));
    if ('refused' in proposed) {
      this.#options.memory.withdraw(session, sequence);
      return this.#refuse(caller, CODES.unavailable, proposed.refused);
    }
    if (operation.type === 'release') keeper.noteEnding(operation.token, 1);
    if (operation.type === 'force-release') {
      for (const grant of machine.grants(operation.lock))
        keeper.noteEnding(grant.token, Number.POSITIVE_INFINITY);
    }
    if (operation.type === 'close-session') {
      this.#options.memory.markEnding(session);
      for (const grant of machine.grantsOf(session)) keeper.noteEnding(grant.token, Number.POSITIVE_INFINITY);
    }
  }

  /** A short ttl is raised to what survives a failover; the coursework's own sessions get theirs exactly. */
  #withGrantedTtl(session: number, operation: Operation): Operation {
    if (operation.type !== 'acquire') return operation;
    const floor =
      this.#options.machine().session(session)?.profile === 'coursework' ? COURSEWORK_TTL_MS : TTL_MIN_MS;
    return { ...operation, ttlMs: Math.max(operation.ttlMs, floor) };
  }

  /** The locks that an operation may hand to a waiter. */
  #passesOn(session: number, operation: Operation): ReadonlySet<string> {
    switch (operation.type) {
      case 'release':
      case 'force-release':
      case 'cancel':
        return new Set([operation.lock]);
      case 'close-session':
        return new Set([...this.#options.machine().grantsOf(session)].map((grant) => grant.lock));
      default:
        return new Set();
    }
  }

  #note(caller: Caller, request: ClientRequest): void {
    const { memory, clock, positions } = this.#options;
    memory.received(request, caller, { now: clock.now(), ...positions() });
  }

  #renew(caller: Caller, request: ClientRequest, body: Extract<RequestBody, { type: 'renew' }>): void {
    const { keeper, clock } = this.#options;
    if (!this.#touch(request.session)) return this.#refuse(caller, CODES.sessionEnded, 'session-unknown');
    if (this.#renewable(request.session, body) === null) {
      return this.#refuse(caller, CODES.notHolder, 'token-not-current');
    }
    // The round begins after this attempt arrived, so this is the attempt that its answer may name.
    this.#options.confirm((index) => {
      if (index === null) return this.#refuse(caller, CODES.unavailable, this.#options.leadership().reason);
      // While the round was on its way an end may have gone into the log.
      const grant = this.#renewable(request.session, body);
      if (grant === null) return this.#refuse(caller, CODES.notHolder, 'token-not-current');
      keeper.leases.renew(grant.token, clock.now());
      this.#respond(caller, { type: 'renewed', ttlMs: grant.ttlMs, confirmedAttempt: caller.attempt });
    });
  }

  /** The grant that a renewal names, unless it is somebody else's or its end is in the log already. */
  #renewable(session: number, body: Extract<RequestBody, { type: 'renew' }>): Grant | null {
    const grant = this.#options.machine().grant(body.token);
    if (grant === null || grant.lock !== body.lock) return null;
    if (grant.session !== session || grant.owner !== body.owner) return null;
    return this.#options.keeper.endsInLog(grant.token) >= grant.depth ? null : grant;
  }

  /** A command was applied at `index`: sends the answers that it brought to whoever asked here. */
  applied(index: number, command: Command, effects: Effects): void {
    const { memory, keeper, counters } = this.#options;
    if (command.type === 'open-session') this.#opened(command.nonce, effects);
    for (const { session, sequence, answer } of effects.answers) {
      const waiting = memory.answered({ session, sequence }, index);
      if (waiting === null) continue;
      const { pending, grantAttempt } = waiting;
      this.#respond(pending, { type: 'answer', answer, grantAttempt });
    }
    if (command.type === 'request' && command.operation.type === 'release')
      keeper.noteReleased(command.operation.token);
    if (effects.refusedAppend) counters.add('append.refused');
    for (const { cause } of effects.ended) counters.add(`grant.${cause}`);
    counters.add('grant.given', effects.granted.length);
    // A request of a session that ended in the meantime was not executed, and whoever waits must be told.
    if (command.type === 'request' && !effects.executed) this.#notExecuted(command.session, command.sequence);
    for (const session of effects.endedSessions) this.#sessionEnded(session);
  }

  #opened(nonce: string, effects: Effects): void {
    const caller = this.#opening.get(nonce);
    this.#opening.delete(nonce);
    if (effects.opened !== null) this.#touch(effects.opened.session);
    if (caller === undefined) return;
    if (effects.opened === null) return this.#refuse(caller, CODES.badRequest, effects.openRefused);
    this.#respond(caller, { type: 'opened', session: effects.opened.session });
  }

  #notExecuted(session: number, sequence: number): void {
    const pending = this.#options.memory.pending(session, sequence);
    if (pending === null || this.#options.machine().hasSession(session)) return;
    this.#options.memory.withdraw(session, sequence);
    this.#refuse(pending, CODES.sessionEnded, 'session-unknown');
  }

  #sessionEnded(session: number): void {
    this.#options.counters.add('sessions.ended');
    for (const pending of this.#options.memory.allPending(session)) {
      this.#refuse(pending, CODES.sessionEnded, 'session-unknown');
    }
    this.#options.memory.end(session);
  }

  /** Leadership is gone: nobody here waits for anything any more. */
  stopServing(): void {
    this.#opening.clear();
    assert(!this.#options.keeper.serving, 'the lease keeper still serves');
  }
}
