/** The effects of one command while it is being applied: the same as Effects, but still growing. */

import type { Effects } from './commands.ts';

type Growing<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer Item)[] ? Item[] : T[K] };

export type EffectsDraft = Growing<Effects>;

export function noEffects(): EffectsDraft {
  return {
    answers: [],
    executed: false,
    opened: null,
    openRefused: 'none',
    granted: [],
    ended: [],
    queued: [],
    unqueued: [],
    endedSessions: [],
    files: [],
    changedLogs: [],
    kvChanges: [],
    refusedAppend: false,
  };
}
