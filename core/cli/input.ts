/** Reading all of stdin, within a bound. */

import type { Context } from './command.ts';

/** At most one chunk more than `sizeMax` bytes: enough to know that it is too much. */
export async function readInput(context: Pick<Context, 'stdin'>, sizeMax: number): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of context.stdin()) {
    parts.push(part as Buffer);
    size += (part as Buffer).length;
    if (size > sizeMax) break;
  }
  return Buffer.concat(parts);
}
