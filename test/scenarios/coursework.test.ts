// The coursework's scenarios, by their names: its own calls and times (2 s, five tries, 1 s after an ACK, a lease of 2 s)
// against a real server, with a relay in between that loses, doubles and delays what a scenario asks for.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { RECORD_BYTES_MAX } from '#core/base/limits.ts';
import {
  RPC_append_file,
  RPC_close,
  RPC_init,
  RPC_lock_acquire,
  RPC_lock_release,
  RpcConnection,
} from '#core/rpc.ts';
import { eventually, startBramble, startServer, type TestServer } from '../support/processes.ts';
import { FAIR, Relay } from '../support/relay.ts';

interface Stage {
  readonly server: TestServer;
  readonly relay: Relay;
  /** A client of the coursework's, connected; through the relay unless told otherwise. */
  connect(to?: string): Promise<RpcConnection>;
  /** The bytes of a file as they are on the server's disk. */
  file(name: string): string;
  counter(name: string): Promise<number>;
}

async function stage(t: ExecutionContext): Promise<Stage> {
  const server = await startServer(t);
  const relay = await Relay.open(t, server.address);
  const open: RpcConnection[] = [];
  // What a test leaves open is closed without waiting for a server that may be gone.
  t.teardown(() => {
    for (const rpc of open) RPC_close(rpc).catch(() => {});
  });
  return {
    server,
    relay,
    async connect(to = relay.address) {
      const rpc = new RpcConnection({ insecure: true, profile: 'coursework' });
      const [host, port] = to.split(':') as [string, string];
      t.is(await RPC_init(rpc, 0, Number(port), host), 0);
      t.is(rpc.message, 'Connected!');
      open.push(rpc);
      return rpc;
    },
    file: (name) => readFileSync(join(server.dataDir, 'files', name), 'utf8'),
    async counter(name) {
      const { stdout } = await server.run(['status', '--json']);
      const status = JSON.parse(stdout.toString()) as {
        servers: { status: { metrics: { name: string; value: number }[] } }[];
      };
      return status.servers[0]?.status.metrics.find((metric) => metric.name === name)?.value ?? 0;
    },
  };
}

/** The file once it has that many bytes: records are written behind the answer. */
async function fileOf({ file }: Stage, name: string, length: number): Promise<string> {
  await eventually(() => file(name).length >= length, `${name} has ${length} bytes`);
  return file(name);
}

/** Long enough for a lease of 2 s to be over on a busy machine, whoever looks at it. */
const leaseIsOver = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2_600));

test('basic workflow: init, acquire, append, release, close, each with code 0', async (t) => {
  const scene = await stage(t);
  const rpc = await scene.connect();
  t.is(await RPC_lock_acquire(rpc), 0);
  t.is(await RPC_append_file(rpc, 'file_0', 'hello '), 0);
  t.is(await RPC_append_file(rpc, 'file_0', 'world'), 0);
  t.is(await RPC_append_file(rpc, 'file_99', 'last'), 0);
  t.is(await RPC_lock_release(rpc), 0);
  t.is(await RPC_close(rpc), 0);
  t.is(rpc.message, 'Disconnected!');
  t.is(await fileOf(scene, 'file_0', 11), 'hello world');
  t.is(await fileOf(scene, 'file_99', 4), 'last');
});

test('blocked second client: gets the lock when the first releases it, and appends behind it', async (t) => {
  const scene = await stage(t);
  const [first, second] = [await scene.connect(), await scene.connect()];
  t.is(await RPC_lock_acquire(first), 0);
  let secondHasIt = false;
  const waits = RPC_lock_acquire(second).then((code) => {
    secondHasIt = true;
    return code;
  });
  t.is(await RPC_append_file(first, 'file_1', 'A'), 0);
  t.is(await RPC_append_file(first, 'file_1', 'B'), 0);
  t.false(secondHasIt);
  t.is(await RPC_lock_release(first), 0);
  t.is(await waits, 0);
  t.is(await RPC_append_file(second, 'file_1', 'C'), 0);
  t.is(await RPC_lock_release(second), 0);
  t.is(await fileOf(scene, 'file_1', 3), 'ABC');
});

test('lost request: the client sends it again, and it is executed once', async (t) => {
  const scene = await stage(t);
  const rpc = await scene.connect();
  t.is(await RPC_lock_acquire(rpc), 0);
  const lost = scene.relay.dropNext('up', 1);
  t.is(await RPC_append_file(rpc, 'file_2', 'once'), 0);
  await lost;
  t.is(scene.relay.dropped.up, 1);
  t.is(await fileOf(scene, 'file_2', 4), 'once');
});

