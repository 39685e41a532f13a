/** The bytes of the messages in peer-messages.ts. The decoder is total and bounded. */

import { unreachable } from '../base/assert.ts';
import { type Decoded, decode, type Reader, Writer } from '../base/bytes.ts';
import { LOGS_MAX, MESSAGE_BYTES_MAX, PAGE_RECORDS_MAX } from '../base/limits.ts';
import type { ServerId } from '../raft/types.ts';
import type { LogInfo } from '../state-machine/commands.ts';
import { MESSAGE_FAMILIES } from './client-codec.ts';
import type { PeerMessage } from './peer-messages.ts';

const TAGS = {
  who: 1,
  am: 2,
  join: 3,
  'snapshot-offer': 4,
  'snapshot-fetch': 5,
  'snapshot-part': 6,
  'records-fetch': 7,
  'records-part': 8,
  'snapshot-result': 9,
} as const satisfies Record<PeerMessage['type'], number>;

const PEERS_MAX = 64;
const NAME_MAX = 64;
const ADDRESS_MAX = 300;

export function encodePeerMessage(message: PeerMessage): Uint8Array {
  const writer = new Writer();
  writer.u8(MESSAGE_FAMILIES.peer).u8(TAGS[message.type]);
  writer.text(message.from.node).text(message.from.storageId);
  switch (message.type) {
    case 'who':
      writer.list(message.peers, (peer) => writer.text(peer));
      break;
    case 'am':
      writer.text(message.clusterName).text(message.clusterId);
      writer.list(message.peers, (peer) => writer.text(peer));
      break;
    case 'join':
      writer.text(message.address);
      break;
    case 'snapshot-offer':
      writer.varint(message.term).varint(message.index).varint(message.sizeBytes);
      break;
    case 'snapshot-fetch':
      writer.varint(message.index).varint(message.offset);
      break;
    case 'snapshot-part':
      writer.varint(message.index).varint(message.offset).bytes(message.bytes);
      break;
    case 'records-fetch':
      writer.varint(message.index).varint(message.log).varint(message.start);
      writer.u32(message.chain).bool(message.any);
      break;
    case 'records-part':
      writer.varint(message.index).varint(message.log).varint(message.start);
      writer.bool(message.agrees).u32(message.chain).varint(message.bytes);
      writer.list(message.records, (record) => writer.bytes(record));
      break;
    case 'snapshot-result':
      writer.varint(message.index).bool(message.installed);
      break;
    default:
      unreachable(message);
  }
  return writer.finish();
}

export function decodePeerMessage(bytes: Uint8Array): Decoded<PeerMessage> {
  return decode(bytes, (reader) => {
    const family = reader.u8();
    if (family !== MESSAGE_FAMILIES.peer) reader.fail(`not a message between servers: family ${family}`);
    const tag = reader.u8();
    const from = { node: reader.text(NAME_MAX), storageId: reader.text(NAME_MAX) };
    return readBody(reader, tag, from);
  });
}

function readBody(reader: Reader, tag: number, from: ServerId): PeerMessage {
  switch (tag) {
    case TAGS.who:
      return { type: 'who', from, peers: reader.list(PEERS_MAX, () => reader.text(ADDRESS_MAX)) };
    case TAGS.am:
      return {
        type: 'am',
        from,
        clusterName: reader.text(NAME_MAX),
        clusterId: reader.text(NAME_MAX),
        peers: reader.list(PEERS_MAX, () => reader.text(ADDRESS_MAX)),
      };
    case TAGS.join:
      return { type: 'join', from, address: reader.text(ADDRESS_MAX) };
    case TAGS['snapshot-offer']:
      return {
        type: 'snapshot-offer',
        from,
        term: reader.varint(),
        index: reader.varint(),
        sizeBytes: reader.varint(),
      };
    case TAGS['snapshot-fetch']:
      return { type: 'snapshot-fetch', from, index: reader.varint(), offset: reader.varint() };
    case TAGS['snapshot-part']:
      return {
        type: 'snapshot-part',
        from,
        index: reader.varint(),
        offset: reader.varint(),
        bytes: reader.bytes(MESSAGE_BYTES_MAX).slice(),
      };
    case TAGS['records-fetch']:
      return {
        type: 'records-fetch',
        from,
        index: reader.varint(),
        log: reader.varint(),
        start: reader.varint(),
        chain: reader.u32(),
        any: reader.bool(),
      };
    case TAGS['records-part']:
      return {
        type: 'records-part',
        from,
        index: reader.varint(),
        log: reader.varint(),
        start: reader.varint(),
        agrees: reader.bool(),
        chain: reader.u32(),
        bytes: reader.varint(),
        records: reader.list(PAGE_RECORDS_MAX, () => reader.bytes(MESSAGE_BYTES_MAX).slice()),
      };
    case TAGS['snapshot-result']:
      return { type: 'snapshot-result', from, index: reader.varint(), installed: reader.bool() };
    default:
      return reader.fail(`unknown message ${tag}`);
  }
}

/** What a follower fetches before the records: everything of a snapshot but them. */
export interface SnapshotPayload {
  readonly index: number;
  readonly term: number;
  readonly configuration: Uint8Array;
  readonly machine: Uint8Array;
  readonly logs: readonly LogInfo[];
}

export function encodeSnapshotPayload(payload: SnapshotPayload): Uint8Array {
  const writer = new Writer(payload.machine.length + 65_536);
  writer.varint(payload.index).varint(payload.term).bytes(payload.configuration);
  writer.list(payload.logs, (log) => {
    writer
      .varint(log.id)
      .text(log.name)
      .optional(log.guard, (guard) => writer.text(guard));
    writer.varint(log.start).varint(log.count).varint(log.bytes).u32(log.chain);
  });
  // Last, because it is the one part without a small bound.
  return writer.bytes(payload.machine).finish();
}

export function decodeSnapshotPayload(bytes: Uint8Array): Decoded<SnapshotPayload> {
  return decode(bytes, (reader) => {
    const index = reader.varint();
    const term = reader.varint();
    const configuration = reader.bytes(MESSAGE_BYTES_MAX);
    const logs = reader.list(LOGS_MAX, () => ({
      id: reader.varint(),
      name: reader.text(NAME_MAX),
      guard: reader.optional(() => reader.text(NAME_MAX)),
      start: reader.varint(),
      count: reader.varint(),
      bytes: reader.varint(),
      chain: reader.u32(),
    }));
    return { index, term, configuration, logs, machine: reader.bytes(bytes.length) };
  });
}
