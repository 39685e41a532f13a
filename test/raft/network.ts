// A handful of Rafts on a seeded network with disks that lag behind: what tests of core/raft drive. Crashes lose what was
// not durable; messages are lost, doubled, delayed and reordered; links are cut one way.

import { strict as assert } from 'node:assert';
import { Prng } from '#core/base/prng.ts';
import { type Configuration, encodeConfiguration } from '#core/raft/configuration.ts';
import type { RaftMessage } from '#core/raft/messages.ts';
import { Raft } from '#core/raft/raft.ts';
import type { HardState, LogEntry } from '#core/raft/types.ts';

export const TIMING = { electionTimeoutMs: 150, heartbeatMs: 50, voteWriteMs: 10 };

interface Write {
  readonly hardState: HardState | null;
  readonly entries: readonly LogEntry[];
  readonly doneAt: number;
  readonly followers: RaftMessage[];
}

class Disk {
  hardState: HardState = { term: 1, votedFor: null, commitIndex: 0 };
  entries: LogEntry[];
  constructor(first: LogEntry) {
    this.entries = [first];
  }
  apply(write: Write): void {
    if (write.hardState !== null) this.hardState = write.hardState;
    for (const entry of write.entries) {
      this.entries.length = entry.index - 1;
      this.entries.push(entry);
    }
  }
}

export class Node {
  readonly id: { node: string; storageId: string };
  disk: Disk;
  raft: Raft | null = null;
  writes: Write[] = [];
  applied: LogEntry[] = [];
  confirmed: { id: number; index: number }[] = [];
  /** Extra time that each write takes. */
  diskLagMs = 1;
  constructor(id: { node: string; storageId: string }, first: LogEntry) {
    this.id = id;
    this.disk = new Disk(first);
  }
}

export interface Faults {
  loss: number;
  duplicate: number;
  delayMs: number;
}

export class Network {
  readonly prng: Prng;
  readonly nodes = new Map<string, Node>();
  now = 0;
  faults: Faults = { loss: 0, duplicate: 0, delayMs: 2 };
  readonly cut = new Set<string>();
  #flights: { at: number; message: RaftMessage }[] = [];
  /** Every entry that any node ever applied, by index: they must all agree. */
  readonly committed = new Map<number, LogEntry>();
  readonly leaders = new Map<number, string>();
  readonly configuration: Configuration;

  constructor(seed: number, names: readonly string[], learners: readonly string[] = []) {
    this.prng = new Prng(seed);
    this.configuration = {
      clusterId: '0'.repeat(32),
      clusterName: 'test',
      members: names.map((node) => ({
        node,
        storageId: `${node}-disk`,
        address: `${node}:1`,
        voter: !learners.includes(node),
      })),
    };
    const first: LogEntry = {
      index: 1,
      term: 1,
      type: 'configuration',
      data: encodeConfiguration(this.configuration),
    };
    for (const node of names) {
      this.nodes.set(node, new Node({ node, storageId: `${node}-disk` }, first));
      this.start(node);
    }
  }

  node(name: string): Node {
    return this.nodes.get(name) as Node;
  }

  raft(name: string): Raft {
    return this.node(name).raft as Raft;
  }

  start(name: string): void {
    const node = this.node(name);
    node.writes = [];
    node.applied = [];
    node.raft = new Raft({
      self: node.id,
      hardState: node.disk.hardState,
      snapshotIndex: 0,
      snapshotTerm: 0,
      configuration: { ...this.configuration, members: [] },
      entries: [...node.disk.entries],
      entropy: this.prng,
      timing: TIMING,
      now: this.now,
    });
  }

  crash(name: string): void {
    this.node(name).raft = null;
  }

