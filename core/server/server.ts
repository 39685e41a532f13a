/**
 * The server: one loop that drains what has arrived, steps Raft, persists, applies and answers, each at its own pace.
 *
 * A request's way: datagram → inbox → session table → log entry → disk → state machine → answer. Nothing here waits: the
 * disk says when a write is durable, the network when a message has come, the clock when a time is over.
 *
 * Invariants: an entry is applied once, in order, and only when it is committed; an answer leaves only after its entry was
 * applied; a snapshot never passes what is applied and durable here.
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
import type { Clock, Logger } from '../base/ports.ts';
import { type Configuration, decodeConfiguration, encodeConfiguration } from '../raft/configuration.ts';
import { Raft } from '../raft/raft.ts';
import type { LogEntry } from '../raft/types.ts';
import type { Command } from '../state-machine/commands.ts';
import { Machine } from '../state-machine/machine.ts';
import type { Durable, Storage } from '../storage/interface.ts';
import type { Endpoint, Remote } from '../transport/interface.ts';
import { decodeCommand, encodeCommand } from '../wire/command-codec.ts';
import { decodeMachine, encodeMachine } from '../wire/snapshot-codec.ts';
import { admit } from './admission.ts';
import { ClientService } from './client-service.ts';
import { Counters } from './counters.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { Reads } from './reads.ts';
import { SessionMemory } from './session-memory.ts';
import { buildStatus } from './status.ts';

/** Messages handled before the loop lets others have a turn. */
const MESSAGES_A_TURN = 512;

export interface ServerOptions {
  readonly node: string;
  /** Where clients and peers reach this server. */
  readonly address: string;
  readonly version: string;
  readonly clusterName: string;
  /** Of the cluster that is formed, where the directory is new; 32 hexadecimal digits. */
  readonly newClusterId: string;
  readonly files: number;
  readonly insecure: boolean;
  readonly storage: Storage;
  readonly endpoint: Endpoint;
  readonly clock: Clock;
  readonly logger: Logger;
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

interface Arrived {
  readonly remote: Remote;
  readonly message: Uint8Array;
}

export class Server {
  readonly counters = new Counters();
  readonly #options: ServerOptions;
  readonly #machine: Machine;
  readonly #memory = new SessionMemory();
  readonly #keeper: LeaseKeeper;
  readonly #reads: Reads;
  readonly #service: ClientService;
  readonly #raft: Raft;
  readonly #startedAt: number;
  #inbox: Arrived[] = [];
  #inboxBytes = 0;
  #scheduled = false;
  #stopping = false;
  #stopped = false;
  #appliedIndex: number;
  /** Terms of the writes that carried a hard state, so that a completed write says which term is durable. */
  #writtenTerms: { readonly write: number; readonly term: number }[] = [];
  #savingSnapshot = false;
  #whenReady: (() => void)[] = [];

