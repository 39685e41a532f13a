/**
 * The real DatagramSocket: one UDP socket.
 *
 * Invariants: hosts are numeric here, nothing waits for a name; an error is counted by its code and never thrown; what the
 * kernel does not take is kept for it up to SOCKET_BUFFER_BYTES, and lost beyond. The kernel may grant less buffer than was
 * asked for without saying so; `buffers` tells what it granted.
 */

import { createSocket, type Socket } from 'node:dgram';
import { SOCKET_BUFFER_BYTES } from '../base/limits.ts';
import { formatAddress, type HostPort, parseAddress } from './address.ts';
import type { Address, DatagramSocket } from './interface.ts';

/** Addresses whose parsed form is kept; beyond it all are forgotten and parsed again. */
const PARSED_KEPT_MAX = 16_384;

export interface UdpSocket extends DatagramSocket {
  /** What the kernel granted, in bytes as it counts them (Linux counts its own overhead, too: twice what was asked). */
  readonly buffers: { readonly receiveBytes: number; readonly sendBytes: number };
  /** Errors by code, such as ENETUNREACH; `queue-full` and `bad-address` are this file's own. */
  readonly errors: Readonly<Record<string, number>>;
}

/** Binds a socket; rejects if that fails (EADDRINUSE, EACCES, …). Port 0 picks one. `host` must be numeric. */
export async function openUdpSocket(
  bind: HostPort,
  options: { bufferBytes?: number } = {},
): Promise<UdpSocket> {
  const family = bind.host.includes(':') ? 6 : 4;
  const socket = createSocket({
    type: family === 6 ? 'udp6' : 'udp4',
    // Node would ask its resolver even for a number.
    lookup: (host, _options, callback) => callback(null, host, family),
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ address: bind.host, port: bind.port }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
  return new BoundUdpSocket(socket, family, options.bufferBytes ?? SOCKET_BUFFER_BYTES);
}

class BoundUdpSocket implements UdpSocket {
  readonly address: Address;
  readonly buffers: { readonly receiveBytes: number; readonly sendBytes: number };
  readonly errors: Record<string, number> = {};
  readonly #socket: Socket;
  readonly #family: 4 | 6;
  readonly #parsed = new Map<Address, HostPort | null>();
  #closing: Promise<void> | null = null;

  constructor(socket: Socket, family: 4 | 6, bufferBytes: number) {
    this.#socket = socket;
    this.#family = family;
    const { address, port } = socket.address();
    this.address = formatAddress({ host: address, port });
    socket.on('error', this.#count);
    this.#ask(() => socket.setRecvBufferSize(bufferBytes));
    this.#ask(() => socket.setSendBufferSize(bufferBytes));
    this.buffers = { receiveBytes: socket.getRecvBufferSize(), sendBytes: socket.getSendBufferSize() };
  }

  /** Some systems refuse a size beyond their limit where Linux cuts it; then the size stays as it is. */
  #ask(set: () => void): void {
    try {
      set();
    } catch (error) {
      this.#count(error as NodeJS.ErrnoException);
    }
  }

  readonly #count = (error: Error | null): void => {
    if (error === null) return;
    const code = (error as NodeJS.ErrnoException).code ?? error.name;
    this.errors[code] = (this.errors[code] ?? 0) + 1;
  };

  #countNamed(code: string): void {
    this.errors[code] = (this.errors[code] ?? 0) + 1;
  }

  send(datagram: Uint8Array, to: Address): void {
    if (this.#closing !== null) return;
    const target = this.#target(to);
    if (target === null) return this.#countNamed('bad-address');
    if (this.#socket.getSendQueueSize() + datagram.length > SOCKET_BUFFER_BYTES) {
      return this.#countNamed('queue-full');
    }
    this.#socket.send(datagram, 0, datagram.length, target.port, target.host, this.#count);
  }

  #target(to: Address): HostPort | null {
    const known = this.#parsed.get(to);
    if (known !== undefined) return known;
    const parsed = parseAddress(to);
    const numeric = this.#family === 6 ? /:/ : /^\d+\.\d+\.\d+\.\d+$/;
    const fits = parsed !== null && parsed.port > 0 && numeric.test(parsed.host);
    if (this.#parsed.size >= PARSED_KEPT_MAX) this.#parsed.clear();
    this.#parsed.set(to, fits ? parsed : null);
    return fits ? parsed : null;
  }

  onDatagram(handler: (datagram: Uint8Array, from: Address) => void): void {
    this.#socket.on('message', (bytes, from) => {
      // A plain view: a Buffer's slice does not copy, and the code above relies on slices that do.
      const datagram = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
      handler(datagram, formatAddress({ host: from.address, port: from.port }));
    });
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => this.#socket.close(() => resolve()));
    return this.#closing;
  }
}
