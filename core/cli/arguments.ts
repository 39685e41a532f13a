/**
 * From words to a command, its flags, its arguments and the CMD after `--`. Everything wrong is wrong usage by name, with
 * the nearest thing that would have been right.
 */

import { parseArgs } from 'node:util';
import type { Command, Flag } from './command.ts';
import { EXIT, wrongUsage } from './exit.ts';

export interface Parsed {
  readonly positionals: readonly string[];
  readonly child: readonly string[] | null;
  /** By flag name; a switch is 'true'. The last one given counts. */
  readonly flags: ReadonlyMap<string, string>;
  readonly help: boolean;
}

/** The command whose words begin `argv`, the longest first; null if there is none. */
export function findCommand(commands: readonly Command[], argv: readonly string[]): Command | null {
  let found: Command | null = null;
  for (const command of commands) {
    // `lock list -- CMD` is a CMD that runs under the lock "list": what has no CMD does not match.
    if (command.words.length > 1 && command.child === undefined && argv[command.words.length] === '--') {
      const parent = commands.find((other) => other.words.join(' ') === command.words[0]);
      if (parent?.child !== undefined) continue;
    }
    const matches = command.words.every((word, index) => argv[index] === word);
    if (matches && (found === null || command.words.length > found.words.length)) found = command;
  }
  return found;
}

/** Splits what follows the command's words. Throws wrong usage. */
export function parseArguments(command: Command, rest: readonly string[]): Parsed {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
  };
  const flagsByName = new Map<string, Flag>();
  for (const flag of command.flags) {
    flagsByName.set(flag.name, flag);
    options[flag.name] = { type: flag.type === 'switch' ? 'boolean' : 'string' };
  }
  const { tokens } = parseArgs({
    args: [...rest],
    options,
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const positionals: string[] = [];
  const flags = new Map<string, string>();
  let child: string[] | null = null;
  let help = false;
  for (const token of tokens) {
    if (token.kind === 'option-terminator') {
      if (command.child !== undefined) child = [];
    } else if (token.kind === 'positional') {
      (child ?? positionals).push(token.value);
    } else if (token.name === 'help') {
      help = true;
    } else {
      const flag = flagsByName.get(token.name);
      if (flag === undefined || token.rawName !== `--${flag.name}`) throw unknownFlag(command, token.rawName);
      flags.set(flag.name, flagValue(command, flag, token.value, token.inlineValue === true));
    }
  }
  if (!help) checkPositionals(command, positionals, child);
  return { positionals, child, flags, help };
}

function flagValue(command: Command, flag: Flag, value: string | undefined, inline: boolean): string {
  if (flag.type === 'switch') {
    if (value === undefined) return 'true';
    throw valueError(command, `--${flag.name} takes no value, but has ${JSON.stringify(value)}`);
  }
  if (value === undefined) {
    throw valueError(command, `--${flag.name} needs a value: --${flag.name} ${flag.placeholder ?? 'VALUE'}`);
  }
  if (!inline && value.startsWith('--')) {
    throw valueError(
      command,
      `--${flag.name} needs a value, but ${JSON.stringify(value)} follows; ` +
        `if that is the value, write --${flag.name}=${value}`,
    );
  }
  return value;
}

function valueError(command: Command, problem: string): Error {
  return wrongUsage(`${name(command)}: ${problem}`);
}

function unknownFlag(command: Command, rawName: string): Error {
  const known = [...command.flags.map((flag) => `--${flag.name}`), '--help'];
  const near = nearest(rawName, known);
  const hint = near === null ? `it takes ${known.join(', ')}` : `did you mean ${near}?`;
  const dash = /^-\d/.test(rawName) ? ' (to give it as a value, write -- before it)' : '';
  return wrongUsage(`${name(command)}: unknown flag ${rawName}${dash}; ${hint}`);
}

function checkPositionals(command: Command, given: readonly string[], child: readonly string[] | null): void {
  const most = command.positionals.length;
  const least = command.positionals.filter((positional) => positional.optional !== true).length;
  if (given.length < least) {
    throw wrongUsage(
      `${name(command)}: ${command.positionals[given.length]?.name} is missing; usage: ${usageLine(command)}`,
    );
  }
  if (given.length > most) {
    const hint = command.child === undefined ? '' : '; put -- before the command to run';
    throw wrongUsage(
      `${name(command)}: ${JSON.stringify(given[most])} is one argument too many${hint}; usage: ${usageLine(command)}`,
    );
  }
  if (command.child === 'required' && child === null) {
    throw wrongUsage(`${name(command)}: the command to run is missing; usage: ${usageLine(command)}`);
  }
  if (child !== null && child.length === 0) {
    throw wrongUsage(`${name(command)}: nothing follows --; usage: ${usageLine(command)}`);
  }
}

/** The message for words that are no command, with the nearest that is. */
export function unknownCommand(commands: readonly Command[], argv: readonly string[]): Error {
  const visible = commands.filter((command) => command.hidden !== true);
  const first = argv[0] as string;
  const group = visible.filter((command) => command.words[0] === first);
  if (group.length > 0) {
    const words = group.map((command) => command.words[1] ?? '');
    const given = argv[1];
    if (given === undefined || given.startsWith('-')) {
      return wrongUsage(`bramble ${first}: say what to do: ${words.join(', ')}`);
    }
    const near = nearest(given, words);
    return wrongUsage(
      `bramble ${first}: there is no "${given}"; ${near === null ? `there are ${words.join(', ')}` : `did you mean ${near}?`}`,
    );
  }
  const near = nearest(first, [...new Set(visible.map((command) => command.words[0] as string))]);
  const hint = near === null ? 'bramble help lists the commands' : `did you mean ${near}?`;
  return wrongUsage(`bramble: there is no command "${first}"; ${hint}`);
}

export function name(command: Command): string {
  return `bramble ${command.words.join(' ')}`;
}

export function usageLine(command: Command): string {
  const parts = [name(command)];
  for (const positional of command.positionals) {
    parts.push(positional.optional === true ? `[${positional.name}]` : positional.name);
  }
  if (command.flags.length > 0) parts.push('[FLAGS]');
  if (command.child === 'optional') parts.push('[-- CMD…]');
  if (command.child === 'required') parts.push('-- CMD…');
  return parts.join(' ');
}

/** The candidate that is at most a third of its length away in single edits; null if none is. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate);
    if (distance <= Math.max(1, Math.ceil(candidate.length / 3)) && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (last[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let least = Math.min(replaced, (last[j] as number) + 1, (row[j - 1] as number) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, (beforeLast[j - 2] as number) + 1);
      }
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] as number;
}

/** Exit code for a flag's value that is not acceptable: a server's are configuration wherever they come from. */
export function badValueExit(command: Command): number {
  return command.family === 'server' ? EXIT.configuration : EXIT.usage;
}
