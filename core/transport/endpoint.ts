/**
 * Messages between authenticated boots, over datagrams: the one implementation of Endpoint.
 *
 * A datagram's way in: measured, its header read, its class and the receiver's hint compared, its key found (or derived,
 * at a limited rate, for a boot not seen before), its counter and seal checked, its frames decoded; each step may refuse
 * it, by a reason that is counted. Nothing is kept of a sender before a datagram of it was opened.
 *
 * Invariants: a server accepts the three sealed classes, a client its own, an insecure endpoint only 'insecure'; a client
 * accepts datagrams only from boots that answered its hello; only a server answers hellos, and keeps nothing of them.
 *
 * What is not defended: an endpoint that forgets a boot (after CLIENT_BOOTS_MAX newer ones, all with valid keys) forgets
 * its replay window too. A replay then repeats a request, and the session table answers it as a repetition.
 */

import { assert } from '../base/assert.ts';
import { equalBytes, hex } from '../base/bytes.ts';
import {
  DATAGRAM_BYTES_ACCEPTED,
  DATAGRAM_BYTES_LOOPBACK,
  DATAGRAM_BYTES_MAX,
  DATAGRAM_BYTES_MIN,
  DERIVATIONS_PER_SECOND_MAX,
  MESSAGE_BYTES_MAX,
  SEND_QUEUE_BYTES_TOTAL,
} from '../base/limits.ts';
import type { Clock, Entropy, Logger } from '../base/ports.ts';
import { BOOT_BYTES, decodeFrames, decodeHeader, type Header, HINT_BYTES } from '../wire/frame.ts';
import { encodeHello, NO_CLUSTER_ID, openHello } from '../wire/hello.ts';
import { CLUSTER_ID_BYTES, helloKey, type KeyRing, type SealedClass, trafficKey } from '../wire/keys.ts';
import { type Aead, type Crypto, NONCE_BYTES } from '../wire/seal.ts';
import { Channel, type ChannelHost, type ChannelKeys } from './channel.ts';
import { Channels } from './channels.ts';
import { countDropped, countRefused, type Refusal, zeroCounters } from './counters.ts';
import { Destinations } from './destinations.ts';
import type { Address, DatagramSocket, Endpoint, EndpointCounters, KeyClass, Remote } from './interface.ts';
import { Budget } from './reassembly.ts';
import { FairBuckets } from './token-bucket.ts';

export interface EndpointOptions {
  readonly socket: DatagramSocket;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly crypto: Crypto;
  readonly logger: Logger;
  /** Null: insecure. */
  readonly keys: KeyRing | null;
  readonly role: 'server' | 'client';
  /**
   * A server's, CLUSTER_ID_BYTES long; null for one that belongs to no cluster yet. A client learns it by hello, and so does
   * such a server: it talks to servers of whatever cluster, and they answer it.
   */
  readonly clusterId?: Uint8Array | null;
  /** Largest datagram that is sent: DATAGRAM_BYTES_MAX unless told otherwise, up to DATAGRAM_BYTES_LOOPBACK on loopback. */
  readonly datagramBytesMax?: number;
  /** How many boots are remembered; for tests. */
  readonly bootsMax?: { readonly peers?: number; readonly others?: number };
}

export function createEndpoint(options: EndpointOptions): Endpoint {
  return new DatagramEndpoint(options);
}

class DatagramEndpoint implements Endpoint {
  readonly boot: string;
  readonly counters: EndpointCounters = zeroCounters();
  readonly #options: EndpointOptions;
  readonly #boot: Uint8Array;
  /** Zeros for whoever belongs to no cluster. */
  readonly #clusterId: Uint8Array;
  readonly #sends: KeyClass;
  readonly #host: ChannelHost;
  readonly #channels: Channels;
  readonly #destinations: Destinations;
  readonly #derivations: FairBuckets;
  readonly #hellos: FairBuckets;
  /** One for each key of each class. */
  readonly #helloSeals = new Map<KeyClass, readonly (Aead | null)[]>();
  #nextMessageId = 1;
  #handler: ((from: Remote, message: Uint8Array) => void) | null = null;
  #closed = false;
  #complained = false;

