/**
 * The bytes of what clients and servers say to each other (wire/client-messages.ts).
 *
 *   request  := family u8 (1), request varint, attempt varint, session varint, sequence varint, answeredBelow varint,
 *               tag u8, the body's fields in the order of the type's declaration
 *   response := family u8 (2), request varint, attempt varint, tag u8, the body's fields
 *
 * Invariants: decoders are total: any bytes give a message or a problem, in time and memory proportional to their number.
 * Sizes are bounded here only to protect memory; whether a name, a key or a range is allowed is for the server to say, so
 * that its sender gets a reason. For the same end a request whose head is sound and whose body is not still gives
 * the head (`head`), so that it can be answered with code 4. Tags are never reused.
 * Byte strings in decoded messages are views of the given bytes.
 */

import { unreachable } from '../base/assert.ts';
import { type Decoded, DecodeError, decode, Reader, Writer } from '../base/bytes.ts';
import { isCode } from '../base/codes.ts';
import {
  DECODED_NAME_BYTES_MAX,
  DECODED_VALUE_BYTES_MAX,
  KV_CHANGES_KEPT,
  MESSAGE_BYTES_MAX,
  PAGE_RECORDS_MAX,
} from '../base/limits.ts';
import type { SessionProfile } from '../state-machine/commands.ts';
import type { ClientRequest, ClientResponse, RequestBody, ResponseBody } from './client-messages.ts';
import {
  decodeAnswer,
  decodeOperation,
  decodeReason,
  encodeAnswer,
  encodeOperation,
  encodeReason,
} from './operation-codec.ts';
import { decodeLockInfo, decodeStatus, encodeLockInfo, encodeStatus } from './status-codec.ts';

/** The first byte of every message says what family it belongs to; the key's class says which families it may send. */
export const MESSAGE_FAMILIES = { clientRequest: 1, clientResponse: 2, raft: 3, peer: 4 } as const;

const REQUEST_TAGS = {
  ping: 1,
  status: 2,
  'open-session': 3,
  'keep-alive': 4,
  operation: 5,
  renew: 6,
  'read-log': 7,
  'kv-get': 8,
  'kv-list': 9,
  'kv-changes': 10,
  'lock-list': 11,
  'log-list': 12,
  'member-add': 13,
  'member-remove': 14,
  'transfer-leader': 15,
} as const satisfies Record<RequestBody['type'], number>;

const RESPONSE_TAGS = {
  pong: 1,
  status: 2,
  ack: 3,
  opened: 4,
  'kept-alive': 5,
  answer: 6,
  renewed: 7,
  records: 8,
  'kv-value': 9,
  'kv-entries': 10,
  'kv-changes': 11,
  locks: 12,
  logs: 13,
  refused: 14,
  changed: 15,
} as const satisfies Record<ResponseBody['type'], number>;

const PROFILES = ['default', 'coursework'] as const satisfies readonly SessionProfile[];

// --- requests --------------------------------------------------------------------------------------------------------

export type RequestHead = Omit<ClientRequest, 'body'>;
export type DecodedRequest =
  | { readonly ok: true; readonly value: ClientRequest }
  /** `head` null: not even that could be read, so there is nobody to answer. */
  | { readonly ok: false; readonly problem: string; readonly head: RequestHead | null };

export function encodeRequest(request: ClientRequest): Uint8Array {
  const writer = new Writer();
  writer.u8(MESSAGE_FAMILIES.clientRequest).varint(request.request).varint(request.attempt);
  writer.varint(request.session).varint(request.sequence).varint(request.answeredBelow);
  writeRequestBody(writer, request.body);
  return writer.finish();
}

export function decodeRequest(bytes: Uint8Array): DecodedRequest {
  const reader = new Reader(bytes);
  let head: RequestHead | null = null;
  try {
    const family = reader.u8();
    if (family !== MESSAGE_FAMILIES.clientRequest) reader.fail(`not a request: family ${family}`);
    head = {
      request: reader.varint(),
      attempt: reader.varint(),
      session: reader.varint(),
      sequence: reader.varint(),
      answeredBelow: reader.varint(),
    };
    const body = readRequestBody(reader);
    reader.end();
    return { ok: true, value: { ...head, body } };
  } catch (error) {
    if (error instanceof DecodeError) return { ok: false, problem: error.message, head };
    throw error;
  }
}

