/** The two shapes of a kept answer: done with a value, or refused with a code and a reason. */

import { CODES, type Code, type Reason } from '../base/codes.ts';
import type { Answer } from './commands.ts';

export function done(value = 0, ttlMs = 0): Answer {
  return { code: CODES.done, reason: 'none', value, ttlMs };
}

export function refused(code: Code, reason: Reason, value = 0): Answer {
  return { code, reason, value, ttlMs: 0 };
}
