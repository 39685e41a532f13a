/** The words that Raft and its neighbours share: entries, the hard state and who somebody is. Types only. */

export type EntryType = 'no-op' | 'command' | 'configuration';

export interface LogEntry {
  /** From 1. */
  readonly index: number;
  readonly term: number;
  readonly type: EntryType;
  /** An encoded command or configuration; opaque to Raft and to the disk. Empty for a no-op. */
  readonly data: Uint8Array;
}

/**
 * A server with the disk it stands on. A wiped disk comes back under its node's old name with a new storage id, and is
 * nobody to whom the old promises were made.
 */
export interface ServerId {
  readonly node: string;
  /** 32 hexadecimal digits; made with the data directory. */
  readonly storageId: string;
}

/** The persistent state beside the log (Raft figure 2). `votedFor` null: nobody in this term; else `node/storageId`. */
export interface HardState {
  readonly term: number;
  readonly votedFor: string | null;
  /**
   * Up to where entries were known to be committed when this was written. Not needed for safety; it is written when
   * something else is, so that a server that comes back can apply what it has before it hears of a leader.
   */
  readonly commitIndex: number;
}

/** How `votedFor` names a server. */
export function serverKey(server: ServerId): string {
  return `${server.node}/${server.storageId}`;
}
