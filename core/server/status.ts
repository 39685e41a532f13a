/** What a server says about itself: for `bramble status`, and as named numbers for the agent's metrics. */

import type { Member } from '../raft/configuration.ts';
import type { Raft } from '../raft/raft.ts';
import type { Machine } from '../state-machine/machine.ts';
import type { Storage } from '../storage/interface.ts';
import type { Endpoint } from '../transport/interface.ts';
import type { MemberStatus, ServerStatus } from '../wire/client-messages.ts';
import type { Counters } from './counters.ts';

/** A member that has not answered for so long is not reachable. */
const REACHABLE_MS = 1_000;

export interface StatusInput {
  readonly node: string;
  readonly address: string;
  readonly version: string;
  readonly insecure: boolean;
  readonly uptimeMs: number;
  readonly now: number;
  readonly raft: Raft;
  readonly appliedIndex: number;
  readonly machine: Machine;
  readonly storage: Storage;
  readonly endpoint: Endpoint;
  readonly counters: Counters;
  readonly parkedReads: number;
  readonly leases: number;
  readonly leaderChanges: number;
  readonly stopping: boolean;
}

/** 'ok', or what is wrong, in words. */
function health(input: StatusInput): string {
  if (input.stopping) return 'shutting down';
  if (input.raft.leader === null) return 'no leader';
  if (input.storage.space === 'full') return 'disk full: nothing can be written; make room';
  if (input.storage.space === 'low') return 'disk nearly full: appends are refused; make room';
  if (input.storage.stalledMs > 1_000) return `disk stalled for ${Math.round(input.storage.stalledMs)} ms`;
  return 'ok';
}

function metrics(input: StatusInput): { name: string; value: number }[] {
  const { storage, endpoint, machine, raft } = input;
  const numbers: [string, number][] = [
    ['applied_index', input.appliedIndex],
    ['commit_index', raft.commitIndex],
    ['last_index', raft.log.lastIndex],
    ['snapshot_index', raft.log.snapshotIndex],
    ['log_bytes', storage.logBytes],
    ['free_bytes', storage.freeBytes],
    ['unpersisted_bytes', storage.unpersistedBytes],
    ['disk_bytes_written', storage.counters.bytesWritten],
    ['disk_syncs', storage.counters.syncs],
    ['disk_sync_ms_max', storage.counters.syncMsMax],
    ['snapshots', storage.counters.snapshots],
    ['no_space', storage.counters.noSpace],
    ['sessions', machine.counts.sessions],
    ['grants', machine.counts.grants],
    ['waiters', machine.counts.waiters],
    ['logs', machine.counts.logs],
    ['keys', machine.counts.keys],
    ['leases', input.leases],
    ['leader_changes', input.leaderChanges],
    ['term', raft.term],
    ['is_leader', raft.role === 'leader' ? 1 : 0],
    ['has_leader', raft.leader === null ? 0 : 1],
    ['parked_reads', input.parkedReads],
    ['datagrams_sent', endpoint.counters.datagramsSent],
    ['datagrams_received', endpoint.counters.datagramsReceived],
    ['network_bytes_sent', endpoint.counters.bytesSent],
    ['network_bytes_received', endpoint.counters.bytesReceived],
    ['fragments_resent', endpoint.counters.fragmentsResent],
  ];
  for (const [reason, count] of Object.entries(endpoint.counters.refused))
    numbers.push([`datagrams_refused.${reason}`, count]);
  for (const [reason, count] of Object.entries(endpoint.counters.dropped))
    numbers.push([`messages_dropped.${reason}`, count]);
  for (const { name, value } of input.counters.entries()) numbers.push([name, value]);
  return numbers.map(([name, value]) => ({ name, value }));
}

/** A leader knows of everybody, a follower of itself and of who leads. */
function memberStatus(input: StatusInput, member: Member): MemberStatus {
  const { raft, now } = input;
  const { node: id, voter } = member;
  if (id === input.node) {
    const role = raft.role === 'pre-candidate' ? 'candidate' : raft.role;
    const indexes = {
      commitIndex: raft.commitIndex,
      appliedIndex: input.appliedIndex,
      durableIndex: raft.durableIndex,
    };
    return { id, address: input.address, role, voter, ...indexes, reachable: true };
  }
  const progress = raft.progress(id);
  const role =
    id === raft.leader ? 'leader' : voter ? (progress === null ? 'unknown' : 'follower') : 'learner';
  const durableIndex = progress?.matchIndex ?? 0;
  // A follower knows what is committed from the next heartbeat at the latest.
  const commitIndex = Math.min(durableIndex, raft.commitIndex);
  const reachable =
    progress === null
      ? id === raft.leader
      : progress.repliedRound > 0 && now - progress.heardAt < REACHABLE_MS;
  return {
    id,
    address: member.address,
    role,
    voter,
    commitIndex,
    appliedIndex: commitIndex,
    durableIndex,
    reachable,
  };
}

export function buildStatus(input: StatusInput): ServerStatus {
  const { raft } = input;
  const { configuration } = raft;
  const members = configuration.members.map((member) => memberStatus(input, member));
  return {
    node: input.node,
    version: input.version,
    cluster: configuration.clusterName,
    clusterId: configuration.clusterId,
    leader: raft.leader,
    term: raft.term,
    members,
    health: health(input),
    insecure: input.insecure,
    uptimeMs: input.uptimeMs,
    metrics: metrics(input),
  };
}
