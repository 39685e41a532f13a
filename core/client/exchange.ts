/**
 * One request's life: transmissions, their times, patience after an ACK, redirection to the leader, and the end.
 *
 * Invariants: every transmission has its own attempt number, from 1; the outcome is settled once; a refusal with code 5 is
 * final only if no other attempt is in doubt, because a server speaks for itself alone: an earlier attempt may lie in
 * another leader's log or still be on its way.
 */

import { assert } from '../base/assert.ts';
import { CODES, type Code, type Reason } from '../base/codes.ts';
import {
  DATAGRAM_BYTES_MAX,
  RESEND_CEILING_MS,
  ROTATE_AFTER_SILENT,
  SENT_TIMES_KEPT,
  SUSPECT_AFTER_SILENT,
  TRANSFER_BYTES_PER_MS_MIN,
} from '../base/limits.ts';
import type { Clock, Timer } from '../base/ports.ts';
import type { Address, Endpoint } from '../transport/interface.ts';
import { encodeRequest } from '../wire/client-codec.ts';
import type { ClientResponse, RequestBody, ResponseBody } from '../wire/client-messages.ts';
import type { Pace } from './backoff.ts';
import type { LeaderTracker } from './leader-tracker.ts';

type AnswerBody = Exclude<ResponseBody, { type: 'ack' | 'refused' }>;

export type Outcome =
  | { readonly type: 'response'; readonly body: AnswerBody; readonly attempt: number }
  /** `inDoubt`: an attempt other than the refused ones may have been begun. */
  | { readonly type: 'refused'; readonly code: Code; readonly reason: Reason; readonly inDoubt: boolean }
  /** Given up. `sent`: transmissions; `refusal`: what a server last said, or null if none said anything. */
  | {
      readonly type: 'silent';
      readonly sent: number;
      readonly to: Address;
      readonly inDoubt: boolean;
      readonly refusal: Reason | null;
    }
  /** Its session ended or its client closed. */
  | { readonly type: 'withdrawn'; readonly inDoubt: boolean };

export interface ExchangeOptions {
  readonly body: RequestBody;
  readonly session?: number;
  readonly sequence?: number;
  /** Asked at every transmission, since it grows. */
  readonly answeredBelow?: () => number;
  readonly pace: Pace;
  /** The time without the answer after which the exchange gives up; Infinity: only by the pace's tries. */
  readonly timeoutMs: number;
  /** An ACK starts the time anew: for an acquire that waits in its queue. */
  readonly ackRestarts?: boolean;
  /** A server that is too busy is asked again: for reads and renewals, which cost nothing. */
  readonly retriesBusy?: boolean;
  /** Only this server is asked. */
  readonly pinned?: Address;
  /** Called at every ACK: a server has the request and works on it. */
  readonly onAck?: () => void;
}

export interface ExchangePorts {
  readonly clock: Clock;
  readonly endpoint: Endpoint;
  readonly tracker: LeaderTracker;
}

/** Refusals after which the same request goes to another server or is sent again a little later. */
const TRANSIENT: readonly Reason[] = ['not-leader', 'no-leader', 'shutting-down'];
const BUSY: readonly Reason[] = ['queue-full', 'disk-stalled'];
/** Redirections in a row that are followed at once; beyond, servers that point at each other get a pause. */
const REDIRECTS_AT_ONCE = 2;

const ANSWER_OF: Readonly<Record<RequestBody['type'], ResponseBody['type']>> = {
  ping: 'pong',
  status: 'status',
  'open-session': 'opened',
  'keep-alive': 'kept-alive',
  operation: 'answer',
  renew: 'renewed',
  'read-log': 'records',
  'kv-get': 'kv-value',
  'kv-list': 'kv-entries',
  'kv-changes': 'kv-changes',
  'lock-list': 'locks',
  'log-list': 'logs',
  'member-add': 'changed',
  'member-remove': 'changed',
  'transfer-leader': 'changed',
};

/** Answers that come when there is news, not when the question arrives, measure no round trip. */
function answersAtOnce(body: RequestBody): boolean {
  if (body.type === 'operation') return body.operation.type !== 'acquire';
  if (body.type === 'member-add' || body.type === 'member-remove' || body.type === 'transfer-leader')
    return false;
  return !('waitMs' in body) || body.waitMs === 0;
}

