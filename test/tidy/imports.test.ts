// The import table holds, and would notice if it did not.

import test from 'ava';
import { importBreaches, layers } from './layers.ts';
import { codeOnly, importsOf, readSource, typeScriptSources } from './source.ts';

/** The first breach of a single file, or "none". */
function breach(path: string, text: string, packages: string[] = []): string {
  return importBreaches([{ path, text }], packages)[0] ?? 'none';
}

test('core and agent: import only what the table allows', (t) => {
  const manifest = JSON.parse(readSource('agent/package.json').text);
  const packages = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies });
  t.deepEqual(importBreaches(typeScriptSources('core', 'agent'), packages), []);
});

test('layers: every arrow leads to a layer, and none back', (t) => {
  const visit = (name: string, way: string[]): void => {
    t.false(way.includes(name), `${[...way, name].join(' > ')} is a circle`);
    t.truthy(layers[name], `${name} is in no row`);
    for (const next of layers[name]?.imports ?? []) visit(next, [...way, name]);
  };
  for (const name of Object.keys(layers)) visit(name, []);
});

test('importsOf: finds every form of an import, and whether it is of types only', (t) => {
  const text = `// import a from './comment.ts'
import a from './1.ts';
import type { B } from "./2.ts";
import {
  c,
  type D,
} from './3.ts';
import * as e from './4.ts';
export * from './5.ts';
export type { F } from './6.ts';
import './7.ts';
const g = await import('./8.ts');
type H = typeof import('./9.ts').h;
const i = require('./10.ts');
const text = "import j from './string.ts'" + \`import('./template.ts') \${import('./11.ts')}\`;
const k = import(name);
export const l = 'from';
import type, { m } from './12.ts';
`;
  const found = importsOf(text).sort((left, right) => left.line - right.line);
  t.deepEqual(
    found.map(({ specifier, typeOnly }) => `${specifier}${typeOnly ? ' type' : ''}`),
    [
      './1.ts',
      './2.ts type',
      './3.ts',
      './4.ts',
      './5.ts',
      './6.ts type',
      './7.ts',
      './8.ts',
      './9.ts type',
      './10.ts',
      './11.ts',
      'null',
      './12.ts',
    ],
  );
  t.is(found[2]?.line, 4);
});

