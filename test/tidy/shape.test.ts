// Every source file opens with what it is and keeps to its length.

import test from 'ava';
import { lengthBreaches, openingBreaches } from './shape.ts';
import { typeScriptSources } from './source.ts';

test('core and agent: every file opens with a comment that says what it is', (t) => {
  t.deepEqual(typeScriptSources('core', 'agent').flatMap(openingBreaches), []);
});

test('sources: no file is longer than it may be', (t) => {
  const sources = typeScriptSources('core', 'agent', 'test', 'deploy', 'dashboards', '.ci');
  t.deepEqual(
    sources.flatMap((source) => lengthBreaches(source)),
    [],
  );
});

test('openingBreaches: code, an empty comment or a single word is no opening', (t) => {
  const missing = [
    '',
    'const a = 1; // what it is',
    '//\nconst a = 1;',
    '// Raft.\n',
    `import a from 'a';\n// What it is.`,
  ];
  for (const text of missing) t.is(openingBreaches({ path: 'core/a.ts', text }).length, 1, text);
  const present = [
    '// What it is.',
    '/* What it is. */',
    '/**\n * What it is.\n */',
    '#!/usr/bin/env node\n// What it is.',
  ];
  for (const text of present) t.is(openingBreaches({ path: 'core/a.ts', text }).length, 0, text);
});

test('lengthBreaches: 400 lines are fine, 401 need a reason, 801 have none', (t) => {
  const count = (path: string, lines: number, reasons: Record<string, string> = {}): number =>
    lengthBreaches({ path, text: '\n'.repeat(lines) }, reasons).length;
  t.is(count('core/a.ts', 400), 0);
  t.is(count('core/a.ts', 401), 1);
  t.is(count('core/a.ts', 401, { 'core/a.ts': 'one thing' }), 0);
  t.is(count('core/a.ts', 800, { 'core/a.ts': 'one thing' }), 0);
  t.is(count('core/a.ts', 801, { 'core/a.ts': 'one thing' }), 1);
  t.is(count('test/a.test.ts', 800), 0);
  t.is(count('test/a.test.ts', 801), 1);
});
