import test from 'ava';
import { memoryOutput } from './support.ts';

test('Output: colours appear on a terminal, never in a pipe or with NO_COLOR', (t) => {
  t.is(memoryOutput({}, true).output.colour('red', 'x'), '\x1b[31mx\x1b[0m');
  t.is(memoryOutput({}, false).output.colour('red', 'x'), 'x');
  t.is(memoryOutput({ NO_COLOR: '1' }, true).output.colour('red', 'x'), 'x');
  t.is(memoryOutput({ NO_COLOR: '' }, true).output.colour('red', 'x'), '\x1b[31mx\x1b[0m');
});

test('Output: progress is shown on a terminal and taken away by the next line', (t) => {
  const { output, stderr } = memoryOutput({}, true);
  output.progress('waiting');
  output.message('done');
  t.is(stderr.text, 'waiting\r\x1b[Kdone\n');
});

test('Output: progress stays quiet in a pipe', (t) => {
  const { output, stderr } = memoryOutput({}, false);
  output.progress('waiting');
  t.is(stderr.text, '');
});

test('Output: json is one object a line', async (t) => {
  const { output, stdout } = memoryOutput();
  await output.json({ a: 1 });
  await output.json({ b: '\n' });
  t.is(stdout.text, '{"a":1}\n{"b":"\\n"}\n');
});
