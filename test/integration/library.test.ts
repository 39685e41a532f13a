// The library as people use it: by its public entries, over real UDP, against a real server.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Client, connect, LockLostError, RefusedError, UsageError } from '#core/index.ts';
import {
  RPC_append_file,
  RPC_close,
  RPC_init,
  RPC_lock_acquire,
  RPC_lock_release,
  RpcConnection,
} from '#core/rpc.ts';
import { eventually, sharedServer, startServer, temporaryFolder } from '../support/processes.ts';

const server = sharedServer(test, { secure: true });
const keyFile = (): string => server().environment.BRAMBLE_KEY_FILE ?? '';

async function client(t: ExecutionContext): Promise<Client> {
  const opened = await connect({ servers: [server().address], keyFile: keyFile() });
  t.teardown(() => opened.close());
  return opened;
}

test('connect: ping and status of a server that nobody has written to', async (t) => {
  const one = await client(t);
  const [pinged] = await one.ping();
  t.true((pinged?.roundTripMs ?? -1) >= 0);
  const status = await one.status();
  t.is(status.leader, pinged?.node ?? '');
  t.true(status.members[0]?.reachable);
});

test('connect: wrong options are named', async (t) => {
  const servers = [server().address];
  const wrong: [object, RegExp][] = [
    [{ servers: [], insecure: true }, /servers is empty/],
    [{ servers }, /one of keyFile, key and insecure/],
    [{ servers, insecure: true, keyFile: keyFile() }, /one of keyFile, key and insecure/],
    [{ servers, key: 'x' }, /Cannot use the key given/],
    [{ servers: ['127.0.0.1:99999'], insecure: true }, /not host:port/],
    [{ servers: ['127.0.0.1:1', '[::1]:1'], insecure: true }, /mix IPv4 and IPv6/],
    [{ servers, insecure: true, timeoutMs: 0 }, /timeoutMs is 0/],
    [{ servers, insecure: true, localAddress: '203.0.113.1:0' }, /Cannot bind/],
  ];
  for (const [options, message] of wrong) {
    await t.throwsAsync(
      connect(options as never),
      { instanceOf: UsageError, message },
      JSON.stringify(options),
    );
  }
});

test('lock, append, read, tail: one client after the other, each record once', async (t) => {
  const [one, two] = [await client(t), await client(t)];
  const first = await one.lock('files');
  let queued = false;
  const waiting = two.lock('files', { onQueued: () => (queued = true) });
  await eventually(() => queued, 'the second client waits');
  await t.throwsAsync(two.lock('files', { try: true }), { instanceOf: RefusedError });
  const offsets = await Promise.all([
    one.append('file_7', 'hello\n', { lock: first }).then(({ offset }) => offset),
    one.append('file_7', new Uint8Array(1_048_576).fill(65), { lock: first }).then(({ offset }) => offset),
  ]);
  t.deepEqual(offsets.sort(), [0, 1]);
  await first.release();
  const second = await waiting;
  t.true(second.token > first.token);
  await t.throwsAsync(one.append('file_7', 'late', { token: { lock: 'files', token: first.token } }), {
    instanceOf: RefusedError,
    message: new RegExp(
      `token ${first.token} is no longer the holder of lock "files" \\(token ${second.token} is\\)`,
    ),
  });
  const seen: number[] = [];
  const tailing = (async () => {
    for await (const record of one.tail('file_7')) {
      seen.push(record.data.length);
      if (seen.length === 3) return;
    }
  })();
  await eventually(() => seen.length === 2, 'what is there was read');
  await two.append('file_7', 'x', { token: { lock: 'files', token: second.token } });
  await tailing;
  t.deepEqual(seen.slice().sort(), [1, 1_048_576, 6]);
  t.is((await one.read('file_7')).count, 3);
  await second.reenter();
  await second.release();
  t.true(second.held);
  await second.release();
  t.deepEqual(
    (await one.locks.list()).filter(({ lock }) => lock === 'files'),
    [],
  );
});

