/**
 * How a command ends: one table of exit codes, and which error of the library ends with which.
 *
 * Invariant: an outcome that is not certain ends with 3 and with nothing else, so that a script which sees another code
 * knows what happened.
 */

import {
  BrambleError,
  LockLostError,
  RefusedError,
  UnknownOutcomeError,
  UnreachableError,
  UsageError,
} from '../base/errors.ts';
import { KeyFileError } from '../node/keys-file.ts';

export const EXIT = {
  fine: 0,
  no: 1,
  usage: 2,
  unknown: 3,
  refused: 4,
  unreachable: 5,
  lockLost: 75,
  configuration: 78,
  notExecutable: 126,
  notFound: 127,
  signalBase: 128,
} as const;

export const EXIT_MEANINGS: readonly { readonly code: number; readonly meaning: string }[] = [
  { code: EXIT.fine, meaning: 'fine' },
  {
    code: EXIT.no,
    meaning: 'the answer is no: lock not obtained in time, key absent, comparison not matched',
  },
  { code: EXIT.usage, meaning: 'wrong usage' },
  { code: EXIT.unknown, meaning: 'unknown: no answer in time, it may or may not have happened' },
  { code: EXIT.refused, meaning: 'refused: the code and the reason are on stderr' },
  { code: EXIT.unreachable, meaning: 'no leader or server reachable, and nothing was begun' },
  { code: EXIT.lockLost, meaning: 'the lock was lost (CMD was stopped, or the hold ended)' },
  { code: EXIT.configuration, meaning: 'bad configuration' },
];

/** A command that ends with a message of its own: wrong usage, bad configuration, or an answer that is no. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exit: number;
  constructor(message: string, exit: number) {
    super(message);
    this.exit = exit;
  }
}

export function wrongUsage(message: string): CommandError {
  return new CommandError(message, EXIT.usage);
}

export function badConfiguration(message: string): CommandError {
  return new CommandError(message, EXIT.configuration);
}

/** The exit code and the lines for stderr of what a command threw; null if it is a fault of the program itself. */
export function ending(error: unknown): { readonly exit: number; readonly message: string } | null {
  if (error instanceof CommandError) return { exit: error.exit, message: error.message };
  if (error instanceof KeyFileError) return { exit: EXIT.configuration, message: error.message };
  if (error instanceof RefusedError) return { exit: EXIT.refused, message: refusal(error) };
  if (error instanceof UnknownOutcomeError) return { exit: EXIT.unknown, message: error.message };
  if (error instanceof UnreachableError) return { exit: EXIT.unreachable, message: error.message };
  if (error instanceof LockLostError) return { exit: EXIT.lockLost, message: error.message };
  if (error instanceof UsageError) return { exit: EXIT.usage, message: error.message };
  if (error instanceof BrambleError) {
    return { exit: error.definite ? EXIT.refused : EXIT.unknown, message: error.message };
  }
  return null;
}

/** The message names the code already; the reason's own word is what a script may look for. */
function refusal(error: RefusedError): string {
  return error.reason === 'none' ? error.message : `${error.message} [${error.reason}]`;
}
