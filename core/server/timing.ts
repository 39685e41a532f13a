/**
 * The election timeout, from what is measured (DESIGN.md, "Time without a leader").
 *
 *   T = clamp(10 × smoothed round trip to the nearest majority + 2 × loop lag's p99, 150 ms, 500 ms); heartbeats every T / 3
 *
 * The disk has no part in it: heartbeats do not wait for disks. What waits for one is a vote, so a candidate waits
 * 2 × fsync p99 longer before it campaigns again, and not longer than VOTE_WRITE_MS_MAX.
 */

import { ELECTION_TIMEOUT_CEILING_MS, ELECTION_TIMEOUT_FLOOR_MS, VOTE_WRITE_MS_MAX } from '../base/limits.ts';
import type { Timing } from '../raft/interface.ts';

export interface Measured {
  /** 0 when nothing was measured yet. */
  readonly roundTripMs: number;
  readonly loopLagMs: number;
  readonly syncP99Ms: number;
}

export function timingFor(measured: Measured): Timing {
  const wanted = 10 * measured.roundTripMs + 2 * measured.loopLagMs;
  const electionTimeoutMs = Math.min(
    Math.max(wanted, ELECTION_TIMEOUT_FLOOR_MS),
    ELECTION_TIMEOUT_CEILING_MS,
  );
  return {
    electionTimeoutMs,
    heartbeatMs: electionTimeoutMs / 3,
    voteWriteMs: Math.min(2 * measured.syncP99Ms, VOTE_WRITE_MS_MAX),
  };
}

const SAMPLES = 64;

/** The p99 of the last samples; 0 without any. */
export class Recent {
  readonly #samples: number[] = [];
  #next = 0;

  add(sample: number): void {
    this.#samples[this.#next % SAMPLES] = sample;
    this.#next += 1;
  }

  get p99(): number {
    if (this.#samples.length === 0) return 0;
    const sorted = [...this.#samples].sort((a, b) => a - b);
    return sorted[Math.ceil(sorted.length * 0.99) - 1] as number;
  }
}
