/**
 * What a server with an empty directory does before it is part of anything: it finds out whether its cluster exists.
 *
 * Everybody asks everybody who they are. If anyone belongs to a cluster, that is the cluster: the asker starts with an
 * empty log as nobody in particular, and gets the log and the configuration from the leader. If all listed peers say that
 * their directories are empty too, the first of them by name, and nobody else, founds the cluster: its configuration names
 * each peer with the disk that it told, and is the log's first entry, written by the founder alone before it says so.
 *
 * Why one founder: two would make two clusters. Why the answer of all: a peer with a past must not be outvoted by newborns.
 */

import type { Clock, Logger, Timer } from '../base/ports.ts';
import type { ServerId } from '../raft/types.ts';
import type { Endpoint, Remote } from '../transport/interface.ts';
import { decodePeerMessage, encodePeerMessage } from '../wire/peer-codec.ts';
import type { PeerMessage } from '../wire/peer-messages.ts';

const ASK_EVERY_MS = 250;
const COMPLAIN_EVERY_MS = 10_000;

export interface Peer {
  readonly id: string;
  readonly address: string;
}

export interface DiscoveryOptions {
  readonly self: ServerId;
  /** All servers of the cluster to be, this one among them; empty for one that only joins. */
  readonly peers: readonly Peer[];
  /** Addresses of servers of an existing cluster. */
  readonly join: readonly string[];
  readonly clusterName: string;
  readonly endpoint: Endpoint;
  readonly clock: Clock;
  readonly logger: Logger;
}

export type Discovered =
  /** All peers are empty and this server is the first: it founds the cluster of these disks. */
  | { readonly type: 'found'; readonly storageIds: ReadonlyMap<string, string> }
  | { readonly type: 'join'; readonly clusterId: string }
  | { readonly type: 'wrong-cluster'; readonly clusterName: string; readonly node: string };

type Am = Extract<PeerMessage, { type: 'am' }>;

export class Discovery {
  readonly result: Promise<Discovered>;
  readonly #options: DiscoveryOptions;
  readonly #peerList: readonly string[];
  readonly #answers = new Map<string, Am>();
  #resolve: (result: Discovered) => void = () => {};
  #timer: Timer | null = null;
  #complainAt: number;
  #over = false;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    this.#peerList = peerList(options.peers);
    this.result = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#complainAt = options.clock.now() + COMPLAIN_EVERY_MS;
    options.endpoint.onMessage((remote, message) => this.#onMessage(remote, message));
    this.#ask();
  }

  stop(): void {
    this.#over = true;
    this.#timer?.cancel();
  }

  #finish(result: Discovered): void {
    if (this.#over) return;
    this.stop();
    this.#resolve(result);
  }

  #ask(): void {
    const { self, peers, join, endpoint, clock } = this.#options;
    const who = encodePeerMessage({ type: 'who', from: self, peers: this.#peerList });
    const others = peers.filter((peer) => peer.id !== self.node).map((peer) => peer.address);
    for (const address of new Set([...others, ...join])) {
      endpoint.send(address, who);
      endpoint.suspect(address);
    }
    this.#complain();
    this.#timer = clock.after(ASK_EVERY_MS, () => this.#ask());
  }

  #complain(): void {
    const { clock, logger, peers, self, join } = this.#options;
    if (clock.now() < this.#complainAt) return;
    this.#complainAt = clock.now() + COMPLAIN_EVERY_MS;
    const silent = peers.filter((peer) => peer.id !== self.node && !this.#answers.has(peer.id));
    const waitsFor = silent.length > 0 ? silent.map((peer) => `${peer.id}=${peer.address}`) : join;
    logger.log('warn', 'waiting for the others before the cluster can form', {
      waitsFor: waitsFor.join(',') || 'the founder',
      do: 'start them, and check addresses, keys and firewalls',
    });
  }

  #onMessage(remote: Remote, message: Uint8Array): void {
    if (remote.keyClass !== 'peer' && remote.keyClass !== 'insecure') return;
    const decoded = decodePeerMessage(message);
    if (!decoded.ok || this.#over) return;
    const { self, clusterName, endpoint } = this.#options;
    if (decoded.value.type === 'who') {
      const am = { type: 'am', from: self, clusterName, clusterId: '', peers: this.#peerList } as const;
      endpoint.reply(remote, encodePeerMessage(am));
    }
    if (decoded.value.type === 'am') this.#onAnswer(decoded.value);
  }

  #onAnswer(answer: Am): void {
    const { clusterName, logger, self } = this.#options;
    if (answer.clusterName !== clusterName) {
      return this.#finish({ type: 'wrong-cluster', clusterName: answer.clusterName, node: answer.from.node });
    }
    if (answer.clusterId !== '') return this.#finish({ type: 'join', clusterId: answer.clusterId });
    if (!this.#answers.has(answer.from.node) && !sameList(answer.peers, this.#peerList)) {
      logger.log('warn', `${answer.from.node} was started with other --peers`, {
        here: this.#peerList.join(','),
        there: answer.peers.join(','),
        do: 'give all servers of a new cluster the same list',
      });
    }
    this.#answers.set(answer.from.node, answer);
    this.#foundIfFirst(self.node);
  }

  #foundIfFirst(node: string): void {
    const ids = this.#options.peers.map((peer) => peer.id).sort();
    if (ids[0] !== node) return;
    const storageIds = new Map([[node, this.#options.self.storageId]]);
    for (const id of ids.slice(1)) {
      const answer = this.#answers.get(id);
      if (answer === undefined || !sameList(answer.peers, this.#peerList)) return;
      storageIds.set(id, answer.from.storageId);
    }
    this.#finish({ type: 'found', storageIds });
  }
}

/** As every server of the cluster writes it down, whatever order it was given in. */
export function peerList(peers: readonly Peer[]): readonly string[] {
  return peers.map((peer) => `${peer.id}=${peer.address}`).sort();
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}
