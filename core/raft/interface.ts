/** What goes into Raft and what comes out of it: its settings, what a turn asks for, and which messages follow a write. */

import type { Entropy } from '../base/ports.ts';
import type { Configuration } from './configuration.ts';
import type { RaftBody, RaftMessage } from './messages.ts';
import type { Confirmation } from './read-index.ts';
import type { HardState, LogEntry, ServerId } from './types.ts';

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader' | 'learner';

/** All in milliseconds. DESIGN.md has the formula that the server computes them with. */
export interface Timing {
  /** T: a leader that has not heard a majority for so long steps down; elections start after a random time in [T, 2T). */
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  /** A candidate waits T and this before it campaigns again: twice the voters' fsync p99, since votes are fsynced. */
  readonly voteWriteMs: number;
}

export interface RaftStart {
  readonly self: ServerId;
  readonly hardState: HardState;
  readonly snapshotIndex: number;
  readonly snapshotTerm: number;
  readonly configuration: Configuration;
  /** Recovered, and therefore durable. */
  readonly entries: readonly LogEntry[];
  readonly entropy: Pick<Entropy, 'fraction'>;
  readonly timing: Timing;
  readonly now: number;
}

export interface Outgoing {
  readonly message: RaftMessage;
  /** True: not before the write of this Ready, and all writes before it, are durable. */
  readonly followsWrite: boolean;
}

/** What the server does next: persist in one write, send, apply, answer. */
export interface Ready {
  readonly hardState: HardState | null;
  readonly entries: readonly LogEntry[];
  readonly messages: readonly Outgoing[];
  readonly committed: readonly LogEntry[];
  readonly confirmed: readonly Confirmation[];
  /** Reads and renewals that will never be confirmed here: leadership is gone. */
  readonly abandoned: readonly Confirmation[];
  /** Members that need a snapshot, each named once until `snapshotFinished`. */
  readonly snapshots: readonly string[];
}

/** What became durable: the hard state of `term`, and the log up to `index`, whose entry had `entryTerm`. */
export interface Persisted {
  readonly term: number;
  readonly index: number;
  readonly entryTerm: number;
}

export type ProposeRefusal =
  | 'not-leader'
  | 'transferring'
  | 'not-serving'
  | 'change-under-way'
  | 'not-one-change';

/** Which messages tell of a write and therefore follow it (the others only need their term to be durable). */
export const FOLLOWS: Readonly<Record<RaftBody['type'], boolean>> = {
  'pre-vote': false,
  'pre-vote-reply': false,
  vote: true,
  'vote-reply': true,
  append: false,
  'append-reply': true,
  'append-gap': false,
  'append-conflict': false,
  heartbeat: false,
  'heartbeat-reply': false,
  transfer: false,
  'newer-term': false,
};
