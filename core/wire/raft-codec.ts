/**
 * The bytes of what servers say to each other about the log (raft/messages.ts). A peer's message begins with the family
 * byte; a cluster is told apart by the endpoint, so nothing here names it.
 *
 * Invariants: the decoder is total and bounded; entries keep their order and have no gaps (the receiver's log asserts it,
 * so what breaks it is refused here).
 */

import { assert, unreachable } from '../base/assert.ts';
import { type Decoded, decode, type Reader, Writer } from '../base/bytes.ts';
import { MESSAGE_BYTES_MAX } from '../base/limits.ts';
import type { RaftBody, RaftMessage } from '../raft/messages.ts';
import type { EntryType, LogEntry } from '../raft/types.ts';
import { MESSAGE_FAMILIES } from './client-codec.ts';

const TAGS = {
  'pre-vote': 1,
  'pre-vote-reply': 2,
  vote: 3,
  'vote-reply': 4,
  append: 5,
  'append-reply': 6,
  'append-gap': 7,
  'append-conflict': 8,
  heartbeat: 9,
  'heartbeat-reply': 10,
  transfer: 11,
  'newer-term': 12,
} as const satisfies Record<RaftBody['type'], number>;

const ENTRY_TYPES = ['no-op', 'command', 'configuration'] as const satisfies readonly EntryType[];
const ENTRIES_MAX = 65_536;
const NODE_BYTES_MAX = 32;
const STORAGE_ID_BYTES_MAX = 32;

export function encodeRaftMessage(message: RaftMessage): Uint8Array {
  const writer = new Writer();
  writer.u8(MESSAGE_FAMILIES.raft);
  writer.text(message.from.node).text(message.from.storageId).text(message.to).varint(message.term);
  writeBody(writer, message.body);
  return writer.finish();
}

export function decodeRaftMessage(bytes: Uint8Array): Decoded<RaftMessage> {
  return decode(bytes, (reader) => {
    const family = reader.u8();
    if (family !== MESSAGE_FAMILIES.raft) reader.fail(`not a message about the log: family ${family}`);
    const from = { node: reader.text(NODE_BYTES_MAX), storageId: reader.text(STORAGE_ID_BYTES_MAX) };
    const to = reader.text(NODE_BYTES_MAX);
    const term = reader.varint();
    return { from, to, term, body: readBody(reader, term) };
  });
}

function writeBody(writer: Writer, body: RaftBody): void {
  writer.u8(TAGS[body.type]);
  switch (body.type) {
    case 'pre-vote':
      writer.varint(body.lastIndex).varint(body.lastTerm);
      return;
    case 'vote':
      writer.varint(body.lastIndex).varint(body.lastTerm).varint(body.transfer);
      return;
    case 'pre-vote-reply':
    case 'vote-reply':
      writer.bool(body.granted);
      return;
    case 'append':
      writer.varint(body.previousIndex).varint(body.previousTerm).varint(body.commitIndex);
      writer.list(body.entries, (entry) => {
        writer.varint(entry.term).u8(ENTRY_TYPES.indexOf(entry.type)).bytes(entry.data);
      });
      return;
    case 'append-reply':
      writer.varint(body.durableIndex);
      return;
    case 'append-gap':
      writer.varint(body.from).varint(body.to);
      return;
    case 'append-conflict':
      writer.varint(body.previousIndex).varint(body.hintIndex).varint(body.hintTerm);
      return;
    case 'heartbeat':
      writer.varint(body.round).varint(body.commitIndex).varint(Math.round(body.electionTimeoutMs));
      return;
    case 'heartbeat-reply':
      writer.varint(body.round).varint(body.receivedIndex).bool(body.disk.roomy);
      writer.varint(Math.round(body.disk.stalledMs)).varint(Math.round(body.disk.syncP99Ms));
      return;
    case 'transfer':
      writer.varint(body.number);
      return;
    case 'newer-term':
      return;
    default:
      unreachable(body);
  }
}

function readBody(reader: Reader, term: number): RaftBody {
  const tag = reader.u8();
  switch (tag) {
    case TAGS['pre-vote']:
      return { type: 'pre-vote', lastIndex: reader.varint(), lastTerm: reader.varint() };
    case TAGS['pre-vote-reply']:
      return { type: 'pre-vote-reply', granted: reader.bool() };
    case TAGS.vote:
      return {
        type: 'vote',
        lastIndex: reader.varint(),
        lastTerm: reader.varint(),
        transfer: reader.varint(),
      };
    case TAGS['vote-reply']:
      return { type: 'vote-reply', granted: reader.bool() };
    case TAGS.append:
      return readAppend(reader, term);
    case TAGS['append-reply']:
      return { type: 'append-reply', durableIndex: reader.varint() };
    case TAGS['append-gap']:
      return { type: 'append-gap', from: reader.varint(), to: reader.varint() };
    case TAGS['append-conflict']:
      return {
        type: 'append-conflict',
        previousIndex: reader.varint(),
        hintIndex: reader.varint(),
        hintTerm: reader.varint(),
      };
    case TAGS.heartbeat:
      return {
        type: 'heartbeat',
        round: reader.varint(),
        commitIndex: reader.varint(),
        electionTimeoutMs: reader.varint(),
      };
    case TAGS['heartbeat-reply']:
      return {
        type: 'heartbeat-reply',
        round: reader.varint(),
        receivedIndex: reader.varint(),
        disk: { roomy: reader.bool(), stalledMs: reader.varint(), syncP99Ms: reader.varint() },
      };
    case TAGS.transfer:
      return { type: 'transfer', number: reader.varint() };
    case TAGS['newer-term']:
      return { type: 'newer-term' };
    default:
      return reader.fail(`unknown message ${tag}`);
  }
}

function readAppend(reader: Reader, messageTerm: number): RaftBody {
  const previousIndex = reader.varint();
  const previousTerm = reader.varint();
  const commitIndex = reader.varint();
  let index = previousIndex;
  let lastTerm = previousTerm;
  const entries = reader.list(ENTRIES_MAX, (): LogEntry => {
    const term = reader.varint();
    const type = ENTRY_TYPES[reader.u8()];
    if (type === undefined) reader.fail('unknown kind of entry');
    if (term < lastTerm || term > messageTerm) reader.fail(`entry of term ${term} after ${lastTerm}`);
    lastTerm = term;
    index += 1;
    // A copy: the view would keep the whole datagram alive for as long as the log has the entry.
    return { index, term, type: type as EntryType, data: reader.bytes(MESSAGE_BYTES_MAX).slice() };
  });
  assert(index === previousIndex + entries.length, 'entries counted wrongly');
  return { type: 'append', previousIndex, previousTerm, commitIndex, entries };
}
