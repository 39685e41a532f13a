// The locks against a model that is too simple to be wrong: lists, walked from the front for every question.

import test from 'ava';
import { Prng } from '#core/base/prng.ts';
import type { Answer, LockMode } from '#core/state-machine/commands.ts';
import { scale } from '../support/scale.ts';
import { acquire, Driver, done, refusal } from './kit.ts';

type Party = { session: number; owner: number; mode: LockMode; sequence: number };
type Held = Party & { token: number; depth: number };

class Model {
  token = 0;
  readonly held = new Map<string, Held[]>();
  readonly waiting = new Map<string, Party[]>();
  /** Answers that the present step gives, by "session/sequence". */
  answers = new Map<string, Answer>();

  grants = (lock: string): Held[] => this.held.get(lock) ?? [];
  queue = (lock: string): Party[] => this.waiting.get(lock) ?? [];

  current(lock: string): number {
    return this.grants(lock).find(({ mode }) => mode === 'exclusive')?.token ?? 0;
  }

  #answer(party: Party, answer: Answer): void {
    this.answers.set(`${party.session}/${party.sequence}`, answer);
  }

  settle(lock: string, silent: readonly { session: number; owner: number }[] = []): void {
    const queue = this.queue(lock).filter((party) => {
      if (!silent.some((one) => one.session === party.session && one.owner === party.owner)) return true;
      this.#answer(party, refusal(2, 'waiter-not-heard', this.current(lock)));
      return false;
    });
    const grants = [...this.grants(lock)];
    for (let party = queue[0]; party !== undefined; party = queue[0]) {
      const shared = party.mode === 'shared' && grants.every(({ mode }) => mode === 'shared');
      if (grants.length > 0 && !shared) break;
      queue.shift();
      grants.push({ ...party, token: ++this.token, depth: 1 });
      this.#answer(party, done(this.token, 2_000));
    }
    this.held.set(lock, grants);
    this.waiting.set(lock, queue);
  }

  acquire(lock: string, party: Party, wait: boolean): void {
    const mine = (one: Party) => one.session === party.session && one.owner === party.owner;
    const held = this.grants(lock).find(mine);
    if (held !== undefined) {
      if (held.mode === 'shared' && party.mode === 'exclusive') {
        this.#answer(party, refusal(4, 'shared-holder-asks-exclusive'));
        return;
      }
      held.depth++;
      this.#answer(party, done(held.token, 2_000));
      return;
    }
    if (this.queue(lock).some(mine)) {
      this.#answer(party, refusal(4, 'already-waiting'));
      return;
    }
    this.waiting.set(lock, [...this.queue(lock), party]);
    this.settle(lock);
    if (wait || !this.queue(lock).includes(party)) return;
    this.waiting.set(
      lock,
      this.queue(lock).filter((one) => one !== party),
    );
    this.#answer(party, refusal(2, 'lock-is-held', this.current(lock)));
  }

  release(lock: string, party: Party, token: number, silent: readonly Party[]): void {
    const held = this.grants(lock).find((one) => one.token === token);
    if (held === undefined) {
      this.#answer(party, refusal(2, 'token-not-current', this.current(lock)));
    } else if (held.session !== party.session || held.owner !== party.owner) {
      this.#answer(party, refusal(2, 'not-this-owner', this.current(lock)));
    } else {
      held.depth--;
      this.#answer(party, done(held.depth));
      if (held.depth === 0) this.end(lock, token, silent);
    }
  }

  end(lock: string, token: number, silent: readonly Party[]): void {
    const grants = this.grants(lock);
    if (!grants.some((one) => one.token === token)) return;
    this.held.set(
      lock,
      grants.filter((one) => one.token !== token),
    );
    this.settle(lock, silent);
  }

  cancel(lock: string, party: Party): void {
    const mine = (one: Party) => one.session === party.session && one.owner === party.owner;
    const waiter = this.queue(lock).find(mine);
    if (waiter === undefined) {
      this.#answer(party, refusal(1, 'no-such-lock', this.grants(lock).find(mine)?.token ?? 0));
      return;
    }
    this.waiting.set(
      lock,
      this.queue(lock).filter((one) => one !== waiter),
    );
    this.#answer(waiter, refusal(2, 'wait-cancelled', this.current(lock)));
    this.#answer(party, done());
    this.settle(lock);
  }

  /** The order in which locks pass on gives the tokens their numbers: held ones by token, then awaited ones. */
  endSession(session: number, places: ReadonlyMap<string, number>): void {
    const locks = [...new Set([...this.held.keys(), ...this.waiting.keys()])];
    const held = locks.flatMap((lock) =>
      this.grants(lock)
        .filter((one) => one.session === session)
        .map(({ token }) => ({ lock, rank: token })),
    );
    const awaited = locks.flatMap((lock) =>
      this.queue(lock)
        .filter((one) => one.session === session)
        .map((party) => {
          this.#answer(party, refusal(7, 'session-unknown'));
          return { lock, rank: places.get(`${party.session}/${party.sequence}`) as number };
        }),
    );
    const byRank = (a: { rank: number }, b: { rank: number }) => a.rank - b.rank;
    for (const lock of locks) {
      this.held.set(
        lock,
        this.grants(lock).filter((one) => one.session !== session),
      );
      this.waiting.set(
        lock,
        this.queue(lock).filter((one) => one.session !== session),
      );
    }
    for (const { lock } of [...held.sort(byRank), ...awaited.sort(byRank)]) this.settle(lock);
  }
}

