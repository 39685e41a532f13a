// No banned word is in the code, and each ban would notice one.

import test from 'ava';
import { banBreaches } from './bans.ts';
import { typeScriptSources } from './source.ts';

/** How many breaches one file with the given text has. */
function count(path: string, text: string): number {
  return banBreaches({ path, text }).length;
}

test('sources: nothing banned is in them', (t) => {
  const sources = typeScriptSources('core', 'agent', 'test', 'deploy', 'dashboards', '.ci');
  t.deepEqual(sources.flatMap(banBreaches), []);
});

test('banBreaches: names file, line, what it found and what to do instead', (t) => {
  t.deepEqual(banBreaches({ path: 'core/raft/a.ts', text: '// A.\nconst a = Math.random();' }), [
    'core/raft/a.ts:2: "Math.random" is Math.random, banned here: take an Entropy or the seeded generator',
  ]);
});

test('banBreaches: pure layers have no async, timer, clock, randomness or process', (t) => {
  const impure = [
    'async function a() {}',
    'await a();',
    'for await (const a of b) {}',
    'setTimeout(a, 1);',
    'setInterval(a, 1);',
    'setImmediate(a);',
    'Date.now();',
    'new Date();',
    'performance.now();',
    'Math.random();',
    'process.exit();',
  ];
  const pure = ['core/base/a.ts', 'core/raft/a.ts', 'core/state-machine/a.ts', 'core/wire/a.ts'];
  for (const path of [...pure, 'core/transport/request-window.ts', 'agent/faults/plan.ts']) {
    for (const text of impure) t.is(count(path, text), 1, `${path}: ${text}`);
  }
  t.is(count('core/server/a.ts', 'async function a() { await b(); setTimeout(c, 1); }'), 0);
});

test('banBreaches: pure layers may speak of such things and have properties of the name', (t) => {
  const text = `// await Date.now()
    const a = 'process.exit()';
    const b = this.process.step() + inbox.await + update;
    type Options = { async: boolean };`;
  t.is(count('core/raft/a.ts', text), 0);
});

test('banBreaches: only the edge reads a real clock or real randomness', (t) => {
  for (const text of [
    'Date.now()',
    'Math.random()',
    'new Date()',
    'performance.now()',
    'process.hrtime.bigint()',
  ]) {
    t.is(count('core/server/a.ts', text), 1, text);
    t.is(count('agent/metrics.ts', text), 1, text);
    t.is(count('core/node/clock.ts', text), 0, text);
    t.is(count('core/cli/bench.ts', text), 0, text);
    t.is(count('agent/lab/run.ts', text), 0, text);
    t.is(count('agent/main.ts', text), 0, text);
    t.is(count('test/server/a.test.ts', text), 0, text);
  }
  t.is(count('core/client/a.ts', 'clock.now(); new DateRange(); Date.parse(x)'), 0);
});

test('banBreaches: core and agent have no TypeScript that cannot be stripped', (t) => {
  const banned = [
    'enum A { B }',
    'export const enum A { B }',
    'namespace A { }',
    'declare module a.b { }',
    'class A { constructor(private readonly a: string) {} }',
    'class A { constructor(b: (x: number) => void, public a = { c: [1] }) {} }',
  ];
  for (const text of banned) t.is(count('core/cli/a.ts', text), 1, text);
  const allowed = [
    'const enumerate = 1;',
    'module.exports;',
    'class A { readonly a; constructor(a: string) {} }',
  ];
  for (const text of allowed) t.is(count('core/cli/a.ts', text), 0, text);
});

test('banBreaches: core and agent print through a port', (t) => {
  t.is(count('core/cli/a.ts', 'console.log(1)'), 1);
  t.is(count('agent/main.ts', 'console.error(1)'), 1);
  t.is(count('agent/main.ts', 'ports.console.log(1); // console.log'), 0);
});

test('banBreaches: nothing is left unfinished, in comments either', (t) => {
  for (const word of [`FIX${'ME'}`, `X${'XX'}`, `HA${'CK'}`]) {
    t.is(count('core/base/a.ts', `// ${word}: later`), 1);
    t.is(count('test/a.test.ts', `// ${word}: later`), 1);
  }
  t.is(count('core/base/a.ts', `// bramble-X${'XXXXX'}`), 0);
});

test('banBreaches: no test runs alone, and none is skipped without a reason', (t) => {
  t.is(count('test/a.test.ts', `test.only('a', a);`), 1);
  t.is(count('test/a.test.ts', `test.serial.only('a', a);`), 1);
  t.is(count('test/a.test.ts', `\ntest.skip('a', a);`), 1);
  t.is(count('test/a.test.ts', `\ntest.serial.skip('a', a);`), 1);
  t.is(count('test/a.test.ts', `// Needs a kernel with netem.\ntest.skip('a', a);`), 0);
});
