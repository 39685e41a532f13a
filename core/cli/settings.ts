/**
 * The values of a command's flags, wherever they come from: flags beat the environment (`BRAMBLE_` + the flag in capitals,
 * `-` as `_`) beat the file that --config names (JSON, flag names in camelCase) beat the defaults.
 *
 * Invariant: what is accepted has its flag's type. A wrong value in the environment or the file is bad configuration, on
 * the command line wrong usage (for the server: bad configuration too). An empty variable counts as not set.
 */

import { assert, unreachable } from '../base/assert.ts';
import { badValueExit, name, nearest } from './arguments.ts';
import type { Command, Flag } from './command.ts';
import { DURATION_FORM, parseDuration } from './durations.ts';
import { badConfiguration, CommandError } from './exit.ts';

export type Source = 'flag' | 'environment' | 'file' | 'default';

type Value = string | number | boolean | readonly string[];

export class Settings {
  readonly #values: ReadonlyMap<string, { readonly value: Value; readonly source: Source }>;

  constructor(values: ReadonlyMap<string, { readonly value: Value; readonly source: Source }>) {
    this.#values = values;
  }

  source(flag: string): Source | null {
    return this.#values.get(flag)?.source ?? null;
  }

  switch(flag: string): boolean {
    return this.#values.get(flag)?.value === true;
  }

  text(flag: string): string | null {
    const value = this.#values.get(flag)?.value ?? null;
    assert(value === null || typeof value === 'string', `--${flag} is no text`);
    return value;
  }

  /** An integer as it is, a duration in milliseconds. */
  number(flag: string): number | null {
    const value = this.#values.get(flag)?.value ?? null;
    assert(value === null || typeof value === 'number', `--${flag} is no number`);
    return value;
  }

  list(flag: string): readonly string[] | null {
    const value = this.#values.get(flag)?.value ?? null;
    assert(value === null || Array.isArray(value), `--${flag} is no list`);
    return value as readonly string[] | null;
  }
}

export function variableName(flag: string): string {
  return `BRAMBLE_${flag.toUpperCase().replaceAll('-', '_')}`;
}

export function camelCase(flag: string): string {
  return flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Why `text` is not a value of `flag`, or the value. */
function parseValue(flag: Flag, text: string): { readonly value: Value } | { readonly problem: string } {
  switch (flag.type) {
    case 'switch':
      if (/^(1|true)$/i.test(text)) return { value: true };
      if (/^(0|false)$/i.test(text)) return { value: false };
      return { problem: 'must be 1 or 0' };
    case 'text':
      return text === '' ? { problem: 'must not be empty' } : { value: text };
    case 'duration': {
      const durationMs = parseDuration(text);
      return durationMs === null ? { problem: `must be ${DURATION_FORM}` } : { value: durationMs };
    }
    case 'integer': {
      const value = Number(text);
      const whole = /^\d+$/.test(text) && Number.isSafeInteger(value);
      return whole ? { value } : { problem: 'must be a whole number of at least 0' };
    }
    case 'list': {
      const items = text.split(',').map((item) => item.trim());
      if (items.some((item) => item === '')) return { problem: 'has an empty item between its commas' };
      return { value: items };
    }
    default:
      return unreachable(flag.type);
  }
}

/** The same for a JSON value: its type must be the flag's own. */
function parseJsonValue(flag: Flag, json: unknown): { readonly value: Value } | { readonly problem: string } {
  switch (flag.type) {
    case 'switch':
      return typeof json === 'boolean' ? { value: json } : { problem: 'must be true or false' };
    case 'integer':
      if (typeof json !== 'number') return { problem: 'must be a number' };
      return parseValue(flag, String(json));
    case 'list':
      if (Array.isArray(json) && json.length > 0 && json.every((item) => typeof item === 'string')) {
        return parseValue(flag, json.join(','));
      }
      if (typeof json !== 'string') return { problem: 'must be a list of strings' };
      return parseValue(flag, json);
    case 'text':
    case 'duration':
      return typeof json === 'string' ? parseValue(flag, json) : { problem: 'must be a string' };
    default:
      return unreachable(flag.type);
  }
}

export interface SettingsInput {
  readonly command: Command;
  /** The command table: a file shared by commands of one family may hold keys of all of them. */
  readonly commands: readonly Command[];
  readonly flags: ReadonlyMap<string, string>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Reads the text of a file; throws if it cannot. */
  readFile(path: string): string;
}

export function readSettings(input: SettingsInput): Settings {
  const { command, flags, environment } = input;
  const file = readConfiguration(input);
  const values = new Map<string, { value: Value; source: Source }>();
  for (const flag of command.flags) {
    const variable = variableName(flag.name);
    const given = flags.get(flag.name);
    const inEnvironment = flag.configurable === true ? environment[variable] : undefined;
    if (given !== undefined) {
      const parsed = parseValue(flag, given);
      if ('problem' in parsed) {
        const message = `${name(command)}: --${flag.name} ${parsed.problem}, not ${JSON.stringify(given)}`;
        throw new CommandError(message, badValueExit(command));
      }
      values.set(flag.name, { value: parsed.value, source: 'flag' });
    } else if (inEnvironment !== undefined && inEnvironment !== '') {
      const parsed = parseValue(flag, inEnvironment);
      if ('problem' in parsed) {
        throw badConfiguration(`${variable} ${parsed.problem}, not ${JSON.stringify(inEnvironment)}`);
      }
      values.set(flag.name, { value: parsed.value, source: 'environment' });
    } else if (file.has(flag.name)) {
      values.set(flag.name, { value: file.get(flag.name) as Value, source: 'file' });
    } else if (flag.default !== undefined) {
      const parsed = parseValue(flag, flag.default);
      assert('value' in parsed, `the default of --${flag.name} is not one of its values`);
      values.set(flag.name, { value: parsed.value, source: 'default' });
    }
  }
  return new Settings(values);
}

/** The values in the file that --config (or BRAMBLE_CONFIG) names, by flag name. */
function readConfiguration(input: SettingsInput): Map<string, Value> {
  const values = new Map<string, Value>();
  if (!input.command.flags.some((flag) => flag.name === 'config')) return values;
  const path = input.flags.get('config') ?? input.environment.BRAMBLE_CONFIG ?? '';
  if (path === '') return values;
  let json: unknown;
  try {
    json = JSON.parse(input.readFile(path));
  } catch (error) {
    throw badConfiguration(`Cannot read the configuration ${path}: ${(error as Error).message}`);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw badConfiguration(`The configuration ${path} must hold one JSON object`);
  }
  const known = new Map<string, Flag>();
  for (const command of input.commands) {
    if (command.family !== input.command.family) continue;
    for (const flag of command.flags) {
      if (flag.configurable === true && flag.name !== 'config') known.set(camelCase(flag.name), flag);
    }
  }
  for (const [key, value] of Object.entries(json)) {
    const flag = known.get(key);
    if (flag === undefined) {
      const near = nearest(key, [...known.keys()]);
      const hint = near === null ? `known are ${[...known.keys()].join(', ')}` : `did you mean "${near}"?`;
      throw badConfiguration(`The configuration ${path} has an unknown key "${key}"; ${hint}`);
    }
    const parsed = parseJsonValue(flag, value);
    if ('problem' in parsed) {
      throw badConfiguration(
        `The configuration ${path}: "${key}" ${parsed.problem}, not ${JSON.stringify(value)}`,
      );
    }
    values.set(flag.name, parsed.value);
  }
  return values;
}
