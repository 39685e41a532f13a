/**
 * One session as its client sees it: the numbers of its requests, what it must keep room for, and its keep-alive.
 *
 * Invariants: every request of the session begins within the server's window; a request is finished (and with that its
 * number given up) once; after `end` nothing is sent in it.
 *
 * Room. The window is a range of numbers, not a count: an acquire that waits for hours pins it, and after 31 further
 * requests nothing could be sent any more, not even the release that the waiter waits for. So every handle keeps room for
 * what it must still send: 2 while it waits (a cancel, and the release if a grant beats it), 1 for each depth held.
 */

import { assert } from '../base/assert.ts';
import { CODES } from '../base/codes.ts';
import { KEEP_ALIVE_MS } from '../base/limits.ts';
import type { Timer } from '../base/ports.ts';
import type { Operation } from '../state-machine/commands.ts';
import { SequenceWindow } from '../transport/request-window.ts';
import type { RequestBody } from '../wire/client-messages.ts';
import { adaptivePace, type Pace } from './backoff.ts';
import type { Channel } from './channel.ts';
import type { Exchange } from './exchange.ts';

export interface Begun {
  readonly session: Session;
  readonly sequence: number;
  readonly exchange: Exchange;
}

export interface BeginOptions {
  readonly pace: Pace;
  readonly timeoutMs: number;
  readonly ackRestarts?: boolean;
  readonly onAck?: () => void;
  readonly retriesBusy?: boolean;
  /** The caller finishes the request itself, because it may have to ask for its answer once more. */
  readonly keep?: boolean;
}

export class Session {
  readonly id: number;
  readonly #channel: Channel;
  readonly #window = new SequenceWindow();
  readonly #exchanges = new Set<Exchange>();
  readonly #onEnd = new Set<() => void>();
  /** Told whenever there may be room again. */
  readonly #onRoom: () => void;
  readonly #timeoutMs: number;
  #reserved = 0;
  #waiting = 0;
  #ended = false;
  #sentAt: number;
  #keepAlive: Timer | null = null;

  constructor(id: number, channel: Channel, options: { timeoutMs: number; onRoom: () => void }) {
    this.id = id;
    this.#channel = channel;
    this.#timeoutMs = options.timeoutMs;
    this.#onRoom = options.onRoom;
    this.#sentAt = channel.clock.now();
    this.#watchSilence(KEEP_ALIVE_MS);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Nothing open, nothing held. */
  get idle(): boolean {
    return this.#window.openCount === 0 && this.#reserved === 0;
  }

  /** Numbers that may be used without taking another's place. */
  get room(): number {
    return this.#window.room - this.#reserved;
  }

  /** True if the window may stay where it is for long, because an acquire waits in it. */
  get pinned(): boolean {
    return this.#waiting > 0;
  }

  get reserved(): number {
    return this.#reserved;
  }

  /** Room for what a handle must still send; negative to give it back. */
  reserve(count: number): void {
    this.#reserved += count;
    assert(this.#reserved >= 0, `session ${this.id} keeps room for ${this.#reserved} requests`);
    if (count < 0) this.#onRoom();
  }

  /** An acquire begins to wait, or ends it. */
  wait(change: 1 | -1): void {
    this.#waiting += change;
  }

  /** Calls back when the session ends, until the returned function is called. */
  onEnd(listener: () => void): () => void {
    this.#onEnd.add(listener);
    return () => this.#onEnd.delete(listener);
  }

  begin(operation: Operation, options: BeginOptions): Begun {
    const sequence = this.#window.begin();
    const exchange = this.#start({ type: 'operation', operation }, sequence, options);
    if (options.keep !== true) void exchange.outcome.then(() => this.finish(sequence));
    return { session: this, sequence, exchange };
  }

  /** Asks again for the answer of a request that is kept and whose exchange was given up. */
  again(sequence: number, operation: Operation, options: BeginOptions): Exchange {
    return this.#start({ type: 'operation', operation }, sequence, options);
  }

  /** The answer of a request has been received, or will never be asked for again. */
  finish(sequence: number): void {
    this.#window.finish(sequence);
    this.#onRoom();
  }

  /** A request outside the table: a renewal or keep-alive. */
  ask(body: RequestBody, timeoutMs: number): Exchange {
    return this.#start(body, 0, { pace: adaptivePace(this.#channel.entropy), timeoutMs, retriesBusy: true });
  }

  #start(body: RequestBody, sequence: number, options: BeginOptions): Exchange {
    assert(!this.#ended, `session ${this.id} has ended`);
    this.#sentAt = this.#channel.clock.now();
    const exchange = this.#channel.start({
      body,
      session: this.id,
      sequence,
      answeredBelow: () => this.#window.answeredBelow,
      pace: options.pace,
      timeoutMs: options.timeoutMs,
      ackRestarts: options.ackRestarts ?? false,
      retriesBusy: options.retriesBusy ?? false,
      ...(options.onAck === undefined ? {} : { onAck: options.onAck }),
    });
    this.#exchanges.add(exchange);
    void exchange.outcome.then((outcome) => {
      this.#exchanges.delete(exchange);
      if (outcome.type === 'refused' && outcome.code === CODES.sessionEnded) this.end();
    });
    return exchange;
  }

  /** The server ended it, or the client closes it: all that is open is in doubt, all its locks are gone. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#keepAlive?.cancel();
    for (const exchange of [...this.#exchanges]) exchange.withdraw();
    for (const listener of [...this.#onEnd]) listener();
    this.#onEnd.clear();
    this.#onRoom();
  }

  #watchSilence(delayMs: number): void {
    const { clock } = this.#channel;
    this.#keepAlive = clock.after(delayMs, () => {
      if (this.#ended) return;
      const silentMs = clock.now() - this.#sentAt;
      if (silentMs >= KEEP_ALIVE_MS) {
        this.ask({ type: 'keep-alive' }, Math.min(this.#timeoutMs, KEEP_ALIVE_MS));
        this.#watchSilence(KEEP_ALIVE_MS);
      } else this.#watchSilence(KEEP_ALIVE_MS - silentMs);
    });
  }
}
