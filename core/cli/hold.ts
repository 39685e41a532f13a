/**
 * Holding a lock on behalf of a person or of a CMD: waiting for it, saying for whom one waits, passing signals on, and
 * giving it back.
 *
 * Invariant: CMD runs only between the grant and the end of the lease; the lock is released only when nothing of CMD's group
 * runs any more.
 */

import { constants } from 'node:os';
import { resolve } from 'node:path';
import process from 'node:process';
import { CODES } from '../base/codes.ts';
import { LockLostError, RefusedError } from '../base/errors.ts';
import type { Client, LockHandle } from '../index.ts';
import { withClient } from './client.ts';
import type { Context } from './command.ts';
import { humanDuration } from './durations.ts';
import { CommandError, EXIT } from './exit.ts';
import { Job, type JobEnd } from './job.ts';
import { fromFolder } from './paths.ts';
import { readInsecure } from './server-config.ts';

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
/** How often a waiting line on the terminal is brought up to date. */
const WAITING_LINE_MS = 1_000;

export interface HoldOptions {
  readonly name: string;
  readonly shared: boolean;
  readonly ttlMs: number | null;
  readonly waitMs: number | null;
  readonly try: boolean;
  readonly conflictExit: number;
  /** What is said while waiting: `Waiting for lock "files"`. */
  readonly waiting: string;
}

/** Signals that end the wait, or go to CMD; `take` changes who gets them. */
class Signals {
  #take: (signal: NodeJS.Signals) => void = () => {};
  readonly #listeners = new Map<NodeJS.Signals, () => void>();

  constructor() {
    for (const signal of FORWARDED) {
      const listener = (): void => this.#take(signal);
      this.#listeners.set(signal, listener);
      process.on(signal, listener);
    }
  }

  take(take: (signal: NodeJS.Signals) => void): void {
    this.#take = take;
  }

