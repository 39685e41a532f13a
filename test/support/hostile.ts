// Whoever floods a server: random bytes, mutations and replays of real datagrams, and, sealed as the server expects it,
// messages and fragments that no client makes.

import { readFileSync } from 'node:fs';
import { utf8 } from '#core/base/bytes.ts';
import { SILENT_LOGGER } from '#core/base/ports.ts';
import type { Prng } from '#core/base/prng.ts';
import { Client } from '#core/client/client.ts';
import { nodeClock } from '#core/node/clock.ts';
import { nodeCrypto, nodeEntropy } from '#core/node/crypto.ts';
import { createEndpoint } from '#core/transport/endpoint.ts';
import type { DatagramSocket } from '#core/transport/interface.ts';
import { openUdpSocket, type UdpSocket } from '#core/transport/udp.ts';
import { encodeRequest } from '#core/wire/client-codec.ts';
import {
  decodeHeader,
  encodeAckFrame,
  encodeFragmentFrame,
  encodeHeader,
  encodeMessageFrame,
  type KeyClass,
  nonceOf,
} from '#core/wire/frame.ts';
import { encodeHello, NO_CLUSTER_ID, openHello } from '#core/wire/hello.ts';
import { clientKeyRing, helloKey, parseKeyFile, trafficKey } from '#core/wire/keys.ts';
import { type Aead, seal } from '#core/wire/seal.ts';
import { mutated, request } from './arbitrary.ts';
import { eventually, type TestServer } from './processes.ts';

/** What a sender knows who has the key, if there is one, and has said hello. */
interface Knowledge {
  readonly keyClass: KeyClass;
  readonly classKey: Uint8Array | null;
  readonly helloAead: Aead | null;
  readonly serverBoot: Uint8Array;
  readonly clusterId: Uint8Array;
}

/** A client's endpoint whose datagrams are all kept. */
class Tap implements DatagramSocket {
  readonly sent: Uint8Array[] = [];
  readonly received: Uint8Array[] = [];
  readonly #socket: UdpSocket;

  constructor(socket: UdpSocket) {
    this.#socket = socket;
  }

  get address(): string {
    return this.#socket.address;
  }

  send(datagram: Uint8Array, to: string): void {
    this.sent.push(datagram.slice());
    this.#socket.send(datagram, to);
  }

  onDatagram(handler: (datagram: Uint8Array, from: string) => void): void {
    this.#socket.onDatagram((datagram, from) => {
      this.received.push(datagram.slice());
      handler(datagram, from);
    });
  }

  close(): Promise<void> {
    return this.#socket.close();
  }
}

export interface Captured {
  readonly datagrams: readonly Uint8Array[];
  readonly knowledge: Knowledge;
}

/** Works a little with the server as a client does, and keeps every datagram of it. */
export async function capture(server: TestServer): Promise<Captured> {
  const keyFile = server.environment.BRAMBLE_KEY_FILE;
  const key = keyFile === undefined ? null : parseKeyFile(readFileSync(keyFile, 'utf8'));
  if (typeof key === 'string') throw new Error(key);
  const keys = key === null ? null : clientKeyRing(nodeCrypto, key);
  const tap = new Tap(await openUdpSocket({ host: '127.0.0.1', port: 0 }));
  const common = { clock: nodeClock, entropy: nodeEntropy, logger: SILENT_LOGGER };
  const endpoint = createEndpoint({ ...common, socket: tap, crypto: nodeCrypto, keys, role: 'client' });
  const client = new Client({ ...common, endpoint, servers: [server.address] });
  await client.logs.create('captured');
  await client.append('captured', 'x'.repeat(10_000));
  await client.kv.put('captured', 'y');
  const lock = await client.lock('captured');
  await client.read('captured');
  await lock.release();
  await client.close();

  const classKey = keys?.classKeys.get('client')?.[0] ?? null;
  const helloAead = classKey === null ? null : nodeCrypto.aead(helloKey(nodeCrypto, classKey));
  for (const datagram of tap.received) {
    const header = decodeHeader(datagram);
    if (typeof header === 'string' || header.kind !== 'hello-reply') continue;
    const body = openHello(datagram, helloAead);
    if (body === null) continue;
    const { keyClass } = header;
    const knowledge = {
      keyClass,
      classKey,
      helloAead,
      serverBoot: header.boot.slice(),
      clusterId: body.clusterId,
    };
    return { datagrams: [...tap.sent, ...tap.received], knowledge };
  }
  throw new Error('no hello was answered');
}

/** One forged boot: its key and the counter of its datagrams. */
class Sender {
  readonly #knowledge: Knowledge;
  readonly #boot: Uint8Array;
  readonly #aead: Aead | null;
  #counter = 0;

