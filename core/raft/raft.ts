/**
 * The Raft state machine (Ongaro's dissertation, chapters 3, 4 and 6; pre-vote §9.6), without any input or output.
 *
 * Messages, proposals, ticks and news of completed writes go in; `ready()` says what to persist, which message must follow
 * that write and which need not, what to apply, and which reads are confirmed. Time comes in as milliseconds of one
 * monotonic clock; chance comes from a port.
 *
 * Invariants, asserted where they could break: the term never falls; one vote a term; a leader never replaces an entry; a
 * committed entry is never replaced; commitIndex never falls; an own entry counts for a majority only when it is durable;
 * votes, vote requests and acknowledgements follow the write that they tell of.
 */

import { assert, unreachable } from '../base/assert.ts';
import type { Entropy } from '../base/ports.ts';
import {
  type Configuration,
  changedMembers,
  encodeConfiguration,
  findMember,
  isVoter,
  type Member,
  votersOf,
} from './configuration.ts';
import type { Outgoing, Persisted, ProposeRefusal, RaftStart, Ready, Role, Timing } from './interface.ts';
import { FOLLOWS } from './interface.ts';
import { RaftLog } from './log.ts';
import type { DiskReport, RaftBody, RaftMessage } from './messages.ts';
import type { Progress } from './progress.ts';
import { majority, quorumIndex } from './quorum.ts';
import { type Confirmation, ReadIndex } from './read-index.ts';
import { Replication } from './replication.ts';
import { Stash } from './stash.ts';
import { type EntryType, type HardState, type ServerId, serverKey } from './types.ts';

interface Transfer {
  readonly node: string;
  readonly number: number;
  readonly startedAt: number;
  /** A leader whose own disk is the trouble does not wait until the other has all. */
  readonly atOnce: boolean;
  sent: boolean;
}

export class Raft {
  readonly log: RaftLog;
  readonly self: ServerId;
  readonly #entropy: Pick<Entropy, 'fraction'>;
  #timing: Timing;
  #role: Role = 'follower';
  #term: number;
  #votedFor: string | null;
  #leader: string | null = null;
  #leaderHeardAt = Number.NEGATIVE_INFINITY;
  #electionAt: number;
  /** The T that this term's leader works with, 0 while unknown. */
  #leaderTimeoutMs = 0;
  #votes = new Set<string>();

  #durableTerm: number;
  #durableIndex: number;
  #commitIndex: number;
  /** A follower's: up to where its log is known to agree with this term's leader. */
  #receivedIndex: number;
  readonly #stash = new Stash();
  #persistFrom: number;
  #applyFrom: number;
  #hardStateChanged = false;
  /** The commit index that the last write carried. */
  #writtenCommitIndex: number;

  readonly #followers: Replication;
  readonly #reads = new ReadIndex();
  #heartbeatAt = 0;
  #ownTermFrom = Number.POSITIVE_INFINITY;
  #transfer: Transfer | null = null;
  #transferNumber = 0;
  #disk: DiskReport = { roomy: true, stalledMs: 0, syncP99Ms: 0 };
  /** Past the stall limit: neither campaigns nor takes a transfer. */
  #mayCampaign = true;

  #messages: Outgoing[] = [];
  #confirmed: Confirmation[] = [];
  #abandoned: Confirmation[] = [];
  #snapshots: string[] = [];

