// A machine that is driven like a client would: sequences, indexes and answers are kept here, and the invariants are
// checked after every command.

import { assert } from '#core/base/assert.ts';
import type {
  Answer,
  Command,
  Effects,
  LockMode,
  Operation,
  SilentWaiter,
} from '#core/state-machine/commands.ts';
import { checkMachine } from '#core/state-machine/invariants.ts';
import { Machine } from '#core/state-machine/machine.ts';

export class Driver {
  machine: Machine;
  index: number;
  term = 1;
  /** The effects of the last command. */
  effects!: Effects;
  readonly #check: boolean;
  readonly #sequences = new Map<number, number>();
  #nonces = 0;

  constructor(options: { machine?: Machine; check?: boolean } = {}) {
    this.machine = options.machine ?? new Machine();
    this.index = this.machine.index;
    this.#check = options.check ?? true;
  }

  apply(command: Command): Effects {
    this.effects = this.machine.apply({ index: ++this.index, term: this.term, command });
    if (this.#check) checkMachine(this.machine);
    return this.effects;
  }

  open(): number {
    const effects = this.apply({ type: 'open-session', nonce: nonce(++this.#nonces), profile: 'default' });
    assert(effects.opened !== null, `no session: ${effects.openRefused}`);
    return effects.opened.session;
  }

  next(session: number): number {
    return (this.#sequences.get(session) ?? 0) + 1;
  }

  /** Runs the session's next request; returns its answer, or null while it waits. */
  run(session: number, operation: Operation, silent: readonly SilentWaiter[] = []): Answer | null {
    const sequence = this.next(session);
    this.#sequences.set(session, sequence);
    this.apply({ type: 'request', session, sequence, answeredBelow: sequence, operation, silent });
    return this.answerOf(session, sequence);
  }

  /** What the last command answered to a request, or null. */
  answerOf(session: number, sequence: number): Answer | null {
    const found = this.effects.answers.filter(
      (entry) => entry.session === session && entry.sequence === sequence,
    );
    assert(found.length <= 1, `request ${sequence} of session ${session} answered twice`);
    return found[0]?.answer ?? null;
  }

  acquire(session: number, lock: string, options: Partial<Acquire> = {}): Answer | null {
    return this.run(session, acquire(lock, options));
  }

  /** Acquires and returns the token. */
  hold(session: number, lock: string, options: Partial<Acquire> = {}): number {
    const answer = this.acquire(session, lock, options);
    assert(answer?.code === 0, `not granted: ${answer?.reason}`);
    return answer.value;
  }

  release(session: number, lock: string, token: number, owner = 1): Answer | null {
    return this.run(session, { type: 'release', lock, owner, token });
  }

  append(session: number, log: string, data: string | Uint8Array, fence: Fence = null): Answer | null {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    return this.run(session, { type: 'append', log, data: bytes, fence });
  }

  expire(lock: string, token: number, silent: readonly SilentWaiter[] = []): Effects {
    return this.apply({ type: 'expire', term: this.term, grants: [{ lock, token }], silent });
  }
}

type Acquire = Extract<Operation, { type: 'acquire' }>;
export type Fence = { lock: string; token: number } | null;

export function acquire(lock: string, options: Partial<Acquire> = {}): Acquire {
  const mode: LockMode = 'exclusive';
  return { type: 'acquire', lock, owner: 1, mode, ttlMs: 2_000, resendMs: 500, wait: true, ...options };
}

export function nonce(number: number): string {
  return number.toString(16).padStart(32, '0');
}

export function done(value = 0, ttlMs = 0): Answer {
  return { code: 0, reason: 'none', value, ttlMs };
}

export function refusal(code: Answer['code'], reason: Answer['reason'], value = 0): Answer {
  return { code, reason, value, ttlMs: 0 };
}
