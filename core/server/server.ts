/**
 * The server: one loop that drains what has arrived, steps Raft, persists, sends, applies and answers, each at its own
 * pace.
 *
 * A request's way: datagram → inbox → session table → log entry → disk and followers → state machine → answer. Nothing
 * here waits: the disk says when a write is durable, the network when a message has come, the clock when a time is over.
 *
 * Invariants: an entry is applied once, in order, and only when it is committed; an answer leaves only after its entry was
 * applied; a message that tells of a write leaves only after that write is durable; a snapshot never passes what is applied
 * and durable here.
 */

import { assert } from '../base/assert.ts';
import type { Reason } from '../base/codes.ts';
import {
  INBOX_BYTES_MAX,
  INBOX_MESSAGES_MAX,
  LOGS_MAX,
  SNAPSHOT_AFTER_BYTES,
  SNAPSHOT_AFTER_ENTRIES,
} from '../base/limits.ts';
import type { Clock, Entropy, Logger, Timer } from '../base/ports.ts';
import {
  type Configuration,
  decodeConfiguration,
  encodeConfiguration,
  findMember,
} from '../raft/configuration.ts';
import { Raft } from '../raft/raft.ts';
import type { HardState, LogEntry, ServerId } from '../raft/types.ts';
import type { Command, LogInfo } from '../state-machine/commands.ts';
import { Machine } from '../state-machine/machine.ts';
import type { Durable, Storage, WriteNumber } from '../storage/interface.ts';
import type { Endpoint, Remote } from '../transport/interface.ts';
import { MESSAGE_FAMILIES } from '../wire/client-codec.ts';
import { decodeCommand, encodeCommand } from '../wire/command-codec.ts';
import { decodePeerMessage, encodePeerMessage, type SnapshotPayload } from '../wire/peer-codec.ts';
import { decodeRaftMessage } from '../wire/raft-codec.ts';
import { decodeMachine, encodeMachine } from '../wire/snapshot-codec.ts';
import { admit } from './admission.ts';
import { ClientService } from './client-service.ts';
import { Counters } from './counters.ts';
import { HeldMessages } from './held-messages.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { Membership } from './membership.ts';
import { Peers } from './peers.ts';
import { Policy } from './policy.ts';
import { Reads } from './reads.ts';
import { SessionMemory } from './session-memory.ts';
import { SnapshotReceiver } from './snapshot-receiver.ts';
import { SnapshotSender } from './snapshot-sender.ts';
import { buildStatus } from './status.ts';
import { Recent, timingFor } from './timing.ts';

/** Messages handled before the loop lets others have a turn. */
const MESSAGES_A_TURN = 512;
/** How often the server looks at its disk, its timing and its silent peers. */
const HOUSEKEEPING_MS = 100;
/** A server that would join says so this often. */
const JOIN_EVERY_MS = 1_000;
/** How long a stopping leader waits for another to take over. */
const HANDOVER_MS_MAX = 2_000;

export interface ServerOptions {
  readonly node: string;
  /** Where clients and peers reach this server. */
  readonly address: string;
  readonly version: string;
  readonly clusterName: string;
  readonly clusterId: string;
  /** The log's first entry where this server has just founded the cluster; it is durable already. */
  readonly founding: LogEntry | null;
  /** Where to ask to be let in, while the configuration does not name this server. */
  readonly contacts: readonly string[];
  readonly files: number;
  readonly insecure: boolean;
  readonly storage: Storage;
  readonly endpoint: Endpoint;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly logger: Logger;
  /** Past it a disk counts as stalled; null: the default. */
  readonly stallLimitMs?: number;
  /** The disk failed for good, or an invariant did: the program ends. */
  readonly onFatal: (error: Error) => void;
}

