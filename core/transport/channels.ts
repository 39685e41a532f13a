/**
 * The channels of an endpoint, by the remote's class and boot: bounded, the longest unused one goes first.
 *
 * Invariants: peers are kept apart from everybody else, so that no number of clients makes a server forget a peer; a
 * channel that is let go is closed, and the counters that it used are never used again (`counterFloor`).
 */

import { CLIENT_BOOTS_MAX, PEER_BOOTS_MAX, REASSEMBLY_BYTES_TOTAL } from '../base/limits.ts';
import type { Channel } from './channel.ts';
import type { KeyClass } from './interface.ts';
import { Budget } from './reassembly.ts';

interface Group {
  readonly max: number;
  readonly budget: Budget;
  /** In the order of their last use. */
  readonly channels: Map<string, Channel>;
}

export class Channels {
  readonly #peers: Group;
  readonly #others: Group;
  #counterFloor = 0;

  constructor(limits: { peers?: number; others?: number } = {}) {
    this.#peers = newGroup(limits.peers ?? PEER_BOOTS_MAX);
    this.#others = newGroup(limits.others ?? CLIENT_BOOTS_MAX);
  }

  get size(): number {
    return this.#peers.channels.size + this.#others.channels.size;
  }

  /** Where the counter of a new channel starts: no channel that was let go ever went beyond it. */
  get counterFloor(): number {
    return this.#counterFloor;
  }

  #group(keyClass: KeyClass): Group {
    return keyClass === 'peer' ? this.#peers : this.#others;
  }

  /** The budget that a channel of this class puts messages together within. */
  budget(keyClass: KeyClass): Budget {
    return this.#group(keyClass).budget;
  }

  get(keyClass: KeyClass, boot: string): Channel | null {
    return this.#group(keyClass).channels.get(keyOf(keyClass, boot)) ?? null;
  }

  /** Marks a channel as just used; only what was authentic counts as use. */
  touch(channel: Channel): void {
    const { keyClass, boot } = channel.remote;
    const { channels } = this.#group(keyClass);
    const key = keyOf(keyClass, boot);
    if (!channels.delete(key)) return;
    channels.set(key, channel);
  }

  add(channel: Channel): void {
    const { keyClass, boot } = channel.remote;
    const { channels, max } = this.#group(keyClass);
    channels.set(keyOf(keyClass, boot), channel);
    if (channels.size <= max) return;
    const [oldestKey, oldest] = channels.entries().next().value as [string, Channel];
    channels.delete(oldestKey);
    this.#counterFloor = Math.max(this.#counterFloor, oldest.counter);
    oldest.close();
  }

  close(): void {
    for (const group of [this.#peers, this.#others]) {
      for (const channel of group.channels.values()) channel.close();
      group.channels.clear();
    }
  }
}

function newGroup(max: number): Group {
  return { max, budget: new Budget(REASSEMBLY_BYTES_TOTAL), channels: new Map() };
}

function keyOf(keyClass: KeyClass, boot: string): string {
  return `${keyClass} ${boot}`;
}
