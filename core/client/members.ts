/** Changing who is in the cluster, and who leads it. Every call may be repeated: what is so already is not done again. */

import { RefusedError } from '../base/errors.ts';
import { MEMBER_RETRY_MS } from '../base/limits.ts';
import type { RequestBody } from '../wire/client-messages.ts';
import { adaptivePace } from './backoff.ts';
import type { Channel } from './channel.ts';
import { type About, failure } from './outcome.ts';

type MembersBody = Extract<RequestBody, { type: 'member-add' | 'member-remove' | 'transfer-leader' }>;

export class Members {
  readonly #channel: Channel;
  readonly #timeoutMs: number;

  constructor(channel: Channel, timeoutMs: number) {
    this.#channel = channel;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Lets a server in that was started with --join and asks for it; it gets the log as a learner and becomes a voter by
   * itself. Resolves when the cluster has agreed. `address` '' takes the one that the server tells.
   *
   * @throws RefusedError code 5 with reason server-not-heard if no server of that name asks within the client's timeout
   */
  add(node: string, address = ''): Promise<void> {
    return this.#change({ type: 'member-add', node, address }, { action: `Cannot add ${node}` });
  }

  /** @throws RefusedError code 4 with reason last-voter */
  remove(node: string): Promise<void> {
    return this.#change({ type: 'member-remove', node }, { action: `Cannot remove ${node}` });
  }

  /**
   * Hands the leadership to a voter; '' lets the leader choose. Resolves when it leads no more.
   *
   * @throws RefusedError code 1 (no such voter) or 5 (nobody took over)
   */
  transferLeader(node = ''): Promise<void> {
    const to = node === '' ? '' : ` to ${node}`;
    return this.#change(
      { type: 'transfer-leader', node },
      { action: `Cannot hand the leadership over${to}` },
    );
  }

  /** A server that is not heard yet, and a change that is under way, are waited for. */
  async #change(body: MembersBody, about: About): Promise<void> {
    const { clock, entropy } = this.#channel;
    const until = clock.now() + this.#timeoutMs;
    for (;;) {
      try {
        return await this.#ask(body, about);
      } catch (error) {
        const waits =
          error instanceof RefusedError && ['server-not-heard', 'change-under-way'].includes(error.reason);
        if (!waits || clock.now() >= until) throw error;
      }
      const pauseMs = MEMBER_RETRY_MS * (0.5 + entropy.fraction());
      await new Promise<void>((resolve) => clock.after(pauseMs, resolve));
    }
  }

  async #ask(body: MembersBody, about: About): Promise<void> {
    const { entropy } = this.#channel;
    const timeoutMs = this.#timeoutMs;
    const outcome = await this.#channel.start({ body, pace: adaptivePace(entropy), timeoutMs }).outcome;
    if (outcome.type !== 'response') throw failure(about, outcome, timeoutMs);
  }
}
