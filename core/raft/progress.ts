/**
 * What a leader knows of one member's log, and how it sends to it (dissertation §10.2.1 and etcd's design of the same).
 *
 * probe: where the logs agree is not known; one message a round trip. replicate: it is known, and entries are sent ahead
 * of their acknowledgements within a window. snapshot: what it needs is compacted; the server sends it a snapshot.
 */

import type { Member } from './configuration.ts';
import type { DiskReport } from './messages.ts';

/** Sent and not acknowledged: about a second of a Pi's disk. */
const INFLIGHT_BYTES_MAX = 4 * 1_048_576;
const INFLIGHT_MESSAGES_MAX = 128;

interface Inflight {
  readonly lastIndex: number;
  readonly bytes: number;
  readonly sentAt: number;
}

export class Progress {
  member: Member;
  state: 'probe' | 'replicate' | 'snapshot' = 'probe';
  /** Durable there and equal to ours. */
  matchIndex = 0;
  nextIndex: number;
  /** The newest heartbeat round that it answered. */
  repliedRound = 0;
  /** When that round was sent: the member was heard then. */
  heardAt: number;
  /** Smoothed, of heartbeat rounds; 0 before the first. */
  roundTripMs = 0;
  disk: DiskReport = { roomy: true, stalledMs: 0, syncP99Ms: 0 };
  /** A probe is under way since then; null: one may be sent. */
  probeSentAt: number | null = null;
  /** A learner's round (dissertation §4.2.1): it must reach `roundTarget`, which was the last index at `roundStartedAt`. */
  roundTarget: number;
  roundStartedAt: number;
  caughtUp = false;
  #inflight: Inflight[] = [];
  #inflightBytes = 0;
  #gapResentAt = Number.NEGATIVE_INFINITY;

  constructor(member: Member, at: { readonly nextIndex: number; readonly now: number }) {
    this.member = member;
    this.nextIndex = at.nextIndex;
    this.heardAt = at.now;
    this.roundTarget = at.nextIndex - 1;
    this.roundStartedAt = at.now;
  }

  get windowOpen(): boolean {
    return this.#inflight.length < INFLIGHT_MESSAGES_MAX && this.#inflightBytes < INFLIGHT_BYTES_MAX;
  }

  /** When the oldest unacknowledged message was sent, or null. */
  get oldestSentAt(): number | null {
    return this.#inflight[0]?.sentAt ?? null;
  }

  get oldestBytes(): number {
    return this.#inflight[0]?.bytes ?? 0;
  }

  sent(message: Inflight): void {
    this.#inflight.push(message);
    this.#inflightBytes += message.bytes;
    this.nextIndex = message.lastIndex + 1;
  }

  /** Entries up to `index` are durable there. Returns whether that is news. */
  acknowledged(index: number): boolean {
    while (this.#inflight.length > 0 && (this.#inflight[0] as Inflight).lastIndex <= index) {
      this.#inflightBytes -= (this.#inflight.shift() as Inflight).bytes;
    }
    if (this.state === 'probe') this.#become('replicate');
    if (this.state === 'snapshot' && index >= this.nextIndex - 1) this.#become('replicate');
    this.nextIndex = Math.max(this.nextIndex, index + 1);
    if (index <= this.matchIndex) return false;
    this.matchIndex = index;
    return true;
  }

  /** Goes back to sending from `nextIndex`, one message at a time until it is answered. */
  probeFrom(nextIndex: number): void {
    this.nextIndex = Math.max(this.matchIndex + 1, nextIndex);
    this.#become('probe');
  }

  /** What was sent is lost: sends again from where the logs were last known to agree. */
  resendFrom(nextIndex: number): void {
    this.nextIndex = Math.max(this.matchIndex + 1, nextIndex);
    this.#inflight = [];
    this.#inflightBytes = 0;
  }

  becomeSnapshot(): void {
    this.#become('snapshot');
  }

  /** A sample of the round trip, smoothed as TCP does (RFC 6298). */
  measured(roundTripMs: number): void {
    this.roundTripMs = this.roundTripMs === 0 ? roundTripMs : this.roundTripMs * 0.875 + roundTripMs * 0.125;
  }

  /** Whether a gap may be filled now: the same gap is asked for many times while its filling is on the way. */
  mayFillGap(now: number, resendMs: number): boolean {
    if (now - this.#gapResentAt < resendMs) return false;
    this.#gapResentAt = now;
    return true;
  }

  #become(state: Progress['state']): void {
    this.state = state;
    this.probeSentAt = null;
    this.#inflight = [];
    this.#inflightBytes = 0;
  }
}
