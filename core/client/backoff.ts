/**
 * When to send again: the pace of one request, in two manners. The adaptive one follows the measured round trip; the
 * coursework's is exact. Both only compute; exchange.ts holds the timers.
 */

import {
  COURSEWORK_ACK_PAUSE_MS,
  COURSEWORK_RESEND_MS,
  COURSEWORK_TRIES,
  NO_LEADER_PAUSE_MAX_MS,
  NO_LEADER_PAUSE_MS,
  RESEND_CEILING_MS,
} from '../base/limits.ts';
import type { Entropy } from '../base/ports.ts';

/** Every pause is in milliseconds. */
export interface Pace {
  /** Transmissions in a row without any answer, or with refusals only, before giving up; null: until the time is over. */
  readonly triesMax: number | null;
  /** After the `silent`th transmission in a row (from 1) without any answer. `timeoutMs`: from the round trip. */
  afterSilence(silent: number, timeoutMs: number): number;
  /** After an acknowledgement (code 3): the request is known and under way. */
  afterAck(timeoutMs: number): number;
  /** After the `refusals`th refusal in a row (from 1) by servers that could not begin. */
  afterRefusal(refusals: number): number;
}

/**
 * RFC 6298, section 5: the timeout doubles with every silence, up to the ceiling. A tenth of jitter, so that clients that
 * lost the same leader do not come back in one burst. `ackPauseMs`: what an acknowledgement buys; null: four timeouts.
 */
export function adaptivePace(entropy: Entropy, ackPauseMs: number | null = null): Pace {
  const jitter = (ms: number): number => ms * (1 + entropy.fraction() / 10);
  return {
    triesMax: null,
    afterSilence: (silent, timeoutMs) =>
      Math.min(RESEND_CEILING_MS, jitter(timeoutMs * 2 ** Math.min(silent - 1, 16))),
    // Never later than asked for: the server counts a waiter's silence in these intervals.
    afterAck: (timeoutMs) => ackPauseMs ?? jitter(Math.min(RESEND_CEILING_MS, 4 * timeoutMs)),
    afterRefusal: (refusals) =>
      jitter(Math.min(NO_LEADER_PAUSE_MAX_MS, NO_LEADER_PAUSE_MS * 2 ** Math.min(refusals - 1, 16))),
  };
}

/** A resend every 2 s, an error after 5 tries without any answer, 1 s of patience for an ACK. */
export const COURSEWORK_PACE: Pace = {
  triesMax: COURSEWORK_TRIES,
  afterSilence: () => COURSEWORK_RESEND_MS,
  afterAck: () => COURSEWORK_ACK_PAUSE_MS,
  afterRefusal: () => COURSEWORK_RESEND_MS,
};
