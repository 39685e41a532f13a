/**
 * `bramble __watch`: runs the CMD of `bramble lock NAME -- CMD` in a process group of its own, and ends that group in time.
 *
 * Invariants: no process of the group runs past the lease's deadline; when the wrapper dies (its pipe closes) the group is
 * ended at once; the watcher itself stays until the group is gone or was killed. It lives in a session of its own, so that
 * what ends the wrapper (a terminal's hangup, a kill of its group) does not reach it.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { createReadStream, writeSync } from 'node:fs';
import process from 'node:process';
import { unreachable } from '../base/assert.ts';
import { nodeClock } from '../node/clock.ts';
import type { Command } from './command.ts';
import {
  COMMAND_DESCRIPTOR,
  eachLine,
  type FromWatcher,
  REPORT_DESCRIPTOR,
  type StopState,
  stopTimes,
  type ToWatcher,
} from './watch-protocol.ts';

/** How often the watcher looks whether anything is left of a group whose first process has ended. */
const GROUP_POLL_MS = 10;

export const WATCH: Command = {
  words: ['__watch'],
  family: 'local',
  summary: 'Watch over the command of a lock',
  positionals: [],
  flags: [],
  examples: [],
  hidden: true,
  run: () => new Watcher().run(),
};

type Ended = { readonly exit: number | null; readonly signal: NodeJS.Signals | null };

class Watcher {
  #child: ChildProcess | null = null;
  #state: StopState = { ttlMs: 0, deadlineMs: Number.POSITIVE_INFINITY, orderedAtMs: null };
  #timer: NodeJS.Timeout | null = null;
  #terminated = false;
  #killed = false;
  /** True if the lock is why CMD ends: it was lost, ran out, or its wrapper is gone. */
  #stopped = false;
  #ended: Ended | null = null;
  #finish: (exit: number) => void = () => {};

  run(): Promise<number> {
    // The terminal's signals are for the wrapper, which passes them on.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) process.on(signal, () => {});
    const finished = new Promise<number>((resolve) => {
      this.#finish = resolve;
    });
    const commands = createReadStream('', { fd: COMMAND_DESCRIPTOR });
    eachLine(commands, (line) => this.#take(JSON.parse(line) as ToWatcher));
    const gone = (): void => this.#wrapperGone();
    commands.on('end', gone).on('error', gone);
    return finished;
  }

  #take(message: ToWatcher): void {
    switch (message.type) {
      case 'run':
        this.#start(message);
        return;
      case 'deadline':
        this.#state = { ...this.#state, deadlineMs: message.deadlineMs };
        this.#check();
        return;
      case 'lost':
        this.#stop();
        return;
      case 'signal':
        this.#signalGroup(message.signal);
        return;
      default:
        unreachable(message);
    }
  }

  #start(message: Extract<ToWatcher, { type: 'run' }>): void {
    this.#state = { ttlMs: message.ttlMs, deadlineMs: message.deadlineMs, orderedAtMs: null };
    if (nodeClock.now() >= stopTimes(this.#state).terminateAtMs) {
      report({ type: 'too-late' });
      this.#finish(0);
      return;
    }
    const [program, ...args] = message.argv as [string, ...string[]];
    const child = spawn(program, args, {
      cwd: message.folder,
      env: message.environment,
      stdio: 'inherit',
      detached: true,
    });
    child.on('error', (error) => {
      if (child.pid !== undefined) return;
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
      report({ type: 'failed', code, message: error.message });
      this.#finish(0);
    });
    if (child.pid === undefined) return;
    this.#child = child;
    report({ type: 'started', pid: child.pid });
    child.on('exit', (exit, signal) => this.#childEnded({ exit, signal }));
    this.#check();
  }

  #wrapperGone(): void {
    if (this.#child === null) this.#finish(0);
    else this.#stop();
  }

  #stop(): void {
    this.#stopped = true;
    this.#state = { ...this.#state, orderedAtMs: this.#state.orderedAtMs ?? nodeClock.now() };
    this.#check();
  }

  /** Ends what CMD left behind in its group, so that nothing of it runs after the lock was released. */
  #childEnded(ended: Ended): void {
    this.#ended = ended;
    if (this.#state.orderedAtMs === null) {
      this.#state = { ...this.#state, orderedAtMs: nodeClock.now() };
    }
    this.#check();
  }

  /** Does what is due, and comes back when the next thing is. */
  #check(): void {
    if (this.#child === null) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#ended !== null && (this.#killed || !this.#groupExists())) {
      report({ type: 'ended', ...this.#ended, stopped: this.#stopped });
      this.#child = null;
      this.#finish(0);
      return;
    }
    const now = nodeClock.now();
    const { terminateAtMs, killAtMs } = stopTimes(this.#state);
    if (now >= terminateAtMs && !this.#terminated) {
      this.#terminated = true;
      if (this.#ended === null) this.#stopped = true;
      this.#signalGroup('SIGTERM');
      // A stopped process takes its TERM only when it goes on.
      this.#signalGroup('SIGCONT');
    }
    if (now >= killAtMs && !this.#killed) {
      this.#killed = true;
      this.#signalGroup('SIGKILL');
      if (this.#ended !== null) return this.#check();
    }
    if (this.#killed) return;
    let waitMs = (this.#terminated ? killAtMs : terminateAtMs) - now;
    if (this.#ended !== null) waitMs = Math.min(waitMs, GROUP_POLL_MS);
    this.#timer = setTimeout(() => this.#check(), Math.min(0x7fff_ffff, Math.max(1, Math.ceil(waitMs))));
  }

  #groupExists(): boolean {
    return this.#signalGroup(0);
  }

  #signalGroup(signal: NodeJS.Signals | 0): boolean {
    const pid = this.#child?.pid;
    if (pid === undefined) return false;
    try {
      return process.kill(-pid, signal);
    } catch (error) {
      // EPERM: somebody is there who became another user (sudo); whoever may not be told is not gone.
      return (error as NodeJS.ErrnoException).code === 'EPERM';
    }
  }
}

function report(message: FromWatcher): void {
  try {
    writeSync(REPORT_DESCRIPTOR, `${JSON.stringify(message)}\n`);
  } catch {
    // The wrapper is gone, so nobody is left to be told.
  }
}
