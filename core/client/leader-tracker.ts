/**
 * Which server to ask. Starts with the first of the list, follows what servers say about the leader, and goes round the
 * list when a server is silent.
 *
 * Invariant: the current address is one of the list or a hint of a server; the list never changes, and of hints only
 * the current one is kept, so that nothing grows with what servers say.
 */

import { assert } from '../base/assert.ts';
import { SERVERS_MAX } from '../base/limits.ts';
import type { Address } from '../transport/interface.ts';
import { RoundTripEstimate } from '../transport/request-window.ts';

export class LeaderTracker {
  readonly servers: readonly Address[];
  #current: Address;
  #at = 0;
  readonly #estimates = new Map<Address, RoundTripEstimate>();

  constructor(servers: readonly Address[]) {
    assert(servers.length > 0 && servers.length <= SERVERS_MAX, `${servers.length} servers`);
    this.servers = servers;
    this.#current = servers[0] as Address;
  }

  get current(): Address {
    return this.#current;
  }

  estimate(address: Address): RoundTripEstimate {
    let estimate = this.#estimates.get(address);
    if (estimate === undefined) {
      // Hints may name more and more addresses; what was measured of the oldest is let go.
      if (this.#estimates.size >= 2 * SERVERS_MAX) {
        this.#estimates.delete(this.#estimates.keys().next().value as Address);
      }
      estimate = new RoundTripEstimate();
      this.#estimates.set(address, estimate);
    }
    return estimate;
  }

  /** A server names the leader. */
  follow(leader: Address): void {
    this.#current = leader;
    const at = this.servers.indexOf(leader);
    if (at >= 0) this.#at = at;
  }

  /** `address` is silent or of no use now. Only the first to say so moves on. */
  leave(address: Address): void {
    if (address !== this.#current) return;
    // A hint that leads nowhere goes back into the list, to the server after the one that gave it.
    this.#at = (this.#at + 1) % this.servers.length;
    this.#current = this.servers[this.#at] as Address;
  }
}
