// Records and keys by real commands: bytes in, the same bytes out.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ENTRY, eventually, type RunOptions, sharedServer, startProgram } from '../support/processes.ts';

const server = sharedServer(test, { secure: true });

/** Runs a command that must succeed and gives its stdout. */
async function ok(t: ExecutionContext, args: readonly string[], options: RunOptions = {}): Promise<Buffer> {
  const ended = await server().run(args, options);
  t.is(ended.code, 0, `${args.join(' ')}: ${ended.stderr}`);
  return ended.stdout;
}

const jsonLines = (output: Buffer): unknown[] =>
  output
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

test.serial('append prints the offset, as text and as JSON', async (t) => {
  await ok(t, ['log', 'create', 'offsets']);
  t.is((await ok(t, ['append', 'offsets', 'first'])).toString(), '0\n');
  t.deepEqual(jsonLines(await ok(t, ['append', 'offsets', 'second', '--json'])), [
    { log: 'offsets', offset: 1 },
  ]);
});

test.serial('append of stdin keeps every byte, and the plain file holds them', async (t) => {
  await ok(t, ['log', 'create', 'bytes']);
  const data = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
  await ok(t, ['append', 'bytes'], { input: data });
  const [record] = jsonLines(await ok(t, ['read', 'bytes', '--json'])) as {
    data: string;
    encoding?: string;
  }[];
  t.is(record?.encoding, 'base64');
  t.deepEqual(Buffer.from(record?.data ?? '', 'base64'), data);
  const file = join(server().dataDir, 'files', 'bytes');
  await eventually(() => readFileSync(file).equals(data), 'the plain file holds the record');
});

test.serial('append of 1 MiB is taken, of one byte more refused by name', async (t) => {
  await ok(t, ['log', 'create', 'large']);
  const data = Buffer.alloc(1_048_576, 'x');
  await ok(t, ['append', 'large'], { input: data });
  const read = await ok(t, ['read', 'large']);
  t.is(read.length, data.length + 1);
  t.is(
    createHash('sha256').update(read.subarray(0, -1)).digest('hex'),
    createHash('sha256').update(data).digest('hex'),
  );
  const refused = await server().run(['append', 'large'], { input: Buffer.alloc(1_048_577) });
  t.is(refused.code, 2);
  t.regex(refused.stderr, /more than 1 MiB/);
});

test.serial('append of an empty stdin is wrong usage', async (t) => {
  t.is((await server().run(['append', 'offsets'], { input: '' })).code, 2);
});

test.serial('append takes a text that begins with a dash after --', async (t) => {
  await ok(t, ['log', 'create', 'dash']);
  await ok(t, ['append', 'dash', '--', '--json']);
  t.is((await ok(t, ['read', 'dash'])).toString(), '--json\n');
});

test.serial('read puts a newline after a record unless it ends in one', async (t) => {
  await ok(t, ['log', 'create', 'lines']);
  await ok(t, ['append', 'lines', 'without']);
  await ok(t, ['append', 'lines'], { input: 'with\n' });
  await ok(t, ['append', 'lines', 'last']);
  t.is((await ok(t, ['read', 'lines'])).toString(), 'without\nwith\nlast\n');
});

test.serial('read takes --from and --limit, and tail without --follow ends', async (t) => {
  await ok(t, ['log', 'create', 'range']);
  for (const text of ['a', 'b', 'c', 'd']) await ok(t, ['append', 'range', text]);
  t.is((await ok(t, ['read', 'range', '--from', '1', '--limit', '2'])).toString(), 'b\nc\n');
  t.is((await ok(t, ['read', 'range', '--limit', '0'])).toString(), '');
  t.is((await ok(t, ['tail', 'range', '--from', '2'])).toString(), 'c\nd\n');
  t.is((await ok(t, ['read', 'range', '--from', '4'])).toString(), '');
});

