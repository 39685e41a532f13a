/** What a request must look like before anything is done about it; the reason where it does not. */

import type { Reason } from '../base/codes.ts';
import { KEY_BYTES_MAX, KEY_PATTERN, NAME_PATTERN, NODE_ID_PATTERN, TTL_MAX_MS } from '../base/limits.ts';
import { NONCE_PATTERN, validateOperation } from '../state-machine/validate.ts';
import type { RequestBody } from '../wire/client-messages.ts';

/** A prefix of keys: like a key, but it may be empty. */
function isPrefix(prefix: string): boolean {
  return prefix === '' || KEY_PATTERN.test(prefix);
}

export function validateRequest(body: RequestBody): Reason | null {
  switch (body.type) {
    case 'ping':
    case 'status':
    case 'keep-alive':
      return null;
    case 'open-session':
      return NONCE_PATTERN.test(body.nonce) ? null : 'malformed';
    case 'operation':
      if (body.operation.type === 'acquire' && body.operation.ttlMs > TTL_MAX_MS) return 'bad-ttl';
      return validateOperation(body.operation);
    case 'renew':
    case 'read-log':
      return NAME_PATTERN.test(body.type === 'renew' ? body.lock : body.log) ? null : 'bad-name';
    case 'kv-get':
      return KEY_PATTERN.test(body.key) ? null : 'bad-key';
    case 'kv-list':
      return isPrefix(body.prefix) && body.after.length <= KEY_BYTES_MAX ? null : 'bad-key';
    case 'kv-changes':
      return isPrefix(body.prefix) ? null : 'bad-key';
    case 'member-add':
    case 'member-remove':
      return NODE_ID_PATTERN.test(body.node) ? null : 'bad-name';
    case 'transfer-leader':
      return body.node === '' || NODE_ID_PATTERN.test(body.node) ? null : 'bad-name';
    case 'lock-list':
    case 'log-list':
      return body.after === '' || NAME_PATTERN.test(body.after) ? null : 'bad-name';
  }
}