test('codeOnly: blanks comments, strings, templates and regular expressions, and nothing else', (t) => {
  const samples: [string, string][] = [
    ['a // b', 'a     '],
    ['a /* b\n c */ d', 'a     \n      d'],
    ["'it\\'s' + x", "'     ' + x"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the sample is itself a template
    ['`a ${b + `c ${{ d }.d}` } e` + f', '`  ${b + `  ${{ d }.d}` }  ` + f'],
    ['x = /[/"]\\//.test(y)', 'x = /      /.test(y)'],
    ['a / b / c', 'a / b / c'],
    ['f(a) / 2 // 3', 'f(a) / 2     '],
    ['return /"/;', 'return / /;'],
  ];
  for (const [text, code] of samples) t.is(codeOnly(text), code);
});

test('importBreaches: an arrow that is not in the table is named with file, line and both layers', (t) => {
  t.is(
    breach('core/raft/raft.ts', `// Raft.\nimport { open } from '../storage/log.ts';`),
    'core/raft/raft.ts:2: import of "../storage/log.ts" is an arrow from raft to storage, which the table does not have',
  );
  t.regex(
    breach('core/state-machine/a.ts', `import type { A } from '../raft/a.ts';`),
    /state-machine to raft/,
  );
  t.is(breach('core/raft/raft.ts', `import { assert } from '../base/assert.ts'; import './log.ts';`), 'none');
});

test('importBreaches: where the table says types, a value is refused and a type is not', (t) => {
  t.regex(breach('core/wire/a.ts', `import { a } from '../raft/a.ts';`), /use import type/);
  t.regex(breach('core/server/a.ts', `import { type A } from '../storage/a.ts';`), /use import type/);
  t.is(breach('core/wire/a.ts', `import type { A } from '../raft/a.ts';`), 'none');
  t.is(breach('core/client/a.ts', `import type { A } from '../transport/a.ts';`), 'none');
});

test('importBreaches: builtins are refused outside their layer, even as types', (t) => {
  t.regex(breach('core/raft/a.ts', `import { createHash } from 'node:crypto';`), /builtins of raft \(none\)/);
  t.regex(breach('core/server/a.ts', `import type { Socket } from 'node:dgram';`), /builtins of server/);
  t.regex(breach('core/transport/a.ts', `import 'node:fs';`), /\(dgram\)/);
  t.regex(breach('core/node/a.ts', `import fs from 'fs';`), /write node:fs/);
  t.regex(breach('agent/faults/plan.ts', `import 'node:fs';`), /computes only/);
  t.is(breach('core/storage/a.ts', `import 'node:fs/promises';`), 'none');
  t.is(breach('agent/faults/guard.ts', `import 'node:fs';`), 'none');
});

test('importBreaches: a way to a builtin over other layers is refused, but not over types', (t) => {
  const wal = { path: 'core/storage/wal.ts', text: `import './files.ts';` };
  const files = { path: 'core/storage/files.ts', text: `import 'node:fs';` };
  const value = { path: 'core/sim/disk.ts', text: `import '../storage/wal.ts';` };
  const type = { path: 'core/sim/disk.ts', text: `import type { W } from '../storage/wal.ts';` };
  t.deepEqual(importBreaches([wal, files, value], []), [
    'core/sim/disk.ts: reaches a builtin of Node, which sim must not: ' +
      'core/sim/disk.ts > core/storage/wal.ts > core/storage/files.ts > node:fs',
  ]);
  t.deepEqual(importBreaches([wal, files, type], []), []);
});

test('importBreaches: core stands by itself', (t) => {
  t.regex(breach('core/cli/a.ts', `import '../../agent/main.ts';`), /reaches out of core/);
  t.regex(breach('core/cli/a.ts', `import x from 'left-pad';`), /core takes none/);
  t.regex(breach('core/cli/a.ts', `import '#core/base/a.ts';`), /relative path/);
  t.regex(breach('core/cli/a.ts', 'await import(name);'), /name it in a string/);
  t.regex(breach('core/cli/a.ts', `import '../base/a';`), /end in \.ts/);
  t.regex(breach('core/extra/a.ts', ''), /"extra" is no layer/);
  t.is(breach('core/cli/a.ts', `import manifest from '../package.json' with { type: 'json' };`), 'none');
});

test('importBreaches: agent comes in by public entries and named dependencies', (t) => {
  t.regex(breach('agent/main.ts', `import '../core/cli/index.ts';`), /public entries/);
  t.regex(breach('agent/main.ts', `import 'bramble/raft/raft.ts';`), /neither a dependency/);
  t.regex(breach('agent/main.ts', `import '@scope/other/x';`, ['@scope/one']), /neither a dependency/);
  t.is(
    breach('agent/main.ts', `import { main } from 'bramble/cli'; import '@scope/one/x';`, ['@scope/one']),
    'none',
  );
});

test('importBreaches: the simulator is for the commands that say so', (t) => {
  t.regex(breach('core/cli/server.ts', `import '../sim/index.ts';`), /core\/cli\/commands\/check/);
  t.regex(breach('agent/metrics.ts', `import 'bramble/sim';`), /agent\/lab/);
  t.regex(breach('core/server/a.ts', `import type { A } from '../sim/a.ts';`), /server to sim/);
  t.is(breach('core/cli/commands/check.ts', `import '../../sim/index.ts';`), 'none');
  t.is(breach('core/cli/chaos/run.ts', `import '../../sim/index.ts';`), 'none');
  t.is(breach('agent/lab/smoke.ts', `import { check } from 'bramble/sim';`), 'none');
});
