/**
 * The leader's memory of its sessions: when each was heard, which of its requests wait for an answer and where that
 * answer goes. Nothing here is replicated; a new leader counts every session from the moment it began to serve.
 */

import type { Remote } from '../transport/interface.ts';

/** A numbered request that is in the log or in a lock's queue, and who asked for it. */
export interface PendingRequest {
  /** Where the answer goes: wherever the newest transmission came from. */
  remote: Remote;
  request: number;
  attempt: number;
  heardAt: number;
  /**
   * Attempts received, each with the log's last index at that moment: a grant by entry i may count the attempts that
   * came before i was appended. Kept short: of the attempts below an applied entry only the newest can matter.
   */
  received: { readonly attempt: number; readonly lastIndex: number }[];
}

export interface SessionRecord {
  heardAt: number;
  /** An end-session entry for it is in the log. */
  ending: boolean;
  readonly pending: Map<number, PendingRequest>;
  /** By sequence: the attempt that a granted acquire's envelope names, while its answer may be asked for again. */
  readonly grantAttempts: Map<number, number>;
}

export class SessionMemory {
  readonly #records = new Map<number, SessionRecord>();
  #servingSince = 0;

  /** When this leader began to count. */
  get servingSince(): number {
    return this.#servingSince;
  }

  /** A new leader: everybody was heard just now. */
  restart(now: number): void {
    this.#records.clear();
    this.#servingSince = now;
  }

  #record(session: number): SessionRecord {
    let record = this.#records.get(session);
    if (record === undefined) {
      record = { heardAt: this.#servingSince, ending: false, pending: new Map(), grantAttempts: new Map() };
      this.#records.set(session, record);
    }
    return record;
  }

  heard(session: number, now: number): void {
    this.#record(session).heardAt = now;
  }

  heardAt(session: number): number {
    return this.#records.get(session)?.heardAt ?? this.#servingSince;
  }

  markEnding(session: number): void {
    this.#record(session).ending = true;
  }

  isEnding(session: number): boolean {
    return this.#records.get(session)?.ending ?? false;
  }

  pending(session: number, sequence: number): PendingRequest | null {
    return this.#records.get(session)?.pending.get(sequence) ?? null;
  }

  allPending(session: number): readonly PendingRequest[] {
    return [...(this.#records.get(session)?.pending.values() ?? [])];
  }

  /** The request was not taken after all, or its session is gone. */
  withdraw(session: number, sequence: number): void {
    this.#records.get(session)?.pending.delete(sequence);
  }

  /** Notes a transmission of a request that is under way. */
  received(
    key: { readonly session: number; readonly sequence: number },
    from: { readonly remote: Remote; readonly request: number; readonly attempt: number },
    at: { readonly now: number; readonly lastIndex: number; readonly appliedIndex: number },
  ): void {
    const { pending } = this.#record(key.session);
    const known = pending.get(key.sequence);
    const arrival = { attempt: from.attempt, lastIndex: at.lastIndex };
    if (known === undefined) {
      pending.set(key.sequence, { ...from, heardAt: at.now, received: [arrival] });
      return;
    }
    known.remote = from.remote;
    known.request = from.request;
    known.attempt = from.attempt;
    known.heardAt = at.now;
    // Every entry that can still grant lies above appliedIndex, so among arrivals at or below it the newest stands for all.
    const below = known.received.filter((one) => one.lastIndex <= at.appliedIndex);
    const above = known.received.filter(
      (one) => one.lastIndex > at.appliedIndex && one.lastIndex < at.lastIndex,
    );
    const best = below.reduce<number>((most, one) => Math.max(most, one.attempt), 0);
    known.received = [
      ...(best > 0 ? [{ attempt: best, lastIndex: at.appliedIndex }] : []),
      ...above,
      arrival,
    ];
  }

  /** The request is answered: forgets it and says where the answer goes, if anybody asked for it here. */
  answered(
    key: { readonly session: number; readonly sequence: number },
    entryIndex: number,
  ): { readonly pending: PendingRequest; readonly grantAttempt: number } | null {
    const record = this.#records.get(key.session);
    const pending = record?.pending.get(key.sequence);
    if (record === undefined || pending === undefined) return null;
    record.pending.delete(key.sequence);
    let grantAttempt = 0;
    for (const one of pending.received) {
      if (one.lastIndex < entryIndex) grantAttempt = Math.max(grantAttempt, one.attempt);
    }
    record.grantAttempts.set(key.sequence, grantAttempt);
    return { pending, grantAttempt };
  }

  grantAttempt(session: number, sequence: number): number {
    return this.#records.get(session)?.grantAttempts.get(sequence) ?? 0;
  }

  /** Answers below this number are not asked for again. */
  forgetBelow(session: number, answeredBelow: number): void {
    const attempts = this.#records.get(session)?.grantAttempts;
    if (attempts === undefined) return;
    for (const sequence of attempts.keys()) if (sequence < answeredBelow) attempts.delete(sequence);
  }

  end(session: number): void {
    this.#records.delete(session);
  }
}
