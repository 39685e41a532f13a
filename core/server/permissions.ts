/** Which requests a key's class may send. Observers look at how the cluster is, and never at what people stored. */

import { unreachable } from '../base/assert.ts';
import type { KeyClass } from '../transport/interface.ts';
import type { RequestBody } from '../wire/client-messages.ts';

export function mayRequest(keyClass: KeyClass, type: RequestBody['type']): boolean {
  switch (keyClass) {
    case 'insecure':
    case 'client':
      return true;
    case 'observer':
      return type === 'ping' || type === 'status' || type === 'lock-list' || type === 'log-list';
    case 'peer':
      // Servers talk to each other in Raft's messages, never as clients.
      return false;
    default:
      return unreachable(keyClass);
  }
}