function writeRequestBody(writer: Writer, body: RequestBody): void {
  writer.u8(REQUEST_TAGS[body.type]);
  switch (body.type) {
    case 'ping':
    case 'status':
    case 'keep-alive':
      return;
    case 'open-session':
      writer.text(body.nonce).u8(PROFILES.indexOf(body.profile));
      return;
    case 'operation':
      encodeOperation(writer, body.operation);
      return;
    case 'renew':
      writer.text(body.lock).varint(body.owner).varint(body.token);
      return;
    case 'read-log':
      writer.text(body.log).varint(body.from).varint(body.limit).varint(body.waitMs).bool(body.stale);
      return;
    case 'kv-get':
      writer.text(body.key).bool(body.stale);
      return;
    case 'kv-list':
      writer.text(body.prefix).text(body.after).varint(body.limit).bool(body.stale);
      return;
    case 'kv-changes':
      writer.text(body.prefix).varint(body.since).varint(body.waitMs);
      return;
    case 'lock-list':
    case 'log-list':
      writer.text(body.after).varint(body.limit);
      return;
    case 'member-add':
      writer.text(body.node).text(body.address);
      return;
    case 'member-remove':
    case 'transfer-leader':
      writer.text(body.node);
      return;
    default:
      unreachable(body);
  }
}

function readRequestBody(reader: Reader): RequestBody {
  const name = () => reader.text(DECODED_NAME_BYTES_MAX);
  const number = () => reader.varint();
  const tag = reader.u8();
  switch (tag) {
    case REQUEST_TAGS.ping:
      return { type: 'ping' };
    case REQUEST_TAGS.status:
      return { type: 'status' };
    case REQUEST_TAGS['keep-alive']:
      return { type: 'keep-alive' };
    case REQUEST_TAGS['open-session']: {
      const nonce = name();
      const profile = reader.u8();
      return {
        type: 'open-session',
        nonce,
        profile: PROFILES[profile] ?? reader.fail(`unknown profile ${profile}`),
      };
    }
    case REQUEST_TAGS.operation:
      return { type: 'operation', operation: decodeOperation(reader) };
    case REQUEST_TAGS.renew:
      return { type: 'renew', lock: name(), owner: number(), token: number() };
    case REQUEST_TAGS['read-log']:
      return {
        type: 'read-log',
        log: name(),
        from: number(),
        limit: number(),
        waitMs: number(),
        stale: reader.bool(),
      };
    case REQUEST_TAGS['kv-get']:
      return { type: 'kv-get', key: name(), stale: reader.bool() };
    case REQUEST_TAGS['kv-list']:
      return { type: 'kv-list', prefix: name(), after: name(), limit: number(), stale: reader.bool() };
    case REQUEST_TAGS['kv-changes']:
      return { type: 'kv-changes', prefix: name(), since: number(), waitMs: number() };
    case REQUEST_TAGS['lock-list']:
      return { type: 'lock-list', after: name(), limit: number() };
    case REQUEST_TAGS['log-list']:
      return { type: 'log-list', after: name(), limit: number() };
    case REQUEST_TAGS['member-add']:
      return { type: 'member-add', node: name(), address: name() };
    case REQUEST_TAGS['member-remove']:
      return { type: 'member-remove', node: name() };
    case REQUEST_TAGS['transfer-leader']:
      return { type: 'transfer-leader', node: name() };
    default:
      return reader.fail(`unknown request ${tag}`);
  }
}

// --- responses -------------------------------------------------------------------------------------------------------

export function encodeResponse(response: ClientResponse): Uint8Array {
  const writer = new Writer();
  writer.u8(MESSAGE_FAMILIES.clientResponse).varint(response.request).varint(response.attempt);
  writeResponseBody(writer, response.body);
  return writer.finish();
}

export function decodeResponse(bytes: Uint8Array): Decoded<ClientResponse> {
  return decode(bytes, (reader) => {
    const family = reader.u8();
    if (family !== MESSAGE_FAMILIES.clientResponse) reader.fail(`not a response: family ${family}`);
    return { request: reader.varint(), attempt: reader.varint(), body: readResponseBody(reader) };
  });
}

