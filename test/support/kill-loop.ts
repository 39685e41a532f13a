// kill -9 in a loop: a server that is killed at any moment, start-up included, and started again on the same port and
// directory while clients work; then the books are compared with what is there.

import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { Prng } from '#core/base/prng.ts';
import { BrambleError, type Client, connect, type LockHandle } from '#core/index.ts';
import { Ledger } from './ledger.ts';
import { eventually, startBramble, startServer, type TestServer, temporaryFolder } from './processes.ts';

/** Held by one client from the first kill to the last; longer than any restart takes on a busy machine. */
const LONG_TTL_MS = 60_000;
/** So short that a restart leaves some outcomes unknown. */
const IMPATIENT_MS = 250;
const GUARDED = ['file_0', 'file_1', 'file_2', 'file_3'];

class Workload {
  readonly ledger = new Ledger();
  readonly endedSessions: string[] = [];
  readonly unexpected: string[] = [];
  readonly clients: Client[] = [];
  lostLocks = 0;
  counterIncrements = { acknowledged: 0, unknown: 0 };
  /** By key: the values that it may have, the last acknowledged one and the unknown ones after it. */
  readonly possibleValues = new Map<string, (string | null)[]>();
  #stopping = false;
  readonly #workers: Promise<void>[] = [];
  readonly #address: string;
  readonly #prng: Prng;

  constructor(address: string, prng: Prng) {
    this.#address = address;
    this.#prng = prng;
  }

