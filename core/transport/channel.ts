/**
 * Everything that an endpoint keeps of one remote boot: its keys and counters, what waits to be sent to it, and what is
 * half received from it.
 *
 * What is queued in one turn of the loop leaves at its end, so that small messages and acknowledgements for one address
 * share datagrams up to the MTU; they go ahead of fragments, which leave in bursts, spread over the round trip.
 *
 * Invariants: the counter of sent datagrams only grows, and starts where no earlier channel of this endpoint ever was; a
 * counter is marked as seen only after its datagram was opened; the remote's address follows its newest authentic
 * datagram; after `close` nothing is sent and no timer is left.
 */

import { assert } from '../base/assert.ts';
import { concatBytes } from '../base/bytes.ts';
import { FRAGMENT_BURST_MAX, REASSEMBLY_IDLE_MS, SEND_QUEUE_BYTES_PER_REMOTE } from '../base/limits.ts';
import type { Clock, Timer } from '../base/ports.ts';
import {
  encodeAckFrame,
  encodeFragmentFrame,
  encodeHeader,
  encodeMessageFrame,
  FRAGMENT_FRAME_OVERHEAD,
  type Frame,
  HEADER_BYTES,
  type Header,
  HINT_BYTES,
  MESSAGE_FRAME_OVERHEAD,
  nonceOf,
} from '../wire/frame.ts';
import { ReplayWindow } from '../wire/replay-window.ts';
import { type Aead, open, seal, sealBytes } from '../wire/seal.ts';
import { countDropped, countRefused } from './counters.ts';
import { FragmentSender, type Outgoing } from './fragment-sender.ts';
import type { Address, EndpointCounters, KeyClass, Remote } from './interface.ts';
import { type Budget, Reassembly } from './reassembly.ts';

/** What a channel needs of its endpoint. */
export interface ChannelHost {
  readonly boot: Uint8Array;
  readonly clock: Clock;
  readonly counters: EndpointCounters;
  readonly datagramBytesMax: number;
  /** What waits to be sent, over all remotes. */
  readonly sendBudget: Budget;
  transmit(datagram: Uint8Array, to: Address): void;
  deliver(from: Remote, message: Uint8Array): void;
  nextMessageId(): number;
}

/**
 * The traffic keys of one pair of boots, made when they are first needed: one for each key of the class, the likeliest
 * first. Null where there are none (insecure).
 */
export interface ChannelKeys {
  readonly sealers: readonly (() => Aead | null)[];
  readonly openers: readonly (() => Aead | null)[];
}

export class Channel {
  readonly remote: Remote;
  readonly bootBytes: Uint8Array;
  readonly #host: ChannelHost;
  readonly #keys: ChannelKeys;
  readonly #sealed: boolean;
  readonly #replay = new ReplayWindow();
  readonly #sender: FragmentSender;
  readonly #reassembly: Reassembly;
  readonly #acknowledge = new Set<number>();
  #counter: number;
  #address: Address;
  #small: { readonly frame: Uint8Array; readonly to: Address | null }[] = [];
  #queuedBytes = 0;
  /** The key that the remote used last, and that it is answered under. */
  #key = 0;
  #flushing = false;
  #closed = false;
  #paceTimer: Timer | null = null;
  #resendTimer: Timer | null = null;
  #idleTimer: Timer | null = null;

