// The list of tests that a key-value store must stand, line by line, against a real server over real UDP.

import test, { type ExecutionContext } from 'ava';
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from '#core/base/limits.ts';
import { Prng } from '#core/base/prng.ts';
import { type Client, connect, type RefusedError } from '#core/index.ts';
import type { Operation } from '#core/state-machine/commands.ts';
import { residentBytes } from '../support/process-counters.ts';
import { eventually, startServer, type TestServer } from '../support/processes.ts';
import { RawClient } from '../support/raw-client.ts';
import { scale } from '../support/scale.ts';

interface Stage {
  readonly server: TestServer;
  readonly client: Client;
  readonly raw: RawClient;
}

async function stage(t: ExecutionContext): Promise<Stage> {
  const server = await startServer(t);
  const client = await connect({ servers: [server.address], insecure: true });
  t.teardown(() => client.close());
  return { server, client, raw: await RawClient.open(t, server.address) };
}

const put = (key: string, value: string): { type: 'operation'; operation: Operation } => ({
  type: 'operation',
  operation: { type: 'kv-put', key, value },
});

async function metric(client: Client, name: string): Promise<number> {
  const { servers } = await client.status();
  return servers[0]?.status?.metrics.find((one) => one.name === name)?.value ?? 0;
}

/** Whatever was sent before, a good client is served. */
async function stillServes(t: ExecutionContext, { client }: Stage): Promise<void> {
  await client.kv.put('still', 'here');
  t.is((await client.kv.get('still'))?.value, 'here');
}

test('1 volume: many puts a second, and many in all, and every one is there', async (t) => {
  const { client } = await stage(t);
  const count = scale(20_000);
  const startedAt = performance.now();
  const one = async (first: number) => {
    for (let number = first; number < count; number += 16)
      await client.kv.put(`volume-${number}`, `${number}`);
  };
  await Promise.all(Array.from({ length: 16 }, (_, first) => one(first)));
  t.log(`${count} puts, ${Math.round((count / (performance.now() - startedAt)) * 1_000)} a second`);
  let seen = 0;
  for await (const { key, value } of client.kv.list('volume-')) {
    t.is(key, `volume-${value}`);
    seen += 1;
  }
  t.is(seen, count);
});

test('2 consistency: the data that was set comes back at once, nothing else, and never the old', async (t) => {
  const { client, server } = await stage(t);
  const other = await connect({ servers: [server.address], insecure: true });
  t.teardown(() => other.close());
  t.is(await client.kv.get('never-set'), null);
  for (let round = 0; round < 50; round++) {
    await client.kv.put('x', `value ${round}`);
    t.is((await other.kv.get('x'))?.value, `value ${round}`);
  }
  await client.kv.delete('x');
  t.is(await other.kv.get('x'), null);
});

test('3 killing the server: what was acknowledged is there after kill -9', async (t) => {
  const { client, server } = await stage(t);
  await client.kv.put('kept', 'yes');
  await client.kv.put('gone', 'no');
  await client.kv.delete('gone');
  await server.kill();
  await startServer(t, { dataDir: server.dataDir, listen: server.address });
  t.is((await client.kv.get('kept'))?.value, 'yes');
  t.is(await client.kv.get('gone'), null);
});

test('4.1–4.4 keys and values that are too long or of wrong characters: refused by name, nothing is set', async (t) => {
  const scene = await stage(t);
  const { client, raw } = scene;
  const longest = 'k'.repeat(KEY_BYTES_MAX);
  await client.kv.put(longest, 'v'.repeat(VALUE_BYTES_MAX));
  await client.kv.put('umlauts', 'ü'.repeat(VALUE_BYTES_MAX / 2));
  t.is((await client.kv.get('umlauts'))?.value.length, VALUE_BYTES_MAX / 2);
  const session = await raw.openSession();
  let sequence = 0;
  const wrong: [string, string, string][] = [
    [`${longest}k`, 'v', 'bad-key'],
    ['key[0]', 'v', 'bad-key'],
    ['key]', 'v', 'bad-key'],
    ['schlüssel', 'v', 'bad-key'],
    ['tab\tkey', 'v', 'bad-key'],
    ['\x7f', 'v', 'bad-key'],
    ['', 'v', 'bad-key'],
    ['long', 'v'.repeat(VALUE_BYTES_MAX + 1), 'bad-value'],
    ['long', `${'ü'.repeat(VALUE_BYTES_MAX / 2)}v`, 'bad-value'],
  ];
  for (const [key, value, reason] of wrong) {
    sequence += 1;
    const body = await raw.ask(put(key, value), { session, sequence, answeredBelow: sequence });
    t.like(body, { type: 'refused', code: 4, reason }, `${key.slice(0, 20)}=${value.slice(0, 20)}`);
    const error = await t.throwsAsync(client.kv.put(key, value));
    t.is((error as RefusedError).code, 4);
  }
  t.is(await client.kv.get('long'), null);
  await stillServes(t, scene);
});

