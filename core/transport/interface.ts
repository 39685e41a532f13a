/**
 * What the code above needs of a network: datagrams (the lower port, made by core/node or a simulator), and messages of
 * any size between authenticated boots (the upper one, made by transport/endpoint.ts).
 */

import type { KeyClass } from '../wire/frame.ts';

export type { KeyClass } from '../wire/frame.ts';

/** `host:port`; IPv6 in brackets. Hosts are numeric here: names are resolved at the edge. */
export type Address = string;

/** Unordered, unreliable, bounded: like UDP. Sending never blocks and never throws; what cannot be sent is lost. */
export interface DatagramSocket {
  readonly address: Address;
  send(datagram: Uint8Array, to: Address): void;
  /** One handler; set once, before anything arrives. */
  onDatagram(handler: (datagram: Uint8Array, from: Address) => void): void;
  close(): Promise<void>;
}

/** The other end of an exchange, as authenticated: one boot of one program. Kept and used for replies. */
export interface Remote {
  /** 32 hexadecimal digits, random at each start of the sender. */
  readonly boot: string;
  readonly keyClass: KeyClass;
  /** Where its newest authentic datagram came from; changes when it moves. */
  readonly address: Address;
}

/** Counters of an endpoint; each only grows. Names are the reasons. */
export interface EndpointCounters {
  datagramsSent: number;
  datagramsReceived: number;
  bytesSent: number;
  bytesReceived: number;
  messagesSent: number;
  messagesReceived: number;
  fragmentsResent: number;
  /** Datagrams refused, by reason: 'short' | 'magic' | 'version' | 'class' | 'seal' | 'replay' | 'frame' | 'fragment' | … */
  refused: Record<string, number>;
  /** Messages given up or not accepted, by reason: 'too-large' | 'reassembly-full' | 'reassembly-idle' | 'send-queue-full' | 'unreachable' | … */
  dropped: Record<string, number>;
}

/** Messages up to MESSAGE_BYTES_MAX, sealed, fragmented and put together again; each may still be lost or doubled. */
export interface Endpoint {
  readonly boot: string;
  readonly address: Address;
  readonly counters: EndpointCounters;
  /**
   * Sends towards an address, saying hello first where the boot there is not known or has gone silent. Returns false if
   * the message was dropped at once (queue full). `onDelivered` is called when every fragment of a message that needed
   * fragments was acknowledged, or at once for a message that fits one datagram; it says nothing about the answer.
   */
  send(to: Address, message: Uint8Array, onDelivered?: () => void): boolean;
  /** Sends back to whoever sent something. */
  reply(to: Remote, message: Uint8Array): boolean;
  /** The boot behind an address may have changed (no answers come): says hello again before the next message. */
  suspect(to: Address): void;
  onMessage(handler: (from: Remote, message: Uint8Array) => void): void;
  close(): Promise<void>;
}
