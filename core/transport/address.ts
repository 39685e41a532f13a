/** Addresses as text: `host:port`, an IPv6 host in brackets. */

import { PORT_DEFAULT } from '../base/limits.ts';
import type { Address } from './interface.ts';

export interface HostPort {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

export function formatAddress({ host, port }: HostPort): Address {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The parts of `host:port`, `[v6]:port`, or a host alone (then the default port); null if it is neither. */
export function parseAddress(text: string, portDefault: number = PORT_DEFAULT): HostPort | null {
  const match = /^(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return null;
  const host = match[1] ?? (match[2] as string);
  const port = match[3] === undefined ? portDefault : Number(match[3]);
  return port > 65_535 ? null : { host, port };
}
