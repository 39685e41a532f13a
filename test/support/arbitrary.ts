// Random operations, requests and responses of every variant, within what the codecs accept.

import { CODE_TABLE, REASONS } from '#core/base/codes.ts';
import { COUNTER_MAX } from '#core/base/limits.ts';
import type { Prng } from '#core/base/prng.ts';
import type { Answer, LockMode, Operation } from '#core/state-machine/commands.ts';
import type {
  ClientRequest,
  ClientResponse,
  LockInfo,
  RequestBody,
  ResponseBody,
} from '#core/wire/client-messages.ts';

/** 0, 1, the largest, and numbers of every length between. */
export function counter(prng: Prng): number {
  if (prng.chance(0.1)) return prng.pick([0, 1, 127, 128, 2 ** 32, COUNTER_MAX]);
  return Math.floor(2 ** (prng.fraction() * 53));
}

/** Text of up to `charactersMax` characters, of one to four bytes each. */
export function text(prng: Prng, charactersMax = 64): string {
  let made = '';
  for (let left = prng.between(0, charactersMax + 1); left > 0; left--)
    made += prng.pick(['a', '-', 'Z', '0', 'ä', '漢', '😀', '\u0000']);
  return made;
}

const mode = (prng: Prng): LockMode => prng.pick(['exclusive', 'shared']);
const maybe = <T>(prng: Prng, make: () => T): T | null => (prng.chance(0.3) ? null : make());
const list = <T>(prng: Prng, countMax: number, make: () => T): T[] =>
  Array.from({ length: prng.between(0, countMax + 1) }, make);
const measured = (prng: Prng) => (prng.fraction() - 0.5) * 1e6;

export const OPERATION_TYPES: readonly Operation['type'][] = [
  'acquire',
  'cancel',
  'release',
  'force-release',
  'append',
  'create-log',
  'delete-log',
  'trim-log',
  'kv-put',
  'kv-delete',
  'kv-cas',
  'close-session',
];

export function operation(prng: Prng, type: Operation['type'] = prng.pick(OPERATION_TYPES)): Operation {
  const name = text(prng);
  switch (type) {
    case 'acquire':
      return {
        type,
        lock: name,
        owner: counter(prng),
        mode: mode(prng),
        ttlMs: counter(prng),
        resendMs: counter(prng),
        wait: prng.chance(0.5),
      };
    case 'cancel':
      return { type, lock: name, owner: counter(prng) };
    case 'release':
      return { type, lock: name, owner: counter(prng), token: counter(prng) };
    case 'force-release':
      return { type, lock: name };
    case 'append':
      return {
        type,
        log: name,
        data: prng.bytes(prng.between(0, 300)),
        fence: maybe(prng, () => ({ lock: text(prng), token: counter(prng) })),
      };
    case 'create-log':
      return { type, log: name, guard: maybe(prng, () => text(prng)) };
    case 'delete-log':
      return { type, log: name };
    case 'trim-log':
      return { type, log: name, before: counter(prng) };
    case 'kv-put':
      return { type, key: name, value: text(prng, 500) };
    case 'kv-delete':
      return { type, key: name };
    case 'kv-cas':
      return { type, key: name, expect: maybe(prng, () => text(prng, 500)), value: text(prng, 500) };
    case 'close-session':
      return { type };
  }
}

export function answer(prng: Prng): Answer {
  return {
    code: prng.pick(CODE_TABLE).code,
    reason: prng.pick(REASONS),
    value: counter(prng),
    ttlMs: counter(prng),
  };
}

export const REQUEST_TYPES: readonly RequestBody['type'][] = [
  'ping',
  'status',
  'open-session',
  'keep-alive',
  'operation',
  'renew',
  'read-log',
  'kv-get',
  'kv-list',
  'kv-changes',
  'lock-list',
  'log-list',
  'member-add',
  'member-remove',
  'transfer-leader',
];

function requestBody(prng: Prng, type: RequestBody['type']): RequestBody {
  const stale = prng.chance(0.5);
  switch (type) {
    case 'ping':
    case 'status':
    case 'keep-alive':
      return { type };
    case 'member-add':
      return { type, node: text(prng), address: text(prng) };
    case 'member-remove':
    case 'transfer-leader':
      return { type, node: text(prng) };
    case 'open-session':
      return { type, nonce: text(prng), profile: prng.pick(['default', 'coursework']) };
    case 'operation':
      return { type, operation: operation(prng) };
    case 'renew':
      return { type, lock: text(prng), owner: counter(prng), token: counter(prng) };
    case 'read-log':
      return {
        type,
        log: text(prng),
        from: counter(prng),
        limit: counter(prng),
        waitMs: counter(prng),
        stale,
      };
    case 'kv-get':
      return { type, key: text(prng), stale };
    case 'kv-list':
      return { type, prefix: text(prng), after: text(prng), limit: counter(prng), stale };
    case 'kv-changes':
      return { type, prefix: text(prng), since: counter(prng), waitMs: counter(prng) };
    case 'lock-list':
    case 'log-list':
      return { type, after: text(prng), limit: counter(prng) };
  }
}

