// Histories for tests of the checker: lines in short form, a service that is right by construction and writes its clients'
// histories, and a checker so naive that it can be trusted.

import type { Prng } from '#core/base/prng.ts';
import { readHistory } from '#core/sim/index.ts';

export type Line = Record<string, unknown>;

/** Milliseconds to the format's text. */
const ns = (atMs: number): string => String(Math.round(atMs * 1e6));

export interface Answer {
  readonly result?: unknown;
  readonly code?: number;
}

/** One operation; `to` null: unknown. */
export function line(
  client: number,
  [op, key, arg]: readonly [string, string, unknown],
  [from, to]: readonly [number, number | null],
  { result = null, code = 0 }: Answer = {},
): Line {
  const known = to !== null;
  return {
    client,
    op,
    key,
    arg,
    invokeNs: ns(from),
    completeNs: known ? ns(to) : null,
    result: known ? result : null,
    code: known ? code : null,
    definite: known,
  };
}

export function lostLine(client: number, key: string, token: number, heldUntil: number): Line {
  return { client, op: 'lost', key, arg: { token }, heldUntilNs: ns(heldUntil) };
}

export const historyOf = (lines: readonly Line[]) => readHistory(lines.map((each) => JSON.stringify(each)));

// --- a service that is right -------------------------------------------------------------------------------------------

interface Grant {
  readonly token: number;
  readonly shared: boolean;
  readonly owner: string;
  depth: number;
  readonly client: number;
  /** Null while nobody has been told. */
  told: number | null;
}

interface Under {
  readonly op: string;
  readonly key: string;
  readonly arg: Line | string | null;
  readonly from: number;
  answer: Answer | null;
}

interface Client {
  number: number;
  under: Under | null;
  /** What it thinks it holds. */
  held: { lock: string; token: number; owner: string; depth: number } | null;
}

export interface ServiceOptions {
  readonly operations: number;
  readonly clients: number;
  /** Names of registers; 0: none. */
  readonly registers: number;
  readonly locks: number;
  readonly logsPerLock: number;
  readonly freeLogs: number;
  /** How often an outcome stays unknown, and how often a holder is dropped though it did not ask. */
  readonly unknown?: number;
  readonly expiry?: number;
  /** Registers get one of so many values; 0: each put has its own. */
  readonly values?: number;
  /** All records are alike. */
  readonly sameData?: boolean;
}

/** Runs clients against a service that does one thing at a time, and gives the lines that they write. */
export function rightHistory(prng: Prng, options: ServiceOptions): Line[] {
  return new Service(prng, options).run();
}

class Service {
  readonly #prng: Prng;
  readonly #options: ServiceOptions;
  readonly #lines: Line[] = [];
  readonly #clients: Client[];
  /** Asked, and nobody waits for the answer any more. */
  #ghosts: Under[] = [];
  readonly #registers = new Map<string, string | null>();
  readonly #logs = new Map<string, string[]>();
  readonly #grants = new Map<string, Grant[]>();
  #time = 0;
  #next = 0;
  #token = 0;
  #started = 0;

  constructor(prng: Prng, options: ServiceOptions) {
    this.#prng = prng;
    this.#options = options;
    this.#clients = Array.from({ length: options.clients }, () => this.#client());
  }