/** By request: which of one step's answers comes first is not the model's business. */
function sorted(answers: ReadonlyMap<string, Answer>): [string, Answer][] {
  return [...answers].sort(([a], [b]) => (a < b ? -1 : 1));
}

for (let seed = 1; seed <= scale(200); seed++) {
  test(`Locks: as the naive model says, after any operations (seed ${seed})`, (t) => {
    const rng = new Prng(seed);
    const driver = new Driver();
    const model = new Model();
    const places = new Map<string, number>();
    const sessions = Array.from({ length: 4 }, () => driver.open());
    const locks = ['a', 'b', 'c'];
    for (let round = 0; round < 500; round++) {
      const session = rng.pick(sessions);
      const lock = rng.pick(locks);
      const owner = rng.between(1, 4);
      const mode: LockMode = rng.chance(0.5) ? 'shared' : 'exclusive';
      const party = { session, owner, mode, sequence: driver.next(session) };
      const tokens = model.grants(lock).map(({ token }) => token);
      const token = tokens.length > 0 && rng.chance(0.9) ? rng.pick(tokens) : rng.between(0, model.token + 2);
      const silent = model.queue(lock).filter(() => rng.chance(0.2));
      const named = silent.map((one) => ({ lock, session: one.session, owner: one.owner }));
      model.answers = new Map();
      // An old wait pins the session's window; a client would hold back its next request too.
      const full = (number: number) =>
        driver.machine.requestState(number, driver.next(number), driver.next(number)).type === 'above';
      if (sessions.some(full)) {
        const stuck = sessions.findIndex(full);
        model.endSession(sessions[stuck] as number, places);
        driver.apply({ type: 'end-session', session: sessions[stuck] as number, silent: [] });
        sessions[stuck] = driver.open();
        continue;
      }
      const choice = rng.between(0, 100);
      // A window of 32 with so many waiting for ever would be full soon: the session does something else.
      const crowded = driver.machine.counts.waiters > 20;
      if (choice < 50 && !crowded) {
        const wait = rng.chance(0.8);
        places.set(`${session}/${party.sequence}`, driver.index + 1);
        model.acquire(lock, party, wait);
        driver.run(session, acquire(lock, { owner, mode, wait }));
      } else if (choice < 80) {
        const grant = model.grants(lock).find((one) => one.token === token);
        const right = grant !== undefined && rng.chance(0.8);
        const from = right ? grant.session : session;
        const as = { session: from, owner: right ? grant.owner : owner, mode, sequence: driver.next(from) };
        model.release(lock, as, token, silent);
        driver.run(from, { type: 'release', lock, owner: as.owner, token }, named);
      } else if (choice < 88) {
        model.cancel(lock, party);
        driver.run(session, { type: 'cancel', lock, owner });
      } else if (choice < 97) {
        model.end(lock, token, silent);
        driver.expire(lock, token, named);
      } else {
        model.endSession(session, places);
        driver.apply({ type: 'end-session', session, silent: [] });
        sessions[sessions.indexOf(session)] = driver.open();
        // Opening was a step of its own; the answers are compared by what is kept.
        model.answers = new Map();
        driver.effects = { ...driver.effects, answers: [] };
      }
      const answers = new Map(
        driver.effects.answers.map((one) => [`${one.session}/${one.sequence}`, one.answer]),
      );
      t.deepEqual(sorted(answers), sorted(model.answers), `round ${round}`);
      for (const name of locks) {
        const state = driver.machine.lock(name);
        t.deepEqual(
          (state?.grants ?? []).map((one) => [one.session, one.owner, one.token, one.depth, one.mode]),
          model.grants(name).map((one) => [one.session, one.owner, one.token, one.depth, one.mode]),
          `round ${round}`,
        );
        t.deepEqual(
          (state?.waiters ?? []).map((one) => [one.session, one.owner, one.mode, one.sequence]),
          model.queue(name).map((one) => [one.session, one.owner, one.mode, one.sequence]),
          `round ${round}`,
        );
      }
    }
    t.true(model.token > 20);
  });
}
