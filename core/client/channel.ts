/**
 * The client's end of the wire: numbers its exchanges and leads each response to its own. What does not decode, or answers
 * nothing that is open, is counted and dropped.
 */

import { type Clock, type Entropy, type Logger, SILENT_LOGGER } from '../base/ports.ts';
import type { Endpoint } from '../transport/interface.ts';
import { decodeResponse } from '../wire/client-codec.ts';
import { Exchange, type ExchangeOptions } from './exchange.ts';
import type { LeaderTracker } from './leader-tracker.ts';

export interface ChannelOptions {
  readonly endpoint: Endpoint;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly tracker: LeaderTracker;
  readonly logger?: Logger;
}

export interface ChannelCounters {
  /** Responses that do not decode. */
  malformed: number;
  /** Responses to requests that are not open any more, or that they do not fit: late, doubled or wrong. */
  stray: number;
}

export class Channel {
  readonly endpoint: Endpoint;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly tracker: LeaderTracker;
  readonly logger: Logger;
  readonly counters: ChannelCounters = { malformed: 0, stray: 0 };
  readonly #open = new Map<number, Exchange>();
  #next = 1;

  constructor(options: ChannelOptions) {
    this.endpoint = options.endpoint;
    this.clock = options.clock;
    this.entropy = options.entropy;
    this.tracker = options.tracker;
    this.logger = options.logger ?? SILENT_LOGGER;
    this.endpoint.onMessage((_from, message) => this.#onMessage(message));
  }

  get openCount(): number {
    return this.#open.size;
  }

  start(options: ExchangeOptions): Exchange {
    const request = this.#next++;
    const exchange = new Exchange(request, this, options, () => this.#open.delete(request));
    this.#open.set(request, exchange);
    return exchange;
  }

  /** Withdraws whatever is open and closes the endpoint. */
  async close(): Promise<void> {
    for (const exchange of [...this.#open.values()]) exchange.withdraw();
    await this.endpoint.close();
  }

  #onMessage(message: Uint8Array): void {
    const decoded = decodeResponse(message);
    if (!decoded.ok) {
      this.counters.malformed++;
      return;
    }
    const taken = this.#open.get(decoded.value.request)?.onResponse(decoded.value) ?? false;
    if (!taken) this.counters.stray++;
  }
}
