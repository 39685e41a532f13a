// Builds what `npm pack -w core` puts into the package, and undoes its traces in the checkout.
//
// In the checkout the exports of package.json point at .ts files, which Node runs as they are. Node
// strips no types under node_modules, so the package needs JavaScript and declarations, and a
// manifest whose exports point at those. npm reads the manifest from this folder while it packs, so
// it is swapped for that moment:
//
//   state                                    | what the next run does
//   manifest of the checkout, no copy        | nothing to restore
//   manifest of the checkout, copy beside it | killed before the swap: drops the copy
//   manifest of the package, copy beside it  | killed after the swap: puts the copy back
//   manifest of the package, no copy         | cannot know the original: refuses and names git
//
// Both files are written under another name and renamed, so none is ever half there.
//
// Usage: node pack.ts build (npm's prepack), node pack.ts restore (npm's postpack).

import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

type Manifest = { exports: Record<string, unknown>; files: string[]; [field: string]: unknown };

const folder = import.meta.dirname;
const manifestPath = join(folder, 'package.json');
const copyPath = join(folder, 'package.checkout.json');
const distPath = join(folder, 'dist');
const licensePath = join(folder, 'LICENSE');

/** The package's entry points; `files` in tsconfig.pack.json names the same. The checkout's other
 * exports are for the program in agent/, which ships as a binary. */
const entries = { '.': 'index', './rpc': 'rpc' };

function main(command: string | undefined): void {
  if (command === 'build') {
    restore();
    build();
  } else if (command === 'restore') {
    restore();
  } else {
    fail(`Cannot run pack.ts ${command ?? 'without a command'}: the commands are build and restore.`);
  }
}

function build(): void {
  rmSync(distPath, { recursive: true, force: true });
  compile();
  for (const name of readdirSync(distPath, { recursive: true, encoding: 'utf8' })) {
    const path = join(distPath, name);
    if (name.endsWith('.d.ts')) writeFileSync(path, mendDeclaration(readFileSync(path, 'utf8')));
    if (name.endsWith('.js') || name.endsWith('.d.ts'))
      refuseStraySpecifiers(name, readFileSync(path, 'utf8'));
  }
  copyFileSync(join(folder, '..', 'LICENSE'), licensePath);
  swapManifest();
}

function compile(): void {
  const compiler = join(folder, '..', 'node_modules', 'typescript', 'bin', 'tsc');
  if (!existsSync(compiler)) {
    fail(`Cannot build the package: no compiler at ${compiler}. Run npm ci in the checkout.`);
  }
  const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.pack.json'], {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  // To stderr: `npm pack --json` has stdout for its own answer.
  process.stderr.write(stdout);
  if (status !== 0) fail(`Cannot build the package: tsc ended with ${status}. Mend what it names above.`);
}

/** tsc rewrites `./a.ts` to `./a.js` in JavaScript but leaves declarations as they were. */
function mendDeclaration(text: string): string {
  const mended = text.replace(/((?:\bfrom|\bimport)\s*\(?\s*)(['"])(\.[^'"]*)\.ts\2/g, '$1$2$3.js$2');
  // Disposal is in no default lib, so that a project with default settings would not know the types.
  const disposes = /\b(?:Async)?Disposable\b|\bSymbol\.(?:asyncD|d)ispose\b/.test(mended);
  return disposes ? `/// <reference lib="esnext.disposable" />\n${mended}` : mended;
}

/** What resolves in the checkout alone must not reach the package. tsc refuses such an import in the
 * sources; this looks at what was built, in case a form of import went unmended. */
function refuseStraySpecifiers(name: string, text: string): void {
  const stray = /(?:\bfrom|\bimport)\s*\(?\s*['"](#[^'"]*|\.[^'"]*(?<!\.d)\.ts)['"]/.exec(text);
  if (stray !== null) {
    fail(`Cannot pack dist/${name}: it imports "${stray[1]}". Import by a relative path that ends in .ts.`);
  }
}

function swapManifest(): void {
  const text = readFileSync(manifestPath, 'utf8');
  const { devDependencies: _, imports: __, ...manifest } = JSON.parse(text) as Manifest;
  manifest.exports = {};
  for (const [entry, file] of Object.entries(entries)) {
    manifest.exports[entry] = { types: `./dist/${file}.d.ts`, default: `./dist/${file}.js` };
  }
  writeWhole(copyPath, text);
  writeWhole(manifestPath, `${JSON.stringify(manifest, null, 2)}\n`);
}

function restore(): void {
  rmSync(licensePath, { force: true });
  const manifest = JSON.parse(readFileSync(manifestPath, 'utf8')) as Manifest;
  const swapped = typeof manifest.exports['.'] === 'object';
  if (!swapped) {
    rmSync(copyPath, { force: true });
  } else if (existsSync(copyPath)) {
    renameSync(copyPath, manifestPath);
  } else {
    fail(
      'Cannot restore core/package.json: it is the manifest of a package, left by a pack that was cut short, ' +
        'and package.checkout.json is gone. Run git checkout core/package.json.',
    );
  }
}

function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

main(process.argv[2]);
