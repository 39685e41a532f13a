// Flips bits in the log of a real server's directory and starts the program on it: damage is refused by name and place, a
// torn last batch is cut.

import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Prng } from '#core/base/prng.ts';
import { connect } from '#core/index.ts';
import { decodeRecord, decodeSegmentHeader } from '#core/storage/wal-format.ts';
import { bramble, type Ended, startServer, temporaryFolder } from './processes.ts';

const RECORDS = 6;
const SEGMENT_NAME = '0000000000000001.wal';

export interface WrittenLog {
  readonly dataDir: string;
  readonly bytes: Buffer;
  /** Where each batch or mark begins, in order. */
  readonly offsets: readonly number[];
}

/** A directory with a log of some batches, of a server that was killed or stopped. */
export async function writeLog(t: ExecutionContext, end: 'SIGKILL' | 'SIGTERM'): Promise<WrittenLog> {
  const server = await startServer(t, { dataDir: join(temporaryFolder(t), 'data') });
  const client = await connect({ servers: [server.address], insecure: true });
  t.teardown(() => client.close());
  await client.logs.create('open');
  // One after the other, so that each is a batch of its own and the last one is the last batch.
  for (let record = 0; record < RECORDS; record++) await client.append('open', `record ${record}\n`);
  process.kill(server.pid, end);
  await server.running.ended;
  return readLog(server.dataDir);
}

export function readLog(dataDir: string): WrittenLog {
  const bytes = readFileSync(join(dataDir, 'wal', SEGMENT_NAME));
  const head = decodeSegmentHeader(bytes);
  if (!head.ok) throw new Error(head.problem);
  const offsets: number[] = [];
  for (let at = head.size; ; ) {
    const found = decodeRecord(head.header, bytes, at);
    if (found === null) break;
    offsets.push(at);
    at = found.end;
  }
  return { dataDir, bytes, offsets };
}

/** A copy of the directory in which one bit of the log's byte at `at` is another. */
function flipped(t: ExecutionContext, log: WrittenLog, where: { at: number; bit: number }): string {
  const copy = join(temporaryFolder(t), 'data');
  cpSync(log.dataDir, copy, { recursive: true, verbatimSymlinks: true });
  const bytes = Buffer.from(log.bytes);
  bytes[where.at] = (bytes[where.at] as number) ^ (1 << where.bit);
  writeFileSync(join(copy, 'wal', SEGMENT_NAME), bytes);
  return copy;
}

/** What a start on a damaged directory says; it ends by itself. */
function startOn(t: ExecutionContext, dataDir: string): Promise<Ended> {
  const args = ['server', '--insecure', '--listen', '127.0.0.1:0', '--data', dataDir];
  return bramble(t, args);
}

/** Flips bits at random places in [from, the last record): each is refused, with segment and offset, and nothing is changed. */
export async function refusesFlips(
  t: ExecutionContext,
  log: WrittenLog,
  options: { readonly flips: number; readonly prng: Prng; readonly from?: number },
): Promise<void> {
  const { flips, prng, from = 0 } = options;
  for (let flip = 0; flip < flips; flip++) {
    const at = prng.between(from, log.offsets.at(-1) as number);
    const dataDir = flipped(t, log, { at, bit: prng.between(0, 8) });
    const before = readFileSync(join(dataDir, 'wal', SEGMENT_NAME));
    const { code, stderr, stdout } = await startOn(t, dataDir);
    const record = log.offsets.findLast((offset) => offset <= at) ?? 0;
    const about = `byte ${at}, in the record at ${record}: ${stderr}`;
    t.true(code !== null && code !== 0, about);
    t.is(stdout.toString(), '', about);
    t.true(stderr.includes(`wal/${SEGMENT_NAME} is damaged at offset ${record}`), about);
    t.deepEqual(readdirSync(join(dataDir, 'wal')), [SEGMENT_NAME], about);
    t.true(readFileSync(join(dataDir, 'wal', SEGMENT_NAME)).equals(before), about);
  }
}

/** The server starts on a log whose last record has a flipped bit, and `expected` is what it still holds. */
export async function cutsFlip(
  t: ExecutionContext,
  log: WrittenLog,
  options: { readonly at: number; readonly expected: readonly string[] },
): Promise<void> {
  const dataDir = flipped(t, log, { at: options.at, bit: 3 });
  const server = await startServer(t, { dataDir });
  const client = await connect({ servers: [server.address], insecure: true });
  const { records } = await client.read('open');
  t.deepEqual(
    records.map((record) => record.text),
    options.expected,
  );
  await client.close();
  await server.kill();
}

export const ALL_RECORDS: readonly string[] = Array.from(
  { length: RECORDS },
  (_, record) => `record ${record}\n`,
);
