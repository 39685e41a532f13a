// A real server on a small file system that somebody else fills up. Needs root, for the mount.

import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { connect } from '#core/index.ts';
import { bramble, eventually, startServer, type TestServer, temporaryFolder } from '../support/processes.ts';

/** Ballast takes a sixteenth, and the disk counts as low below as much free space. */
const SIZE = '24m';

/** A tmpfs of its own, gone when the test has ended. */
function mountSmall(t: ExecutionContext): string {
  const folder = join(temporaryFolder(t), 'disk');
  mkdirSync(folder);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'bramble-test', folder]);
  // Teardowns run backwards: the server is gone by then. Lazily, should something else look into it.
  t.teardown(() => void execFileSync('umount', ['-l', folder]));
  return folder;
}

/** Another file that takes every byte that is left. */
function fill(folder: string): void {
  const descriptor = openSync(join(folder, 'filler'), 'a');
  try {
    for (const size of [1_048_576, 4_096, 1]) {
      try {
        for (;;) writeSync(descriptor, Buffer.alloc(size, 1));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    }
  } finally {
    closeSync(descriptor);
  }
}

function makeRoom(folder: string): void {
  rmSync(join(folder, 'filler'));
}

async function untilRefused(server: TestServer): Promise<void> {
  await eventually(async () => {
    const { code } = await server.run(['append', 'open', 'x']);
    return code === 4;
  }, 'an append is refused');
}

async function metric(server: TestServer, name: string): Promise<number> {
  const client = await connect({ servers: [server.address], insecure: true });
  try {
    const { servers } = await client.status();
    return servers[0]?.status?.metrics.find((one) => one.name === name)?.value ?? 0;
  } finally {
    await client.close();
  }
}

test('server: on a full disk refuses what grows with code 5, renews and releases, and goes on when there is room', async (t) => {
  t.timeout(120_000);
  const folder = mountSmall(t);
  const dataDir = join(folder, 'data');
  const server = await startServer(t, { dataDir });
  const client = await connect({ servers: [server.address], insecure: true });
  t.teardown(() => client.close());
  await client.logs.create('open');
  await client.append('open', 'before\n');
  await client.kv.put('colour', 'red');
  for (let key = 0; key < 300; key++) await client.kv.put(`key-${key}`, 'x');
  const held = await client.lock('held');
  const waiting = client.lock('held');

  fill(folder);
  await untilRefused(server);
  const since = client.clock.now();
  for (const args of [
    ['append', 'open', 'during'],
    ['kv', 'put', 'colour', 'blue'],
    ['lock', 'another', '--try', '--', 'true'],
  ]) {
    const { code, stderr } = await server.run(args);
    t.is(code, 4, `${args.join(' ')}: ${stderr}`);
    t.regex(stderr, /code 5/, args.join(' '));
    t.regex(stderr, /disk-full/, args.join(' '));
  }
  for (const refused of [
    () => client.append('open', 'during\n'),
    () => client.kv.put('colour', 'blue'),
    () => client.lock('another'),
  ]) {
    const error = (await t.throwsAsync(refused)) as Error & { code: number; reason: string };
    t.is(error.code, 5);
    t.is(error.reason, 'disk-full');
  }
  t.is((await client.kv.get('colour'))?.value, 'red', 'reads go on');
  const status = await server.run(['status']);
  t.regex(status.stdout.toString() + status.stderr, /disk (nearly )?full/);

  await eventually(() => client.clock.now() > since + 4 * held.ttlMs, 'four leases pass');
  t.true(held.held, 'renewals go on');
  await held.release();
  const next = await waiting;
  t.true(next.token > held.token, 'a release goes on, and passes the lock to whoever waited');
  await next.release();
  // Far more than what was free in the blocks that the server had: the ballast gives way.
  const ballast = statSync(join(dataDir, 'reserve')).size;
  for (let key = 0; key < 300; key++) await client.kv.delete(`key-${key}`);
  t.true((await metric(server, 'no_space')) > 0, 'writes met the full disk');
  t.true(statSync(join(dataDir, 'reserve')).size < ballast, 'and got room from the ballast');

  makeRoom(folder);
  await eventually(async () => {
    const { code } = await server.run(['append', 'open', 'after']);
    return code === 0;
  }, 'appends go on');
  const { records } = await client.read('open');
  const texts = records.map((record) => record.text);
  t.is(texts[0], 'before\n');
  t.is(texts.at(-1), 'after');
  t.false(texts.includes('during') || texts.includes('during\n'), 'nothing that was refused is there');
  await eventually(() => statSync(join(dataDir, 'reserve')).size === ballast, 'the ballast is filled again');
  t.false(server.running.hasEnded);
});

test('server: killed while the disk is full, and started again while it is', async (t) => {
  t.timeout(120_000);
  const folder = mountSmall(t);
  const dataDir = join(folder, 'data');
  const first = await startServer(t, { dataDir });
  const client = await connect({ servers: [first.address], insecure: true });
  t.teardown(() => client.close());
  await client.logs.create('open');
  await client.append('open', 'before\n');
  const held = await client.lock('held', { ttlMs: 60_000 });
  fill(folder);
  await untilRefused(first);
  await first.kill();
  // Whatever the dead server gave back is taken, too.
  fill(folder);
  const last = await startServer(t, { dataDir, listen: first.address });
  t.is((await client.read('open')).records[0]?.text, 'before\n');
  t.true(held.held, 'its locks are as they were');
  await held.release();
  const refused = await last.run(['append', 'open', 'during']);
  t.is(refused.code, 4, refused.stderr);
  last.running.kill('SIGTERM');
  t.is((await last.running.ended).code, 0, 'a clean stop while it is full');
  fill(folder);
  const full = await startServer(t, { dataDir, listen: first.address });
  makeRoom(folder);
  await eventually(async () => (await full.run(['append', 'open', 'after'])).code === 0, 'appends go on');
  t.deepEqual(
    (await client.read('open')).records.map((record) => record.text),
    ['before\n', 'after'],
  );
});

test('server: does not start on a disk that is full from the beginning, and says why', async (t) => {
  const folder = mountSmall(t);
  fill(folder);
  const args = ['server', '--insecure', '--listen', '127.0.0.1:0', '--data', join(folder, 'data')];
  const { code, stderr } = await bramble(t, args);
  t.not(code, 0);
  t.regex(stderr, /ENOSPC|no space/i);
});
