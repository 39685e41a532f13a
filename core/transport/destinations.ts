/**
 * The addresses that an endpoint speaks to by itself: which boot is behind each, and the hellos that find out.
 *
 *   unknown ──send──▶ asking ──reply──▶ known ──suspect──▶ known, asking ──reply──▶ known (perhaps another boot)
 *
 * While asking for an unknown boot, messages wait in a bounded queue and not longer than HELLO_GIVE_UP_MS. A suspected boot
 * is still sent to: perhaps only an answer was lost. Hellos to one address are never closer than HELLO_PAUSE_MIN_MS.
 *
 * Invariants: at most one challenge a destination is outstanding, and none while nothing is asked; no timer is left when
 * there is nothing to ask; a destination in use is never forgotten for a new one.
 */

import { hex } from '../base/bytes.ts';
import {
  DESTINATIONS_MAX,
  HELLO_GIVE_UP_MS,
  HELLO_PAUSE_MIN_MS,
  HELLO_RESEND_MAX_MS,
  HELLO_RESEND_START_MS,
  SEND_QUEUE_BYTES_PER_REMOTE,
  SEND_QUEUE_MESSAGES_PER_REMOTE,
} from '../base/limits.ts';
import type { Clock, Entropy, Timer } from '../base/ports.ts';
import { CHALLENGE_BYTES } from '../wire/hello.ts';
import type { Channel } from './channel.ts';
import { countDropped } from './counters.ts';
import type { Outgoing } from './fragment-sender.ts';
import type { Address, EndpointCounters } from './interface.ts';
import type { Budget } from './reassembly.ts';

interface Destination {
  readonly address: Address;
  channel: Channel | null;
  challenge: Uint8Array | null;
  hellos: number;
  lastHelloAt: number;
  /** Until when a known boot is asked for. */
  suspectedUntil: number;
  timer: Timer | null;
  readonly queue: { readonly outgoing: Outgoing; readonly queuedAt: number }[];
  queuedBytes: number;
}

export interface DestinationsHost {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly counters: EndpointCounters;
  readonly sendBudget: Budget;
  sendHello(challenge: Uint8Array, to: Address): void;
}

export class Destinations {
  readonly #host: DestinationsHost;
  /** In the order of their last use. */
  readonly #byAddress = new Map<Address, Destination>();
  readonly #byChallenge = new Map<string, Destination>();

  constructor(host: DestinationsHost) {
    this.#host = host;
  }

