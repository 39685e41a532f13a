// The endpoint over a network in memory: hello, sealing, coalescing, restart, and everything that it refuses.

import test from 'ava';
import { utf8, utf8Text } from '#core/base/bytes.ts';
import {
  DATAGRAM_BYTES_LOOPBACK,
  DATAGRAM_BYTES_MAX,
  DERIVATIONS_PER_SECOND_MAX,
  DESTINATIONS_MAX,
  HELLO_GIVE_UP_MS,
  MESSAGE_BYTES_MAX,
  SEND_QUEUE_BYTES_PER_REMOTE,
} from '#core/base/limits.ts';
import { Prng } from '#core/base/prng.ts';
import { nodeCrypto } from '#core/node/crypto.ts';
import { encodeHeader, HEADER_BYTES } from '#core/wire/frame.ts';
import { clientKeyRing, newClusterKey, serverKeyRing } from '#core/wire/keys.ts';
import { mutated } from '../support/arbitrary.ts';
import {
  CLIENT_ADDRESS,
  CLUSTER_ID,
  CLUSTER_KEY,
  pair,
  party,
  SERVER_ADDRESS,
} from '../support/endpoints.ts';
import type { Passing } from '../support/memory-network.ts';
import { scale } from '../support/scale.ts';

/** Keeps a copy of every datagram that passes. */
function record(network: ReturnType<typeof pair>['network']): Passing[] {
  const passed: Passing[] = [];
  network.filter = (passing) => {
    passed.push({ ...passing, datagram: passing.datagram.slice() });
    return true;
  };
  return passed;
}

for (const insecure of [false, true]) {
  const kind = insecure ? 'insecure' : 'sealed';

  test(`Endpoint.send: ${kind}: says hello, delivers, and the reply comes back to the sender`, (t) => {
    const { clock, network, client, server } = pair({ seed: 1, insecure });
    server.endpoint.onMessage((from, message) => {
      t.is(from.keyClass, insecure ? 'insecure' : 'client');
      t.is(from.boot, client.endpoint.boot);
      t.is(from.address, CLIENT_ADDRESS);
      t.is(utf8Text(message), 'ping');
      server.endpoint.reply(from, utf8('pong'));
    });
    const passed = record(network);
    let delivered = 0;
    t.true(client.endpoint.send(server.address, utf8('ping'), () => delivered++));
    clock.advance(50);
    t.deepEqual(client.texts(), ['pong']);
    t.is(client.received[0]!.from.boot, server.endpoint.boot);
    t.is(delivered, 1);
    t.is(passed.length, 4, 'hello, its reply, ping, pong');
    t.true(passed[1]!.datagram.length <= passed[0]!.datagram.length);
    t.is(clock.timers, 0, 'an idle endpoint has no timer');
  });

  test(`Endpoint: ${kind}: any flipped bit or byte string is refused by a counted reason and delivers nothing`, (t) => {
    const { clock, network, client, server } = pair({ seed: 2, insecure });
    const passed = record(network);
    client.endpoint.send(server.address, utf8('ping'));
    clock.advance(50);
    const [hello, , data] = passed.map(({ datagram }) => datagram) as [Uint8Array, Uint8Array, Uint8Array];
    t.is(server.received.length, 1);
    const prng = new Prng(2);
    let sent = 0;
    const refused = () =>
      Object.values(server.endpoint.counters.refused).reduce((sum, count) => sum + count, 0);
    for (const whole of [hello, data]) {
      for (let bit = 0; bit < whole.length * 8; bit++) {
        const wrong = whole.slice();
        wrong[bit >>> 3] = (wrong[bit >>> 3] as number) ^ (1 << (bit & 7));
        network.send(wrong, CLIENT_ADDRESS, SERVER_ADDRESS);
        sent++;
        clock.advance(1);
      }
    }
    for (let round = 0; round < scale(50_000); round++) {
      const wrong = mutated(prng, data);
      if (wrong.length === hello.length || wrong.length === data.length) continue;
      network.send(wrong, CLIENT_ADDRESS, SERVER_ADDRESS);
      sent++;
      clock.advance(1);
    }
    t.is(refused(), sent);
    t.is(server.received.length, 1);
    const names = Object.keys(server.endpoint.counters.refused);
    t.true(names.length < 20, 'no sender makes up a reason');
    client.endpoint.send(server.address, utf8('still there'));
    clock.advance(50);
    t.deepEqual(server.texts(), ['ping', 'still there']);
  });

  test(`Endpoint: ${kind}: a replayed datagram is refused, in and beyond the window`, (t) => {
    const { clock, network, client, server } = pair({ seed: 3, insecure });
    const passed = record(network);
    client.endpoint.send(server.address, utf8('first'));
    clock.advance(50);
    const first = passed[2]!.datagram;
    const replay = () => {
      network.send(first, CLIENT_ADDRESS, SERVER_ADDRESS);
      clock.advance(1);
    };
    replay();
    for (let count = 0; count < 2_000; count++) {
      client.endpoint.send(server.address, utf8('more'));
      clock.advance(1);
    }
    replay();
    t.is(server.endpoint.counters.refused.replay, 2);
    t.is(server.received.length, 2_001);
  });
}

