// Help is made from the table: every command has a page that names its flags, exit codes and an example.

import test from 'ava';
import { COMMANDS } from '#core/cli/table.ts';
import { say } from './support.ts';

for (const command of COMMANDS.filter((each) => each.hidden !== true)) {
  const words = command.words.join(' ');
  test(`help: ${words} has usage, every flag, exit codes and an example`, async (t) => {
    const page = await say([...command.words, '--help'], { commands: COMMANDS });
    t.is(page.exit, 0);
    t.true(page.stdout.startsWith(`Usage: bramble ${words}`));
    for (const flag of command.flags) t.true(page.stdout.includes(`  --${flag.name}`), flag.name);
    t.regex(page.stdout, /Exit codes:\n {2}0 /);
    t.true(command.examples.length > 0);
    for (const example of command.examples) t.true(example.includes(`bramble ${words}`), example);
    t.true(
      (await say(['help', ...command.words], { commands: COMMANDS })).stdout.startsWith(
        page.stdout.trimEnd(),
      ),
    );
  });
}

test('help: bramble alone, help and --help list every command but the hidden ones', async (t) => {
  for (const words of [[], ['help'], ['--help'], ['-h']]) {
    const overview = await say(words, { commands: COMMANDS });
    t.is(overview.exit, 0);
    for (const command of COMMANDS) {
      const listed = overview.stdout.includes(`\n  ${command.words.join(' ')} `);
      t.is(listed, command.hidden !== true, command.words.join(' '));
    }
  }
});

test('help: of a word that begins several commands lists them, of an unknown one is wrong usage', async (t) => {
  t.regex((await say(['help', 'kv'], { commands: COMMANDS })).stdout, /kv get KEY[\s\S]*kv watch/);
  t.regex((await say(['kv', '--help'], { commands: COMMANDS })).stdout, /kv get KEY/);
  t.is((await say(['help', 'kvv'], { commands: COMMANDS })).exit, 2);
});