/** What a data directory says about the cluster that it belongs to, or null for a new one. */
export function storedConfiguration(storage: Storage): Configuration | null {
  const { snapshot, entries } = storage.recovered;
  const newest = entries.findLast((entry) => entry.type === 'configuration')?.data ?? snapshot?.configuration;
  if (newest === undefined) return null;
  const decoded = decodeConfiguration(newest);
  assert(decoded.ok, 'a configuration that was written cannot be read');
  return decoded.value;
}

/** The first entry of a cluster's log: written by its founder before anybody else has one. */
export function foundingEntry(configuration: Configuration): LogEntry {
  return { index: 1, term: 1, type: 'configuration', data: encodeConfiguration(configuration) };
}

/** The hard state that goes with it: nobody can have voted in term 1. */
export const FOUNDING_STATE: HardState = { term: 1, votedFor: null, commitIndex: 0 };

interface Arrived {
  readonly remote: Remote;
  readonly message: Uint8Array;
}

export class Server {
  readonly counters = new Counters();
  readonly #options: ServerOptions;
  readonly #self: ServerId;
  #machine: Machine;
  readonly #memory = new SessionMemory();
  readonly #keeper: LeaseKeeper;
  readonly #reads: Reads;
  readonly #service: ClientService;
  readonly #raft: Raft;
  readonly #peers: Peers;
  readonly #policy: Policy;
  readonly #membership: Membership;
  readonly #held: HeldMessages;
  readonly #sender: SnapshotSender;
  readonly #receiver: SnapshotReceiver;
  readonly #startedAt: number;
  readonly #loopLag = new Recent();
  #inbox: Arrived[] = [];
  #inboxBytes = 0;
  #scheduled = false;
  #stopping = false;
  #stopped = false;
  #appliedIndex: number;
  /** The term in which this server serves clients, 0 while it does not. */
  #servingTerm = 0;
  #lastWrite: WriteNumber = 0;
  /** Writes that carried a hard state, so that a completed write says which term is durable. */
  #writtenTerms: { readonly write: WriteNumber; readonly term: number }[] = [];
  #tickTimer: Timer | null = null;
  #tickAt = Number.POSITIVE_INFINITY;
  #houseTimer: Timer | null = null;
  #joinAt = 0;
  #savingSnapshot = false;
  #nextConfirmation = 1;
  readonly #confirmations = new Map<number, (index: number | null) => void>();
  #whenReady: (() => void)[] = [];
  #leaderChanges = 0;
  #lastLeader: string | null = null;

