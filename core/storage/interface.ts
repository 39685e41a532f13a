/**
 * What the server needs of a disk. The real one is storage/disk-storage.ts; tests and the simulator have their own, and
 * both stand the same contract suite (test/contract/storage.ts).
 *
 * Invariants: writes become durable in the order of their numbers; a write is durable only after fdatasync came back;
 * an entry of a given index replaces every entry at that index and above; nothing is reported durable twice; a failed
 * write or sync other than "no space" is fatal and never retried.
 */

import type { HardState, LogEntry } from '../raft/types.ts';
import type { FileEffect, LogInfo } from '../state-machine/commands.ts';

export { DamageError } from '../base/errors.ts';
export type { EntryType, HardState, LogEntry } from '../raft/types.ts';

export interface Snapshot {
  /** The last entry that the snapshot includes, and its term. */
  readonly index: number;
  readonly term: number;
  /** Encoded membership and cluster identity; opaque here. */
  readonly configuration: Uint8Array;
  /** The state machine's own bytes. */
  readonly machine: Uint8Array;
  /** Which logs' records the snapshot stands on; the records themselves are in the files. */
  readonly logs: readonly LogInfo[];
}

/** What was found on the disk at start, torn tails cut. */
export interface Recovered {
  /** 32 hexadecimal digits, random, made with the directory. */
  readonly storageId: string;
  /** True if the directory was empty and has just been made. */
  readonly fresh: boolean;
  readonly hardState: HardState;
  readonly snapshot: Snapshot | null;
  /** All entries after the snapshot, in order, without gaps. */
  readonly entries: readonly LogEntry[];
  /** True if the last stop was a clean one. */
  readonly sealed: boolean;
  /** Bytes of a torn tail that were cut; 0 usually. */
  readonly cutBytes: number;
}

/** A log's records as the files have them. `bytes` counts the trimmed ones too. */
export type RecordsState = Omit<LogInfo, 'guard'>;

/** Numbers of writes grow by one; 0 means "nothing yet". */
export type WriteNumber = number;

export interface Durable {
  readonly write: WriteNumber;
  /** The last entry that the log now durably ends with, and its term. */
  readonly index: number;
  readonly term: number;
}

/**
 * Free space. 'ok': growing commands may be admitted. 'low': below the reserve; only what frees or keeps is admitted.
 * 'full': not even the reserve holds; writes wait and are retried when there is room.
 */
export type SpaceState = 'ok' | 'low' | 'full';

export interface StorageCounters {
  bytesWritten: number;
  writes: number;
  syncs: number;
  snapshots: number;
  /** Times a write had to wait for room. */
  noSpace: number;
  /** Upper bounds in milliseconds and counts of fdatasync durations: 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000, Infinity. */
  syncBuckets: number[];
  syncMsMax: number;
}

export interface Storage {
  readonly recovered: Recovered;
  readonly counters: StorageCounters;
  /**
   * Queues one write: a new hard state and/or entries (which replace whatever the log has at their indexes and above).
   * Writes that are queued while a sync is under way share the next one (group commit). Returns its number.
   */
  write(change: { readonly hardState?: HardState; readonly entries?: readonly LogEntry[] }): WriteNumber;
  /** One listener; called once for each completed sync with the highest write that it covers. */
  onDurable(listener: (durable: Durable) => void): void;
  /** One listener; called once if the disk failed for good. The server ends itself. */
  onFatal(listener: (error: Error) => void): void;
  /** Bytes queued or under way and not yet durable. */
  readonly unpersistedBytes: number;
  /** How long the present disk operation has been under way, in milliseconds; 0 if none is. */
  readonly stalledMs: number;
  /** The p99 of the last few hundred fdatasyncs, in milliseconds; 0 without any. */
  readonly syncP99Ms: number;
  readonly space: SpaceState;
  readonly freeBytes: number;
  /** Bytes and entries of log since the last snapshot: whether another is due is the server's decision. */
  readonly logBytes: number;

  /** Writes records behind, in the order given; never waits. */
  applyFiles(effects: readonly FileEffect[]): void;
  /**
   * Records [from, to) of a log by its id, at most `bytesMax` of data but at least one record if there is one. Includes what
   * applyFiles was given before. Rejects with a DamageError if a record does not match its checksum, and with a RangeError
   * if there is no log of that id or `from` is below its first record. Where no record is, the answer is empty.
   */
  readRecords(
    id: number,
    range: { readonly from: number; readonly to: number; readonly bytesMax: number },
  ): Promise<Uint8Array[]>;
  /** Resolves when all that applyFiles and stage were given so far is in the files, synced or not. */
  filesWritten(): Promise<void>;
  /** Every log's records as they are with what applyFiles and stage were given. */
  fileStates(): readonly RecordsState[];
  fileState(id: number): RecordsState | null;
  /** The bytes of all records before `ordinal` of a log and the chain value there; rejects where the log has no such place. */
  recordsBefore(id: number, ordinal: number): Promise<{ readonly bytes: number; readonly chain: number }>;
  /**
   * Takes records that came with another server's snapshot, ahead of the state machine. 'begin' puts an empty log of this id
   * in the place of whatever there is, to go on from `start`; 'record' appends the next one. Commands applied later whose
   * records are here already are passed over.
   */
  stage(
    effects: readonly (
      | {
          readonly type: 'begin';
          readonly id: number;
          readonly name: string;
          readonly start: number;
          readonly bytes: number;
          readonly chain: number;
        }
      | { readonly type: 'record'; readonly id: number; readonly data: Uint8Array }
    )[],
  ): void;
  /**
   * Makes a snapshot durable: files and indexes first, then the snapshot, then the log's start moves and old segments go.
   * Resolves to false if it could not be taken for want of space (nothing is lost); one at a time.
   * `logs` must be as the effects given to applyFiles so far have left them: take the snapshot and call this in one turn.
   * A snapshot that the log does not reach, or with another term there, replaces the log.
   */
  saveSnapshot(snapshot: Snapshot): Promise<boolean>;
  /** Writes out everything, seals the log (a clean stop) and closes. */
  close(): Promise<void>;
}
