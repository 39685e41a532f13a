/**
 * Keys and values: get, put, delete, compare-and-set, list, and watch.
 *
 * A watch yields every change after it began, in the order of revisions, once; where a server no longer has the changes
 * that are needed, it lists again and yields the differences, so that states between may be missing but never the last
 * one, deletions included.
 */

import { utf8 } from '../base/bytes.ts';
import { CODES } from '../base/codes.ts';
import { RefusedError, UsageError } from '../base/errors.ts';
import { KEY_PATTERN, PAGE_RECORDS_MAX, PARK_MS_DEFAULT, VALUE_BYTES_MAX } from '../base/limits.ts';
import type { Answer, KvChange, Operation } from '../state-machine/commands.ts';
import type { KvEntry } from '../wire/client-messages.ts';
import { type About, refusal } from './outcome.ts';
import type { Reader } from './reader.ts';
import type { Sessions } from './sessions.ts';

/** A surrogate without its other half (ECMAScript's isWellFormed is younger than what this runs on may know). */
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

function checkKey(key: string, action: string): void {
  if (typeof key === 'string' && KEY_PATTERN.test(key)) return;
  throw new UsageError(`${action}: a key is 1 to 128 printable ASCII characters without [ and ]`, 'bad-key');
}

function checkPrefix(prefix: string, action: string): void {
  if (prefix !== '') checkKey(prefix, action);
}

function checkValue(value: string, action: string): void {
  const wrong =
    typeof value !== 'string'
      ? 'is no text'
      : LONE_SURROGATE.test(value)
        ? 'has a lone surrogate, which UTF-8 cannot hold'
        : utf8(value).length > VALUE_BYTES_MAX
          ? `has ${utf8(value).length} bytes, more than ${VALUE_BYTES_MAX}`
          : null;
  if (wrong !== null) throw new UsageError(`${action}: the value ${wrong}`, 'bad-value');
}

export class KeyValues {
  readonly #sessions: Sessions;
  readonly #reader: Reader;

  constructor(sessions: Sessions, reader: Reader) {
    this.#sessions = sessions;
    this.#reader = reader;
  }

  /** The entry, or null if the key is absent. */
  async get(key: string, options: { readonly stale?: boolean } = {}): Promise<KvEntry | null> {
    const action = `Cannot get "${key}"`;
    checkKey(key, action);
    const body = { type: 'kv-get', key, stale: options.stale ?? false } as const;
    return (await this.#reader.ask({ action, key }, body, 'kv-value')).entry;
  }

  async put(key: string, value: string): Promise<{ readonly revision: number }> {
    const action = `Cannot put "${key}"`;
    checkKey(key, action);
    checkValue(value, action);
    const answer = await this.#perform({ action, key }, { type: 'kv-put', key, value });
    return { revision: answer.value };
  }

  /** @throws RefusedError code 1 if the key is absent */
  async delete(key: string): Promise<{ readonly revision: number }> {
    const action = `Cannot delete "${key}"`;
    checkKey(key, action);
    const answer = await this.#perform({ action, key }, { type: 'kv-delete', key });
    return { revision: answer.value };
  }

  /**
   * Puts `value` if the key's value is `expect`, or if `expect` is null and the key is absent.
   *
   * @throws RefusedError code 6 if it is not so
   */
  async cas(key: string, expect: string | null, value: string): Promise<{ readonly revision: number }> {
    const action = `Cannot change "${key}"`;
    checkKey(key, action);
    if (expect !== null) checkValue(expect, action);
    checkValue(value, action);
    const answer = await this.#perform({ action, key }, { type: 'kv-cas', key, expect, value });
    return { revision: answer.value };
  }

  async #perform(about: About, operation: Operation): Promise<Answer> {
    const answer = await this.#sessions.perform(about, operation);
    if (answer.code === CODES.done) return answer;
    throw refusal(about, answer.code, answer.reason);
  }