test('Endpoint: sealed and insecure endpoints do not speak to each other', (t) => {
  const sealed = pair({ seed: 4, client: { keys: null } });
  sealed.client.endpoint.send(SERVER_ADDRESS, utf8('x'));
  sealed.clock.advance(2_000);
  t.true((sealed.server.endpoint.counters.refused.class ?? 0) > 0);
  const insecure = pair({ seed: 4, server: { keys: null } });
  insecure.client.endpoint.send(SERVER_ADDRESS, utf8('x'));
  insecure.clock.advance(2_000);
  t.true((insecure.server.endpoint.counters.refused.class ?? 0) > 0);
  t.is(sealed.server.received.length + insecure.server.received.length, 0);
});

test('Endpoint: another cluster key opens nothing', (t) => {
  const keys = clientKeyRing(nodeCrypto, newClusterKey(new Prng(99)));
  const { clock, client, server } = pair({ seed: 5, client: { keys } });
  client.endpoint.send(server.address, utf8('x'));
  clock.advance(2_000);
  t.true((server.endpoint.counters.refused.seal ?? 0) > 0);
  t.is(server.received.length, 0);
});

test('Endpoint: a client answers no hello and takes no datagram of a boot that it does not know', (t) => {
  const { clock, network, entropy, client, server } = pair({ seed: 6 });
  const other = party({ network, clock, entropy, address: '10.0.0.8:1', role: 'client' });
  other.endpoint.send(client.address, utf8('x'));
  clock.advance(500);
  t.true((client.endpoint.counters.refused.handshake ?? 0) > 0);
  client.endpoint.send(server.address, utf8('x'));
  clock.advance(50);
  const hint = Uint8Array.from(Buffer.from(client.endpoint.boot, 'hex')).subarray(0, 4);
  const forged = encodeHeader({
    kind: 'data',
    keyClass: 'client',
    boot: entropy.bytes(16),
    counter: 1,
    hint,
  });
  network.send(new Uint8Array([...forged, ...new Uint8Array(40)]), SERVER_ADDRESS, CLIENT_ADDRESS);
  clock.advance(50);
  t.is(client.endpoint.counters.refused['unknown-boot'], 1);
});

test('Endpoint: peers speak to each other as peers, and a server of another cluster is not believed', (t) => {
  const { clock, network, entropy, server } = pair({ seed: 7 });
  const common = { network, clock, entropy, role: 'server' } as const;
  const peer = party({ ...common, address: '10.0.0.2:7700' });
  const stranger = party({ ...common, address: '10.0.0.3:7700', more: { clusterId: new Uint8Array(16) } });
  peer.endpoint.send(server.address, utf8('vote'));
  server.endpoint.send(peer.address, utf8('append'));
  stranger.endpoint.send(server.address, utf8('hi'));
  clock.advance(500);
  t.deepEqual(server.texts(), ['vote']);
  t.deepEqual(peer.texts(), ['append']);
  t.is(server.received[0]!.from.keyClass, 'peer');
  t.true((stranger.endpoint.counters.refused['wrong-cluster'] ?? 0) > 0);
});

