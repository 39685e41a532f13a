/**
 * What a leader does without being asked: hands over when its own disk is the slowest, lets a wiped disk come back, and
 * counts whose disks have room.
 *
 * A stalled or full disk is handed away only if another voter's is better; with none, or alone, the leader stays
 * (protocol: leading slowly is better than not leading).
 */

import { STALL_LIMIT_MS } from '../base/limits.ts';
import type { Clock, Logger } from '../base/ports.ts';
import { type Configuration, findMember, type Member, votersOf } from '../raft/configuration.ts';
import { majority } from '../raft/quorum.ts';
import type { Raft } from '../raft/raft.ts';
import type { ServerId } from '../raft/types.ts';
import type { Storage } from '../storage/interface.ts';

/** A transfer that failed is not tried again at once. */
const TRANSFER_PAUSE_MS = 5_000;
/** A server asks to join every second; one that has not asked for so long is gone. */
const JOIN_FRESH_MS = 5_000;

export interface Joiner extends ServerId {
  readonly address: string;
  readonly heardAt: number;
}

export interface PolicyOptions {
  readonly self: ServerId;
  readonly raft: Raft;
  readonly storage: Storage;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stallLimitMs?: number;
}

export class Policy {
  readonly #options: PolicyOptions;
  readonly #joiners = new Map<string, Joiner>();
  #transferAt = Number.NEGATIVE_INFINITY;
  #steppingDownAt: number | null = null;

  constructor(options: PolicyOptions) {
    this.#options = options;
  }

  get #stallLimitMs(): number {
    return this.#options.stallLimitMs ?? STALL_LIMIT_MS;
  }

  /** Tells Raft about this server's own disk, and whether anything else keeps it from leading. */
  reportDisk(syncP99Ms: number, fit: boolean): void {
    const { raft, storage } = this.#options;
    const { stalledMs, space } = storage;
    raft.setDisk({ roomy: space === 'ok', stalledMs, syncP99Ms }, fit && stalledMs < this.#stallLimitMs);
  }

  /** Whether a majority of the voters, this one included, has room for growing commands. */
  majorityHasRoom(): boolean {
    const { raft, storage, self } = this.#options;
    if (storage.space !== 'ok') return false;
    const voters = votersOf(raft.configuration);
    const roomy = voters.filter(
      (voter) => voter.node === self.node || (raft.progress(voter.node)?.disk.roomy ?? false),
    );
    return roomy.length >= majority(voters.length);
  }

  /** Called at every tick of a leader. */
  lead(): void {
    const { raft, clock } = this.#options;
    if (raft.role !== 'leader') {
      this.#steppingDownAt = null;
      return;
    }
    this.#handOverBadDisk(clock.now());
    this.#letJoinersIn();
  }

  #handOverBadDisk(now: number): void {
    const { raft, storage, logger } = this.#options;
    const stalled = storage.stalledMs >= this.#stallLimitMs;
    if (this.#steppingDownAt !== null && now >= this.#steppingDownAt) {
      this.#steppingDownAt = null;
      // The transfer failed within an election timeout: then without one.
      if (stalled && !raft.transferring) raft.stepDown(now);
      return;
    }
    if ((!stalled && storage.space === 'ok') || now - this.#transferAt < TRANSFER_PAUSE_MS) return;
    const best = this.bestSuccessor({ needsRoom: !stalled });
    if (best === null) return;
    this.#transferAt = now;
    const because = stalled
      ? `disk stalled for ${Math.round(storage.stalledMs)} ms`
      : `disk ${storage.space}`;
    logger.log('warn', `handing leadership to ${best}`, { because });
    raft.transferTo(best, now, { atOnce: stalled });
    if (stalled) this.#steppingDownAt = now + 500;
  }

  /** The voter with the longest durable log among those that are heard and whose disks are well, or null. */
  bestSuccessor(options: { readonly needsRoom: boolean }): string | null {
    const { raft, self, clock } = this.#options;
    const now = clock.now();
    let best: { readonly node: string; readonly matchIndex: number } | null = null;
    for (const voter of votersOf(raft.configuration)) {
      const progress = raft.progress(voter.node);
      if (voter.node === self.node || progress === null || now - progress.heardAt > 500) continue;
      if (progress.disk.stalledMs >= this.#stallLimitMs || (options.needsRoom && !progress.disk.roomy))
        continue;
      if (best === null || progress.matchIndex > best.matchIndex) {
        best = { node: voter.node, matchIndex: progress.matchIndex };
      }
    }
    return best?.node ?? null;
  }

  // --- servers that would join ---------------------------------------------------------------------------------------

  joinAsked(joiner: Joiner): void {
    if (this.#joiners.size >= 64 && !this.#joiners.has(joiner.node)) return;
    this.#joiners.set(joiner.node, joiner);
  }

  /** A server of this name that asked to join a moment ago, or null. */
  joiner(node: string): Joiner | null {
    const joiner = this.#joiners.get(node);
    if (joiner === undefined || this.#options.clock.now() - joiner.heardAt > JOIN_FRESH_MS) return null;
    return joiner;
  }

  /** A member that comes with another disk: the old voter goes, the new disk becomes a learner, and later a voter. */
  #letJoinersIn(): void {
    const { raft } = this.#options;
    for (const node of this.#joiners.keys()) {
      const joiner = this.joiner(node);
      const member = findMember(raft.configuration, node);
      if (joiner === null) this.#joiners.delete(node);
      if (joiner === null || member === null || member.storageId === joiner.storageId) continue;
      this.#replace(member, joiner);
    }
  }

  #replace(member: Member, joiner: Joiner): void {
    const { raft, clock, logger } = this.#options;
    const progress = raft.progress(member.node);
    const alive = progress !== null && progress.repliedRound > 0 && clock.now() - progress.heardAt < 1_000;
    if (alive) {
      logger.log('warn', `two servers call themselves ${member.node}`, {
        known: member.storageId,
        other: joiner.storageId,
        do: 'stop one of them',
      });
      return;
    }
    const next: Member = member.voter
      ? { ...member, voter: false }
      : { ...member, storageId: joiner.storageId, address: member.address };
    const proposed = raft.proposeConfiguration(withMember(raft.configuration, next));
    if (typeof proposed !== 'number') return;
    logger.log(
      'info',
      member.voter ? 'a voter lost its disk and is a voter no more' : 'its new disk is a learner',
      {
        member: member.node,
        storageId: next.storageId,
      },
    );
  }
}

/** The configuration with one member put in the place of the one of its name, or added. */
export function withMember(configuration: Configuration, member: Member): Configuration {
  const known = findMember(configuration, member.node) !== null;
  const members = known
    ? configuration.members.map((one) => (one.node === member.node ? member : one))
    : [...configuration.members, member];
  return { ...configuration, members };
}

export function withoutMember(configuration: Configuration, node: string): Configuration {
  return { ...configuration, members: configuration.members.filter((member) => member.node !== node) };
}
