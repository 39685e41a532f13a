// A whole server in the test's own process, everything real but its disk and its network: what the program puts together,
// on a file system that can fail and a network in memory. It can die at any moment, as from kill -9.

import type { Clock, Timer } from '#core/base/ports.ts';
import { Prng } from '#core/base/prng.ts';
import { Client } from '#core/client/client.ts';
import { nodeCrypto } from '#core/node/crypto.ts';
import type { LogEntry } from '#core/raft/types.ts';
import { FOUNDING_STATE, foundingEntry, Server, storedConfiguration } from '#core/server/server.ts';
import { openStorage } from '#core/storage/disk-storage.ts';
import type { Storage } from '#core/storage/interface.ts';
import { createEndpoint } from '#core/transport/endpoint.ts';
import type { FaultyFileSystem } from './faulty-file-system.ts';
import type { MemoryNetwork } from './memory-network.ts';
import { TEST_RESERVE_BYTES, TestLogger, testClock } from './storage-kit.ts';

export const SERVER_ADDRESS = '10.0.0.1:7700';
export const DATA = '/data';
const CLUSTER_ID = '0123456789abcdef0123456789abcdef';

/** The real clock, until its owner dies: then nothing is called back any more. */
class MortalClock implements Clock {
  readonly #timers = new Set<Timer>();
  #dead = false;

  now(): number {
    return testClock.now();
  }

  after(delayMs: number, callback: () => void): Timer {
    if (this.#dead) return { cancel: () => {} };
    const timer = testClock.after(delayMs, () => {
      this.#timers.delete(timer);
      callback();
    });
    this.#timers.add(timer);
    return {
      cancel: () => {
        timer.cancel();
        this.#timers.delete(timer);
      },
    };
  }

  soon(callback: () => void): void {
    testClock.soon(() => {
      if (!this.#dead) callback();
    });
  }

  die(): void {
    this.#dead = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }
}

export interface WholeServer {
  readonly server: Server;
  readonly storage: Storage;
  readonly logger: TestLogger;
  /** What the server was told when its disk failed for good. */
  readonly fatal: Promise<Error>;
  /** kill -9: it does nothing more, and leaves its disk as it is. */
  die(): void;
  stop(): Promise<void>;
}

export async function startWholeServer(options: {
  readonly disk: FaultyFileSystem;
  readonly network: MemoryNetwork;
  readonly seed: number;
  readonly files?: number;
  readonly reserveBytes?: number;
}): Promise<WholeServer> {
  const { disk, network, seed, files = 2, reserveBytes = TEST_RESERVE_BYTES } = options;
  const clock = new MortalClock();
  const entropy = new Prng(seed);
  const logger = new TestLogger();
  const storage = await openStorage({
    ...{ directory: DATA, clock, entropy, logger, reserveBytes, fileSystem: disk },
  });
  const known = storedConfiguration(storage);
  const clusterId = known?.clusterId ?? CLUSTER_ID;
  const founding = known === null ? await found(storage) : null;
  const socket = network.socket(SERVER_ADDRESS);
  const endpoint = createEndpoint({
    ...{ socket, clock, entropy, logger, crypto: nodeCrypto, keys: null, role: 'server' as const },
    clusterId: Buffer.from(clusterId, 'hex'),
  });
  let failed: (error: Error) => void = () => {};
  const fatal = new Promise<Error>((resolve) => {
    failed = resolve;
  });
  const server = new Server({
    ...{ node: 'n1', address: SERVER_ADDRESS, version: 'test', clusterName: 'bramble', insecure: true },
    ...{ clusterId, founding, contacts: [], files, storage, endpoint, clock, entropy, logger },
    // As the program does it: whatever is in memory ends here.
    onFatal: (error) => {
      die();
      failed(error);
    },
  });
  const die = (): void => {
    clock.die();
    void socket.close();
  };
  await server.start();
  const stop = async (): Promise<void> => {
    await server.stop();
    clock.die();
  };
  return { server, storage, logger, fatal, die, stop };
}

/** A new cluster of one, as the program founds it. */
async function found(storage: Storage): Promise<LogEntry> {
  const { storageId } = storage.recovered;
  const self = { node: 'n1', storageId, address: SERVER_ADDRESS, voter: true };
  const entry = foundingEntry({ clusterId: CLUSTER_ID, clusterName: 'bramble', members: [self] });
  const durable = new Promise<void>((resolve) => storage.onDurable(() => resolve()));
  storage.write({ hardState: FOUNDING_STATE, entries: [entry] });
  await durable;
  return entry;
}

let clients = 0;

export function connectWhole(network: MemoryNetwork, options: { readonly timeoutMs?: number } = {}): Client {
  clients += 1;
  const entropy = new Prng(1_000_000 + clients);
  const endpoint = createEndpoint({
    socket: network.socket(`10.0.1.${1 + (clients % 250)}:${10_000 + clients}`),
    ...{ clock: testClock, entropy, logger: new TestLogger(), crypto: nodeCrypto },
    ...{ keys: null, role: 'client' as const },
  });
  const { timeoutMs = 30_000 } = options;
  return new Client({ endpoint, clock: testClock, entropy, servers: [SERVER_ADDRESS], timeoutMs });
}

/** Everything that clients can see, for comparison. */
export async function visibleState(client: Client): Promise<unknown> {
  const logs: Record<string, (string | null)[]> = {};
  for (const { name } of await client.logs.list()) {
    logs[name] = (await client.read(name)).records.map((record) => record.text);
  }
  const keys: Record<string, string> = {};
  for await (const { key, value } of client.kv.list()) keys[key] = value;
  const locks = (await client.locks.list()).map(({ lock, grants, waiters }) => ({
    lock,
    tokens: grants.map(({ token }) => token),
    waiters: waiters.length,
  }));
  return { logs, keys, locks };
}