test('4.4–4.10 requests with parts that are missing, doubled or no text: refused as malformed and counted', async (t) => {
  const scene = await stage(t);
  const { client, raw } = scene;
  const session = await raw.openSession();
  const numbers = { session, sequence: 1 };
  const whole = raw.encode(put('KEY', 'VALUE'), numbers).bytes;
  const text = Buffer.from(whole).toString('latin1');
  const spoil = (from: string, to: string): Uint8Array => Buffer.from(text.replace(from, to), 'latin1');
  const key = '\x03KEY';
  const value = '\x05VALUE';
  const spoiled: Record<string, Uint8Array> = {
    'a value that is not UTF-8': spoil('VALUE', 'VAL\xff\xfe'),
    'a key that is not UTF-8': spoil('KEY', 'K\xc3('),
    'without a key': spoil(key, ''),
    'without a value': spoil(value, ''),
    'with several keys': spoil(key, key + key),
    'with several values': spoil(value, value + value),
    'only a key': Buffer.from(key, 'latin1'),
    'only a value': Buffer.from(value, 'latin1'),
    'only the head': whole.slice(0, 6),
    'a length that lies': spoil(value, '\x7fVALUE'),
    'one byte': new Uint8Array([1]),
    'of no kind': new Uint8Array([1, 9, 1, 0, 0, 1, 200]),
  };
  const before = await metric(client, 'malformed');
  for (const bytes of Object.values(spoiled)) raw.sendBytes(bytes);
  const count = Object.keys(spoiled).length;
  await eventually(async () => (await metric(client, 'malformed')) - before >= count, `${count} refusals`);
  t.is((await metric(client, 'malformed')) - before, count);
  t.is(await client.kv.get('KEY'), null);
  await stillServes(t, scene);
});

test('4.11 requests that begin in one packet and are never completed: bounded, given up, and nobody else waits', async (t) => {
  const scene = await stage(t);
  const { server } = scene;
  // Many senders, each of which begins messages of 1 MiB and vanishes in the middle of them.
  for (let sender = 0; sender < 5; sender++) {
    const gone = await connect({ servers: [server.address], insecure: true, timeoutMs: 200 });
    await gone.logs.create(`half-${sender}`).catch(() => {});
    const halves = Array.from({ length: 8 }, () => gone.append(`half-${sender}`, 'z'.repeat(1_048_576)));
    await Promise.allSettled(halves);
    void gone.close();
  }
  await stillServes(t, scene);
  const resident = residentBytes(server.pid).highest;
  t.true(resident < 400 * 1_048_576, `${resident} bytes resident`);
});

test('5 random keys: those that are not there are absent, and all keys come in order, page by page', async (t) => {
  const { client } = await stage(t);
  const prng = new Prng(5);
  const keys = new Set<string>();
  while (keys.size < scale(3_000)) keys.add(`random-${prng.u32().toString(36)}`);
  await Promise.all([...keys].map((key) => client.kv.put(key, 'x'.repeat(prng.between(0, 300)))));
  for (let count = 0; count < 20; count++) t.is(await client.kv.get(`absent-${prng.u32()}`), null);
  const listed: string[] = [];
  for await (const { key } of client.kv.list()) listed.push(key);
  t.deepEqual(listed, [...keys].sort());
});

test('6 more packets than answers are waited for: a flood from one client leaves the others served', async (t) => {
  const scene = await stage(t);
  const { raw } = scene;
  const session = await raw.openSession();
  for (let count = 1; count <= scale(50_000); count++) {
    raw.send(put('flood', `${count}`), { session, sequence: 1 + (count % 32) });
    if (count % 500 === 0) await stillServes(t, scene);
  }
  await stillServes(t, scene);
});

