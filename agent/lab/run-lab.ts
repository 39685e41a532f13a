/**
 * `bramble lab`: a cluster on this machine, with a workload. Real server processes, real clients over UDP.
 *
 * Invariant: whatever ends the lab, its processes end too: on a clean stop because it stops them, on kill -9 because their
 * pipes close.
 */

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'bramble';
import { CommandError, type Context, EXIT, main, wrongUsage } from 'bramble/cli';
import { History, type HistoryLine } from './history.ts';
import { freePorts } from './ports.ts';
import { ServerProcess, StartError } from './server-process.ts';
import { judge, runFaults, type SmokeContext, summary } from './smoke.ts';
import { GUARDED, Workload } from './workload.ts';

const REPORT_MS = 5_000;
const CLIENTS = 6;
/** How long the clients may take to finish what they are at. */
const GOODBYE_MS_MAX = 10_000;

export class Lab {
  readonly #context: Context;
  readonly #json: boolean;
  readonly #startedAt = performance.now();
  readonly #stop = new AbortController();
  #stoppedBy: NodeJS.Signals | null = null;
  #failure: string | null = null;
  /** What happened before lab.json's object, which comes first, was printed; null afterwards. */
  #early: (() => void)[] | null = [];
  /** After the verdict there is nothing more to say. */
  #finished = false;

  constructor(context: Context) {
    this.#context = context;
    this.#json = context.settings.switch('json');
  }