  send(outgoing: Outgoing, to: Address): boolean {
    const destination = this.#use(to);
    if (destination === null) {
      countDropped(this.#host.counters, 'too-many-destinations');
      return false;
    }
    const { channel } = destination;
    if (channel !== null && !channel.closed) {
      if (channel.send(outgoing)) return true;
      countDropped(this.#host.counters, 'send-queue-full');
      return false;
    }
    if (!this.#enqueue(destination, outgoing)) {
      countDropped(this.#host.counters, 'send-queue-full');
      return false;
    }
    if (destination.challenge === null) this.#ask(destination);
    return true;
  }

  #use(address: Address): Destination | null {
    const known = this.#byAddress.get(address);
    if (known !== undefined) {
      this.#byAddress.delete(address);
      this.#byAddress.set(address, known);
      return known;
    }
    if (this.#byAddress.size >= DESTINATIONS_MAX && !this.#forgetOne()) return null;
    const destination: Destination = {
      address,
      channel: null,
      challenge: null,
      hellos: 0,
      lastHelloAt: Number.NEGATIVE_INFINITY,
      suspectedUntil: Number.NEGATIVE_INFINITY,
      timer: null,
      queue: [],
      queuedBytes: 0,
    };
    this.#byAddress.set(address, destination);
    return destination;
  }

  #forgetOne(): boolean {
    for (const [address, destination] of this.#byAddress) {
      if (destination.queue.length > 0 || destination.challenge !== null) continue;
      this.#byAddress.delete(address);
      return true;
    }
    return false;
  }

  #enqueue(destination: Destination, outgoing: Outgoing): boolean {
    const size = outgoing.message.length;
    if (destination.queue.length >= SEND_QUEUE_MESSAGES_PER_REMOTE) return false;
    if (destination.queuedBytes + size > SEND_QUEUE_BYTES_PER_REMOTE) return false;
    if (!this.#host.sendBudget.take(size)) return false;
    destination.queuedBytes += size;
    destination.queue.push({ outgoing, queuedAt: this.#host.clock.now() });
    return true;
  }

  #dequeue(destination: Destination): Outgoing | null {
    const first = destination.queue.shift();
    if (first === undefined) return null;
    const size = first.outgoing.message.length;
    destination.queuedBytes -= size;
    this.#host.sendBudget.give(size);
    return first.outgoing;
  }

  suspect(to: Address): void {
    const destination = this.#byAddress.get(to);
    // Of an address that nothing was sent to, nothing is believed that could be wrong.
    if (destination === undefined) return;
    if (destination.channel === null && destination.queue.length === 0) return;
    destination.suspectedUntil = this.#host.clock.now() + HELLO_GIVE_UP_MS;
    this.#ask(destination);
  }

  /** Says hello now, or as soon as the pause allows, and goes on until there is a reply or no need. */
  #ask(destination: Destination): void {
    const { clock, entropy } = this.#host;
    if (destination.challenge === null) {
      destination.challenge = entropy.bytes(CHALLENGE_BYTES);
      this.#byChallenge.set(hex(destination.challenge), destination);
    }
    destination.hellos = 0;
    const waitMs = destination.lastHelloAt + HELLO_PAUSE_MIN_MS - clock.now();
    if (waitMs > 0) this.#again(destination, waitMs);
    else this.#hello(destination);
  }

  #again(destination: Destination, delayMs: number): void {
    destination.timer?.cancel();
    destination.timer = this.#host.clock.after(delayMs, () => {
      destination.timer = null;
      this.#dropOld(destination);
      const suspected = this.#host.clock.now() < destination.suspectedUntil;
      if (destination.queue.length > 0 || suspected) this.#hello(destination);
      else this.#settle(destination);
    });
  }

  #hello(destination: Destination): void {
    const { clock, entropy } = this.#host;
    destination.lastHelloAt = clock.now();
    this.#host.sendHello(destination.challenge as Uint8Array, destination.address);
    const backoffMs = Math.min(
      HELLO_RESEND_MAX_MS,
      HELLO_RESEND_START_MS * 2 ** Math.min(destination.hellos, 16),
    );
    destination.hellos++;
    // Jitter upwards, so that many clients of one restarted server do not stay in step.
    this.#again(destination, backoffMs * (1 + entropy.fraction() / 4));
  }

  #dropOld(destination: Destination): void {
    const before = this.#host.clock.now() - HELLO_GIVE_UP_MS;
    for (;;) {
      const first = destination.queue[0];
      if (first === undefined || first.queuedAt > before) return;
      this.#dequeue(destination);
      countDropped(this.#host.counters, 'unreachable');
    }
  }

  /** Nothing more is asked. */
  #settle(destination: Destination): void {
    destination.timer?.cancel();
    destination.timer = null;
    if (destination.challenge !== null) this.#byChallenge.delete(hex(destination.challenge));
    destination.challenge = null;
    destination.suspectedUntil = Number.NEGATIVE_INFINITY;
  }

  /** The address that a challenge was sent to; null if it is not outstanding. */
  asked(challenge: Uint8Array): Address | null {
    return this.#byChallenge.get(hex(challenge))?.address ?? null;
  }

  /** An authentic reply said which boot is behind an address that was asked. */
  answered(address: Address, channel: Channel): void {
    const destination = this.#byAddress.get(address);
    if (destination === undefined) return;
    this.#settle(destination);
    const before = destination.channel;
    destination.channel = channel;
    // What the boot before had not acknowledged goes to the new one from its beginning.
    const undelivered =
      before === null || before === channel || before.closed ? [] : before.takeBack(address);
    for (const outgoing of undelivered) this.#pass(channel, outgoing);
    for (;;) {
      const outgoing = this.#dequeue(destination);
      if (outgoing === null) return;
      this.#pass(channel, outgoing);
    }
  }

  #pass(channel: Channel, outgoing: Outgoing): void {
    if (!channel.closed && channel.send(outgoing)) return;
    countDropped(this.#host.counters, 'send-queue-full');
  }

  close(): void {
    for (const destination of this.#byAddress.values()) {
      this.#settle(destination);
      while (this.#dequeue(destination) !== null) countDropped(this.#host.counters, 'closed');
    }
    this.#byAddress.clear();
  }
}