export function request(prng: Prng, type: RequestBody['type'] = prng.pick(REQUEST_TYPES)): ClientRequest {
  return {
    request: counter(prng),
    attempt: counter(prng),
    session: counter(prng),
    sequence: counter(prng),
    answeredBelow: counter(prng),
    body: requestBody(prng, type),
  };
}

export const RESPONSE_TYPES: readonly ResponseBody['type'][] = [
  'pong',
  'status',
  'ack',
  'opened',
  'kept-alive',
  'answer',
  'renewed',
  'records',
  'kv-value',
  'kv-entries',
  'kv-changes',
  'locks',
  'logs',
  'refused',
  'changed',
];

function lockInfo(prng: Prng): LockInfo {
  return {
    lock: text(prng),
    grants: list(prng, 5, () => ({
      session: counter(prng),
      owner: counter(prng),
      token: counter(prng),
      mode: mode(prng),
      depth: counter(prng),
      ttlMs: counter(prng),
      remainingMs: measured(prng),
    })),
    waiters: list(prng, 5, () => ({ session: counter(prng), owner: counter(prng), mode: mode(prng) })),
  };
}

function responseBody(prng: Prng, type: ResponseBody['type']): ResponseBody {
  const more = prng.chance(0.5);
  const revision = counter(prng);
  const entry = () => ({ key: text(prng), value: text(prng, 200), revision: counter(prng) });
  switch (type) {
    case 'pong':
      return { type, node: text(prng) };
    case 'ack':
    case 'kept-alive':
    case 'changed':
      return { type };
    case 'opened':
      return { type, session: counter(prng) };
    case 'answer':
      return { type, answer: answer(prng), grantAttempt: counter(prng) };
    case 'renewed':
      return { type, ttlMs: counter(prng), confirmedAttempt: counter(prng) };
    case 'records':
      return {
        type,
        from: counter(prng),
        count: counter(prng),
        records: list(prng, 20, () => prng.bytes(prng.between(0, 100))),
      };
    case 'kv-value':
      return { type, entry: maybe(prng, entry), revision };
    case 'kv-entries':
      return { type, entries: list(prng, 10, entry), more, revision };
    case 'kv-changes':
      return {
        type,
        changes: list(prng, 10, () => ({
          key: text(prng),
          value: maybe(prng, () => text(prng)),
          revision: counter(prng),
        })),
        revision,
      };
    case 'locks':
      return { type, locks: list(prng, 5, () => lockInfo(prng)), more };
    case 'logs':
      return {
        type,
        logs: list(prng, 10, () => ({
          id: counter(prng),
          name: text(prng),
          guard: maybe(prng, () => text(prng)),
          start: counter(prng),
          count: counter(prng),
          bytes: counter(prng),
          chain: prng.u32(),
        })),
        more,
      };
    case 'refused':
      return { type, code: prng.pick(CODE_TABLE).code, reason: prng.pick(REASONS), leader: text(prng) };
    case 'status':
      return {
        type,
        status: {
          node: text(prng),
          version: text(prng),
          cluster: text(prng),
          clusterId: text(prng),
          leader: maybe(prng, () => text(prng)),
          term: counter(prng),
          members: list(prng, 5, () => ({
            id: text(prng),
            address: text(prng),
            role: prng.pick(['leader', 'follower', 'candidate', 'learner', 'unknown'] as const),
            voter: prng.chance(0.5),
            commitIndex: counter(prng),
            appliedIndex: counter(prng),
            durableIndex: counter(prng),
            reachable: prng.chance(0.5),
          })),
          health: text(prng, 500),
          insecure: prng.chance(0.5),
          uptimeMs: measured(prng),
          metrics: list(prng, 20, () => ({ name: text(prng), value: measured(prng) })),
        },
      };
  }
}

export function response(prng: Prng, type: ResponseBody['type'] = prng.pick(RESPONSE_TYPES)): ClientResponse {
  return { request: counter(prng), attempt: counter(prng), body: responseBody(prng, type) };
}

/** A wrong version of `bytes`: flipped bits, a cut, an insertion, a large number somewhere, or all of it random. */
export function mutated(prng: Prng, bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  switch (prng.between(0, 5)) {
    case 0:
      for (let flips = prng.between(1, 5); flips > 0 && copy.length > 0; flips--) {
        const at = prng.between(0, copy.length);
        copy[at] = (copy[at] as number) ^ (1 << prng.between(0, 8));
      }
      return copy;
    case 1:
      return copy.slice(0, prng.between(0, copy.length + 1));
    case 2:
      return Uint8Array.of(...copy, ...prng.bytes(prng.between(1, 20)));
    case 3: {
      const at = prng.between(0, copy.length + 1);
      copy.set(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f).subarray(0, copy.length - at), at);
      return copy;
    }
    default:
      return prng.bytes(prng.between(0, 200));
  }
}
