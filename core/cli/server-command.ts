/** Puts one server together: sockets, disk, clock, keys, and the loop between them. */

import type { Context } from './command.ts';
import { badConfiguration } from './exit.ts';
import type { ServerConfig } from './server-config.ts';

/** Runs until it is told to stop; resolves to the exit code. */
export async function runServer(config: ServerConfig, _context: Context): Promise<number> {
  throw badConfiguration(`Cannot start server ${config.node}: this build has no server`);
}
