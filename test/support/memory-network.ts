// Datagram sockets that are joined by a bad network in memory: it loses, doubles, delays (and so reorders) and corrupts by
// a seed. What is delivered is a copy, as from a real socket.

import type { Clock } from '#core/base/ports.ts';
import { Prng } from '#core/base/prng.ts';
import type { Address, DatagramSocket } from '#core/transport/interface.ts';

export interface Conditions {
  /** Probabilities, each way. */
  loss: number;
  duplicate: number;
  corrupt: number;
  /** Each datagram takes a random time in [low, high] milliseconds. */
  delayMs: readonly [number, number];
}

export interface Passing {
  readonly datagram: Uint8Array;
  readonly from: Address;
  readonly to: Address;
}

const PERFECT: Conditions = { loss: 0, duplicate: 0, corrupt: 0, delayMs: [0, 0] };

export class MemoryNetwork {
  readonly conditions: Conditions;
  /** Datagrams that were handed to a socket or lost on the way to one. */
  delivered = 0;
  lost = 0;
  /** Sees every datagram as it is sent; false loses it. */
  filter: (passing: Passing) => boolean = () => true;
  readonly #clock: Clock;
  readonly #prng: Prng;
  readonly #sockets = new Map<Address, MemorySocket>();

  constructor(options: { clock: Clock; seed: number } & Partial<Conditions>) {
    this.#clock = options.clock;
    this.#prng = new Prng(options.seed);
    const { loss, duplicate, corrupt, delayMs } = { ...PERFECT, ...options };
    this.conditions = { loss, duplicate, corrupt, delayMs };
  }

  /** A socket at an address, which must be free. */
  socket(address: Address): MemorySocket {
    if (this.#sockets.has(address)) throw new Error(`${address} is taken`);
    const socket = new MemorySocket(this, address);
    this.#sockets.set(address, socket);
    return socket;
  }

  remove(address: Address): void {
    this.#sockets.delete(address);
  }

  /** Sends as if from `from`, which need not be anybody's. */
  send(datagram: Uint8Array, from: Address, to: Address): void {
    if (!this.filter({ datagram, from, to })) {
      this.lost++;
      return;
    }
    const copies = this.#prng.chance(this.conditions.duplicate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) this.#carry(datagram.slice(), from, to);
  }

  #carry(datagram: Uint8Array, from: Address, to: Address): void {
    const { loss, corrupt, delayMs } = this.conditions;
    if (this.#prng.chance(loss)) {
      this.lost++;
      return;
    }
    if (this.#prng.chance(corrupt) && datagram.length > 0) {
      const at = this.#prng.between(0, datagram.length);
      datagram[at] = (datagram[at] as number) ^ (1 << this.#prng.between(0, 8));
    }
    const [low, high] = delayMs;
    this.#clock.after(low + this.#prng.fraction() * (high - low), () => {
      const socket = this.#sockets.get(to);
      if (socket === undefined) {
        this.lost++;
        return;
      }
      this.delivered++;
      socket.handler?.(datagram, from);
    });
  }
}

export class MemorySocket implements DatagramSocket {
  readonly address: Address;
  handler: ((datagram: Uint8Array, from: Address) => void) | null = null;
  readonly #network: MemoryNetwork;
  #closed = false;

  constructor(network: MemoryNetwork, address: Address) {
    this.#network = network;
    this.address = address;
  }

  send(datagram: Uint8Array, to: Address): void {
    if (!this.#closed) this.#network.send(datagram, this.address, to);
  }

  onDatagram(handler: (datagram: Uint8Array, from: Address) => void): void {
    this.handler = handler;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#network.remove(this.address);
  }
}
