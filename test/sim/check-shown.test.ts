// What the checker shows: words, the table for a terminal, the page.

import test from 'ava';
import { checkHistory, drawing, timeline, verdictJson } from '#core/sim/index.ts';
import { historyOf, type Line, line, lostLine } from './history-kit.ts';

const stale: readonly Line[] = [
  line(1, ['put', 'x', 'a'], [0, 1]),
  line(2, ['put', 'x', 'b'], [2, 4]),
  line(3, ['get', 'x', null], [7, 8], { result: 'a' }),
];

test('verdictJson: has what scripts rely on', (t) => {
  t.deepEqual(verdictJson(checkHistory(historyOf(stale))), {
    verdict: 'not-linearizable',
    operations: 3,
    partition: 'register x',
    shortest: stale,
    why: [
      'Client 3 read "a" from register x, but that value had been overwritten: client 2 put "b" into register x, which ended 3 ms before this began.',
    ],
  });
  t.deepEqual(verdictJson(checkHistory(historyOf(stale.slice(0, 2)))), {
    verdict: 'linearizable',
    operations: 2,
    partition: null,
    shortest: [],
    why: [],
  });
});

test('timeline: one line an operation, with its bar, and the impossible one marked', (t) => {
  const { finding } = checkHistory(historyOf(stale));
  t.deepEqual(finding === null ? [] : timeline(finding), [
    '     client  operation  from  to',
    '          1  put "a"    0 ns  1 ms  ├───┤',
    '          2  put "b"    2 ms  4 ms          ├───────┤',
    '  ✗       3  get → "a"  7 ms  8 ms                             ├───┤',
  ]);
});

test('timeline: an unknown outcome has no end, and a lost lock is a moment', (t) => {
  const files = { shared: false, owner: 'a', depth: 1 };
  const { finding } = checkHistory(
    historyOf([
      line(1, ['acquire', 'files', files], [0, 1], { result: { token: 1 } }),
      line(2, ['acquire', 'files', { ...files, owner: 'b' }], [2, 3], { result: { token: 2 } }),
      lostLine(1, 'files', 1, 5),
      line(2, ['release', 'files', { token: 2 }], [6, null]),
    ]),
  );
  const text = finding === null ? '' : timeline(finding).join('\n');
  t.regex(text, /release token 2 → \? +6 ms +\? .*▷/);
  t.regex(text, /gave up token 1 at its deadline +5 ms +5 ms .*│/);
});

test('drawing: a page that needs nothing from elsewhere and runs nothing', (t) => {
  const verdict = checkHistory(historyOf(stale));
  const page = drawing(verdict, 'history.jsonl');
  t.regex(page, /^<!doctype html>/);
  t.regex(page, /Not linearizable/);
  t.is(page.match(/class="operation /g)?.length, 3);
  t.is(page.match(/class="operation impossible/g)?.length, 1);
  t.notRegex(page, /<script|https?:|src=|url\((?!#)/);
});

test('drawing: what stands in a history cannot become part of the page', (t) => {
  const evil = '</title><script>alert(1)</script>\u0001"\'&';
  const page = drawing(
    checkHistory(historyOf([line(1, ['get', evil, null], [0, 1], { result: evil })])),
    `${evil}.jsonl`,
  );
  t.notRegex(page, /<script/);
  t.false(page.includes('\u0001'));
  t.true(page.includes('&lt;script&gt;'));
});

test('drawing: right histories and unknown ones have a page too', (t) => {
  t.regex(drawing(checkHistory(historyOf([])), 'empty'), /Linearizable/);
  const unknown = checkHistory(historyOf(stale), { timeoutMs: 0, clock: { now: () => 5 } });
  t.regex(drawing(unknown, 'hard'), /Could not tell/);
});
