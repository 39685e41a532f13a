/**
 * The whole state of the machine as plain data: what a snapshot holds. The bytes are in wire/snapshot-codec.ts.
 *
 * Everything is in one fixed order (sessions, requests and waiters by number, grants by token, the rest by name), so that
 * replicas that applied the same entries have the same image, byte for byte.
 */

import type { Answer, Grant, KvChange, LogInfo, SessionProfile, Waiter } from './commands.ts';

export interface SessionImage {
  readonly session: number;
  readonly nonce: string;
  readonly profile: SessionProfile;
  readonly answeredBelow: number;
  /** By sequence. `answer` null: pending, which only a waiting acquire can be. */
  readonly requests: readonly { readonly sequence: number; readonly answer: Answer | null }[];
}

export interface LockImage {
  readonly lock: string;
  /** By token. */
  readonly grants: readonly Omit<Grant, 'lock'>[];
  /** The queue, first come first. `place` is the index of the entry that queued it. */
  readonly waiters: readonly (Omit<Waiter, 'lock'> & { readonly place: number })[];
}

export interface KvEntryImage {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
}

export interface MachineImage {
  /** The index of the last command that was applied; 0 if none was. */
  readonly index: number;
  readonly nextSession: number;
  readonly nextToken: number;
  readonly nextLog: number;
  readonly revision: number;
  readonly sessions: readonly SessionImage[];
  readonly locks: readonly LockImage[];
  readonly logs: readonly LogInfo[];
  readonly entries: readonly KvEntryImage[];
  /** The last changes, without gaps, up to `revision`. */
  readonly changes: readonly KvChange[];
}