  run(): Line[] {
    const { operations } = this.#options;
    for (let turns = 0; turns < operations * 200; turns++) {
      this.#time += this.#prng.between(1, 4);
      const busy = this.#clients.filter(({ under }) => under !== null);
      if (this.#started >= operations && busy.length === 0) break;
      this.#turn(this.#prng.pick(this.#started >= operations ? busy : this.#clients));
    }
    // Whoever still waits never got an answer.
    for (const client of this.#clients) if (client.under !== null) this.#abandon(client);
    return this.#lines.sort(
      (a, b) => Number(a.invokeNs ?? a.heldUntilNs) - Number(b.invokeNs ?? b.heldUntilNs),
    );
  }

  #client(): Client {
    return { number: ++this.#next, under: null, held: null };
  }

  #turn(client: Client): void {
    const { unknown = 0, expiry = 0 } = this.#options;
    if (this.#ghosts.length > 0 && this.#prng.chance(0.1)) {
      const ghost = this.#prng.pick(this.#ghosts);
      if (this.#prng.chance(0.3)) this.#apply(ghost, -1);
      this.#ghosts = this.#ghosts.filter((each) => each !== ghost);
    }
    if (this.#prng.chance(expiry)) this.#expire();
    const { under } = client;
    if (under === null) {
      client.under = this.#ask(client);
      this.#started++;
    } else if (this.#prng.chance(unknown)) this.#abandon(client);
    else if (under.answer === null) under.answer = this.#apply(under, client.number);
    else this.#told(client, under, under.answer);
  }

  #abandon(client: Client): void {
    const under = client.under as Under;
    this.#write(client.number, under, null);
    if (under.answer === null) this.#ghosts.push(under);
    // Its handle is gone with it; nobody renews the lease.
    client.number = ++this.#next;
    client.under = null;
    client.held = null;
  }

  #told(client: Client, under: Under, answer: Answer): void {
    this.#write(client.number, under, answer);
    client.under = null;
    if (under.op === 'acquire' && (answer.code ?? 0) !== 0) client.held = null;
    else if (under.op === 'acquire') {
      const arg = under.arg as Line;
      const { token } = answer.result as { token: number };
      client.held = { lock: under.key, token, owner: arg.owner as string, depth: arg.depth as number };
      for (const grant of this.#grants.get(under.key) ?? [])
        if (grant.token === token) grant.told ??= this.#time;
    } else if (under.op === 'release' && client.held !== null) {
      client.held = { ...client.held, depth: client.held.depth - 1 };
      if (answer.code === 2 || client.held.depth === 0) client.held = null;
    }
  }

  #write(client: number, under: Under, answer: Answer | null): void {
    const { op, key, arg, from } = under;
    const to = answer === null ? null : this.#time;
    this.#lines.push(line(client, [op, key, arg], [from, to], answer ?? {}));
  }

  // --- what clients ask ---

  #ask(client: Client): Under {
    const { registers, locks, logsPerLock, freeLogs } = this.#options;
    const kinds = [
      ...Array<string>(registers > 0 ? 4 : 0).fill('register'),
      ...Array<string>(locks > 0 ? 6 : 0).fill('lock'),
      ...Array<string>(freeLogs > 0 ? 2 : 0).fill('free'),
    ];
    const from = this.#time;
    const made = (op: string, key: string, arg: Line | string | null): Under => ({
      op,
      key,
      arg,
      from,
      answer: null,
    });
    const read = (log: string): Under => {
      const length = this.#log(log).length;
      return made('read', log, { from: this.#prng.between(0, length + 1), limit: this.#prng.between(1, 6) });
    };
    const kind = client.held !== null ? 'lock' : this.#prng.pick(kinds);
    if (kind === 'register') return this.#askRegister(made, `r${this.#prng.between(0, registers)}`);
    if (kind === 'free') {
      const log = `free${this.#prng.between(0, freeLogs)}`;
      if (this.#prng.chance(0.4)) return read(log);
      return made('append', log, { data: this.#data(), lock: null, token: null });
    }
    const { held } = client;
    const lock = held?.lock ?? `lock${this.#prng.between(0, locks)}`;
    const log = `${lock}-log${this.#prng.between(0, Math.max(1, logsPerLock))}`;
    if (held === null) {
      if (logsPerLock > 0 && this.#prng.chance(0.3)) return read(log);
      const owner = `${client.number}.${this.#started}`;
      return made('acquire', lock, { shared: this.#prng.chance(0.25), owner, depth: 1 });
    }
    if (logsPerLock > 0 && this.#prng.chance(0.6)) {
      return made('append', log, { data: this.#data(), lock, token: held.token });
    }
    if (this.#prng.chance(0.15)) {
      const shared = (this.#grants.get(lock) ?? []).some(
        (grant) => grant.token === held.token && grant.shared,
      );
      return this.#current(lock, held.token)
        ? made('acquire', lock, { shared, owner: held.owner, depth: held.depth + 1 })
        : made('release', lock, { token: held.token });
    }
    return made('release', lock, { token: held.token });
  }

  #askRegister(made: (op: string, key: string, arg: Line | string | null) => Under, key: string): Under {
    const values = this.#options.values ?? 0;
    const value = values > 0 ? String(this.#prng.between(0, values)) : `v${this.#started}`;
    const present = this.#registers.get(key) ?? null;
    switch (this.#prng.between(0, 8)) {
      case 0:
      case 1:
      case 2:
        return made('get', key, null);
      case 3:
      case 4:
        return made('put', key, value);
      case 5:
        return made('delete', key, null);
      default:
        return made('cas', key, { expect: this.#prng.chance(0.6) ? present : value, value: `${value}` });
    }
  }

  #data(): string {
    return this.#options.sameData === true ? 'x' : `record ${this.#started}`;
  }

  // --- what the service does, one thing after the other ---

  #log(name: string): string[] {
    const log = this.#logs.get(name) ?? [];
    this.#logs.set(name, log);
    return log;
  }

  #current(lock: string, token: number): Grant | undefined {
    return this.#grants.get(lock)?.find((grant) => grant.token === token);
  }

  /** Null: it waits. */
  #apply({ op, key, arg }: Under, client: number): Answer | null {
    const fields = (arg ?? {}) as Line;
    switch (op) {
      case 'get':
        return { result: this.#registers.get(key) ?? null };
      case 'put':
        this.#registers.set(key, arg as string);
        return {};
      case 'delete': {
        const there = (this.#registers.get(key) ?? null) !== null;
        this.#registers.set(key, null);
        return there ? {} : { code: 1 };
      }
      case 'cas': {
        if ((this.#registers.get(key) ?? null) !== fields.expect) return { code: 6 };
        this.#registers.set(key, fields.value as string);
        return {};
      }
      case 'append': {
        const { lock, token, data } = fields as { lock: string | null; token: number; data: string };
        const grant = lock === null ? null : this.#current(lock, token);
        if (lock !== null && (grant === undefined || grant?.shared)) return { code: 2 };
        return { result: { offset: this.#log(key).push(data) - 1 } };
      }
      case 'read': {
        const { from, limit } = fields as { from: number; limit: number };
        const records = this.#log(key).slice(from, from + limit);
        return { result: records.map((data, index) => ({ offset: from + index, data })) };
      }
      case 'release': {
        const grant = this.#current(key, fields.token as number);
        if (grant === undefined) return { code: 2 };
        if (--grant.depth === 0) this.#drop(key, grant);
        return {};
      }
      default:
        return this.#acquire(key, fields, client);
    }
  }

  #acquire(key: string, arg: Line, client: number): Answer | null {
    const { shared, owner, depth } = arg as { shared: boolean; owner: string; depth: number };
    const grants = this.#grants.get(key) ?? [];
    const own = grants.find((grant) => grant.owner === owner);
    if (own !== undefined) {
      own.depth++;
      return { result: { token: own.token } };
    }
    // Its lock was lost on the way: nothing is granted again under the same owner.
    if (depth > 1) return { code: 4 };
    if (grants.length > 0 && !(shared && grants.every((grant) => grant.shared))) return null;
    const grant = { token: ++this.#token, shared, owner, depth: 1, client, told: null };
    this.#grants.set(key, [...grants, grant]);
    return { result: { token: grant.token } };
  }

  #drop(lock: string, grant: Grant): void {
    this.#grants.set(
      lock,
      (this.#grants.get(lock) ?? []).filter((each) => each !== grant),
    );
  }

  /** Drops a holder; its handle knew in time. */
  #expire(): void {
    const held = [...this.#grants].flatMap(([lock, grants]) => grants.map((grant) => ({ lock, grant })));
    if (held.length === 0) return;
    const { lock, grant } = this.#prng.pick(held);
    this.#drop(lock, grant);
    if (grant.client >= 0) {
      this.#lines.push(lostLine(grant.client, lock, grant.token, Math.max(0, this.#time - 1)));
    }
  }
}

/** A history with one answer, time or argument changed, or one line taken out: mostly wrong, sometimes still right. */
export function mutated(prng: Prng, lines: readonly Line[]): Line[] {
  if (lines.length === 0) return [];
  const at = prng.between(0, lines.length);
  const chosen = structuredClone(lines[at] as Line);
  const rest = [...lines.slice(0, at), ...lines.slice(at + 1)];
  if (prng.chance(0.1)) return rest;
  const shift = prng.between(-60, 61);
  if (chosen.op === 'lost') {
    chosen.heldUntilNs = ns(Math.max(0, Number(chosen.heldUntilNs) / 1e6 + shift));
    return [...rest, chosen];
  }
  const from = Number(chosen.invokeNs) / 1e6;
  const to = chosen.completeNs === null ? null : Number(chosen.completeNs) / 1e6;
  switch (prng.between(0, 6)) {
    case 0:
      // Moved as a whole.
      chosen.invokeNs = ns(Math.max(0, from + shift));
      if (to !== null) chosen.completeNs = ns(Math.max(0, from + shift) + to - from);
      break;
    case 1:
      if (to !== null) chosen.completeNs = ns(from + prng.between(0, Math.max(1, to - from)));
      break;
    case 2:
      if (to === null) break;
      Object.assign(chosen, { completeNs: null, result: null, code: null, definite: false });
      break;
    default:
      if (to !== null) misanswered(prng, chosen);
      else if (prng.chance(0.5)) misasked(prng, chosen);
  }
  return [...rest, chosen];
}

const near = (prng: Prng, value: unknown): number => Math.max(0, Number(value) + prng.pick([-2, -1, 1, 2]));

function misanswered(prng: Prng, chosen: Line): void {
  const { op, code, result } = chosen;
  if (code !== 0) {
    if (op === 'release' || op === 'delete' || op === 'cas') chosen.code = 0;
  } else if (op === 'acquire') chosen.result = { token: near(prng, (result as Line).token) };
  else if (op === 'append') {
    if (prng.chance(0.7)) chosen.result = { offset: near(prng, (result as Line).offset) };
    else misasked(prng, chosen);
  } else if (op === 'release') {
    if (prng.chance(0.5)) chosen.code = 2;
    else misasked(prng, chosen);
  } else if (op === 'get') chosen.result = prng.pick(['0', '1', 'v1', null]);
  else if (op === 'cas') chosen.code = 6;
  else if (op === 'delete') chosen.code = 1;
  else if (op === 'read') {
    const records = result as Line[];
    const kind = prng.between(0, 3);
    if (kind === 0) records.pop();
    else if (kind === 1 && records.length > 0) (prng.pick(records) as Line).data = prng.pick(['x', 'y']);
    else
      records.push({
        offset: ((records.at(-1)?.offset as number) ?? ((chosen.arg as Line).from as number)) + 1,
        data: 'x',
      });
  }
}

function misasked(prng: Prng, chosen: Line): void {
  const arg = chosen.arg as Line | string | null;
  if (arg === null) return;
  if (typeof arg === 'string') chosen.arg = prng.pick(['0', '1', 'v1']);
  else if (typeof arg.token === 'number') arg.token = near(prng, arg.token);
  else if (typeof arg.data === 'string') arg.data = prng.pick(['x', 'y']);
}
