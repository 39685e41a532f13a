// Endpoints on a network in memory, with real keys and a seed behind everything else.

import { utf8Text } from '#core/base/bytes.ts';
import type { Entropy } from '#core/base/ports.ts';
import { SILENT_LOGGER } from '#core/base/ports.ts';
import { Prng } from '#core/base/prng.ts';
import { nodeCrypto } from '#core/node/crypto.ts';
import { createEndpoint, type EndpointOptions } from '#core/transport/endpoint.ts';
import type { Address, Endpoint, Remote } from '#core/transport/interface.ts';
import { clientKeyRing, deriveKey, type Key, newClusterKey, serverKeyRing } from '#core/wire/keys.ts';
import { ManualClock } from './manual-clock.ts';
import { type Conditions, MemoryNetwork } from './memory-network.ts';

export const CLUSTER_ID = new Uint8Array(16).fill(0xc1);
export const CLUSTER_KEY: Key = newClusterKey(new Prng(0x5eed));
const CLIENT_KEY = deriveKey({ crypto: nodeCrypto, key: CLUSTER_KEY, role: 'client' }) as Key;

export interface Received {
  readonly from: Remote;
  readonly message: Uint8Array;
}

export interface Party {
  readonly address: Address;
  readonly endpoint: Endpoint;
  readonly received: Received[];
  /** What was received, as text. */
  texts(): (string | null)[];
}

/** An endpoint at `address` that keeps what it receives, until a test sets a handler of its own. */
export function party(options: {
  network: MemoryNetwork;
  clock: ManualClock;
  entropy: Entropy;
  address: Address;
  role: 'server' | 'client';
  insecure?: boolean;
  more?: Partial<EndpointOptions>;
}): Party {
  const { network, clock, entropy, address, role } = options;
  const keys =
    role === 'server' ? serverKeyRing(nodeCrypto, CLUSTER_KEY) : clientKeyRing(nodeCrypto, CLIENT_KEY);
  const endpoint = createEndpoint({
    socket: network.socket(address),
    clock,
    entropy,
    crypto: nodeCrypto,
    logger: SILENT_LOGGER,
    keys: options.insecure === true ? null : keys,
    role,
    clusterId: CLUSTER_ID,
    ...options.more,
  });
  const received: Received[] = [];
  endpoint.onMessage((from, message) => received.push({ from, message }));
  return { address, endpoint, received, texts: () => received.map(({ message }) => utf8Text(message)) };
}

export const SERVER_ADDRESS = '10.0.0.1:7700';
export const CLIENT_ADDRESS = '10.0.0.9:40000';

/** A server and a client. */
export function pair(
  options: {
    seed: number;
    insecure?: boolean;
    server?: Partial<EndpointOptions>;
    client?: Partial<EndpointOptions>;
  } & Partial<Conditions>,
) {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock, ...options });
  const entropy = new Prng(options.seed + 1_000_000);
  const common = { network, clock, entropy, insecure: options.insecure ?? false };
  const server = party({ ...common, address: SERVER_ADDRESS, role: 'server', more: options.server ?? {} });
  const client = party({ ...common, address: CLIENT_ADDRESS, role: 'client', more: options.client ?? {} });
  return { clock, network, entropy, server, client };
}
