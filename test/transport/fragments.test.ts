// Messages that take many datagrams, over a network that loses, doubles, delays and corrupts by a seed.

import test from 'ava';
import { equalBytes } from '#core/base/bytes.ts';
import { REASSEMBLY_IDLE_MS, TRANSFER_SILENT_MS } from '#core/base/limits.ts';
import { Prng } from '#core/base/prng.ts';
import { pair } from '../support/endpoints.ts';
import { scale } from '../support/scale.ts';

const MEBIBYTE = 1_048_576;

for (const insecure of [false, true]) {
  test(`Endpoint.send: 1 MiB at 20 % loss each way arrives once and whole (${insecure ? 'insecure' : 'sealed'})`, (t) => {
    for (let seed = 0; seed < scale(20); seed++) {
      const { clock, client, server } = pair({ seed, insecure, loss: 0.2, delayMs: [1, 4] });
      const message = new Prng(seed).bytes(MEBIBYTE);
      let delivered = 0;
      t.true(client.endpoint.send(server.address, message, () => delivered++));
      clock.advanceUntil(() => delivered === 1, 60_000);
      clock.advance(30_000);
      t.is(server.received.length, 1);
      t.true(equalBytes(server.received[0]!.message, message));
      t.true(client.endpoint.counters.fragmentsResent > 0);
      t.is(clock.timers, 0, 'nothing is left to do');
    }
  });
}

test('Endpoint.reply: 1 MiB under loss, duplicates, reordering and corruption arrives once and whole', (t) => {
  for (let seed = 100; seed < 100 + scale(20); seed++) {
    const { clock, client, server } = pair({
      seed,
      loss: 0.1,
      duplicate: 0.1,
      corrupt: 0.05,
      delayMs: [0, 30],
    });
    const message = new Prng(seed).bytes(MEBIBYTE);
    server.endpoint.onMessage((from) => server.endpoint.reply(from, message));
    t.true(client.endpoint.send(server.address, Uint8Array.of(1)));
    for (let tries = 0; tries < 20 && client.received.length === 0; tries++) {
      clock.advance(10_000);
      if (server.endpoint.counters.messagesReceived === 0)
        client.endpoint.send(server.address, Uint8Array.of(1));
    }
    t.is(client.received.length, 1);
    t.true(equalBytes(client.received[0]!.message, message));
  }
});

test('Endpoint.send: many messages at once, large and small, all arrive whole under loss', (t) => {
  const { clock, client, server } = pair({ seed: 7, loss: 0.1, delayMs: [1, 3] });
  const prng = new Prng(7);
  const sizes = Array.from({ length: 200 }, () => prng.pick([2_000, 5_000, 20_000, 60_000]));
  let delivered = 0;
  for (const [at, size] of sizes.entries()) {
    t.true(client.endpoint.send(server.address, new Uint8Array(size).fill(at), () => delivered++));
  }
  clock.advanceUntil(() => delivered === sizes.length, 300_000);
  const arrived = new Map(server.received.map(({ message }) => [message[0] as number, message]));
  t.is(server.received.length, sizes.length);
  for (const [at, size] of sizes.entries()) {
    t.is(arrived.get(at)?.length, size);
    t.true(arrived.get(at)?.every((byte) => byte === at));
  }
});

test('Endpoint.send: a transfer without any acknowledgement is given up after TRANSFER_SILENT_MS and counted', (t) => {
  const { clock, network, client, server } = pair({ seed: 8, delayMs: [1, 1] });
  client.endpoint.send(server.address, Uint8Array.of(1));
  clock.advance(100);
  network.filter = () => false;
  let delivered = 0;
  client.endpoint.send(server.address, new Uint8Array(50_000), () => delivered++);
  clock.advance(TRANSFER_SILENT_MS - 1);
  t.is(client.endpoint.counters.dropped.unreachable, 0);
  clock.advance(1_000);
  t.is(client.endpoint.counters.dropped.unreachable, 1);
  t.is(delivered, 0);
  t.is(clock.timers, 0, 'and nothing is sent any more');
});

test('Endpoint.send: while nothing is acknowledged, resends are few', (t) => {
  const { clock, network, client, server } = pair({ seed: 9, delayMs: [1, 1] });
  client.endpoint.send(server.address, Uint8Array.of(1));
  clock.advance(100);
  let sent = 0;
  network.filter = () => {
    sent++;
    return false;
  };
  client.endpoint.send(server.address, new Uint8Array(1_000_000));
  clock.advance(60_000);
  t.true(sent < 100, `${sent} datagrams into the void`);
});

test('Endpoint: a half-received message is dropped after REASSEMBLY_IDLE_MS and counted', (t) => {
  const { clock, network, client, server } = pair({ seed: 10, delayMs: [1, 1] });
  client.endpoint.send(server.address, Uint8Array.of(1));
  clock.advance(100);
  let passed = 0;
  network.filter = ({ to }) => to !== server.address || passed++ < 3;
  client.endpoint.send(server.address, new Uint8Array(50_000));
  clock.advance(REASSEMBLY_IDLE_MS + 20_000);
  t.is(server.endpoint.counters.dropped['reassembly-idle'], 1);
  t.is(server.received.length, 1);
  t.is(clock.timers, 0);
});

test('Endpoint: late copies of a finished message are acknowledged and not delivered again', (t) => {
  const { clock, network, client, server } = pair({ seed: 11, delayMs: [1, 1] });
  client.endpoint.send(server.address, Uint8Array.of(1));
  clock.advance(100);
  // The first acknowledgements are lost, so that the whole message is sent again.
  let lost = 0;
  network.filter = ({ from }) => from !== server.address || lost++ >= 8;
  let delivered = 0;
  client.endpoint.send(server.address, new Uint8Array(5_000), () => delivered++);
  clock.advance(5_000);
  t.is(delivered, 1);
  t.true(client.endpoint.counters.fragmentsResent >= 4);
  t.is(server.received.length, 2);
});
