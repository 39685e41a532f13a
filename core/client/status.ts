/** What the servers say of themselves, asked one by one, and the one view that their answers give together. */

import { UnreachableError } from '../base/errors.ts';
import { STATUS_GRACE_MS } from '../base/limits.ts';
import type { Timer } from '../base/ports.ts';
import type { Address } from '../transport/interface.ts';
import type { MemberStatus, RequestBody, ResponseBody, ServerStatus } from '../wire/client-messages.ts';
import { adaptivePace } from './backoff.ts';
import type { Channel } from './channel.ts';
import { type About, readFailure } from './outcome.ts';

/** One server's answer to a ping. */
export interface Pinged {
  readonly address: Address;
  /** Null if it did not answer; `problem` then says why. */
  readonly node: string | null;
  /** Milliseconds from the transmission that was answered. */
  readonly roundTripMs: number | null;
  readonly problem: string | null;
}

export interface ServerView {
  readonly address: Address;
  readonly status: ServerStatus | null;
  readonly problem: string | null;
}

/** The cluster as its servers see it. */
export interface ClusterStatus {
  /** The leader's id in the newest term that a server knows of, or null. */
  readonly leader: string | null;
  readonly term: number;
  readonly cluster: string;
  readonly clusterId: string;
  /** As the leader has them, or whoever has the newest term; `reachable`: answered this client, or hears the leader. */
  readonly members: readonly MemberStatus[];
  readonly servers: readonly ServerView[];
}

interface Answer {
  readonly address: Address;
  readonly body: ResponseBody | null;
  readonly roundTripMs: number | null;
  readonly problem: string | null;
}

/** Asks every server; when one has answered, the others get STATUS_GRACE_MS. */
async function askAll(
  channel: Channel,
  about: About,
  body: RequestBody,
  timeoutMs: number,
): Promise<Answer[]> {
  const { clock, entropy, tracker } = channel;
  const exchanges = tracker.servers.map((pinned) =>
    channel.start({ body, pinned, pace: adaptivePace(entropy), timeoutMs }),
  );
  const answers: Answer[] = [];
  let grace: Timer | null = null;
  const waits = exchanges.map(async (exchange, index) => {
    const address = tracker.servers[index] as Address;
    const outcome = await exchange.outcome;
    if (outcome.type === 'response') {
      const sentAt = exchange.sentAt(outcome.attempt);
      const roundTripMs = sentAt === null ? null : clock.now() - sentAt;
      answers[index] = { address, body: outcome.body, roundTripMs, problem: null };
      grace ??= clock.after(STATUS_GRACE_MS, () => {
        for (const slow of exchanges) slow.withdraw();
      });
    } else {
      const problem =
        outcome.type === 'withdrawn' ? 'no answer' : readFailure(about, outcome, timeoutMs).message;
      answers[index] = { address, body: null, roundTripMs: null, problem };
    }
  });
  await Promise.all(waits);
  (grace as Timer | null)?.cancel();
  if (answers.every((answer) => answer.body === null)) {
    const asked = tracker.servers.join(', ');
    const problems = [...new Set(answers.map((answer) => answer.problem))].join('; ');
    throw new UnreachableError(`${about.action}: none of the servers (${asked}) answered: ${problems}`);
  }
  return answers;
}

export async function pingAll(channel: Channel, timeoutMs: number): Promise<Pinged[]> {
  const answers = await askAll(channel, { action: 'Cannot ping' }, { type: 'ping' }, timeoutMs);
  return answers.map(({ address, body, roundTripMs, problem }) => ({
    address,
    node: body?.type === 'pong' ? body.node : null,
    roundTripMs,
    problem,
  }));
}

export async function statusOfAll(channel: Channel, timeoutMs: number): Promise<ClusterStatus> {
  const answers = await askAll(channel, { action: 'Cannot get the status' }, { type: 'status' }, timeoutMs);
  return mergeStatus(
    answers.map(({ address, body, problem }) => ({
      address,
      status: body?.type === 'status' ? body.status : null,
      problem,
    })),
  );
}

/** At least one view has a status. */
export function mergeStatus(servers: readonly ServerView[]): ClusterStatus {
  const views = servers.flatMap((server) => (server.status === null ? [] : [server.status]));
  const newest = views.reduce((best, view) => {
    if (view.term !== best.term) return view.term > best.term ? view : best;
    // In one term there is one leader, and it knows best; after it, whoever knows it.
    if (best.leader === best.node || view.leader === null) return best;
    return view.leader === view.node || best.leader === null ? view : best;
  });
  const own = new Map(views.map((view) => [view.node, view]));
  const asked = new Set(servers.map((server) => server.address));
  const members = newest.members.map((member): MemberStatus => {
    const mine = own.get(member.id)?.members.find((one) => one.id === member.id);
    // Whoever answers knows its own role and indexes best.
    if (mine !== undefined) return { ...mine, reachable: true };
    return { ...member, reachable: member.reachable && !asked.has(member.address) };
  });
  const { leader, term, cluster, clusterId } = newest;
  return { leader, term, cluster, clusterId, members, servers };
}
