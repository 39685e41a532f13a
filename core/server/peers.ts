/**
 * The other servers: where each is, what was heard of it, and the way of a message to it.
 *
 * An address comes from the configuration; a server that is in none yet (it has an empty log, or is about to join) is
 * answered where it spoke from. A member that is silent may have started anew under another boot, so it is suspected.
 */

import { PEERS_KNOWN_MAX } from '../base/limits.ts';
import type { Clock } from '../base/ports.ts';
import { type Configuration, findMember } from '../raft/configuration.ts';
import type { RaftMessage } from '../raft/messages.ts';
import type { Endpoint, Remote } from '../transport/interface.ts';
import { encodeRaftMessage } from '../wire/raft-codec.ts';
import type { Counters } from './counters.ts';

const SUSPECT_AFTER_MS = 400;

export interface PeersOptions {
  readonly self: string;
  readonly endpoint: Endpoint;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly configuration: () => Configuration;
}

export class Peers {
  readonly #options: PeersOptions;
  readonly #remotes = new Map<string, Remote>();
  readonly #heardAt = new Map<string, number>();

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** A message of this node came. */
  heard(node: string, remote: Remote): void {
    if (!this.#heardAt.has(node) && this.#heardAt.size >= PEERS_KNOWN_MAX) {
      this.#options.counters.add('dropped.too-many-peers');
      return;
    }
    this.#remotes.set(node, remote);
    this.#heardAt.set(node, this.#options.clock.now());
  }

  heardAt(node: string): number | null {
    return this.#heardAt.get(node) ?? null;
  }

  sendRaft(message: RaftMessage): void {
    this.send(message.to, encodeRaftMessage(message));
  }

  /** Sends to a node by name; what cannot be sent is lost, as on a network. */
  send(node: string, message: Uint8Array): void {
    const { endpoint, counters, configuration } = this.#options;
    const address = findMember(configuration(), node)?.address;
    const remote = this.#remotes.get(node);
    const sent =
      address !== undefined
        ? endpoint.send(address, message)
        : remote !== undefined && endpoint.reply(remote, message);
    if (!sent) counters.add('dropped.peer-message');
  }

  /** Members that were not heard for a while may have another boot by now. */
  suspectSilent(): void {
    const { endpoint, clock, configuration, self } = this.#options;
    const now = clock.now();
    for (const member of configuration().members) {
      if (member.node === self) continue;
      if (now - (this.#heardAt.get(member.node) ?? Number.NEGATIVE_INFINITY) > SUSPECT_AFTER_MS) {
        endpoint.suspect(member.address);
      }
    }
  }
}