test('lost reply: the repeated request gets the first one’s answer and is not executed again', async (t) => {
  const scene = await stage(t);
  const rpc = await scene.connect();
  t.is(await RPC_lock_acquire(rpc), 0);
  const lost = scene.relay.dropNext('down', 1);
  t.is(await RPC_append_file(rpc, 'file_3', 'once'), 0);
  await lost;
  t.true((await scene.counter('repeated.answered')) >= 1);
  t.is(await RPC_append_file(rpc, 'file_3', ' more'), 0);
  t.is(await fileOf(scene, 'file_3', 9), 'once more');
});

test('duplicate request: everything comes twice and is executed once', async (t) => {
  const scene = await stage(t);
  scene.relay.weather = { ...FAIR, duplicate: 1 };
  const rpc = await scene.connect();
  t.is(await RPC_lock_acquire(rpc), 0);
  for (let number = 0; number < 10; number++) {
    t.is(await RPC_append_file(rpc, 'file_4', `${number}`), 0);
  }
  t.is(await RPC_lock_release(rpc), 0);
  t.is(await fileOf(scene, 'file_4', 10), '0123456789');
});

test('delayed old duplicate: a request that comes again after later ones has no effect', async (t) => {
  const scene = await stage(t);
  const rpc = await scene.connect();
  t.is(await RPC_lock_acquire(rpc), 0);
  const copies = scene.relay.record('up');
  t.is(await RPC_append_file(rpc, 'file_5', 'old '), 0);
  scene.relay.tap(null);
  t.is(await RPC_append_file(rpc, 'file_5', 'new '), 0);
  t.is(await RPC_lock_release(rpc), 0);
  t.true(copies.length > 0);
  for (const deliverAgain of copies) deliverAgain();
  t.is(await RPC_lock_acquire(rpc), 0);
  t.is(await RPC_append_file(rpc, 'file_5', 'newest'), 0);
  t.is(await fileOf(scene, 'file_5', 14), 'old new newest');
});

test('in progress: a waiting acquire is acknowledged, resent with patience, and granted in the end', async (t) => {
  const scene = await stage(t);
  // A holder that renews, so that the wait is long.
  const holder = startBramble(t, ['lock', 'files'], { environment: scene.server.environment });
  await holder.line(/^\d+$/);
  const waiter = await scene.connect();
  const before = scene.relay.passed.up;
  const waits = RPC_lock_acquire(waiter);
  // The first transmission is not answered; the second, 2 s later, finds the request in progress.
  await eventually(async () => (await scene.counter('repeated.pending')) >= 1, 'an ACK');
  t.true(scene.relay.passed.up - before >= 2);
  holder.kill('SIGINT');
  t.is(await waits, 0);
  t.is(await RPC_append_file(waiter, 'file_6', 'mine'), 0);
  t.is(await fileOf(scene, 'file_6', 4), 'mine');
});

test('five tries and a clear error: a server that answers nothing is given up by name', async (t) => {
  const scene = await stage(t);
  const rpc = await scene.connect();
  t.is(await RPC_lock_acquire(rpc), 0);
  scene.relay.cut('both');
  const error = await t.throwsAsync(RPC_append_file(rpc, 'file_7', 'lost'));
  t.regex(error.message, /5 (attempts|tries|transmissions)/);
  t.true(error.message.includes(scene.relay.address), error.message);
  t.is(scene.file('file_7'), '');
});

test('holder crashes while another waits: the lock passes on when the lease is over', async (t) => {
  const scene = await stage(t);
  const { server } = scene;
  const holder = startBramble(t, ['lock', 'files', '--ttl', '2s'], { environment: server.environment });
  await holder.line(/^\d+$/);
  const waiter = await scene.connect();
  const waits = RPC_lock_acquire(waiter);
  holder.kill('SIGKILL');
  t.is(await waits, 0);
  t.is(await RPC_append_file(waiter, 'file_8', 'next'), 0);
  t.is(await scene.counter('grant.expired'), 1);
});

test('holder crashes and nobody waits: the next one to ask gets the lock', async (t) => {
  const scene = await stage(t);
  const gone = await scene.connect();
  t.is(await RPC_lock_acquire(gone), 0);
  scene.relay.cut('both');
  await leaseIsOver();
  t.is(await scene.counter('grant.expired'), 0);
  const next = await scene.connect(scene.server.address);
  t.is(await RPC_lock_acquire(next), 0);
  t.is(await scene.counter('grant.expired'), 1);
});

