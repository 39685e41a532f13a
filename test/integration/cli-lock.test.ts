// `bramble lock NAME -- CMD`: the wrapper, its watcher, and what happens to CMD when one of them dies.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  eventually,
  isAlive,
  type Running,
  sharedServer,
  startProgram,
  startServer,
  temporaryFolder,
} from '../support/processes.ts';

const server = sharedServer(test);

/** A job that says its own pid and that of a child, and then goes on for long. */
const LONG_JOB = 'sleep 600 & echo "job $$ $!"; wait';

async function jobPids(running: Running): Promise<[number, number]> {
  const [, shell, child] = (await running.line(/^job /)).split(' ');
  return [Number(shell), Number(child)];
}

async function gone(pids: readonly number[]): Promise<void> {
  await eventually(() => pids.every((pid) => !isRunning(pid)), `processes ${pids.join(', ')} have ended`);
}

/** A zombie that nobody has collected yet does not run. */
function isRunning(pid: number): boolean {
  if (!isAlive(pid)) return false;
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function free(t: ExecutionContext, name: string): Promise<void> {
  const next = await server().run(['lock', name, '--wait', '30s', '--', 'true']);
  t.is(next.code, 0, next.stderr);
}

/** The watcher of a wrapper, by its parent and its word. */
async function watcherOf(wrapper: number): Promise<number> {
  const text = readFileSync(`/proc/${wrapper}/task/${wrapper}/children`, 'utf8');
  for (const pid of text.trim().split(' ').map(Number)) {
    if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('__watch')) return pid;
  }
  throw new Error(`wrapper ${wrapper} has no watcher`);
}

test.serial('CMD’s own exit code is the wrapper’s', async (t) => {
  t.is((await server().run(['lock', 'exit', '--', 'sh', '-c', 'exit 0'])).code, 0);
  t.is((await server().run(['lock', 'exit', '--', 'sh', '-c', 'exit 41'])).code, 41);
});

test.serial('CMD that a signal ended gives 128 + n', async (t) => {
  t.is((await server().run(['lock', 'signal', '--', 'sh', '-c', 'kill -TERM $$'])).code, 143);
  t.is((await server().run(['lock', 'signal', '--', 'sh', '-c', 'kill -KILL $$'])).code, 137);
});

test.serial(
  'CMD that is not there gives 127, one that is no program 126, and the lock is free again',
  async (t) => {
    const folder = temporaryFolder(t);
    t.is((await server().run(['lock', 'start', '--', 'no-such-program'])).code, 127);
    const notExecutable = await server().run(['lock', 'start', '--', folder]);
    t.is(notExecutable.code, 126);
    t.regex(notExecutable.stderr, /Cannot run/);
    t.is((await server().run(['lock', 'start', '--try', '--', 'true'])).code, 0);
  },
);

test.serial('CMD gets stdin, arguments as they are, the lock’s name and its token', async (t) => {
  const script = 'cat; printf "%s|" "$@"; echo "$BRAMBLE_LOCK $BRAMBLE_TOKEN"';
  const ended = await server().run(['lock', 'environment', '--', 'sh', '-c', script, 'sh', 'a b', '--json'], {
    input: 'from stdin\n',
  });
  t.regex(ended.stdout.toString(), /^from stdin\na b\|--json\|environment \d+\n$/);
});

test.serial('CMD inherits no descriptor of the wrapper’s', async (t) => {
  // What the test itself has open and hands down is there with and without the wrapper.
  const bare = await startProgram(t, 'ls', ['/proc/self/fd']).ended;
  const ended = await server().run(['lock', 'descriptors', '--', 'ls', '/proc/self/fd']);
  t.is(ended.stdout.toString(), bare.stdout.toString());
});

test.serial('an append inside CMD uses the lock and the token by itself', async (t) => {
  const command = [
    process.execPath,
    join(import.meta.dirname, '../../agent/main.ts'),
    'append',
    'file_1',
    'in CMD',
  ];
  const ended = await server().run(['lock', 'files', '--', ...command]);
  t.is(ended.code, 0, ended.stderr);
  t.regex(ended.stdout.toString(), /^\d+\n$/);
});