test.serial('a trimmed log is read from what is kept, and code 8 says what is not', async (t) => {
  await ok(t, ['log', 'create', 'trimmed']);
  for (const text of ['a', 'b', 'c']) await ok(t, ['append', 'trimmed', text]);
  await ok(t, ['log', 'trim', 'trimmed', '--before', '2']);
  t.is((await ok(t, ['read', 'trimmed'])).toString(), 'c\n');
  t.is((await ok(t, ['tail', 'trimmed'])).toString(), 'c\n');
  const refused = await server().run(['read', 'trimmed', '--from', '0']);
  t.is(refused.code, 4);
  t.regex(refused.stderr, /code 8.*\[trimmed-away\]/s);
});

test.serial('tail --follow prints what comes', async (t) => {
  await ok(t, ['log', 'create', 'followed']);
  await ok(t, ['append', 'followed', 'before']);
  const tail = server().start(['tail', 'followed', '--follow', '--json']);
  await tail.line(/"before"/);
  await ok(t, ['append', 'followed', 'after']);
  t.deepEqual(JSON.parse(await tail.line(/"after"/)), { log: 'followed', offset: 1, data: 'after' });
});

test.serial('a closed stdout ends a command quietly', async (t) => {
  await ok(t, ['log', 'create', 'piped']);
  for (let index = 0; index < 3; index++) await ok(t, ['append', 'piped'], { input: 'x\n'.repeat(100_000) });
  const script = `"$0" "$1" tail piped --follow | head -n 1; exit "\${PIPESTATUS[0]}"`;
  const ended = await startProgram(t, 'bash', ['-c', script, process.execPath, ENTRY], {
    environment: server().environment,
  }).ended;
  t.is(ended.stdout.toString(), 'x\n');
  t.is(ended.stderr, '');
  t.is(ended.code, 0);
});

test.serial(
  'append --lock acquires and releases; --lock and --token use a lock that somebody holds',
  async (t) => {
    await ok(t, ['append', 'file_5', 'alone', '--lock', 'files']);
    const holder = server().start(['lock', 'files']);
    const token = await holder.line(/^\d+$/);
    await ok(t, ['append', 'file_5', 'held', '--lock', 'files', '--token', token]);
    await ok(t, ['append', 'file_5', 'by environment'], {
      environment: { BRAMBLE_LOCK: 'files', BRAMBLE_TOKEN: token },
    });
    holder.kill('SIGINT');
    t.is((await holder.ended).code, 0);
    const late = await server().run(['append', 'file_5', 'late', '--lock', 'files', '--token', token]);
    t.is(late.code, 4);
    t.regex(late.stderr, /\[token-not-current\]/);
    t.is((await ok(t, ['read', 'file_5'])).toString(), 'alone\nheld\nby environment\n');
  },
);

test.serial('append --lock of another lock does not use the token in the environment', async (t) => {
  await ok(t, ['log', 'create', 'other', '--guard', 'other']);
  await ok(t, ['append', 'other', 'x', '--lock', 'other'], {
    environment: { BRAMBLE_LOCK: 'files', BRAMBLE_TOKEN: '999999' },
  });
  t.pass();
});

test.serial('log list shows guards and counts; delete takes a log away', async (t) => {
  await ok(t, ['log', 'create', 'listed', '--guard', 'keeper']);
  const find = async () =>
    (jsonLines(await ok(t, ['log', 'list', '--json'])) as { log: string }[]).find(
      ({ log }) => log === 'listed',
    );
  t.deepEqual(await find(), { log: 'listed', guard: 'keeper', start: 0, count: 0, bytes: 0 } as never);
  await ok(t, ['log', 'delete', 'listed']);
  t.is(await find(), undefined);
  t.is((await server().run(['log', 'delete', 'listed'])).code, 4);
});

