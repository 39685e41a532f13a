/** Addresses in flags: hosts may be names here, they become numbers where the sockets are made. */

import { formatAddress, parseAddress as parse } from '../transport/address.ts';

export const ADDRESS_FORM = 'HOST:PORT, such as 10.0.0.11:7700 or [fd00::1]:7700';

/** `host:port` with the port filled in, or null if `text` is no address. Port 0 only where `anyPort` says so. */
export function parseAddress(text: string, options: { readonly anyPort?: boolean } = {}): string | null {
  const parsed = parse(text);
  if (parsed === null || (parsed.port === 0 && options.anyPort !== true)) return null;
  return formatAddress(parsed);
}
