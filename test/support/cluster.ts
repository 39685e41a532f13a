// Several real server processes on loopback, founded together, killed, stopped and started again one by one.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Client, type ClusterStatus, connect } from '#core/index.ts';
import { Ledger } from './ledger.ts';
import { eventually, type Running, startBramble, temporaryFolder } from './processes.ts';

export interface Member {
  readonly id: string;
  readonly address: string;
  readonly dataDir: string;
  running: Running | null;
}

/** A UDP port that was free a moment ago. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

export class Cluster {
  readonly members: Member[] = [];
  readonly #t: ExecutionContext;
  readonly #folder: string;

  private constructor(t: ExecutionContext) {
    this.#t = t;
    this.#folder = temporaryFolder(t);
  }

  static async start(t: ExecutionContext, count: number): Promise<Cluster> {
    const cluster = new Cluster(t);
    for (let number = 1; number <= count; number++) await cluster.#make(`n${number}`);
    await Promise.all(cluster.members.map((member) => cluster.launch(member)));
    return cluster;
  }

  async #make(id: string): Promise<Member> {
    const address = `127.0.0.1:${await freePort()}`;
    const member: Member = { id, address, dataDir: join(this.#folder, id), running: null };
    this.members.push(member);
    return member;
  }

  get addresses(): string[] {
    return this.members.map((member) => member.address);
  }

  /** Starts one with the list of all, and waits until it listens. */
  async launch(member: Member, flags?: readonly string[]): Promise<void> {
    const peers = this.members.map(({ id, address }) => `${id}=${address}`).join(',');
    const how = flags ?? ['--peers', peers];
    const where = ['--node', member.id, '--listen', member.address, '--data', member.dataDir];
    member.running = startBramble(this.#t, ['server', '--insecure', ...where, ...how]);
    await member.running.line(/"event":"listening"/);
  }

  /** A server more, which asks to be let in. */
  async join(id: string): Promise<Member> {
    const contacts = this.addresses.join(',');
    const member = await this.#make(id);
    await this.launch(member, ['--join', contacts]);
    return member;
  }

  async kill(member: Member): Promise<void> {
    member.running?.kill('SIGKILL');
    await member.running?.ended;
    member.running = null;
  }

  /** SIGTERM, and the exit code. */
  async stop(member: Member): Promise<number | null> {
    member.running?.kill('SIGTERM');
    const ended = await member.running?.ended;
    member.running = null;
    return ended?.code ?? null;
  }

  wipe(member: Member): void {
    rmSync(member.dataDir, { recursive: true, force: true });
  }

  member(id: string): Member {
    return this.members.find((member) => member.id === id) as Member;
  }

  async connect(timeoutMs = 30_000): Promise<Client> {
    const client = await connect({ servers: this.addresses, insecure: true, timeoutMs });
    this.#t.teardown(() => client.close());
    return client;
  }

  async leader(client: Client): Promise<Member> {
    let leader: string | null = null;
    await eventually(async () => {
      leader = (await client.status().catch(() => null))?.leader ?? null;
      return leader !== null && this.member(leader)?.running !== null;
    }, 'a leader');
    return this.member(leader as unknown as string);
  }

  async until(client: Client, what: string, holds: (status: ClusterStatus) => boolean): Promise<void> {
    await eventually(async () => {
      const status = await client.status().catch(() => null);
      return status !== null && holds(status);
    }, what);
  }

  /** All running servers have the same files; compares them with what clients were told. */
  async verify(ledger: Ledger, logs: readonly string[]): Promise<string> {
    const client = await this.connect();
    const running = this.members.filter((member) => member.running !== null);
    let summary = '';
    for (const { dataDir } of running) {
      const found = await ledger.verify(client, join(dataDir, 'files'));
      const { lost, duplicates, doubleHolders, others } = found;
      this.#t.deepEqual({ lost, duplicates, doubleHolders, others }, EMPTY);
      summary = `acknowledged ${found.acknowledged}, unknown ${found.unknown}, grants ${found.grants}`;
    }
    for (const log of logs) {
      const files = running.map(({ dataDir }) => readFileSync(join(dataDir, 'files', log), 'utf8'));
      for (const file of files) this.#t.is(file, files[0] as string, log);
    }
    return `${summary}, lost 0, duplicates 0, double holders 0, files identical on ${running.length} servers`;
  }
}

const EMPTY = { lost: [], duplicates: [], doubleHolders: [], others: [] };

export interface Workload {
  readonly ledger: Ledger;
  /** How long each append took that was under way while something happened; for figures. */
  readonly slowestMs: () => number;
  stop(): Promise<readonly string[]>;
}

/** Clients that append, under a lock and without, until they are stopped; gives what they could not hide. */
export async function startWorkload(cluster: Cluster, clients: number): Promise<Workload> {
  const ledger = new Ledger();
  const failures: string[] = [];
  let stopping = false;
  let slowest = 0;
  const first = await cluster.connect();
  await first.logs.create('open');
  const worked = Array.from({ length: clients }, async (_, number) => {
    const client = await cluster.connect();
    while (!stopping) {
      const startedAt = performance.now();
      try {
        if (number % 2 === 0) await ledger.append(client, 'open');
        else
          await ledger.holding(client, { name: 'files', ttlMs: 10_000 }, async (lock) => {
            await ledger.append(client, 'file_0', { lock });
          });
      } catch (error) {
        failures.push(String(error));
      }
      if (number % 2 === 0) slowest = Math.max(slowest, performance.now() - startedAt);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  return {
    ledger,
    slowestMs: () => {
      const value = slowest;
      slowest = 0;
      return value;
    },
    async stop() {
      stopping = true;
      await Promise.all(worked);
      return failures;
    },
  };
}