  constructor(start: RaftStart) {
    this.log = new RaftLog(start);
    this.self = start.self;
    this.#followers = new Replication({
      log: this.log,
      self: this.self,
      send: (to, body) => this.#send(to, body, this.#term),
      commitIndex: () => this.#commitIndex,
      heartbeatMs: () => this.#timing.heartbeatMs,
    });
    this.#entropy = start.entropy;
    this.#timing = start.timing;
    this.#term = start.hardState.term;
    this.#votedFor = start.hardState.votedFor;
    this.#durableTerm = this.#term;
    this.#durableIndex = this.log.lastIndex;
    // Entries behind a torn tail that was cut may be missing, however many were known to be committed.
    this.#commitIndex = Math.max(
      start.snapshotIndex,
      Math.min(start.hardState.commitIndex, this.log.lastIndex),
    );
    this.#receivedIndex = this.#commitIndex;
    this.#writtenCommitIndex = this.#commitIndex;
    this.#persistFrom = this.log.lastIndex + 1;
    this.#applyFrom = start.snapshotIndex + 1;
    this.#electionAt = start.now;
    // A server alone waits for nobody.
    if (votersOf(this.log.configuration).length > 1 || !isVoter(this.log.configuration, this.self)) {
      this.#resetElection(start.now);
    }
    assert(
      this.#term >= this.log.lastTerm,
      `hard state of term ${this.#term}, log of term ${this.log.lastTerm}`,
    );
  }

  // --- questions -----------------------------------------------------------------------------------------------------

  /** A follower that may not vote is a learner. */
  get role(): Role {
    return this.#role === 'follower' && !isVoter(this.log.configuration, this.self) ? 'learner' : this.#role;
  }

  get term(): number {
    return this.#term;
  }

  get votedFor(): string | null {
    return this.#votedFor;
  }

  /** The node that leads this term, as far as is known here. */
  get leader(): string | null {
    return this.#leader;
  }

  get commitIndex(): number {
    return this.#commitIndex;
  }

  get durableIndex(): number {
    return this.#durableIndex;
  }

  get durableTerm(): number {
    return this.#durableTerm;
  }

  get configuration(): Configuration {
    return this.log.configuration;
  }

  /** True for a leader that has committed an entry of its own term: only then may it serve reads and renewals. */
  get serving(): boolean {
    return this.#role === 'leader' && this.#commitIndex >= this.#ownTermFrom;
  }

  get transferring(): boolean {
    return this.#transfer !== null;
  }

  /** A leader's view of a member, or null. */
  progress(node: string): Progress | null {
    return this.#followers.get(node);
  }

  /** When `tick` next has something to do. */
  get nextTickAt(): number {
    return this.#role === 'leader' ? this.#heartbeatAt : this.#electionAt;
  }

  /** The round trip within which a majority answers, as a leader measures it; 0 without news. */
  get roundTripMs(): number {
    const voters = votersOf(this.configuration);
    const trips = voters
      .map((voter) => this.#followers.get(voter.node)?.roundTripMs ?? 0)
      .sort((a, b) => a - b);
    return trips.length === 0 ? 0 : (trips[majority(trips.length) - 1] as number);
  }

  // --- settings ------------------------------------------------------------------------------------------------------

  setTiming(timing: Timing): void {
    this.#timing = timing;
  }

  /** What this server's own disk is like: reported to the leader, and whether it may campaign with it. */
  setDisk(disk: DiskReport, mayCampaign: boolean): void {
    this.#disk = disk;
    this.#mayCampaign = mayCampaign;
  }

  // --- proposals and reads -------------------------------------------------------------------------------------------

  /** Appends an entry of this term. Returns its index, or why not. */
  propose(type: 'command' | 'no-op', data: Uint8Array): number | ProposeRefusal {
    if (this.#role !== 'leader') return 'not-leader';
    if (this.#transfer !== null) return 'transferring';
    return this.#appendOwn(type, data);
  }

  /** Proposes a configuration that differs from the present one in one server (dissertation §4.1). */
  proposeConfiguration(next: Configuration): number | ProposeRefusal {
    if (this.#role !== 'leader') return 'not-leader';
    if (this.#transfer !== null) return 'transferring';
    // Before an entry of its own term is committed, an older configuration may be half-way to being committed elsewhere
    // (the correction to the dissertation's algorithm, raft-dev 2015).
    if (!this.serving) return 'not-serving';
    if (this.log.configurationIndex > this.#commitIndex) return 'change-under-way';
    if (changedMembers(this.configuration, next) !== 1 || votersOf(next).length === 0)
      return 'not-one-change';
    return this.#appendOwn('configuration', encodeConfiguration(next));
  }

  #appendOwn(type: EntryType, data: Uint8Array): number {
    const index = this.log.lastIndex + 1;
    this.log.append({ index, term: this.#term, type, data });
    return index;
  }

  /**
   * Asks for a confirmation that this server still leads, for a linearizable read or a renewal (dissertation §6.4); `id`
   * comes back in a Ready, confirmed or abandoned. False if this server may not serve now.
   */
  confirm(id: number): boolean {
    if (!this.serving) return false;
    this.#reads.add(id, this.#commitIndex);
    return true;
  }

  /**
   * Hands leadership to a voter (dissertation §3.10): no proposals from now on; the other campaigns once it has the whole
   * log, or at once. Returns why not, or null.
   */
  transferTo(
    node: string,
    now: number,
    options: { readonly atOnce: boolean },
  ): 'not-leader' | 'not-a-voter' | 'transferring' | null {
    if (this.#role !== 'leader') return 'not-leader';
    if (this.#transfer !== null) return 'transferring';
    if (node === this.self.node || findMember(this.configuration, node)?.voter !== true) return 'not-a-voter';
    this.#transferNumber += 1;
    this.#transfer = {
      node,
      number: this.#transferNumber,
      startedAt: now,
      atOnce: options.atOnce,
      sent: false,
    };
    this.#sendTransfer();
    return null;
  }

  /** Stops leading without handing over. */
  stepDown(now: number): void {
    if (this.#role === 'leader') this.#becomeFollower(this.#term, null, now);
  }

  // --- time ----------------------------------------------------------------------------------------------------------

  /** Lets time pass: elections, heartbeats, the leader's check that it still hears a majority. */
  tick(now: number): void {
    if (this.#role === 'leader') this.#tickLeader(now);
    else if (now >= this.#electionAt) this.#tickElection(now);
  }

  #tickElection(now: number): void {
    this.#resetElection(now);
    if (!isVoter(this.configuration, this.self) || !this.#mayCampaign) return;
    this.#leader = null;
    this.#role = 'pre-candidate';
    this.#votes = new Set([this.self.node]);
    const voters = votersOf(this.configuration);
    if (voters.length === 1) return this.#campaign(now, 0);
    const { lastIndex, lastTerm } = this.log;
    for (const voter of voters) {
      this.#send(voter.node, { type: 'pre-vote', lastIndex, lastTerm }, this.#term + 1);
    }
  }

  #tickLeader(now: number): void {
    if (!this.#hearsMajority(now)) return this.#becomeFollower(this.#term, null, now);
    if (this.#transfer !== null && now - this.#transfer.startedAt > this.#timing.electionTimeoutMs) {
      this.#transfer = null;
    }
    this.#watchLearners(now);
    if (now >= this.#heartbeatAt) this.#beginRound(now);
  }

  #hearsMajority(now: number): boolean {
    let heard = 0;
    const voters = votersOf(this.configuration);
    for (const voter of voters) {
      const progress = this.#followers.get(voter.node);
      // A member that was just added, and this server itself, need no answer yet.
      if (progress === null || now - progress.heardAt <= this.#timing.electionTimeoutMs) heard += 1;
    }
    return heard >= majority(voters.length);
  }

  /** T: this server's own, or the leader's if that is longer. */
  get #electionTimeoutMs(): number {
    return Math.max(this.#timing.electionTimeoutMs, this.#leaderTimeoutMs);
  }

  #resetElection(now: number): void {
    const { voteWriteMs } = this.#timing;
    const electionTimeoutMs = this.#electionTimeoutMs;
    const waits = this.#role === 'candidate' ? electionTimeoutMs + voteWriteMs : electionTimeoutMs;
    this.#electionAt = now + waits + this.#entropy.fraction() * electionTimeoutMs;
  }

  /** Whether a leader was heard so recently that no other may be elected by this server's help (dissertation §4.2.3). */
  #leaderIsAlive(now: number): boolean {
    if (this.#role === 'leader') return true;
    return this.#leader !== null && now - this.#leaderHeardAt < this.#electionTimeoutMs;
  }

  // --- elections -----------------------------------------------------------------------------------------------------

  #campaign(now: number, transfer: number): void {
    assert(isVoter(this.configuration, this.self), `${serverKey(this.self)} is not a voter`);
    this.#role = 'candidate';
    this.#leader = null;
    this.#leaderTimeoutMs = 0;
    this.#setTerm(this.#term + 1);
    this.#votedFor = serverKey(this.self);
    this.#votes = new Set();
    this.#resetElection(now);
    const { lastIndex, lastTerm } = this.log;
    for (const voter of votersOf(this.configuration)) {
      this.#send(voter.node, { type: 'vote', lastIndex, lastTerm, transfer }, this.#term);
    }
  }

  #setTerm(term: number): void {
    assert(term > this.#term, `term ${term} after ${this.#term}`);
    this.#term = term;
    this.#votedFor = null;
    this.#hardStateChanged = true;
    // What a former leader sent is not known to agree with the next one's log; what is committed does.
    this.#receivedIndex = this.#commitIndex;
    this.#stash.clear();
  }

  #becomeFollower(term: number, leader: string | null, now: number): void {
    if (term > this.#term) this.#setTerm(term);
    if (this.#role === 'leader') this.#endLeading();
    this.#role = 'follower';
    this.#leader = leader;
    this.#resetElection(now);
  }

  #endLeading(): void {
    this.#followers.clear();
    this.#abandoned.push(...this.#reads.clear());
    this.#transfer = null;
    this.#ownTermFrom = Number.POSITIVE_INFINITY;
    this.#receivedIndex = this.#commitIndex;
  }

  #becomeLeader(now: number): void {
    assert(this.#durableTerm === this.#term, `leads term ${this.#term}, durable is ${this.#durableTerm}`);
    this.#role = 'leader';
    this.#leader = this.self.node;
    this.#followers.clear();
    this.#followers.sync(now);
    this.#ownTermFrom = this.log.lastIndex + 1;
    // A leader commits nothing of older terms by counting; an entry of its own carries them along (Raft §5.4.2).
    this.#appendOwn('no-op', new Uint8Array());
    this.#beginRound(now);
  }

  #countVote(from: ServerId, now: number): void {
    // A vote counts only for the disk that the configuration names.
    if (!isVoter(this.configuration, from)) return;
    this.#votes.add(from.node);
    if (this.#votes.size < majority(votersOf(this.configuration).length)) return;
    if (this.#role === 'pre-candidate') this.#campaign(now, 0);
    else if (this.#role === 'candidate') this.#becomeLeader(now);
  }

  // --- messages ------------------------------------------------------------------------------------------------------

  /** Takes one message from another server. */
  step(message: RaftMessage, now: number): void {
    if (message.to !== this.self.node || message.from.node === this.self.node) return;
    const { body, from } = message;
    if (message.term < this.#term) return this.#stepOld(message);
    if (message.term > this.#term && !this.#raisesTerm(message, now)) return;
    switch (body.type) {
      case 'pre-vote':
        return this.#onPreVote(message, body, now);
      case 'pre-vote-reply':
        if (this.#role === 'pre-candidate' && body.granted && message.term === this.#term + 1) {
          this.#countVote(from, now);
        }
        return;
      case 'vote':
        return this.#onVote(from, body, now);
      case 'vote-reply':
        if (this.#role === 'candidate' && body.granted) this.#countVote(from, now);
        return;
      case 'append':
        this.#heardLeader(from, now);
        return this.#onAppend(body);
      case 'heartbeat': {
        this.#heardLeader(from, now);
        this.#leaderTimeoutMs = body.electionTimeoutMs;
        this.#commitUpTo(Math.min(body.commitIndex, this.#receivedIndex));
        const reply = {
          type: 'heartbeat-reply',
          round: body.round,
          receivedIndex: this.#receivedIndex,
          disk: this.#disk,
        } as const;
        return this.#send(from.node, reply, this.#term);
      }
      case 'transfer':
        this.#heardLeader(from, now);
        if (isVoter(this.configuration, this.self) && this.#mayCampaign) this.#campaign(now, body.number);
        return;
      case 'append-reply':
      case 'append-gap':
      case 'append-conflict':
      case 'heartbeat-reply':
        return this.#onFollower(message, now);
      case 'newer-term':
        return;
      default:
        return unreachable(body);
    }
  }

  /** A message of a lower term is answered with one's own (dissertation §3.3), so that its sender learns of it. */
  #stepOld(message: RaftMessage): void {
    switch (message.body.type) {
      case 'pre-vote':
        return this.#send(message.from.node, { type: 'pre-vote-reply', granted: false }, this.#term);
      case 'vote':
      case 'append':
      case 'heartbeat':
      case 'transfer':
        return this.#send(message.from.node, { type: 'newer-term' }, this.#term);
      default:
        return;
    }
  }

  /** A message of a higher term: raises this server's, or is none of its business. Returns whether to go on with it. */
  #raisesTerm(message: RaftMessage, now: number): boolean {
    const { body, from, term } = message;
    switch (body.type) {
      case 'pre-vote':
        return true;
      case 'pre-vote-reply':
        // Granted, it names the term that was asked for, which nobody is in yet.
        if (!body.granted) this.#becomeFollower(term, null, now);
        return body.granted;
      case 'vote':
        // A server that was cut off must not depose a leader that others hear (dissertation §4.2.3).
        if (body.transfer === 0 && this.#leaderIsAlive(now)) return false;
        this.#becomeFollower(term, null, now);
        return true;
      case 'append':
      case 'heartbeat':
      case 'transfer':
        this.#becomeFollower(term, from.node, now);
        return true;
      default:
        this.#becomeFollower(term, null, now);
        return true;
    }
  }

  #onPreVote(message: RaftMessage, body: Extract<RaftBody, { type: 'pre-vote' }>, now: number): void {
    const granted =
      message.term > this.#term &&
      !this.#leaderIsAlive(now) &&
      this.log.isUpToDate(body.lastIndex, body.lastTerm);
    const term = granted ? message.term : this.#term;
    this.#send(message.from.node, { type: 'pre-vote-reply', granted }, term);
  }

  #onVote(from: ServerId, body: Extract<RaftBody, { type: 'vote' }>, now: number): void {
    const key = serverKey(from);
    const free = this.#votedFor === null || this.#votedFor === key;
    const granted = free && this.#leader === null && this.log.isUpToDate(body.lastIndex, body.lastTerm);
    if (granted) {
      if (this.#votedFor === null) {
        this.#votedFor = key;
        this.#hardStateChanged = true;
      }
      this.#resetElection(now);
    }
    this.#send(from.node, { type: 'vote-reply', granted }, this.#term);
  }

  #heardLeader(from: ServerId, now: number): void {
    assert(this.#role !== 'leader', `two leaders in term ${this.#term}: ${this.self.node} and ${from.node}`);
    assert(
      this.#leader === null || this.#leader === from.node,
      `two leaders in term ${this.#term}: ${this.#leader} and ${from.node}`,
    );
    this.#role = 'follower';
    this.#leader = from.node;
    this.#leaderHeardAt = now;
    this.#resetElection(now);
  }

  // --- a follower's log ----------------------------------------------------------------------------------------------

  #onAppend(body: Extract<RaftBody, { type: 'append' }>): void {
    const { previousIndex, previousTerm } = body;
    // Whatever is committed agrees, also where the snapshot no longer has the terms.
    const agrees = previousIndex <= this.#commitIndex || this.log.term(previousIndex) === previousTerm;
    if (!agrees) return this.#refuseAppend(body);
    this.#accept(body);
    for (let next = this.#stash.take(this.log); next !== null; next = this.#stash.take(this.log))
      this.#accept(next);
    const reply = { type: 'append-reply', durableIndex: this.#receivedIndex } as const;
    this.#send(this.#leader as string, reply, this.#term);
  }

  /** Entries of the leader's that follow what is here: conflicting ones give way (Raft §5.3). */
  #accept(body: Extract<RaftBody, { type: 'append' }>): void {
    for (const entry of body.entries) {
      if (entry.index <= this.#commitIndex || this.log.term(entry.index) === entry.term) continue;
      if (entry.index <= this.log.lastIndex) this.#truncateFrom(entry.index);
      this.log.append(entry);
    }
    const lastIndex = body.previousIndex + body.entries.length;
    this.#receivedIndex = Math.max(this.#receivedIndex, lastIndex);
    this.#commitUpTo(Math.min(body.commitIndex, this.#receivedIndex));
  }

  #truncateFrom(index: number): void {
    assert(
      index > this.#commitIndex,
      `entry ${index} is committed (${this.#commitIndex}) and would be replaced`,
    );
    this.log.truncateFrom(index);
    this.#durableIndex = Math.min(this.#durableIndex, index - 1);
    this.#persistFrom = Math.min(this.#persistFrom, index);
  }

  #refuseAppend(body: Extract<RaftBody, { type: 'append' }>): void {
    const { previousIndex, previousTerm } = body;
    const leader = this.#leader as string;
    // All that is here is known to agree, so only what lies between is missing: this datagram overtook another.
    if (this.#receivedIndex === this.log.lastIndex && previousIndex > this.log.lastIndex) {
      this.#stash.add(body);
      const gap = { type: 'append-gap', from: this.log.lastIndex + 1, to: previousIndex } as const;
      return this.#send(leader, gap, this.#term);
    }
    const hintIndex = this.log.lastAtOrBelow(previousIndex, previousTerm);
    const hintTerm = this.log.term(hintIndex) ?? 0;
    this.#send(leader, { type: 'append-conflict', previousIndex, hintIndex, hintTerm }, this.#term);
  }

  #commitUpTo(index: number): void {
    if (index <= this.#commitIndex) return;
    assert(index <= this.log.lastIndex, `commit index ${index}, the log ends at ${this.log.lastIndex}`);
    this.#commitIndex = index;
  }

  // --- a leader's followers ------------------------------------------------------------------------------------------

  #onFollower(message: RaftMessage, now: number): void {
    if (this.#role !== 'leader') return;
    const { body, from } = message;
    const progress = this.#followers.of(from);
    if (progress === null) return;
    switch (body.type) {
      case 'heartbeat-reply':
        return this.#onHeartbeatReply(progress, body, now);
      case 'append-reply':
        assert(
          body.durableIndex <= this.log.lastIndex,
          `${from.node} has ${body.durableIndex}, the log ends before`,
        );
        if (progress.acknowledged(body.durableIndex)) {
          this.#advanceCommit(now);
          this.#sendTransfer();
        }
        return;
      case 'append-gap':
        return this.#followers.onGap(progress, body, now);
      case 'append-conflict':
        return this.#followers.onConflict(progress, body);
      default:
        return;
    }
  }

  #onHeartbeatReply(
    progress: Progress,
    body: Extract<RaftBody, { type: 'heartbeat-reply' }>,
    now: number,
  ): void {
    const sentAt = this.#reads.roundSentAt(body.round);
    if (sentAt !== null && body.round > progress.repliedRound) {
      progress.repliedRound = body.round;
      progress.heardAt = Math.max(progress.heardAt, sentAt);
      progress.disk = body.disk;
      progress.measured(now - sentAt);
      this.#confirmReads();
    }
    this.#followers.onReceived(progress, body.receivedIndex, now);
  }

  #confirmReads(): void {
    const rounds = votersOf(this.configuration).map((voter) =>
      voter.node === this.self.node
        ? this.#reads.round
        : (this.#followers.get(voter.node)?.repliedRound ?? 0),
    );
    this.#confirmed.push(...this.#reads.confirmed(quorumIndex(rounds)));
  }

  #beginRound(now: number): void {
    this.#heartbeatAt = now + this.#timing.heartbeatMs;
    const round = this.#reads.beginRound(now);
    const { electionTimeoutMs } = this.#timing;
    for (const { member } of this.#followers.members()) {
      const body = { type: 'heartbeat', round, commitIndex: this.#commitIndex, electionTimeoutMs } as const;
      this.#send(member.node, body, this.#term);
    }
    this.#confirmReads();
  }

  #advanceCommit(now: number): void {
    if (this.#role !== 'leader') return;
    const indexes = votersOf(this.configuration).map((voter) => {
      if (voter.node !== this.self.node) return this.#followers.get(voter.node)?.matchIndex ?? 0;
      return voter.storageId === this.self.storageId ? this.#durableIndex : 0;
    });
    const index = quorumIndex(indexes);
    if (index <= this.#commitIndex || this.log.term(index) !== this.#term) return;
    this.#commitIndex = index;
    // A leader that is no longer a voter has led until its own removal was committed (dissertation §4.2.2).
    if (this.log.configurationIndex <= index && !isVoter(this.configuration, this.self)) {
      this.#becomeFollower(this.#term, null, now);
    }
  }

  /** A learner becomes a voter once it came up to the leader within one short round, is heard, and its disk is well. */
  #watchLearners(now: number): void {
    for (const progress of this.#followers.members()) {
      if (progress.member.voter || progress.matchIndex < progress.roundTarget) continue;
      progress.caughtUp = now - progress.roundStartedAt <= this.#timing.electionTimeoutMs;
      progress.roundTarget = this.log.lastIndex;
      progress.roundStartedAt = now;
      const heard = now - progress.heardAt <= this.#timing.electionTimeoutMs && progress.repliedRound > 0;
      const well = progress.disk.roomy && progress.disk.stalledMs < this.#timing.electionTimeoutMs;
      if (!progress.caughtUp || !heard || !well) continue;
      const members = this.configuration.members.map(
        (member): Member => (member.node === progress.member.node ? { ...member, voter: true } : member),
      );
      // Refused while another change is under way; the next tick tries again.
      this.proposeConfiguration({ ...this.configuration, members });
    }
  }

  #sendTransfer(): void {
    const transfer = this.#transfer;
    if (transfer === null || transfer.sent) return;
    const matchIndex = this.#followers.get(transfer.node)?.matchIndex ?? 0;
    if (!transfer.atOnce && matchIndex < this.log.lastIndex) return;
    transfer.sent = true;
    this.#send(transfer.node, { type: 'transfer', number: transfer.number }, this.#term);
  }

  // --- snapshots -----------------------------------------------------------------------------------------------------

  /** A member got a snapshot that ends at `index`, or did not get one (null): sending goes on from there. */
  snapshotFinished(node: string, index: number | null): void {
    const progress = this.#followers.get(node);
    if (progress === null || progress.state !== 'snapshot') return;
    progress.probeFrom((index ?? progress.matchIndex) + 1);
  }

  /** A snapshot of the leader's is durable here and stands for everything up to its index. */
  install(snapshot: {
    readonly index: number;
    readonly term: number;
    readonly configuration: Configuration;
  }): void {
    assert(this.#role !== 'leader', 'a leader installs no snapshot');
    if (snapshot.index <= this.#commitIndex) return;
    const kept = this.log.term(snapshot.index) === snapshot.term;
    this.log.install(snapshot);
    this.#commitIndex = snapshot.index;
    this.#receivedIndex = Math.max(this.#receivedIndex, snapshot.index);
    this.#applyFrom = snapshot.index + 1;
    this.#durableIndex = kept ? Math.max(this.#durableIndex, snapshot.index) : snapshot.index;
    this.#persistFrom = kept ? Math.max(this.#persistFrom, snapshot.index + 1) : snapshot.index + 1;
    if (!kept) this.#receivedIndex = snapshot.index;
    this.#stash.clear();
    if (this.#leader !== null) {
      this.#send(this.#leader, { type: 'append-reply', durableIndex: snapshot.index }, this.#term);
    }
  }

  /** The durable snapshot stands for everything up to `index`. */
  compact(index: number): void {
    assert(index <= this.#durableIndex, `cannot compact to ${index}: durable is ${this.#durableIndex}`);
    assert(index < this.#applyFrom, `cannot compact to ${index}: applied is ${this.#applyFrom - 1}`);
    this.log.compact(index);
  }

  // --- out and back --------------------------------------------------------------------------------------------------

  #send(to: string, body: RaftBody, term: number): void {
    if (to === this.self.node) return;
    const message = { from: this.self, to, term, body };
    this.#messages.push({ message, followsWrite: FOLLOWS[body.type] || this.#durableTerm < this.#term });
  }

  /** The commit index alone is no reason to write, but goes along with what is. */
  #hardStateToWrite(writesAnyway: boolean): HardState | null {
    const commitIsNews = writesAnyway && this.#commitIndex > this.#writtenCommitIndex;
    if (!this.#hardStateChanged && !commitIsNews) return null;
    this.#writtenCommitIndex = this.#commitIndex;
    return { term: this.#term, votedFor: this.#votedFor, commitIndex: this.#commitIndex };
  }

  /** Takes what is to be done now. Each entry is handed out for persisting once and for applying once. */
  ready(now: number): Ready {
    if (this.#role === 'leader') {
      this.#followers.sync(now);
      if (this.#reads.wantsRound(now, this.#timing.heartbeatMs)) this.#beginRound(now);
      this.#snapshots.push(...this.#followers.replicate(now));
    }
    const { lastIndex } = this.log;
    const entries = this.#persistFrom <= lastIndex ? this.log.slice(this.#persistFrom, lastIndex + 1) : [];
    const committed =
      this.#applyFrom <= this.#commitIndex ? this.log.slice(this.#applyFrom, this.#commitIndex + 1) : [];
    const ready: Ready = {
      hardState: this.#hardStateToWrite(entries.length > 0),
      entries,
      messages: this.#messages,
      committed,
      confirmed: this.#confirmed,
      abandoned: this.#abandoned,
      snapshots: this.#snapshots,
    };
    this.#persistFrom = lastIndex + 1;
    this.#applyFrom = Math.max(this.#applyFrom, this.#commitIndex + 1);
    this.#hardStateChanged = false;
    this.#messages = [];
    this.#confirmed = [];
    this.#abandoned = [];
    this.#snapshots = [];
    return ready;
  }

  /** News of a completed write. An index whose entry has another term by now is ignored: that entry was overwritten. */
  persisted(news: Persisted, now: number): void {
    this.#durableTerm = Math.max(this.#durableTerm, news.term);
    if (news.index > this.#durableIndex && this.log.term(news.index) === news.entryTerm) {
      this.#durableIndex = news.index;
    }
    // Its own vote counts once it is durable.
    if (this.#role === 'candidate' && this.#durableTerm === this.#term) this.#countVote(this.self, now);
    if (this.#role === 'leader') this.#advanceCommit(now);
  }
}
