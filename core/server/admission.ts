/**
 * Whether the leader may append a command now. Growing commands need room on the disk; those that free or keep are let in
 * for as long as there is a queue to put them into. A refusal here is code 5 and means: never begun.
 */

import { unreachable } from '../base/assert.ts';
import type { Reason } from '../base/codes.ts';
import { UNPERSISTED_BYTES_MAX } from '../base/limits.ts';
import type { Operation } from '../state-machine/commands.ts';
import type { SpaceState } from '../storage/interface.ts';

/** True for what makes the log, the files or the tables grow for good. */
export function isGrowing(operation: Operation): boolean {
  switch (operation.type) {
    case 'acquire':
    case 'append':
    case 'create-log':
    case 'kv-put':
    case 'kv-cas':
      return true;
    case 'cancel':
    case 'release':
    case 'force-release':
    case 'delete-log':
    case 'trim-log':
    case 'kv-delete':
    case 'close-session':
      return false;
    default:
      return unreachable(operation);
  }
}

export interface Load {
  readonly space: SpaceState;
  readonly unpersistedBytes: number;
  readonly stopping: boolean;
}

/** The reason for which a command is not admitted, or null. */
export function admit(growing: boolean, load: Load): Reason | null {
  if (load.stopping) return 'shutting-down';
  if (growing && load.space !== 'ok') return 'disk-full';
  // What frees may fill the queue further than what grows, so that a release still finds a place in it.
  if (load.unpersistedBytes > (growing ? UNPERSISTED_BYTES_MAX : 2 * UNPERSISTED_BYTES_MAX))
    return 'disk-stalled';
  return null;
}