test('holder pauses past its lease while another waits: its late append and release are refused, and leave no byte', async (t) => {
  const scene = await stage(t);
  const [first, second] = [await scene.connect(), await scene.connect()];
  t.is(await RPC_lock_acquire(first), 0);
  t.is(await RPC_append_file(first, 'file_9', 'before '), 0);
  // The first says nothing any more; the second waits until the lease is over.
  t.is(await RPC_lock_acquire(second), 0);
  t.is(await RPC_append_file(second, 'file_9', 'second '), 0);
  t.is(await RPC_append_file(first, 'file_9', 'late'), 2);
  t.regex(first.message, /no longer the holder/);
  t.is(await RPC_lock_release(first), 2);
  t.is(await RPC_append_file(second, 'file_9', 'again'), 0);
  t.is(await RPC_lock_release(second), 0);
  // Told so, it acquires again and goes on.
  t.is(await RPC_lock_acquire(first), 0);
  t.is(await RPC_append_file(first, 'file_9', ' after'), 0);
  t.is(await fileOf(scene, 'file_9', 25), 'before second again after');
  t.true((await scene.counter('append.refused')) >= 1);
});

test('holder pauses past its lease and nobody waits: its append and release are accepted', async (t) => {
  const scene = await stage(t);
  const rpc = await scene.connect();
  t.is(await RPC_lock_acquire(rpc), 0);
  await leaseIsOver();
  t.is(await RPC_append_file(rpc, 'file_10', 'still mine'), 0);
  t.is(await RPC_lock_release(rpc), 0);
  t.is(await fileOf(scene, 'file_10', 10), 'still mine');
});

test('release and append by a stranger: refused with code 2, and the holder keeps the lock', async (t) => {
  const scene = await stage(t);
  const [holder, stranger] = [await scene.connect(), await scene.connect()];
  t.is(await RPC_lock_acquire(holder), 0);
  t.is(await RPC_lock_release(stranger), 2);
  t.is(await RPC_append_file(stranger, 'file_11', 'stolen'), 2);
  t.is(await RPC_append_file(holder, 'file_11', 'held'), 0);
  t.is(await fileOf(scene, 'file_11', 4), 'held');
});

test('files that are not there, and names and data that cannot be', async (t) => {
  const scene = await stage(t);
  const rpc = await scene.connect();
  t.is(await RPC_lock_acquire(rpc), 0);
  t.is(await RPC_append_file(rpc, 'file_100', 'x'), 1);
  t.is(await RPC_append_file(rpc, 'a'.repeat(64), 'x'), 1);
  for (const name of ['a'.repeat(65), '', '../file_0', 'a/b', '.hidden', 'ä', 'with space', 'nul\0']) {
    t.is(await RPC_append_file(rpc, name, 'x'), 4, JSON.stringify(name));
  }
  t.is(await RPC_append_file(rpc, 'file_12', ''), 4);
  t.is(await RPC_append_file(rpc, 'file_12', new Uint8Array(RECORD_BYTES_MAX + 1)), 4);
  t.is(scene.file('file_12'), '');
  t.is(await RPC_append_file(rpc, 'file_12', 'y'), 0);
  t.is(await fileOf(scene, 'file_12', 1), 'y');
});

test('data of 1 MiB goes through whole, in many datagrams', async (t) => {
  const scene = await stage(t);
  const rpc = await scene.connect();
  t.is(await RPC_lock_acquire(rpc), 0);
  t.is(await RPC_append_file(rpc, 'file_13', 'z'.repeat(RECORD_BYTES_MAX)), 0);
  t.is(await fileOf(scene, 'file_13', RECORD_BYTES_MAX), 'z'.repeat(RECORD_BYTES_MAX));
});

test('the holder may acquire again, and releases as often', async (t) => {
  const scene = await stage(t);
  const [holder, other] = [await scene.connect(), await scene.connect()];
  t.is(await RPC_lock_acquire(holder), 0);
  t.is(await RPC_lock_acquire(holder), 0);
  t.is(await RPC_lock_release(holder), 0);
  t.is(await RPC_append_file(other, 'file_14', 'x'), 2);
  t.is(await RPC_append_file(holder, 'file_14', 'y'), 0);
  t.is(await RPC_lock_release(holder), 0);
  t.is(await RPC_lock_acquire(other), 0);
});
