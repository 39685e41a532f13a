// `bramble lab`: what it starts, what it says, and that nothing outlives it.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  bramble,
  ENTRY,
  eventually,
  isAlive,
  type Running,
  startBramble,
  startProgram,
  temporaryFolder,
} from '../support/processes.ts';

interface LabJson {
  readonly servers: readonly { readonly id: string; readonly address: string; readonly pid: number }[];
  readonly agents: readonly unknown[];
  readonly keyFile: string;
  readonly historyFile: string;
}

async function labJson(lab: Running): Promise<LabJson> {
  return JSON.parse(await lab.line(/^\{"servers"/)) as LabJson;
}

test.serial(
  'lab: lab.json while it runs, a workload in the history, and Ctrl-C stops everything',
  async (t) => {
    const folder = temporaryFolder(t);
    const lab = startBramble(t, ['lab', '--dir', 'lab', '--json'], { folder });
    const told = await labJson(lab);
    t.deepEqual(JSON.parse(readFileSync(join(folder, 'lab', 'lab.json'), 'utf8')), told as never);
    t.is(told.servers[0]?.id, 'n1');
    t.deepEqual(told.agents, []);
    const environment = {
      BRAMBLE_SERVERS: told.servers[0]?.address as string,
      BRAMBLE_KEY_FILE: told.keyFile,
    };
    t.is((await bramble(t, ['status'], { environment })).code, 0);
    await eventually(
      () =>
        existsSync(told.historyFile) &&
        /"op":"append".*"code":0/.test(readFileSync(told.historyFile, 'utf8')),
      'the workload appends',
    );
    lab.kill('SIGINT');
    const ended = await lab.ended;
    t.is(ended.code, 0, ended.stderr);
    t.false(isAlive(told.servers[0]?.pid as number));
    t.false(existsSync(join(folder, 'lab', 'lab.json')));
    for (const line of ended.stdout.toString().trim().split('\n').slice(1)) {
      t.is(typeof (JSON.parse(line) as { event: unknown }).event, 'string');
    }
  },
);

test.serial('lab: a terminal’s Ctrl-C, which every process of the group gets, is a clean end', async (t) => {
  const args = ['-w', process.execPath, ENTRY, 'lab', '--dir', 'lab', '--json'];
  const lab = startProgram(t, 'setsid', args, { folder: temporaryFolder(t) });
  const { servers } = await labJson(lab);
  await lab.line(/"event":"workload"/);
  process.kill(-lab.pid, 'SIGINT');
  const ended = await lab.ended;
  t.is(ended.code, 0, ended.stdout.toString() + ended.stderr);
  t.false(isAlive(servers[0]?.pid as number));
});

test.serial('lab: a smoke test in a folder with an earlier run is refused by name', async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'lab', 'n1'), { recursive: true });
  const ended = await bramble(t, ['lab', '--smoke', '--dir', 'lab'], { folder });
  t.is(ended.code, 78);
  t.regex(ended.stderr, /it holds an earlier run/);
});

test.serial('lab: kill -9 leaves no process', async (t) => {
  const lab = startBramble(t, ['lab', '--dir', 'lab', '--json'], { folder: temporaryFolder(t) });
  const { servers } = await labJson(lab);
  lab.kill('SIGKILL');
  await lab.ended;
  await eventually(() => servers.every((server) => !isAlive(server.pid)), 'the server has ended');
  t.pass();
});

test.serial('lab: a temporary folder is removed at the end', async (t) => {
  const lab = startBramble(t, ['lab', '--no-workload', '--json']);
  const { keyFile } = await labJson(lab);
  t.true(existsSync(keyFile));
  lab.kill('SIGTERM');
  t.is((await lab.ended).code, 0);
  t.false(existsSync(keyFile));
});

test.serial('lab: a port that was asked for and is busy is refused by name', async (t) => {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.teardown(() => void socket.close());
  const { port } = socket.address();
  const ended = await bramble(t, ['lab', '--port', String(port), '--dir', 'lab'], {
    folder: temporaryFolder(t),
  });
  t.is(ended.code, 78);
  t.true(ended.stderr.includes(`port ${port} is in use`), ended.stderr);
});

test.serial('lab: more servers than there can be is wrong usage', async (t) => {
  const ended = await bramble(t, ['lab', '--nodes', '3']);
  t.is(ended.code, 2);
  t.regex(ended.stderr, /one server is what there is/);
});