test('lock: forced away from its holder, it is lost, and the holder is told by its signal', async (t) => {
  const [one, two] = [await client(t), await client(t)];
  const lock = await one.lock('forced');
  await two.locks.forceRelease('forced');
  await eventually(() => lock.signal.aborted, 'the holder is told');
  t.true(lock.signal.reason instanceof LockLostError);
  await t.throwsAsync(lock.release(), { instanceOf: LockLostError });
});

test('kv: a thousand puts at once, list, and a watch that sees a change and a deletion', async (t) => {
  const one = await client(t);
  await Promise.all(
    Array.from({ length: 1_000 }, (_, index) => one.kv.put(`many/${index}`, `value ${index}`)),
  );
  let count = 0;
  for await (const entry of one.kv.list('many/')) count += entry.value.startsWith('value ') ? 1 : 0;
  t.is(count, 1_000);
  const watching = one.kv.watch('watched/', { initial: true });
  await one.kv.put('watched/a', '1');
  t.like((await watching.next()).value, { key: 'watched/a', value: '1' });
  const next = watching.next();
  await one.kv.delete('watched/a');
  t.like((await next).value, { key: 'watched/a', value: null });
  t.is(await one.kv.get('watched/a'), null);
});

test('a client goes on after kill -9 and restart of its server, its lock held', async (t) => {
  const dataDir = join(temporaryFolder(t), 'data');
  const before = await startServer(t, { dataDir });
  const one = await connect({ servers: [before.address], insecure: true, timeoutMs: 60_000 });
  t.teardown(() => one.close());
  const lock = await one.lock('files', { ttlMs: 60_000 });
  await one.append('file_0', 'a', { lock });
  await before.kill();
  const appending = one.append('file_0', 'b', { lock });
  await startServer(t, { dataDir, listen: before.address });
  await appending;
  t.true(lock.held);
  await lock.release();
  const { records } = await one.read('file_0');
  t.deepEqual(
    records.map(({ text }) => text),
    ['a', 'b'],
  );
});

for (const profile of ['coursework', 'default'] as const) {
  test(`rpc, ${profile}: the coursework's basic workflow, with its codes`, async (t) => {
    // A server of its own: the two profiles share the lock "files" with the tests above.
    const { address } = await startServer(t);
    const rpc = new RpcConnection({ insecure: true, profile });
    t.is(await RPC_init(rpc, 0, Number(address.split(':').at(-1)), 'localhost'), 0);
    t.is(rpc.message, 'Connected!');
    t.is(await RPC_append_file(rpc, 'file_7', 'x'), 2);
    t.is(await RPC_lock_acquire(rpc), 0);
    t.is(await RPC_append_file(rpc, 'file_7', 'hello\n'), 0);
    t.is(await RPC_append_file(rpc, 'file_100', 'x'), 1);
    t.is(await RPC_append_file(rpc, '../x', 'x'), 4);
    t.is(await RPC_append_file(rpc, 'a'.repeat(2_000), 'x'), 4);
    t.is(await RPC_append_file(rpc, 'file_7', ''), 4);
    t.is(await RPC_lock_release(rpc), 0);
    t.is(await RPC_lock_release(rpc), 2);
    t.is(await RPC_close(rpc), 0);
    t.is(rpc.message, 'Disconnected!');
  });
}

test('connect: a key given as text does what its file does, and a client without it is not heard', async (t) => {
  const { readFileSync } = await import('node:fs');
  const text = readFileSync(keyFile(), 'utf8');
  const one = await connect({ servers: [server().address], key: text });
  t.teardown(() => one.close());
  t.is((await one.ping()).length, 1);
  const stranger = await connect({ servers: [server().address], insecure: true, timeoutMs: 500 });
  t.teardown(() => stranger.close());
  await t.throwsAsync(stranger.ping(), { name: 'UnreachableError' });
  const wrong = join(temporaryFolder(t), 'wrong.key');
  writeFileSync(wrong, 'not a key\n', { mode: 0o600 });
  await t.throwsAsync(connect({ servers: [server().address], keyFile: wrong }), { name: 'KeyFileError' });
});
