/** A client's endpoint over a real UDP socket, with its key: what the library's entries have in common. */

import { UsageError } from '../base/errors.ts';
import type { Logger } from '../base/ports.ts';
import { parseAddress } from '../transport/address.ts';
import { createEndpoint } from '../transport/endpoint.ts';
import type { Address, Endpoint } from '../transport/interface.ts';
import { openUdpSocket } from '../transport/udp.ts';
import { clientKeyRing, type KeyRing, parseKeyFile } from '../wire/keys.ts';
import { nodeClock } from './clock.ts';
import { nodeCrypto, nodeEntropy } from './crypto.ts';
import { readKeyFile } from './keys-file.ts';

export interface ClientEndpointOptions {
  readonly keyFile?: string;
  /** The text of a key file. */
  readonly key?: string;
  readonly insecure?: boolean;
  readonly logger: Logger;
  /** `host:port` to bind; any by default. */
  readonly localAddress?: string;
  /** Numeric addresses of the servers: they say which family the socket must have. */
  readonly towards: readonly Address[];
}

export async function openClientEndpoint(options: ClientEndpointOptions): Promise<Endpoint> {
  const keys = await readKeys(options);
  const bind = bindAddress(options);
  const socket = await openUdpSocket(bind).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`Cannot bind ${bind.host}:${bind.port}: ${error.code ?? error.message}`);
  });
  const { logger } = options;
  return createEndpoint({
    socket,
    clock: nodeClock,
    entropy: nodeEntropy,
    crypto: nodeCrypto,
    logger,
    keys,
    role: 'client',
  });
}

/** Null: insecure. */
async function readKeys({
  keyFile,
  key,
  insecure = false,
  logger,
}: ClientEndpointOptions): Promise<KeyRing | null> {
  const given = [keyFile, key, insecure || undefined].filter((one) => one !== undefined);
  if (given.length !== 1) {
    throw new UsageError('Cannot connect: give one of keyFile, key and insecure');
  }
  if (insecure) return null;
  if (keyFile !== undefined) {
    const read = await readKeyFile(keyFile, ['client', 'observer', 'cluster']);
    for (const warning of read.warnings) logger.log('warn', warning);
    return clientKeyRing(nodeCrypto, read.key);
  }
  const parsed = parseKeyFile(key as string);
  if (typeof parsed === 'string') throw new UsageError(`Cannot use the key given: ${parsed}`);
  return clientKeyRing(nodeCrypto, parsed);
}

function bindAddress({ localAddress, towards }: ClientEndpointOptions): { host: string; port: number } {
  const families = new Set(towards.map((address) => (address.startsWith('[') ? 6 : 4)));
  if (families.size > 1) {
    throw new UsageError(
      `Cannot connect: ${towards.join(', ')} mix IPv4 and IPv6; give addresses of one kind`,
    );
  }
  if (localAddress === undefined) return { host: families.has(6) ? '::' : '0.0.0.0', port: 0 };
  const bind = parseAddress(localAddress, 0);
  if (bind === null) throw new UsageError(`Cannot bind "${localAddress}": it is not host:port`);
  return bind;
}