  /** Every entry whose key begins with `prefix`, in the order of keys, read page by page as it is iterated. */
  async *list(
    prefix = '',
    options: { readonly stale?: boolean } = {},
  ): AsyncGenerator<KvEntry, void, undefined> {
    for await (const page of this.#pages(prefix, options)) yield* page.entries;
  }

  async *#pages(
    prefix: string,
    options: { readonly stale?: boolean; readonly signal?: AbortSignal | undefined },
  ): AsyncGenerator<{ entries: readonly KvEntry[]; revision: number }, void, undefined> {
    const action = `Cannot list "${prefix}"`;
    checkPrefix(prefix, action);
    const { stale = false, signal } = options;
    for (let after = ''; ; ) {
      const body = { type: 'kv-list', prefix, after, limit: PAGE_RECORDS_MAX, stale } as const;
      const page = await this.#reader.ask({ action }, body, 'kv-entries', signal);
      yield page;
      const last = page.entries.at(-1);
      if (!page.more || last === undefined) return;
      after = last.key;
    }
  }

  /** All entries, and the revision of the first page: what changed between the pages is among the changes since then. */
  async #whole(prefix: string, signal: AbortSignal | undefined): Promise<Listed> {
    const entries: KvEntry[] = [];
    let revision: number | null = null;
    for await (const page of this.#pages(prefix, { signal })) {
      revision ??= page.revision;
      entries.push(...page.entries);
    }
    return { entries, revision: revision ?? 0 };
  }

  /**
   * Changes of keys that begin with `prefix`, from the first `next()` on.
   *
   * @param options.initial - yields the entries that are there first
   * @param options.since - begins after this revision instead; of a time whose changes are not kept any more, what is
   *   there is yielded as if it were new, and deletions cannot be told
   */
  async *watch(
    prefix = '',
    options: { readonly initial?: boolean; readonly since?: number; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<KvChange, void, undefined> {
    const { signal, initial = false } = options;
    const action = `Cannot watch "${prefix}"`;
    checkPrefix(prefix, action);
    /** The revision of each key's value as this watch has it. */
    const known = new Map<string, number>();
    let since = options.since ?? 0;
    if (options.since === undefined) {
      const first = await this.#whole(prefix, signal);
      for (const entry of first.entries) known.set(entry.key, entry.revision);
      since = first.revision;
      if (initial) yield* first.entries;
    }
    for (;;) {
      const body = { type: 'kv-changes', prefix, since, waitMs: PARK_MS_DEFAULT } as const;
      try {
        const answer = await this.#reader.ask({ action }, body, 'kv-changes', signal);
        for (const change of answer.changes) {
          if (isNews(known, change)) yield change;
          signal?.throwIfAborted();
        }
        since = answer.revision;
      } catch (error) {
        if (!(error instanceof RefusedError) || error.reason !== 'history-trimmed') throw error;
        const again = await this.#whole(prefix, signal);
        yield* differences(known, again);
        since = again.revision;
      }
    }
  }
}

interface Listed {
  readonly entries: readonly KvEntry[];
  readonly revision: number;
}

/** Notes a change in `known`; false if it is there already, from a list that was read a little later. */
function isNews(known: Map<string, number>, change: KvChange): boolean {
  const revision = known.get(change.key);
  if (change.value === null) {
    if (revision !== undefined && change.revision <= revision) return false;
    known.delete(change.key);
    return true;
  }
  if (revision !== undefined && change.revision <= revision) return false;
  known.set(change.key, change.revision);
  return true;
}

/** What a new list says that `known` does not, which is brought up to it. Deletions carry the list's revision. */
function differences(known: Map<string, number>, list: Listed): KvChange[] {
  const changes: KvChange[] = [];
  const present = new Set(list.entries.map((entry) => entry.key));
  for (const key of [...known.keys()]) {
    if (present.has(key)) continue;
    known.delete(key);
    changes.push({ key, value: null, revision: list.revision });
  }
  for (const entry of list.entries) {
    if (known.get(entry.key) === entry.revision) continue;
    known.set(entry.key, entry.revision);
    changes.push(entry);
  }
  return changes.sort((a, b) => a.revision - b.revision);
}
