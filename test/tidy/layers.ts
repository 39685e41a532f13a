// Which part of bramble may import which: the table, and the check that holds the sources to it.
//
// Arrows point one way so that a reader can take a layer by itself, so that the protocol can be run
// by a simulator with no disk, network or clock, and so that the client library stays small. A new
// arrow is a design decision: add it here with its reason in `why`.

import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import { type Breach, type Import, importsOf, type Source } from './source.ts';

type Layer = {
  /** Layers that may be imported whole. */
  imports: string[];
  /** Layers of which only types may be imported: an interface, but not what stands behind it. */
  types: string[];
  /** Node's builtins that may be imported. */
  builtins: string[] | 'any';
  /** What the arrows are for. */
  why: string;
};

const protocol = ['base', 'raft', 'state-machine', 'wire'];
const everything = [...protocol, 'storage', 'transport', 'server', 'client', 'node'];

/** core's layers by folder, and its entry points by file name. */
export const layers: Record<string, Layer> = {
  base: { imports: [], types: [], builtins: [], why: 'words and ports that all others share' },
  raft: { imports: ['base'], types: [], builtins: [], why: 'the protocol computes; it does not act' },
  'state-machine': {
    imports: ['base'],
    types: [],
    builtins: [],
    why: 'knows nothing of how it is replicated',
  },
  wire: {
    imports: ['base'],
    types: ['raft', 'state-machine'],
    builtins: [],
    why: 'encodes the messages and commands that those two declare',
  },
  storage: {
    imports: ['base', 'wire'],
    types: ['raft', 'state-machine'],
    builtins: ['fs', 'fs/promises', 'path'],
    why: 'keeps entries and hard state, which raft declares, and carries out the file effects that the state machine asks for',
  },
  transport: { imports: ['base', 'wire'], types: [], builtins: ['dgram'], why: 'datagrams, no meaning' },
  node: {
    imports: ['base', 'wire', 'transport'],
    types: [],
    builtins: 'any',
    why: 'the adapters behind the ports: clock, randomness, cryptography, sockets, logger',
  },
  server: {
    imports: protocol,
    types: ['storage', 'transport'],
    builtins: [],
    why: 'disk and network arrive as arguments, so that the simulator can hand in its own',
  },
  client: {
    imports: ['base', 'wire', 'transport'],
    types: ['state-machine'],
    builtins: [],
    why: 'speaks to a server over any transport, of which it runs only the pure request window (the check below keeps sockets out); a client never runs the state machine',
  },
  sim: {
    imports: everything.filter((layer) => layer !== 'node'),
    types: [],
    builtins: [],
    why: 'runs the shipped code; the check below keeps real disks and sockets out of its reach',
  },
  cli: {
    imports: [...everything, 'sim', 'index.ts'],
    types: [],
    builtins: 'any',
    why: 'the edge: all is put together here, and its client commands use the library as anybody would',
  },
  'index.ts': {
    imports: ['client', 'transport', 'node', 'base', 'wire', 'state-machine'],
    types: [],
    builtins: [],
    why: 'the library: a client with the adapters of Node',
  },
  'rpc.ts': {
    imports: ['client', 'transport', 'node', 'base', 'wire', 'state-machine'],
    types: [],
    builtins: [],
    why: "the library under the coursework's names",
  },
  'pack.ts': { imports: [], types: [], builtins: 'any', why: 'a tool of the package, not part of it' },
};

/** What agent/ may import of core: its public entries, as package.json exports them. */
const agentEntries = ['bramble', 'bramble/cli', 'bramble/rpc', 'bramble/sim'];

/** Only these run the simulator or its checker; a server or a client never carries them. Paths
 * without their ending, so that a file may become a folder. */
const simImporters = [
  'core/cli/chaos',
  'core/cli/commands/check',
  'core/cli/sim',
  'agent/chaos',
  // lab --smoke checks the history that it wrote.
  'agent/lab',
];

/** Parts of agent that compute only, held to what the pure layers are held to. */
const pureParts = ['agent/faults/plan'];

/** Whether a path is one of the given files or lies in one of the given folders, named without
 * endings. */
export function isWithin(path: string, places: string[]): boolean {
  return places.some(
    (place) => path === place || ['.', '/', '-'].some((next) => path.startsWith(`${place}${next}`)),
  );
}

/** The layer of a path in core: its folder, or the file itself where it lies at the top. */
export function layerOf(path: string): string | null {
  const [top, name] = path.split('/');
  return top === 'core' && name !== undefined ? name : null;
}

function builtinOf(specifier: string): string | null {
  if (specifier.startsWith('node:')) return specifier.slice('node:'.length);
  return builtinModules.includes(specifier) ? specifier : null;
}

/** The path in the repository that a relative import names. */
function targetOf(source: Source, specifier: string): string {
  return posix.join(posix.dirname(source.path), specifier);
}