  constructor(options: ServerOptions) {
    this.#options = options;
    const { storage, clock } = options;
    this.#startedAt = clock.now();
    const { snapshot } = storage.recovered;
    this.#machine = this.#recoveredMachine();
    this.#appliedIndex = snapshot?.index ?? 0;
    this.#raft = this.#recoveredRaft();
    this.#keeper = new LeaseKeeper({
      machine: this.#machine,
      memory: this.#memory,
      clock,
      propose: (command) => {
        const proposed = this.#propose(command, false);
        return 'refused' in proposed ? null : proposed.index;
      },
      term: () => this.#raft.term,
    });
    this.#reads = new Reads({
      machine: this.#machine,
      storage,
      leases: this.#keeper.leases,
      clock,
      counters: this.counters,
      logger: options.logger,
      readIndex: () => this.#raft.readIndex(),
      appliedIndex: () => this.#appliedIndex,
    });
    this.#service = this.#clientService();
    storage.onDurable((durable) => this.#onDurable(durable));
    storage.onFatal((error) => options.onFatal(error));
    options.endpoint.onMessage((remote, message) => this.#onMessage(remote, message));
  }

  #recoveredMachine(): Machine {
    const { snapshot } = this.#options.storage.recovered;
    if (snapshot === null) return new Machine();
    const decoded = decodeMachine(snapshot.machine);
    assert(decoded.ok, `the snapshot at ${snapshot.index} cannot be read`);
    return Machine.fromImage(decoded.value);
  }

  #recoveredRaft(): Raft {
    const { storage, node, address, clusterName, newClusterId } = this.#options;
    const { recovered } = storage;
    const self = { node, storageId: recovered.storageId };
    const stored = storedConfiguration(storage);
    if (stored !== null) {
      return new Raft({
        self,
        configuration: stored,
        hardState: recovered.hardState,
        snapshotIndex: recovered.snapshot?.index ?? 0,
        snapshotTerm: recovered.snapshot?.term ?? 0,
        entries: recovered.entries,
      });
    }
    // A new cluster: its configuration is entry 1 of term 1, in which nobody can have voted yet.
    const configuration: Configuration = {
      clusterId: newClusterId,
      clusterName,
      voters: [{ ...self, address }],
    };
    const first: LogEntry = {
      index: 1,
      term: 1,
      type: 'configuration',
      data: encodeConfiguration(configuration),
    };
    const hardState = { term: 1, votedFor: null };
    storage.write({ hardState, entries: [first] });
    return new Raft({ self, configuration, hardState, snapshotIndex: 0, snapshotTerm: 0, entries: [first] });
  }

  #clientService(): ClientService {
    const { node, clock, endpoint } = this.#options;
    return new ClientService({
      node,
      machine: this.#machine,
      memory: this.#memory,
      keeper: this.#keeper,
      reads: this.#reads,
      counters: this.counters,
      clock,
      send: (to, message) => {
        if (!endpoint.reply(to, message)) this.counters.add('dropped.reply');
      },
      propose: (command, growing) => this.#propose(command, growing),
      status: () => this.status(),
      positions: () => ({ lastIndex: this.#raft.log.lastIndex, appliedIndex: this.#appliedIndex }),
      leadership: () => ({
        serving: this.#keeper.serving && !this.#stopping,
        leader: '',
        reason: this.#stopping ? 'shutting-down' : 'no-leader',
      }),
    });
  }

  get configuration(): Configuration {
    return this.#raft.configuration;
  }

  /** Campaigns; resolves when this server serves clients. */
  start(): Promise<void> {
    const ready = new Promise<void>((resolve) => this.#whenReady.push(resolve));
    this.#raft.campaign();
    this.#schedule();
    return ready;
  }

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

  /** One turn of the loop: drain, step, persist, apply. */
  #turn(): void {
    const arrived = this.#inbox.slice(0, MESSAGES_A_TURN);
    this.#inbox = this.#inbox.slice(MESSAGES_A_TURN);
    for (const { remote, message } of arrived) {
      this.#inboxBytes -= message.length;
      this.#service.receive(remote, message);
    }
    this.#pump();
    if (this.#inbox.length > 0) this.#schedule();
    this.#snapshotIfDue();
  }

  /** Does what Raft asks for until it asks for nothing more. */
  #pump(): void {
    while (this.#raft.hasReady()) {
      const ready = this.#raft.ready();
      if (ready.hardState !== null || ready.entries.length > 0) {
        const { hardState, entries } = ready;
        const write = this.#options.storage.write(hardState === null ? { entries } : { hardState, entries });
        if (hardState !== null) this.#writtenTerms.push({ write, term: hardState.term });
      }
      for (const entry of ready.committed) this.#apply(entry);
    }
  }

  #onDurable(durable: Durable): void {
    let term = 0;
    while (this.#writtenTerms.length > 0 && (this.#writtenTerms[0]?.write ?? 0) <= durable.write) {
      term = this.#writtenTerms.shift()?.term ?? 0;
    }
    this.#raft.persisted({ term, index: durable.index, entryTerm: durable.term });
    this.#pump();
    this.#snapshotIfDue();
  }

  #propose(command: Command, growing: boolean): { readonly index: number } | { readonly refused: Reason } {
    if (this.#raft.role !== 'leader') return { refused: 'not-leader' };
    const { storage } = this.#options;
    const { space, unpersistedBytes } = storage;
    const refused = admit(growing, { space, unpersistedBytes, stopping: this.#stopping });
    if (refused !== null) return { refused };
    const index = this.#raft.propose('command', encodeCommand(command));
    this.#schedule();
    return { index };
  }

  #apply(entry: LogEntry): void {
    assert(
      entry.index === this.#appliedIndex + 1,
      `entry ${entry.index} does not follow ${this.#appliedIndex}`,
    );
    if (entry.type !== 'command') {
      this.#appliedIndex = entry.index;
      this.#reads.applied(null);
      if (entry.type === 'no-op' && entry.term === this.#raft.term) this.#startServing();
      return;
    }
    const decoded = decodeCommand(entry.data);
    assert(decoded.ok, `entry ${entry.index} cannot be read`);
    const command = decoded.value;
    const effects = this.#machine.apply({ index: entry.index, term: entry.term, command });
    this.#appliedIndex = entry.index;
    this.#options.storage.applyFiles(effects.files);
    if (this.#keeper.serving) {
      this.#service.applied(entry.index, command, effects);
      this.#keeper.applied(effects);
    }
    this.#reads.applied(effects);
    if (command.type === 'bootstrap') this.#ready();
  }

  #startServing(): void {
    this.#keeper.startServing();
    this.#options.logger.log('info', 'serving', { term: this.#raft.term, index: this.#appliedIndex });
    if (this.#machine.index > 0) this.#ready();
    else this.#raft.propose('command', encodeCommand({ type: 'bootstrap', files: this.#options.files }));
  }

  #ready(): void {
    for (const resolve of this.#whenReady.splice(0)) resolve();
  }

  #snapshotIfDue(): void {
    const { storage } = this.#options;
    const entries = this.#appliedIndex - this.#raft.log.snapshotIndex;
    const due = storage.logBytes >= SNAPSHOT_AFTER_BYTES || entries >= SNAPSHOT_AFTER_ENTRIES;
    if (!due || this.#savingSnapshot || this.#stopping) return;
    if (this.#appliedIndex <= this.#raft.log.snapshotIndex) return;
    this.#savingSnapshot = true;
    this.snapshot()
      .catch((error: unknown) =>
        this.#options.onFatal(error instanceof Error ? error : new Error(String(error))),
      )
      .finally(() => {
        this.#savingSnapshot = false;
      });
  }

  /** Takes a snapshot of what is applied now; false if the disk had no room for it. */
  async snapshot(): Promise<boolean> {
    const index = this.#appliedIndex;
    const term = this.#raft.log.term(index);
    assert(term !== null, `the log has no entry ${index}`);
    const saved = await this.#options.storage.saveSnapshot({
      index,
      term,
      configuration: encodeConfiguration(this.#raft.configuration),
      machine: encodeMachine(this.#machine.image()),
      logs: this.#machine.logsAfter('', LOGS_MAX).logs,
    });
    if (saved && !this.#stopped) this.#raft.compact(index);
    return saved;
  }

  status(): ReturnType<typeof buildStatus> {
    const { storage, endpoint, node, version, insecure, clock } = this.#options;
    return buildStatus({
      node,
      version,
      insecure,
      uptimeMs: clock.now() - this.#startedAt,
      raft: this.#raft,
      appliedIndex: this.#appliedIndex,
      machine: this.#machine,
      storage,
      endpoint,
      counters: this.counters,
      parkedReads: this.#reads.parkedCount,
      leases: this.#keeper.leases.size,
      stopping: this.#stopping,
    });
  }

  /** Takes no more work, lets what is under way become durable, and seals the log. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#pump();
    this.#keeper.stopServing();
    this.#reads.stopServing();
    this.#service.stopServing();
    await this.#options.storage.close();
    this.#stopped = true;
    await this.#options.endpoint.close();
  }
}
