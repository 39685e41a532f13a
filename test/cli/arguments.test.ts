// Words to commands, flags and arguments.

import test from 'ava';
import { findCommand, nearest } from '#core/cli/arguments.ts';
import type { Flag } from '#core/cli/command.ts';
import { probe, say } from './support.ts';

const FLAGS: readonly Flag[] = [
  { name: 'limit', type: 'integer', placeholder: 'N', help: 'how many' },
  { name: 'wait', type: 'duration', placeholder: 'TIME', help: 'how long' },
  { name: 'json', type: 'switch', help: 'as JSON' },
  { name: 'name', type: 'text', placeholder: 'NAME', help: 'which' },
];

test('main: flags stand before and after arguments, with a blank or an equals sign', async (t) => {
  const command = probe({ flags: FLAGS });
  const said = await say(['probe', '--limit', '3', 'x', '--json', '--wait=250ms'], { commands: [command] });
  t.is(said.exit, 0);
  t.deepEqual(command.seen.context?.positionals, ['x']);
  t.is(command.seen.context?.settings.number('limit'), 3);
  t.is(command.seen.context?.settings.number('wait'), 250);
  t.true(command.seen.context?.settings.switch('json'));
});

const wrong: readonly (readonly [string, readonly string[], RegExp])[] = [
  ['an unknown flag', ['probe', '--limt', '3'], /unknown flag --limt; did you mean --limit\?/],
  ['an unknown flag with nothing near', ['probe', '--zzzzzz'], /unknown flag --zzzzzz; it takes --limit/],
  ['a prefix of a flag', ['probe', '--lim', '3'], /unknown flag --lim/],
  ['a short flag that there is not', ['probe', '-x'], /unknown flag -x/],
  ['a negative number', ['probe', '-5'], /unknown flag -5 \(to give it as a value, write -- before it\)/],
  ['a flag without its value', ['probe', '--limit'], /--limit needs a value: --limit N/],
  [
    'a flag whose value is a flag',
    ['probe', '--name', '--json'],
    /--name needs a value, but "--json" follows/,
  ],
  ['a switch with a value', ['probe', '--json=yes'], /--json takes no value/],
  [
    'a bare number for a duration',
    ['probe', '--wait', '10'],
    /--wait must be a number with its unit.*not "10"/,
  ],
  ['a fraction for an integer', ['probe', '--limit', '1.5'], /--limit must be a whole number/],
  ['a negative integer', ['probe', '--limit=-1'], /--limit must be a whole number/],
  ['an empty text', ['probe', '--name='], /--name must not be empty/],
  ['an argument too many', ['probe', 'a', 'b'], /"b" is one argument too many/],
  ['an unknown command', ['prob'], /there is no command "prob"; did you mean probe\?/],
  ['an unknown command with nothing near', ['zzzzzz'], /bramble help lists the commands/],
];
for (const [what, words, message] of wrong) {
  test(`main: ${what} is wrong usage, by name`, async (t) => {
    const said = await say(words, { commands: [probe({ flags: FLAGS })] });
    t.is(said.exit, 2);
    t.is(said.stdout, '');
    t.regex(said.stderr, message);
  });
}

test('main: a missing argument is named', async (t) => {
  const said = await say(['probe'], { commands: [probe({ positionals: [{ name: 'LOG' }] })] });
  t.is(said.exit, 2);
  t.regex(said.stderr, /LOG is missing; usage: bramble probe LOG/);
});

test('main: after -- everything is an argument of a command without CMD', async (t) => {
  const command = probe({ flags: FLAGS });
  await say(['probe', '--', '--limit'], { commands: [command] });
  t.deepEqual(command.seen.context?.positionals, ['--limit']);
  t.is(command.seen.context?.child, null);
});

test('main: after -- everything is CMD, untouched, where a command takes one', async (t) => {
  const command = probe({ flags: FLAGS, child: 'optional' });
  await say(['probe', 'x', '--', 'ls', '--json', '--', '-h'], { commands: [command] });
  t.deepEqual(command.seen.context?.positionals, ['x']);
  t.deepEqual(command.seen.context?.child, ['ls', '--json', '--', '-h']);
  t.false(command.seen.context?.settings.switch('json'));
});

test('main: CMD without --, nothing after --, and a required CMD left out are wrong usage', async (t) => {
  const optional = probe({ child: 'optional' });
  t.regex((await say(['probe', 'x', 'ls'], { commands: [optional] })).stderr, /put -- before the command/);
  t.regex((await say(['probe', 'x', '--'], { commands: [optional] })).stderr, /nothing follows --/);
  const required = await say(['probe', 'x'], { commands: [probe({ child: 'required' })] });
  t.is(required.exit, 2);
  t.regex(required.stderr, /the command to run is missing/);
});

test('findCommand: the longest words win, and a CMD goes to the command that takes one', (t) => {
  const lock = probe({ words: ['lock'], child: 'optional' });
  const list = probe({ words: ['lock', 'list'] });
  const commands = [lock, list];
  t.is(findCommand(commands, ['lock', 'list']), list);
  t.is(findCommand(commands, ['lock', 'files']), lock);
  t.is(findCommand(commands, ['lock', 'list', '--', 'ls']), lock);
  t.is(findCommand(commands, ['lok']), null);
});

test('main: a word that needs another says which there are', async (t) => {
  const commands = [probe({ words: ['kv', 'get'] }), probe({ words: ['kv', 'put'] })];
  t.regex((await say(['kv'], { commands })).stderr, /say what to do: get, put/);
  t.regex((await say(['kv', 'gat'], { commands })).stderr, /there is no "gat"; did you mean get\?/);
});

test('nearest: a swap of neighbours counts as one edit, and far words are not offered', (t) => {
  t.is(nearest('staus', ['status', 'server']), 'status');
  t.is(nearest('sevrer', ['status', 'server']), 'server');
  t.is(nearest('x', ['status', 'server']), null);
});
