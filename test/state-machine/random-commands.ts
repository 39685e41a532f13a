// Random commands that a leader could have put into the log: mostly sensible, some repeated, late or senseless. They are
// drawn with a view of the machine that will apply them, so that tokens and sequences are often the right ones.

import type { Prng } from '#core/base/prng.ts';
import type { Command, LockMode, Operation, SilentWaiter } from '#core/state-machine/commands.ts';
import type { Machine } from '#core/state-machine/machine.ts';
import { nonce } from './kit.ts';

const LOCKS = ['files', 'a', 'b', 'c'];
const LOGS = ['file_0', 'file_1', 'file_2', 'extra', 'other', 'file_100'];
const KEYS = ['k', 'k/1', 'k/2', 'l', 'm', '['];

export class RandomCommands {
  readonly #rng: Prng;
  readonly #next = new Map<number, number>();
  #nonces = 0;
  #term = 1;
  #started = false;

  constructor(rng: Prng) {
    this.#rng = rng;
  }

  /** The next entry's term and command. */
  draw(machine: Machine): { term: number; command: Command } {
    if (this.#rng.chance(0.01)) this.#term++;
    return { term: this.#term, command: this.#command(machine) };
  }

  #command(machine: Machine): Command {
    const rng = this.#rng;
    if (!this.#started) {
      this.#started = true;
      return { type: 'bootstrap', files: 3 };
    }
    const sessions = machine.sessions();
    if (sessions.length < 2 || rng.chance(0.01)) {
      const number = rng.chance(0.2) ? rng.between(1, this.#nonces + 2) : ++this.#nonces;
      return { type: 'open-session', nonce: nonce(number), profile: rng.pick(['default', 'coursework']) };
    }
    if (rng.chance(0.005)) {
      return { type: 'end-session', session: this.#session(sessions), silent: this.#silent(machine) };
    }
    if (rng.chance(0.05)) {
      const term = rng.chance(0.9) ? this.#term : this.#term - 1;
      const grants = Array.from({ length: rng.between(0, 3) }, () => {
        const lock = rng.pick(LOCKS);
        return { lock, token: this.#token(machine, lock) };
      });
      return { type: 'expire', term, grants, silent: this.#silent(machine) };
    }
    return this.#request(machine, this.#session(sessions));
  }

  #request(machine: Machine, session: number): Command {
    const rng = this.#rng;
    const next = this.#next.get(session) ?? 1;
    const repeated = rng.chance(0.1);
    const sequence = repeated ? Math.max(0, next - rng.between(1, 5)) : next + (rng.chance(0.02) ? 40 : 0);
    if (!repeated && sequence === next) this.#next.set(session, next + 1);
    const pending = machine.session(session)?.requests.find(({ answer }) => answer === null)?.sequence;
    const truthful = pending ?? sequence;
    const answeredBelow = rng.chance(0.9)
      ? Math.max(1, Math.min(truthful, sequence))
      : rng.between(0, next + 3);
    const operation = this.#operation(machine, session);
    return { type: 'request', session, sequence, answeredBelow, operation, silent: this.#silent(machine) };
  }

  #operation(machine: Machine, session: number): Operation {
    const rng = this.#rng;
    const lock = rng.pick(LOCKS);
    const owner = rng.between(1, 4);
    const log = rng.pick(LOGS);
    const key = rng.pick(KEYS);
    const value = `${rng.between(0, 4)}`;
    const choice = rng.between(0, 100);
    if (choice < 30) {
      const mode: LockMode = rng.chance(0.5) ? 'shared' : 'exclusive';
      return { type: 'acquire', lock, owner, mode, ttlMs: 2_000, resendMs: 500, wait: rng.chance(0.85) };
    }
    if (choice < 52) {
      const mine = machine.session(session)?.grants ?? [];
      const grant = mine.length > 0 && rng.chance(0.9) ? rng.pick(mine) : null;
      if (grant === null) return { type: 'release', lock, owner, token: this.#token(machine, lock) };
      return { type: 'release', lock: grant.lock, owner: grant.owner, token: grant.token };
    }
    if (choice < 57) return { type: 'cancel', lock, owner };
    if (choice < 58) return { type: 'force-release', lock };
    if (choice < 78) {
      const guard = machine.log(log)?.guard ?? null;
      const fence = rng.chance(0.9) ? guard : rng.pick([null, ...LOCKS]);
      const data = rng.bytes(rng.between(0, 20));
      return {
        type: 'append',
        log,
        data,
        fence: fence === null ? null : { lock: fence, token: this.#token(machine, fence) },
      };
    }
    if (choice < 80) return { type: 'create-log', log, guard: rng.pick([null, 'files', 'a', '../a']) };
    if (choice < 81) return { type: 'delete-log', log };
    if (choice < 83)
      return { type: 'trim-log', log, before: rng.between(0, (machine.log(log)?.count ?? 0) + 2) };
    if (choice < 89) return { type: 'kv-put', key, value };
    if (choice < 92) return { type: 'kv-delete', key };
    if (choice < 99) return { type: 'kv-cas', key, expect: rng.pick([null, '0', '1', '2', '3']), value };
    return rng.chance(0.3) ? { type: 'close-session' } : { type: 'kv-put', key, value };
  }

  #session(sessions: readonly number[]): number {
    return this.#rng.chance(0.02) ? this.#rng.between(1, 1_000) : this.#rng.pick(sessions);
  }

  /** Mostly a current token of the lock, else any. */
  #token(machine: Machine, lock: string): number {
    const grants = machine.lock(lock)?.grants ?? [];
    if (grants.length > 0 && this.#rng.chance(0.85)) return this.#rng.pick(grants).token;
    return this.#rng.between(0, machine.counts.tokensIssued + 2);
  }

  #silent(machine: Machine): SilentWaiter[] {
    const rng = this.#rng;
    if (rng.chance(0.8)) return [];
    const waiters = machine.lock(rng.pick(LOCKS))?.waiters ?? [];
    const silent = waiters.filter(() => rng.chance(0.3));
    return silent.map(({ lock, session, owner }) => ({ lock, session, owner }));
  }
}
