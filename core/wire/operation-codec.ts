/**
 * The bytes of one Operation and of one kept Answer, shared by what clients send and by what the log holds.
 *
 *   operation := tag u8, fields in the order of the type's declaration (text and bytes with a varint length)
 *   answer    := code u8, reason varint (its index in REASONS), value varint, ttlMs varint
 *
 * Invariants: one value has exactly one encoding, so that a repeated answer is the first one's byte for byte; an answer is
 * at most ANSWER_BYTES_MAX; decoders are total (they fail by DecodeError, which `decode` catches). A decoder bounds sizes
 * only to protect memory (DECODED_… in the limits): a name that is merely too long still decodes, and the server refuses it by name.
 * Tags are part of the log's format: never reused, never renumbered; REASONS only grows at its end.
 */

import { assert, unreachable } from '../base/assert.ts';
import type { Reader, Writer } from '../base/bytes.ts';
import { isCode, REASONS, type Reason } from '../base/codes.ts';
import {
  ANSWER_BYTES_MAX,
  DECODED_NAME_BYTES_MAX,
  DECODED_VALUE_BYTES_MAX,
  MESSAGE_BYTES_MAX,
} from '../base/limits.ts';
import type { Answer, LockMode, Operation } from '../state-machine/commands.ts';

const TAGS = {
  acquire: 1,
  cancel: 2,
  release: 3,
  'force-release': 4,
  append: 5,
  'create-log': 6,
  'delete-log': 7,
  'trim-log': 8,
  'kv-put': 9,
  'kv-delete': 10,
  'kv-cas': 11,
  'close-session': 12,
} as const satisfies Record<Operation['type'], number>;

export function encodeOperation(writer: Writer, operation: Operation): void {
  writer.u8(TAGS[operation.type]);
  switch (operation.type) {
    case 'acquire':
      writer.text(operation.lock).varint(operation.owner);
      encodeLockMode(writer, operation.mode);
      writer.varint(operation.ttlMs).varint(operation.resendMs).bool(operation.wait);
      return;
    case 'cancel':
      writer.text(operation.lock).varint(operation.owner);
      return;
    case 'release':
      writer.text(operation.lock).varint(operation.owner).varint(operation.token);
      return;
    case 'force-release':
      writer.text(operation.lock);
      return;
    case 'append':
      writer.text(operation.log).bytes(operation.data);
      writer.optional(operation.fence, (fence) => writer.text(fence.lock).varint(fence.token));
      return;
    case 'create-log':
      writer.text(operation.log).optional(operation.guard, (guard) => writer.text(guard));
      return;
    case 'delete-log':
      writer.text(operation.log);
      return;
    case 'trim-log':
      writer.text(operation.log).varint(operation.before);
      return;
    case 'kv-put':
      writer.text(operation.key).text(operation.value);
      return;
    case 'kv-delete':
      writer.text(operation.key);
      return;
    case 'kv-cas':
      writer.text(operation.key).optional(operation.expect, (expect) => writer.text(expect));
      writer.text(operation.value);
      return;
    case 'close-session':
      return;
    default:
      unreachable(operation);
  }
}

export function decodeOperation(reader: Reader): Operation {
  const name = () => reader.text(DECODED_NAME_BYTES_MAX);
  const value = () => reader.text(DECODED_VALUE_BYTES_MAX);
  const tag = reader.u8();
  switch (tag) {
    case TAGS.acquire:
      return {
        type: 'acquire',
        lock: name(),
        owner: reader.varint(),
        mode: decodeLockMode(reader),
        ttlMs: reader.varint(),
        resendMs: reader.varint(),
        wait: reader.bool(),
      };
    case TAGS.cancel:
      return { type: 'cancel', lock: name(), owner: reader.varint() };
    case TAGS.release:
      return { type: 'release', lock: name(), owner: reader.varint(), token: reader.varint() };
    case TAGS['force-release']:
      return { type: 'force-release', lock: name() };
    case TAGS.append:
      return {
        type: 'append',
        log: name(),
        data: reader.bytes(MESSAGE_BYTES_MAX),
        fence: reader.optional(() => ({ lock: name(), token: reader.varint() })),
      };
    case TAGS['create-log']:
      return { type: 'create-log', log: name(), guard: reader.optional(name) };
    case TAGS['delete-log']:
      return { type: 'delete-log', log: name() };
    case TAGS['trim-log']:
      return { type: 'trim-log', log: name(), before: reader.varint() };
    case TAGS['kv-put']:
      return { type: 'kv-put', key: name(), value: value() };
    case TAGS['kv-delete']:
      return { type: 'kv-delete', key: name() };
    case TAGS['kv-cas']:
      return { type: 'kv-cas', key: name(), expect: reader.optional(value), value: value() };
    case TAGS['close-session']:
      return { type: 'close-session' };
    default:
      return reader.fail(`unknown operation ${tag}`);
  }
}

const LOCK_MODES = ['exclusive', 'shared'] as const satisfies readonly LockMode[];

export function encodeLockMode(writer: Writer, mode: LockMode): void {
  writer.u8(LOCK_MODES.indexOf(mode));
}

export function decodeLockMode(reader: Reader): LockMode {
  const index = reader.u8();
  return LOCK_MODES[index] ?? reader.fail(`unknown lock mode ${index}`);
}

const REASON_INDEX: ReadonlyMap<Reason, number> = new Map(REASONS.map((reason, index) => [reason, index]));

export function encodeReason(writer: Writer, reason: Reason): void {
  const index = REASON_INDEX.get(reason);
  assert(index !== undefined, `reason ${reason} is not in REASONS`);
  writer.varint(index);
}

export function decodeReason(reader: Reader): Reason {
  const index = reader.varint();
  return REASONS[index] ?? reader.fail(`unknown reason ${index}`);
}

export function encodeAnswer(writer: Writer, answer: Answer): void {
  const before = writer.size;
  writer.u8(answer.code);
  encodeReason(writer, answer.reason);
  writer.varint(answer.value).varint(answer.ttlMs);
  assert(writer.size - before <= ANSWER_BYTES_MAX, `an answer of ${writer.size - before} bytes is too large`);
}

export function decodeAnswer(reader: Reader): Answer {
  const code = reader.u8();
  if (!isCode(code)) return reader.fail(`unknown code ${code}`);
  return { code, reason: decodeReason(reader), value: reader.varint(), ttlMs: reader.varint() };
}
