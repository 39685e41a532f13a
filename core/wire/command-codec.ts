/**
 * The bytes of one Command: the data of a log entry of type 'command'.
 *
 *   command         := tag u8, then by tag
 *   1 bootstrap     := files varint
 *   2 open-session  := nonce text (the machine refuses one that is malformed), profile u8
 *   3 request       := session varint, sequence varint, answeredBelow varint, silent, operation
 *   4 end-session   := session varint, silent
 *   5 expire        := term varint, count varint, count × (lock text, token varint), silent
 *   silent          := count varint, count × (lock text, session varint, owner varint)
 *
 * Invariants: one command has exactly one encoding; tags are part of the log's format, never reused and never renumbered;
 * decodeCommand is total. Torn or flipped bytes are found by the log's own checksum, before a command is decoded.
 */

import { assert, unreachable } from '../base/assert.ts';
import { type Decoded, decode, type Reader, Writer } from '../base/bytes.ts';
import { COMMAND_LIST_MAX, DECODED_NAME_BYTES_MAX } from '../base/limits.ts';
import type { Command, SessionProfile, SilentWaiter } from '../state-machine/commands.ts';
import { decodeOperation, encodeOperation } from './operation-codec.ts';

const TAGS = {
  bootstrap: 1,
  'open-session': 2,
  request: 3,
  'end-session': 4,
  expire: 5,
} as const satisfies Record<Command['type'], number>;

const PROFILES = ['default', 'coursework'] as const satisfies readonly SessionProfile[];

export function encodeCommand(command: Command): Uint8Array {
  const writer = new Writer();
  writer.u8(TAGS[command.type]);
  switch (command.type) {
    case 'bootstrap':
      writer.varint(command.files);
      break;
    case 'open-session':
      writer.text(command.nonce);
      encodeProfile(writer, command.profile);
      break;
    case 'request':
      writer.varint(command.session).varint(command.sequence).varint(command.answeredBelow);
      encodeSilent(writer, command.silent);
      encodeOperation(writer, command.operation);
      break;
    case 'end-session':
      writer.varint(command.session);
      encodeSilent(writer, command.silent);
      break;
    case 'expire':
      assert(command.grants.length <= COMMAND_LIST_MAX, `too many grants expire: ${command.grants.length}`);
      writer.varint(command.term);
      writer.list(command.grants, ({ lock, token }) => writer.text(lock).varint(token));
      encodeSilent(writer, command.silent);
      break;
    default:
      unreachable(command);
  }
  return writer.finish();
}

export function decodeCommand(bytes: Uint8Array): Decoded<Command> {
  return decode(bytes, readCommand);
}

function readCommand(reader: Reader): Command {
  const tag = reader.u8();
  switch (tag) {
    case TAGS.bootstrap:
      return { type: 'bootstrap', files: reader.varint() };
    case TAGS['open-session']:
      return {
        type: 'open-session',
        nonce: reader.text(DECODED_NAME_BYTES_MAX),
        profile: decodeProfile(reader),
      };
    case TAGS.request: {
      const session = reader.varint();
      const sequence = reader.varint();
      const answeredBelow = reader.varint();
      const silent = decodeSilent(reader);
      const operation = decodeOperation(reader);
      return { type: 'request', session, sequence, answeredBelow, operation, silent };
    }
    case TAGS['end-session']:
      return { type: 'end-session', session: reader.varint(), silent: decodeSilent(reader) };
    case TAGS.expire: {
      const term = reader.varint();
      const grants = reader.list(COMMAND_LIST_MAX, () => ({
        lock: reader.text(DECODED_NAME_BYTES_MAX),
        token: reader.varint(),
      }));
      return { type: 'expire', term, grants, silent: decodeSilent(reader) };
    }
    default:
      return reader.fail(`unknown command ${tag}`);
  }
}

function encodeSilent(writer: Writer, silent: readonly SilentWaiter[]): void {
  assert(silent.length <= COMMAND_LIST_MAX, `too many silent waiters: ${silent.length}`);
  writer.list(silent, ({ lock, session, owner }) => writer.text(lock).varint(session).varint(owner));
}

function decodeSilent(reader: Reader): SilentWaiter[] {
  return reader.list(COMMAND_LIST_MAX, () => ({
    lock: reader.text(DECODED_NAME_BYTES_MAX),
    session: reader.varint(),
    owner: reader.varint(),
  }));
}

export function encodeProfile(writer: Writer, profile: SessionProfile): void {
  writer.u8(PROFILES.indexOf(profile));
}

export function decodeProfile(reader: Reader): SessionProfile {
  const index = reader.u8();
  return PROFILES[index] ?? reader.fail(`unknown profile ${index}`);
}
