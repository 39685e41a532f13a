/**
 * The Raft state machine (Ongaro's dissertation, chapter 3), without any input or output: proposals, ticks and news of
 * completed writes go in; `ready()` says what to persist and what to apply.
 *
 * This is Raft with a single voter: every rule is the general one (a vote counts when it is durable, an entry is
 * committed when a majority has it durably and it is of the leader's own term), taken over a majority of one.
 *
 * Invariants, asserted where they could break: the term never falls; one vote a term; a leader never replaces an entry;
 * commitIndex never falls and never passes what is durable here.
 */

import { assert } from '../base/assert.ts';
import type { Configuration, Member } from './configuration.ts';
import { RaftLog } from './log.ts';
import { quorumIndex } from './quorum.ts';
import type { EntryType, HardState, LogEntry } from './types.ts';

export type Role = 'follower' | 'candidate' | 'leader';

export interface RaftStart {
  readonly self: Pick<Member, 'node' | 'storageId'>;
  readonly configuration: Configuration;
  readonly hardState: HardState;
  readonly snapshotIndex: number;
  readonly snapshotTerm: number;
  /** Recovered, and therefore durable. */
  readonly entries: readonly LogEntry[];
}

/** What the server does next, in this order: persist (in one write), then apply. */
export interface Ready {
  readonly hardState: HardState | null;
  readonly entries: readonly LogEntry[];
  readonly committed: readonly LogEntry[];
}

/** Tells what became durable: the hard state of `term`, and the log up to `index`, whose entry had `entryTerm`. */
export interface Persisted {
  readonly term: number;
  readonly index: number;
  readonly entryTerm: number;
}

export class Raft {
  readonly log: RaftLog;
  readonly configuration: Configuration;
  readonly #self: Pick<Member, 'node' | 'storageId'>;
  #role: Role = 'follower';
  #term: number;
  #votedFor: string | null;
  #durableTerm: number;
  #durableIndex: number;
  #commitIndex: number;
  /** The next entry that `ready` hands out for persisting, and for applying. */
  #persistFrom: number;
  #applyFrom: number;
  #hardStateChanged = false;
  /** The first index of the leader's own term: nothing is served before it is committed (Raft §8). */
  #ownTermFrom = 0;

  constructor(start: RaftStart) {
    this.log = new RaftLog(start);
    this.configuration = start.configuration;
    this.#self = start.self;
    this.#term = start.hardState.term;
    this.#votedFor = start.hardState.votedFor;
    this.#durableTerm = this.#term;
    this.#durableIndex = this.log.lastIndex;
    this.#commitIndex = start.snapshotIndex;
    this.#persistFrom = this.log.lastIndex + 1;
    this.#applyFrom = start.snapshotIndex + 1;
    assert(
      this.#term >= this.log.lastTerm,
      `hard state of term ${this.#term} is older than the log's ${this.log.lastTerm}`,
    );
    assert(start.configuration.voters.length === 1, `${start.configuration.voters.length} voters`);
  }

  get role(): Role {
    return this.#role;
  }

  get term(): number {
    return this.#term;
  }

  get commitIndex(): number {
    return this.#commitIndex;
  }

  get durableIndex(): number {
    return this.#durableIndex;
  }

  /** The leader's node, or null while there is none. */
  get leader(): string | null {
    return this.#role === 'leader' ? this.#self.node : null;
  }

  /** True for a leader that has committed an entry of its own term: only then may it serve reads and renewals. */
  get serving(): boolean {
    return this.#role === 'leader' && this.#commitIndex >= this.#ownTermFrom;
  }

  #isVoter(): boolean {
    return this.configuration.voters.some(
      (voter) => voter.node === this.#self.node && voter.storageId === this.#self.storageId,
    );
  }

  /** Starts an election (Raft §5.2): a new term, and a vote for itself that counts once it is durable. */
  campaign(): void {
    assert(this.#role !== 'leader', 'a leader does not campaign');
    assert(this.#isVoter(), `${this.#self.node} with storage ${this.#self.storageId} is not a voter`);
    this.#role = 'candidate';
    this.#term += 1;
    this.#votedFor = this.#self.node;
    this.#hardStateChanged = true;
  }

  /** Appends an entry of this term; only a leader may. Returns its index. */
  propose(type: EntryType, data: Uint8Array): number {
    assert(this.#role === 'leader', `cannot propose as ${this.#role}`);
    const index = this.log.lastIndex + 1;
    this.log.append({ index, term: this.#term, type, data });
    return index;
  }

  /**
   * The index that a linearizable read must see applied (ReadIndex, dissertation §6.4), or null if this server may not
   * serve one now. With one voter the confirming round is a majority of one and is over at once.
   */
  readIndex(): number | null {
    return this.serving ? this.#commitIndex : null;
  }

  /** Whether `ready` has anything to say. */
  hasReady(): boolean {
    return (
      this.#hardStateChanged ||
      this.#persistFrom <= this.log.lastIndex ||
      this.#applyFrom <= this.#commitIndex
    );
  }

  /** Takes what is to be done. Each entry is handed out for persisting once and for applying once. */
  ready(): Ready {
    const lastIndex = this.log.lastIndex;
    const entries = this.#persistFrom <= lastIndex ? this.log.slice(this.#persistFrom, lastIndex + 1) : [];
    const committed =
      this.#applyFrom <= this.#commitIndex ? this.log.slice(this.#applyFrom, this.#commitIndex + 1) : [];
    const hardState = this.#hardStateChanged ? { term: this.#term, votedFor: this.#votedFor } : null;
    this.#persistFrom = lastIndex + 1;
    this.#applyFrom = this.#commitIndex + 1;
    this.#hardStateChanged = false;
    return { hardState, entries, committed };
  }

  /** News of a completed write. An index whose entry has another term by now is ignored: that entry was overwritten. */
  persisted(news: Persisted): void {
    this.#durableTerm = Math.max(this.#durableTerm, news.term);
    if (news.index > this.#durableIndex && this.log.term(news.index) === news.entryTerm) {
      this.#durableIndex = news.index;
    }
    if (this.#role === 'candidate' && this.#durableTerm === this.#term) this.#becomeLeader();
    if (this.#role === 'leader') this.#advanceCommit();
  }

  #becomeLeader(): void {
    this.#role = 'leader';
    this.#ownTermFrom = this.log.lastIndex + 1;
    // A leader commits nothing of older terms by counting; an entry of its own carries them along (Raft §5.4.2).
    this.propose('no-op', new Uint8Array());
  }

  #advanceCommit(): void {
    const index = quorumIndex([this.#durableIndex]);
    if (index > this.#commitIndex && this.log.term(index) === this.#term) this.#commitIndex = index;
    assert(
      this.#commitIndex <= this.#durableIndex,
      `committed ${this.#commitIndex}, durable ${this.#durableIndex}`,
    );
  }

  /** The durable snapshot stands for everything up to `index`. */
  compact(index: number): void {
    assert(index <= this.#durableIndex, `cannot compact to ${index}: durable is ${this.#durableIndex}`);
    assert(index < this.#applyFrom, `cannot compact to ${index}: applied is ${this.#applyFrom - 1}`);
    this.log.compact(index);
  }
}
