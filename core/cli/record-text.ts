/** How records look on stdout: as they are, or as JSON with base64 for what is not UTF-8. */

import { utf8Text } from '../base/bytes.ts';

export interface RecordJson {
  readonly log: string;
  readonly offset: number;
  readonly data: string;
  readonly encoding?: 'base64';
}

export function recordJson(log: string, offset: number, data: Uint8Array): RecordJson {
  const text = utf8Text(data);
  if (text !== null) return { log, offset, data: text };
  return { log, offset, data: Buffer.from(data).toString('base64'), encoding: 'base64' };
}

/** The record's bytes, and a newline unless they end in one, so that records of lines stay lines. */
export function recordLine(data: Uint8Array): Uint8Array {
  if (data[data.length - 1] === 0x0a) return data;
  const line = new Uint8Array(data.length + 1);
  line.set(data);
  line[data.length] = 0x0a;
  return line;
}

/** Columns of text, each as wide as its widest cell; the last is not padded. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, cell.length);
    });
  }
  return rows.map((row) =>
    row
      .map((cell, index) => (index === row.length - 1 ? cell : cell.padEnd(widths[index] as number)))
      .join('  '),
  );
}
