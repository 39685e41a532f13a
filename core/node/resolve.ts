/** Names to numbers, at the edge: everything inside speaks to numeric addresses. */

import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { UsageError } from '../base/errors.ts';
import { formatAddress, type HostPort, parseAddress } from '../transport/address.ts';
import type { Address } from '../transport/interface.ts';

/**
 * The numeric form of `host:port` (or a host alone, with the default port). IPv4 is preferred where a name has both, since
 * a socket speaks one of them. Throws UsageError if the text is no address, or if the name is not known.
 */
export async function resolveAddress(text: string): Promise<HostPort> {
  const parsed = parseAddress(text);
  if (parsed === null) {
    throw new UsageError(`Cannot use address "${text}": it is not host:port with a port of at most 65535`);
  }
  if (isIP(parsed.host) !== 0) return parsed;
  try {
    const { address } = await lookup(parsed.host, { order: 'ipv4first' });
    return { host: address, port: parsed.port };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(
      `Cannot resolve "${parsed.host}" (${code ?? String(error)}): give an IP address or fix the name`,
    );
  }
}

/** As `resolveAddress`, as text. */
export async function resolveToAddress(text: string): Promise<Address> {
  return formatAddress(await resolveAddress(text));
}