test.serial('--json prints the lock and its token once held', async (t) => {
  const ended = await server().run(['lock', 'json', '--json', '--', 'true']);
  const line = JSON.parse(ended.stdout.toString()) as { lock: string; token: number };
  t.is(line.lock, 'json');
  t.true(line.token >= 1);
});

test.serial('without CMD the token is printed, and Ctrl-C releases and exits 0', async (t) => {
  const holder = server().start(['lock', 'hold']);
  await holder.line(/^\d+$/);
  holder.kill('SIGINT');
  t.is((await holder.ended).code, 0);
  t.is((await server().run(['lock', 'hold', '--try', '--', 'true'])).code, 0);
});

test.serial('Ctrl-C while waiting ends with 130, and the waiter is gone', async (t) => {
  const holder = server().start(['lock', 'interrupted']);
  await holder.line(/^\d+$/);
  const waiter = server().start(['lock', 'interrupted', '--', 'true']);
  const waiters = async (): Promise<number> => {
    const list = await server().run(['lock', 'list', '--json']);
    const lines = list.stdout
      .toString()
      .trim()
      .split('\n')
      .filter((line) => line !== '');
    const locks = lines.map((line) => JSON.parse(line) as { lock: string; waiters: unknown[] });
    return locks.find((lock) => lock.lock === 'interrupted')?.waiters.length ?? 0;
  };
  await eventually(async () => (await waiters()) === 1, 'it waits');
  waiter.kill('SIGINT');
  t.is((await waiter.ended).code, 130);
  t.is(await waiters(), 0);
  holder.kill('SIGTERM');
  t.is((await holder.ended).code, 0);
});

test.serial('the wrapper killed with SIGKILL: CMD’s whole group ends, and the lock passes on', async (t) => {
  const wrapper = server().start(['lock', 'killed', '--', 'sh', '-c', LONG_JOB]);
  const pids = await jobPids(wrapper);
  wrapper.kill('SIGKILL');
  await gone(pids);
  await free(t, 'killed');
});

test.serial(
  'the wrapper killed with SIGKILL: CMD that ignores TERM is killed before the lease ends',
  async (t) => {
    const script = `trap "" TERM; ${LONG_JOB}`;
    const wrapper = server().start(['lock', 'ignored', '--', 'sh', '-c', script]);
    const pids = await jobPids(wrapper);
    wrapper.kill('SIGKILL');
    await gone(pids);
    await free(t, 'ignored');
  },
);

test.serial('the wrapper stopped: CMD ends within the lease, and 75 when the wrapper goes on', async (t) => {
  const wrapper = server().start(['lock', 'stopped', '--', 'sh', '-c', LONG_JOB]);
  const pids = await jobPids(wrapper);
  wrapper.kill('SIGSTOP');
  await gone(pids);
  await free(t, 'stopped');
  wrapper.kill('SIGCONT');
  const ended = await wrapper.ended;
  t.is(ended.code, 75, ended.stderr);
});

test.serial('the watcher killed: the wrapper ends CMD’s group and exits 75', async (t) => {
  const wrapper = server().start(['lock', 'watcher', '--', 'sh', '-c', LONG_JOB]);
  const pids = await jobPids(wrapper);
  process.kill(await watcherOf(wrapper.pid), 'SIGKILL');
  const ended = await wrapper.ended;
  t.is(ended.code, 75);
  t.regex(ended.stderr, /watcher over sh died/);
  await gone(pids);
  await free(t, 'watcher');
});

test.serial('the lock taken away: CMD is stopped, 75', async (t) => {
  const wrapper = server().start(['lock', 'forced', '--', 'sh', '-c', LONG_JOB]);
  const pids = await jobPids(wrapper);
  t.is((await server().run(['lock', 'release', 'forced', '--force'])).code, 0);
  const ended = await wrapper.ended;
  t.is(ended.code, 75);
  t.regex(ended.stderr, /sh was stopped/);
  await gone(pids);
});

