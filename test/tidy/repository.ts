// Rules for all files of the repository and for its packages.

import { type Breach, lineAt, type Source } from './source.ts';

/** The fields of a package.json that these rules read. */
export type Manifest = {
  name: string;
  exports?: Record<string, unknown>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  bundleDependencies?: string[];
};

// Put together, so that this file does not break its own rules.
const folders = ['work', 'root', 'home'].join('|');
const hosts = [
  ['registry', '\\.[a-z0-9-]+\\.[a-z]{2,}'],
  ['npm', 'js\\.(?:org|com)'],
  ['deb', '\\.debian\\.org'],
].map((parts) => parts.join(''));

const machinePath = new RegExp(`(?<![\\w.~$})\\]-])/(?:${folders})/[\\w.-]`, 'g');
const registryHost = new RegExp(`(?:${hosts.join('|')})|://[^\\s/"']*(?:regist|mirror)`, 'gi');
const registrySetting = new RegExp(`^(?:@[^:\\s]+:)?${'regis'}try\\s*=`, 'gm');

/** Whether a file is text; a zero byte says that it is not. */
export function isText({ text }: Source): boolean {
  return !text.includes('\0');
}

/** Names of one machine's folders, or of the place that packages come from: neither is the same for
 * the next reader. */
export function machineBreaches(source: Source): Breach[] {
  const rules: [RegExp, string][] = [
    [machinePath, 'a path of one machine: make it relative, or take it as an argument'],
    [registryHost, "a package registry's host: leave it to the machine's settings"],
  ];
  if (source.path.endsWith('.npmrc'))
    rules.push([registrySetting, "a package registry: that is the machine's"]);
  return rules.flatMap(([pattern, advice]) =>
    [...source.text.matchAll(pattern)].map(
      (match) => `${source.path}:${lineAt(source.text, match.index)}: "${match[0]}" is ${advice}`,
    ),
  );
}

/** Packages in package-lock.json that say from where they were fetched. */
export function lockBreaches(text: string): Breach[] {
  const packages: Record<string, { resolved?: string }> = JSON.parse(text).packages;
  return Object.entries(packages)
    .filter(([, { resolved }]) => resolved !== undefined && /^[a-z+]+:/i.test(resolved))
    .map(
      ([name, { resolved }]) =>
        `package-lock.json: ${name} is resolved to ${resolved}: run npm install with the .npmrc of the root`,
    );
}

/** All that a manifest makes npm install. */
export function dependenciesOf(manifest: Manifest): string[] {
  return [
    ...Object.keys({
      ...manifest.dependencies,
      ...manifest.devDependencies,
      ...manifest.optionalDependencies,
      ...manifest.peerDependencies,
    }),
    ...(manifest.bundleDependencies ?? []),
  ].sort();
}

/** What keeps core from being a package that brings nothing along and runs from the checkout. */
export function coreBreaches(manifest: Manifest): Breach[] {
  const breaches = dependenciesOf(manifest).map(
    (name) => `core/package.json: depends on ${name}, but core takes no package`,
  );
  const entry = manifest.exports?.['.'];
  if (typeof entry !== 'string' || !entry.endsWith('.ts')) {
    breaches.push(
      'core/package.json: "." is not exported as a .ts file; a pack was cut short: run node core/pack.ts restore',
    );
  }
  return breaches;
}

/** Dependencies without a line in the section "Dependencies" of CONTRIBUTING.md that says why, and
 * lines for what is no dependency any more. */
export function reasonBreaches(contributing: string, dependencies: string[]): Breach[] {
  const section = /^## Dependencies\n([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(contributing)?.[1] ?? '';
  const lines = new Map<string, string>();
  for (const match of section.matchAll(/^- (?<names>`[^`]+`(?:, `[^`]+`| and `[^`]+`)*): (?<why>.+)$/gm)) {
    for (const [, name] of match.groups!.names!.matchAll(/`([^`]+)`/g)) lines.set(name!, match.groups!.why!);
  }
  const wanted = new Set(dependencies);
  return [
    ...[...wanted]
      .filter((name) => !lines.has(name))
      .map((name) => `CONTRIBUTING.md: no line under Dependencies says why there is ${name}`),
    ...[...lines.keys()]
      .filter((name) => !wanted.has(name))
      .map((name) => `CONTRIBUTING.md: has a line for ${name}, which is no dependency`),
  ];
}
