// Flags beat the environment, the environment beats the file, the file beats the defaults.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Flag } from '#core/cli/command.ts';
import { temporaryFolder } from '../support/processes.ts';
import { probe, say } from './support.ts';

const FLAGS: readonly Flag[] = [
  { name: 'wait-time', type: 'duration', help: '', default: '1s', configurable: true },
  { name: 'servers', type: 'list', help: '', configurable: true },
  { name: 'insecure', type: 'switch', help: '', configurable: true },
  { name: 'count', type: 'integer', help: '', configurable: true },
  { name: 'name', type: 'text', help: '', configurable: true },
  { name: 'from', type: 'integer', help: '' },
  { name: 'config', type: 'text', help: '', configurable: true },
];

test('readSettings: flag, then environment, then file, then default', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'c.json'), JSON.stringify({ waitTime: '2s' }));
  const command = probe({ flags: FLAGS });
  const waitTime = async (words: string[], environment: Record<string, string>) => {
    const said = await say(['probe', ...words], { commands: [command], environment, folder });
    t.is(said.exit, 0, said.stderr);
    return command.seen.context?.settings.number('wait-time');
  };
  t.is(await waitTime([], {}), 1_000);
  t.is(await waitTime(['--config', 'c.json'], {}), 2_000);
  t.is(await waitTime([], { BRAMBLE_CONFIG: 'c.json' }), 2_000);
  t.is(await waitTime(['--config', 'c.json'], { BRAMBLE_WAIT_TIME: '3s' }), 3_000);
  t.is(await waitTime(['--config', 'c.json', '--wait-time', '4s'], { BRAMBLE_WAIT_TIME: '3s' }), 4_000);
  t.is(await waitTime([], { BRAMBLE_WAIT_TIME: '' }), 1_000, 'an empty variable counts as not set');
});

test('readSettings: a flag that says what to do once is not taken from environment or file', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'c.json'), JSON.stringify({ from: 3 }));
  const command = probe({ flags: FLAGS });
  await say(['probe'], { commands: [command], environment: { BRAMBLE_FROM: '3' } });
  t.is(command.seen.context?.settings.number('from'), null);
  t.is((await say(['probe', '--config', 'c.json'], { commands: [command], folder })).exit, 78);
});

test('readSettings: a list is a JSON list or text with commas, and switches may be off', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(
    join(folder, 'c.json'),
    JSON.stringify({ servers: ['a:1', 'b:2'], insecure: false, count: 7 }),
  );
  const command = probe({ flags: FLAGS });
  await say(['probe', '--config', 'c.json'], { commands: [command], folder });
  t.deepEqual(command.seen.context?.settings.list('servers'), ['a:1', 'b:2']);
  t.false(command.seen.context?.settings.switch('insecure'));
  t.is(command.seen.context?.settings.number('count'), 7);
  await say(['probe', '--servers', 'a:1, b:2'], { commands: [command] });
  t.deepEqual(command.seen.context?.settings.list('servers'), ['a:1', 'b:2']);
});

test('readSettings: a file may hold keys of other commands of the same family only', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'c.json'), JSON.stringify({ other: 'x' }));
  const other: Flag = { name: 'other', type: 'text', help: '', configurable: true };
  const command = probe({ flags: FLAGS });
  const sibling = probe({ words: ['sibling'], flags: [other] });
  const stranger = probe({ words: ['stranger'], flags: [other], family: 'server' });
  const words = ['probe', '--config', 'c.json'];
  t.is((await say(words, { commands: [command, sibling], folder })).exit, 0);
  t.is((await say(words, { commands: [command, stranger], folder })).exit, 78);
});

const badFiles: readonly (readonly [string, string, RegExp])[] = [
  ['no JSON', '{', /Cannot read the configuration c\.json/],
  ['a list', '[]', /must hold one JSON object/],
  ['null', 'null', /must hold one JSON object/],
  ['an unknown key', '{"server":"a:1"}', /unknown key "server"; did you mean "servers"\?/],
  ['a flag name with dashes', '{"wait-time":"1s"}', /unknown key "wait-time"; did you mean "waitTime"\?/],
  ['a text for a switch', '{"insecure":"1"}', /"insecure" must be true or false, not "1"/],
  ['a text for a number', '{"count":"7"}', /"count" must be a number/],
  ['a fraction', '{"count":7.5}', /"count" must be a whole number/],
  ['a number for a duration', '{"waitTime":2}', /"waitTime" must be a string/],
  ['a duration without unit', '{"waitTime":"2"}', /"waitTime" must be a number with its unit/],
  ['a number for a text', '{"name":1}', /"name" must be a string/],
  ['numbers in a list', '{"servers":[1]}', /"servers" must be a list of strings/],
  ['itself', '{"config":"c.json"}', /unknown key "config"/],
];
for (const [what, text, message] of badFiles) {
  test(`readSettings: a configuration with ${what} is exit 78, by name`, async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'c.json'), text);
    const said = await say(['probe', '--config', 'c.json'], { commands: [probe({ flags: FLAGS })], folder });
    t.is(said.exit, 78);
    t.regex(said.stderr, message);
  });
}

test('readSettings: a configuration that is not there is exit 78', async (t) => {
  const said = await say(['probe', '--config', 'none.json'], {
    commands: [probe({ flags: FLAGS })],
    folder: temporaryFolder(t),
  });
  t.is(said.exit, 78);
  t.regex(said.stderr, /ENOENT/);
});

for (const [name, value] of [
  ['BRAMBLE_INSECURE', 'yes'],
  ['BRAMBLE_COUNT', 'x'],
  ['BRAMBLE_WAIT_TIME', '2'],
  ['BRAMBLE_SERVERS', 'a,,b'],
] as const) {
  test(`readSettings: ${name}=${value} is exit 78, by name`, async (t) => {
    const said = await say(['probe'], {
      commands: [probe({ flags: FLAGS })],
      environment: { [name]: value },
    });
    t.is(said.exit, 78);
    t.true(said.stderr.includes(`${name} `), said.stderr);
  });
}
