/**
 * `lab --smoke`: one fault of each kind while the workload runs, and then the promises, one by one. Ends with a summary that
 * a person understands.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, connect, RefusedError } from 'bramble';
import { humanDuration, spawnSelf } from 'bramble/cli';
import type { History, HistoryLine } from './history.ts';
import { pauseProcess, readLines, type ServerProcess, withoutOwnSettings } from './server-process.ts';
import { type LogContents, type Verdict, verify } from './verify.ts';
import { GUARDED } from './workload.ts';

/** Longer than the default lease of 2 s, so that every lock is lost. */
const PAUSE_MS = 2_600;
const RUN_MS = 10_000;
const QUIET_MS = 1_500;
const LATE_LOCK = 'late';
const LATE_LOG = 'late';

export interface SmokeContext {
  readonly server: ServerProcess;
  readonly keyFile: string;
  readonly entry: string | null;
  readonly history: History;
  readonly say: (event: string, text: string, fields?: Readonly<Record<string, unknown>>) => void;
}

export interface LateHolder {
  /** Exit code of `bramble lock`, whose holder was paused past its lease. */
  readonly exit: number | null;
  readonly appendCode: number;
  readonly problem: string | null;
}

/** Runs the faults, about ten seconds in all. */
export async function runFaults(context: SmokeContext): Promise<LateHolder> {
  const { server, say } = context;
  const startedAt = performance.now();
  await sleep(QUIET_MS);
  say('fault', `kill -9 of server ${server.node}`, { kind: 'kill', node: server.node });
  await server.kill();
  await server.start();
  say('started', `server ${server.node} is back, pid ${server.pid}`, { node: server.node, pid: server.pid });
  await sleep(QUIET_MS);
  say('fault', `pause of server ${server.node} for ${humanDuration(PAUSE_MS)}, longer than a lease`, {
    kind: 'pause',
    node: server.node,
  });
  await server.pause(PAUSE_MS);
  await sleep(QUIET_MS);
  const late = await pauseHolder(context);
  await sleep(Math.max(0, RUN_MS - (performance.now() - startedAt)));
  return late;
}

/** A holder that is paused past its lease while another waits: its late append must be refused and leave nothing. */
async function pauseHolder(context: SmokeContext): Promise<LateHolder> {
  const { server, keyFile, entry, say, history } = context;
  const client = await connect({ servers: [server.address], keyFile });
  const args = ['lock', LATE_LOCK, '--json', '--servers', server.address, '--key-file', keyFile];
  const holder = spawnSelf(entry, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: withoutOwnSettings(),
    detached: true,
  });
  const exited = new Promise<number | null>((resolve) => holder.on('exit', (code) => resolve(code)));
  try {
    await client.logs.create(LATE_LOG, { guard: LATE_LOCK });
    const token = await new Promise<number>((resolve, reject) => {
      readLines(holder.stdout, (line) => resolve((JSON.parse(line) as { token: number }).token));
      holder.on('error', reject);
      holder.on('exit', (code) => reject(new Error(`bramble lock ended with ${code}`)));
    });
    say('fault', `pause of a lock's holder (token ${token}) for longer than its lease`, { kind: 'pause' });
    const awake = pauseProcess(holder.pid as number, PAUSE_MS);
    const number = history.newClient();
    const next = await history.record(
      {
        client: number,
        op: 'acquire',
        key: LATE_LOCK,
        arg: { shared: false, owner: `${number}.1`, depth: 1 },
      },
      () => client.lock(LATE_LOCK, { waitMs: 10_000 }),
      (lock) => ({ token: lock.token }),
    );
    await append(context, client, {
      number,
      data: `the next holder, token ${next.token}\n`,
      token: next.token,
    });
    await awake;
    const appendCode = await lateAppend(context, client, token);
    await history.record(
      { client: number, op: 'release', key: LATE_LOCK, arg: { token: next.token } },
      () => next.release(),
      () => null,
    );
    const exit = await exited;
    const problem =
      appendCode === 0
        ? `the late append under token ${token} was accepted, although token ${next.token} held the lock`
        : exit !== 75
          ? `the paused holder ended with ${exit} instead of 75`
          : null;
    return { exit, appendCode, problem };
  } finally {
    holder.kill('SIGKILL');
    await client.close();
  }
}

function append(
  context: SmokeContext,
  client: Client,
  what: { readonly number: number; readonly data: string; readonly token: number },
): Promise<unknown> {
  const { data, token } = what;
  return context.history.record(
    { client: what.number, op: 'append', key: LATE_LOG, arg: { data, lock: LATE_LOCK, token } },
    () => client.append(LATE_LOG, data, { token: { lock: LATE_LOCK, token } }),
    ({ offset }) => ({ offset }),
  );
}

async function lateAppend(context: SmokeContext, client: Client, token: number): Promise<number> {
  const number = context.history.newClient();
  try {
    await append(context, client, { number, data: `too late, token ${token}\n`, token });
    return 0;
  } catch (error) {
    if (error instanceof RefusedError && error.code !== null) {
      context.say('refused', `the paused holder's late append: ${error.message}`, { code: error.code });
      return error.code;
    }
    throw error;
  }
}

/** Reads what is there now and holds it against the history. */
export async function judge(context: SmokeContext, lines: readonly HistoryLine[]): Promise<Verdict> {
  const { server, keyFile } = context;
  const client = await connect({ servers: [server.address], keyFile });
  try {
    const logs: LogContents[] = [];
    for (const log of [...Object.values(GUARDED).flat(), LATE_LOG]) {
      const records: { offset: number; data: string }[] = [];
      for await (const record of client.tail(log, { from: 0, follow: false })) {
        records.push({ offset: record.offset, data: record.text ?? '' });
      }
      const expected = records.map((record) => record.data).join('');
      logs.push({ log, records, file: await readWhenWritten(join(server.dataDir, 'files', log), expected) });
    }
    return verify(lines, logs);
  } finally {
    await client.close();
  }
}

/** The plain files are written behind the log: the text as soon as it is what it should be, or what it is after a while. */
async function readWhenWritten(path: string, expected: string): Promise<string> {
  let text = '';
  for (let tries = 0; tries < 50; tries++) {
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      text = '';
    }
    if (text === expected) break;
    await sleep(100);
  }
  return text;
}

/** What a person reads at the end, one promise a line. */
export function summary(
  verdict: Verdict,
  late: LateHolder,
  operations: number,
  durationMs: number,
): string[] {
  const { violations } = verdict;
  const lines = [
    '',
    `${operations} operations in ${humanDuration(durationMs)}: ${verdict.grants} locks granted, ` +
      `${verdict.acknowledgedAppends} appends acknowledged, ${verdict.refusedAppends} refused, ` +
      `${verdict.unknownAppends} unknown; ${verdict.lostLocks} locks lost to the faults.`,
    `Late append of a paused holder: ${late.appendCode === 0 ? 'ACCEPTED' : `refused with code ${late.appendCode}`}; ` +
      `its holder ended with ${late.exit}.`,
  ];
  if (violations.length === 0 && late.problem === null) {
    lines.push(
      'Every acknowledged record stands exactly once, at its offset, in the log and in the plain file;',
      'no refused record left a byte; tokens only grew; no lock had two holders at once.',
      'PASSED',
    );
  } else {
    if (late.problem !== null) lines.push(`broken: ${late.problem}`);
    for (const violation of violations.slice(0, 20)) lines.push(`broken: ${violation}`);
    if (violations.length > 20) lines.push(`… and ${violations.length - 20} more`);
    lines.push('FAILED');
  }
  return lines;
}
