/**
 * A leader's sending of its log: one Progress a member, gaps filled, conflicts met, windows kept (dissertation §10.2.1).
 *
 * Invariants: nothing is sent whose predecessor's term the log no longer has (that member needs a snapshot); an
 * acknowledgement counts only for the disk that the configuration names.
 */

import { assert } from '../base/assert.ts';
import { findMember } from './configuration.ts';
import type { RaftLog } from './log.ts';
import type { RaftBody } from './messages.ts';
import { Progress } from './progress.ts';
import type { LogEntry, ServerId } from './types.ts';

/** One append message: what a datagram's fragments carry in a few turns. */
const APPEND_BYTES_MAX = 512 * 1024;
const APPEND_ENTRIES_MAX = 1_024;
/** A lost append is sent again after two heartbeats, and later the larger it is: it may still be on the way. */
const RESEND_BYTES_PER_MS = 500;

export interface ReplicationPorts {
  readonly log: RaftLog;
  readonly self: ServerId;
  readonly send: (to: string, body: RaftBody) => void;
  readonly commitIndex: () => number;
  readonly heartbeatMs: () => number;
}

export class Replication {
  readonly #ports: ReplicationPorts;
  readonly #progress = new Map<string, Progress>();

  constructor(ports: ReplicationPorts) {
    this.#ports = ports;
  }

  get(node: string): Progress | null {
    return this.#progress.get(node) ?? null;
  }

  members(): Iterable<Progress> {
    return this.#progress.values();
  }

  clear(): void {
    this.#progress.clear();
  }

  /** One Progress for each other member of the configuration in force. */
  sync(now: number): void {
    const { log, self } = this.#ports;
    const { configuration } = log;
    for (const node of [...this.#progress.keys()]) {
      if (findMember(configuration, node) === null) this.#progress.delete(node);
    }
    for (const member of configuration.members) {
      if (member.node === self.node) continue;
      const known = this.#progress.get(member.node);
      if (known !== undefined && known.member.storageId === member.storageId) known.member = member;
      else this.#progress.set(member.node, new Progress(member, { nextIndex: log.lastIndex + 1, now }));
    }
  }

  /** The Progress of whoever sent a message, if the configuration names that server with that disk. */
  of(from: ServerId): Progress | null {
    const progress = this.#progress.get(from.node);
    return progress === undefined || progress.member.storageId !== from.storageId ? null : progress;
  }

  /** Sends each member what it lacks, as far as its window allows. Returns those that now need a snapshot. */
  replicate(now: number): string[] {
    const needSnapshot: string[] = [];
    for (const progress of this.#progress.values()) {
      if (progress.state === 'snapshot') continue;
      if (this.#ports.log.term(progress.nextIndex - 1) === null) {
        progress.becomeSnapshot();
        needSnapshot.push(progress.member.node);
      } else if (progress.state === 'probe') this.#probe(progress, now);
      else this.#stream(progress, now);
    }
    return needSnapshot;
  }

  #probe(progress: Progress, now: number): void {
    if (progress.probeSentAt !== null) return;
    progress.probeSentAt = now;
    const entries =
      progress.nextIndex <= this.#ports.log.lastIndex
        ? this.#batch(progress.nextIndex, this.#ports.log.lastIndex + 1)
        : [];
    this.#sendAppend(progress, progress.nextIndex - 1, entries);
  }

  #stream(progress: Progress, now: number): void {
    while (progress.nextIndex <= this.#ports.log.lastIndex && progress.windowOpen) {
      const entries = this.#batch(progress.nextIndex, this.#ports.log.lastIndex + 1);
      this.#sendAppend(progress, progress.nextIndex - 1, entries);
      const bytes = entries.reduce((sum, entry) => sum + entry.data.length + 16, 0);
      progress.sent({ lastIndex: progress.nextIndex + entries.length - 1, bytes, sentAt: now });
    }
  }

  /** The logs differ at the probe: looks further back, where the terms say that they may meet (Raft §5.3). */
  onConflict(progress: Progress, conflict: Extract<RaftBody, { type: 'append-conflict' }>): void {
    const { previousIndex, hintIndex, hintTerm } = conflict;
    if (progress.state === 'snapshot') return;
    const probing = progress.state === 'probe';
    const stale = probing ? previousIndex !== progress.nextIndex - 1 : previousIndex <= progress.matchIndex;
    if (stale) return;
    const meet = this.#ports.log.lastAtOrBelow(Math.min(hintIndex, previousIndex - 1), hintTerm);
    progress.probeFrom(meet + 1);
  }

  onGap(progress: Progress, gap: Extract<RaftBody, { type: 'append-gap' }>, now: number): void {
    // A log that ends before the probe: where it ends is where the two agree.
    if (progress.state === 'probe' && gap.to === progress.nextIndex - 1) progress.probeFrom(gap.from);
    if (progress.state !== 'replicate' || gap.from > gap.to || gap.to > this.#ports.log.lastIndex) return;
    if (gap.from <= progress.matchIndex || !progress.mayFillGap(now, this.#ports.heartbeatMs())) return;
    if (this.#ports.log.term(gap.from - 1) === null) return;
    const entries = this.#batch(gap.from, gap.to + 1);
    this.#sendAppend(progress, gap.from - 1, entries);
  }

  /** A heartbeat's answer says what has arrived: what should have and has not is sent again. */
  onReceived(progress: Progress, receivedIndex: number, now: number): void {
    if (progress.state === 'probe') progress.probeSentAt = null;
    const oldest = progress.oldestSentAt;
    if (progress.state !== 'replicate' || oldest === null || receivedIndex >= progress.nextIndex - 1) return;
    const patience = 2 * this.#ports.heartbeatMs() + progress.oldestBytes / RESEND_BYTES_PER_MS;
    if (now - oldest > patience) progress.resendFrom(receivedIndex + 1);
  }

  /** Entries from `low` that fit one message, below `high`. */
  #batch(low: number, high: number): readonly LogEntry[] {
    const candidates = this.#ports.log.slice(low, Math.min(high, low + APPEND_ENTRIES_MAX));
    let bytes = 0;
    let count = 0;
    for (const entry of candidates) {
      bytes += entry.data.length + 16;
      if (count > 0 && bytes > APPEND_BYTES_MAX) break;
      count += 1;
    }
    return candidates.slice(0, count);
  }

  #sendAppend(progress: Progress, previousIndex: number, entries: readonly LogEntry[]): void {
    const previousTerm = this.#ports.log.term(previousIndex);
    assert(previousTerm !== null, `no term for ${previousIndex}`);
    const body = {
      type: 'append',
      previousIndex,
      previousTerm,
      commitIndex: this.#ports.commitIndex(),
      entries,
    } as const;
    this.#ports.send(progress.member.node, body);
  }
}
