// The repository names no machine and no registry, and every dependency has a reason.

import test from 'ava';
import {
  coreBreaches,
  dependenciesOf,
  isText,
  lockBreaches,
  type Manifest,
  machineBreaches,
  reasonBreaches,
} from './repository.ts';
import { readSource, repositoryPaths } from './source.ts';

function manifest(path: string): Manifest {
  return JSON.parse(readSource(path).text);
}

test('repository: no file names a path of one machine or a registry', (t) => {
  const sources = repositoryPaths().map(readSource).filter(isText);
  t.true(sources.length > 10, 'git lists the files');
  t.deepEqual(sources.flatMap(machineBreaches), []);
});

test('package-lock.json: no package says from where it was fetched', (t) => {
  t.deepEqual(lockBreaches(readSource('package-lock.json').text), []);
});

test('core/package.json: no dependency, and exports of the checkout', (t) => {
  t.deepEqual(coreBreaches(manifest('core/package.json')), []);
});

test('CONTRIBUTING.md: every dependency of root and agent has its reason', (t) => {
  const dependencies = ['package.json', 'agent/package.json'].flatMap((path) =>
    dependenciesOf(manifest(path)),
  );
  t.deepEqual(reasonBreaches(readSource('CONTRIBUTING.md').text, dependencies), []);
});

test('machineBreaches: finds absolute paths of machines, and only those', (t) => {
  const count = (text: string): number => machineBreaches({ path: 'a.md', text }).length;
  for (const folder of ['work', 'root', 'home']) {
    t.is(count(`see /${folder}/main`), 1);
    t.is(count(`cd "/${folder}/x"`), 1);
    t.is(count(`a/${folder}/b, ../${folder}/b, \${dir}/${folder}/b, /${folder}`), 0);
  }
});

test('machineBreaches: finds hosts of registries and settings that name one', (t) => {
  const count = (path: string, text: string): number => machineBreaches({ path, text }).length;
  for (const host of [
    `registry${'.'}example.org`,
    `www.npm${'js'}.com`,
    `deb${'.'}debian.org`,
    `http://a-mirr${'or'}.b/`,
  ]) {
    t.is(count('README.md', `from ${host}`), 1, host);
  }
  t.is(count('.npmrc', `a=b\nregis${'try'}=x`), 1);
  t.is(count('.npmrc', 'omit-lockfile-registry-resolved=true'), 0);
  t.is(count('a.ts', 'metrics.registry.counter(); fromRegistry'), 0);
});

test('isText: a zero byte makes a file binary', (t) => {
  t.true(isText({ path: 'a', text: 'a' }));
  t.false(isText({ path: 'a', text: 'a\0' }));
});

test('lockBreaches: a host is refused, a workspace is not', (t) => {
  const lock = (resolved?: string): string =>
    JSON.stringify({ packages: { 'node_modules/a': { resolved } } });
  t.is(lockBreaches(lock('https://host.example/a.tgz')).length, 1);
  t.is(lockBreaches(lock('git+ssh://host.example/a')).length, 1);
  t.is(lockBreaches(lock('core')).length, 0);
  t.is(lockBreaches(lock()).length, 0);
});

test('coreBreaches: a dependency of any kind, or the manifest of a package, is refused', (t) => {
  const exports = { '.': './index.ts' };
  t.deepEqual(coreBreaches({ name: 'bramble', exports }), []);
  t.is(coreBreaches({ name: 'bramble', exports, dependencies: { a: '1' } }).length, 1);
  t.is(coreBreaches({ name: 'bramble', exports, peerDependencies: { a: '1' } }).length, 1);
  t.is(coreBreaches({ name: 'bramble', exports: { '.': { default: './dist/index.js' } } }).length, 1);
});

test('reasonBreaches: a dependency without a line and a line without a dependency are named', (t) => {
  const text =
    '# A\n\n## Dependencies\n\n- `a`: runs the tests.\n- `b` and `@c/d`: the same.\n\n## More\n\n- `e`: no.\n';
  t.deepEqual(reasonBreaches(text, ['a', 'b', '@c/d']), []);
  t.is(reasonBreaches(text, ['a', 'b', '@c/d', 'e']).length, 1);
  t.is(reasonBreaches(text, ['a', 'b']).length, 1);
  t.is(reasonBreaches('# A\n', ['a']).length, 1);
});
