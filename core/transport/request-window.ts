/**
 * Two small sums that every reliable exchange over datagrams needs: how long to wait for an answer, and which of the
 * numbered requests may be under way.
 *
 * Invariants: the timeout stays within [RESEND_FLOOR_MS, RESEND_CEILING_MS]; sequences grow by one and are never used
 * again; every open sequence lies in [answeredBelow, answeredBelow + SESSION_WINDOW), which is exactly what the server's
 * table covers.
 */

import { assert } from '../base/assert.ts';
import { RESEND_CEILING_MS, RESEND_FLOOR_MS, RESEND_INITIAL_MS, SESSION_WINDOW } from '../base/limits.ts';

/**
 * The retransmission timeout of RFC 6298, section 2. Its samples are never ambiguous (Karn's algorithm, section 3): an
 * answer echoes the attempt that it answers.
 */
export class RoundTripEstimate {
  #smoothedMs: number | null = null;
  #variationMs = 0;

  /** The smoothed round trip in milliseconds, or null before the first sample. */
  get smoothedMs(): number | null {
    return this.#smoothedMs;
  }

  get timeoutMs(): number {
    if (this.#smoothedMs === null) return RESEND_INITIAL_MS;
    const timeoutMs = this.#smoothedMs + 4 * this.#variationMs;
    return Math.min(RESEND_CEILING_MS, Math.max(RESEND_FLOOR_MS, timeoutMs));
  }

  sample(roundTripMs: number): void {
    assert(roundTripMs >= 0, `an answer before its question: ${roundTripMs} ms`);
    if (this.#smoothedMs === null) {
      this.#smoothedMs = roundTripMs;
      this.#variationMs = roundTripMs / 2;
      return;
    }
    // β = 1/4 before α = 1/8, each with the old smoothed value (rule 2.3).
    this.#variationMs = (3 / 4) * this.#variationMs + (1 / 4) * Math.abs(this.#smoothedMs - roundTripMs);
    this.#smoothedMs = (7 / 8) * this.#smoothedMs + (1 / 8) * roundTripMs;
  }
}

/** The numbers of one session's requests. */
export class SequenceWindow {
  #next = 1;
  #answeredBelow = 1;
  readonly #open = new Set<number>();

  /** All sequences below are answered or given up; at least 1. */
  get answeredBelow(): number {
    return this.#answeredBelow;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** How many more requests may begin before the oldest open one is answered. */
  get room(): number {
    return this.#answeredBelow + SESSION_WINDOW - this.#next;
  }

  /** The sequence of a new request. */
  begin(): number {
    assert(this.room > 0, `the window of ${SESSION_WINDOW} requests is full`);
    const sequence = this.#next++;
    this.#open.add(sequence);
    return sequence;
  }

  /** The request is answered, or given up and never sent again. */
  finish(sequence: number): void {
    assert(this.#open.delete(sequence), `request ${sequence} finished twice`);
    while (this.#answeredBelow < this.#next && !this.#open.has(this.#answeredBelow)) this.#answeredBelow++;
  }
}
