/**
 * Who is in the cluster: the replicated configuration, its own kind of log entry and a part of every snapshot.
 *
 * A voter is a (node, storage id) pair: a wiped disk comes back under its old name but not as the voter that it was,
 * because it has forgotten what it promised.
 */

import { type Decoded, decode, Writer } from '../base/bytes.ts';

export interface Member {
  readonly node: string;
  /** 32 hexadecimal digits; made with the data directory. */
  readonly storageId: string;
  readonly address: string;
}

export interface Configuration {
  /** 32 hexadecimal digits, random at the forming of the cluster; new after a restore. */
  readonly clusterId: string;
  /** What people call the cluster. */
  readonly clusterName: string;
  readonly voters: readonly Member[];
}

const FORMAT = 1;
const MEMBERS_MAX = 64;

export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const writer = new Writer();
  writer.u8(FORMAT).text(configuration.clusterId).text(configuration.clusterName);
  writer.list(configuration.voters, (member) => {
    writer.text(member.node).text(member.storageId).text(member.address);
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
      voters: reader.list(MEMBERS_MAX, () => ({
        node: reader.text(32),
        storageId: reader.text(32),
        address: reader.text(300),
      })),
    };
  });
}
