/**
 * One server of the lab: a process of this same program. It ends with the lab however the lab ends, since its stdin is a
 * pipe that only the lab holds open.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import process from 'node:process';
import { PARENT_PIPE_VARIABLE, spawnSelf } from 'bramble/cli';

/** How long a server may take to be ready; a recovery of a large log takes a while. */
const READY_MS_MAX = 60_000;
/** How long a server may take to stop cleanly before it is killed. */
const STOP_MS_MAX = 5_000;

export interface ServerProcessOptions {
  readonly entry: string | null;
  readonly node: string;
  /** `127.0.0.1:port`. */
  readonly listen: string;
  readonly dataDir: string;
  readonly keyFile: string;
  /** A line that the server wrote on stderr. */
  readonly onMessage: (line: string) => void;
  /** It ended although nobody here asked for it. */
  readonly onUnexpectedEnd: (how: string) => void;
}

/** It ended before it was ready; the message says how. */
export class StartError extends Error {
  override readonly name = 'StartError';
  /** Another program has its port. */
  readonly portTaken: boolean;
  constructor(message: string) {
    super(message);
    this.portTaken = message.includes('EADDRINUSE');
  }
}

export class ServerProcess {
  readonly #options: ServerProcessOptions;
  #child: ChildProcess | null = null;
  #expected = false;
  #revive: ChildProcess | null = null;
  address: string;

  constructor(options: ServerProcessOptions) {
    this.#options = options;
    this.address = options.listen;
  }

  get node(): string {
    return this.#options.node;
  }

  get dataDir(): string {
    return this.#options.dataDir;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Starts it and waits until it listens. */
  async start(): Promise<void> {
    const { node, listen, dataDir, keyFile, entry } = this.#options;
    this.#expected = false;
    const args = ['server', '--node', node, '--listen', listen, '--data', dataDir, '--key-file', keyFile];
    const child = spawnSelf(entry, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: withoutOwnSettings({ [PARENT_PIPE_VARIABLE]: '1' }),
      // The terminal's Ctrl-C is for the lab, which stops its servers in order.
      detached: true,
    });
    this.#child = child;
    let lastMessage = '';
    let ready = false;
    readLines(child.stderr, (line) => {
      lastMessage = line;
      this.#options.onMessage(line);
    });
    child.stdin?.on('error', () => {});
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new StartError(`Server ${node} was not ready in time`)),
        READY_MS_MAX,
      );
      readLines(child.stdout, (line) => {
        const address = listeningAddress(line);
        if (address === null) return;
        this.address = address;
        ready = true;
        clearTimeout(timer);
        resolve();
      });
      child.on('error', reject);
      child.on('exit', (code, signal) => {
        clearTimeout(timer);
        const how = signal === null ? `with code ${code}` : `by ${signal}`;
        reject(new StartError(`Server ${node} ended ${how}: ${lastMessage}`));
        if (ready && this.#child === child && !this.#expected) this.#options.onUnexpectedEnd(how);
      });
    });
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** A clean stop, or a kill when that takes too long. */
  async stop(): Promise<void> {
    this.#revive?.kill('SIGKILL');
    this.#child?.kill('SIGCONT');
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), STOP_MS_MAX);
    await this.#end('SIGTERM');
    clearTimeout(timer);
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#expected = true;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.on('exit', () => resolve()));
    child.kill(signal);
    await gone;
  }

  /**
   * Stops it in its tracks for `durationMs`. Another process wakes it even if the lab is killed meanwhile: a stopped
   * process sees no closed pipe.
   */
  async pause(durationMs: number): Promise<void> {
    await pauseProcess(this.pid, durationMs, (revive) => {
      this.#revive = revive;
    });
  }
}

/** SIGSTOP now, SIGCONT after `durationMs`, by a process of its own; resolves when it is awake again. */
export async function pauseProcess(
  pid: number,
  durationMs: number,
  started: (revive: ChildProcess) => void = () => {},
): Promise<void> {
  const script = `sleep ${(durationMs / 1_000).toFixed(3)}; kill -CONT ${pid}`;
  const revive = spawn('sh', ['-c', script], { stdio: 'ignore', detached: true });
  started(revive);
  const awake = new Promise<void>((resolve, reject) => {
    revive.on('error', reject);
    revive.on('exit', () => resolve());
  });
  process.kill(pid, 'SIGSTOP');
  await awake;
}

/** The environment of a child that gets everything by its flags. */
export function withoutOwnSettings(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!name.startsWith('BRAMBLE_')) environment[name] = value;
  }
  return { ...environment, ...extra };
}

export function readLines(stream: NodeJS.ReadableStream | null, take: (line: string) => void): void {
  let rest = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() as string;
    for (const line of lines) take(line);
  });
}

function listeningAddress(line: string): string | null {
  try {
    const event = JSON.parse(line) as { event?: string; address?: string };
    return event.event === 'listening' ? (event.address ?? null) : null;
  } catch {
    return null;
  }
}
