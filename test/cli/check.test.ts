// `bramble check`: exit codes, what it prints, and the page that it writes.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { CHECK } from '#core/cli/commands/check.ts';
import { type Line, line } from '../sim/history-kit.ts';
import { say } from './support.ts';

const stale: readonly Line[] = [
  line(1, ['put', 'x', 'a'], [0, 1]),
  line(2, ['put', 'x', 'b'], [2, 4]),
  line(3, ['get', 'x', null], [7, 8], { result: 'a' }),
];
const text = (lines: readonly Line[]): string => lines.map((each) => `${JSON.stringify(each)}\n`).join('');

async function check(t: ExecutionContext, content: string, ...flags: string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-check-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'history.jsonl'), content);
  const said = await say(['check', 'history.jsonl', ...flags], { commands: [CHECK], folder });
  return { ...said, folder };
}

test('check: 0 and one line when all is right', async (t) => {
  const { exit, stdout, stderr } = await check(t, text(stale.slice(0, 2)));
  t.is(exit, 0);
  t.is(stdout, 'linearizable: 2 operations in 1 part\n');
  t.is(stderr, '');
});

test('check: 1, the reason and the shortest part when it is not', async (t) => {
  const { exit, stdout } = await check(t, text(stale));
  t.is(exit, 1);
  t.regex(stdout, /^not linearizable: register x\n/);
  t.regex(stdout, /Client 3 read "a" from register x, but that value had been overwritten/);
  t.regex(stdout, /✗ +3 {2}get → "a"/);
});

test('check: --json prints one object and nothing else', async (t) => {
  const { exit, stdout, stderr } = await check(t, text(stale), '--json');
  t.is(exit, 1);
  t.like(JSON.parse(stdout), { verdict: 'not-linearizable', operations: 3, partition: 'register x' });
  t.deepEqual(JSON.parse(stdout).shortest, stale);
  t.is(stderr, '');
});

test('check: 3 when the time was not enough', async (t) => {
  const { exit, stdout } = await check(t, text(stale), '--timeout', '0ms');
  t.is(exit, 3);
  t.regex(stdout, /^unknown: could not judge register x\n/);
});

test('check: 2 with line and reason for what is no history', async (t) => {
  const { exit, stdout, stderr } = await check(t, `${text(stale)}{"op":"get"}\n`);
  t.is(exit, 2);
  t.is(stdout, '');
  t.regex(stderr, /Cannot check history.jsonl: line 4: "client" must be a whole number/);
});

test('check: 2 for a file that is not there, and for a page that cannot be written', async (t) => {
  const missing = await say(['check', 'nowhere.jsonl'], { commands: [CHECK], folder: tmpdir() });
  t.is(missing.exit, 2);
  t.regex(missing.stderr, /Cannot read .*nowhere\.jsonl/);
  const { exit, stderr } = await check(t, text(stale), '--html', 'no/such/folder.html');
  t.is(exit, 2);
  t.regex(stderr, /Cannot write/);
});

test('check: a last line without its end counts, an empty file is right', async (t) => {
  t.is((await check(t, text(stale).trimEnd())).exit, 1);
  t.is((await check(t, '')).exit, 0);
});

test('check: --html writes the page', async (t) => {
  const { folder } = await check(t, text(stale), '--html', 'page.html');
  t.regex(await readFile(join(folder, 'page.html'), 'utf8'), /<svg/);
});
