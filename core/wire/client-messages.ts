/**
 * What clients and servers say to each other. Types only; the bytes are in wire/client-codec.ts.
 *
 * A request that changes something is numbered within its session (`sequence` ≥ 1) and executed at most once. The others
 * (`sequence` 0) may be executed again and again. `request` numbers a client's exchanges within its boot, so that answers
 * find their callers; `attempt` numbers the transmissions of one request, from 1, and comes back in the response.
 */

import type { Code, Reason } from '../base/codes.ts';
import type {
  Answer,
  Grant,
  KvChange,
  LogInfo,
  Operation,
  SessionProfile,
  Waiter,
} from '../state-machine/commands.ts';

export interface ClientRequest {
  readonly request: number;
  readonly attempt: number;
  /** 0: none (reads, pings, opening). */
  readonly session: number;
  readonly sequence: number;
  readonly answeredBelow: number;
  readonly body: RequestBody;
}

export type RequestBody =
  | { readonly type: 'ping' }
  | { readonly type: 'status' }
  /** `nonce`: 32 hexadecimal digits. */
  | { readonly type: 'open-session'; readonly nonce: string; readonly profile: SessionProfile }
  | { readonly type: 'keep-alive' }
  | { readonly type: 'operation'; readonly operation: Operation }
  | { readonly type: 'renew'; readonly lock: string; readonly owner: number; readonly token: number }
  /** `waitMs` > 0: if there is no record at `from` yet, answer when there is one or when the time is over. */
  | {
      readonly type: 'read-log';
      readonly log: string;
      readonly from: number;
      readonly limit: number;
      readonly waitMs: number;
      readonly stale: boolean;
    }
  | { readonly type: 'kv-get'; readonly key: string; readonly stale: boolean }
  /** Keys with `prefix`, in order, after the key `after` ('' for the first page). */
  | {
      readonly type: 'kv-list';
      readonly prefix: string;
      readonly after: string;
      readonly limit: number;
      readonly stale: boolean;
    }
  /** Changes above revision `since`; waits like read-log. */
  | { readonly type: 'kv-changes'; readonly prefix: string; readonly since: number; readonly waitMs: number }
  | { readonly type: 'lock-list'; readonly after: string; readonly limit: number }
  | { readonly type: 'log-list'; readonly after: string; readonly limit: number }
  /** Lets a server in that has asked to join; it becomes a voter by itself. Repeating it changes nothing. */
  | { readonly type: 'member-add'; readonly node: string; readonly address: string }
  | { readonly type: 'member-remove'; readonly node: string }
  /** `node` '': whoever is best. */
  | { readonly type: 'transfer-leader'; readonly node: string };

export interface LockInfo {
  readonly lock: string;
  readonly grants: readonly (Pick<Grant, 'session' | 'owner' | 'token' | 'mode' | 'depth' | 'ttlMs'> & {
    /** What is left of the lease on the leader's clock; below 0 when it is over and nobody waits. */
    readonly remainingMs: number;
  })[];
  readonly waiters: readonly Pick<Waiter, 'session' | 'owner' | 'mode'>[];
}

export interface KvEntry {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
}

export interface MemberStatus {
  readonly id: string;
  readonly address: string;
  readonly role: 'leader' | 'follower' | 'candidate' | 'learner' | 'unknown';
  readonly voter: boolean;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly durableIndex: number;
  readonly reachable: boolean;
}

/** One server's view. `health` is 'ok' or what is wrong, in words. `metrics` are named numbers for the agent. */
export interface ServerStatus {
  readonly node: string;
  readonly version: string;
  readonly cluster: string;
  readonly clusterId: string;
  readonly leader: string | null;
  readonly term: number;
  readonly members: readonly MemberStatus[];
  readonly health: string;
  readonly insecure: boolean;
  readonly uptimeMs: number;
  readonly metrics: readonly { readonly name: string; readonly value: number }[];
}

export type ResponseBody =
  | { readonly type: 'pong'; readonly node: string }
  | { readonly type: 'status'; readonly status: ServerStatus }
  /** Code 3: the request is known and under way; the sender may be patient. */
  | { readonly type: 'ack' }
  | { readonly type: 'opened'; readonly session: number }
  | { readonly type: 'kept-alive' }
  /**
   * The answer of a numbered request. `answer` holds the kept bytes, the same for every repetition. For an acquire,
   * `grantAttempt` is the last attempt that this leader had received before it appended the entry that granted; 0: unknown.
   */
  | { readonly type: 'answer'; readonly answer: Answer; readonly grantAttempt: number }
  /** `confirmedAttempt`: the last attempt received before the round that confirmed the renewal began. */
  | { readonly type: 'renewed'; readonly ttlMs: number; readonly confirmedAttempt: number }
  /** `from` is the first record's offset; `count` the log's next offset when it was read. */
  | {
      readonly type: 'records';
      readonly from: number;
      readonly count: number;
      readonly records: readonly Uint8Array[];
    }
  | { readonly type: 'kv-value'; readonly entry: KvEntry | null; readonly revision: number }
  | {
      readonly type: 'kv-entries';
      readonly entries: readonly KvEntry[];
      readonly more: boolean;
      readonly revision: number;
    }
  /** `revision`: where to go on from. */
  | { readonly type: 'kv-changes'; readonly changes: readonly KvChange[]; readonly revision: number }
  | { readonly type: 'locks'; readonly locks: readonly LockInfo[]; readonly more: boolean }
  /** A change of members is committed, or the leadership handed over. */
  | { readonly type: 'changed' }
  | { readonly type: 'logs'; readonly logs: readonly LogInfo[]; readonly more: boolean }
  /**
   * Not executed. Code 5 only for what was never appended. `leader` is where to turn to, if known ('' if not); with reason
   * not-leader a client tries there at once.
   */
  | { readonly type: 'refused'; readonly code: Code; readonly reason: Reason; readonly leader: string };

export interface ClientResponse {
  readonly request: number;
  readonly attempt: number;
  readonly body: ResponseBody;
}
