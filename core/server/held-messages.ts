/**
 * Messages that must not leave before a write is durable: votes, vote requests and acknowledgements. Everything else is
 * sent at once. They leave in the order in which they were made.
 */

import type { RaftMessage } from '../raft/messages.ts';
import type { WriteNumber } from '../storage/interface.ts';

export class HeldMessages {
  #held: { readonly message: RaftMessage; readonly after: WriteNumber }[] = [];
  #durable: WriteNumber = 0;
  readonly #send: (message: RaftMessage) => void;

  constructor(send: (message: RaftMessage) => void) {
    this.#send = send;
  }

  get size(): number {
    return this.#held.length;
  }

  /** Sends when `after` is durable, which may be now. */
  add(message: RaftMessage, after: WriteNumber): void {
    if (after <= this.#durable) this.#send(message);
    else this.#held.push({ message, after });
  }

  durable(write: WriteNumber): void {
    this.#durable = Math.max(this.#durable, write);
    let count = 0;
    while (count < this.#held.length && (this.#held[count] as { after: number }).after <= this.#durable)
      count += 1;
    for (const { message } of this.#held.splice(0, count)) this.#send(message);
  }
}
