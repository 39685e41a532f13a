/**
 * The errors that callers of the library see. Each says what was tried, with which values, and what is so instead; each
 * carries the code from the one table where there is one, and whether the outcome is definite.
 */

import { type Code, codeRow, type Reason } from './codes.ts';

export class BrambleError extends Error {
  override readonly name: string = 'BrambleError';
  /** The server's code, or null if no server said anything. */
  readonly code: Code | null;
  readonly reason: Reason;
  /** True if the operation certainly did not happen; false if it may have. */
  readonly definite: boolean;
  constructor(
    message: string,
    options: { code: Code | null; reason?: Reason; definite: boolean; cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.reason = options.reason ?? 'none';
    this.definite = options.definite;
  }
}

/** A server answered with a code other than 0: the operation did not happen. */
export class RefusedError extends BrambleError {
  override readonly name = 'RefusedError';
  constructor(message: string, code: Code, reason: Reason) {
    super(`${message} (code ${code}: ${codeRow(code).meaning})`, { code, reason, definite: true });
  }
}

/** No answer within the time allowed, although the request was sent: it may or may not have happened. */
export class UnknownOutcomeError extends BrambleError {
  override readonly name = 'UnknownOutcomeError';
  constructor(message: string) {
    super(message, { code: null, definite: false });
  }
}

/** No server or no leader could be reached, and nothing was begun. */
export class UnreachableError extends BrambleError {
  override readonly name = 'UnreachableError';
  constructor(message: string) {
    super(message, { code: null, definite: true });
  }
}

/** The lock is not held any more: its lease passed the holder's deadline, or a server said so. */
export class LockLostError extends BrambleError {
  override readonly name = 'LockLostError';
  constructor(message: string) {
    super(message, { code: 2, definite: true });
  }
}

/** The caller's own argument is wrong; nothing was sent. */
export class UsageError extends BrambleError {
  override readonly name = 'UsageError';
  constructor(message: string, reason: Reason = 'malformed') {
    super(message, { code: 4, reason, definite: true });
  }
}

/** Damage below what was proved durable: refused by name, with where it is. Not a torn tail, which is cut. */
export class DamageError extends Error {
  override readonly name = 'DamageError';
  readonly file: string;
  readonly offset: number;
  constructor(problem: string, file: string, offset: number) {
    super(`${file} is damaged at offset ${offset}: ${problem}`);
    this.file = file;
    this.offset = offset;
  }
}
