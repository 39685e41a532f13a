// Every exit code, by real commands against a real server.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  bramble,
  type RunOptions,
  sharedServer,
  type Teardown,
  temporaryFolder,
} from '../support/processes.ts';

const server = sharedServer(test);

const cases: readonly {
  readonly what: string;
  readonly args: readonly string[];
  readonly exit: number;
  readonly stderr?: RegExp;
  readonly options?: RunOptions;
}[] = [
  { what: 'ping', args: ['ping'], exit: 0 },
  {
    what: 'kv get of a key that is absent',
    args: ['kv', 'get', 'absent'],
    exit: 1,
    stderr: /no key "absent"/,
  },
  { what: 'kv delete of a key that is absent', args: ['kv', 'delete', 'absent'], exit: 1 },
  { what: 'kv cas that does not match', args: ['kv', 'cas', 'absent', 'a', 'b'], exit: 1 },
  { what: 'an unknown flag', args: ['ping', '--severs', 'x'], exit: 2, stderr: /did you mean --servers\?/ },
  { what: 'a bare number as duration', args: ['ping', '--timeout', '10'], exit: 2 },
  { what: 'a lock name that is none', args: ['lock', '../x', '--try'], exit: 2, stderr: /a name is/ },
  { what: 'a log name that is none', args: ['append', '.hidden', 'x'], exit: 2, stderr: /a name is/ },
  { what: 'a key that is none', args: ['kv', 'get', 'a[b]'], exit: 2, stderr: /printable ASCII/ },
  { what: 'a token without its lock', args: ['append', 'file_0', 'x', '--token', '3'], exit: 2 },
  { what: 'an empty record', args: ['append', 'file_0', ''], exit: 2, stderr: /no bytes/ },
  { what: 'release without --force', args: ['lock', 'release', 'x'], exit: 2, stderr: /--force/ },
  { what: 'trim without --before', args: ['log', 'trim', 'file_0'], exit: 2, stderr: /--before/ },
  { what: 'cas without NEW', args: ['kv', 'cas', 'a', 'b'], exit: 2 },
  { what: 'a server that is no address', args: ['ping', '--servers', 'a:b:c'], exit: 2 },
  { what: 'a log that is not there', args: ['read', 'nowhere'], exit: 4, stderr: /code 1.*\[no-such-log\]/s },
  { what: 'an append to file_100', args: ['append', 'file_100', 'x'], exit: 4, stderr: /code 1/ },
  {
    what: 'an append to a guarded log without a token',
    args: ['append', 'file_0', 'x'],
    exit: 4,
    stderr: /code 2.*\[token-required\]/s,
  },
  {
    what: 'an append under a token that nobody holds',
    args: ['append', 'file_0', 'x', '--lock', 'files', '--token', '999999'],
    exit: 4,
    stderr: /code 2.*\[token-not-current\]/s,
  },
  {
    what: 'creating a log that is there',
    args: ['log', 'create', 'file_0'],
    exit: 4,
    stderr: /\[log-exists\]/,
  },
  {
    what: 'a server that does not answer',
    args: ['append', 'file_0', 'x', '--servers', '127.0.0.1:9', '--timeout', '300ms'],
    exit: 5,
  },
  {
    what: 'ping where nobody answers',
    args: ['ping', '--servers', '127.0.0.1:9', '--timeout', '300ms'],
    exit: 5,
  },
  {
    what: 'BRAMBLE_TIMEOUT without unit',
    args: ['ping'],
    options: { environment: { BRAMBLE_TIMEOUT: '10' } },
    exit: 78,
    stderr: /BRAMBLE_TIMEOUT must be/,
  },
  {
    what: 'neither key nor --insecure',
    args: ['ping'],
    options: { environment: { BRAMBLE_INSECURE: '0' } },
    exit: 78,
    stderr: /There is no key/,
  },
  {
    what: 'a key file that is not there',
    args: ['ping', '--key-file', 'none.key'],
    exit: 78,
    stderr: /none\.key/,
  },
];
for (const { what, args, exit, stderr, options } of cases) {
  test.serial(`${what}: exit ${exit}`, async (t) => {
    const ended = await server().run(args, options);
    t.is(ended.code, exit, ended.stderr);
    if (stderr !== undefined) t.regex(ended.stderr, stderr);
    if (exit !== 0) t.is(ended.stdout.toString(), '', 'a failure prints nothing on stdout');
  });
}

test.serial('a file that is no key: exit 78, and nothing of it is quoted', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'bad.key'), 'secret stuff\n');
  const ended = await server().run(['ping', '--key-file', 'bad.key'], { folder });
  t.is(ended.code, 78);
  t.false(ended.stderr.includes('secret'));
});

test.serial('an append whose answer is lost: exit 3', async (t) => {
  const relay = await relayThatFallsSilent(t, server().address, 'needle');
  const ended = await server().run(['append', 'unknown-outcome', 'needle', '--timeout', '5s'], {
    environment: { BRAMBLE_SERVERS: relay },
  });
  t.is(ended.code, 3, ended.stderr);
  t.regex(ended.stderr, /may or may not have happened/);
});

test.serial('lock --try, --wait and --conflict-exit-code while another holds it', async (t) => {
  const holder = server().start(['lock', 'conflict']);
  await holder.line(/^\d+$/);
  t.is((await server().run(['lock', 'conflict', '--try'])).code, 1);
  t.is((await server().run(['lock', 'conflict', '--wait', '100ms', '--', 'true'])).code, 1);
  const own = await server().run(['lock', 'conflict', '--try', '--conflict-exit-code', '9', '--', 'true']);
  t.is(own.code, 9);
  t.regex(own.stderr, /it is held/);
  holder.kill('SIGINT');
  t.is((await holder.ended).code, 0);
  t.is((await server().run(['lock', 'conflict', '--try', '--', 'true'])).code, 0);
});

test.serial('key new and key derive: modes, roles, never over another file', async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'keys'));
  t.is((await bramble(t, ['key', 'new', 'keys/c'], { folder })).code, 0);
  t.is((await bramble(t, ['key', 'new', 'keys/c'], { folder })).code, 2);
  t.is((await bramble(t, ['key', 'derive', 'keys/c', '--role', 'client', 'keys/k'], { folder })).code, 0);
  t.is((await bramble(t, ['key', 'derive', 'keys/c', '--role', 'king', 'keys/x'], { folder })).code, 2);
  t.is((await bramble(t, ['key', 'derive', 'keys/c', 'keys/x'], { folder })).code, 2);
  t.is((await bramble(t, ['key', 'derive', 'keys/k', '--role', 'observer', 'keys/x'], { folder })).code, 78);
});

/** Passes datagrams both ways until one towards the server holds `text`; from then on nothing comes back. */
async function relayThatFallsSilent(t: Teardown, target: string, text: string): Promise<string> {
  const [host, port] = target.split(':') as [string, string];
  const front = createSocket('udp4');
  const back = createSocket('udp4');
  let client: { port: number; address: string } | null = null;
  let silent = false;
  front.on('message', (datagram, from) => {
    client = from;
    if (datagram.includes(text)) silent = true;
    back.send(datagram, Number(port), host);
  });
  back.on('message', (datagram) => {
    if (!silent && client !== null) front.send(datagram, client.port, client.address);
  });
  front.bind(0, '127.0.0.1');
  await once(front, 'listening');
  t.teardown(() => {
    front.close();
    back.close();
  });
  return `127.0.0.1:${front.address().port}`;
}
