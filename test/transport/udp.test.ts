// The real socket, on loopback.

import test from 'ava';
import { utf8, utf8Text } from '#core/base/bytes.ts';
import { SILENT_LOGGER } from '#core/base/ports.ts';
import { Prng } from '#core/base/prng.ts';
import { nodeClock } from '#core/node/clock.ts';
import { nodeCrypto, nodeEntropy } from '#core/node/crypto.ts';
import { formatAddress, parseAddress } from '#core/transport/address.ts';
import { createEndpoint } from '#core/transport/endpoint.ts';
import { openUdpSocket } from '#core/transport/udp.ts';
import { clientKeyRing, serverKeyRing } from '#core/wire/keys.ts';
import { CLUSTER_ID, CLUSTER_KEY } from '../support/endpoints.ts';

const ANY = { host: '127.0.0.1', port: 0 };

test('openUdpSocket: carries datagrams both ways and says its address and buffers', async (t) => {
  const [one, other] = [await openUdpSocket(ANY), await openUdpSocket(ANY)];
  t.teardown(() => Promise.all([one.close(), other.close()]));
  t.regex(one.address, /^127\.0\.0\.1:\d+$/);
  t.true(one.buffers.receiveBytes > 0 && one.buffers.sendBytes > 0);
  const answer = new Promise<string | null>((resolve) => {
    one.onDatagram((datagram, from) => {
      t.is(from, other.address);
      t.is(Object.getPrototypeOf(datagram), Uint8Array.prototype, 'not a Buffer');
      resolve(utf8Text(datagram));
    });
  });
  other.onDatagram((datagram, from) => other.send(datagram, from));
  one.send(utf8('echo'), other.address);
  t.is(await answer, 'echo');
});

test('UdpSocket.send: what cannot be sent is counted, not thrown', async (t) => {
  const socket = await openUdpSocket(ANY);
  t.teardown(() => socket.close());
  for (const address of ['nonsense', '127.0.0.1:0', '127.0.0.1:99999', '[::1]:7700', '']) {
    socket.send(utf8('x'), address);
  }
  t.is(socket.errors['bad-address'], 5);
  socket.send(new Uint8Array(70_000), socket.address);
  while (socket.errors.EMSGSIZE === undefined) await new Promise((resolve) => setImmediate(resolve));
  t.is(socket.errors.EMSGSIZE, 1);
  await socket.close();
  await socket.close();
  t.notThrows(() => socket.send(utf8('x'), '127.0.0.1:7700'));
});

test('openUdpSocket: an address in use is rejected', async (t) => {
  const socket = await openUdpSocket(ANY);
  t.teardown(() => socket.close());
  const { host, port } = parseAddress(socket.address)!;
  await t.throwsAsync(openUdpSocket({ host, port }), { code: 'EADDRINUSE' });
});

test('Endpoint over UDP: a mebibyte there and back, sealed', async (t) => {
  const common = {
    clock: nodeClock,
    entropy: nodeEntropy,
    crypto: nodeCrypto,
    logger: SILENT_LOGGER,
  } as const;
  const server = createEndpoint({
    ...common,
    socket: await openUdpSocket(ANY),
    keys: serverKeyRing(nodeCrypto, CLUSTER_KEY),
    role: 'server',
    clusterId: CLUSTER_ID,
  });
  const client = createEndpoint({
    ...common,
    socket: await openUdpSocket(ANY),
    keys: clientKeyRing(nodeCrypto, CLUSTER_KEY),
    role: 'client',
  });
  t.teardown(() => Promise.all([server.close(), client.close()]));
  server.onMessage((from, message) => server.reply(from, message));
  const message = new Prng(1).bytes(1_048_576);
  const back = new Promise<Uint8Array>((resolve) => client.onMessage((_, answer) => resolve(answer)));
  t.true(client.send(server.address, message));
  t.deepEqual(await back, message);
});

test('parseAddress, formatAddress: hosts and ports, IPv6 in brackets', (t) => {
  t.deepEqual(parseAddress('10.0.0.1:7700'), { host: '10.0.0.1', port: 7_700 });
  t.deepEqual(parseAddress('pi-3.local'), { host: 'pi-3.local', port: 7_700 });
  t.deepEqual(parseAddress('[::1]:80'), { host: '::1', port: 80 });
  t.deepEqual(parseAddress('[fe80::1%eth0]'), { host: 'fe80::1%eth0', port: 7_700 });
  t.deepEqual(parseAddress('a:65535'), { host: 'a', port: 65_535 });
  for (const wrong of ['', ':7700', 'a:65536', 'a:', 'a:-1', 'a:1:2', '::1', '[::1', 'a b:1', 'a:1 ']) {
    t.is(parseAddress(wrong), null, wrong);
  }
  t.is(formatAddress({ host: '::1', port: 1 }), '[::1]:1');
  t.is(formatAddress({ host: '10.0.0.1', port: 1 }), '10.0.0.1:1');
});
