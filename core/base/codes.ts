/**
 * The server's return codes: one table, read by server, client, command line and checker.
 *
 * `definite` says whether the request certainly had its effect (code 0) or certainly had none (the others). Only code 3
 * leaves it open: the request is still under way. Whoever gets no answer at all knows nothing, and that is not a code.
 */

export const CODES = {
  done: 0,
  notFound: 1,
  notHolder: 2,
  inProgress: 3,
  badRequest: 4,
  unavailable: 5,
  comparisonFailed: 6,
  sessionEnded: 7,
  trimmed: 8,
} as const;

export type Code = (typeof CODES)[keyof typeof CODES];

export interface CodeRow {
  readonly code: Code;
  readonly name: keyof typeof CODES;
  /** False only where the outcome is still open. */
  readonly definite: boolean;
  readonly meaning: string;
}

export const CODE_TABLE: readonly CodeRow[] = [
  { code: 0, name: 'done', definite: true, meaning: 'done' },
  { code: 1, name: 'notFound', definite: true, meaning: 'not found' },
  { code: 2, name: 'notHolder', definite: true, meaning: 'not, or no longer, the lock holder' },
  { code: 3, name: 'inProgress', definite: false, meaning: 'in progress' },
  { code: 4, name: 'badRequest', definite: true, meaning: 'bad request' },
  { code: 5, name: 'unavailable', definite: true, meaning: 'unavailable, and never begun' },
  { code: 6, name: 'comparisonFailed', definite: true, meaning: 'the comparison failed' },
  { code: 7, name: 'sessionEnded', definite: true, meaning: 'the session has ended' },
  { code: 8, name: 'trimmed', definite: true, meaning: 'trimmed away' },
];

export function isCode(value: number): value is Code {
  return Number.isInteger(value) && value >= 0 && value < CODE_TABLE.length;
}

/** The row of a code, for its name and meaning. */
export function codeRow(code: Code): CodeRow {
  return CODE_TABLE[code] as CodeRow;
}

/**
 * Why a request was refused, beside its code: small numbers on the wire, a sentence for people. A reason never changes
 * what a caller may conclude; the code does.
 */
export const REASONS = [
  'none',
  'no-such-log',
  'no-such-lock',
  'no-such-key',
  'not-guarded-by-this-lock',
  'token-required',
  'token-not-current',
  'token-is-shared',
  'not-this-owner',
  'lock-is-held',
  'wait-cancelled',
  'waiter-not-heard',
  'already-waiting',
  'shared-holder-asks-exclusive',
  'too-many-waiters',
  'log-exists',
  'too-many-logs',
  'too-many-keys',
  'key-exists',
  'value-differs',
  'session-unknown',
  'too-many-sessions',
  'above-window',
  'below-window',
  'not-leader',
  'no-leader',
  'disk-full',
  'disk-stalled',
  'queue-full',
  'shutting-down',
  'not-allowed-for-this-key',
  'malformed',
  'bad-name',
  'bad-key',
  'bad-value',
  'bad-size',
  'bad-range',
  'bad-ttl',
  'trimmed-away',
  'history-trimmed',
  'lease-ended',
  'damaged',
  'too-many-grants',
  'server-not-heard',
  'no-such-member',
  'last-voter',
  'change-under-way',
  'no-successor',
] as const;

export type Reason = (typeof REASONS)[number];
