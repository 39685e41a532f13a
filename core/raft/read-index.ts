/**
 * Heartbeat rounds and what waits for them: linearizable reads and renewals (ReadIndex, dissertation §6.4).
 *
 * A request is confirmed by a round that began after it arrived, once a majority of the voters has answered that round;
 * all that arrive between two rounds share one.
 */

export interface Confirmation {
  /** The caller's own name for its request. */
  readonly id: number;
  /** The commit index when the request arrived: what a read must see applied. */
  readonly index: number;
}

const ROUNDS_REMEMBERED = 256;

export class ReadIndex {
  #round = 0;
  /** The newest round that a majority answered. */
  #confirmedRound = 0;
  /** Waiting requests, in the order of the rounds that they need. */
  #waiting: (Confirmation & { readonly round: number })[] = [];
  /** When each of the last rounds was sent. */
  readonly #sentAt = new Map<number, number>();

  get round(): number {
    return this.#round;
  }

  /**
   * True if a request waits for a round that has not begun, and one may begin: while a round is on its way, what arrives
   * is gathered for the next, unless that one seems lost.
   */
  wantsRound(now: number, patienceMs: number): boolean {
    if ((this.#waiting.at(-1)?.round ?? 0) <= this.#round) return false;
    return this.#confirmedRound === this.#round || now - (this.#sentAt.get(this.#round) ?? 0) >= patienceMs;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  add(id: number, index: number): void {
    this.#waiting.push({ id, index, round: this.#round + 1 });
  }

  beginRound(now: number): number {
    this.#round += 1;
    this.#sentAt.set(this.#round, now);
    this.#sentAt.delete(this.#round - ROUNDS_REMEMBERED);
    return this.#round;
  }

  /** When a round was sent, or null if it is too long ago. */
  roundSentAt(round: number): number | null {
    return this.#sentAt.get(round) ?? null;
  }

  /** Takes what a majority's answer to `round` confirms. */
  confirmed(round: number): Confirmation[] {
    this.#confirmedRound = Math.max(this.#confirmedRound, round);
    const done: Confirmation[] = [];
    while (this.#waiting.length > 0 && (this.#waiting[0] as { round: number }).round <= round) {
      const { id, index } = this.#waiting.shift() as Confirmation;
      done.push({ id, index });
    }
    return done;
  }

  /** Leadership is gone: nothing of this will be confirmed. */
  clear(): Confirmation[] {
    const left = this.#waiting.map(({ id, index }) => ({ id, index }));
    this.#waiting = [];
    this.#confirmedRound = this.#round;
    this.#sentAt.clear();
    return left;
  }
}