test.serial('kv: put, get, cas, delete and list, as text and as JSON', async (t) => {
  await ok(t, ['kv', 'put', 'kv/a', 'one']);
  t.is((await ok(t, ['kv', 'get', 'kv/a'])).toString(), 'one\n');
  await ok(t, ['kv', 'put', 'kv/b'], { input: 'from stdin' });
  await ok(t, ['kv', 'cas', 'kv/a', 'one', 'two']);
  await ok(t, ['kv', 'cas', '--absent', 'kv/c', 'new']);
  t.is((await server().run(['kv', 'cas', '--absent', 'kv/c', 'new'])).code, 1);
  t.is((await ok(t, ['kv', 'list', 'kv/'])).toString(), 'kv/a\ttwo\nkv/b\tfrom stdin\nkv/c\tnew\n');
  const [entry] = jsonLines(await ok(t, ['kv', 'get', 'kv/a', '--json'])) as { revision: number }[];
  t.deepEqual(entry, { key: 'kv/a', value: 'two', revision: entry?.revision } as never);
  const [deleted] = jsonLines(await ok(t, ['kv', 'delete', 'kv/a', '--json'])) as { value: null }[];
  t.is(deleted?.value, null);
  t.is((await server().run(['kv', 'get', 'kv/a'])).code, 1);
});

test.serial('kv put of stdin that is too long or not UTF-8 is wrong usage', async (t) => {
  t.is((await server().run(['kv', 'put', 'k'], { input: 'x'.repeat(2_049) })).code, 2);
  t.is((await server().run(['kv', 'put', 'k'], { input: Buffer.from([0xff, 0xfe]) })).code, 2);
  t.is((await server().run(['kv', 'put', 'k'], { input: 'x'.repeat(2_048) })).code, 0);
});

test.serial('kv watch prints changes and deletions', async (t) => {
  await ok(t, ['kv', 'put', 'watch/a', '1']);
  const watch = server().start(['kv', 'watch', 'watch/', '--initial', '--json']);
  await watch.line(/"1"/);
  await ok(t, ['kv', 'put', 'watch/a', '2']);
  await ok(t, ['kv', 'delete', 'watch/a']);
  const line = JSON.parse(await watch.line(/"value":null/)) as { key: string };
  t.is(line.key, 'watch/a');
  t.regex(watch.stdout, /"value":"2"/);
});

test.serial('status --json is one object with leader, term and members', async (t) => {
  const [status, ...more] = jsonLines(await ok(t, ['status', '--json'])) as {
    leader: string;
    term: number;
    members: { id: string; address: string; role: string; voter: boolean; reachable: boolean }[];
  }[];
  t.deepEqual(more, []);
  t.is(status?.leader, 'n1');
  t.true((status?.term ?? 0) >= 1);
  const [member] = status?.members ?? [];
  t.is(member?.id, 'n1');
  t.is(member?.address, server().address);
  t.is(member?.role, 'leader');
  t.true(member?.voter);
  t.true(member?.reachable);
});

test.serial('ping --json says node and round trip', async (t) => {
  const [pong] = jsonLines(await ok(t, ['ping', '--json'])) as { node: string; roundTripMs: number }[];
  t.is(pong?.node, 'n1');
  t.true((pong?.roundTripMs ?? 0) > 0);
});

test.serial('an observer’s key looks at the cluster, and at nothing that people stored', async (t) => {
  const clusterKey = server().environment.BRAMBLE_KEY_FILE as string;
  const observer = `${clusterKey}.observer`;
  await ok(t, ['key', 'derive', clusterKey, '--role', 'observer', observer]);
  const environment = { BRAMBLE_KEY_FILE: observer };
  for (const args of [['ping'], ['status'], ['lock', 'list'], ['log', 'list']])
    await ok(t, args, { environment });
  for (const args of [
    ['read', 'file_99'],
    ['kv', 'get', 'k'],
    ['append', 'offsets', 'x'],
    ['lock', 'x', '--try'],
  ]) {
    const refused = await server().run(args, { environment });
    t.is(refused.code, 4, args.join(' '));
    t.regex(refused.stderr, /\[not-allowed-for-this-key\]/);
  }
});

test.serial('a server’s key of another cluster gets no answer', async (t) => {
  const other = `${server().environment.BRAMBLE_KEY_FILE as string}.other`;
  await ok(t, ['key', 'new', other]);
  const ended = await server().run(['ping', '--timeout', '1s'], { environment: { BRAMBLE_KEY_FILE: other } });
  t.is(ended.code, 5);
});