export class Exchange {
  readonly request: number;
  readonly outcome: Promise<Outcome>;
  readonly #ports: ExchangePorts;
  readonly #options: ExchangeOptions;
  readonly #settle: (outcome: Outcome) => void;
  #pace: Pace;
  #settled = false;
  #timer: Timer | null = null;
  #giveUpAt: number;
  #attempt = 0;
  /** Send times of the newest attempts. */
  readonly #sent = new Map<number, { readonly at: number; readonly to: Address; readonly small: boolean }>();
  #to: Address;
  /** Transmissions since anything was heard; and of these, to the present server. */
  #silent = 0;
  #silentHere = 0;
  #refusals = 0;
  #redirects = 0;
  #refusal: Reason | null = null;
  /** Attempts that certainly were not begun. Not counted any more once an ACK said that one was. */
  readonly #notBegun = new Set<number>();
  #begun = false;
  #lastAttempt = 0;

  constructor(request: number, ports: ExchangePorts, options: ExchangeOptions, done: () => void) {
    this.request = request;
    this.#ports = ports;
    this.#options = options;
    this.#pace = options.pace;
    this.#to = options.pinned ?? ports.tracker.current;
    this.#giveUpAt = ports.clock.now() + options.timeoutMs;
    let resolve: (outcome: Outcome) => void = () => {};
    this.outcome = new Promise((settle) => {
      resolve = settle;
    });
    this.#settle = (outcome) => {
      assert(!this.#settled, `request ${request} settled twice`);
      this.#settled = true;
      this.#timer?.cancel();
      done();
      resolve(outcome);
    };
    this.#transmit();
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** True once a server acknowledged or answered: somebody is there and knows the request. */
  get acknowledged(): boolean {
    return this.#begun;
  }

  /** The address of the server that is asked now. */
  get server(): Address {
    return this.#to;
  }

  /** When an attempt was sent, on the clock; null if it is unknown or too old. */
  sentAt(attempt: number): number | null {
    return this.#sent.get(attempt)?.at ?? null;
  }

  /** No more patience: what is asked for is about to be decided. */
  hurry(pace: Pace): void {
    if (this.#settled) return;
    this.#pace = pace;
    this.#giveUpAt = this.#ports.clock.now() + this.#options.timeoutMs;
    this.#silent = 0;
    this.#transmit();
  }

  /** Ends it from this side: nothing more is sent, and answers are not waited for. */
  withdraw(): void {
    if (!this.#settled) this.#settle({ type: 'withdrawn', inDoubt: this.#inDoubt });
  }

  get #inDoubt(): boolean {
    return this.#begun || this.#notBegun.size < this.#attempt;
  }

  #transmit(): void {
    const { clock, endpoint, tracker } = this.#ports;
    const { body, session = 0, sequence = 0, answeredBelow, pinned } = this.#options;
    const to = pinned ?? tracker.current;
    if (to !== this.#to) this.#silentHere = 0;
    this.#to = to;
    const attempt = ++this.#attempt;
    this.#silent++;
    this.#silentHere++;
    const message = encodeRequest({
      request: this.request,
      attempt,
      session,
      sequence,
      answeredBelow: answeredBelow?.() ?? 1,
      body,
    });
    const small = message.length < DATAGRAM_BYTES_MAX / 2;
    const at = clock.now();
    this.#sent.set(attempt, { at, to, small });
    this.#sent.delete(attempt - SENT_TIMES_KEPT);
    const pauseMs = (): number => this.#pace.afterSilence(this.#silent, tracker.estimate(to).timeoutMs);
    // While a message of many fragments is on its way, sending it again would only be in its own way.
    let delivered = small;
    const sent = endpoint.send(to, message, () => {
      if (delivered) return;
      delivered = true;
      // What took long to deliver takes long to work on, and is costly to send again.
      if (this.#attempt === attempt && !this.#settled && this.#silent > 0) {
        this.#arm(Math.max(pauseMs(), clock.now() - at));
      }
    });
    if (!sent) this.#notBegun.add(attempt);
    if (delivered || !sent) this.#arm(pauseMs());
    else this.#arm(RESEND_CEILING_MS + message.length / TRANSFER_BYTES_PER_MS_MIN);
  }

  #arm(delayMs: number): void {
    const { clock } = this.#ports;
    this.#timer?.cancel();
    this.#timer = clock.after(Math.max(0, Math.min(delayMs, this.#giveUpAt - clock.now())), () =>
      this.#wake(),
    );
  }

