/**
 * What the log holds: the commands that the state machine executes, the answers it keeps, and the effects that it asks
 * the server for. Types only; the bytes are in wire/command-codec.ts.
 *
 * Whatever the leader alone knows (which waiters it has not heard, which lease is over) is inside the command, so that
 * every replica decides the same.
 */

import type { Code, Reason } from '../base/codes.ts';

export type LockMode = 'exclusive' | 'shared';
export type SessionProfile = 'default' | 'coursework';

/** A lock's holder or waiter: one handle of one session. `owner` is the session's own number for the handle, from 1. */
export interface Holder {
  readonly session: number;
  readonly owner: number;
}

/** A waiter that the leader has not heard for three of its resend intervals, named by the entry that passes over it. */
export interface SilentWaiter extends Holder {
  readonly lock: string;
}

/** One state-changing request of a client. */
export type Operation =
  | {
      readonly type: 'acquire';
      readonly lock: string;
      readonly owner: number;
      readonly mode: LockMode;
      /** Already within the limits; what is granted. */
      readonly ttlMs: number;
      /** How often the client resends while it waits; three of these without a sign make it silent. */
      readonly resendMs: number;
      /** False for `--try`: refused at once (code 2, lock-is-held) instead of queued. */
      readonly wait: boolean;
    }
  | { readonly type: 'cancel'; readonly lock: string; readonly owner: number }
  | { readonly type: 'release'; readonly lock: string; readonly owner: number; readonly token: number }
  | { readonly type: 'force-release'; readonly lock: string }
  | {
      readonly type: 'append';
      readonly log: string;
      readonly data: Uint8Array;
      /** The fence: this lock must have `token` as its current exclusive grant. Null: none, for logs without guard. */
      readonly fence: { readonly lock: string; readonly token: number } | null;
    }
  | { readonly type: 'create-log'; readonly log: string; readonly guard: string | null }
  | { readonly type: 'delete-log'; readonly log: string }
  | { readonly type: 'trim-log'; readonly log: string; readonly before: number }
  | { readonly type: 'kv-put'; readonly key: string; readonly value: string }
  | { readonly type: 'kv-delete'; readonly key: string }
  /** `expect` null: the key must be absent. */
  | { readonly type: 'kv-cas'; readonly key: string; readonly expect: string | null; readonly value: string }
  | { readonly type: 'close-session' };

export type Command =
  /** The first entry of a cluster: creates file_0 … file_(files-1), guarded by the lock "files". */
  | { readonly type: 'bootstrap'; readonly files: number }
  /** `nonce` is the client's own (32 hexadecimal digits), so that a repeated open gives the same session. */
  | { readonly type: 'open-session'; readonly nonce: string; readonly profile: SessionProfile }
  | {
      readonly type: 'request';
      readonly session: number;
      /** Numbered from 1 by the client. */
      readonly sequence: number;
      /** All requests below this number are answered and their answers received. At least 1. */
      readonly answeredBelow: number;
      readonly operation: Operation;
      readonly silent: readonly SilentWaiter[];
    }
  /** Proposed by the leader when a session was not heard for its timeout and all its leases are over. */
  | { readonly type: 'end-session'; readonly session: number; readonly silent: readonly SilentWaiter[] }
  /** Takes effect on a grant exactly if its token is current and `term` is the term of the entry that holds this. */
  | {
      readonly type: 'expire';
      readonly term: number;
      readonly grants: readonly { readonly lock: string; readonly token: number }[];
      readonly silent: readonly SilentWaiter[];
    };

/**
 * The kept answer of a numbered request. `value` is: acquire, the token · append, the offset · kv-put, kv-delete and
 * kv-cas, the revision · create-log, the log's id · release, the depth that is left. On a refusal for a token: the lock's
 * current exclusive token, or 0. `ttlMs` is the granted ttl of an acquire, else 0.
 */
export interface Answer {
  readonly code: Code;
  readonly reason: Reason;
  readonly value: number;
  readonly ttlMs: number;
}

/** What the files must do, in order. Offsets are record ordinals; `chain` is the CRC-32C over all records so far. */
export type FileEffect =
  | { readonly type: 'create'; readonly id: number; readonly name: string }
  | {
      readonly type: 'append';
      readonly id: number;
      readonly offset: number;
      readonly data: Uint8Array;
      /** The log's chain value with this record. */
      readonly chain: number;
    }
  | { readonly type: 'delete'; readonly id: number; readonly name: string }
  /** Records below `before` go. */
  | { readonly type: 'trim'; readonly id: number; readonly before: number };

/** A log as the snapshot's manifest and `log list` have it. */
export interface LogInfo {
  readonly id: number;
  readonly name: string;
  readonly guard: string | null;
  /** The first record that is kept. */
  readonly start: number;
  /** One past the last record: the next offset. */
  readonly count: number;
  /** Bytes of all records ever appended, the trimmed ones too; never shrinks. */
  readonly bytes: number;
  readonly chain: number;
}

export interface Grant extends Holder {
  readonly lock: string;
  readonly token: number;
  readonly mode: LockMode;
  readonly depth: number;
  readonly ttlMs: number;
}

export interface Waiter extends Holder {
  readonly lock: string;
  readonly mode: LockMode;
  readonly sequence: number;
  readonly ttlMs: number;
  readonly resendMs: number;
}

export interface KvChange {
  readonly key: string;
  /** Null: deleted. */
  readonly value: string | null;
  readonly revision: number;
}

/** How a numbered request stands in its session's table. */
export type RequestState =
  | { readonly type: 'unseen' }
  | { readonly type: 'pending' }
  | { readonly type: 'answered'; readonly answer: Answer }
  /** Below the acknowledged window: dropped and counted. */
  | { readonly type: 'below' }
  | { readonly type: 'above' }
  | { readonly type: 'no-session' };

/** What one applied command did, for the server to act upon. Lists are in the order in which things happened. */
export interface Effects {
  /** Requests answered by this command: its own, and those of waiters that were granted or removed. */
  readonly answers: readonly {
    readonly session: number;
    readonly sequence: number;
    readonly answer: Answer;
  }[];
  /** False if the state is as it was: a repeated request, an ended session, an expire that no longer names a grant. */
  readonly executed: boolean;
  /** Also for a repeated open, which gives the same session and executes nothing. */
  readonly opened: { readonly nonce: string; readonly session: number } | null;
  /** 'too-many-sessions' or 'malformed' when an open was refused, else 'none'. */
  readonly openRefused: Reason;
  /** A re-entry is here too: the same token with a greater depth. */
  readonly granted: readonly Grant[];
  readonly ended: readonly { readonly lock: string; readonly token: number; readonly cause: GrantEnd }[];
  readonly queued: readonly Waiter[];
  /** Whoever left a queue, granted or not. */
  readonly unqueued: readonly Waiter[];
  readonly endedSessions: readonly number[];
  readonly files: readonly FileEffect[];
  /** Names of logs that got a record, were created, deleted or trimmed. */
  readonly changedLogs: readonly string[];
  readonly kvChanges: readonly KvChange[];
  /** An append that was refused because its token is not current (late or stolen). */
  readonly refusedAppend: boolean;
}

export type GrantEnd = 'released' | 'expired' | 'forced' | 'session-ended';
