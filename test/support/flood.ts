// A flood of hostile datagrams into a running server: first alone, when nothing may be written, then beside good clients,
// every one of whose operations must succeed.

import type { ExecutionContext } from 'ava';
import { Prng } from '#core/base/prng.ts';
import { type Client, type ConnectOptions, connect } from '#core/index.ts';
import { capture, Hose, Hostile } from './hostile.ts';
import { diskBytesWritten, megabytes, residentBytes } from './process-counters.ts';
import { startServer, type TestServer } from './processes.ts';

/** What the limits on queues and on half-received messages add up to, and what the collector has not yet seen. */
const GROWTH_BYTES_MAX = 384 * 1_048_576;

type Metrics = ReadonlyMap<string, number>;

function access(server: TestServer): ConnectOptions {
  const keyFile = server.environment.BRAMBLE_KEY_FILE;
  return { servers: [server.address], timeoutMs: 30_000, ...(keyFile ? { keyFile } : { insecure: true }) };
}

async function metrics(client: Client): Promise<Metrics> {
  const { servers } = await client.status();
  return new Map(servers[0]?.status?.metrics.map(({ name, value }) => [name, value]));
}

/** The metrics once nothing is written behind any more. */
async function settled(client: Client): Promise<Metrics> {
  for (let before = await metrics(client); ; ) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    const now = await metrics(client);
    if (now.get('disk_bytes_written') === before.get('disk_bytes_written')) return now;
    before = now;
  }
}

const REFUSALS = ['short', 'magic', 'version', 'kind', 'class', 'counter', 'wrong-boot', 'replay', 'seal'];
const SEALED_REFUSALS = ['frame', 'fragment'];

/** Whatever says that something was refused or dropped, and how often since `before`. */
function refused(before: Metrics, after: Metrics): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [name, value] of after) {
    if (!/^(datagrams_refused|messages_dropped|refused|dropped)\.|^malformed$/.test(name)) continue;
    const count = value - (before.get(name) ?? 0);
    if (count > 0) counts.set(name, count);
  }
  return counts;
}

/** What good clients do while the flood lasts; returns how many operations succeeded. */
async function work(server: TestServer, isOver: () => boolean): Promise<number> {
  let done = 0;
  const steady = async (client: Client, name: string) => {
    while (!isOver()) {
      await client.kv.put(name, String(done));
      await client.kv.get(name);
      await client.append('open', `${name} ${done}\n`);
      const lock = await client.lock('files');
      await client.append('file_0', 'x\n', { lock });
      await lock.release();
      done += 6;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const newcomers = async () => {
    while (!isOver()) {
      const client = await connect(access(server));
      await client.kv.put('newcomer', String(done));
      await client.close();
      done += 1;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const clients = await Promise.all([connect(access(server)), connect(access(server))]);
  try {
    await Promise.all([...clients.map((client, at) => steady(client, `client-${at}`)), newcomers()]);
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
  return done;
}

/** Floods with `datagrams`, half of them while good clients work. */
export async function flood(
  t: ExecutionContext,
  options: { readonly datagrams: number; readonly seed: number; readonly secure: boolean },
): Promise<void> {
  const { datagrams, seed, secure } = options;
  const server = await startServer(t, { secure });
  const watcher = await connect(access(server));
  t.teardown(() => watcher.close());
  await watcher.logs.create('open');
  const hostile = new Hostile(await capture(server), new Prng(seed));
  const hose = await Hose.open(server.address);
  t.teardown(() => hose.close());
  const received = async () => (await metrics(watcher)).get('datagrams_received') ?? 0;

  await hose.pour(hostile, 1_000, received);
  const before = await settled(watcher);
  const memoryBefore = residentBytes(server.pid).now;
  const diskBefore = diskBytesWritten(server.pid);
  const alone = Math.floor(datagrams / 2);
  await hose.pour(hostile, alone, received);
  const between = await metrics(watcher);
  for (const name of [
    'last_index',
    'disk_bytes_written',
    'disk_syncs',
    'sessions',
    'keys',
    'logs',
    'grants',
  ]) {
    t.is(between.get(name), before.get(name), `${name} after ${alone} hostile datagrams alone`);
  }
  t.is(diskBytesWritten(server.pid), diskBefore, "and nothing is written by the kernel's count");

  let over = false;
  const working = work(server, () => over);
  try {
    await Promise.race([hose.pour(hostile, datagrams - alone, received), working]);
  } catch (error) {
    const { running } = server;
    const { signalCode, exitCode } = running.child;
    t.log(`the server: exit code ${exitCode}, signal ${signalCode}, ${running.stderr.slice(-2_000)}`);
    throw error;
  } finally {
    over = true;
    await working.catch(() => {});
  }
  const operations = await working;
  t.true(operations > 20, `${operations} operations of good clients`);
  t.false(server.running.hasEnded);

  const after = await metrics(watcher);
  const counts = refused(before, after);
  const memory = residentBytes(server.pid);
  t.log(
    `${secure ? 'keyed' : 'insecure'}: ${hose.sent} hostile datagrams, ${operations} good operations, none failed; ` +
      `resident ${megabytes(memoryBefore)} before, ${megabytes(memory.now)} after, ${megabytes(memory.highest)} at most; ` +
      `refused: ${[...counts].map(([name, count]) => `${name} ${count}`).join(', ')}`,
  );
  t.true(memory.highest < memoryBefore + GROWTH_BYTES_MAX, `resident ${megabytes(memory.highest)} at most`);
  for (const reason of [...REFUSALS, ...SEALED_REFUSALS]) {
    t.true((counts.get(`datagrams_refused.${reason}`) ?? 0) > 0, `${reason} is counted`);
  }
  for (const name of ['malformed', 'refused.session-unknown', 'messages_dropped.reassembly-full']) {
    t.true((counts.get(name) ?? 0) > 0, `${name} is counted`);
  }
}