  async connect(timeoutMs = 30_000): Promise<Client> {
    const logger = {
      log: (_level: string, message: string) => {
        if (message.includes('session ended')) this.endedSessions.push(message);
      },
    };
    const client = await connect({ servers: [this.#address], insecure: true, timeoutMs, logger });
    this.clients.push(client);
    return client;
  }

  /** Runs `round` again and again; failures that a promise allows are part of the work. */
  async work(client: Client, round: (client: Client, serial: number) => Promise<void>): Promise<void> {
    const loop = async () => {
      for (let serial = 1; !this.#stopping; serial++) {
        try {
          await round(client, serial);
        } catch (error) {
          this.#judge(error);
        }
        await new Promise((resolve) => setTimeout(resolve, this.#prng.between(0, 4)));
      }
    };
    this.#workers.push(loop());
  }

  /** Unknown outcomes, servers that cannot be reached, and answers that the work itself provokes are in order. */
  #judge(error: unknown): void {
    if (!(error instanceof BrambleError)) {
      this.unexpected.push(String(error));
      return;
    }
    if (error.name === 'LockLostError') this.lostLocks += 1;
    const expected =
      !error.definite ||
      ['LockLostError', 'UnreachableError'].includes(error.name) ||
      ['token-not-current', 'value-differs', 'key-exists'].includes(error.reason);
    if (!expected) this.unexpected.push(String(error));
  }

  async start(): Promise<void> {
    const { ledger } = this;
    const shared = this.#prng;
    for (let count = 0; count < 3; count++) {
      await this.work(await this.connect(), (client) =>
        ledger.holding(client, { name: 'files' }, async (lock) => {
          for (let left = shared.between(1, 4); left > 0; left--) {
            await ledger.append(client, shared.pick(GUARDED), { lock });
          }
        }),
      );
    }
    for (const timeoutMs of [30_000, IMPATIENT_MS]) {
      await this.work(await this.connect(timeoutMs), async (client) => {
        const many = Array.from({ length: 6 }, (_, at) =>
          ledger.append(client, 'open', { padding: shared.between(0, at === 0 ? 5_000 : 50) }),
        );
        for (const result of await Promise.allSettled(many)) {
          if (result.status === 'rejected') this.#judge(result.reason);
        }
      });
    }
    for (let count = 0; count < 2; count++) {
      await this.work(await this.connect(), (client, serial) =>
        ledger.holding(client, { name: 'other', shared: serial % 3 !== 0 }, async () => {
          await new Promise((resolve) => setTimeout(resolve, shared.between(0, 8)));
        }),
      );
    }
    for (const timeoutMs of [30_000, IMPATIENT_MS]) {
      await this.work(await this.connect(timeoutMs), (client) => this.#increment(client));
      await this.work(await this.connect(timeoutMs), (client, serial) =>
        this.#put(client, `key-${timeoutMs}`, `value ${serial}`),
      );
    }
  }

  async #increment(client: Client): Promise<void> {
    const entry = await client.kv.get('counter');
    const next = String(Number(entry?.value ?? '0') + 1);
    try {
      await client.kv.cas('counter', entry?.value ?? null, next);
      this.counterIncrements.acknowledged += 1;
    } catch (error) {
      if (error instanceof BrambleError && !error.definite) this.counterIncrements.unknown += 1;
      throw error;
    }
  }

  async #put(client: Client, key: string, value: string): Promise<void> {
    const possible = this.possibleValues.get(key) ?? [null];
    this.possibleValues.set(key, [...possible, value]);
    await client.kv.put(key, value);
    this.possibleValues.set(key, [value]);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#workers);
  }
}

/** Starts a server and kills it before it is up, at a random moment. */
async function killWhileStarting(t: ExecutionContext, server: TestServer, delayMs: number): Promise<void> {
  const args = ['server', '--listen', server.address, '--data', server.dataDir];
  const starting = startBramble(t, args, { environment: { BRAMBLE_INSECURE: '1' } });
  await new Promise((resolve) => setTimeout(resolve, delayMs));
  starting.kill('SIGKILL');
  await starting.ended;
}

/** Values and the counter as they are at the end. */
async function checkKeys(t: ExecutionContext, client: Client, workload: Workload): Promise<void> {
  for (const [key, possible] of workload.possibleValues) {
    const value = (await client.kv.get(key))?.value ?? null;
    t.true(possible.includes(value), `${key} is ${value}, not one of ${possible.join(', ')}`);
  }
  const { acknowledged, unknown } = workload.counterIncrements;
  const counter = Number((await client.kv.get('counter'))?.value ?? '0');
  t.true(
    counter >= acknowledged && counter <= acknowledged + unknown,
    `the counter is ${counter} after ${acknowledged} acknowledged and ${unknown} unknown increments`,
  );
}

async function check(
  t: ExecutionContext,
  workload: Workload,
  options: { readonly server: TestServer; readonly kills: number; readonly when: string },
): Promise<void> {
  const { server, kills, when } = options;
  const reader = await connect({ servers: [server.address], insecure: true });
  const found = await workload.ledger.verify(reader, join(server.dataDir, 'files'));
  await checkKeys(t, reader, workload);
  await reader.close();
  const summary =
    `${when}: kills ${kills}, acknowledged ${found.acknowledged}, unknown ${found.unknown}, refused ${found.refused}, ` +
    `grants ${found.grants}, locks lost at their deadline ${workload.lostLocks}, ` +
    `lost ${found.lost.length}, duplicates ${found.duplicates.length}, double holders ${found.doubleHolders.length}`;
  t.log(summary);
  t.deepEqual(found.lost, []);
  t.deepEqual(found.duplicates, []);
  t.deepEqual(found.doubleHolders, []);
  t.deepEqual(found.others, []);
}

/** The whole test: `kills` kills, each with a restart, under a workload of several clients. */
export async function killLoop(
  t: ExecutionContext,
  options: { readonly kills: number; readonly seed: number },
): Promise<void> {
  const prng = new Prng(options.seed);
  const dataDir = join(temporaryFolder(t), 'data');
  let server = await startServer(t, { dataDir });
  const listen = server.address;
  const workload = new Workload(listen, prng);
  t.teardown(async () => {
    await Promise.all(workload.clients.map((client) => client.close()));
  });

  const steady = await workload.connect();
  await steady.logs.create('open');
  await steady.logs.create('steady', { guard: 'steady' });
  const held = await steady.lock('steady', { ttlMs: LONG_TTL_MS });
  const queued = await workload.connect();
  let granted: LockHandle | null = null;
  const waiting = queued.lock('steady').then((handle) => {
    granted = handle;
    return handle;
  });
  await workload.start();

  for (let kill = 1; kill <= options.kills; kill++) {
    const { acknowledged, grants } = workload.ledger;
    await eventually(() => workload.ledger.acknowledged > acknowledged + 20, 'the clients get on');
    await eventually(() => workload.ledger.grants > grants + 5, 'the locks are passed on');
    await workload.ledger.append(steady, 'steady', { lock: held });
    await new Promise((resolve) => setTimeout(resolve, prng.between(0, 60)));
    await server.kill();
    if (kill % 3 === 2 && kill < options.kills) {
      kill += 1;
      await killWhileStarting(t, server, prng.between(100, 500));
    }
    server = await startServer(t, { dataDir, listen });
  }
  await workload.ledger.append(steady, 'steady', { lock: held });
  await workload.stop();

  t.true(held.held, 'a lock with a long lease is held through every kill');
  t.is(granted, null, 'and nobody else gets it meanwhile');
  await held.release();
  const handle = await waiting;
  t.true(handle.token > held.token, 'whoever waited through every kill gets it then');
  await handle.release();
  t.deepEqual(workload.endedSessions, [], 'no session ends');
  t.deepEqual(workload.unexpected, [], 'nothing is refused that should not be');

  await check(t, workload, { server, kills: options.kills, when: 'after the last kill' });
  server.running.kill('SIGTERM');
  t.is((await server.running.ended).code, 0);
  server = await startServer(t, { dataDir, listen });
  await check(t, workload, { server, kills: options.kills, when: 'after a clean stop' });
}
