// Words that must not occur in code, each with the places where it is banned and what to do instead.

import { isWithin, layerOf } from './layers.ts';
import { type Breach, codeOnly, lineAt, type Source } from './source.ts';

type Ban = {
  name: string;
  pattern: RegExp;
  /** What to do instead. */
  instead: string;
};

/** A name that is used as such: not a property of something, not part of a longer name. */
const global = (name: string): string => `(?<![.\\w$])${name}`;

/** Layers and parts whose whole behaviour follows from their arguments, so that a seed replays it. */
const pureLayers = ['base', 'raft', 'state-machine', 'wire'];
const pureParts = ['core/transport/request-window', 'agent/faults/plan'];

const pureBans: Ban[] = [
  {
    name: 'async or await',
    pattern: /(?<![.\w$])(?:async|await)\b(?!\s*:)/g,
    instead: 'return what is to be done',
  },
  {
    name: 'a timer',
    pattern: new RegExp(global('(?:setTimeout|setInterval|setImmediate|queueMicrotask)\\b'), 'g'),
    instead: 'count ticks',
  },
  {
    name: 'a clock',
    pattern: new RegExp(global('(?:Date|performance)\\b(?!\\s*\\??:)'), 'g'),
    instead: 'take the time as an argument',
  },
  {
    name: 'Math.random',
    pattern: /\bMath\s*\.\s*random\b/g,
    instead: 'take an Entropy or the seeded generator',
  },
  {
    name: 'process',
    pattern: new RegExp(global('process\\s*\\.'), 'g'),
    instead: 'take what you need as an argument',
  },
];

/** The edge: adapters behind the Clock and Entropy ports, and programs that put things together. All
 * other code takes those ports, or its tests would have to wait and could not be replayed. */
const edge = [
  'core/node',
  'core/cli',
  'core/pack',
  'agent/main',
  'agent/lab',
  'agent/chaos',
  'agent/http',
  'agent/collectors',
  'agent/console',
  'agent/faults/guard',
  'agent/faults/process',
];

const edgeBans: Ban[] = [
  {
    name: 'a real clock or real randomness',
    pattern:
      /\bDate\s*\.\s*now\b|\bMath\s*\.\s*random\b|\bnew\s+Date\b|(?<![.\w$])performance\s*\.\s*now\b|\bprocess\s*\.\s*hrtime\b/g,
    instead: 'take a Clock or an Entropy; only the edge makes them',
  },
];

const sourceBans: Ban[] = [
  { name: 'enum', pattern: /(?<![.\w$])enum\s+[A-Za-z_$]/g, instead: 'use an `as const` object' },
  {
    name: 'namespace',
    pattern: /(?<![.\w$])(?:namespace|module)\s+[A-Za-z_$][\w$.]*\s*\{/g,
    instead: 'use a module',
  },
  {
    name: 'console',
    pattern: /(?<![.\w$])console\s*\.\s*(?:log|info|debug|warn|error|trace|table)\b/g,
    instead: 'print through the output port or log through the Logger',
  },
];

// Put together, so that this file does not break its own rule.
const unfinished: Ban = {
  name: 'a mark of something unfinished',
  pattern: new RegExp(`\\b(?:${['FIX', 'ME|X', 'XX|HA', 'CK'].join('')})\\b`, 'g'),
  instead: 'finish it, or open an issue',
};

const onlyBan: Ban = {
  name: '.only(',
  pattern: /\btest(?:\.\w+)*\.only\s*\(/g,
  instead: 'let the others run too',
};

/** Breaches in one .ts file, of all bans that hold where it lies. */
export function banBreaches(source: Source): Breach[] {
  const { path, text } = source;
  const code = codeOnly(text);
  const product = /^(core|agent)\//.test(path);
  const layer = layerOf(path);
  const pure = (layer !== null && pureLayers.includes(layer)) || isWithin(path, pureParts);
  const bans = [
    onlyBan,
    ...(product ? sourceBans : []),
    ...(pure ? pureBans : []),
    ...(product && !pure && !isWithin(path, edge) ? edgeBans : []),
  ];
  return [
    ...bans.flatMap((ban) => found(source, code, ban)),
    ...found(source, text, unfinished),
    ...(product ? parameterProperties(source, code) : []),
    ...silentSkips(source, code),
  ];
}

function found({ path, text }: Source, searched: string, ban: Ban): Breach[] {
  return [...searched.matchAll(ban.pattern)].map(
    (match) =>
      `${path}:${lineAt(text, match.index)}: "${match[0].trim()}" is ${ban.name}, banned here: ${ban.instead}`,
  );
}

/** Fields declared among a constructor's parameters: Node cannot strip them. */
function parameterProperties({ path, text }: Source, code: string): Breach[] {
  const breaches: Breach[] = [];
  for (const match of code.matchAll(/(?<![.\w$])constructor\s*\(/g)) {
    const start = match.index + match[0].length;
    let depth = 1;
    let end = start;
    for (; end < code.length && depth > 0; end += 1) {
      if ('([{'.includes(code[end]!)) depth += 1;
      if (')]}'.includes(code[end]!)) depth -= 1;
    }
    const parameters = code.slice(start, end - 1);
    if (/(?:^|,)\s*(?:public|private|protected|readonly|override)\s+[\w$[{]/.test(parameters)) {
      const line = lineAt(text, match.index);
      breaches.push(
        `${path}:${line}: the constructor has a parameter property, banned here: declare the field`,
      );
    }
  }
  return breaches;
}

/** A test that does not run, with no comment on the line above that says why. */
function silentSkips({ path, text }: Source, code: string): Breach[] {
  const lines = text.split('\n');
  return [...code.matchAll(/\btest(?:\.\w+)*\.(?:skip|todo|failing)\s*\(/g)]
    .map((match) => lineAt(text, match.index))
    .filter((line) => !/^\s*(?:\/\/|\*|\/\*).*\w/.test(lines[line - 2] ?? ''))
    .map(
      (line) => `${path}:${line}: a test is skipped and nothing says why: give the reason on the line above`,
    );
}
