// Histories of twenty clients over twenty keys, at any size: what the checker must judge in bounded time and memory.

import { Prng } from '#core/base/prng.ts';
import { historyOf, rightHistory } from './history-kit.ts';

/** Ten registers, and three locks with three logs each and one log without: twenty keys that operations go to. */
export function largeHistory(operations: number) {
  return historyOf(
    rightHistory(new Prng(7), {
      operations,
      clients: 20,
      registers: 10,
      locks: 3,
      logsPerLock: 2,
      freeLogs: 1,
      unknown: 0.002,
      expiry: 0.001,
    }),
  );
}

/** All clients at one register that has few values, and many outcomes unknown: the worst there is. */
export function crowdedHistory(operations: number) {
  return historyOf(
    rightHistory(new Prng(7), {
      operations,
      clients: 20,
      registers: 1,
      locks: 0,
      logsPerLock: 0,
      freeLogs: 0,
      unknown: 0.02,
      values: 5,
    }),
  );
}
