/** Operations in words that a student understands: as sentences, as entries of a table, and durations between them. */

import { unreachable } from '../../base/assert.ts';
import type { Operation, Value } from './history.ts';

/** `client 3 read "a" from register x`: what was done, as its client saw it. */
export function deed(operation: Operation): string {
  return `client ${operation.client} ${predicate(operation)}`;
}

function predicate({ action, key, outcome, code }: Operation): string {
  const refused = outcome === 'refused';
  const tried = (verb: string, past: string): string =>
    outcome === 'unknown' ? `tried to ${verb} (outcome unknown)` : past;
  switch (action.type) {
    case 'get':
      return refused || action.value === null
        ? `found nothing in register ${key}`
        : `read ${quoted(action.value)} from register ${key}`;
    case 'put':
      return tried(
        `put ${quoted(action.value)} into register ${key}`,
        `put ${quoted(action.value)} into register ${key}`,
      );
    case 'delete':
      return refused
        ? `found nothing to delete in register ${key}`
        : tried(`delete register ${key}`, `deleted register ${key}`);
    case 'cas': {
      const change = `${from(action.expect)} to ${quoted(action.value)}`;
      if (refused) return `was told that register ${key} ${isNot(action.expect)}`;
      return tried(`change register ${key} from ${change}`, `changed register ${key} from ${change}`);
    }
    case 'acquire': {
      const mode = action.shared ? 'shared ' : '';
      if (action.token === null) return `tried to acquire ${mode}lock ${key} (outcome unknown)`;
      return action.depth > 1
        ? `entered ${mode}lock ${key} again, under token ${action.token}`
        : `was granted ${mode}lock ${key} with token ${action.token}`;
    }
    case 'release':
      if (refused) return `was told that token ${action.token} no longer holds lock ${key}`;
      return tried(
        `release token ${action.token} of lock ${key}`,
        `released token ${action.token} of lock ${key}`,
      );
    case 'append': {
      const under = action.lock === null ? '' : ` under token ${action.token}`;
      const what = `${quoted(action.data)} to log ${key}${under}`;
      if (refused && code === 1) return `was told that there is no log ${key}`;
      if (refused) return `was refused to append ${what}`;
      return tried(`append ${what}`, `appended ${what} and was given offset ${action.offset}`);
    }
    case 'read': {
      const { records } = action;
      if (refused) return `was told that there is no log ${key}`;
      if (records.length === 0) return `read log ${key} from offset ${action.from} and found no record`;
      if (records.length === 1) {
        return `read log ${key} and found ${quoted(records[0]?.data ?? '')} at offset ${records[0]?.offset}`;
      }
      return `read log ${key} and found the records ${records[0]?.offset} to ${records.at(-1)?.offset}`;
    }
    default:
      return unreachable(action);
  }
}

/** `get → "a"`: for a table. */
export function label({ action, outcome, code }: Operation): string {
  const result = (text: string): string =>
    outcome === 'done' ? text : outcome === 'unknown' ? ' → ?' : ` → refused, code ${code}`;
  switch (action.type) {
    case 'get':
      return `get${result(` → ${action.value === null ? 'nothing' : quoted(action.value)}`)}`;
    case 'put':
      return `put ${quoted(action.value)}${result('')}`;
    case 'delete':
      return `delete${result('')}`;
    case 'cas':
      return `cas ${from(action.expect)} to ${quoted(action.value)}${result('')}`;
    case 'acquire': {
      const words = `acquire${action.shared ? ' shared' : ''}${action.depth > 1 ? `, depth ${action.depth}` : ''}`;
      return `${words}${result(` → token ${action.token}`)}`;
    }
    case 'release':
      return `release token ${action.token}${result('')}`;
    case 'append': {
      const under = action.lock === null ? '' : `, token ${action.token}`;
      return `append ${quoted(action.data)}${under}${result(` → offset ${action.offset}`)}`;
    }
    case 'read': {
      const { records } = action;
      const seen =
        records.length === 0
          ? 'nothing'
          : records.length <= 3
            ? records.map(({ offset, data }) => `${offset}: ${quoted(data, 16)}`).join(', ')
            : `records ${records[0]?.offset} to ${records.at(-1)?.offset}`;
      return `read from ${action.from}${result(` → ${seen}`)}`;
    }
    default:
      return unreachable(action);
  }
}

export function quoted(text: string, charactersMax = 40): string {
  const shown = text.length > charactersMax ? `${text.slice(0, charactersMax - 1)}…` : text;
  return JSON.stringify(shown);
}

function from(value: Value): string {
  return value === null ? 'nothing' : quoted(value);
}

function isNot(value: Value): string {
  return value === null ? 'is not empty' : `does not hold ${quoted(value)}`;
}

/** `3.2 ms`, `870 ns`, `1.5 s`. */
export function span(durationNs: number): string {
  const units = [
    ['s', 1e9],
    ['ms', 1e6],
    ['µs', 1e3],
  ] as const;
  for (const [unit, size] of units) {
    if (durationNs < size) continue;
    const amount = durationNs / size;
    return `${amount >= 100 ? Math.round(amount) : Number(amount.toPrecision(3))} ${unit}`;
  }
  return `${durationNs} ns`;
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
