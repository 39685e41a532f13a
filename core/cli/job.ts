/**
 * The wrapper's side of `lock NAME -- CMD`: starts the watcher, gives it CMD and the lease's deadlines, and says how CMD
 * ended. The watcher is started before the lock is asked for, so that its start costs no time under the lock.
 *
 * Invariant: if the watcher dies, the group is ended from here, before the deadline; `ended` resolves exactly once.
 */

import type { ChildProcess } from 'node:child_process';
import process from 'node:process';
import type { Writable } from 'node:stream';
import { nodeClock } from '../node/clock.ts';
import { spawnSelf } from './self.ts';
import {
  COMMAND_DESCRIPTOR,
  eachLine,
  type FromWatcher,
  REPORT_DESCRIPTOR,
  stopTimes,
  type ToWatcher,
} from './watch-protocol.ts';

export type JobEnd =
  | Exclude<FromWatcher, { type: 'started' }>
  /** The watcher died; `started` says whether CMD ran and was therefore ended. */
  | { readonly type: 'watcher-gone'; readonly started: boolean };

export class Job {
  readonly ended: Promise<JobEnd>;
  readonly #watcher: ChildProcess;
  readonly #commands: Writable;
  #settle: (end: JobEnd) => void = () => {};
  #pid: number | null = null;
  #ttlMs = 0;
  #deadlineMs = Number.POSITIVE_INFINITY;

  constructor(entry: string | null) {
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#watcher = spawnSelf(entry, ['__watch'], {
      stdio: ['inherit', 'inherit', 'inherit', 'pipe', 'pipe'],
      detached: true,
    });
    this.#commands = this.#watcher.stdio[COMMAND_DESCRIPTOR] as Writable;
    // A watcher that is gone is seen by its end.
    this.#commands.on('error', () => {});
    const reports = this.#watcher.stdio[REPORT_DESCRIPTOR] as NodeJS.ReadableStream;
    reports.on('error', () => {});
    eachLine(reports, (line) => {
      const message = JSON.parse(line) as FromWatcher;
      if (message.type === 'started') this.#pid = message.pid;
      else this.#settle(message);
    });
    this.#watcher.on('error', () => void this.#watcherGone());
    this.#watcher.on('close', () => void this.#watcherGone());
  }

  run(options: Omit<Extract<ToWatcher, { type: 'run' }>, 'type'>): void {
    this.#ttlMs = options.ttlMs;
    this.#deadlineMs = options.deadlineMs;
    this.#tell({ type: 'run', ...options });
  }

  deadline(deadlineMs: number): void {
    if (deadlineMs === this.#deadlineMs) return;
    this.#deadlineMs = deadlineMs;
    this.#tell({ type: 'deadline', deadlineMs });
  }

  lost(): void {
    this.#tell({ type: 'lost' });
  }

  signal(signal: NodeJS.Signals): void {
    this.#tell({ type: 'signal', signal });
  }

  /** Nothing is to be run (any more): the watcher ends, and with it whatever still runs. */
  abandon(): void {
    this.#commands.end();
  }

  #tell(message: ToWatcher): void {
    if (this.#commands.writable) this.#commands.write(`${JSON.stringify(message)}\n`);
  }

  async #watcherGone(): Promise<void> {
    const pid = this.#pid;
    if (pid !== null) {
      const { killAtMs } = stopTimes({
        ttlMs: this.#ttlMs,
        deadlineMs: this.#deadlineMs,
        orderedAtMs: nodeClock.now(),
      });
      signalGroup(pid, 'SIGTERM');
      while (nodeClock.now() < killAtMs && signalGroup(pid, 0)) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      signalGroup(pid, 'SIGKILL');
    }
    this.#settle({ type: 'watcher-gone', started: pid !== null });
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}
