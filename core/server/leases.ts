/**
 * The leader's memory of leases: which grant runs until when, on this process's monotonic clock. Never written to disk;
 * a new leader runs every lease anew.
 *
 * A lease that is over changes nothing by itself: its holder stays the holder until an entry in the log says otherwise,
 * and such an entry is proposed only if somebody waits.
 */

import type { Grant } from '../state-machine/commands.ts';

export interface Lease {
  readonly lock: string;
  readonly token: number;
  readonly session: number;
  readonly ttlMs: number;
  /** On the clock's scale. */
  readonly expiresAt: number;
}

export class LeaseTable {
  readonly #leases = new Map<number, Lease>();
  readonly #tokensOfSession = new Map<number, Set<number>>();

  get size(): number {
    return this.#leases.size;
  }

  get(token: number): Lease | null {
    return this.#leases.get(token) ?? null;
  }

  /** Runs the full ttl of a grant from `now`. A re-entry of the same token starts it anew. */
  start(grant: Grant, now: number): void {
    const { lock, token, session, ttlMs } = grant;
    this.#leases.set(token, { lock, token, session, ttlMs, expiresAt: now + ttlMs });
    const tokens = this.#tokensOfSession.get(session);
    if (tokens === undefined) this.#tokensOfSession.set(session, new Set([token]));
    else tokens.add(token);
  }

  /** A confirmed renewal: the full ttl from `now`, never less than what it had. */
  renew(token: number, now: number): void {
    const lease = this.#leases.get(token);
    if (lease === undefined) return;
    this.#leases.set(token, { ...lease, expiresAt: Math.max(lease.expiresAt, now + lease.ttlMs) });
  }

  end(token: number): void {
    const lease = this.#leases.get(token);
    if (lease === undefined) return;
    this.#leases.delete(token);
    const tokens = this.#tokensOfSession.get(lease.session);
    tokens?.delete(token);
    if (tokens?.size === 0) this.#tokensOfSession.delete(lease.session);
  }

  /** When the last lease of a session is over; -Infinity if it holds nothing. */
  sessionExpiresAt(session: number): number {
    let latest = Number.NEGATIVE_INFINITY;
    for (const token of this.#tokensOfSession.get(session) ?? []) {
      latest = Math.max(latest, this.#leases.get(token)?.expiresAt ?? latest);
    }
    return latest;
  }

  clear(): void {
    this.#leases.clear();
    this.#tokensOfSession.clear();
  }
}
