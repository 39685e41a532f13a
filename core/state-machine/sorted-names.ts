/**
 * A set of names in the order of their UTF-16 code units (`<` on strings: no locale decides replicated state). So
 * "file_10" comes before "file_2".
 *
 * Invariants: every chunk holds 1 to CHUNK_NAMES_MAX names; names grow strictly within a chunk and from chunk to chunk.
 * Adding, removing and finding a place cost a binary search and a move within one chunk, so that a page of 100,000 keys
 * costs as much as the page.
 */

import { assert } from '../base/assert.ts';

/** Small enough that moving half a chunk is cheap, large enough that the list of chunks stays short. */
const CHUNK_NAMES_MAX = 512;

export class SortedNames {
  #chunks: string[][] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds a name that is not there yet. */
  add(name: string): void {
    this.#size++;
    if (this.#chunks.length === 0) {
      this.#chunks.push([name]);
      return;
    }
    const at = this.#chunkFor(name);
    const chunk = this.#chunks[at] as string[];
    const place = lowerBound(chunk, name);
    assert(chunk[place] !== name, `name added twice: ${name}`);
    chunk.splice(place, 0, name);
    if (chunk.length > CHUNK_NAMES_MAX) this.#chunks.splice(at + 1, 0, chunk.splice(CHUNK_NAMES_MAX / 2));
  }

  /** Removes a name that is there. */
  remove(name: string): void {
    const at = this.#chunkFor(name);
    const chunk = this.#chunks[at] ?? [];
    const place = lowerBound(chunk, name);
    assert(chunk[place] === name, `name removed that is not there: ${name}`);
    this.#size--;
    chunk.splice(place, 1);
    if (chunk.length === 0) this.#chunks.splice(at, 1);
  }

  /** All names in order. The set must not change while one walks. */
  all(): Generator<string> {
    return this.from('');
  }

  /** The names from `low` on, itself included. */
  *from(low: string): Generator<string> {
    const first = this.#chunkFor(low);
    for (let at = first; at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at] as string[];
      const start = at === first ? lowerBound(chunk, low) : 0;
      for (let place = start; place < chunk.length; place++) yield chunk[place] as string;
    }
  }

  /** The names after `low`, itself not included. */
  *after(low: string): Generator<string> {
    for (const name of this.from(low)) if (name !== low) yield name;
  }

  /** The last chunk whose first name is not above `name`, or the first chunk. */
  #chunkFor(name: string): number {
    let low = 0;
    let high = this.#chunks.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#chunks[middle] as string[])[0]! <= name) low = middle;
      else high = middle;
    }
    return low;
  }
}

/** The first place whose name is not below `name`. */
function lowerBound(names: readonly string[], name: string): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (names[middle]! < name) low = middle + 1;
    else high = middle;
  }
  return low;
}
