/** Help, made from the command table alone: the list of commands, and a page for each. */

import { usageLine } from './arguments.ts';
import type { Command, Flag } from './command.ts';
import { EXIT, EXIT_MEANINGS } from './exit.ts';
import { variableName } from './settings.ts';

const WIDTH = 96;

/** What `bramble` and `bramble help` print. */
export function overview(commands: readonly Command[]): string {
  const visible = commands.filter((command) => command.hidden !== true);
  const usages = visible.map((command) => synopsis(command));
  const column = Math.min(44, Math.max(...usages.map((usage) => usage.length))) + 2;
  const lines = ['bramble: locks and append-only logs for a cluster of small machines', '', 'Commands:'];
  visible.forEach((command, index) => {
    lines.push(...row(usages[index] as string, command.summary, column));
  });
  lines.push(
    '',
    'bramble COMMAND --help (or bramble help COMMAND) says more about each.',
    'Client commands find their servers by --servers or BRAMBLE_SERVERS, and need --key-file or --insecure.',
  );
  return lines.join('\n');
}

/** The commands that begin with one word, as `bramble kv` lists them. */
export function groupOverview(commands: readonly Command[], word: string): string {
  const group = commands.filter((command) => command.words[0] === word && command.hidden !== true);
  const usages = group.map((command) => synopsis(command));
  const column = Math.max(...usages.map((usage) => usage.length)) + 2;
  return group.flatMap((command, index) => row(usages[index] as string, command.summary, column)).join('\n');
}

export function commandHelp(command: Command): string {
  const lines = [`Usage: ${usageLine(command)}`, '', ...wrap(`${command.summary}.`, 0)];
  for (const paragraph of command.details ?? []) lines.push('', ...wrap(paragraph, 0));
  const flags: readonly Flag[] = [
    ...command.flags,
    { name: 'help', type: 'switch', help: 'print this text (also -h)' },
  ];
  lines.push('', 'Flags:');
  const column = Math.max(...flags.map((flag) => flagForm(flag).length)) + 4;
  for (const flag of flags) lines.push(...row(flagForm(flag), flagText(flag), column));
  if (command.flags.some((flag) => flag.configurable === true && flag.name === 'config')) {
    lines.push('', ...wrap('A flag beats its variable, a variable the file of --config.', 0));
  }
  lines.push('', 'Exit codes:');
  const codes = new Set<number>([
    EXIT.fine,
    EXIT.usage,
    ...(command.exits ?? []),
    ...(command.flags.some((flag) => flag.configurable) ? [EXIT.configuration] : []),
  ]);
  for (const { code, meaning } of EXIT_MEANINGS) {
    if (codes.has(code)) lines.push(...row(String(code), meaning, 6));
  }
  for (const note of command.exitNotes ?? []) lines.push(...wrap(note, 2));
  lines.push('', command.examples.length === 1 ? 'Example:' : 'Examples:');
  for (const example of command.examples) lines.push(`  ${example}`);
  return lines.join('\n');
}

function synopsis(command: Command): string {
  return usageLine(command)
    .replace(/^bramble /, '')
    .replace(' [FLAGS]', '');
}

function flagForm(flag: Flag): string {
  return flag.type === 'switch' ? `--${flag.name}` : `--${flag.name} ${flag.placeholder ?? 'VALUE'}`;
}

function flagText(flag: Flag): string {
  const parts = [flag.help];
  if (flag.default !== undefined) parts.push(`default ${flag.default}`);
  if (flag.configurable === true) parts.push(`env ${variableName(flag.name)}`);
  return parts.join('; ');
}

function row(left: string, right: string, column: number): string[] {
  const texts = wrap(right, 0, Math.max(30, WIDTH - column - 2));
  if (left.length + 2 > column) return [`  ${left}`, ...texts.map((text) => ' '.repeat(column + 2) + text)];
  return texts.map((text, index) => `  ${(index === 0 ? left : '').padEnd(column)}${text}`);
}

function wrap(text: string, indent: number, width = WIDTH): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width - indent) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines.map((each) => ' '.repeat(indent) + each);
}
