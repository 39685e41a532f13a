/** Requests that change nothing: they need no session, are repeated freely, and their failures are always definite. */

import { assert } from '../base/assert.ts';
import { PARKED_RESEND_MS } from '../base/limits.ts';
import type { RequestBody, ResponseBody } from '../wire/client-messages.ts';
import { adaptivePace } from './backoff.ts';
import type { Channel } from './channel.ts';
import { type About, readFailure } from './outcome.ts';

type Answer<T extends ResponseBody['type']> = Extract<ResponseBody, { type: T }>;

export class Reader {
  readonly #channel: Channel;
  readonly #timeoutMs: number;

  constructor(channel: Channel, timeoutMs: number) {
    this.#channel = channel;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * @throws RefusedError when a server says no, UnreachableError when none answers within the timeout (a parked read's
   *   own time comes on top), the signal's reason when it is aborted
   */
  async ask<T extends ResponseBody['type']>(
    about: About,
    body: RequestBody,
    type: T,
    signal?: AbortSignal,
  ): Promise<Answer<T>> {
    signal?.throwIfAborted();
    const waitMs = 'waitMs' in body ? body.waitMs : 0;
    const timeoutMs = this.#timeoutMs + waitMs;
    const exchange = this.#channel.start({
      body,
      pace: adaptivePace(this.#channel.entropy, waitMs > 0 ? PARKED_RESEND_MS : null),
      timeoutMs,
      retriesBusy: true,
    });
    const aborted = (): void => exchange.withdraw();
    signal?.addEventListener('abort', aborted, { once: true });
    const outcome = await exchange.outcome;
    signal?.removeEventListener('abort', aborted);
    signal?.throwIfAborted();
    if (outcome.type !== 'response') throw readFailure(about, outcome, timeoutMs);
    assert(outcome.body.type === type, `${body.type} answered with ${outcome.body.type}`);
    return outcome.body as Answer<T>;
  }
}