  constructor(knowledge: Knowledge, prng: Prng) {
    const { classKey, clusterId, serverBoot } = knowledge;
    this.#knowledge = knowledge;
    this.#boot = prng.bytes(16);
    this.#aead =
      classKey === null
        ? null
        : nodeCrypto.aead(
            trafficKey({
              ...{ crypto: nodeCrypto, classKey, keyClass: 'client', clusterId },
              ...{ sender: this.#boot, receiver: serverBoot },
            }),
          );
  }

  seal(plaintext: Uint8Array): Uint8Array {
    const { keyClass, serverBoot } = this.#knowledge;
    this.#counter += 1;
    const header = encodeHeader({
      ...{ kind: 'data', keyClass, boot: this.#boot, counter: this.#counter },
      hint: serverBoot.subarray(0, 4),
    });
    return seal({ aead: this.#aead, header, nonce: nonceOf(header), plaintext });
  }
}

/** Forged boots in use at a time; each is followed by a new one after a while. */
const SENDERS = 16;
const DATAGRAMS_PER_SENDER = 2_000;

export class Hostile {
  readonly #captured: Captured;
  readonly #prng: Prng;
  #senders: { sender: Sender; left: number }[] = [];
  #messageId = 1;

  constructor(captured: Captured, prng: Prng) {
    this.#captured = captured;
    this.#prng = prng;
  }

  #sender(): Sender {
    const at = this.#prng.between(0, SENDERS);
    let entry = this.#senders[at];
    if (entry === undefined || entry.left === 0) {
      const left = this.#prng.between(1, 2 * DATAGRAMS_PER_SENDER);
      entry = { sender: new Sender(this.#captured.knowledge, this.#prng), left };
      this.#senders[at] = entry;
    }
    entry.left -= 1;
    return entry.sender;
  }

  next(): Uint8Array {
    const prng = this.#prng;
    const { datagrams } = this.#captured;
    switch (prng.between(0, 14)) {
      case 0:
        return prng.bytes(prng.chance(0.01) ? prng.between(1_000, 20_000) : prng.between(0, 200));
      case 1:
        return this.#nearlyHeaded();
      case 2:
      case 3:
        return mutated(prng, prng.pick(datagrams));
      case 4:
        return prng.pick(datagrams);
      case 5:
        return this.#hello();
      case 6:
        return this.#sender().seal(prng.bytes(prng.between(1, 100)));
      case 7:
        return this.#sender().seal(encodeMessageFrame(prng.bytes(prng.between(1, 100))));
      case 8:
      case 9:
        return this.#sender().seal(encodeMessageFrame(mutated(prng, this.#request())));
      case 10:
        return this.#sender().seal(encodeMessageFrame(this.#request()));
      case 11:
        return this.#neverComplete();
      case 12:
        return this.#impossibleFragment();
      default:
        return this.#uselessAck();
    }
  }

  /** A true beginning with anything behind it. */
  #nearlyHeaded(): Uint8Array {
    const prng = this.#prng;
    const bytes = prng.bytes(prng.between(4, 100));
    bytes.set([0xb7, 0x4c, prng.chance(0.9) ? 1 : prng.between(0, 256)]);
    if (prng.chance(0.5)) bytes[3] = prng.between(0, 3) * 16 + prng.pick([1, 2, 3, 15]);
    return bytes;
  }

  #hello(): Uint8Array {
    const prng = this.#prng;
    const { keyClass, helloAead } = this.#captured.knowledge;
    const hello = encodeHello({
      ...{ kind: 'hello-request', keyClass, aead: helloAead, boot: prng.bytes(16), nonce: prng.bytes(12) },
      body: { challenge: prng.bytes(16), clusterId: NO_CLUSTER_ID },
    });
    return prng.chance(0.2) ? mutated(prng, hello) : hello;
  }

  /** Well formed, of a session that nobody has. */
  #request(): Uint8Array {
    const made = request(this.#prng);
    return encodeRequest({ ...made, session: 2 ** 40 + this.#prng.u32() });
  }

  /** The first fragments of large messages whose rest never comes. */
  #neverComplete(): Uint8Array {
    const prng = this.#prng;
    const count = prng.between(2, 900);
    const size = count * 1_200;
    this.#messageId += 1;
    const index = prng.between(0, count);
    return this.#sender().seal(
      encodeFragmentFrame({ id: this.#messageId, index, count, size, part: prng.bytes(1_200) }),
    );
  }

  #impossibleFragment(): Uint8Array {
    const prng = this.#prng;
    const huge = () => prng.pick([0, 1, 2, 255, 2 ** 20, 2 ** 31, 2 ** 32, 2 ** 53 - 1]);
    const part = utf8('x'.repeat(prng.between(0, 300)));
    return this.#sender().seal(
      encodeFragmentFrame({ id: huge(), index: huge(), count: huge(), size: huge(), part }),
    );
  }

  #uselessAck(): Uint8Array {
    const prng = this.#prng;
    const bitmap = prng.bytes(prng.between(0, 33));
    return this.#sender().seal(encodeAckFrame({ id: prng.between(0, 1_000), base: prng.u32(), bitmap }));
  }
}

/** A socket that pours what it is given onto the server, no faster than the server takes it. */
export class Hose {
  readonly #socket: UdpSocket;
  readonly #to: string;
  sent = 0;

  private constructor(socket: UdpSocket, to: string) {
    this.#socket = socket;
    this.#to = to;
    // What the server answers to a forger is of no interest.
    socket.onDatagram(() => {});
  }

  static async open(to: string): Promise<Hose> {
    return new Hose(await openUdpSocket({ host: '127.0.0.1', port: 0 }), to);
  }

  /** `received` tells how many datagrams the server has taken so far. */
  async pour(hostile: Hostile, count: number, received: () => Promise<number>): Promise<void> {
    const start = await received();
    for (let sent = 0; sent < count; ) {
      const batch = Math.min(1_024, count - sent);
      for (let one = 0; one < batch; one++) this.#socket.send(hostile.next(), this.#to);
      sent += batch;
      this.sent += batch;
      // The kernel drops what a full buffer does not take, and that would be no test of the server.
      const wanted = start + sent;
      await eventually(async () => (await received()) >= wanted, `the server takes ${wanted} datagrams`);
    }
  }

  close(): Promise<void> {
    return this.#socket.close();
  }
}
