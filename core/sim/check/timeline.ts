/**
 * The offending part as a table for a terminal, one line an operation, with a bar from its invocation to its completion:
 *
 *       client  operation     from     to
 *            1  put "a"       0 ns     1.2 ms  ├──┤
 *     ✗      3  get → "a"     7 ms     8 ms                    ├─┤
 */

import { type Finding, inTime } from './findings.ts';
import type { LostHold, Operation } from './history.ts';
import { label, span } from './words.ts';

const BAR_WIDTH = 32;
const OPERATION_WIDTH_MAX = 52;

export interface Row {
  readonly client: number;
  readonly text: string;
  /** Relative to the first row's beginning. */
  readonly from: number;
  /** Null: it has no end that anybody knows. */
  readonly to: number | null;
  readonly impossible: boolean;
  readonly kind: 'operation' | 'lost';
  readonly key: string;
}

/** The rows of a finding, and the time at which its last known event lies. */
export function rowsOf({ operations, lost, impossible }: Finding): {
  readonly rows: readonly Row[];
  readonly end: number;
} {
  const begins = [...operations.map(({ invoke }) => invoke), ...lost.map(({ heldUntil }) => heldUntil)];
  const start = Math.min(...begins);
  const known = operations.map(({ complete }) => complete).filter(Number.isFinite);
  const end = Math.max(...begins, ...known) - start;
  const row = (each: Operation): Row => ({
    client: each.client,
    text: label(each),
    from: each.invoke - start,
    to: Number.isFinite(each.complete) ? each.complete - start : null,
    impossible: each === impossible,
    kind: 'operation',
    key: each.key,
  });
  const lostRow = (each: LostHold): Row => ({
    client: each.client,
    text: `gave up token ${each.token} at its deadline`,
    from: each.heldUntil - start,
    to: each.heldUntil - start,
    impossible: false,
    kind: 'lost',
    key: each.key,
  });
  const rows = [...[...operations].sort(inTime).map(row), ...lost.map(lostRow)];
  return { rows: rows.sort((a, b) => a.from - b.from), end };
}

export function timeline(finding: Finding, emphasize: (text: string) => string = (text) => text): string[] {
  const { rows, end } = rowsOf(finding);
  const cells = rows.map((row) => [
    row.impossible ? '✗' : ' ',
    String(row.client),
    fitted(row.text),
    span(row.from),
    row.to === null ? '?' : span(row.to),
  ]);
  const head = [' ', 'client', 'operation', 'from', 'to'];
  const widths = head.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => (row[column] as string).length)),
  );
  const line = (row: readonly string[], bar: string): string => {
    const padded = row.map((text, column) =>
      column === 1 ? text.padStart(widths[column] as number) : text.padEnd(widths[column] as number),
    );
    return `  ${padded.join('  ')}  ${bar}`.trimEnd();
  };
  return [
    line(head, ''),
    ...rows.map((row, index) => {
      const text = line(cells[index] as string[], bar(row, end));
      return row.impossible ? emphasize(text) : text;
    }),
  ];
}

function bar({ from, to }: Row, end: number): string {
  const place = (time: number): number => (end === 0 ? 0 : Math.round((time / end) * (BAR_WIDTH - 1)));
  const first = place(from);
  if (to === null) return `${' '.repeat(first)}├${'╌'.repeat(Math.max(0, BAR_WIDTH - 1 - first))}▷`;
  const last = place(to);
  if (last === first) return `${' '.repeat(first)}│`;
  return `${' '.repeat(first)}├${'─'.repeat(last - first - 1)}┤`;
}

function fitted(text: string): string {
  return text.length <= OPERATION_WIDTH_MAX ? text : `${text.slice(0, OPERATION_WIDTH_MAX - 1)}…`;
}
