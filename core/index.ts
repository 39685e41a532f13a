/**
 * The package `bramble`: a client of the lock and log service, put together with Node's sockets, clock and randomness.
 *
 *   const client = await connect({ servers: ['10.0.0.11:7700'], keyFile: '…' });
 *   await using lock = await client.lock('files', { waitMs: 10_000 });
 *   const { offset } = await client.append('file_7', 'hello\n', { lock });
 *   await client.close();
 */

import { UsageError } from './base/errors.ts';
import { type Logger, SILENT_LOGGER } from './base/ports.ts';
import { Client } from './client/client.ts';
import { openClientEndpoint } from './node/client-endpoint.ts';
import { nodeClock } from './node/clock.ts';
import { nodeEntropy } from './node/crypto.ts';
import { resolveToAddress } from './node/resolve.ts';

export { CODE_TABLE, CODES, type Code, type CodeRow, codeRow, REASONS, type Reason } from './base/codes.ts';
export {
  BrambleError,
  LockLostError,
  RefusedError,
  UnknownOutcomeError,
  UnreachableError,
  UsageError,
} from './base/errors.ts';
export type { Clock, LogFields, Logger, LogLevel } from './base/ports.ts';
export {
  type AppendOptions,
  LogRecord,
  type ReadOptions,
  type ReadResult,
  type TailOptions,
} from './client/append-log.ts';
export { Client } from './client/client.ts';
export type { KeyValues } from './client/kv.ts';
export type { LockHandle } from './client/lock.ts';
export type { LockOptions } from './client/locks.ts';
export type { ClusterStatus, Pinged, ServerView } from './client/status.ts';
export type { KvChange, LockMode, LogInfo } from './state-machine/commands.ts';
export type { KvEntry, LockInfo, MemberStatus, ServerStatus } from './wire/client-messages.ts';

export interface ConnectOptions {
  /** `host:port`, or a host alone for port 7700; names are resolved once. */
  readonly servers: readonly string[];
  /** A key file of role client, observer or cluster. This, `key` or `insecure` must be given, and only one. */
  readonly keyFile?: string;
  /** The text of a key file. */
  readonly key?: string;
  /** No encryption and no authentication; for looking at packets, against servers that were started so. */
  readonly insecure?: boolean;
  /** Bounds one answer, in milliseconds; never a wait for a lock. 10,000 by default. */
  readonly timeoutMs?: number;
  /** Told of lost locks and ended sessions; silent by default. */
  readonly logger?: Logger;
  /** `host:port` to bind, numeric; any by default. */
  readonly localAddress?: string;
}

/**
 * Opens a socket and returns a client. Nothing is sent yet: whether servers answer is seen with the first request.
 *
 * @throws UsageError if an option is wrong, KeyFileError if the key file cannot be used
 */
export async function connect(options: ConnectOptions): Promise<Client> {
  if (!Array.isArray(options.servers) || options.servers.length === 0) {
    throw new UsageError('Cannot connect: servers is empty; give at least one host:port');
  }
  const logger = options.logger ?? SILENT_LOGGER;
  const servers = [...new Set(await Promise.all(options.servers.map(resolveToAddress)))];
  const endpoint = await openClientEndpoint({ ...options, logger, towards: servers });
  try {
    const { timeoutMs } = options;
    const timeout = timeoutMs === undefined ? {} : { timeoutMs };
    return new Client({ endpoint, clock: nodeClock, entropy: nodeEntropy, logger, servers, ...timeout });
  } catch (error) {
    await endpoint.close();
    throw error;
  }
}