function writeResponseBody(writer: Writer, body: ResponseBody): void {
  writer.u8(RESPONSE_TAGS[body.type]);
  switch (body.type) {
    case 'pong':
      writer.text(body.node);
      return;
    case 'status':
      encodeStatus(writer, body.status);
      return;
    case 'ack':
    case 'kept-alive':
    case 'changed':
      return;
    case 'opened':
      writer.varint(body.session);
      return;
    case 'answer':
      encodeAnswer(writer, body.answer);
      writer.varint(body.grantAttempt);
      return;
    case 'renewed':
      writer.varint(body.ttlMs).varint(body.confirmedAttempt);
      return;
    case 'records':
      writer.varint(body.from).varint(body.count);
      writer.list(body.records, (record) => writer.bytes(record));
      return;
    case 'kv-value':
      writer.optional(body.entry, (entry) => writer.text(entry.key).text(entry.value).varint(entry.revision));
      writer.varint(body.revision);
      return;
    case 'kv-entries':
      writer.list(body.entries, (entry) => writer.text(entry.key).text(entry.value).varint(entry.revision));
      writer.bool(body.more).varint(body.revision);
      return;
    case 'kv-changes':
      writer.list(body.changes, (change) => {
        writer.text(change.key).optional(change.value, (value) => writer.text(value));
        writer.varint(change.revision);
      });
      writer.varint(body.revision);
      return;
    case 'locks':
      writer.list(body.locks, (lock) => encodeLockInfo(writer, lock)).bool(body.more);
      return;
    case 'logs':
      writer.list(body.logs, (log) => {
        writer.varint(log.id).text(log.name);
        writer.optional(log.guard, (guard) => writer.text(guard));
        writer.varint(log.start).varint(log.count).varint(log.bytes).u32(log.chain);
      });
      writer.bool(body.more);
      return;
    case 'refused':
      writer.u8(body.code);
      encodeReason(writer, body.reason);
      writer.text(body.leader);
      return;
    default:
      unreachable(body);
  }
}

function readResponseBody(reader: Reader): ResponseBody {
  const name = () => reader.text(DECODED_NAME_BYTES_MAX);
  const value = () => reader.text(DECODED_VALUE_BYTES_MAX);
  const number = () => reader.varint();
  const entry = () => ({ key: name(), value: value(), revision: number() });
  const tag = reader.u8();
  switch (tag) {
    case RESPONSE_TAGS.pong:
      return { type: 'pong', node: name() };
    case RESPONSE_TAGS.status:
      return { type: 'status', status: decodeStatus(reader) };
    case RESPONSE_TAGS.ack:
      return { type: 'ack' };
    case RESPONSE_TAGS['kept-alive']:
      return { type: 'kept-alive' };
    case RESPONSE_TAGS.changed:
      return { type: 'changed' };
    case RESPONSE_TAGS.opened:
      return { type: 'opened', session: number() };
    case RESPONSE_TAGS.answer:
      return { type: 'answer', answer: decodeAnswer(reader), grantAttempt: number() };
    case RESPONSE_TAGS.renewed:
      return { type: 'renewed', ttlMs: number(), confirmedAttempt: number() };
    case RESPONSE_TAGS.records:
      return {
        type: 'records',
        from: number(),
        count: number(),
        records: reader.list(PAGE_RECORDS_MAX, () => reader.bytes(MESSAGE_BYTES_MAX)),
      };
    case RESPONSE_TAGS['kv-value']:
      return { type: 'kv-value', entry: reader.optional(entry), revision: number() };
    case RESPONSE_TAGS['kv-entries']:
      return {
        type: 'kv-entries',
        entries: reader.list(PAGE_RECORDS_MAX, entry),
        more: reader.bool(),
        revision: number(),
      };
    case RESPONSE_TAGS['kv-changes']:
      return {
        type: 'kv-changes',
        changes: reader.list(KV_CHANGES_KEPT, () => ({
          key: name(),
          value: reader.optional(value),
          revision: number(),
        })),
        revision: number(),
      };
    case RESPONSE_TAGS.locks:
      return {
        type: 'locks',
        locks: reader.list(PAGE_RECORDS_MAX, () => decodeLockInfo(reader)),
        more: reader.bool(),
      };
    case RESPONSE_TAGS.logs:
      return {
        type: 'logs',
        logs: reader.list(PAGE_RECORDS_MAX, () => ({
          id: number(),
          name: name(),
          guard: reader.optional(name),
          start: number(),
          count: number(),
          bytes: number(),
          chain: reader.u32(),
        })),
        more: reader.bool(),
      };
    case RESPONSE_TAGS.refused: {
      const code = reader.u8();
      if (!isCode(code)) return reader.fail(`unknown code ${code}`);
      return { type: 'refused', code, reason: decodeReason(reader), leader: name() };
    }
    default:
      return reader.fail(`unknown response ${tag}`);
  }
}
