// The package that `npm pack -w core` makes can be installed, used and type-checked by a project
// that has nothing else, on every Node of this machine; and packing leaves the checkout as it was.
//
// Packs in a copy: the swap of core/package.json would otherwise be seen by tests that run beside.

import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';

const root = join(import.meta.dirname, '..', '..');
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');

/** A core as small as can be that uses what packing must mend: a .ts import in a declaration, the
 * type of an import, and disposal. */
const sample: Record<string, string> = {
  'index.ts': `// The entry.
    import { type Held, hold } from './inner/held.ts';
    export type { Held };
    export { hold };
    export type Length = typeof import('./inner/held.ts').length;
    export async function use(): Promise<number> { await using held = hold('a'); return held.name.length; }`,
  'rpc.ts': `// The other entry.
    export * from './inner/held.ts';`,
  'inner/held.ts': `// A thing to be disposed of.
    export type Held = AsyncDisposable & { name: string };
    export const length = 1;
    export function hold(name: string): Held { return { name, async [Symbol.asyncDispose]() {} }; }`,
};

function run(t: ExecutionContext, cwd: string, command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status !== 0)
    t.fail(`${command} ${args.join(' ')} ended with ${status}:\n${error ?? ''}${stdout}${stderr}`);
  return stdout;
}

function temporary(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'bramble-pack-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The files that packing needs, with the core that `fill` lays into it. */
function checkout(t: ExecutionContext, fill: (core: string) => void): string {
  const folder = temporary(t);
  for (const name of ['package.json', 'tsconfig.json', 'LICENSE'])
    cpSync(join(root, name), join(folder, name));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  fill(join(folder, 'core'));
  return folder;
}

function sampleCore(core: string): void {
  mkdirSync(join(core, 'inner'), { recursive: true });
  for (const name of ['package.json', 'pack.ts', 'tsconfig.pack.json']) {
    cpSync(join(root, 'core', name), join(core, name));
  }
  for (const [name, text] of Object.entries(sample)) writeFileSync(join(core, name), text);
}

function realCore(core: string): void {
  cpSync(join(root, 'core'), core, {
    recursive: true,
    filter: (path) => !/node_modules|\bdist\b/.test(path),
  });
}

/** Packs, and returns a project whose only dependency is the package. */
function install(t: ExecutionContext, folder: string): string {
  const manifest = readFileSync(join(folder, 'core', 'package.json'), 'utf8');
  const [packed] = JSON.parse(run(t, folder, 'npm', 'pack', '-w', 'core', '--json'));
  t.is(readFileSync(join(folder, 'core', 'package.json'), 'utf8'), manifest, 'package.json is as it was');
  const names: string[] = packed.files.map((file: { path: string }) => file.path);
  t.deepEqual(
    names.filter(
      (name) => !/^dist\/.*\.(js|d\.ts)$/.test(name) && !/^(LICENSE|package\.json|README\.md)$/.test(name),
    ),
    [],
    'only built files are packed',
  );
  t.true(names.includes('LICENSE'));
  const project = temporary(t);
  writeFileSync(join(project, 'package.json'), '{ "name": "empty", "type": "module", "private": true }');
  run(t, project, 'npm', 'install', '--offline', join(folder, packed.filename));
  return project;
}

/** Every Node on the PATH, by version: the pinned one and, where there is one, the machine's own. */
function nodes(): Map<string, string> {
  const found = new Map<string, string>();
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, 'node');
    if (!existsSync(path)) continue;
    const version = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout.trim();
    if (Number(/^v(\d+)/.exec(version)?.[1]) >= 20) found.set(version, path);
  }
  return found.size > 0 ? found : new Map([[process.version, process.execPath]]);
}

function typeCheck(t: ExecutionContext, project: string, source: string): void {
  writeFileSync(join(project, 'use.ts'), source);
  // No @types/node and no skipLibCheck: what the declarations need beyond the language is a fault.
  const compilerOptions = { module: 'nodenext', target: 'es2022', strict: true, noEmit: true, types: [] };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['use.ts'] }));
  run(t, project, process.execPath, compiler, '-p', '.');
}

test('npm pack: the sample core can be installed, run and type-checked', (t) => {
  const project = install(t, checkout(t, sampleCore));
  writeFileSync(
    join(project, 'use.mjs'),
    `import { use } from 'bramble'; import { hold } from 'bramble/rpc';
     console.log(await use() + hold('bc').name.length);`,
  );
  for (const [version, path] of nodes()) t.is(run(t, project, path, 'use.mjs'), '3\n', version);
  typeCheck(
    t,
    project,
    `import { type Held, type Length, use } from 'bramble'; import { hold } from 'bramble/rpc';
     const held: Held = hold('a'); const length: Length = 1; const used: Promise<number> = use();
     // @ts-expect-error the types are really there
     const wrong: string = held.name.length; export { held, length, used, wrong };`,
  );
});

test('npm pack: the library itself can be installed, imported and type-checked', (t) => {
  const project = install(t, checkout(t, realCore));
  writeFileSync(
    join(project, 'use.mjs'),
    `import { connect } from 'bramble'; import { RpcConnection } from 'bramble/rpc';
     console.log(typeof connect, typeof RpcConnection);`,
  );
  for (const [version, path] of nodes())
    t.is(run(t, project, path, 'use.mjs'), 'function function\n', version);
  typeCheck(
    t,
    project,
    `import { connect } from 'bramble'; import { RpcConnection } from 'bramble/rpc';
     // @ts-expect-error the types are really there
     const wrong: string = connect; export { wrong, RpcConnection };`,
  );
});

test('pack.ts: a manifest left by a pack that was killed is put back by the next run', (t) => {
  const folder = checkout(t, sampleCore);
  const manifest = join(folder, 'core', 'package.json');
  const original = readFileSync(manifest, 'utf8');
  run(t, join(folder, 'core'), process.execPath, 'pack.ts', 'build');
  t.not(readFileSync(manifest, 'utf8'), original, 'killed here, before postpack');
  run(t, folder, 'npm', 'pack', '-w', 'core', '--json');
  t.is(readFileSync(manifest, 'utf8'), original);
});

test('pack.ts: refuses what resolves in the checkout alone', (t) => {
  const folder = checkout(t, sampleCore);
  writeFileSync(
    join(folder, 'core', 'rpc.ts'),
    `// An entry.\nexport type { Held } from '#core/inner/held.ts';\n`,
  );
  const { status, stderr } = spawnSync(process.execPath, ['pack.ts', 'build'], {
    cwd: join(folder, 'core'),
    encoding: 'utf8',
  });
  t.is(status, 1);
  t.regex(stderr, /^rpc\.ts\(2,.*not a relative path/m);
});