test('Endpoint: during a rotation old and new keys understand each other, both ways', (t) => {
  const next = newClusterKey(new Prng(50));
  const both = serverKeyRing(nodeCrypto, next, CLUSTER_KEY);
  const { clock, network, entropy, client, server } = pair({ seed: 8, server: { keys: both } });
  const common = { network, clock, entropy, role: 'server' } as const;
  const old = party({ ...common, address: '10.0.0.2:7700' });
  const rotating = party({ ...common, address: '10.0.0.3:7700', more: { keys: both } });
  const fresh = party({
    ...common,
    address: '10.0.0.4:7700',
    more: { keys: serverKeyRing(nodeCrypto, next) },
  });
  server.endpoint.onMessage((from, message) => {
    server.received.push({ from, message });
    server.endpoint.reply(from, utf8('yes'));
  });
  for (const one of [client, old, rotating, fresh]) one.endpoint.send(server.address, utf8(one.address));
  for (const one of [old, rotating, fresh]) server.endpoint.send(one.address, utf8('hello'));
  clock.advance(3_000);
  t.is(server.received.length, 4);
  t.deepEqual(client.texts(), ['yes']);
  for (const one of [old, rotating, fresh]) t.deepEqual(one.texts().sort(), ['hello', 'yes']);
});

test('Endpoint: messages of one turn for one address share a datagram, up to its size', (t) => {
  const { clock, network, client, server } = pair({ seed: 9 });
  client.endpoint.send(server.address, utf8('known'));
  clock.advance(50);
  const passed = record(network);
  for (let count = 0; count < 10; count++) client.endpoint.send(server.address, utf8(`message ${count}`));
  clock.advance(50);
  t.is(passed.length, 1);
  t.is(server.received.length, 11);
  for (let count = 0; count < 10; count++) client.endpoint.send(server.address, new Uint8Array(400));
  clock.advance(50);
  t.is(passed.length, 1 + 4, 'three of 400 bytes fit one');
  for (const { datagram } of passed) t.true(datagram.length <= DATAGRAM_BYTES_MAX);
});

test('Endpoint: a restarted server is used again one hello after suspect, with what was on its way', (t) => {
  const { clock, network, entropy, client, server } = pair({ seed: 10, delayMs: [1, 1] });
  client.endpoint.send(server.address, utf8('before'));
  clock.advance(1_000);
  void server.endpoint.close();
  const large = new Prng(10).bytes(200_000);
  let delivered = 0;
  client.endpoint.send(SERVER_ADDRESS, large, () => delivered++);
  clock.advance(100);
  const restarted = party({ network, clock, entropy, address: SERVER_ADDRESS, role: 'server' });
  client.endpoint.send(SERVER_ADDRESS, utf8('lost'));
  clock.advance(10);
  t.is(restarted.received.length, 0);
  t.true((restarted.endpoint.counters.refused['wrong-boot'] ?? 0) > 0);
  client.endpoint.suspect(SERVER_ADDRESS);
  clock.advance(3);
  client.endpoint.send(SERVER_ADDRESS, utf8('after'));
  clock.advance(3);
  t.deepEqual(restarted.texts(), ['after']);
  clock.advance(2_000);
  t.is(delivered, 1);
  t.deepEqual(restarted.received[1]!.message, large);
  clock.advance(20_000);
  t.is(clock.timers, 0);
});

test('Endpoint.suspect: of a server that did not restart changes nothing, and hellos keep their pace', (t) => {
  const { clock, network, client, server } = pair({ seed: 11, delayMs: [1, 1] });
  client.endpoint.send(server.address, utf8('one'));
  clock.advance(1_000);
  const passed = record(network);
  for (let count = 0; count < 1_000; count++) {
    client.endpoint.suspect(server.address);
    clock.advance(1);
  }
  t.true(passed.length <= 2 * 11, `${passed.length} datagrams in a second of suspicion`);
  client.endpoint.send(server.address, utf8('two'));
  clock.advance(1_000);
  t.deepEqual(server.texts(), ['one', 'two']);
  t.is(clock.timers, 0);
});

