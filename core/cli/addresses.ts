/**
 * Addresses as people write them: `host:port`, a host alone (then the default port), IPv6 in brackets. Hosts may be names
 * here; they become numbers where the sockets are made.
 */

import { PORT_DEFAULT } from '../base/limits.ts';

export const ADDRESS_FORM = 'HOST:PORT, such as 10.0.0.11:7700 or [fd00::1]:7700';

/** `host:port` with the port filled in, or null if `text` is no address. Port 0 only where `anyPort` says so. */
export function parseAddress(text: string, options: { readonly anyPort?: boolean } = {}): string | null {
  const match = /^(\[[0-9a-fA-F:.%a-z]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text);
  if (match === null) return null;
  const port = match[2] === undefined ? PORT_DEFAULT : Number(match[2]);
  if (port > 65_535 || (port === 0 && options.anyPort !== true)) return null;
  return `${match[1]}:${port}`;
}
