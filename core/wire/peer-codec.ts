/** The bytes of the messages in peer-messages.ts. The decoder is total and bounded. */

import { unreachable } from '../base/assert.ts';
import { type Decoded, decode, type Reader, Writer } from '../base/bytes.ts';
import { MESSAGE_BYTES_MAX, PAGE_RECORDS_MAX } from '../base/limits.ts';
import type { ServerId } from '../raft/types.ts';
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
      writer.varint(message.index).varint(message.log).varint(message.start).u32(message.chain);
      break;
    case 'records-part':
      writer.varint(message.index).varint(message.log).varint(message.start);
      writer.bool(message.agrees).u32(message.chain);
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
        records: reader.list(PAGE_RECORDS_MAX, () => reader.bytes(MESSAGE_BYTES_MAX).slice()),
      };
    case TAGS['snapshot-result']:
      return { type: 'snapshot-result', from, index: reader.varint(), installed: reader.bool() };
    default:
      return reader.fail(`unknown message ${tag}`);
  }
}