test('Endpoint.suspect: of an address that was never sent to does nothing', (t) => {
  const { clock, network, client } = pair({ seed: 12 });
  const passed = record(network);
  client.endpoint.suspect('10.9.9.9:1');
  clock.advance(1_000);
  t.is(passed.length, 0);
});

test('Endpoint.send: nobody answers: messages wait within bounds and are dropped by name', (t) => {
  const { clock, client } = pair({ seed: 13 });
  const nowhere = '10.9.9.9:1';
  t.true(client.endpoint.send(nowhere, utf8('x')));
  clock.advance(HELLO_GIVE_UP_MS + 2_000);
  t.is(client.endpoint.counters.dropped.unreachable, 1);
  t.is(clock.timers, 0);
  let accepted = 0;
  while (client.endpoint.send(nowhere, new Uint8Array(1_000_000))) accepted++;
  t.is(accepted, Math.floor(SEND_QUEUE_BYTES_PER_REMOTE / 1_000_000));
  t.is(client.endpoint.counters.dropped['send-queue-full'], 1);
});

test('Endpoint.send: an empty message and one beyond MESSAGE_BYTES_MAX are dropped by name; the largest goes through', (t) => {
  const { clock, client, server } = pair({ seed: 14 });
  t.false(client.endpoint.send(server.address, new Uint8Array(0)));
  t.false(client.endpoint.send(server.address, new Uint8Array(MESSAGE_BYTES_MAX + 1)));
  t.true(client.endpoint.send(server.address, new Uint8Array(MESSAGE_BYTES_MAX)));
  t.like(client.endpoint.counters.dropped, { empty: 1, 'too-large': 1 });
  clock.advanceUntil(() => server.received.length === 1, 60_000);
  t.is(server.received[0]!.message.length, MESSAGE_BYTES_MAX);
});

test('Endpoint.send: every size around the edges of a datagram arrives whole', (t) => {
  for (const datagramBytesMax of [DATAGRAM_BYTES_MAX, DATAGRAM_BYTES_LOOPBACK]) {
    const more = { datagramBytesMax };
    const { clock, network, client, server } = pair({ seed: 15, client: more, server: more });
    let largest = 0;
    network.filter = ({ datagram }) => {
      largest = Math.max(largest, datagram.length);
      return true;
    };
    const sizes: number[] = [];
    for (const edge of [datagramBytesMax, 2 * datagramBytesMax]) {
      for (let size = edge - 120; size <= edge + 20; size++) sizes.push(size);
    }
    for (const size of sizes) client.endpoint.send(server.address, new Uint8Array(size).fill(size & 0xff));
    clock.advanceUntil(() => server.received.length === sizes.length, 60_000);
    const arrived = server.received.map(({ message }) => message.length).sort((a, b) => a - b);
    t.deepEqual(arrived, sizes);
    t.true(server.received.every(({ message }) => message.every((byte) => byte === (message.length & 0xff))));
    t.true(largest <= datagramBytesMax && largest > datagramBytesMax - 16);
  }
});

test('Endpoint: small messages are not held up by a large one', (t) => {
  const { clock, client, server } = pair({ seed: 16, delayMs: [5, 5] });
  client.endpoint.send(server.address, utf8('known'));
  clock.advance(100);
  client.endpoint.send(server.address, new Uint8Array(MESSAGE_BYTES_MAX));
  clock.advance(50);
  client.endpoint.send(server.address, utf8('quick'));
  clock.advance(6);
  t.deepEqual(server.texts(), ['known', 'quick']);
});

test('Endpoint: the remote is answered where its newest authentic datagram came from, not where a replay came from', (t) => {
  const { clock, network, client, server } = pair({ seed: 17 });
  const passed = record(network);
  client.endpoint.send(server.address, utf8('a'));
  clock.advance(50);
  const { from } = server.received[0]!;
  network.send(passed[2]!.datagram, '10.6.6.6:6', SERVER_ADDRESS);
  clock.advance(50);
  t.is(from.address, CLIENT_ADDRESS);
  network.filter = ({ datagram, from: source, to }) => {
    if (source !== CLIENT_ADDRESS) return true;
    // The client moved: what it sends comes from elsewhere.
    network.send(datagram, '10.0.0.77:7', to);
    return false;
  };
  client.endpoint.send(server.address, utf8('b'));
  clock.advance(50);
  t.is(from.address, '10.0.0.77:7');
});

