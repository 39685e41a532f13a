// The endpoint over a network in memory: hello, sealing, coalescing, restart, refusal.

import test from 'ava';
import { utf8, utf8Text } from '#core/base/bytes.ts';
import { pair } from '../support/endpoints.ts';

test('Endpoint.send: says hello, delivers, and the reply comes back to the sender', (t) => {
  const { clock, client, server } = pair({ seed: 1 });
  server.endpoint.onMessage((from, message) => {
    t.is(from.keyClass, 'client');
    t.is(from.boot, client.endpoint.boot);
    t.is(utf8Text(message), 'ping');
    server.endpoint.reply(from, utf8('pong'));
  });
  t.true(client.endpoint.send(server.address, utf8('ping')));
  clock.advance(50);
  t.deepEqual(client.texts(), ['pong']);
});
