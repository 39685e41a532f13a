/**
 * Changes of the membership that a person asks for, one server at a time, and handing the leadership over by hand.
 *
 * Whoever asks is answered when the change is committed. If this server stops leading before that, it says nothing: the
 * asker turns to the next leader and asks again, which changes nothing that is changed already.
 */

import type { Reason } from '../base/codes.ts';
import type { Clock, Logger } from '../base/ports.ts';
import { type Configuration, findMember, votersOf } from '../raft/configuration.ts';
import type { Raft } from '../raft/raft.ts';
import type { RequestBody } from '../wire/client-messages.ts';
import { type Policy, withMember, withoutMember } from './policy.ts';

export type MembershipRequest = Extract<
  RequestBody,
  { type: 'member-add' | 'member-remove' | 'transfer-leader' }
>;
type Done = (refused: Reason | null) => void;

export interface MembershipOptions {
  readonly self: string;
  readonly raft: Raft;
  readonly policy: Policy;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class Membership {
  readonly #options: MembershipOptions;
  #waiting: { readonly index: number; readonly done: Done }[] = [];
  #handingOver: Done[] = [];

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  request(request: MembershipRequest, done: Done): void {
    switch (request.type) {
      case 'member-add':
        return this.#add(request.node, request.address, done);
      case 'member-remove':
        return this.#remove(request.node, done);
      case 'transfer-leader':
        return this.#transfer(request.node, done);
    }
  }

  #add(node: string, address: string, done: Done): void {
    const { raft, policy } = this.#options;
    const member = findMember(raft.configuration, node);
    if (member !== null && (address === '' || member.address === address)) {
      return this.#whenCommitted(raft.log.configurationIndex, done);
    }
    if (member !== null) return this.#propose(withMember(raft.configuration, { ...member, address }), done);
    // The new server tells its disk itself; nobody else could.
    const joiner = policy.joiner(node);
    if (joiner === null) return done('server-not-heard');
    const { storageId } = joiner;
    const learner = { node, storageId, address: address === '' ? joiner.address : address, voter: false };
    this.#propose(withMember(raft.configuration, learner), done);
  }

  #remove(node: string, done: Done): void {
    const { raft } = this.#options;
    const member = findMember(raft.configuration, node);
    if (member === null) return this.#whenCommitted(raft.log.configurationIndex, done);
    if (member.voter && votersOf(raft.configuration).length === 1) return done('last-voter');
    this.#propose(withoutMember(raft.configuration, node), done);
  }

  #propose(next: Configuration, done: Done): void {
    const { raft, logger } = this.#options;
    const index = raft.proposeConfiguration(next);
    if (typeof index !== 'number') return done('change-under-way');
    logger.log('info', 'changing the members', {
      members: next.members.map((member) => member.node).join(','),
    });
    this.#whenCommitted(index, done);
  }

  #whenCommitted(index: number, done: Done): void {
    this.#waiting.push({ index, done });
    this.tick();
  }

  #transfer(node: string, done: Done): void {
    const { raft, policy, clock, self } = this.#options;
    if (node === self) return done(null);
    const successor = node === '' ? policy.bestSuccessor({ needsRoom: false }) : node;
    if (successor === null) return done('no-successor');
    const refused = raft.transferTo(successor, clock.now(), { atOnce: false });
    if (refused === 'not-a-voter') return done('no-such-member');
    if (refused !== null) return done('change-under-way');
    this.#handingOver.push(done);
  }

  /** Called at every turn: answers what is committed by now, and transfers that came to nothing. */
  tick(): void {
    const { raft } = this.#options;
    const ready = this.#waiting.filter((one) => one.index <= raft.commitIndex);
    this.#waiting = this.#waiting.filter((one) => one.index > raft.commitIndex);
    for (const { done } of ready) done(null);
    if (raft.role === 'leader' && !raft.transferring) {
      for (const done of this.#handingOver.splice(0)) done('no-successor');
    }
  }

  /** This server leads no more: a transfer has succeeded; other changes are the next leader's. */
  stopServing(): void {
    this.#waiting = [];
    for (const done of this.#handingOver.splice(0)) done(null);
  }
}