test('Endpoint: forged boots, however many, make a server forget nobody and cost it a bounded number of derivations', (t) => {
  let derivations = 0;
  const crypto = {
    ...nodeCrypto,
    hkdf: (options: Parameters<typeof nodeCrypto.hkdf>[0]) => {
      derivations++;
      return nodeCrypto.hkdf(options);
    },
  };
  const { clock, network, entropy, client, server } = pair({
    seed: 18,
    server: { crypto, bootsMax: { peers: 2, others: 2 } },
  });
  client.endpoint.send(server.address, utf8('a'));
  clock.advance(50);
  const hint = Uint8Array.from(Buffer.from(server.endpoint.boot, 'hex')).subarray(0, 4);
  const before = derivations;
  const forgeries = 3 * DERIVATIONS_PER_SECOND_MAX;
  for (let count = 0; count < forgeries; count++) {
    const keyClass = count % 2 === 0 ? 'client' : 'peer';
    const header = encodeHeader({ kind: 'data', keyClass, boot: entropy.bytes(16), counter: 1, hint });
    network.send(new Uint8Array([...header, ...entropy.bytes(40)]), '10.6.6.6:6', SERVER_ADDRESS);
  }
  clock.advance(10);
  t.true(derivations - before <= DERIVATIONS_PER_SECOND_MAX + 100);
  t.true((server.endpoint.counters.refused.rate ?? 0) > DERIVATIONS_PER_SECOND_MAX);
  t.true(server.endpoint.reply(server.received[0]!.from, utf8('still known')));
  client.endpoint.send(server.address, utf8('b'));
  clock.advance(50);
  t.deepEqual(server.texts(), ['a', 'b']);
  t.deepEqual(client.texts(), ['still known']);
});

test('Endpoint: clients beyond the bound make a server forget the longest unused one, which is heard again', (t) => {
  const { clock, network, entropy, server } = pair({
    seed: 19,
    server: { bootsMax: { peers: 2, others: 2 } },
  });
  const clients = [1, 2, 3].map((number) =>
    party({ network, clock, entropy, address: `10.0.1.${number}:1`, role: 'client' }),
  );
  const peer = party({ network, clock, entropy, address: '10.0.0.2:7700', role: 'server' });
  peer.endpoint.send(server.address, utf8('peer'));
  clock.advance(50);
  for (const client of clients) {
    client.endpoint.send(server.address, utf8('a'));
    clock.advance(50);
  }
  const [fromPeer, fromFirst, , fromThird] = server.received.map(({ from }) => from);
  t.false(server.endpoint.reply(fromFirst!, utf8('x')));
  t.is(server.endpoint.counters.dropped['remote-forgotten'], 1);
  t.true(server.endpoint.reply(fromThird!, utf8('x')));
  t.true(server.endpoint.reply(fromPeer!, utf8('x')));
  clients[0]!.endpoint.send(server.address, utf8('b'));
  clock.advance(50);
  t.true(server.endpoint.reply(fromFirst!, utf8('again')));
  clock.advance(50);
  t.deepEqual(clients[0]!.texts(), ['again']);
});

test('Endpoint: a server that forgot a client never repeats a counter towards it', (t) => {
  const { clock, network, entropy, server } = pair({
    seed: 20,
    server: { bootsMax: { peers: 1, others: 1 } },
  });
  const clients = [1, 2].map((number) =>
    party({ network, clock, entropy, address: `10.0.1.${number}:1`, role: 'client' }),
  );
  server.endpoint.onMessage((from) => server.endpoint.reply(from, utf8('x')));
  const seen = new Set<string>();
  let repeated = 0;
  network.filter = ({ datagram, from, to }) => {
    if (from !== SERVER_ADDRESS || datagram[3] !== 2) return true;
    const key = `${to} ${datagram.subarray(20, 28).join()}`;
    if (seen.has(key)) repeated++;
    seen.add(key);
    return true;
  };
  for (let round = 0; round < 20; round++) {
    for (const client of clients) {
      client.endpoint.send(server.address, utf8('a'));
      clock.advance(5);
    }
  }
  t.is(repeated, 0);
  t.is(seen.size, 40);
  t.is(clients[0]!.received.length, 20, 'and the client takes every one of them');
});

