// A whole server whose disk fills up, by injected ENOSPC. On a real file system: test/system/full-disk.system.ts.

import test, { type ExecutionContext } from 'ava';
import type { Client } from '#core/client/client.ts';
import { FaultyFileSystem } from '../support/faulty-file-system.ts';
import { MemoryNetwork } from '../support/memory-network.ts';
import { eventually } from '../support/processes.ts';
import { testClock } from '../support/storage-kit.ts';
import { connectWhole, startWholeServer, visibleState, type WholeServer } from '../support/whole-server.ts';

const RESERVE_BYTES = 65_536;
const ROOM_BYTES = 8 * 1_048_576;

interface Setting {
  readonly disk: FaultyFileSystem;
  readonly network: MemoryNetwork;
  readonly server: WholeServer;
  readonly client: Client;
}

async function start(t: ExecutionContext, seed: number): Promise<Setting> {
  const disk = new FaultyFileSystem();
  disk.capacityBytes = ROOM_BYTES;
  const network = new MemoryNetwork({ clock: testClock, seed });
  const server = await startWholeServer({ disk, network, seed, reserveBytes: RESERVE_BYTES });
  t.teardown(() => server.die());
  const client = connectWhole(network);
  t.teardown(() => client.close());
  await client.logs.create('open');
  await client.append('open', 'before\n');
  return { disk, network, server, client };
}

/** From now on not one block more fits. */
async function fill({ disk, server }: Setting): Promise<void> {
  const { freeBytes } = await disk.space();
  disk.capacityBytes -= freeBytes;
  await eventually(() => server.storage.space !== 'ok', 'the server notices');
}

async function assertRefused(t: ExecutionContext, what: string, run: () => Promise<unknown>): Promise<void> {
  const error = (await t.throwsAsync(run, undefined, what)) as Error & { code: number; reason: string };
  t.is(error.code, 5, what);
  t.is(error.reason, 'disk-full', what);
}

test('server: with a full disk refuses what grows and lets go on what frees or keeps, until there is room', async (t) => {
  const setting = await start(t, 1);
  const { disk, server, client } = setting;
  for (let key = 0; key < 200; key++) await client.kv.put(`key-${key}`, 'x');
  const held = await client.lock('held');
  const waiting = client.lock('held');
  await fill(setting);
  await assertRefused(t, 'append', () => client.append('open', 'during\n'));
  await assertRefused(t, 'put', () => client.kv.put('key-0', 'y'));
  await assertRefused(t, 'cas', () => client.kv.cas('key-0', 'x', 'y'));
  await assertRefused(t, 'acquire', () => client.lock('another'));
  await assertRefused(t, 'create', () => client.logs.create('more'));
  t.regex(server.server.status().health, /^disk (nearly )?full/);
  t.is((await client.kv.get('key-0'))?.value, 'x');

  let renewals = 0;
  held.onRenewed(() => {
    renewals += 1;
  });
  await eventually(() => renewals >= 2, 'renewals go on');
  await held.release();
  const next = await waiting;
  t.true(next.token > held.token);
  await next.release();
  for (let key = 0; key < 200; key++) await client.kv.delete(`key-${key}`);
  t.true(server.storage.counters.noSpace > 0, 'the ballast was needed');

  disk.capacityBytes += ROOM_BYTES;
  await eventually(() => server.storage.space === 'ok', 'the server notices that there is room');
  await client.append('open', 'after\n');
  const { records } = await client.read('open');
  t.deepEqual(
    records.map((record) => record.text),
    ['before\n', 'after\n'],
  );
});

test('server: beyond its ballast waits with what is in the log, loses nothing, and goes on when there is room', async (t) => {
  const setting = await start(t, 2);
  const { disk, server, client } = setting;
  for (let key = 0; key < 20; key++) await client.kv.put(`key-${key}`, 'x');
  await fill(setting);
  // Whatever the ballast gives back is taken at once.
  disk.capacityBytes = 0;
  // Fewer than a session's window, so that the next request finds a place.
  const deletions = Array.from({ length: 20 }, (_, key) => client.kv.delete(`key-${key}`));
  await eventually(() => server.storage.space === 'full', 'the ballast is gone');
  t.regex(server.server.status().health, /^disk full/);
  await assertRefused(t, 'put', () => client.kv.put('colour', 'red'));
  disk.capacityBytes = 2 * ROOM_BYTES;
  await Promise.all(deletions);
  await eventually(() => server.storage.space === 'ok', 'the server notices that there is room');
  await client.kv.put('colour', 'red');
  const { keys } = (await visibleState(client)) as { keys: Record<string, string> };
  t.deepEqual(keys, { colour: 'red' });
});

test('server: with no room for its own files says so once and not at every try', async (t) => {
  const disk = new FaultyFileSystem();
  // Identity and log fit; the files of the logs do not.
  disk.capacityBytes = 3 * 4_096;
  const network = new MemoryNetwork({ clock: testClock, seed: 5 });
  const server = await startWholeServer({ disk, network, seed: 5, reserveBytes: RESERVE_BYTES });
  t.teardown(() => server.die());
  await eventually(() => server.storage.counters.noSpace > 6, 'it is tried again and again');
  const said = server.logger.lines.filter(({ message }) => message.startsWith('disk space'));
  t.deepEqual(said.map(({ message }) => message).slice(-1), ['disk space is full']);
  t.true(said.length <= 3, `said ${said.length} times`);
  disk.capacityBytes = ROOM_BYTES;
  const client = connectWhole(network);
  t.teardown(() => client.close());
  await eventually(() => server.storage.space === 'ok', 'the server notices that there is room');
  await client.kv.put('colour', 'red');
});

test('server: dies while the disk is full and starts again while it is', async (t) => {
  const setting = await start(t, 3);
  const { disk, network, server, client } = setting;
  const held = await client.lock('held', { ttlMs: 60_000 });
  await fill(setting);
  await assertRefused(t, 'append', () => client.append('open', 'during\n'));
  server.die();
  const after = disk.reboot();
  after.capacityBytes = disk.capacityBytes;
  const again = await startWholeServer({ disk: after, network, seed: 4, reserveBytes: RESERVE_BYTES });
  t.teardown(() => again.die());
  t.is((await client.read('open')).records[0]?.text, 'before\n');
  await assertRefused(t, 'append', () => client.append('open', 'during\n'));
  t.true(held.held);
  await held.release();
  after.capacityBytes = 2 * ROOM_BYTES;
  await eventually(() => again.storage.space === 'ok', 'the server notices that there is room');
  await client.append('open', 'after\n');
  t.is((await client.read('open')).count, 2);
});
