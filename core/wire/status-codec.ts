/**
 * The bytes of the larger parts of responses: one lock with its holders and waiters, and a server's status. The fields lie
 * in the order of their types' declarations; measured values are 64-bit floats, and only finite ones are accepted.
 */

import { assert } from '../base/assert.ts';
import type { Reader, Writer } from '../base/bytes.ts';
import {
  DECODED_NAME_BYTES_MAX,
  DECODED_VALUE_BYTES_MAX,
  MEMBERS_MAX,
  PAGE_BYTES_MAX,
  STATUS_METRICS_MAX,
} from '../base/limits.ts';
import type { LockInfo, MemberStatus, ServerStatus } from './client-messages.ts';
import { decodeLockMode, encodeLockMode } from './operation-codec.ts';

export function encodeLockInfo(writer: Writer, lock: LockInfo): void {
  writer.text(lock.lock);
  writer.list(lock.grants, (grant) => {
    writer.varint(grant.session).varint(grant.owner).varint(grant.token);
    encodeLockMode(writer, grant.mode);
    writer.varint(grant.depth).varint(grant.ttlMs);
    writeFloat(writer, grant.remainingMs);
  });
  writer.list(lock.waiters, (waiter) => {
    writer.varint(waiter.session).varint(waiter.owner);
    encodeLockMode(writer, waiter.mode);
  });
}

export function decodeLockInfo(reader: Reader): LockInfo {
  return {
    lock: reader.text(DECODED_NAME_BYTES_MAX),
    // One lock may have more holders and waiters than a page has items; a page's bytes bound them.
    grants: reader.list(PAGE_BYTES_MAX, () => ({
      session: reader.varint(),
      owner: reader.varint(),
      token: reader.varint(),
      mode: decodeLockMode(reader),
      depth: reader.varint(),
      ttlMs: reader.varint(),
      remainingMs: readFloat(reader),
    })),
    waiters: reader.list(PAGE_BYTES_MAX, () => ({
      session: reader.varint(),
      owner: reader.varint(),
      mode: decodeLockMode(reader),
    })),
  };
}

const ROLES = [
  'leader',
  'follower',
  'candidate',
  'learner',
  'unknown',
] as const satisfies readonly MemberStatus['role'][];

export function encodeStatus(writer: Writer, status: ServerStatus): void {
  writer.text(status.node).text(status.version).text(status.cluster).text(status.clusterId);
  writer.optional(status.leader, (leader) => writer.text(leader)).varint(status.term);
  writer.list(status.members, (member) => {
    writer.text(member.id).text(member.address).u8(ROLES.indexOf(member.role)).bool(member.voter);
    writer.varint(member.commitIndex).varint(member.appliedIndex).varint(member.durableIndex);
    writer.bool(member.reachable);
  });
  writer.text(status.health).bool(status.insecure);
  writeFloat(writer, status.uptimeMs);
  writer.list(status.metrics, (metric) => {
    writer.text(metric.name);
    writeFloat(writer, metric.value);
  });
}

export function decodeStatus(reader: Reader): ServerStatus {
  const name = () => reader.text(DECODED_NAME_BYTES_MAX);
  return {
    node: name(),
    version: name(),
    cluster: name(),
    clusterId: name(),
    leader: reader.optional(name),
    term: reader.varint(),
    members: reader.list(MEMBERS_MAX, () => ({
      id: name(),
      address: name(),
      role: readRole(reader),
      voter: reader.bool(),
      commitIndex: reader.varint(),
      appliedIndex: reader.varint(),
      durableIndex: reader.varint(),
      reachable: reader.bool(),
    })),
    health: reader.text(DECODED_VALUE_BYTES_MAX),
    insecure: reader.bool(),
    uptimeMs: readFloat(reader),
    metrics: reader.list(STATUS_METRICS_MAX, () => ({ name: name(), value: readFloat(reader) })),
  };
}

function readRole(reader: Reader): MemberStatus['role'] {
  const index = reader.u8();
  return ROLES[index] ?? reader.fail(`unknown role ${index}`);
}

/** Measured values have fractions and signs; nothing replicated does. */
function writeFloat(writer: Writer, value: number): void {
  assert(Number.isFinite(value), `not a measured value: ${value}`);
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  writer.raw(bytes);
}

function readFloat(reader: Reader): number {
  const bytes = reader.raw(8);
  const value = new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0, true);
  return Number.isFinite(value) ? value : reader.fail('not a finite number');
}