  #wake(): void {
    if (this.#settled) return;
    const { clock, endpoint, tracker } = this.#ports;
    const { triesMax } = this.#pace;
    if (clock.now() >= this.#giveUpAt) return this.#giveUp();
    if (triesMax !== null && (this.#silent >= triesMax || this.#refusals >= triesMax)) return this.#giveUp();
    if (this.#silentHere >= SUSPECT_AFTER_SILENT) {
      endpoint.suspect(this.#to);
      // A server that was never heard gets less patience than one that was.
      const known = tracker.estimate(this.#to).smoothedMs !== null;
      if (!known || this.#silentHere >= ROTATE_AFTER_SILENT) {
        tracker.leave(this.#to);
        this.#silentHere = 0;
      }
    }
    this.#transmit();
  }

  #giveUp(): void {
    this.#settle({
      type: 'silent',
      sent: this.#attempt,
      to: this.#to,
      inDoubt: this.#inDoubt,
      refusal: this.#refusal,
    });
  }

  /** Takes a response to this request; one that does not fit is ignored and false. */
  onResponse(response: ClientResponse): boolean {
    const { attempt, body } = response;
    if (this.#settled || attempt < 1 || attempt > this.#attempt) return false;
    const expected = ANSWER_OF[this.#options.body.type];
    if (body.type !== 'ack' && body.type !== 'refused' && body.type !== expected) return false;
    this.#measure(attempt, body);
    this.#silent = 0;
    this.#silentHere = 0;
    switch (body.type) {
      case 'ack':
        this.#onAck();
        break;
      case 'refused':
        this.#onRefused(attempt, body);
        break;
      case 'answer':
        // An ended session executes nothing, but an earlier attempt may have come before its end.
        if (body.answer.code === CODES.sessionEnded) {
          this.#onRefused(attempt, { type: 'refused', code: 7, reason: body.answer.reason, leader: '' });
          break;
        }
        this.#settle({ type: 'response', body, attempt });
        break;
      default:
        this.#settle({ type: 'response', body, attempt });
    }
    return true;
  }

  #measure(attempt: number, body: ResponseBody): void {
    const { clock, tracker } = this.#ports;
    const sent = this.#sent.get(attempt);
    // The first response to an attempt measures; a repeated one would count the network's doubling.
    if (sent === undefined || !sent.small || attempt <= this.#lastAttempt) return;
    this.#lastAttempt = attempt;
    if (body.type === 'ack' || body.type === 'refused' || answersAtOnce(this.#options.body)) {
      tracker.estimate(sent.to).sample(clock.now() - sent.at);
    }
  }

  #onAck(): void {
    const { clock, tracker } = this.#ports;
    this.#begun = true;
    this.#notBegun.clear();
    this.#refusals = 0;
    this.#redirects = 0;
    if (this.#options.ackRestarts === true) this.#giveUpAt = clock.now() + this.#options.timeoutMs;
    this.#arm(this.#pace.afterAck(tracker.estimate(this.#to).timeoutMs));
    this.#options.onAck?.();
  }

  #onRefused(attempt: number, body: Extract<ResponseBody, { type: 'refused' }>): void {
    const { code, reason, leader } = body;
    if (code === CODES.inProgress) return this.#onAck();
    this.#refusal = reason;
    if (!this.#begun) this.#notBegun.add(attempt);
    const numbered = (this.#options.sequence ?? 0) > 0;
    const wait =
      code === CODES.unavailable &&
      (TRANSIENT.includes(reason)
        ? this.#options.pinned === undefined
        : (numbered && this.#inDoubt) || (this.#options.retriesBusy === true && BUSY.includes(reason)));
    if (!wait) return this.#settle({ type: 'refused', code, reason, inDoubt: numbered && this.#inDoubt });
    // An older attempt's refusal says nothing about where the newest one is.
    if (attempt < this.#attempt) return;
    this.#turn(reason, leader);
  }

  /** The server could not begin: goes to the leader at once, or to the next server after a pause. */
  #turn(reason: Reason, leader: Address): void {
    const { tracker } = this.#ports;
    if (
      reason === 'not-leader' &&
      leader !== '' &&
      leader !== this.#to &&
      this.#redirects < REDIRECTS_AT_ONCE
    ) {
      this.#redirects++;
      tracker.follow(leader);
      return this.#transmit();
    }
    this.#redirects = 0;
    this.#refusals++;
    if (reason === 'not-leader' && leader !== '') tracker.follow(leader);
    else if (TRANSIENT.includes(reason)) tracker.leave(this.#to);
    this.#arm(this.#pace.afterRefusal(this.#refusals));
  }
}
