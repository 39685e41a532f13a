/**
 * From outcomes to what callers get: the words for each reason, and the error for each end of an exchange. An error is
 * definite only if nothing can have happened.
 */

import { CODES, type Code, codeRow, type Reason } from '../base/codes.ts';
import {
  BrambleError,
  RefusedError,
  UnknownOutcomeError,
  UnreachableError,
  UsageError,
} from '../base/errors.ts';
import type { Outcome } from './exchange.ts';

/** What a request was about, for its messages. */
export interface About {
  /** "Cannot append to "file_7"": the action and its object. */
  readonly action: string;
  readonly lock?: string;
  readonly log?: string;
  readonly key?: string;
  readonly token?: number;
  /** The lock's current exclusive token, as a refusal for a token carries it; 0: nobody holds it exclusively. */
  readonly currentToken?: number;
}

type Words = string | ((about: About) => string);

const holderNow = (about: About): string => {
  if (about.currentToken === undefined) return '';
  return about.currentToken === 0 ? ' (nobody is)' : ` (token ${about.currentToken} is)`;
};

const WORDS: Readonly<Partial<Record<Reason, Words>>> = {
  'no-such-log': 'there is no such log; `bramble log list` shows those that are there',
  'no-such-lock': 'nobody holds or awaits it',
  'no-such-key': 'there is no such key',
  'not-guarded-by-this-lock': ({ lock }) => `another lock than "${lock}" guards it`,
  'token-required': 'it is guarded, and no token was given; acquire its lock first',
  'token-not-current': (about) =>
    `token ${about.token} is no longer the holder of lock "${about.lock}"${holderNow(about)}; acquire it again`,
  'token-is-shared': ({ token, lock }) => `token ${token} holds lock "${lock}" only shared`,
  'not-this-owner': ({ lock, token }) => `token ${token} of lock "${lock}" is not this owner's`,
  'lock-is-held': 'it is held',
  'wait-cancelled': 'the time to wait for it was over',
  'waiter-not-heard': 'this waiter was not heard for too long and lost its place',
  'already-waiting': 'this owner waits for it already',
  'shared-holder-asks-exclusive': 'a shared holder cannot become the exclusive one; release it first',
  'too-many-waiters': 'too many wait for it',
  'log-exists': 'there is one of this name',
  'value-differs': 'its value is another',
  'key-exists': 'the key is there',
  'session-unknown': 'the session has ended, and all its locks with it',
  'too-many-sessions': 'the service has no room for another session',
  'no-leader': 'the servers have no leader',
  'not-leader': 'no server that answered is the leader',
  'disk-full': 'the disk is full; releases, renewals and reads go on',
  'disk-stalled': 'the disk does not keep up; try again later',
  'queue-full': 'too many requests wait; try again later',
  'shutting-down': 'the server is stopping',
  'not-allowed-for-this-key': 'the key file given is not for this',
  'trimmed-away': 'these records are trimmed away',
  'history-trimmed': 'changes that old are not kept',
  'server-not-heard': 'no server of that name asks to join; start it with --join',
  'no-such-member': 'there is no voter of that name',
  'last-voter': 'it is the only one that votes',
  'change-under-way': 'another change of members or leader is under way',
  'no-successor': 'no other server could take over',
  'lease-ended': 'its lease has ended',
};

/** One reason in words. */
export function inWords(reason: Reason, about: About): string {
  const words = WORDS[reason];
  if (words === undefined) return reason.replaceAll('-', ' ');
  return typeof words === 'string' ? words : words(about);
}

export function refusal(about: About, code: Code, reason: Reason): RefusedError {
  const words = reason === 'none' ? codeRow(code).meaning : inWords(reason, about);
  return new RefusedError(`${about.action}: ${words}`, code, reason);
}

/** The error for an exchange that ended without the answer that was asked for. */
export function failure(
  about: About,
  outcome: Exclude<Outcome, { type: 'response' }>,
  timeoutMs: number,
): BrambleError {
  switch (outcome.type) {
    case 'refused': {
      // Whether a request is well formed is the same for all its attempts and on every server.
      if (!outcome.inDoubt || outcome.code === CODES.badRequest) {
        return refusal(about, outcome.code, outcome.reason);
      }
      const words = inWords(outcome.reason, about);
      return new UnknownOutcomeError(
        `${about.action} for certain: ${words}, but an earlier attempt may have had its effect`,
      );
    }
    case 'silent': {
      const within = Number.isFinite(timeoutMs) ? ` within ${timeoutMs} ms` : '';
      const attempts = `${outcome.sent} attempt${outcome.sent === 1 ? '' : 's'}, the last to ${outcome.to}`;
      const said = outcome.refusal === null ? '' : `; last heard: ${inWords(outcome.refusal, about)}`;
      const message = `${about.action}: no answer${within} (${attempts}${said})`;
      return outcome.inDoubt
        ? new UnknownOutcomeError(`${message}; it may or may not have happened`)
        : new UnreachableError(`${message}; nothing was begun`);
    }
    case 'withdrawn':
      return outcome.inDoubt
        ? new UnknownOutcomeError(
            `${about.action}: the session ended or was closed before the answer came; it may or may not have happened`,
          )
        : new BrambleError(`${about.action}: the session ended or was closed; nothing was begun`, {
            code: CODES.sessionEnded,
            definite: true,
          });
  }
}

/** The same for a request that changes nothing: whatever came of it, nothing was begun. */
export function readFailure(
  about: About,
  outcome: Exclude<Outcome, { type: 'response' }>,
  timeoutMs: number,
): BrambleError {
  if (outcome.type === 'refused') return refusal(about, outcome.code, outcome.reason);
  if (outcome.type === 'withdrawn') return new UsageError(`${about.action}: the client was closed`);
  return failure(about, { ...outcome, inDoubt: false }, timeoutMs);
}
