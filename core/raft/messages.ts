/**
 * What servers say to each other about the log. Types only; the bytes are in wire/raft-codec.ts.
 *
 * Every message names its sender with the disk it stands on, so that a vote or an acknowledgement of a wiped disk counts
 * for nothing, and the sender's term.
 */

import type { LogEntry, ServerId } from './types.ts';

/** What a server says of its disk with every heartbeat reply. */
export interface DiskReport {
  /** Above its reserve: growing commands may be admitted. */
  readonly roomy: boolean;
  /** How long the present disk operation has been under way; 0 if none is. */
  readonly stalledMs: number;
  /** Of the last completed fsyncs. */
  readonly syncP99Ms: number;
}

export type RaftBody =
  /** The message's term is the one that the sender would campaign in (dissertation §9.6). */
  | { readonly type: 'pre-vote'; readonly lastIndex: number; readonly lastTerm: number }
  /** Granted: the message's term is the asked one. Else it is the voter's own. */
  | { readonly type: 'pre-vote-reply'; readonly granted: boolean }
  /** `transfer` is the number of the leader's own request to campaign, 0 without one. */
  | {
      readonly type: 'vote';
      readonly lastIndex: number;
      readonly lastTerm: number;
      readonly transfer: number;
    }
  | { readonly type: 'vote-reply'; readonly granted: boolean }
  | {
      readonly type: 'append';
      readonly previousIndex: number;
      readonly previousTerm: number;
      readonly commitIndex: number;
      readonly entries: readonly LogEntry[];
    }
  /** The follower's log agrees with the leader's up to `durableIndex`, durably. */
  | { readonly type: 'append-reply'; readonly durableIndex: number }
  /** Entries [from, to] are missing: those before were received, those after are kept until these come. */
  | { readonly type: 'append-gap'; readonly from: number; readonly to: number }
  /** At `previousIndex` the logs differ; they may agree at `hintIndex`, whose term is `hintTerm`. */
  | {
      readonly type: 'append-conflict';
      readonly previousIndex: number;
      readonly hintIndex: number;
      readonly hintTerm: number;
    }
  /** `electionTimeoutMs`: the leader's own T, so that followers who measure no round trip are as patient as it is. */
  | {
      readonly type: 'heartbeat';
      readonly round: number;
      readonly commitIndex: number;
      readonly electionTimeoutMs: number;
    }
  /** `receivedIndex`: up to where the logs are known to agree, durable or not. */
  | {
      readonly type: 'heartbeat-reply';
      readonly round: number;
      readonly receivedIndex: number;
      readonly disk: DiskReport;
    }
  /** Campaign now (TimeoutNow, dissertation §3.10). */
  | { readonly type: 'transfer'; readonly number: number }
  /** The sender's term is newer than that of the message that it answers; nothing else is said. */
  | { readonly type: 'newer-term' };

export interface RaftMessage {
  readonly from: ServerId;
  /** The node's name. */
  readonly to: string;
  readonly term: number;
  readonly body: RaftBody;
}