  constructor(options: EndpointOptions) {
    const { socket, clock, entropy, crypto, keys, role } = options;
    const datagramBytesMax = options.datagramBytesMax ?? DATAGRAM_BYTES_MAX;
    assert(
      datagramBytesMax >= DATAGRAM_BYTES_MIN && datagramBytesMax <= DATAGRAM_BYTES_LOOPBACK,
      `datagrams of at most ${datagramBytesMax} bytes`,
    );
    const { clusterId } = options;
    assert(
      role === 'client' || clusterId === null || clusterId?.length === CLUSTER_ID_BYTES,
      'a server needs its cluster id',
    );
    this.#options = options;
    this.#clusterId = clusterId ?? NO_CLUSTER_ID;
    this.#boot = entropy.bytes(BOOT_BYTES);
    this.boot = hex(this.#boot);
    this.#sends = keys?.sends ?? 'insecure';
    if (keys === null) this.#helloSeals.set('insecure', [null]);
    for (const [keyClass, classKeys] of keys?.classKeys ?? []) {
      this.#helloSeals.set(
        keyClass,
        classKeys.map((key) => crypto.aead(helloKey(crypto, key))),
      );
    }
    const sendBudget = new Budget(SEND_QUEUE_BYTES_TOTAL);
    this.#channels = new Channels(options.bootsMax);
    const salt = Math.floor(entropy.fraction() * 0x1_0000_0000);
    const rate = { perSecond: DERIVATIONS_PER_SECOND_MAX, nowMs: clock.now(), salt };
    this.#derivations = new FairBuckets(rate);
    this.#hellos = new FairBuckets(rate);
    this.#host = {
      boot: this.#boot,
      clock,
      counters: this.counters,
      datagramBytesMax,
      sendBudget,
      transmit: (datagram, to) => this.#transmit(datagram, to),
      deliver: (from, message) => this.#handler?.(from, message),
      nextMessageId: () => this.#nextMessageId++,
    };
    this.#destinations = new Destinations({
      clock,
      entropy,
      counters: this.counters,
      sendBudget,
      sendHello: (challenge, to) => this.#sendHello(challenge, to),
    });
    socket.onDatagram((datagram, from) => this.#receive(datagram, from));
  }

  /** Whether this is a server of a cluster, which answers to servers of no other. */
  get #belongs(): boolean {
    return this.#options.role === 'server' && this.#options.clusterId !== null;
  }

  get address(): Address {
    return this.#options.socket.address;
  }

  onMessage(handler: (from: Remote, message: Uint8Array) => void): void {
    this.#handler = handler;
  }

  // --- sending -------------------------------------------------------------------------------------------------------

  send(to: Address, message: Uint8Array, onDelivered?: () => void): boolean {
    if (!this.#sendable(message)) return false;
    const sent = this.#destinations.send({ message, to, onDelivered: onDelivered ?? null }, to);
    if (sent) this.counters.messagesSent++;
    return sent;
  }

  reply(to: Remote, message: Uint8Array): boolean {
    if (!this.#sendable(message)) return false;
    const channel = this.#channels.get(to.keyClass, to.boot);
    if (channel === null) {
      countDropped(this.counters, 'remote-forgotten');
      return false;
    }
    if (!channel.send({ message, to: null, onDelivered: null })) {
      countDropped(this.counters, 'send-queue-full');
      return false;
    }
    this.counters.messagesSent++;
    return true;
  }

  #sendable(message: Uint8Array): boolean {
    const problem = this.#closed
      ? 'closed'
      : message.length === 0
        ? 'empty'
        : message.length > MESSAGE_BYTES_MAX
          ? 'too-large'
          : null;
    if (problem !== null) countDropped(this.counters, problem);
    return problem === null;
  }

  suspect(to: Address): void {
    if (!this.#closed) this.#destinations.suspect(to);
  }

  #transmit(datagram: Uint8Array, to: Address): void {
    if (this.#closed) return;
    this.counters.datagramsSent++;
    this.counters.bytesSent += datagram.length;
    this.#options.socket.send(datagram, to);
  }

  #sendHello(challenge: Uint8Array, to: Address): void {
    const { entropy } = this.#options;
    // Under every key that this end holds: during a rotation the other one may know only one of them.
    for (const aead of this.#helloSeals.get(this.#sends) ?? []) {
      const hello = encodeHello({
        kind: 'hello-request',
        keyClass: this.#sends,
        aead,
        boot: this.#boot,
        nonce: entropy.bytes(NONCE_BYTES),
        body: { challenge, clusterId: NO_CLUSTER_ID },
      });
      this.#transmit(hello, to);
    }
  }

  // --- receiving -----------------------------------------------------------------------------------------------------

  #receive(datagram: Uint8Array, from: Address): void {
    if (this.#closed) return;
    this.counters.datagramsReceived++;
    this.counters.bytesReceived += datagram.length;
    const refusal = this.#accept(datagram, from);
    if (refusal !== null) countRefused(this.counters, refusal);
  }

  #accept(datagram: Uint8Array, from: Address): Refusal | null {
    if (datagram.length > DATAGRAM_BYTES_ACCEPTED) return 'large';
    const header = decodeHeader(datagram);
    if (typeof header === 'string') return header;
    if (!this.#helloSeals.has(header.keyClass)) return 'class';
    if (header.kind === 'hello-request') return this.#answerHello(header, datagram, from);
    if (header.kind === 'hello-reply') return this.#learnBoot(header, datagram);
    if (!equalBytes(header.hint, this.#boot.subarray(0, HINT_BYTES))) return 'wrong-boot';
    return this.#acceptData(header, datagram, from);
  }

  #acceptData(header: Header, datagram: Uint8Array, from: Address): Refusal | null {
    const boot = hex(header.boot);
    const known = this.#channels.get(header.keyClass, boot);
    if (known === null && this.#options.role === 'client') return 'unknown-boot';
    if (known === null && !this.#derivations.take(from, this.#options.clock.now())) return 'rate';
    const channel = known ?? this.#newChannel(header, from, this.#clusterId);
    const plaintext = channel.open(header, datagram, from);
    if (typeof plaintext === 'string') return plaintext;
    if (known === null) this.#channels.add(channel);
    else this.#channels.touch(channel);
    const frames = decodeFrames(plaintext);
    if (!frames.ok) return 'frame';
    channel.receive(frames.value);
    return null;
  }

  #newChannel(header: Header, address: Address, clusterId: Uint8Array, firstKey = 0): Channel {
    const { keyClass } = header;
    const bootBytes = header.boot.slice();
    return new Channel({
      host: this.#host,
      keys: this.#channelKeys({ keyClass, boot: bootBytes, clusterId, firstKey }),
      keyClass,
      boot: hex(bootBytes),
      bootBytes,
      address,
      counter: this.#channels.counterFloor,
      reassemblyBudget: this.#channels.budget(keyClass),
    });
  }

  #channelKeys(options: {
    keyClass: KeyClass;
    boot: Uint8Array;
    clusterId: Uint8Array;
    firstKey: number;
  }): ChannelKeys {
    const { crypto, keys } = this.#options;
    const { keyClass, boot, clusterId, firstKey } = options;
    if (keys === null || keyClass === 'insecure') return { sealers: [() => null], openers: [() => null] };
    const classKeys = keys.classKeys.get(keyClass as SealedClass) ?? [];
    const derive = (which: number, way: { sender: Uint8Array; receiver: Uint8Array }) =>
      once(() => {
        const classKey = classKeys[which] as Uint8Array;
        return crypto.aead(trafficKey({ crypto, classKey, keyClass, clusterId, ...way }));
      });
    const order = classKeys.map((_, index) => (firstKey + index) % classKeys.length);
    const inward = { sender: boot, receiver: this.#boot };
    const outward = { sender: this.#boot, receiver: boot };
    const openers = order.map((which) => derive(which, inward));
    const sealers = order.map((which) => derive(which, outward));
    return { sealers, openers };
  }

  // --- hello ---------------------------------------------------------------------------------------------------------

  #answerHello(header: Header, datagram: Uint8Array, from: Address): Refusal | null {
    const { role, clock, entropy } = this.#options;
    if (role !== 'server') return 'handshake';
    if (!this.#hellos.take(from, clock.now())) return 'rate';
    for (const aead of this.#helloSeals.get(header.keyClass) ?? []) {
      const body = openHello(datagram, aead);
      if (body === null) continue;
      const reply = encodeHello({
        kind: 'hello-reply',
        keyClass: header.keyClass,
        aead,
        boot: this.#boot,
        nonce: entropy.bytes(NONCE_BYTES),
        body: { challenge: body.challenge, clusterId: this.#clusterId },
      });
      assert(
        reply.length <= datagram.length,
        `a reply of ${reply.length} bytes to a hello of ${datagram.length}`,
      );
      this.#transmit(reply, from);
      return null;
    }
    return 'seal';
  }

  #learnBoot(header: Header, datagram: Uint8Array): Refusal | null {
    const { logger } = this.#options;
    if (header.keyClass !== this.#sends) return 'class';
    const seals = this.#helloSeals.get(header.keyClass) ?? [];
    for (let which = 0; which < seals.length; which++) {
      const body = openHello(datagram, seals[which] as Aead | null);
      if (body === null) continue;
      const address = this.#destinations.asked(body.challenge);
      if (address === null) return 'handshake-stale';
      if (this.#belongs && !equalBytes(body.clusterId, this.#clusterId)) {
        // One that has not joined yet will; anything else is worth a word, once.
        if (!this.#complained && !equalBytes(body.clusterId, NO_CLUSTER_ID)) {
          this.#complained = true;
          logger.log('warn', 'a server of another cluster answered; it is not spoken to', {
            address,
            clusterId: hex(body.clusterId),
          });
        }
        return 'wrong-cluster';
      }
      const known = this.#channels.get(header.keyClass, hex(header.boot));
      const channel = known ?? this.#newChannel(header, address, body.clusterId, which);
      if (known === null) this.#channels.add(channel);
      this.#destinations.answered(address, channel);
      return null;
    }
    return 'seal';
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#destinations.close();
    this.#channels.close();
    this.#closed = true;
    await this.#options.socket.close();
  }
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
