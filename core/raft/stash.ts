/**
 * Appends that overtook the ones before them: kept for a moment, since over UDP reordering is normal and sending them again
 * would cost more. Bounded; what does not fit is dropped, and the leader sends it again.
 */

import type { RaftLog } from './log.ts';
import type { RaftBody } from './messages.ts';

type Append = Extract<RaftBody, { type: 'append' }>;

const MESSAGES_MAX = 256;
const BYTES_MAX = 8 * 1_048_576;

export class Stash {
  readonly #appends = new Map<number, Append>();
  #bytes = 0;

  add(append: Append): void {
    const bytes = sizeOf(append);
    if (this.#appends.has(append.previousIndex)) return;
    if (this.#appends.size >= MESSAGES_MAX || this.#bytes + bytes > BYTES_MAX) return;
    this.#appends.set(append.previousIndex, append);
    this.#bytes += bytes;
  }

  /** Takes one that now follows what the log has, or null. */
  take(log: RaftLog): Append | null {
    for (const [previousIndex, append] of this.#appends) {
      if (log.term(previousIndex) !== append.previousTerm) continue;
      this.#appends.delete(previousIndex);
      this.#bytes -= sizeOf(append);
      return append;
    }
    return null;
  }

  clear(): void {
    this.#appends.clear();
    this.#bytes = 0;
  }
}

function sizeOf(append: Append): number {
  return append.entries.reduce((sum, entry) => sum + entry.data.length + 16, 0);
}
