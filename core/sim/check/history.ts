/**
 * Histories: what each client asked and was told, one JSON object a line, as `chaos` and `lab` write them. Read line by
 * line, checked totally, and turned into operations.
 *
 *   {"client":3,"op":"append","key":"file_7","arg":{"data":"x","lock":"files","token":7},
 *    "invokeNs":"120","completeNs":"340","result":{"offset":3},"code":0,"definite":true}
 *   {"client":3,"op":"lost","key":"files","arg":{"token":7},"heldUntilNs":"900"}
 *
 * Invariants: an operation is `done` (code 0), `refused` (another code: it did not happen) or `unknown` (no answer: it
 * happened at any time after `invoke`, or never, so that `complete` is infinite). Times are nanoseconds after the first
 * line's, exact as JavaScript numbers; invoke ≤ complete. A line that breaks the format ends the reading with a
 * HistoryError that names the line: a checker that skipped it would judge another history.
 */

import { HISTORY_BYTES_MAX, HISTORY_OPERATIONS_MAX } from '../../base/limits.ts';

/** A value of a register; null: absent. */
export type Value = string | null;

export interface ReadRecord {
  readonly offset: number;
  readonly data: string;
}

export type Action =
  | {
      readonly type: 'acquire';
      readonly shared: boolean;
      readonly owner: string;
      readonly depth: number;
      /** Null unless done. */
      readonly token: number | null;
    }
  | { readonly type: 'release'; readonly token: number }
  | {
      readonly type: 'append';
      readonly data: string;
      readonly lock: string | null;
      readonly token: number | null;
      /** Null unless done. */
      readonly offset: number | null;
    }
  | {
      readonly type: 'read';
      readonly from: number;
      /** Null: the client library's own. Fewer records than the limit: the log ended there. */
      readonly limit: number | null;
      readonly records: readonly ReadRecord[];
    }
  | { readonly type: 'put'; readonly value: string }
  | { readonly type: 'get'; readonly value: Value }
  | { readonly type: 'cas'; readonly expect: Value; readonly value: string }
  | { readonly type: 'delete' };

export type Outcome = 'done' | 'refused' | 'unknown';

export interface Operation {
  /** Counts from 1; also the order in which operations are shown when their times are the same. */
  readonly line: number;
  readonly client: number;
  readonly key: string;
  readonly invoke: number;
  readonly complete: number;
  readonly outcome: Outcome;
  readonly code: number | null;
  readonly action: Action;
  /** The line's object, for showing it again. */
  readonly source: Readonly<Record<string, unknown>>;
}

/** A handle gave up its lock: until then its holder counted on it. */
export interface LostHold {
  readonly line: number;
  readonly client: number;
  readonly key: string;
  readonly token: number;
  readonly heldUntil: number;
  readonly source: Readonly<Record<string, unknown>>;
}

export interface History {
  readonly operations: readonly Operation[];
  readonly lost: readonly LostHold[];
  /** The history is larger than the checker takes; `operations` has only its beginning. */
  readonly truncated: boolean;
}

/** A line that is not in the format. */
export class HistoryError extends Error {
  override readonly name = 'HistoryError';
  readonly line: number;
  constructor(line: number, problem: string) {
    super(`line ${line}: ${problem}`);
    this.line = line;
  }
}

type Json = Readonly<Record<string, unknown>>;

const OPERATIONS = ['acquire', 'release', 'append', 'read', 'put', 'get', 'cas', 'delete'] as const;

/** Takes lines one after the other and gives the history. */
export class HistoryReader {
  readonly #operations: Operation[] = [];
  readonly #lost: LostHold[] = [];
  #line = 0;
  #bytes = 0;
  #baseNs: bigint | null = null;
  #truncated = false;

