/**
 * What servers say to each other beside Raft's own messages: who they are while a cluster forms, that they would join, and
 * the parts of a snapshot. Types only; the bytes are in peer-codec.ts.
 */

import type { ServerId } from '../raft/types.ts';

export type PeerMessage =
  /** Asks an address who is there. `peers` is the list that the sender was started with, as `id=address`, sorted. */
  | { readonly type: 'who'; readonly from: ServerId; readonly peers: readonly string[] }
  /** `clusterId` is '' while the directory is empty and belongs to no cluster. */
  | {
      readonly type: 'am';
      readonly from: ServerId;
      readonly clusterName: string;
      readonly clusterId: string;
      readonly peers: readonly string[];
    }
  /** Sent again and again by a server that the configuration does not name with its disk: let me in. */
  | { readonly type: 'join'; readonly from: ServerId; readonly address: string }
  /** A leader has a snapshot for a follower whose entries are compacted; the follower fetches it part by part. */
  | {
      readonly type: 'snapshot-offer';
      readonly from: ServerId;
      readonly term: number;
      readonly index: number;
      readonly sizeBytes: number;
    }
  | {
      readonly type: 'snapshot-fetch';
      readonly from: ServerId;
      readonly index: number;
      readonly offset: number;
    }
  | {
      readonly type: 'snapshot-part';
      readonly from: ServerId;
      readonly index: number;
      readonly offset: number;
      readonly bytes: Uint8Array;
    }
  /**
   * Asks for records of a log from ordinal `start` on. The asker's chain value before that record is `chain`: records are
   * sent only if the leader's is the same there, or with `any`, which asks for the records whatever came before.
   */
  | {
      readonly type: 'records-fetch';
      readonly from: ServerId;
      readonly index: number;
      readonly log: number;
      readonly start: number;
      readonly chain: number;
      readonly any: boolean;
    }
  /** `agrees` false: the chain values differ, nothing is sent, and the asker begins with the log's first record. */
  | {
      readonly type: 'records-part';
      readonly from: ServerId;
      readonly index: number;
      readonly log: number;
      readonly start: number;
      readonly agrees: boolean;
      /** Before `start`: the chain value, and the bytes of all records so far. */
      readonly chain: number;
      readonly bytes: number;
      readonly records: readonly Uint8Array[];
    }
  /** The follower's state of a fetch that is over: installed, or given up (the leader offers another). */
  | {
      readonly type: 'snapshot-result';
      readonly from: ServerId;
      readonly index: number;
      readonly installed: boolean;
    };