test.serial('the lock taken away from a hold without CMD: 75', async (t) => {
  const holder = server().start(['lock', 'forced-hold']);
  await holder.line(/^\d+$/);
  t.is((await server().run(['lock', 'release', 'forced-hold', '--force'])).code, 0);
  t.is((await holder.ended).code, 75);
});

test.serial('the server killed: CMD is stopped before its lease ends, 75', async (t) => {
  const own = await startServer(t);
  const wrapper = own.start(['lock', 'orphan', '--', 'sh', '-c', LONG_JOB]);
  const pids = await jobPids(wrapper);
  await own.kill();
  const ended = await wrapper.ended;
  t.is(ended.code, 75, ended.stderr);
  await gone(pids);
});

test.serial('TERM to the wrapper reaches CMD, which decides how it ends', async (t) => {
  const script = 'trap "echo told; exit 7" TERM; echo ready; while :; do sleep 0.05; done';
  const wrapper = server().start(['lock', 'forwarded', '--', 'sh', '-c', script]);
  await wrapper.line(/^ready$/);
  wrapper.kill('SIGTERM');
  const ended = await wrapper.ended;
  t.is(ended.code, 7);
  t.regex(ended.stdout.toString(), /told/);
  t.is((await server().run(['lock', 'forwarded', '--try', '--', 'true'])).code, 0);
});

test.serial('what CMD leaves behind in its group ends before the lock is released', async (t) => {
  const ended = await server().run([
    'lock',
    'leftover',
    '--',
    'sh',
    '-c',
    'sleep 600 >/dev/null 2>&1 & echo $!',
  ]);
  t.is(ended.code, 0);
  t.false(isRunning(Number(ended.stdout.toString())));
});

test.serial('a closed stdout does not end CMD', async (t) => {
  const folder = temporaryFolder(t);
  const wrapper = server().start(['lock', 'closed', '--json', '--', 'sh', '-c', 'sleep 0.3; touch done'], {
    folder,
  });
  wrapper.child.stdout?.destroy();
  t.is((await wrapper.ended).code, 0);
  t.notThrows(() => readFileSync(join(folder, 'done')));
});

test.serial('a lock called like a sub-command is reached with CMD', async (t) => {
  const ended = await server().run(['lock', 'list', '--', 'sh', '-c', 'echo $BRAMBLE_LOCK']);
  t.is(ended.stdout.toString(), 'list\n');
});

test.serial('shared holders share, and an exclusive one does not join them', async (t) => {
  const first = server().start(['lock', 'shared', '--shared']);
  await first.line(/^\d+$/);
  t.is((await server().run(['lock', 'shared', '--shared', '--try', '--', 'true'])).code, 0);
  t.is((await server().run(['lock', 'shared', '--try', '--', 'true'])).code, 1);
  first.kill('SIGINT');
  await first.ended;
});

test.serial('elect: the second runs CMD when the first has ended', async (t) => {
  const first = server().start(['elect', 'leader', '--', 'sh', '-c', 'echo first $BRAMBLE_TOKEN; cat'], {
    keepStdin: true,
  });
  const [, firstToken] = (await first.line(/^first/)).split(' ');
  const second = server().start(['elect', 'leader', '--', 'sh', '-c', 'echo second $BRAMBLE_TOKEN']);
  await eventually(async () => {
    const list = await server().run(['lock', 'list', '--json']);
    return list.stdout.toString().includes('"lock":"leader"');
  }, 'the lock is listed');
  t.is(second.stdout, '');
  first.child.stdin?.end();
  t.is((await first.ended).code, 0);
  const ended = await second.ended;
  t.is(ended.code, 0, ended.stderr);
  const [, secondToken] = ended.stdout.toString().trim().split(' ');
  t.true(Number(secondToken) > Number(firstToken));
});