/** Why one import is not allowed, or null. `packages` are those that agent/package.json names. */
function obstacle(source: Source, { specifier, typeOnly }: Import, packages: string[]): string | null {
  if (specifier === null) return 'computes the module, so that nobody can check it: name it in a string';
  const top = source.path.split('/')[0] as string;
  const builtin = builtinOf(specifier);
  if (builtin !== null) return builtinObstacle(source, specifier, builtin);
  if (specifier.startsWith('.')) {
    const target = targetOf(source, specifier);
    if (!target.startsWith(`${top}/`)) return `reaches out of ${top}/: ${advice[top]}`;
    if (!/\.(ts|json)$/.test(target)) return 'names no file: relative imports end in .ts';
    return top === 'core' ? layerObstacle(source, target, typeOnly) : null;
  }
  if (top === 'core') {
    return specifier.startsWith('#core/')
      ? 'uses a name that the published package does not have: import by a relative path'
      : 'is a package: core takes none';
  }
  if (specifier === 'bramble/sim' && !isWithin(source.path, simImporters)) return simAdvice;
  if (agentEntries.includes(specifier)) return null;
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  if (name !== 'bramble' && packages.includes(name)) return null;
  return `is neither a dependency of agent/package.json nor one of ${agentEntries.join(', ')}`;
}

const advice: Record<string, string> = {
  core: 'core stands by itself',
  agent: "agent uses core through its public entries, by the package's name",
};

const simAdvice = `is for tests and for ${simImporters.join(', ')} only`;

function builtinObstacle(source: Source, specifier: string, builtin: string): string | null {
  if (!specifier.startsWith('node:')) return `is Node's own: write node:${specifier}`;
  if (isWithin(source.path, pureParts)) return 'is IO, and this part computes only';
  const layer = layerOf(source.path);
  if (layer === null) return null;
  const allowed = layers[layer]?.builtins ?? [];
  if (allowed === 'any' || allowed.includes(builtin)) return null;
  return `is not among the builtins of ${layer} (${allowed.join(', ') || 'none'})`;
}

function layerObstacle(source: Source, target: string, typeOnly: boolean): string | null {
  const from = layerOf(source.path) as string;
  const to = layerOf(target) as string;
  const rule = layers[from];
  if (rule === undefined) return `is imported by ${from}, which is in no row of the table`;
  if (from === to) return null;
  if (to === 'package.json' && rule.builtins === 'any') return null;
  if (to === 'sim' && from === 'cli' && !isWithin(source.path, simImporters)) return simAdvice;
  if (rule.imports.includes(to) || (typeOnly && rule.types.includes(to))) return null;
  return rule.types.includes(to)
    ? `gives ${from} more than types of ${to}: use import type, and take the value as an argument`
    : `is an arrow from ${from} to ${to}, which the table does not have`;
}

/** Every import in core and agent that the table does not allow. */
export function importBreaches(sources: Source[], packages: string[]): Breach[] {
  const breaches: Breach[] = [];
  for (const source of sources) {
    const layer = layerOf(source.path);
    if (layer !== null && layers[layer] === undefined) {
      breaches.push(`${source.path}: "${layer}" is no layer; give it a row in test/tidy/layers.ts`);
      continue;
    }
    for (const found of importsOf(source.text)) {
      const reason = obstacle(source, found, packages);
      if (reason !== null) {
        breaches.push(`${source.path}:${found.line}: import of "${found.specifier ?? '…'}" ${reason}`);
      }
    }
  }
  return [...breaches, ...reachBreaches(sources)];
}

/**
 * A layer without builtins must not come to one by way of others either: sim may use the write-ahead
 * log of storage, but not the file that opens real files. Follows imports of values through core.
 */
function reachBreaches(sources: Source[]): Breach[] {
  const byPath = new Map(sources.map((source) => [source.path, importsOf(source.text)]));
  const breaches: Breach[] = [];
  for (const { path } of sources) {
    const layer = layerOf(path);
    if (layer === null || path.endsWith('index.ts') || path === 'core/rpc.ts') continue;
    const builtins = layers[layer]?.builtins;
    if (builtins === 'any' || builtins === undefined || builtins.length > 0) continue;
    const way = wayToBuiltin(path, byPath);
    if (way !== null && way.length > 2) {
      breaches.push(`${path}: reaches a builtin of Node, which ${layer} must not: ${way.join(' > ')}`);
    }
  }
  return breaches;
}

/** The shortest way from a file over imports of values to a builtin, both ends included, or null. */
function wayToBuiltin(path: string, byPath: Map<string, Import[]>): string[] | null {
  const seen = new Set([path]);
  const queue: string[][] = [[path]];
  for (let way = queue.shift(); way !== undefined; way = queue.shift()) {
    const at = way.at(-1) as string;
    for (const { specifier, typeOnly } of byPath.get(at) ?? []) {
      if (typeOnly || specifier === null) continue;
      if (builtinOf(specifier) !== null) return [...way, specifier];
      const target = targetOf({ path: at, text: '' }, specifier);
      if (!specifier.startsWith('.') || seen.has(target)) continue;
      seen.add(target);
      queue.push([...way, target]);
    }
  }
  return null;
}
