/**
 * Assertions that stay on in production, and the end of every exhaustive switch.
 *
 * A failed assertion means that the program is wrong, not its input: nothing catches it, the process ends, and the
 * service manager starts it again from the durable state.
 */

export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** Throws AssertionError with `message` unless `condition` holds. One condition a call. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The default branch of a switch over a union: does not compile when a case is missing, and throws if one slips by. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`);
}
