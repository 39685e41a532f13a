// What clients did and were told, and whether what is on the server afterwards agrees: every acknowledged record once, at
// its offset, in the plain file too; unknown ones at most once; no lock held twice at a time; tokens that only grow.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BrambleError, type Client, type LockHandle } from '#core/index.ts';
import { eventually } from './processes.ts';

interface Append {
  readonly log: string;
  readonly data: string;
  readonly invokedMs: number;
  state: 'acknowledged' | 'refused' | 'unknown';
  offset: number;
  answeredMs: number;
}

interface Hold {
  readonly lock: string;
  readonly token: number;
  readonly shared: boolean;
  readonly askedMs: number;
  readonly grantedMs: number;
  /** Until when its holder counted on it. */
  untilMs: number;
}

export interface Findings {
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  readonly grants: number;
  /** Acknowledged and not there, or not at their offset. */
  readonly lost: readonly string[];
  readonly duplicates: readonly string[];
  readonly doubleHolders: readonly string[];
  /** Everything else that is wrong. */
  readonly others: readonly string[];
}

export class Ledger {
  readonly #appends: Append[] = [];
  readonly #holds: Hold[] = [];
  #serial = 0;

  get acknowledged(): number {
    return this.#appends.filter(({ state }) => state === 'acknowledged').length;
  }

  get grants(): number {
    return this.#holds.length;
  }

  /** Appends one record that nobody else appends; a failed one rejects, and is remembered as what it was. */
  async append(client: Client, log: string, options: { lock?: LockHandle; padding?: number } = {}) {
    this.#serial += 1;
    const data = `record ${this.#serial} ${'.'.repeat(options.padding ?? 0)}\n`;
    const append: Append = {
      ...{ log, data, invokedMs: performance.now(), state: 'unknown', offset: -1, answeredMs: 0 },
    };
    this.#appends.push(append);
    try {
      const { lock } = options;
      const { offset } = await client.append(log, data, lock === undefined ? {} : { lock });
      append.state = 'acknowledged';
      append.offset = offset;
      append.answeredMs = performance.now();
      return append;
    } catch (error) {
      if (error instanceof BrambleError && error.definite) append.state = 'refused';
      throw error;
    }
  }

  /** Runs `work` while holding a lock; what is lost meanwhile is remembered with its deadline. */
  async holding(
    client: Client,
    lock: { readonly name: string; readonly shared?: boolean; readonly ttlMs?: number },
    work: (handle: LockHandle) => Promise<void>,
  ): Promise<void> {
    const askedMs = performance.now();
    const { name, shared = false, ttlMs } = lock;
    const handle = await client.lock(name, { shared, ...(ttlMs === undefined ? {} : { ttlMs }) });
    const grantedMs = performance.now();
    const hold: Hold = { lock: name, token: handle.token, shared, askedMs, grantedMs, untilMs: Infinity };
    this.#holds.push(hold);
    // The signal comes at the deadline or when a server said that the lock is gone: whichever was first ends the hold.
    handle.signal.addEventListener('abort', () => end(), { once: true });
    const end = (): void => {
      const clockOffsetMs = performance.now() - client.clock.now();
      hold.untilMs = Math.min(hold.untilMs, performance.now(), handle.deadline + clockOffsetMs);
    };
    try {
      await work(handle);
    } finally {
      end();
      await handle.release();
    }
  }