  constructor(options: ServerOptions) {
    this.#options = options;
    const { storage, clock, endpoint, node, entropy } = options;
    this.#startedAt = clock.now();
    const { recovered } = storage;
    this.#self = { node, storageId: recovered.storageId };
    this.#machine = this.#recoveredMachine();
    this.#appliedIndex = recovered.snapshot?.index ?? 0;
    this.#raft = new Raft({
      self: this.#self,
      configuration: this.#snapshotConfiguration(),
      hardState: options.founding === null ? recovered.hardState : FOUNDING_STATE,
      snapshotIndex: recovered.snapshot?.index ?? 0,
      snapshotTerm: recovered.snapshot?.term ?? 0,
      entries: options.founding === null ? recovered.entries : [options.founding],
      entropy,
      timing: timingFor({ roundTripMs: 0, loopLagMs: 0, syncP99Ms: 0 }),
      now: clock.now(),
    });
    this.#peers = new Peers({
      self: node,
      endpoint,
      clock,
      counters: this.counters,
      configuration: () => this.#raft.configuration,
    });
    this.#policy = new Policy({
      self: this.#self,
      raft: this.#raft,
      storage,
      clock,
      logger: options.logger,
      ...(options.stallLimitMs === undefined ? {} : { stallLimitMs: options.stallLimitMs }),
    });
    this.#membership = new Membership({
      self: node,
      raft: this.#raft,
      policy: this.#policy,
      clock,
      logger: options.logger,
    });
    const transfer = {
      self: this.#self,
      storage,
      clock,
      logger: options.logger,
      send: (to: string, message: Uint8Array) => this.#peers.send(to, message),
    };
    this.#sender = new SnapshotSender({
      ...transfer,
      term: () => this.#raft.term,
      take: () => this.#payload(),
      finished: (member, index) => this.#raft.snapshotFinished(member, index),
    });
    this.#receiver = new SnapshotReceiver({ ...transfer, install: (payload) => this.#install(payload) });
    this.#held = new HeldMessages((message) => this.#peers.sendRaft(message));
    this.#keeper = new LeaseKeeper({
      machine: () => this.#machine,
      memory: this.#memory,
      clock,
      propose: (command) => {
        const proposed = this.#propose(command, false);
        return 'refused' in proposed ? null : proposed.index;
      },
      term: () => this.#raft.term,
    });
    this.#reads = new Reads({
      machine: () => this.#machine,
      storage,
      leases: this.#keeper.leases,
      clock,
      counters: this.counters,
      logger: options.logger,
      confirm: (done) => this.#confirm(done),
      appliedIndex: () => this.#appliedIndex,
    });
    this.#service = this.#clientService();
    storage.onDurable((durable) => this.#onDurable(durable));
    storage.onFatal((error) => options.onFatal(error));
    endpoint.onMessage((remote, message) => this.#onMessage(remote, message));
  }

  #recoveredMachine(): Machine {
    const { snapshot } = this.#options.storage.recovered;
    if (snapshot === null) return new Machine();
    const decoded = decodeMachine(snapshot.machine);
    assert(decoded.ok, `the snapshot at ${snapshot.index} cannot be read`);
    return Machine.fromImage(decoded.value);
  }

  #snapshotConfiguration(): Configuration {
    const { storage, clusterName, clusterId } = this.#options;
    const { snapshot } = storage.recovered;
    if (snapshot === null) return { clusterId, clusterName, members: [] };
    const decoded = decodeConfiguration(snapshot.configuration);
    assert(decoded.ok, `the configuration of the snapshot at ${snapshot.index} cannot be read`);
    return decoded.value;
  }

  #clientService(): ClientService {
    const { node, clock, endpoint } = this.#options;
    return new ClientService({
      node,
      machine: () => this.#machine,
      memory: this.#memory,
      keeper: this.#keeper,
      reads: this.#reads,
      counters: this.counters,
      clock,
      send: (to, message) => {
        if (!endpoint.reply(to, message)) this.counters.add('dropped.reply');
      },
      propose: (command, growing) => this.#propose(command, growing),
      confirm: (done) => this.#confirm(done),
      membership: (request, done) => this.#membership.request(request, done),
      status: () => this.status(),
      positions: () => ({ lastIndex: this.#raft.log.lastIndex, appliedIndex: this.#appliedIndex }),
      leadership: () => this.#leadership(),
    });
  }

  #leadership(): { readonly serving: boolean; readonly leader: string; readonly reason: Reason } {
    const leaderNode = this.#raft.leader;
    const serving = this.#keeper.serving && !this.#stopping && !this.#raft.transferring;
    if (serving) return { serving, leader: '', reason: 'none' };
    const elsewhere = leaderNode !== null && leaderNode !== this.#self.node;
    const leader = elsewhere ? (findMember(this.#raft.configuration, leaderNode)?.address ?? '') : '';
    const reason = elsewhere ? 'not-leader' : this.#stopping ? 'shutting-down' : 'no-leader';
    return { serving, leader, reason };
  }

  get configuration(): Configuration {
    return this.#raft.configuration;
  }

  get role(): Raft['role'] {
    return this.#raft.role;
  }

  /** Begins to take part; resolves when this server serves, or knows who does. */
  start(): Promise<void> {
    const ready = new Promise<void>((resolve) => this.#whenReady.push(resolve));
    this.#housekeeping();
    this.#schedule();
    return ready;
  }

  // --- arrivals and turns --------------------------------------------------------------------------------------------

  #onMessage(remote: Remote, message: Uint8Array): void {
    if (this.#stopped) return;
    if (this.#inbox.length >= INBOX_MESSAGES_MAX || this.#inboxBytes + message.length > INBOX_BYTES_MAX) {
      this.counters.add('dropped.inbox-full');
      return;
    }
    this.#inbox.push({ remote, message });
    this.#inboxBytes += message.length;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    this.#options.clock.soon(() => {
      this.#scheduled = false;
      if (!this.#stopped) this.#turn();
    });
  }

  /** One turn of the loop: drain, step, persist, send, apply. */
  #turn(): void {
    const arrived = this.#inbox.slice(0, MESSAGES_A_TURN);
    this.#inbox = this.#inbox.slice(MESSAGES_A_TURN);
    for (const { remote, message } of arrived) {
      this.#inboxBytes -= message.length;
      this.#receive(remote, message);
    }
    this.#pump();
    if (this.#inbox.length > 0) this.#schedule();
    this.#snapshotIfDue();
  }

  #receive(remote: Remote, message: Uint8Array): void {
    const family = message[0];
    if (family === MESSAGE_FAMILIES.clientRequest) return this.#service.receive(remote, message);
    if (remote.keyClass !== 'peer' && remote.keyClass !== 'insecure') {
      this.counters.add('refused.not-a-peer');
      return;
    }
    if (family === MESSAGE_FAMILIES.raft) return this.#receiveRaft(remote, message);
    if (family === MESSAGE_FAMILIES.peer) return this.#receivePeer(remote, message);
    this.counters.add('malformed');
  }

  #receiveRaft(remote: Remote, message: Uint8Array): void {
    const decoded = decodeRaftMessage(message);
    if (!decoded.ok) return this.counters.add('malformed');
    const { from, body } = decoded.value;
    this.#peers.heard(from.node, remote);
    // While the state is being replaced nothing may be appended behind it; the leader sends again.
    if (body.type === 'append' && this.#receiver.installing) return;
    this.#raft.step(decoded.value, this.#options.clock.now());
  }

  #receivePeer(remote: Remote, message: Uint8Array): void {
    const decoded = decodePeerMessage(message);
    if (!decoded.ok) return this.counters.add('malformed');
    const { clusterName, clusterId, endpoint, clock } = this.#options;
    const { value } = decoded;
    switch (value.type) {
      case 'who': {
        const am = { type: 'am', from: this.#self, clusterName, clusterId, peers: [] } as const;
        endpoint.reply(remote, encodePeerMessage(am));
        return;
      }
      case 'join':
        this.#policy.joinAsked({ ...value.from, address: value.address, heardAt: clock.now() });
        return;
      case 'snapshot-offer':
        // Only this term's leader has anything to offer.
        if (value.term === this.#raft.term && value.from.node === this.#raft.leader)
          this.#receiver.receive(value);
        return;
      case 'snapshot-part':
      case 'records-part':
        return this.#receiver.receive(value);
      case 'snapshot-fetch':
      case 'records-fetch':
      case 'snapshot-result':
        if (this.#raft.role === 'leader') this.#sender.receive(value);
        return;
      default:
        return;
    }
  }

  /** Does what Raft asks for until it asks for nothing more. */
  #pump(): void {
    if (this.#stopped) return;
    const { storage, clock } = this.#options;
    for (;;) {
      const ready = this.#raft.ready(clock.now());
      const { hardState, entries } = ready;
      if (hardState !== null || entries.length > 0) {
        this.#lastWrite = storage.write(hardState === null ? { entries } : { hardState, entries });
        if (hardState !== null) this.#writtenTerms.push({ write: this.#lastWrite, term: hardState.term });
      }
      for (const { message, followsWrite } of ready.messages) {
        this.#held.add(message, followsWrite ? this.#lastWrite : 0);
      }
      for (const entry of ready.committed) this.#apply(entry);
      for (const { id, index } of ready.confirmed) this.#settleConfirmation(id, index);
      for (const { id } of ready.abandoned) this.#settleConfirmation(id, null);
      for (const node of ready.snapshots) this.#sender.begin(node);
      this.#watchLeadership();
      if (isEmpty(ready)) break;
    }
    this.#scheduleTick();
  }

  #onDurable(durable: Durable): void {
    let term = 0;
    while (this.#writtenTerms.length > 0 && (this.#writtenTerms[0]?.write ?? 0) <= durable.write) {
      term = this.#writtenTerms.shift()?.term ?? 0;
    }
    this.#raft.persisted({ term, index: durable.index, entryTerm: durable.term }, this.#options.clock.now());
    this.#held.durable(durable.write);
    this.#pump();
    this.#snapshotIfDue();
  }

  // --- time ----------------------------------------------------------------------------------------------------------

  #scheduleTick(): void {
    const at = this.#raft.nextTickAt;
    if (this.#tickTimer !== null && Math.abs(at - this.#tickAt) < 1) return;
    const { clock } = this.#options;
    this.#tickTimer?.cancel();
    this.#tickAt = at;
    this.#tickTimer = clock.after(Math.max(1, at - clock.now()), () => {
      this.#tickTimer = null;
      const now = clock.now();
      this.#loopLag.add(Math.max(0, now - at));
      // One more turn first: heartbeats that have arrived while the loop was held up must not be missed.
      clock.soon(() => this.#tick());
    });
  }

  #tick(): void {
    if (this.#stopped) return;
    this.#turn();
    this.#raft.tick(this.#options.clock.now());
    this.#pump();
  }

  #housekeeping(): void {
    if (this.#stopped) return;
    const { clock, storage } = this.#options;
    const syncP99Ms = storage.syncP99Ms;
    const measured = { roundTripMs: this.#raft.roundTripMs, loopLagMs: this.#loopLag.p99, syncP99Ms };
    this.#raft.setTiming(timingFor(measured));
    this.#policy.reportDisk(syncP99Ms, !this.#receiver.installing);
    this.#policy.lead();
    this.#sender.tick();
    this.#receiver.tick();
    this.#membership.tick();
    this.#peers.suspectSilent();
    this.#askToJoin();
    this.#pump();
    this.#houseTimer = clock.after(HOUSEKEEPING_MS, () => this.#housekeeping());
  }

  #askToJoin(): void {
    const { clock, endpoint, contacts, address } = this.#options;
    const now = clock.now();
    const member = findMember(this.#raft.configuration, this.#self.node);
    if (member?.storageId === this.#self.storageId || now < this.#joinAt || this.#stopping) return;
    this.#joinAt = now + JOIN_EVERY_MS;
    const join = encodePeerMessage({ type: 'join', from: this.#self, address });
    const members = this.#raft.configuration.members.map((one) => one.address);
    for (const contact of new Set([...contacts, ...members])) {
      if (contact !== address) endpoint.send(contact, join);
    }
    if (this.#raft.leader !== null) this.#peers.send(this.#raft.leader, join);
  }

  // --- proposals, reads and what is applied --------------------------------------------------------------------------

  #propose(command: Command, growing: boolean): { readonly index: number } | { readonly refused: Reason } {
    const { storage } = this.#options;
    const space = this.#policy.majorityHasRoom() ? storage.space : 'low';
    const { unpersistedBytes } = storage;
    const refused = admit(growing, { space, unpersistedBytes, stopping: this.#stopping });
    if (refused !== null) return { refused };
    const index = this.#raft.propose('command', encodeCommand(command));
    if (typeof index !== 'number') return { refused: 'not-leader' };
    this.#schedule();
    return { index };
  }

  /** Calls back with the index that a linearizable read must see applied, or null if this server leads no more. */
  #confirm(done: (index: number | null) => void): void {
    const id = this.#nextConfirmation++;
    if (!this.#raft.confirm(id)) return done(null);
    this.#confirmations.set(id, done);
    this.#schedule();
  }

  #settleConfirmation(id: number, index: number | null): void {
    const done = this.#confirmations.get(id);
    this.#confirmations.delete(id);
    done?.(index);
  }

  #apply(entry: LogEntry): void {
    assert(
      entry.index === this.#appliedIndex + 1,
      `entry ${entry.index} does not follow ${this.#appliedIndex}`,
    );
    if (entry.type !== 'command') {
      this.#appliedIndex = entry.index;
      this.#reads.applied(null);
      if (entry.type === 'no-op' && entry.term === this.#raft.term && this.#raft.role === 'leader')
        this.#startServing();
      return;
    }
    const decoded = decodeCommand(entry.data);
    assert(decoded.ok, `entry ${entry.index} cannot be read`);
    const command = decoded.value;
    const effects = this.#machine.apply({ index: entry.index, term: entry.term, command });
    this.#appliedIndex = entry.index;
    this.#options.storage.applyFiles(effects.files);
    if (this.#servingTerm !== 0) {
      this.#service.applied(entry.index, command, effects);
      this.#keeper.applied(effects);
    }
    this.#reads.applied(effects);
  }

  #startServing(): void {
    this.#servingTerm = this.#raft.term;
    this.#keeper.startServing();
    this.#options.logger.log('info', 'serving', { term: this.#raft.term, index: this.#appliedIndex });
    if (this.#machine.index === 0) {
      this.#raft.propose('command', encodeCommand({ type: 'bootstrap', files: this.#options.files }));
    }
  }

  /** Leadership comes and goes with Raft; what hangs on it follows here. */
  #watchLeadership(): void {
    const { leader } = this.#raft;
    if (this.#servingTerm !== 0 && (this.#raft.role !== 'leader' || this.#raft.term !== this.#servingTerm)) {
      this.#options.logger.log('info', 'no longer the leader', { term: this.#raft.term, leader });
      this.#servingTerm = 0;
      this.#keeper.stopServing();
      this.#reads.stopServing();
      this.#service.stopServing();
      this.#membership.stopServing();
      this.#sender.clear();
      this.#memory.restart(this.#options.clock.now());
    }
    if (leader !== null && leader !== this.#lastLeader) {
      this.#leaderChanges += 1;
      this.#options.logger.log('info', `the leader is ${leader}`, { term: this.#raft.term });
      this.#lastLeader = leader;
    }
    const follows = leader !== null && leader !== this.#self.node;
    if (this.#machine.index > 0 && (follows || this.#servingTerm !== 0)) {
      for (const resolve of this.#whenReady.splice(0)) resolve();
    }
  }

  // --- snapshots -----------------------------------------------------------------------------------------------------

  #snapshotIfDue(): void {
    const { storage } = this.#options;
    // What is not durable here may not be in a snapshot, however many others have it.
    const index = Math.min(this.#appliedIndex, this.#raft.durableIndex);
    const entries = index - this.#raft.log.snapshotIndex;
    const due = storage.logBytes >= SNAPSHOT_AFTER_BYTES || entries >= SNAPSHOT_AFTER_ENTRIES;
    if (!due || this.#savingSnapshot || this.#stopping || entries <= 0) return;
    // The machine is at appliedIndex; until that is durable too, there is no snapshot to take.
    if (index < this.#appliedIndex || !this.#filesAre(this.#machine.logsAfter('', LOGS_MAX).logs)) return;
    this.#savingSnapshot = true;
    this.snapshot()
      .catch((error: unknown) =>
        this.#options.onFatal(error instanceof Error ? error : new Error(String(error))),
      )
      .finally(() => {
        this.#savingSnapshot = false;
      });
  }

  /** What is applied now, for the disk or for a follower. */
  #payload(): SnapshotPayload {
    const index = this.#appliedIndex;
    const term = this.#raft.log.term(index);
    assert(term !== null, `the log has no entry ${index}`);
    return {
      index,
      term,
      configuration: encodeConfiguration(this.#raft.log.configurationAt(index)),
      machine: encodeMachine(this.#machine.image()),
      logs: this.#machine.logsAfter('', LOGS_MAX).logs,
    };
  }

  /** Takes a snapshot of what is applied now; false if the disk had no room for it. */
  async snapshot(): Promise<boolean> {
    const payload = this.#payload();
    const saved = await this.#options.storage.saveSnapshot(payload);
    if (saved && !this.#stopped) this.#raft.compact(payload.index);
    return saved;
  }

  /** Puts a snapshot of the leader's in the place of everything here; its records are in the files already. */
  async #install(payload: SnapshotPayload): Promise<boolean> {
    if (this.#raft.role === 'leader' || payload.index <= this.#appliedIndex || this.#savingSnapshot)
      return false;
    if (!this.#filesAre(payload.logs)) return false;
    const configuration = decodeConfiguration(payload.configuration);
    const machine = decodeMachine(payload.machine);
    assert(configuration.ok && machine.ok, `the leader's snapshot at ${payload.index} cannot be read`);
    this.#savingSnapshot = true;
    // Not while the log is being replaced: a leader without its log would be one that forgot.
    this.#policy.reportDisk(this.#options.storage.syncP99Ms, false);
    try {
      const saved = await this.#options.storage.saveSnapshot(payload);
      if (!saved || this.#stopped) return false;
    } finally {
      this.#savingSnapshot = false;
    }
    this.#machine = Machine.fromImage(machine.value);
    this.#appliedIndex = payload.index;
    this.#raft.install({ index: payload.index, term: payload.term, configuration: configuration.value });
    this.#pump();
    return true;
  }

  /** Whether the files are exactly as a manifest has them: not so while a broken-off fetch has left them ahead. */
  #filesAre(logs: readonly LogInfo[]): boolean {
    const { storage } = this.#options;
    if (storage.fileStates().length !== logs.length) return false;
    return logs.every((log) => {
      const state = storage.fileState(log.id);
      return state?.start === log.start && state.count === log.count && state.chain === log.chain;
    });
  }

  // --- status and end ------------------------------------------------------------------------------------------------

  status(): ReturnType<typeof buildStatus> {
    const { storage, endpoint, node, version, insecure, clock, address } = this.#options;
    return buildStatus({
      node,
      address,
      version,
      insecure,
      uptimeMs: clock.now() - this.#startedAt,
      now: clock.now(),
      raft: this.#raft,
      appliedIndex: this.#appliedIndex,
      machine: this.#machine,
      storage,
      endpoint,
      counters: this.counters,
      parkedReads: this.#reads.parkedCount,
      leases: this.#keeper.leases.size,
      leaderChanges: this.#leaderChanges,
      stopping: this.#stopping,
    });
  }

  /** Hands leadership over, lets what is under way become durable, and seals the log. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    await this.#handOver();
    this.#stopping = true;
    this.#pump();
    this.#keeper.stopServing();
    this.#reads.stopServing();
    this.#tickTimer?.cancel();
    this.#houseTimer?.cancel();
    // From here on nothing is stepped or written; acknowledgements of what becomes durable still leave.
    this.#stopped = true;
    await this.#options.storage.close();
    await this.#options.endpoint.close();
  }

  /** A leader that is told to stop first sees another one lead (dissertation §3.10). */
  async #handOver(): Promise<void> {
    const { clock } = this.#options;
    const until = clock.now() + HANDOVER_MS_MAX;
    while (this.#raft.role === 'leader' && clock.now() < until) {
      const successor = this.#policy.bestSuccessor({ needsRoom: false });
      if (successor === null) return;
      if (!this.#raft.transferring) this.#raft.transferTo(successor, clock.now(), { atOnce: false });
      this.#pump();
      await new Promise<void>((resolve) => clock.after(10, resolve));
    }
  }
}

function isEmpty(ready: ReturnType<Raft['ready']>): boolean {
  const parts = [ready.entries, ready.messages, ready.committed, ready.confirmed, ready.abandoned];
  return ready.hardState === null && parts.every((part) => part.length === 0);
}
