/**
 * The bytes of the whole state machine: what a snapshot keeps and what is sent to a server that is far behind.
 *
 *   machine  := version u8 (1), index, nextSession, nextToken, nextLog, revision (varints),
 *               sessions, locks, logs, entries, changes (each: count varint, items)
 *   session  := session varint, nonce 16 bytes, profile u8, answeredBelow varint, requests
 *   request  := sequence varint, answered flag, answer (if answered)
 *   lock     := name text, grants, waiters
 *   grant    := session, owner, token (varints), mode u8, depth, ttlMs (varints)
 *   waiter   := session, owner (varints), mode u8, sequence, ttlMs, resendMs, place (varints)
 *   log      := id varint, name text, guard optional text, start, count, bytes (varints), chain u32
 *   entry    := key text, value text, revision varint
 *   change   := key text, value optional text, revision varint
 *
 * Invariants: replicas that applied the same entries encode the same bytes; decodeMachine is total and bounds every list.
 * Whether the state is one that a machine can have is asked by Machine.fromImage. Torn and flipped bytes are found by the
 * checksum of the file that holds these.
 */

import { assert } from '../base/assert.ts';
import { type Decoded, decode, hex, type Reader, unhex, Writer } from '../base/bytes.ts';
import {
  GRANTS_PER_SESSION_MAX,
  KEY_BYTES_MAX,
  KEYS_MAX,
  KV_CHANGES_KEPT,
  LOGS_MAX,
  NAME_BYTES_MAX,
  SESSION_WINDOW,
  SESSIONS_MAX,
  VALUE_BYTES_MAX,
  WAITERS_PER_LOCK_MAX,
} from '../base/limits.ts';
import type { KvChange, LogInfo } from '../state-machine/commands.ts';
import type { KvEntryImage, LockImage, MachineImage, SessionImage } from '../state-machine/image.ts';
import { decodeProfile, encodeProfile } from './command-codec.ts';
import { decodeAnswer, decodeLockMode, encodeAnswer, encodeLockMode } from './operation-codec.ts';

const VERSION = 1;
const NONCE_BYTES = 16;
/** Every lock and every shared grant is some session's. */
const GRANTS_MAX = SESSIONS_MAX * GRANTS_PER_SESSION_MAX;

export function encodeMachine(image: MachineImage): Uint8Array {
  const writer = new Writer(65_536);
  writer.u8(VERSION).varint(image.index).varint(image.nextSession).varint(image.nextToken);
  writer.varint(image.nextLog).varint(image.revision);
  writer.list(image.sessions, (session) => writeSession(writer, session));
  writer.list(image.locks, (lock) => writeLock(writer, lock));
  writer.list(image.logs, (log) => writeLog(writer, log));
  writer.list(image.entries, ({ key, value, revision }) => writer.text(key).text(value).varint(revision));
  writer.list(image.changes, ({ key, value, revision }) => {
    writer.text(key).optional(value, (text) => writer.text(text));
    writer.varint(revision);
  });
  return writer.finish();
}

export function decodeMachine(bytes: Uint8Array): Decoded<MachineImage> {
  return decode(bytes, (reader) => {
    const version = reader.u8();
    if (version !== VERSION) return reader.fail(`unknown version ${version}`);
    return {
      index: reader.varint(),
      nextSession: reader.varint(),
      nextToken: reader.varint(),
      nextLog: reader.varint(),
      revision: reader.varint(),
      sessions: reader.list(SESSIONS_MAX, () => readSession(reader)),
      locks: reader.list(GRANTS_MAX, () => readLock(reader)),
      logs: reader.list(LOGS_MAX, () => readLog(reader)),
      entries: reader.list(KEYS_MAX, () => readEntry(reader)),
      changes: reader.list(KV_CHANGES_KEPT, () => readChange(reader)),
    };
  });
}

function writeSession(writer: Writer, image: SessionImage): void {
  writer.varint(image.session);
  const nonce = unhex(image.nonce);
  assert(nonce?.length === NONCE_BYTES, `session ${image.session} has no nonce: ${image.nonce}`);
  writer.raw(nonce);
  encodeProfile(writer, image.profile);
  writer.varint(image.answeredBelow);
  writer.list(image.requests, ({ sequence, answer }) => {
    writer.varint(sequence).optional(answer, (kept) => encodeAnswer(writer, kept));
  });
}

function readSession(reader: Reader): SessionImage {
  return {
    session: reader.varint(),
    nonce: hex(reader.raw(NONCE_BYTES)),
    profile: decodeProfile(reader),
    answeredBelow: reader.varint(),
    requests: reader.list(SESSION_WINDOW, () => ({
      sequence: reader.varint(),
      answer: reader.optional(() => decodeAnswer(reader)),
    })),
  };
}

function writeLock(writer: Writer, image: LockImage): void {
  writer.text(image.lock);
  writer.list(image.grants, ({ session, owner, token, mode, depth, ttlMs }) => {
    writer.varint(session).varint(owner).varint(token);
    encodeLockMode(writer, mode);
    writer.varint(depth).varint(ttlMs);
  });
  writer.list(image.waiters, ({ session, owner, mode, sequence, ttlMs, resendMs, place }) => {
    writer.varint(session).varint(owner);
    encodeLockMode(writer, mode);
    writer.varint(sequence).varint(ttlMs).varint(resendMs).varint(place);
  });
}

function readLock(reader: Reader): LockImage {
  return {
    lock: reader.text(NAME_BYTES_MAX),
    grants: reader.list(GRANTS_MAX, () => ({
      session: reader.varint(),
      owner: reader.varint(),
      token: reader.varint(),
      mode: decodeLockMode(reader),
      depth: reader.varint(),
      ttlMs: reader.varint(),
    })),
    waiters: reader.list(WAITERS_PER_LOCK_MAX, () => ({
      session: reader.varint(),
      owner: reader.varint(),
      mode: decodeLockMode(reader),
      sequence: reader.varint(),
      ttlMs: reader.varint(),
      resendMs: reader.varint(),
      place: reader.varint(),
    })),
  };
}

function writeLog(writer: Writer, log: LogInfo): void {
  assert(log.start <= log.count, `log ${log.name} is trimmed beyond its end`);
  writer.varint(log.id).text(log.name);
  writer.optional(log.guard, (guard) => writer.text(guard));
  writer.varint(log.start).varint(log.count).varint(log.bytes).u32(log.chain);
}

function readLog(reader: Reader): LogInfo {
  return {
    id: reader.varint(),
    name: reader.text(NAME_BYTES_MAX),
    guard: reader.optional(() => reader.text(NAME_BYTES_MAX)),
    start: reader.varint(),
    count: reader.varint(),
    bytes: reader.varint(),
    chain: reader.u32(),
  };
}

function readEntry(reader: Reader): KvEntryImage {
  return {
    key: reader.text(KEY_BYTES_MAX),
    value: reader.text(VALUE_BYTES_MAX),
    revision: reader.varint(),
  };
}

function readChange(reader: Reader): KvChange {
  return {
    key: reader.text(KEY_BYTES_MAX),
    value: reader.optional(() => reader.text(VALUE_BYTES_MAX)),
    revision: reader.varint(),
  };
}
