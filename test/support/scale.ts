// How large a heavy test is: its full size in the soak tier, a tenth of it in the quick one.

/**
 * The size at which a heavy test runs now.
 *
 * @param full - rounds, seeds, operations or the like at full size; an integer of at least 1
 * @returns `full` when the environment has BRAMBLE_TEST_SCALE=full (as `npm run test:soak` sets it),
 *   else a tenth of it rounded down, but at least 1
 * @throws RangeError when `full` is not such an integer
 */
export function scale(full: number): number {
  if (!Number.isInteger(full) || full < 1) {
    throw new RangeError(`Cannot scale a test of size ${full}: give an integer of at least 1`);
  }
  return process.env.BRAMBLE_TEST_SCALE === 'full' ? full : Math.max(1, Math.floor(full / 10));
}
