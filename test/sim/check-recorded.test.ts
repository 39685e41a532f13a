// The forty histories that Jepsen recorded against etcd: each gets its verdict, and what is shown of it holds by itself.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { checkHistory, readHistory, shortest } from '#core/sim/index.ts';

const folder = join(import.meta.dirname, '../fixtures/histories');
const verdicts: Record<string, boolean> = JSON.parse(readFileSync(join(folder, 'verdicts.json'), 'utf8'));
const read = (name: string) => readHistory(readFileSync(join(folder, `${name}.jsonl`), 'utf8').split('\n'));

test('checkHistory: the forty recorded histories get their verdicts', (t) => {
  const startedAt = performance.now();
  const judged = Object.keys(verdicts).map((name) => [name, checkHistory(read(name)).verdict]);
  t.log(`${judged.length} histories in ${Math.round(performance.now() - startedAt)} ms`);
  t.is(judged.length, 40);
  const expected = Object.entries(verdicts).map(([name, right]) => [
    name,
    right ? 'linearizable' : 'not-linearizable',
  ]);
  t.deepEqual(judged, expected);
});

test('checkHistory: the part shown of a recorded history cannot be right by itself either, and is short', (t) => {
  for (const [name, right] of Object.entries(verdicts)) {
    const { finding } = checkHistory(read(name));
    t.is(finding === null, right, name);
    if (finding === null) continue;
    const lines = shortest(finding).map((line) => JSON.stringify(line));
    t.is(checkHistory(readHistory(lines)).verdict, 'not-linearizable', name);
    t.true(lines.length <= 16, `${name} shows ${lines.length} operations`);
    t.true(finding.operations.includes(finding.impossible), name);
  }
});
