// A client without manners: it sends the messages that a test makes, byte by byte if need be, and waits for as many responses
// as the test likes.

import { SILENT_LOGGER } from '#core/base/ports.ts';
import { nodeClock } from '#core/node/clock.ts';
import { nodeCrypto, nodeEntropy } from '#core/node/crypto.ts';
import { createEndpoint } from '#core/transport/endpoint.ts';
import type { Endpoint } from '#core/transport/interface.ts';
import { openUdpSocket } from '#core/transport/udp.ts';
import { decodeResponse, encodeRequest } from '#core/wire/client-codec.ts';
import type { ClientRequest, ClientResponse, RequestBody } from '#core/wire/client-messages.ts';
import { eventually, type Teardown } from './processes.ts';

export class RawClient {
  readonly responses: ClientResponse[] = [];
  readonly #endpoint: Endpoint;
  readonly #server: string;
  #request = 0;

  private constructor(endpoint: Endpoint, server: string) {
    this.#endpoint = endpoint;
    this.#server = server;
    endpoint.onMessage((_from, message) => {
      const decoded = decodeResponse(message);
      if (decoded.ok) this.responses.push(decoded.value);
    });
  }

  static async open(t: Teardown, server: string): Promise<RawClient> {
    const socket = await openUdpSocket({ host: '127.0.0.1', port: 0 });
    const endpoint = createEndpoint({
      ...{ socket, clock: nodeClock, entropy: nodeEntropy, crypto: nodeCrypto, logger: SILENT_LOGGER },
      ...{ keys: null, role: 'client' as const },
    });
    t.teardown(() => endpoint.close());
    return new RawClient(endpoint, server);
  }

  /** Sends bytes as a message, whatever they are. */
  sendBytes(bytes: Uint8Array): void {
    this.#endpoint.send(this.#server, bytes);
  }

  /** The bytes of a request, for a test to spoil; `at` overrides numbers. */
  encode(
    body: RequestBody,
    at: Partial<ClientRequest> = {},
  ): { readonly number: number; readonly bytes: Uint8Array } {
    this.#request += 1;
    const numbers = { request: this.#request, attempt: 1, session: 0, sequence: 0, answeredBelow: 1 };
    return { number: this.#request, bytes: encodeRequest({ ...numbers, body, ...at }) };
  }

  send(body: RequestBody, at: Partial<ClientRequest> = {}): number {
    const { number, bytes } = this.encode(body, at);
    this.sendBytes(bytes);
    return number;
  }

  async response(number: number): Promise<ClientResponse['body']> {
    const find = () => this.responses.find((response) => response.request === number);
    await eventually(() => find() !== undefined, `a response to request ${number}`);
    return (find() as ClientResponse).body;
  }

  async ask(body: RequestBody, at: Partial<ClientRequest> = {}): Promise<ClientResponse['body']> {
    return this.response(this.send(body, at));
  }

  async openSession(): Promise<number> {
    const nonce = Buffer.from(nodeEntropy.bytes(16)).toString('hex');
    const body = await this.ask({ type: 'open-session', nonce, profile: 'default' });
    if (body.type !== 'opened') throw new Error(`not opened: ${body.type}`);
    return body.session;
  }
}
