// Messages that take many datagrams, over a network that loses, doubles, delays and corrupts by a seed.

import test from 'ava';
import { equalBytes } from '#core/base/bytes.ts';
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
