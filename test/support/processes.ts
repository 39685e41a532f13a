// Real processes for tests: the program itself, run in temporary folders and stopped when the test ends.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What these helpers need of ava's execution context. */
export interface Teardown {
  teardown(undo: () => Promise<void> | void): void;
}

export const ENTRY = fileURLToPath(new URL('../../agent/main.ts', import.meta.url));

/** How long a test waits for something before it fails: generous, since the machine may be busy. */
export const PATIENCE_MS = 60_000;

/** A folder of its own for one test, gone when the test has ended. */
export function temporaryFolder(t: Teardown): string {
  const folder = mkdtempSync(join(tmpdir(), 'bramble-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** The tests' own environment without anything that would configure the program. */
export function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!/^(BRAMBLE_|npm_|INIT_CWD$|NO_COLOR$|FORCE_COLOR$|NODE_OPTIONS$)/.test(name))
      environment[name] = value;
  }
  return { ...environment, ...extra };
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly folder?: string;
  /** Given on stdin; without it stdin is empty. */
  readonly input?: string | Uint8Array;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** One running process with its output kept. */
export class Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #stdout = Buffer.alloc(0);
  #stderr = '';
  #changed: (() => void)[] = [];

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.on('data', (data: Buffer) => {
      this.#stdout = Buffer.concat([this.#stdout, data]);
      this.#tell();
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#tell();
    });
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => {
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
        this.#tell();
      });
    });
  }

  get pid(): number {
    return this.child.pid as number;
  }

  get stdout(): string {
    return this.#stdout.toString('utf8');
  }

  get stderr(): string {
    return this.#stderr;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** The first full line of stdout that matches; fails if the process ends without one. */
  async line(pattern: RegExp): Promise<string> {
    return this.#find(pattern, () => this.stdout);
  }

  async errorLine(pattern: RegExp): Promise<string> {
    return this.#find(pattern, () => this.stderr);
  }

  async #find(pattern: RegExp, text: () => string): Promise<string> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const line = text()
        .split('\n')
        .slice(0, -1)
        .find((each) => pattern.test(each));
      if (line !== undefined) return line;
      if (this.hasEnded || performance.now() > deadline) {
        throw new Error(`no line ${pattern}; stdout: ${this.stdout}; stderr: ${this.stderr}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1_000);
        this.#changed.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #tell(): void {
    for (const each of this.#changed.splice(0)) each();
  }
}

/** Starts a program; it is killed when the test ends, if it still runs. */
export function startProgram(
  t: Teardown,
  program: string,
  args: readonly string[],
  options: RunOptions & { readonly keepStdin?: boolean } = {},
): Running {
  const child = spawn(program, [...args], {
    cwd: options.folder ?? tmpdir(),
    env: cleanEnvironment(options.environment),
    stdio: [options.input === undefined && options.keepStdin !== true ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  const running = new Running(child);
  // A process that ends without reading all of its input is not a failure of the test.
  child.stdin?.on('error', () => {});
  if (options.input !== undefined) child.stdin?.end(options.input);
  t.teardown(async () => {
    if (!running.hasEnded && child.pid !== undefined) {
      child.kill('SIGCONT');
      child.kill('SIGKILL');
    }
    await running.ended.catch(() => {});
  });
  return running;
}

/** Starts `bramble ARGS`. */
export function startBramble(
  t: Teardown,
  args: readonly string[],
  options: RunOptions & { readonly keepStdin?: boolean } = {},
): Running {
  return startProgram(t, process.execPath, [ENTRY, ...args], options);
}

/** Runs `bramble ARGS` to its end. */
export async function bramble(
  t: Teardown,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  return startBramble(t, args, options).ended;
}

export interface TestServer {
  readonly address: string;
  readonly pid: number;
  readonly dataDir: string;
  readonly running: Running;
  /** The environment that makes client commands find it. */
  readonly environment: Readonly<Record<string, string>>;
  /** Runs a client command against it, to its end. */
  run(args: readonly string[], options?: RunOptions): Promise<Ended>;
  /** Starts a client command against it. */
  start(args: readonly string[], options?: RunOptions & { readonly keepStdin?: boolean }): Running;
  /** kill -9, and resolves when it is gone. */
  kill(): Promise<void>;
}

export interface ServerOptions {
  readonly dataDir?: string;
  /** A port by number to start again where clients look; 0 by default. */
  readonly listen?: string;
  /** Makes a key file; without it the server is insecure. */
  readonly secure?: boolean;
  readonly flags?: readonly string[];
}

/** A server of one in a temporary folder, ready to be used. */
export async function startServer(t: Teardown, options: ServerOptions = {}): Promise<TestServer> {
  const dataDir = options.dataDir ?? join(temporaryFolder(t), 'data');
  const keyFile = `${dataDir}.key`;
  const security: Record<string, string> = options.secure
    ? { BRAMBLE_KEY_FILE: keyFile }
    : { BRAMBLE_INSECURE: '1' };
  if (options.secure && !existsSync(keyFile)) {
    mkdirSync(join(dataDir, '..'), { recursive: true });
    const made = await bramble(t, ['key', 'new', keyFile]);
    if (made.code !== 0) throw new Error(`no key: ${made.stderr}`);
  }
  const running = startBramble(
    t,
    ['server', '--listen', options.listen ?? '127.0.0.1:0', '--data', dataDir, ...(options.flags ?? [])],
    { environment: security },
  );
  const { address, pid } = JSON.parse(await running.line(/"event":"listening"/)) as {
    address: string;
    pid: number;
  };
  const environment = { ...security, BRAMBLE_SERVERS: address };
  return {
    address,
    pid,
    dataDir,
    running,
    environment,
    run: (args, more = {}) =>
      bramble(t, args, { ...more, environment: { ...environment, ...more.environment } }),
    start: (args, more = {}) =>
      startBramble(t, args, { ...more, environment: { ...environment, ...more.environment } }),
    async kill() {
      process.kill(pid, 'SIGKILL');
      await running.ended;
    },
  };
}

/**
 * One server for all tests of a file: `const server = sharedServer(test)`, then `server()` inside them.
 * Tests share its names, so each uses its own.
 */
export function sharedServer(
  hooks: {
    before(run: () => Promise<void>): void;
    readonly after: { always(run: () => Promise<void>): void };
  },
  options: ServerOptions = {},
): () => TestServer {
  const undos: (() => Promise<void> | void)[] = [];
  let server: TestServer | null = null;
  hooks.before(async () => {
    server = await startServer({ teardown: (undo) => void undos.push(undo) }, options);
  });
  hooks.after.always(async () => {
    for (const undo of undos.reverse()) await undo();
  });
  return () => {
    if (server === null) throw new Error('the server is not up yet');
    return server;
  };
}

/** True while a process exists, a zombie excepted. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Polls until `condition` holds; fails loudly when patience runs out. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: string,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
