// A sender that has a key and means ill: authentic datagrams full of wrong, lying and random frames.

import test from 'ava';
import { concatBytes, unhex, utf8 } from '#core/base/bytes.ts';
import { MESSAGE_BYTES_MAX, REASSEMBLY_BYTES_PER_SENDER } from '#core/base/limits.ts';
import { Prng } from '#core/base/prng.ts';
import { nodeCrypto } from '#core/node/crypto.ts';
import {
  encodeAckFrame,
  encodeFragmentFrame,
  encodeHeader,
  encodeMessageFrame,
  nonceOf,
} from '#core/wire/frame.ts';
import { clientKeyRing, trafficKey } from '#core/wire/keys.ts';
import { seal } from '#core/wire/seal.ts';
import { mutated } from '../support/arbitrary.ts';
import { CLUSTER_ID, CLUSTER_KEY, pair } from '../support/endpoints.ts';
import { scale } from '../support/scale.ts';

const EVIL_ADDRESS = '10.6.6.6:6';

/** Gives a function that seals any plaintext for the server, as a client that has the client key. */
function sealer(serverBoot: string, boot: Uint8Array): (plaintext: Uint8Array) => Uint8Array {
  const receiver = unhex(serverBoot)!;
  const classKey = clientKeyRing(nodeCrypto, CLUSTER_KEY).classKeys.get('client')![0]!;
  const key = trafficKey({
    crypto: nodeCrypto,
    classKey,
    keyClass: 'client',
    clusterId: CLUSTER_ID,
    sender: boot,
    receiver,
  });
  const aead = nodeCrypto.aead(key);
  let counter = 0;
  return (plaintext) => {
    const hint = receiver.subarray(0, 4);
    const header = encodeHeader({ kind: 'data', keyClass: 'client', boot, counter: ++counter, hint });
    return seal({ aead, header, nonce: nonceOf(header), plaintext });
  };
}

test('Endpoint: authentic datagrams of random, lying and mutated frames are refused and harm nobody', (t) => {
  const { clock, network, entropy, client, server } = pair({ seed: 1 });
  const sealed = sealer(server.endpoint.boot, entropy.bytes(16));
  const prng = new Prng(2);
  // What arrives is answered, so that the evil one's acknowledgements have something to be about.
  server.endpoint.onMessage((from, message) => {
    server.received.push({ from, message });
    if (message.length < 100) server.endpoint.reply(from, new Uint8Array(20_000));
  });
  const number = () =>
    prng.pick([0, 1, 2, 3, 4, 7, 700, 1_000, 9_000, MESSAGE_BYTES_MAX, 2 ** 32, 2 ** 53 - 1]);
  const frame = () => {
    switch (prng.between(0, 4)) {
      case 0:
        return encodeMessageFrame(prng.bytes(prng.between(1, 300)));
      case 1:
        return encodeAckFrame({ id: number(), base: number(), bitmap: prng.bytes(prng.between(0, 33)) });
      case 2:
        return encodeFragmentFrame({
          id: number(),
          index: number(),
          count: number(),
          size: number(),
          part: prng.bytes(prng.pick([0, 1, 300, 500])),
        });
      default:
        return prng.bytes(prng.between(1, 100));
    }
  };
  for (let round = 0; round < scale(50_000); round++) {
    const plaintext = concatBytes([frame(), frame()]);
    const datagram = sealed(prng.chance(0.5) ? mutated(prng, plaintext) : plaintext);
    network.send(datagram, EVIL_ADDRESS, server.address);
    if (round % 10 === 0) clock.advance(1);
  }
  const { refused } = server.endpoint.counters;
  t.true((refused.frame ?? 0) > 0);
  t.true((refused.fragment ?? 0) > 0);
  clock.advance(100);
  server.received.length = 0;
  client.endpoint.send(server.address, utf8('good'));
  clock.advance(100);
  t.deepEqual(server.texts(), ['good']);
});

test('Endpoint: a sender that begins messages and never ends them is held to its bounds, and others are not', (t) => {
  const { clock, network, entropy, client, server } = pair({ seed: 3, delayMs: [1, 1] });
  const sealed = sealer(server.endpoint.boot, entropy.bytes(16));
  const count = 1_024;
  const part = new Uint8Array(Math.ceil(MESSAGE_BYTES_MAX / count));
  const begun = 1_000;
  for (let id = 1; id <= begun; id++) {
    const frame = encodeFragmentFrame({ id, index: 0, count, size: MESSAGE_BYTES_MAX, part });
    network.send(sealed(frame), EVIL_ADDRESS, server.address);
  }
  clock.advance(100);
  const kept = Math.floor(REASSEMBLY_BYTES_PER_SENDER / MESSAGE_BYTES_MAX);
  t.is(server.endpoint.counters.dropped['reassembly-full'], begun - kept);
  const large = new Prng(4).bytes(500_000);
  client.endpoint.send(server.address, large);
  clock.advance(5_000);
  t.deepEqual(server.received.at(-1)?.message, large);
  clock.advance(20_000);
  t.is(server.endpoint.counters.dropped['reassembly-idle'], kept);
});
