/**
 * Which counters of one sender were seen: a bitmap that slides with the highest (RFC 6479).
 *
 * Invariants: a counter is accepted at most once; everything at or below highest - REPLAY_WINDOW is refused, since it can
 * no longer be told from a replay; nothing is marked before its datagram was found authentic.
 */

import { assert } from '../base/assert.ts';
import { REPLAY_WINDOW } from '../base/limits.ts';

// One word more than the window, so that sliding clears whole words and no bit within reach (RFC 6479 §3).
const WORDS = REPLAY_WINDOW / 32 + 1;

export class ReplayWindow {
  readonly #words = new Int32Array(WORDS);
  #highest = 0;

  get highest(): number {
    return this.#highest;
  }

  /** True if `counter` is new and within reach. Changes nothing, so it can be asked before the seal is opened. */
  fresh(counter: number): boolean {
    if (counter > this.#highest) return true;
    if (counter + REPLAY_WINDOW <= this.#highest || counter < 1) return false;
    return ((this.#words[wordOf(counter)] as number) & (1 << (counter % 32))) === 0;
  }

  /** Marks `counter` as seen; it must be fresh. */
  mark(counter: number): void {
    assert(this.fresh(counter), `counter ${counter} was seen before or is out of reach of ${this.#highest}`);
    if (counter > this.#highest) {
      const from = Math.floor(this.#highest / 32);
      const steps = Math.min(Math.floor(counter / 32) - from, WORDS);
      for (let step = 1; step <= steps; step++) this.#words[(from + step) % WORDS] = 0;
      this.#highest = counter;
    }
    const word = wordOf(counter);
    this.#words[word] = (this.#words[word] as number) | (1 << (counter % 32));
  }
}

function wordOf(counter: number): number {
  return Math.floor(counter / 32) % WORDS;
}
