// The program as people start it in a checkout: through npm, from any folder.

import { mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import { bramble, ENTRY, sharedServer, startProgram, temporaryFolder } from '../support/processes.ts';

const server = sharedServer(test);
const root = join(dirname(ENTRY), '..');

test.serial(
  'npm run -s bramble: relative paths and CMD begin in the folder where npm was called',
  async (t) => {
    const folder = realpathSync(temporaryFolder(t));
    const args = ['--prefix', root, 'run', '-s', 'bramble', '--'];
    const made = await startProgram(t, 'npm', [...args, 'key', 'new', 'here.key'], { folder }).ended;
    t.is(made.code, 0, made.stderr);
    t.notThrows(() => readFileSync(join(folder, 'here.key')));
    const ran = await startProgram(
      t,
      'npm',
      [...args, 'lock', 'npm', '--', 'sh', '-c', 'pwd; echo "[$INIT_CWD]"'],
      {
        folder,
        environment: server().environment,
      },
    ).ended;
    t.is(ran.stdout.toString(), `${folder}\n[]\n`, ran.stderr);
  },
);

test.serial('npm run -s bramble works from sub-folders of the checkout', async (t) => {
  for (const folder of [join(root, 'core'), join(root, 'agent'), join(root, 'test', 'support')]) {
    const ended = await startProgram(t, 'npm', ['run', '-s', 'bramble', '--', 'version'], { folder }).ended;
    t.is(ended.code, 0, ended.stderr);
    t.regex(ended.stdout.toString(), /^bramble \d/);
  }
});

test.serial('npm run -s bramble: a signal reaches the program', async (t) => {
  const holder = startProgram(t, 'npm', ['run', '-s', 'bramble', '--', 'lock', 'npm-signal'], {
    folder: root,
    environment: server().environment,
  });
  await holder.line(/^\d+$/);
  holder.kill('SIGINT');
  t.is((await holder.ended).code, 0);
  t.is((await server().run(['lock', 'npm-signal', '--try', '--', 'true'])).code, 0);
});

test.serial('INIT_CWD that is no folder is not used', async (t) => {
  const folder = temporaryFolder(t);
  const ended = await bramble(t, ['key', 'new', 'k'], {
    folder,
    environment: { INIT_CWD: '/nowhere/at/all' },
  });
  t.is(ended.code, 0, ended.stderr);
  t.notThrows(() => readFileSync(join(folder, 'k')));
});

test.serial('--config is found from the folder, and its keys reach the command', async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'sub'));
  writeFileSync(
    join(folder, 'sub', 'c.json'),
    JSON.stringify({ servers: [server().address], insecure: true }),
  );
  const ended = await bramble(t, ['ping', '--config', 'sub/c.json'], { folder });
  t.is(ended.code, 0, ended.stderr);
});

for (const [link, command] of [['brambled', 'server']] as const) {
  test.serial(`${link} is bramble ${command}`, async (t) => {
    const folder = temporaryFolder(t);
    symlinkSync(ENTRY, join(folder, link));
    const ended = await startProgram(t, process.execPath, [join(folder, link), '--help']).ended;
    t.is(ended.code, 0, ended.stderr);
    t.true(ended.stdout.toString().startsWith(`Usage: bramble ${command} `));
  });
}