  /** Compares with what the logs hold now and with their plain files. */
  async verify(client: Client, filesFolder: string): Promise<Findings> {
    const lost: string[] = [];
    const duplicates: string[] = [];
    const others: string[] = [];
    const logs = new Set(this.#appends.map(({ log }) => log));
    for (const log of logs) {
      const { records } = await client.read(log, { limit: 1_000_000 });
      const texts = records.map((record) => record.text ?? '');
      this.#compare(log, texts, { lost, duplicates, others });
      others.push(...this.#order(log));
      // Written behind: after a start the files are brought up to the log while clients are served already.
      const path = join(filesFolder, log);
      const whole = texts.join('');
      const isSame = () => existsSync(path) && readFileSync(path, 'utf8') === whole;
      await eventually(isSame, `${log}: the plain file holds the records and nothing else`);
    }
    return {
      acknowledged: this.acknowledged,
      refused: this.#appends.filter(({ state }) => state === 'refused').length,
      unknown: this.#appends.filter(({ state }) => state === 'unknown').length,
      grants: this.#holds.length,
      ...{ lost, duplicates, doubleHolders: this.#overlaps() },
      others: [...others, ...this.#tokens()],
    };
  }

  #compare(
    log: string,
    texts: readonly string[],
    found: { lost: string[]; duplicates: string[]; others: string[] },
  ): void {
    const places = new Map<string, number[]>();
    texts.forEach((text, offset) => {
      const at = places.get(text);
      if (at === undefined) places.set(text, [offset]);
      else at.push(offset);
    });
    for (const { data, state, offset } of this.#appends.filter((append) => append.log === log)) {
      const at = places.get(data) ?? [];
      places.delete(data);
      const name = `${log}: ${data.trim()}`;
      if (at.length > 1) found.duplicates.push(`${name} stands at ${at.join(', ')}`);
      if (state === 'acknowledged' && at[0] !== offset) {
        found.lost.push(`${name} was acknowledged at ${offset} and stands at ${at.join(', ') || 'no place'}`);
      }
      if (state === 'refused' && at.length > 0) {
        found.others.push(`${name} was refused and stands at ${at.join(', ')}`);
      }
    }
    for (const [data, at] of places) {
      found.others.push(`${log}: nobody appended ${data.trim()}, at ${at.join(', ')}`);
    }
  }

  /** What was acknowledged before another append began stands before it. */
  #order(log: string): string[] {
    const own = this.#appends.filter((append) => append.log === log && append.state === 'acknowledged');
    const answered = [...own].sort((one, other) => one.answeredMs - other.answeredMs);
    const problems: string[] = [];
    let highest = -1;
    let at = 0;
    for (const append of [...own].sort((one, other) => one.invokedMs - other.invokedMs)) {
      for (; (answered[at]?.answeredMs ?? Infinity) < append.invokedMs; at++) {
        highest = Math.max(highest, (answered[at] as Append).offset);
      }
      if (append.offset <= highest) {
        problems.push(`${log}: ${append.data.trim()} stands at ${append.offset}, after ${highest} was taken`);
      }
    }
    return problems;
  }

  #overlaps(): string[] {
    const problems: string[] = [];
    const holds = [...this.#holds].sort((one, other) => one.grantedMs - other.grantedMs);
    const open: Hold[] = [];
    for (const hold of holds) {
      for (let at = open.length - 1; at >= 0; at--) {
        const other = open[at] as Hold;
        if (other.untilMs <= hold.grantedMs) open.splice(at, 1);
        else if (other.lock === hold.lock && !(other.shared && hold.shared)) {
          problems.push(`${hold.lock}: tokens ${other.token} and ${hold.token} were held at once`);
        }
      }
      open.push(hold);
    }
    return problems;
  }

  /** One counter gives all tokens: a grant that was asked for after another was there has a higher one. */
  #tokens(): string[] {
    const problems: string[] = [];
    const seen = new Set<number>();
    const granted = [...this.#holds].sort((one, other) => one.grantedMs - other.grantedMs);
    let highest = 0;
    let at = 0;
    for (const hold of [...this.#holds].sort((one, other) => one.askedMs - other.askedMs)) {
      for (; (granted[at]?.grantedMs ?? Infinity) < hold.askedMs; at++) {
        highest = Math.max(highest, (granted[at] as Hold).token);
      }
      if (hold.token <= highest) problems.push(`token ${hold.token} was granted after token ${highest}`);
      if (seen.has(hold.token)) problems.push(`token ${hold.token} was granted twice`);
      seen.add(hold.token);
    }
    return problems;
  }
}