  /** False once the history is larger than the checker takes: the rest need not be read. */
  add(text: string): boolean {
    this.#line++;
    if (text.trim() === '') return true;
    this.#bytes += text.length;
    if (this.#bytes > HISTORY_BYTES_MAX || this.#operations.length >= HISTORY_OPERATIONS_MAX) {
      this.#truncated = true;
      return false;
    }
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      throw this.#wrong(`is not JSON: ${shortened(text)}`);
    }
    if (!isObject(json)) throw this.#wrong(`must be a JSON object, not ${shortened(text)}`);
    if (json.op === 'lost') this.#lost.push(this.#lostHold(json));
    else this.#operations.push(this.#operation(json));
    return true;
  }

  finish(): History {
    return { operations: this.#operations, lost: this.#lost, truncated: this.#truncated };
  }

  #lostHold(json: Json): LostHold {
    const arg = this.#object(json, 'arg');
    return {
      line: this.#line,
      client: this.#count(json, 'client'),
      key: this.#text(json, 'key'),
      token: this.#count(arg, 'token', 'arg.'),
      heldUntil: this.#time(json, 'heldUntilNs'),
      source: json,
    };
  }

  #operation(json: Json): Operation {
    const type = OPERATIONS.find((each) => each === json.op);
    if (type === undefined) {
      throw this.#wrong(`"op" must be one of ${OPERATIONS.join(', ')} or lost, not ${shown(json.op)}`);
    }
    const client = this.#count(json, 'client');
    const key = this.#text(json, 'key');
    const invoke = this.#time(json, 'invokeNs');
    const { outcome, complete, code } = this.#outcome(json, invoke);
    const action = this.#action(type, json, outcome, client);
    return { line: this.#line, client, key, invoke, complete, outcome, code, action, source: json };
  }

  #outcome(json: Json, invoke: number): Pick<Operation, 'outcome' | 'complete' | 'code'> {
    const { definite, code, completeNs } = json;
    if (typeof definite !== 'boolean') {
      throw this.#wrong(`"definite" must be true or false, not ${shown(definite)}`);
    }
    if (!definite) {
      for (const name of ['completeNs', 'result', 'code']) {
        if ((json[name] ?? null) === null) continue;
        throw this.#wrong(
          `"${name}" must be null where the outcome is unknown ("definite" is false), not ${shown(json[name])}`,
        );
      }
      return { outcome: 'unknown', complete: Number.POSITIVE_INFINITY, code: null };
    }
    if ((completeNs ?? null) === null) {
      throw this.#wrong('"completeNs" is null, so the outcome is unknown: "definite" must be false');
    }
    if (typeof code !== 'number' || !Number.isInteger(code) || code < 0 || code > 255) {
      throw this.#wrong(`"code" must be a return code, a whole number from 0, not ${shown(code)}`);
    }
    if (code === 3) {
      throw this.#wrong('code 3 means in progress, so the outcome is unknown: "definite" must be false');
    }
    const complete = this.#time(json, 'completeNs');
    if (complete < invoke) throw this.#wrong('"completeNs" lies before "invokeNs"');
    return { outcome: code === 0 ? 'done' : 'refused', complete, code };
  }

  #action(type: (typeof OPERATIONS)[number], json: Json, outcome: Outcome, client: number): Action {
    const done = outcome === 'done';
    switch (type) {
      case 'acquire': {
        const arg = this.#object(json, 'arg');
        const { shared = false, owner = null, depth = 1 } = arg;
        if (typeof shared !== 'boolean') {
          throw this.#wrong(`"arg.shared" must be true or false, not ${shown(shared)}`);
        }
        if (owner !== null && typeof owner !== 'string' && typeof owner !== 'number') {
          throw this.#wrong(`"arg.owner" must be a text, not ${shown(owner)}`);
        }
        if (typeof depth !== 'number' || !Number.isInteger(depth) || depth < 1) {
          throw this.#wrong(`"arg.depth" must be a whole number from 1, not ${shown(depth)}`);
        }
        const token = done ? this.#count(this.#object(json, 'result'), 'token', 'result.') : null;
        return { type, shared, owner: String(owner ?? `client ${client}`), depth, token };
      }
      case 'release':
        return { type, token: this.#count(this.#object(json, 'arg'), 'token', 'arg.') };
      case 'append': {
        const arg = this.#object(json, 'arg');
        const lock = (arg.lock ?? null) === null ? null : this.#text(arg, 'lock', 'arg.');
        const token = (arg.token ?? null) === null ? null : this.#count(arg, 'token', 'arg.');
        if (lock === null && token !== null) throw this.#wrong('"arg.token" is given without "arg.lock"');
        if (lock !== null && token === null && done) {
          throw this.#wrong('"arg.token" is missing: an append under a lock carries its token');
        }
        const offset = done ? this.#count(this.#object(json, 'result'), 'offset', 'result.') : null;
        return { type, data: this.#data(arg, 'arg.'), lock, token, offset };
      }
      case 'read': {
        const arg = (json.arg ?? null) === null ? {} : this.#object(json, 'arg');
        const from = (arg.from ?? null) === null ? 0 : this.#count(arg, 'from', 'arg.');
        const limit = (arg.limit ?? null) === null ? null : this.#count(arg, 'limit', 'arg.');
        return { type, from, limit, records: done ? this.#records(json) : [] };
      }
      case 'put':
        return { type, value: this.#text(json, 'arg') };
      case 'get':
        return { type, value: done ? this.#value(json, 'result') : null };
      case 'cas': {
        const arg = this.#object(json, 'arg');
        return { type, expect: this.#value(arg, 'expect', 'arg.'), value: this.#text(arg, 'value', 'arg.') };
      }
      case 'delete':
        return { type };
    }
  }

  #records(json: Json): ReadRecord[] {
    if (!Array.isArray(json.result)) {
      throw this.#wrong(`"result" of a read must be a list of records, not ${shown(json.result)}`);
    }
    return json.result.map((each: unknown, index) => {
      if (!isObject(each)) throw this.#wrong(`"result[${index}]" must be a record, not ${shown(each)}`);
      const place = `result[${index}].`;
      const offset = this.#count(each, 'offset', place);
      return { offset, data: this.#data(each, place) };
    });
  }

  /** Bytes that are no text come in base64; the same letters as plain text are another record. */
  #data(json: Json, place: string): string {
    const data = this.#text(json, 'data', place);
    return json.encoding === 'base64' ? `base64:${data}` : data;
  }

  #time(json: Json, name: string): number {
    const text = json[name];
    if (typeof text !== 'string' || !/^\d{1,20}$/.test(text)) {
      throw this.#wrong(`"${name}" must be nanoseconds as a text of digits, not ${shown(text)}`);
    }
    const atNs = BigInt(text);
    this.#baseNs ??= atNs;
    const relative = Number(atNs - this.#baseNs);
    if (!Number.isSafeInteger(relative)) {
      throw this.#wrong(`"${name}" lies more than 100 days from the first line: is it the same clock?`);
    }
    return relative;
  }

  #count(json: Json, name: string, place = ''): number {
    const value = json[name];
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    throw this.#wrong(`"${place}${name}" must be a whole number from 0, not ${shown(value)}`);
  }

  #text(json: Json, name: string, place = ''): string {
    const value = json[name];
    if (typeof value === 'string') return value;
    throw this.#wrong(`"${place}${name}" must be a text, not ${shown(value)}`);
  }

  #value(json: Json, name: string, place = ''): Value {
    const value = json[name] ?? null;
    if (value === null || typeof value === 'string') return value;
    throw this.#wrong(`"${place}${name}" must be a text or null, not ${shown(value)}`);
  }

  #object(json: Json, name: string): Json {
    const value = json[name];
    if (isObject(value)) return value;
    throw this.#wrong(`"${name}" must be a JSON object, not ${shown(value)}`);
  }

  #wrong(problem: string): HistoryError {
    return new HistoryError(this.#line, problem);
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : shortened(JSON.stringify(value));
}

function shortened(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}…`;
}

/** A whole history at once: for the simulator and for tests. */
export function readHistory(lines: Iterable<string>): History {
  const reader = new HistoryReader();
  for (const line of lines) if (!reader.add(line)) break;
  return reader.finish();
}