  async run(): Promise<number> {
    const { settings, folder } = this.#context;
    const nodes = settings.number('nodes');
    if (nodes !== 1) {
      throw wrongUsage(`bramble lab: --nodes ${nodes} cannot be had; one server is what there is`);
    }
    if (settings.switch('smoke') && settings.switch('no-workload')) {
      throw wrongUsage('bramble lab: --smoke checks the workload; give it without --no-workload');
    }
    const given = settings.text('dir');
    const directory = given === null ? mkdtempSync(join(tmpdir(), 'bramble-lab-')) : resolve(folder, given);
    if (settings.switch('smoke') && existsSync(join(directory, 'n1'))) {
      throw new CommandError(
        `Cannot run a smoke test in ${directory}: it holds an earlier run, and what is checked begins empty; name another --dir`,
        EXIT.configuration,
      );
    }
    mkdirSync(directory, { recursive: true });
    const removed = this.#context.onEnd(() => {
      if (given === null) rmSync(directory, { recursive: true, force: true });
    });
    const stop = (signal: NodeJS.Signals): void => {
      this.#stoppedBy ??= signal;
      this.#stop.abort();
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
    try {
      return await this.#runIn(directory);
    } finally {
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, stop);
      removed();
      if (given === null) rmSync(directory, { recursive: true, force: true });
    }
  }

  async #runIn(directory: string): Promise<number> {
    const keyFile = await this.#makeKey(directory);
    const server = await this.#startServer(directory, keyFile);
    const stopped = this.#context.onEnd(() => server.stop());
    const historyFile = join(directory, 'history.jsonl');
    const labFile = join(directory, 'lab.json');
    const lines: HistoryLine[] = [];
    // A smoke run is short and checked at the end; an endless one keeps its history on the disk alone.
    const keep = this.#context.settings.switch('smoke');
    rmSync(historyFile, { force: true });
    const history = new History(historyFile, (line) => {
      if (keep) lines.push(line);
    });
    try {
      const describe = (): object => ({
        servers: [{ id: 'n1', address: server.address, pid: server.pid, dataDir: server.dataDir }],
        agents: [],
        console: null,
        keyFile,
        tokenFile: null,
        historyFile,
      });
      writeFileSync(labFile, `${JSON.stringify(describe())}\n`);
      if (this.#json) await this.#context.output.json(describe());
      for (const say of this.#early ?? []) say();
      this.#early = null;
      this.#say('started', `server n1 listens on ${server.address}, pid ${server.pid}`, {
        node: 'n1',
        address: server.address,
        pid: server.pid,
      });
      if (!this.#json && !keep) this.#introduce({ directory, server, keyFile });
      const smoke: SmokeContext = {
        server,
        keyFile,
        entry: this.#context.entry,
        history,
        say: (event, text, fields) => {
          if (event === 'started') writeFileSync(labFile, `${JSON.stringify(describe())}\n`);
          this.#say(event, text, fields);
        },
      };
      return await this.#work(smoke, lines);
    } finally {
      rmSync(labFile, { force: true });
      await history.close();
      await server.stop();
      stopped();
    }
  }

  async #work(smoke: SmokeContext, lines: readonly HistoryLine[]): Promise<number> {
    const { settings } = this.#context;
    const { history, server, keyFile } = smoke;
    const finish = new AbortController();
    this.#stop.signal.addEventListener('abort', () => finish.abort(), { once: true });
    const workload = new Workload({
      servers: [server.address],
      keyFile,
      history,
      clients: CLIENTS,
      signal: finish.signal,
    });
    if (!settings.switch('no-workload')) {
      await prepareLogs(server.address, keyFile);
      workload.start();
      this.#say('workload', `${CLIENTS} clients lock, append, read and change keys`, { clients: CLIENTS });
      void this.#report(history, finish.signal);
    }
    if (!settings.switch('smoke')) {
      await untilAborted(this.#stop.signal);
      this.#say('stopping', this.#failure ?? 'stopping');
      await soonEnough(workload.ended());
      return this.#failure === null ? EXIT.fine : EXIT.no;
    }
    const faults = runFaults(smoke);
    // The stop wins; what the faults then still do fails against a server that is gone.
    faults.catch(() => {});
    const late = await Promise.race([faults, untilAborted(this.#stop.signal).then(() => null)]);
    finish.abort();
    await soonEnough(workload.ended());
    if (late === null) {
      if (this.#failure !== null) throw new CommandError(`The lab ended early: ${this.#failure}`, EXIT.no);
      return EXIT.signalBase + constants.signals[this.#stoppedBy ?? 'SIGINT'];
    }
    const verdict = await judge(smoke, lines);
    const passed = verdict.violations.length === 0 && late.problem === null;
    this.#finished = true;
    if (this.#json) {
      await this.#context.output.json({ event: 'verdict', passed, ...verdict, late });
    } else {
      const durationMs = performance.now() - this.#startedAt;
      for (const line of summary(verdict, late, history.operations, durationMs)) {
        const colour = line === 'PASSED' ? 'green' : line === 'FAILED' ? 'red' : null;
        await this.#context.output.line(colour === null ? line : this.#context.output.colour(colour, line));
      }
    }
    return passed ? EXIT.fine : EXIT.no;
  }

  async #makeKey(directory: string): Promise<string> {
    const keyFile = join(directory, 'cluster.key');
    if (existsSync(keyFile)) return keyFile;
    const quiet = { ...this.#context.output, message: () => {}, onClosed: () => {} };
    const exit = await main(['key', 'new', keyFile], { ...this.#context, output: quiet });
    if (exit !== EXIT.fine) throw new CommandError(`Cannot make the key ${keyFile}`, EXIT.no);
    return keyFile;
  }

  /** A server that listens, on the port asked for or the first that it can get. */
  async #startServer(directory: string, keyFile: string): Promise<ServerProcess> {
    const asked = this.#context.settings.number('port');
    if (asked !== null && (asked < 1 || asked > 65_535)) {
      throw wrongUsage(`bramble lab: --port must be 1 to 65535, not ${asked}`);
    }
    for await (const port of freePorts(asked)) {
      const server = new ServerProcess({
        entry: this.#context.entry,
        node: 'n1',
        listen: `127.0.0.1:${port}`,
        dataDir: join(directory, 'n1'),
        keyFile,
        onMessage: (line) => this.#say('server', `n1: ${readable(line)}`, { node: 'n1', line }),
        onUnexpectedEnd: (how) => {
          if (this.#stop.signal.aborted) return;
          this.#failure = `server n1 ended ${how}`;
          this.#stop.abort();
        },
      });
      try {
        await server.start();
        return server;
      } catch (error) {
        await server.stop();
        if (!(error instanceof StartError)) throw error;
        if (asked !== null || !error.portTaken) throw new CommandError(error.message, EXIT.no);
      }
    }
    const what = asked === null ? 'no port is free' : `port ${asked} is in use`;
    throw new CommandError(`Cannot start the lab: ${what}; choose another with --port`, EXIT.configuration);
  }

  #introduce(what: {
    readonly directory: string;
    readonly server: ServerProcess;
    readonly keyFile: string;
  }): void {
    const { output } = this.#context;
    void output.line(
      [
        '',
        `  everything is in ${what.directory}; Ctrl-C stops it. To talk to it from another terminal:`,
        `    export BRAMBLE_SERVERS=${what.server.address} BRAMBLE_KEY_FILE=${what.keyFile}`,
        '    bramble status; bramble lock list; bramble tail file_0 --follow',
        '',
      ].join('\n'),
    );
  }

  #say(event: string, text: string, fields: Readonly<Record<string, unknown>> = {}): void {
    const { output } = this.#context;
    if (this.#finished) return;
    const seconds = ((performance.now() - this.#startedAt) / 1_000).toFixed(1);
    const say = (): void => {
      if (this.#json) void output.json({ event, seconds: Number(seconds), ...fields });
      else void output.line(`${output.colour('dim', `${seconds.padStart(6)} s`)}  ${text}`);
    };
    if (this.#early === null) say();
    else this.#early.push(say);
  }

  async #report(history: History, signal: AbortSignal): Promise<void> {
    let before = history.operations;
    while (!signal.aborted) {
      await sleep(REPORT_MS, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      const operations = history.operations;
      const rate = (operations - before) / (REPORT_MS / 1_000);
      before = operations;
      this.#say('rate', `${rate.toFixed(0)} operations a second, ${operations} in all`, {
        operations,
        perSecond: rate,
        unknown: history.unknown,
      });
    }
  }
}

/** The logs that the workload appends to and a new cluster does not have; a directory used before has them. */
async function prepareLogs(address: string, keyFile: string): Promise<void> {
  const client = await connect({ servers: [address], keyFile });
  try {
    const present = new Set((await client.logs.list()).map((log) => log.name));
    for (const [guard, logs] of Object.entries(GUARDED)) {
      for (const log of logs) {
        if (!present.has(log)) await client.logs.create(log, { guard });
      }
    }
  } finally {
    await client.close();
  }
}

/** What the clients are still waiting for may never be answered. */
async function soonEnough(ended: Promise<void>): Promise<void> {
  const given = new AbortController();
  await Promise.race([ended, sleep(GOODBYE_MS_MAX, undefined, { signal: given.signal }).catch(() => {})]);
  given.abort();
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    // A timer keeps the process alive where nothing else does.
    const alive = setInterval(() => {}, 60_000);
    signal.addEventListener('abort', () => {
      clearInterval(alive);
      done();
    });
  });
}

/** A server's log line as a person reads it: the message, and its fields behind it. */
function readable(line: string): string {
  try {
    const { level, message, node, ...fields } = JSON.parse(line) as Record<string, unknown>;
    const details = Object.entries(fields).map(([name, value]) => `${name} ${String(value)}`);
    const text = details.length === 0 ? String(message) : `${message} (${details.join(', ')})`;
    return level === 'info' || node === undefined ? text : `${level}: ${text}`;
  } catch {
    return line;
  }
}
