/**
 * Keys and values, with one revision for them all and a memory of the last changes for those who watch.
 *
 * Invariants: the revision grows by one with every change and with nothing else; an entry's revision is that of its last
 * change; the changes kept are the last ones without gaps, at most KV_CHANGES_KEPT, and end at the revision.
 */

import { assert } from '../base/assert.ts';
import { CODES } from '../base/codes.ts';
import { COUNTER_MAX, KEYS_MAX, KV_CHANGES_KEPT, PAGE_BYTES_MAX } from '../base/limits.ts';
import { done, refused } from './answers.ts';
import type { Answer, KvChange } from './commands.ts';
import type { EffectsDraft } from './effects.ts';
import type { KvEntryImage } from './image.ts';
import { SortedNames } from './sorted-names.ts';

export class Kv {
  #revision = 0;
  readonly #entries = new Map<string, KvEntryImage>();
  readonly #keys = new SortedNames();
  /** The change of revision r is at r modulo KV_CHANGES_KEPT. */
  readonly #changes: KvChange[] = [];
  /** The revision of the oldest change that is kept. */
  #oldest = 1;

  get revision(): number {
    return this.#revision;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): KvEntryImage | null {
    return this.#entries.get(key) ?? null;
  }

  /**
   * Keys with `prefix` in the order of their code units, after the key `after`: at most `limit`, and no more than fit a
   * response, but one if there is one.
   */
  list(prefix: string, after: string, limit: number): { entries: KvEntryImage[]; more: boolean } {
    const entries: KvEntryImage[] = [];
    let sizeBytes = 0;
    const keys = after >= prefix ? this.#keys.after(after) : this.#keys.from(prefix);
    for (const key of keys) {
      if (!key.startsWith(prefix)) break;
      const entry = this.#entries.get(key) as KvEntryImage;
      sizeBytes += sizeBound(entry.key, entry.value);
      if (entries.length > 0 && (entries.length >= limit || sizeBytes > PAGE_BYTES_MAX)) {
        return { entries, more: true };
      }
      entries.push(entry);
    }
    return { entries, more: false };
  }

  /**
   * The changes above `revision` of keys with `prefix`, no more than fit a response, and the revision to go on from; or
   * 'trimmed' if some of them are no longer kept.
   */
  changesSince(revision: number, prefix: string): { changes: KvChange[]; revision: number } | 'trimmed' {
    if (revision + 1 < this.#oldest) return 'trimmed';
    const changes: KvChange[] = [];
    let sizeBytes = 0;
    for (let at = revision + 1; at <= this.#revision; at++) {
      const change = this.#changes[at % KV_CHANGES_KEPT] as KvChange;
      if (!change.key.startsWith(prefix)) continue;
      sizeBytes += sizeBound(change.key, change.value ?? '');
      if (changes.length > 0 && sizeBytes > PAGE_BYTES_MAX) return { changes, revision: at - 1 };
      changes.push(change);
    }
    return { changes, revision: this.#revision };
  }

  put(key: string, value: string, draft: EffectsDraft): Answer {
    if (!this.#entries.has(key)) {
      if (this.#entries.size >= KEYS_MAX) return refused(CODES.badRequest, 'too-many-keys');
      this.#keys.add(key);
    }
    this.#change(key, value, draft);
    this.#entries.set(key, { key, value, revision: this.#revision });
    return done(this.#revision);
  }

  delete(key: string, draft: EffectsDraft): Answer {
    if (!this.#entries.delete(key)) return refused(CODES.notFound, 'no-such-key');
    this.#keys.remove(key);
    this.#change(key, null, draft);
    return done(this.#revision);
  }

  /** Puts `value` if the key has the value `expect`; null: if it is absent. */
  compareAndSet(key: string, expect: string | null, value: string, draft: EffectsDraft): Answer {
    const present = this.#entries.get(key)?.value ?? null;
    if (present !== expect) {
      return refused(CODES.comparisonFailed, expect === null ? 'key-exists' : 'value-differs');
    }
    return this.put(key, value, draft);
  }

  image(): { entries: KvEntryImage[]; changes: KvChange[] } {
    const entries = Array.from(this.#keys.all(), (key) => this.#entries.get(key) as KvEntryImage);
    const changes: KvChange[] = [];
    for (let at = this.#oldest; at <= this.#revision; at++) {
      changes.push(this.#changes[at % KV_CHANGES_KEPT] as KvChange);
    }
    return { entries, changes };
  }

  load(revision: number, entries: readonly KvEntryImage[], changes: readonly KvChange[]): void {
    this.#revision = revision;
    this.#oldest = revision - changes.length + 1;
    for (const entry of entries) {
      this.#entries.set(entry.key, entry);
      this.#keys.add(entry.key);
    }
    for (const change of changes) this.#changes[change.revision % KV_CHANGES_KEPT] = change;
  }

  #change(key: string, value: string | null, draft: EffectsDraft): void {
    assert(this.#revision < COUNTER_MAX, 'revision counter exhausted');
    const change = { key, value, revision: ++this.#revision };
    this.#changes[change.revision % KV_CHANGES_KEPT] = change;
    if (this.#revision - this.#oldest >= KV_CHANGES_KEPT) this.#oldest++;
    draft.kvChanges.push(change);
  }
}

/** No less than an entry takes in a message: three bytes of UTF-8 for a code unit at most, and its numbers. */
function sizeBound(key: string, value: string): number {
  return key.length + 3 * value.length + 16;
}
