/**
 * Who is in the cluster: the replicated configuration, its own kind of log entry and a part of every snapshot.
 *
 * A voter is a (node, storage id) pair: a wiped disk comes back under its old name but not as the voter that it was,
 * because it has forgotten what it promised. Changes are one server at a time (dissertation §4.1): two configurations that
 * follow each other then always share a majority.
 */

import { type Decoded, decode, Writer } from '../base/bytes.ts';
import type { ServerId } from './types.ts';

export interface Member extends ServerId {
  readonly address: string;
  /** False: a learner, which gets the log and counts for nothing. */
  readonly voter: boolean;
}

export interface Configuration {
  /** 32 hexadecimal digits, random at the forming of the cluster; new after a restore. */
  readonly clusterId: string;
  /** What people call the cluster. */
  readonly clusterName: string;
  /** By node, each once. */
  readonly members: readonly Member[];
}

const FORMAT = 1;
const MEMBERS_MAX = 64;

export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const writer = new Writer();
  writer.u8(FORMAT).text(configuration.clusterId).text(configuration.clusterName);
  writer.list(configuration.members, (member) => {
    writer.text(member.node).text(member.storageId).text(member.address).bool(member.voter);
  });
  return writer.finish();
}

export function decodeConfiguration(bytes: Uint8Array): Decoded<Configuration> {
  return decode(bytes, (reader) => {
    const format = reader.u8();
    if (format !== FORMAT) reader.fail(`configuration format ${format}, known is ${FORMAT}`);
    return {
      clusterId: reader.text(32),
      clusterName: reader.text(64),
      members: reader.list(MEMBERS_MAX, () => ({
        node: reader.text(32),
        storageId: reader.text(32),
        address: reader.text(300),
        voter: reader.bool(),
      })),
    };
  });
}

export function findMember(configuration: Configuration, node: string): Member | null {
  return configuration.members.find((member) => member.node === node) ?? null;
}

/** Whether this very server, with this very disk, may vote. */
export function isVoter(configuration: Configuration, server: ServerId): boolean {
  const member = findMember(configuration, server.node);
  return member?.voter === true && member.storageId === server.storageId;
}

export function votersOf(configuration: Configuration): readonly Member[] {
  return configuration.members.filter((member) => member.voter);
}

/**
 * How many members differ between two configurations: a change may have 1. A learner that comes with another disk is one,
 * since learners count for nothing; a voter with another disk is two: the old one goes, and the new one comes.
 */
export function changedMembers(before: Configuration, after: Configuration): number {
  const nodes = new Set([...before.members, ...after.members].map((member) => member.node));
  let changed = 0;
  for (const node of nodes) {
    const old = findMember(before, node);
    const next = findMember(after, node);
    if (old === null || next === null) changed += 1;
    else if (old.storageId !== next.storageId) changed += old.voter || next.voter ? 2 : 1;
    else if (old.voter !== next.voter || old.address !== next.address) changed += 1;
  }
  return changed;
}
