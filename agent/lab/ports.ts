/** Which UDP port the lab's server gets. */

import { createSocket } from 'node:dgram';

export const PORT_DEFAULT = 7_710;
/** Ports tried, from the first, when none was asked for. */
const PORTS_TRIED = 100;

/**
 * The ports that are free now: the one asked for, or all from the default on. A port may be taken before it is used, so
 * whoever did not ask for one tries the next.
 */
export async function* freePorts(asked: number | null): AsyncGenerator<number, void, undefined> {
  const first = asked ?? PORT_DEFAULT;
  const last = asked === null ? first + PORTS_TRIED : first + 1;
  for (let port = first; port < last; port++) {
    if (await isFree(port)) yield port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done, fail) => {
    const socket = createSocket('udp4');
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close();
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') done(false);
      else fail(error);
    });
    socket.bind(port, '127.0.0.1', () => socket.close(() => done(true)));
  });
}
