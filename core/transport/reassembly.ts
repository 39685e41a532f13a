/**
 * The receiving side of fragmented messages from one remote.
 *
 * Invariants: what is half received is bounded for the sender, in number and bytes, and for all senders of its group by a
 * shared budget, in which a message counts with its full size from its first fragment; a message of which nothing arrives
 * for REASSEMBLY_IDLE_MS is dropped; a finished one is remembered for a while and not delivered twice.
 */

import { assert } from '../base/assert.ts';
import {
  FINISHED_MESSAGES_REMEMBERED,
  REASSEMBLY_BYTES_PER_SENDER,
  REASSEMBLY_IDLE_MS,
  REASSEMBLY_MESSAGES_PER_SENDER,
} from '../base/limits.ts';
import { Assembly, claimedGeometry, wholeAcknowledgement } from '../wire/fragment.ts';
import type { Fragment, FragmentAck } from '../wire/frame.ts';

/** What all senders of a group share. */
export class Budget {
  readonly #max: number;
  #used = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get used(): number {
    return this.#used;
  }

  take(size: number): boolean {
    if (this.#used + size > this.#max) return false;
    this.#used += size;
    return true;
  }

  give(size: number): void {
    this.#used -= size;
    assert(this.#used >= 0, `a budget of ${this.#used} bytes in use`);
  }
}

export type Reassembled =
  | { readonly type: 'refused' }
  | { readonly type: 'full' }
  /** Acknowledge `id` when all that arrived together is in. */
  | { readonly type: 'kept' }
  | { readonly type: 'whole'; readonly message: Uint8Array };

export class Reassembly {
  readonly #budget: Budget;
  /** In the order of their last fragments, the longest idle first. */
  readonly #assemblies = new Map<number, { readonly assembly: Assembly; heardAt: number }>();
  /** Finished messages and their counts of fragments, the oldest first. */
  readonly #finished = new Map<number, number>();
  #bytes = 0;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  get count(): number {
    return this.#assemblies.size;
  }

  receive(fragment: Fragment, nowMs: number): Reassembled {
    const shape = claimedGeometry(fragment);
    if (shape === null) return { type: 'refused' };
    const { id } = fragment;
    if (this.#finished.has(id)) return { type: 'kept' };
    const known = this.#assemblies.get(id);
    let assembly = known?.assembly;
    if (assembly === undefined) {
      if (!this.#reserve(shape.size)) return { type: 'full' };
      assembly = new Assembly(shape);
    }
    if (!assembly.add(fragment, shape)) return { type: 'refused' };
    const { message } = assembly;
    this.#assemblies.delete(id);
    if (message === null) {
      this.#assemblies.set(id, { assembly, heardAt: nowMs });
      return { type: 'kept' };
    }
    this.#release(shape.size);
    this.#finish(id, shape.count);
    return { type: 'whole', message };
  }

  #reserve(size: number): boolean {
    if (this.#assemblies.size >= REASSEMBLY_MESSAGES_PER_SENDER) return false;
    if (this.#bytes + size > REASSEMBLY_BYTES_PER_SENDER) return false;
    if (!this.#budget.take(size)) return false;
    this.#bytes += size;
    return true;
  }

  #release(size: number): void {
    this.#bytes -= size;
    this.#budget.give(size);
  }

  #finish(id: number, count: number): void {
    this.#finished.set(id, count);
    if (this.#finished.size <= FINISHED_MESSAGES_REMEMBERED) return;
    const oldest = this.#finished.keys().next().value as number;
    this.#finished.delete(oldest);
  }

  /** What to tell the sender of message `id`; null if nothing is known of it. */
  acknowledgement(id: number): FragmentAck | null {
    const count = this.#finished.get(id);
    if (count !== undefined) return wholeAcknowledgement(id, count);
    return this.#assemblies.get(id)?.assembly.acknowledgement(id) ?? null;
  }

  /** Drops what is idle; gives how many messages that were. */
  expire(nowMs: number): number {
    let dropped = 0;
    for (const [id, { assembly, heardAt }] of this.#assemblies) {
      if (nowMs - heardAt < REASSEMBLY_IDLE_MS) break;
      this.#assemblies.delete(id);
      this.#release(assembly.size);
      dropped++;
    }
    return dropped;
  }

  /** Drops everything that is half received. */
  clear(): void {
    for (const { assembly } of this.#assemblies.values()) this.#release(assembly.size);
    this.#assemblies.clear();
  }
}
