// Servers for tests of the client: an Endpoint whose other end is a function per address, on a manual clock. What the
// client sends is kept; a handler answers, or does not. Every message takes `latencyMs` each way.

import { hex } from '#core/base/bytes.ts';
import type { Code, Reason } from '#core/base/codes.ts';
import { Prng } from '#core/base/prng.ts';
import { Client, type ClientOptions } from '#core/client/client.ts';
import type { Answer, Operation } from '#core/state-machine/commands.ts';
import { zeroCounters } from '#core/transport/counters.ts';
import type { Address, Endpoint, EndpointCounters, Remote } from '#core/transport/interface.ts';
import { decodeRequest, encodeResponse } from '#core/wire/client-codec.ts';
import type { ClientRequest, RequestBody, ResponseBody } from '#core/wire/client-messages.ts';
import { ManualClock } from './manual-clock.ts';

export interface Sent {
  readonly at: number;
  readonly to: Address;
  readonly request: ClientRequest;
}

/** Answers one request by calling `reply`, at once, later or never. */
export type Handler = (request: ClientRequest, reply: (body: ResponseBody) => void, sent: Sent) => void;

export const A = '10.0.0.1:7700';
export const B = '10.0.0.2:7700';
export const C = '10.0.0.3:7700';

export class FakeServers implements Endpoint {
  readonly boot = hex(new Uint8Array(16).fill(7));
  readonly address = '10.0.0.9:40000';
  readonly counters: EndpointCounters = zeroCounters();
  readonly sent: Sent[] = [];
  readonly suspected: Address[] = [];
  readonly handlers = new Map<Address, Handler>();
  readonly clock: ManualClock;
  latencyMs = 1;
  closed = false;
  /** When set, messages of this size and more are delivered only when the test calls the kept callbacks. */
  slowFromBytes = Number.POSITIVE_INFINITY;
  readonly slow: (() => void)[] = [];
  #handler: (from: Remote, message: Uint8Array) => void = () => {};

  constructor(clock: ManualClock) {
    this.clock = clock;
  }

  send(to: Address, message: Uint8Array, onDelivered?: () => void): boolean {
    const decoded = decodeRequest(message);
    if (!decoded.ok) throw new Error(`the client sent what does not decode: ${decoded.problem}`);
    const sent = { at: this.clock.now(), to, request: decoded.value };
    this.sent.push(sent);
    if (message.length >= this.slowFromBytes) this.slow.push(() => onDelivered?.());
    else onDelivered?.();
    this.clock.after(this.latencyMs, () => {
      const reply = (body: ResponseBody): void => this.respond(sent, body);
      this.handlers.get(to)?.(sent.request, reply, sent);
    });
    return true;
  }

  /** Sends a response to something that was sent, as if by the server that it was sent to. */
  respond({ request, to }: Sent, body: ResponseBody, attempt = request.attempt): void {
    const message = encodeResponse({ request: request.request, attempt, body });
    this.clock.after(this.latencyMs, () => this.deliver(message, to));
  }

  deliver(message: Uint8Array, from: Address): void {
    if (!this.closed) this.#handler({ boot: 'server', keyClass: 'insecure', address: from }, message);
  }

  reply(): boolean {
    throw new Error('a client does not reply');
  }

  suspect(to: Address): void {
    this.suspected.push(to);
  }

  onMessage(handler: (from: Remote, message: Uint8Array) => void): void {
    this.#handler = handler;
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  /** What was sent of one type: of a request's body, or of an operation. */
  of(type: RequestBody['type'] | Operation['type']): Sent[] {
    return this.sent.filter(({ request: { body } }) => typeOf(body) === type || body.type === type);
  }
}

export function typeOf(body: RequestBody): RequestBody['type'] | Operation['type'] {
  return body.type === 'operation' ? body.operation.type : body.type;
}

export const answer = (value = 0, ttlMs = 0, grantAttempt = 1): ResponseBody => ({
  type: 'answer',
  answer: { code: 0, reason: 'none', value, ttlMs } satisfies Answer,
  grantAttempt,
});

/** A kept answer that says no. */
export const noAnswer = (code: Code, reason: Reason, value = 0): ResponseBody => ({
  type: 'answer',
  answer: { code, reason, value, ttlMs: 0 },
  grantAttempt: 0,
});

export const refused = (code: Code, reason: Reason, leader = ''): ResponseBody => ({
  type: 'refused',
  code,
  reason,
  leader,
});

/** A server that says yes to everything: sessions from 1, tokens from 5, offsets and revisions from 1. */
export function willing(overrides: Partial<Record<string, Handler>> = {}): Handler {
  let sessions = 0;
  let tokens = 4;
  let others = 0;
  const sessionsByNonce = new Map<string, number>();
  return (request, reply, sent) => {
    const { body } = request;
    const override = overrides[typeOf(body)] ?? overrides[body.type];
    if (override !== undefined) return override(request, reply, sent);
    switch (body.type) {
      case 'ping':
        return reply({ type: 'pong', node: 'n1' });
      case 'open-session': {
        const session = sessionsByNonce.get(body.nonce) ?? ++sessions;
        sessionsByNonce.set(body.nonce, session);
        return reply({ type: 'opened', session });
      }
      case 'keep-alive':
        return reply({ type: 'kept-alive' });
      case 'renew':
        return reply({ type: 'renewed', ttlMs: 2_000, confirmedAttempt: request.attempt });
      case 'operation':
        if (body.operation.type === 'acquire') {
          return reply(answer(++tokens, Math.max(1_600, body.operation.ttlMs), request.attempt));
        }
        return reply(answer(body.operation.type === 'release' ? 0 : ++others));
      case 'read-log':
        return reply({ type: 'records', from: body.from, count: body.from, records: [] });
      default:
        throw new Error(`the willing server was not told what to do with ${body.type}`);
    }
  };
}

export interface Scene {
  readonly clock: ManualClock;
  readonly servers: FakeServers;
  readonly client: Client;
}

/** A client of servers at A, B and C as far as they are given a handler; the first is asked first. */
export function scene(
  handlers: Partial<Record<Address, Handler>>,
  given: Partial<Omit<ClientOptions, 'endpoint' | 'clock'>> & { readonly clock?: ManualClock } = {},
): Scene {
  const { clock = new ManualClock(), ...options } = given;
  const servers = new FakeServers(clock);
  for (const [address, handler] of Object.entries(handlers)) {
    if (handler !== undefined) servers.handlers.set(address, handler);
  }
  const client = new Client({
    endpoint: servers,
    clock,
    entropy: new Prng(1),
    servers: [A],
    ...options,
  });
  return { clock, servers, client };
}

/** Lets everything that promises have started run. */
export function flush(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Lets time pass in small steps, so that what promises start in between takes its part. */
export async function pass(clock: ManualClock, ms: number, stepMs = 1): Promise<void> {
  await flush();
  for (let passed = 0; passed < ms; passed += stepMs) {
    clock.advance(Math.min(stepMs, ms - passed));
    await flush();
  }
}

/** Lets time pass until the promise settles; its value or what it throws. */
export async function settled<T>(clock: ManualClock, promise: Promise<T>, withinMs = 60_000): Promise<T> {
  let done = false;
  const mark = (): void => {
    done = true;
  };
  promise.then(mark, mark);
  await flush();
  for (let passed = 0; !done; passed++) {
    if (passed > withinMs) throw new Error(`nothing came of it within ${withinMs} ms`);
    clock.advance(1);
    await flush();
  }
  return promise;
}
