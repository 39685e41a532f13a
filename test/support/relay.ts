// A small UDP relay between clients and one server: drops, doubles, holds back and delays by a seed, and does so on demand to
// single datagrams. Each client has an upstream socket of its own, as behind a router that translates addresses.

import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { Prng } from '#core/base/prng.ts';
import type { Teardown } from './processes.ts';

export type Direction = 'up' | 'down';

export interface Weather {
  /** Shares of datagrams, each way. */
  readonly loss: number;
  readonly duplicate: number;
  /** A delayed datagram comes up to so much later, and so is overtaken. */
  readonly delayed: number;
  readonly delayMs: number;
}

export const FAIR: Weather = { loss: 0, duplicate: 0, delayed: 0, delayMs: 0 };

interface Passing {
  readonly direction: Direction;
  readonly datagram: Buffer;
  deliver(): void;
}

export class Relay {
  readonly address: string;
  weather: Weather = FAIR;
  readonly passed = { up: 0, down: 0 };
  readonly dropped = { up: 0, down: 0 };
  readonly #outside: Socket;
  readonly #server: { readonly host: string; readonly port: number };
  readonly #prng: Prng;
  readonly #upstream = new Map<string, Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #tap: ((passing: Passing) => 'pass' | 'drop') | null = null;
  #closed = false;

  private constructor(outside: Socket, server: string, seed: number) {
    const colon = server.lastIndexOf(':');
    this.#server = { host: server.slice(0, colon), port: Number(server.slice(colon + 1)) };
    this.#outside = outside;
    this.address = `127.0.0.1:${outside.address().port}`;
    this.#prng = new Prng(seed);
    outside.on('message', (datagram, from) => {
      const key = `${from.address}:${from.port}`;
      const socket = this.#upstreamOf(key, from);
      this.#pass({ direction: 'up', datagram, deliver: () => this.#send(socket, datagram, this.#server) });
    });
    outside.on('error', () => {});
  }

  static async open(t: Teardown, server: string, seed = 1): Promise<Relay> {
    const outside = createSocket('udp4');
    outside.bind(0, '127.0.0.1');
    await once(outside, 'listening');
    outside.setRecvBufferSize(4_194_304);
    const relay = new Relay(outside, server, seed);
    t.teardown(() => relay.close());
    return relay;
  }

  #upstreamOf(key: string, client: { readonly address: string; readonly port: number }): Socket {
    const known = this.#upstream.get(key);
    if (known !== undefined) return known;
    const socket = createSocket('udp4');
    this.#upstream.set(key, socket);
    socket.on('error', () => {});
    socket.on('message', (datagram) => {
      const back = { host: client.address, port: client.port };
      this.#pass({ direction: 'down', datagram, deliver: () => this.#send(this.#outside, datagram, back) });
    });
    return socket;
  }

  #send(socket: Socket, datagram: Buffer, to: { readonly host: string; readonly port: number }): void {
    if (this.#closed) return;
    try {
      socket.send(datagram, to.port, to.host, () => {});
    } catch {
      // A socket that was closed meanwhile: as lost as on a network.
    }
  }

  #pass(passing: Passing): void {
    if (this.#closed) return;
    if (this.#tap?.(passing) === 'drop') {
      this.dropped[passing.direction] += 1;
      return;
    }
    const { loss, duplicate, delayed, delayMs } = this.weather;
    if (this.#prng.chance(loss)) {
      this.dropped[passing.direction] += 1;
      return;
    }
    const copies = this.#prng.chance(duplicate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      this.passed[passing.direction] += 1;
      if (!this.#prng.chance(delayed)) passing.deliver();
      else this.#later(this.#prng.fraction() * delayMs, () => passing.deliver());
    }
  }

  #later(milliseconds: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, milliseconds);
    this.#timers.add(timer);
  }

  /** Looks at every datagram before the weather does, and says whether it passes. Null: no more. */
  tap(tap: ((passing: Passing) => 'pass' | 'drop') | null): void {
    this.#tap = tap;
  }

  /** Drops the next `count` datagrams of a direction; resolves when that is done. */
  dropNext(direction: Direction, count: number): Promise<void> {
    return new Promise((resolve) => {
      let left = count;
      this.tap((passing) => {
        if (passing.direction !== direction || left === 0) return 'pass';
        left -= 1;
        if (left === 0) resolve();
        return 'drop';
      });
    });
  }

  /** Everything of a direction is dropped until `tap(null)`. */
  cut(direction: Direction | 'both'): void {
    this.tap((passing) => (direction === 'both' || passing.direction === direction ? 'drop' : 'pass'));
  }

  /** Lets everything pass and keeps a copy of what matched, to be delivered (again) at will. */
  record(direction: Direction): (() => void)[] {
    const copies: (() => void)[] = [];
    this.tap((passing) => {
      if (passing.direction === direction) copies.push(() => passing.deliver());
      return 'pass';
    });
    return copies;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#outside.close();
    for (const socket of this.#upstream.values()) socket.close();
  }
}