test('Endpoint.send: destinations are bounded; one in use is not forgotten for a new one', (t) => {
  const { clock, client } = pair({ seed: 21 });
  for (let count = 0; count < DESTINATIONS_MAX; count++)
    t.true(client.endpoint.send(`10.1.0.${count}:1`, utf8('x')));
  t.false(client.endpoint.send('10.2.0.1:1', utf8('x')));
  t.is(client.endpoint.counters.dropped['too-many-destinations'], 1);
  clock.advance(HELLO_GIVE_UP_MS + 2_000);
  t.true(client.endpoint.send('10.2.0.1:1', utf8('x')));
});

test('Endpoint: an old hello reply is stale', (t) => {
  const { clock, network, client, server } = pair({ seed: 22 });
  const passed = record(network);
  client.endpoint.send(server.address, utf8('a'));
  clock.advance(50);
  network.send(passed[1]!.datagram, SERVER_ADDRESS, CLIENT_ADDRESS);
  clock.advance(50);
  t.is(client.endpoint.counters.refused['handshake-stale'], 1);
});

test('Endpoint.close: stops its timers, refuses to send, and hears nothing more', async (t) => {
  const { clock, network, client, server } = pair({ seed: 23, delayMs: [1, 1] });
  client.endpoint.send(server.address, new Uint8Array(100_000));
  client.endpoint.send('10.9.9.9:1', utf8('x'));
  clock.advance(5);
  await client.endpoint.close();
  await server.endpoint.close();
  t.false(client.endpoint.send(server.address, utf8('x')));
  t.false(server.endpoint.reply({ boot: '', keyClass: 'client', address: '' }, utf8('x')));
  client.endpoint.suspect(server.address);
  const passed = record(network);
  clock.advance(60_000);
  t.is(passed.length, 0);
  t.is(clock.timers, 0);
});

test('Endpoint: the header is as documented', (t) => {
  const { clock, network, client, server } = pair({ seed: 24 });
  const passed = record(network);
  client.endpoint.send(server.address, utf8('a'));
  clock.advance(50);
  const { datagram } = passed[2]!;
  t.deepEqual([...datagram.subarray(0, 4)], [0xb7, 0x4c, 1, 2]);
  t.is(Buffer.from(datagram.subarray(4, 20)).toString('hex'), client.endpoint.boot);
  t.is(Buffer.from(datagram.subarray(28, 32)).toString('hex'), server.endpoint.boot.slice(0, 8));
  t.true(datagram.length > HEADER_BYTES);
  t.is(CLUSTER_ID.length, 16);
});

test('Endpoint.close: a small message of the same turn still leaves', (t) => {
  const { clock, client, server } = pair({ seed: 25 });
  client.endpoint.send(server.address, utf8('a'));
  clock.advance(50);
  client.endpoint.send(server.address, utf8('bye'));
  client.endpoint.send(server.address, new Uint8Array(50_000));
  void client.endpoint.close();
  clock.advance(50);
  t.deepEqual(server.texts(), ['a', 'bye']);
  t.is(client.endpoint.counters.dropped.closed, 1);
});

test('Endpoint: a flood of forged hellos from one address does not keep a new client out', (t) => {
  const { clock, network, entropy, client, server } = pair({ seed: 26 });
  const passed = record(network);
  client.endpoint.send(server.address, utf8('a'));
  clock.advance(50);
  const hello = passed[0]!.datagram;
  for (let round = 0; round < 100; round++) {
    for (let count = 0; count < 50; count++) {
      const forged = hello.slice();
      forged.set(entropy.bytes(16), 60);
      network.send(forged, '10.6.6.6:6', SERVER_ADDRESS);
    }
    clock.advance(1);
  }
  t.true((server.endpoint.counters.refused.rate ?? 0) > 1_000);
  const late = party({ network, clock, entropy, address: '10.0.0.8:1', role: 'client' });
  late.endpoint.send(server.address, utf8('b'));
  clock.advance(10);
  t.deepEqual(server.texts(), ['a', 'b']);
});
