/**
 * The entry `bramble/rpc`: the coursework's own calls by their names.
 *
 *   const rpc = new RpcConnection({ insecure: true, profile: 'coursework' });
 *   await RPC_init(rpc, 0, 7700, 'localhost');       // 0, and rpc.message is "Connected!"
 *   await RPC_lock_acquire(rpc);                     // 0 when this client has the lock
 *   await RPC_append_file(rpc, 'file_7', 'hello\n'); // 0, 1 (no such file), 2 (not the holder)
 *   await RPC_lock_release(rpc);
 *   await RPC_close(rpc);                            // 0, and rpc.message is "Disconnected!"
 *
 * Each call resolves to its code (see CODES) when the answer is there, and `rpc.message` says it in words. It
 * rejects only where there is no code: when no answer came, and so nothing is known.
 */

import type { Code } from './base/codes.ts';
import { UsageError } from './base/errors.ts';
import { type Logger, SILENT_LOGGER } from './base/ports.ts';
import { RpcCalls, type RpcProfile } from './client/rpc.ts';
import { openClientEndpoint } from './node/client-endpoint.ts';
import { nodeClock } from './node/clock.ts';
import { nodeEntropy } from './node/crypto.ts';
import { resolveToAddress } from './node/resolve.ts';

export { CODE_TABLE, CODES, type Code, type CodeRow } from './base/codes.ts';
export {
  BrambleError,
  LockLostError,
  RefusedError,
  UnknownOutcomeError,
  UnreachableError,
  UsageError,
} from './base/errors.ts';
export type { RpcProfile } from './client/rpc.ts';

export interface RpcOptions {
  /** A key file of role client. This, `key` or `insecure` must be given, and only one. */
  readonly keyFile?: string;
  /** The text of a key file. */
  readonly key?: string;
  readonly insecure?: boolean;
  /**
   * 'coursework': a resend every 2 s, 5 tries without any answer and then an error, 1 s of patience for an ACK, a lease of
   * 2 s that is not renewed. 'default': resends by the measured round trip, and renews the lease.
   */
  readonly profile?: RpcProfile;
  readonly logger?: Logger;
}

/** One client of one server: it has one lock, "files", and makes one call at a time; further ones wait their turn. */
export class RpcConnection {
  readonly calls: RpcCalls;

  constructor(options: RpcOptions) {
    const { profile = 'default', logger = SILENT_LOGGER } = options;
    if (profile !== 'default' && profile !== 'coursework') {
      throw new UsageError(`Cannot connect: profile is "${profile}", neither "coursework" nor "default"`);
    }
    this.calls = new RpcCalls(
      {
        clock: nodeClock,
        entropy: nodeEntropy,
        logger,
        open: async (sourcePort, serverPort, serverHost) => {
          const host = serverHost.includes(':') ? `[${serverHost}]` : serverHost;
          const server = await resolveToAddress(`${host}:${serverPort}`);
          const localAddress = `${server.startsWith('[') ? '[::]' : '0.0.0.0'}:${sourcePort}`;
          const endpoint = await openClientEndpoint({ ...options, logger, localAddress, towards: [server] });
          return { endpoint, server };
        },
      },
      profile,
    );
  }

  /** What the last call came to, in words. */
  get message(): string {
    return this.calls.message;
  }
}

/**
 * Binds `srcPort` (0: any free one), and connects to the server.
 *
 * @throws UnreachableError if the server does not answer
 */
export function RPC_init(
  rpc: RpcConnection,
  srcPort: number,
  dstPort: number,
  dstAddress: string,
): Promise<Code> {
  return rpc.calls.init(srcPort, dstPort, dstAddress);
}

/** Waits for the lock; 0 when this client holds it. Called while it holds it, it counts: release as often. */
export function RPC_lock_acquire(rpc: RpcConnection): Promise<Code> {
  return rpc.calls.acquire();
}

/** Appends one record: 0, 1 (no such file), 2 (this client is not, or no longer, the lock's holder), 4 (malformed). */
export function RPC_append_file(
  rpc: RpcConnection,
  fileName: string,
  data: string | Uint8Array,
): Promise<Code> {
  return rpc.calls.append(fileName, data);
}

/** 0, or 2 if this client is not, or no longer, the lock's holder. */
export function RPC_lock_release(rpc: RpcConnection): Promise<Code> {
  return rpc.calls.release();
}

/** Ends the session, which releases what it holds, and closes the socket; also if the server does not answer (rejects). */
export function RPC_close(rpc: RpcConnection): Promise<Code> {
  return rpc.calls.close();
}
