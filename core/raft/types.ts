/** The words that Raft and its neighbours share: entries and the hard state. Types only. */

export type EntryType = 'no-op' | 'command' | 'configuration';

export interface LogEntry {
  /** From 1. */
  readonly index: number;
  readonly term: number;
  readonly type: EntryType;
  /** An encoded command or configuration; opaque to Raft and to the disk. Empty for a no-op. */
  readonly data: Uint8Array;
}

/** The persistent state beside the log (Raft figure 2). `votedFor` null: nobody in this term. */
export interface HardState {
  readonly term: number;
  readonly votedFor: string | null;
}