  /** One millisecond. */
  step(): void {
    this.now += 1;
    for (const node of this.nodes.values()) {
      while (node.raft !== null && (node.writes[0]?.doneAt ?? Number.POSITIVE_INFINITY) <= this.now) {
        this.#complete(node, node.writes.shift() as Write);
      }
    }
    const due = this.#flights.filter((flight) => flight.at <= this.now);
    this.#flights = this.#flights.filter((flight) => flight.at > this.now);
    for (const { message } of due) {
      const node = this.nodes.get(message.to);
      if (node?.raft === null || node === undefined) continue;
      node.raft.step(message, this.now);
      this.pump(node);
    }
    for (const node of this.nodes.values()) {
      if (node.raft === null) continue;
      if (node.raft.nextTickAt <= this.now) node.raft.tick(this.now);
      this.pump(node);
    }
  }

  #complete(node: Node, write: Write): void {
    node.disk.apply(write);
    const last = write.entries.at(-1) ?? node.disk.entries.at(-1);
    const raft = node.raft as Raft;
    raft.persisted(
      { term: node.disk.hardState.term, index: last?.index ?? 0, entryTerm: last?.term ?? 0 },
      this.now,
    );
    for (const message of write.followers) this.#transmit(message);
    this.pump(node);
  }

  pump(node: Node): void {
    for (let round = 0; round < 10; round++) {
      const raft = node.raft as Raft;
      const ready = raft.ready(this.now);
      const followers = ready.messages.filter((one) => one.followsWrite).map((one) => one.message);
      const free = ready.messages.filter((one) => !one.followsWrite).map((one) => one.message);
      if (ready.hardState !== null || ready.entries.length > 0) {
        const before = node.writes.at(-1)?.doneAt ?? this.now;
        const doneAt = Math.max(before, this.now + this.prng.between(0, 1 + node.diskLagMs));
        node.writes.push({ hardState: ready.hardState, entries: ready.entries, doneAt, followers });
      } else if (node.writes.length > 0) (node.writes.at(-1) as Write).followers.push(...followers);
      else free.push(...followers);
      for (const message of free) this.#transmit(message);
      for (const entry of ready.committed) this.#apply(node, entry);
      node.confirmed.push(...ready.confirmed);
      if (raft.role === 'leader') {
        const known = this.leaders.get(raft.term);
        assert(known === undefined || known === node.id.node, `two leaders in term ${raft.term}`);
        this.leaders.set(raft.term, node.id.node);
      }
      const idle = ready.entries.length + ready.messages.length + ready.committed.length === 0;
      if (idle && ready.hardState === null) return;
    }
  }

  #apply(node: Node, entry: LogEntry): void {
    assert.equal(entry.index, (node.applied.at(-1)?.index ?? 0) + 1, 'applied in order');
    node.applied.push(entry);
    const known = this.committed.get(entry.index);
    if (known === undefined) this.committed.set(entry.index, entry);
    else {
      assert.equal(known.term, entry.term, `entry ${entry.index} was committed with another term`);
      assert.deepEqual(known.data, entry.data, `entry ${entry.index} was committed with other data`);
    }
  }

  #transmit(message: RaftMessage): void {
    if (this.cut.has(`${message.from.node}>${message.to}`) || this.prng.chance(this.faults.loss)) return;
    const copies = this.prng.chance(this.faults.duplicate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      this.#flights.push({ at: this.now + 1 + this.prng.between(0, this.faults.delayMs + 1), message });
    }
  }

  run(milliseconds: number): void {
    for (let count = 0; count < milliseconds; count++) this.step();
  }

  /** Runs until `condition` holds; fails after `patienceMs` of simulated time. */
  until(condition: () => boolean, what: string, patienceMs = 20_000): void {
    const deadline = this.now + patienceMs;
    while (!condition()) {
      assert(this.now < deadline, `never came true: ${what}`);
      this.step();
    }
  }

  /** The leader of the highest term among those alive, or null. */
  leader(): Node | null {
    let best: Node | null = null;
    for (const node of this.nodes.values()) {
      if (node.raft?.role !== 'leader') continue;
      if (best === null || node.raft.term > (best.raft as Raft).term) best = node;
    }
    return best;
  }

  propose(data: string): number | null {
    const leader = this.leader();
    if (leader === null) return null;
    const index = (leader.raft as Raft).propose('command', new TextEncoder().encode(data));
    this.pump(leader);
    return typeof index === 'number' ? index : null;
  }
}
