/**
 * What is wrong with an operation by itself, whatever the state: names, sizes and ranges. The server asks before it admits
 * a request, and the machine asks again when it applies one, so that bad input that reached the log is refused alike on
 * every replica (code 4).
 */

import { unreachable } from '../base/assert.ts';
import { utf8 } from '../base/bytes.ts';
import type { Reason } from '../base/codes.ts';
import {
  COUNTER_MAX,
  KEY_PATTERN,
  NAME_PATTERN,
  RECORD_BYTES_MAX,
  RECORD_BYTES_MIN,
  TTL_MAX_MS,
  VALUE_BYTES_MAX,
} from '../base/limits.ts';
import type { Operation } from './commands.ts';

/** The client's own number of an attempt to open a session: 128 random bits in lower-case hexadecimal. */
export const NONCE_PATTERN = /^[0-9a-f]{32}$/;

/** Null if the operation is well formed. */
export function validateOperation(operation: Operation): Reason | null {
  switch (operation.type) {
    case 'acquire':
      if (!isName(operation.lock)) return 'bad-name';
      if (!isWhole(operation.owner, 1)) return 'malformed';
      // The floor of a ttl depends on the session's profile: the leader raises a short ask before it proposes.
      if (!isWhole(operation.ttlMs, 1, TTL_MAX_MS)) return 'bad-ttl';
      return isWhole(operation.resendMs, 1, TTL_MAX_MS) ? null : 'bad-ttl';
    case 'cancel':
      if (!isName(operation.lock)) return 'bad-name';
      return isWhole(operation.owner, 1) ? null : 'malformed';
    case 'release':
      if (!isName(operation.lock)) return 'bad-name';
      return isWhole(operation.owner, 1) && isWhole(operation.token, 0) ? null : 'malformed';
    case 'force-release':
      return isName(operation.lock) ? null : 'bad-name';
    case 'append':
      if (!isName(operation.log)) return 'bad-name';
      if (operation.fence !== null && !isName(operation.fence.lock)) return 'bad-name';
      if (operation.fence !== null && !isWhole(operation.fence.token, 0)) return 'malformed';
      return isWhole(operation.data.length, RECORD_BYTES_MIN, RECORD_BYTES_MAX) ? null : 'bad-size';
    case 'create-log':
      if (!isName(operation.log)) return 'bad-name';
      return operation.guard === null || isName(operation.guard) ? null : 'bad-name';
    case 'delete-log':
      return isName(operation.log) ? null : 'bad-name';
    case 'trim-log':
      if (!isName(operation.log)) return 'bad-name';
      return isWhole(operation.before, 0) ? null : 'bad-range';
    case 'kv-put':
      if (!isKey(operation.key)) return 'bad-key';
      return isValue(operation.value) ? null : 'bad-value';
    case 'kv-delete':
      return isKey(operation.key) ? null : 'bad-key';
    case 'kv-cas':
      if (!isKey(operation.key)) return 'bad-key';
      if (operation.expect !== null && !isValue(operation.expect)) return 'bad-value';
      return isValue(operation.value) ? null : 'bad-value';
    case 'close-session':
      return null;
    default:
      return unreachable(operation);
  }
}

export function isName(name: string): boolean {
  return NAME_PATTERN.test(name);
}

export function isKey(key: string): boolean {
  return KEY_PATTERN.test(key);
}

/** A lone surrogate has no UTF-8 of its own and would come back from a snapshot as another value. */
export function isValue(value: string): boolean {
  if (value.length > VALUE_BYTES_MAX) return false;
  return value.isWellFormed() && utf8(value).length <= VALUE_BYTES_MAX;
}

function isWhole(value: number, low: number, high = COUNTER_MAX): boolean {
  return Number.isSafeInteger(value) && value >= low && value <= high;
}