  constructor(options: {
    host: ChannelHost;
    keys: ChannelKeys;
    keyClass: KeyClass;
    boot: string;
    bootBytes: Uint8Array;
    address: Address;
    /** Counters above this one were never used by this endpoint towards this boot. */
    counter: number;
    reassemblyBudget: Budget;
  }) {
    const { host, keyClass, boot } = options;
    this.#host = host;
    this.#keys = options.keys;
    this.#sealed = keyClass !== 'insecure';
    this.#counter = options.counter;
    this.#address = options.address;
    this.bootBytes = options.bootBytes;
    const addressNow = () => this.#address;
    this.remote = {
      boot,
      keyClass,
      get address() {
        return addressNow();
      },
    };
    this.#reassembly = new Reassembly(options.reassemblyBudget);
    this.#sender = new FragmentSender({
      partBytesMax: this.#capacity - FRAGMENT_FRAME_OVERHEAD,
      nextId: () => host.nextMessageId(),
    });
  }

  get counter(): number {
    return this.#counter;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The bytes of frames that fit one datagram. */
  get #capacity(): number {
    return this.#host.datagramBytesMax - HEADER_BYTES - sealBytes(this.#sealed);
  }

  // --- receiving -----------------------------------------------------------------------------------------------------

  /** The plaintext of an authentic, new datagram; otherwise why not. */
  open(header: Header, datagram: Uint8Array, from: Address): Uint8Array | 'replay' | 'seal' {
    if (!this.#replay.fresh(header.counter)) return 'replay';
    const nonce = nonceOf(datagram);
    const { openers } = this.#keys;
    for (let tried = 0; tried < openers.length; tried++) {
      const which = (this.#key + tried) % openers.length;
      const aead = (openers[which] as () => Aead | null)();
      const plaintext = open({ aead, datagram, headerBytes: HEADER_BYTES, nonce });
      if (plaintext === null) continue;
      this.#key = which;
      if (header.counter > this.#replay.highest) this.#address = from;
      this.#replay.mark(header.counter);
      return plaintext;
    }
    return 'seal';
  }

  receive(frames: readonly Frame[]): void {
    for (const frame of frames) {
      // A handler of a message may close the endpoint.
      if (this.#closed) return;
      if (frame.type === 'message') this.#deliver(frame.message);
      else if (frame.type === 'fragment') this.#receiveFragment(frame);
      else this.#receiveAck(frame);
    }
  }

  #deliver(message: Uint8Array): void {
    this.#host.counters.messagesReceived++;
    this.#host.deliver(this.remote, message);
  }

  #receiveFragment(frame: Extract<Frame, { type: 'fragment' }>): void {
    const { counters, clock } = this.#host;
    const result = this.#reassembly.receive(frame, clock.now());
    if (result.type === 'refused') return countRefused(counters, 'fragment');
    // Not acknowledged, so it comes again, and by then there may be room.
    if (result.type === 'full') return countDropped(counters, 'reassembly-full');
    this.#acknowledge.add(frame.id);
    this.#flushSoon();
    this.#watchIdle();
    if (result.type === 'whole') this.#deliver(result.message);
  }

  #watchIdle(): void {
    if (this.#idleTimer !== null || this.#reassembly.count === 0) return;
    this.#idleTimer = this.#host.clock.after(REASSEMBLY_IDLE_MS, () => {
      this.#idleTimer = null;
      const dropped = this.#reassembly.expire(this.#host.clock.now());
      if (dropped > 0) countDropped(this.#host.counters, 'reassembly-idle', dropped);
      this.#watchIdle();
    });
  }

  #receiveAck(frame: Extract<Frame, { type: 'fragment-ack' }>): void {
    const delivered = this.#sender.acknowledge(frame, this.#host.clock.now());
    this.#flushSoon();
    for (const outgoing of delivered) {
      this.#dequeue(outgoing.message.length);
      outgoing.onDelivered?.();
    }
  }

  // --- sending -------------------------------------------------------------------------------------------------------

  /** False if the queue is full. */
  send(outgoing: Outgoing): boolean {
    assert(!this.#closed, 'cannot send through a closed channel');
    const { message, to, onDelivered } = outgoing;
    if (!this.#enqueue(message.length)) return false;
    if (message.length + MESSAGE_FRAME_OVERHEAD <= this.#capacity) {
      this.#small.push({ frame: encodeMessageFrame(message), to });
      onDelivered?.();
    } else {
      this.#sender.add(outgoing, this.#host.clock.now());
    }
    this.#flushSoon();
    return true;
  }

  #enqueue(size: number): boolean {
    if (this.#queuedBytes + size > SEND_QUEUE_BYTES_PER_REMOTE) return false;
    if (!this.#host.sendBudget.take(size)) return false;
    this.#queuedBytes += size;
    return true;
  }

  #dequeue(size: number): void {
    this.#queuedBytes -= size;
    this.#host.sendBudget.give(size);
  }

  /** Takes back the undelivered fragmented messages for `to`, to be sent to another boot there. */
  takeBack(to: Address): Outgoing[] {
    const taken = this.#sender.takeBack((outgoing) => outgoing.to === to, this.#host.clock.now());
    for (const outgoing of taken) this.#dequeue(outgoing.message.length);
    return taken;
  }

  #flushSoon(): void {
    if (this.#flushing || this.#closed) return;
    this.#flushing = true;
    this.#host.clock.soon(() => {
      this.#flushing = false;
      if (!this.#closed) this.#flush();
    });
  }

  #flush(): void {
    const small = this.#small;
    this.#small = [];
    for (const id of this.#acknowledge) {
      const ack = this.#reassembly.acknowledgement(id);
      if (ack !== null) small.push({ frame: encodeAckFrame(ack), to: null });
    }
    this.#acknowledge.clear();
    const packer = new Packer(this.#capacity, (frames, to) => this.#transmit(frames, to));
    for (const { frame, to } of small) packer.add(frame, to ?? this.#address);
    if (this.#paceTimer === null) this.#burst(packer);
    packer.finish();
    // What left the queue of small messages is now the socket's; fragmented ones count until they are delivered.
    this.#dequeue(this.#queuedBytes - this.#sender.queuedBytes);
    this.#watchResend();
  }

  #burst(packer: Packer): void {
    const { clock, counters } = this.#host;
    const nowMs = clock.now();
    const resentBefore = this.#sender.resent;
    let sent = 0;
    for (; sent < FRAGMENT_BURST_MAX; sent++) {
      const next = this.#sender.next(nowMs);
      if (next === null) break;
      packer.add(encodeFragmentFrame(next.fragment), next.to ?? this.#address);
    }
    counters.fragmentsResent += this.#sender.resent - resentBefore;
    if (sent < FRAGMENT_BURST_MAX) return;
    // The window spread over a round trip: the next burst's turn comes when its share of the trip has passed.
    const pauseMs = ((this.#sender.roundTripMs ?? 0) * FRAGMENT_BURST_MAX) / this.#sender.window;
    // No timer is finer than this.
    if (pauseMs < 1) return this.#flushSoon();
    this.#paceTimer = clock.after(pauseMs, () => {
      this.#paceTimer = null;
      this.#flush();
    });
  }

  #transmit(frames: readonly Uint8Array[], to: Address): void {
    const host = this.#host;
    const header = encodeHeader({
      kind: 'data',
      keyClass: this.remote.keyClass,
      boot: host.boot,
      counter: ++this.#counter,
      hint: this.bootBytes.subarray(0, HINT_BYTES),
    });
    const plaintext = frames.length === 1 ? (frames[0] as Uint8Array) : concatBytes(frames);
    const aead = (this.#keys.sealers[this.#key] as () => Aead | null)();
    const datagram = seal({ aead, header, nonce: nonceOf(header), plaintext });
    assert(datagram.length <= host.datagramBytesMax, `a datagram of ${datagram.length} bytes`);
    host.transmit(datagram, to);
  }

  #watchResend(): void {
    if (this.#resendTimer !== null) return;
    const { deadline } = this.#sender;
    if (deadline === null) return;
    const { clock, counters } = this.#host;
    this.#resendTimer = clock.after(Math.max(0, deadline - clock.now()), () => {
      this.#resendTimer = null;
      for (const outgoing of this.#sender.expire(clock.now())) {
        this.#dequeue(outgoing.message.length);
        countDropped(counters, 'unreachable');
      }
      this.#flush();
    });
  }

  /** Small messages that wait for the turn's end still leave; half-sent large ones are dropped. */
  close(): void {
    if (this.#closed) return;
    if (this.#small.length > 0) this.#flush();
    this.#closed = true;
    countDropped(this.#host.counters, 'closed', this.#sender.count);
    for (const timer of [this.#paceTimer, this.#resendTimer, this.#idleTimer]) timer?.cancel();
    this.#reassembly.clear();
    this.#dequeue(this.#queuedBytes);
  }
}

/** Packs frames for one address into as few datagrams as their order allows. */
class Packer {
  readonly #capacity: number;
  readonly #emit: (frames: readonly Uint8Array[], to: Address) => void;
  #frames: Uint8Array[] = [];
  #bytes = 0;
  #to: Address = '';

  constructor(capacity: number, emit: (frames: readonly Uint8Array[], to: Address) => void) {
    this.#capacity = capacity;
    this.#emit = emit;
  }

  add(frame: Uint8Array, to: Address): void {
    assert(frame.length <= this.#capacity, `a frame of ${frame.length} bytes where ${this.#capacity} fit`);
    if (to !== this.#to || this.#bytes + frame.length > this.#capacity) this.finish();
    this.#to = to;
    this.#frames.push(frame);
    this.#bytes += frame.length;
  }

  finish(): void {
    if (this.#frames.length === 0) return;
    const frames = this.#frames;
    this.#frames = [];
    this.#bytes = 0;
    this.#emit(frames, this.#to);
  }
}