  close(): void {
    for (const [signal, listener] of this.#listeners) process.off(signal, listener);
  }
}

/** Holds until a signal (0) or until the lock is lost (75). */
export async function holdOpen(context: Context, options: HoldOptions): Promise<number> {
  const signals = new Signals();
  try {
    return await withClient(
      context,
      async (client) => {
        const lock = await obtain({ context, client, options, signals });
        const released = context.onEnd(() => lock.release());
        const interrupted = new Promise<'interrupted'>((done) => signals.take(() => done('interrupted')));
        const lost = new Promise<'lost'>((done) => whenLost(lock, () => done('lost')));
        if (context.settings.switch('json')) {
          await context.output.json({ lock: options.name, token: lock.token });
        } else {
          await context.output.line(String(lock.token));
          if (context.output.errorIsTerminal) context.output.message('Held until Ctrl-C.');
        }
        const end = await Promise.race([interrupted, lost]);
        released();
        if (end === 'lost') throw lostError(options.name, lock);
        await lock.release();
        return EXIT.fine;
      },
      { endless: true },
    );
  } finally {
    signals.close();
  }
}

/** Runs CMD while the lock is held; resolves to the exit code. */
export async function holdFor(
  context: Context,
  options: HoldOptions,
  argv: readonly string[],
): Promise<number> {
  context.outliveStdout();
  const signals = new Signals();
  const job = new Job(context.entry);
  try {
    return await withClient(
      context,
      async (client) => {
        const lock = await obtain({ context, client, options, signals });
        signals.take((signal) => job.signal(signal));
        if (context.settings.switch('json')) {
          await context.output.json({ lock: options.name, token: lock.token });
        }
        job.run({
          argv,
          folder: context.folder,
          environment: childEnvironment(context, options.name, lock.token),
          ttlMs: lock.ttlMs,
          deadlineMs: lock.deadline,
        });
        whenLost(lock, () => job.lost());
        lock.onRenewed((deadlineMs) => job.deadline(deadlineMs));
        const end = await job.ended;
        const lost = lock.signal.aborted;
        await lock.release().catch((error: Error) => {
          if (!lost)
            context.output.message(`The lock was not released and ends with its lease: ${error.message}`);
        });
        return exitOf(context, { end, lost, name: options.name, lock, program: argv[0] as string });
      },
      { endless: true },
    );
  } finally {
    job.abandon();
    signals.close();
  }
}

function exitOf(
  context: Context,
  how: {
    readonly end: JobEnd;
    readonly lost: boolean;
    readonly name: string;
    readonly lock: LockHandle;
    readonly program: string;
  },
): number {
  const { end } = how;
  const { output } = context;
  if (end.type === 'failed') {
    const exit = end.code === 'ENOENT' ? EXIT.notFound : EXIT.notExecutable;
    output.message(`Cannot run ${how.program}: ${end.message}`);
    return exit;
  }
  if (end.type === 'watcher-gone') {
    output.message(
      `The watcher over ${how.program} died${end.started ? `, so ${how.program} was ended` : ' before it could run'}`,
    );
    return EXIT.lockLost;
  }
  if (end.type === 'too-late' || end.stopped || how.lost) {
    const what = end.type === 'too-late' ? `${how.program} was not started` : `${how.program} was stopped`;
    output.message(`${lostError(how.name, how.lock).message}; ${what}`);
    return EXIT.lockLost;
  }
  if (end.signal !== null) return EXIT.signalBase + (constants.signals[end.signal] ?? 0);
  return end.exit as number;
}

function lostError(name: string, lock: LockHandle): LockLostError {
  const reason: unknown = lock.signal.reason;
  if (reason instanceof LockLostError) return reason;
  return new LockLostError(
    `Lost lock "${name}" (token ${lock.token}): its lease could not be renewed in time`,
  );
}

function whenLost(lock: LockHandle, tell: () => void): void {
  if (lock.signal.aborted) tell();
  else lock.signal.addEventListener('abort', tell, { once: true });
}

/** Waits for the lock as the options say. Not obtained: throws with the conflict's exit code. */
async function obtain(how: {
  readonly context: Context;
  readonly client: Client;
  readonly options: HoldOptions;
  readonly signals: Signals;
}): Promise<LockHandle> {
  const { context, client, options, signals } = how;
  const interrupt = new AbortController();
  let interruptedBy: NodeJS.Signals | null = null;
  signals.take((signal) => {
    interruptedBy = signal;
    interrupt.abort();
  });
  const line = showWaiting(context, client, options);
  try {
    return await client.lock(options.name, {
      shared: options.shared,
      ...(options.ttlMs === null ? {} : { ttlMs: options.ttlMs }),
      ...(options.waitMs === null ? {} : { waitMs: options.waitMs }),
      try: options.try,
      signal: interrupt.signal,
    });
  } catch (error) {
    if (interruptedBy !== null) {
      const exit = EXIT.signalBase + constants.signals[interruptedBy];
      throw new CommandError(`Stopped waiting for lock "${options.name}": ${interruptedBy}`, exit);
    }
    if (isConflict(error)) throw new CommandError(error.message, options.conflictExit);
    throw error;
  } finally {
    line.close();
  }
}

function isConflict(error: unknown): error is RefusedError {
  return (
    error instanceof RefusedError &&
    error.code === CODES.notHolder &&
    (error.reason === 'lock-is-held' || error.reason === 'wait-cancelled')
  );
}

/** On a terminal: a line that says for whom one waits. In a pipe: nothing. */
function showWaiting(context: Context, client: Client, options: HoldOptions): { readonly close: () => void } {
  const { output } = context;
  if (!output.errorIsTerminal || options.try) return { close: () => {} };
  const startedAt = performance.now();
  let closed = false;
  let asking = false;
  const timer = setInterval(() => {
    if (asking) return;
    asking = true;
    void describe(client, options.name).then((who) => {
      asking = false;
      if (!closed)
        output.progress(`${options.waiting} for ${humanDuration(performance.now() - startedAt)}${who}`);
    });
  }, WAITING_LINE_MS);
  return {
    close() {
      closed = true;
      clearInterval(timer);
      output.progress('');
    },
  };
}

async function describe(client: Client, name: string): Promise<string> {
  try {
    const lock = (await client.locks.list()).find((each) => each.lock === name);
    if (lock === undefined) return '';
    const holders = lock.grants.map((grant) => `session ${grant.session} (token ${grant.token})`);
    const others = lock.waiters.length - 1;
    return `: held by ${holders.join(', ')}${others > 0 ? `, ${others} more waiting` : ''}`;
  } catch {
    // Who holds it is a courtesy; that nobody answers is seen elsewhere.
    return '';
  }
}

/** What CMD finds in its environment: ours, the lock and its token, and what `bramble` inside it needs to find the servers. */
function childEnvironment(context: Context, name: string, token: number): Record<string, string> {
  const { settings, folder } = context;
  const environment: Record<string, string> = {};
  for (const [key, value] of Object.entries(context.environment)) {
    if (value !== undefined) environment[key] = value;
  }
  // npm's, for us; in CMD it would be a folder that nobody is in.
  delete environment.INIT_CWD;
  environment.PWD = resolve(folder);
  environment.BRAMBLE_LOCK = name;
  environment.BRAMBLE_TOKEN = String(token);
  environment.BRAMBLE_SERVERS = (settings.list('servers') ?? []).join(',');
  if (readInsecure(settings)) {
    environment.BRAMBLE_INSECURE = '1';
    delete environment.BRAMBLE_KEY_FILE;
  } else {
    environment.BRAMBLE_KEY_FILE = fromFolder(folder, settings.text('key-file') as string);
    delete environment.BRAMBLE_INSECURE;
  }
  const config = settings.text('config');
  if (config !== null) environment.BRAMBLE_CONFIG = fromFolder(folder, config);
  return environment;
}
