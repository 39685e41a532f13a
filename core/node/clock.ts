/**
 * The clock port over CLOCK_MONOTONIC, which all processes of one machine share, so that their times compare.
 *
 * Timers keep the process alive; whoever starts one cancels it. A timer may come late, never early.
 */

import type { Clock } from '../base/ports.ts';

const now = () => Number(process.hrtime.bigint()) / 1e6;

/** setTimeout's own bound; beyond it Node would call at once. */
const DELAY_MAX_MS = 2 ** 31 - 1;

export const nodeClock: Clock = {
  now,
  after(delayMs, callback) {
    const due = now() + delayMs;
    let timeout: NodeJS.Timeout;
    const start = (remainingMs: number) => {
      timeout = setTimeout(fire, Math.min(Math.max(Math.ceil(remainingMs), 0), DELAY_MAX_MS));
    };
    // libuv rounds its loop time down, so that a timer can be up to a millisecond early.
    const fire = () => {
      const remainingMs = due - now();
      if (remainingMs > 0) start(remainingMs);
      else callback();
    };
    start(delayMs);
    return { cancel: () => clearTimeout(timeout) };
  },
  soon(callback) {
    setImmediate(callback);
  },
};