test('7 cache hits: the same key read again and again gives the same, and then the new value', async (t) => {
  const { client } = await stage(t);
  await client.kv.put('hot', 'a');
  for (let count = 0; count < 200; count++) t.is((await client.kv.get('hot'))?.value, 'a');
  await client.kv.put('hot', 'b');
  t.is((await client.kv.get('hot'))?.value, 'b');
});

test('8 misordered requests: all of a window are executed, each once, in the order in which they came', async (t) => {
  const { client, raw } = await stage(t);
  const session = await raw.openSession();
  const numbers = Array.from({ length: 32 }, (_, index) => 32 - index);
  const requests = numbers.map((sequence) =>
    raw.send(put('misordered', `${sequence}`), { session, sequence }),
  );
  for (const number of requests) t.like(await raw.response(number), { type: 'answer', answer: { code: 0 } });
  t.is((await client.kv.get('misordered'))?.value, '1');
  const above = await raw.ask(put('misordered', 'x'), { session, sequence: 33, answeredBelow: 1 });
  t.like(above, { type: 'refused', code: 4, reason: 'above-window' });
});

test('9 mistimed requests: repeated late they get the first answer, below the window nothing, in an ended session code 7', async (t) => {
  const { client, raw } = await stage(t);
  const session = await raw.openSession();
  const first = await raw.ask(put('mistimed', 'first'), { session, sequence: 1 });
  await client.kv.put('mistimed', 'second');
  const again = await raw.ask(put('mistimed', 'first'), { session, sequence: 1, attempt: 9 });
  t.deepEqual(again, first);
  t.is((await client.kv.get('mistimed'))?.value, 'second');
  await raw.ask(put('other', 'x'), { session, sequence: 2, answeredBelow: 2 });
  const before = await metric(client, 'dropped.below-window');
  raw.send(put('mistimed', 'first'), { session, sequence: 1, answeredBelow: 2 });
  await eventually(
    async () => (await metric(client, 'dropped.below-window')) > before,
    'it is dropped and counted',
  );
  t.is((await client.kv.get('mistimed'))?.value, 'second');
  const close = { type: 'operation', operation: { type: 'close-session' } } as const;
  t.like(await raw.ask(close, { session, sequence: 3, answeredBelow: 3 }), { type: 'answer' });
  const late = await raw.ask(put('mistimed', 'late'), { session, sequence: 4, answeredBelow: 4 });
  t.like(late, { type: 'refused', code: 7 });
});

test('10 a server of the list that is not there: the client goes on with the next', async (t) => {
  const { server } = await stage(t);
  const client = await connect({ servers: ['127.0.0.1:9', server.address], insecure: true });
  t.teardown(() => client.close());
  await client.kv.put('there', 'yes');
  t.is((await client.kv.get('there'))?.value, 'yes');
});

test('watch: every change in order, deletions as null', async (t) => {
  const { client } = await stage(t);
  const { revision } = await client.kv.put('w/0', 'start');
  const seen: (string | null)[] = [];
  const watching = (async () => {
    for await (const change of client.kv.watch('w/', { since: revision })) {
      seen.push(change.value);
      if (seen.length === 21) return;
    }
  })();
  for (let round = 0; round < 20; round++) await client.kv.put('w/1', `${round}`);
  await client.kv.delete('w/1');
  await watching;
  t.deepEqual(seen, [...Array.from({ length: 20 }, (_, round) => `${round}`), null]);
});

test('a thousand blocked acquires: others are served meanwhile, and all get the lock in their order', async (t) => {
  const scene = await stage(t);
  const { client, server } = scene;
  const held = await client.lock('crowded');
  const clients = await Promise.all(
    Array.from({ length: 50 }, () => connect({ servers: [server.address], insecure: true })),
  );
  t.teardown(async () => {
    await Promise.all(clients.map((one) => one.close()));
  });
  const count = 1_000;
  const tokens: number[] = [];
  const waits: Promise<void>[] = [];
  for (let number = 0; number < count; number++) {
    const one = clients[number % clients.length] as Client;
    waits.push(
      one.lock('crowded', { ttlMs: 30_000 }).then(async (lock) => {
        tokens.push(lock.token);
        await lock.release();
      }),
    );
  }
  await eventually(async () => (await metric(client, 'waiters')) === count, `${count} waiters`);
  await stillServes(t, scene);
  await held.release();
  await Promise.all(waits);
  t.deepEqual(
    tokens,
    [...tokens].sort((a, b) => a - b),
  );
  t.is(new Set(tokens).size, count);
});
