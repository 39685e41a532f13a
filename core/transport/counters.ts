/** An endpoint's counters and the reasons that they know: fixed words, so that no sender can make up a name. */

import type { EndpointCounters } from './interface.ts';

/** Why a datagram was refused. `handshake` is a hello that this end does not answer. */
export const REFUSAL_REASONS = [
  'short',
  'large',
  'magic',
  'version',
  'kind',
  'class',
  'counter',
  'wrong-boot',
  'unknown-boot',
  'rate',
  'replay',
  'seal',
  'frame',
  'fragment',
  'handshake',
  'handshake-stale',
  'wrong-cluster',
] as const;
export type Refusal = (typeof REFUSAL_REASONS)[number];

/** Why a message was given up or not accepted. */
export const DROP_REASONS = [
  'empty',
  'too-large',
  'send-queue-full',
  'too-many-destinations',
  'remote-forgotten',
  'unreachable',
  'closed',
  'reassembly-full',
  'reassembly-idle',
] as const;
export type Drop = (typeof DROP_REASONS)[number];

export function zeroCounters(): EndpointCounters {
  return {
    datagramsSent: 0,
    datagramsReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    messagesSent: 0,
    messagesReceived: 0,
    fragmentsResent: 0,
    refused: Object.fromEntries(REFUSAL_REASONS.map((reason) => [reason, 0])),
    dropped: Object.fromEntries(DROP_REASONS.map((reason) => [reason, 0])),
  };
}

export function countRefused(counters: EndpointCounters, reason: Refusal): void {
  counters.refused[reason] = (counters.refused[reason] ?? 0) + 1;
}

export function countDropped(counters: EndpointCounters, reason: Drop, count = 1): void {
  counters.dropped[reason] = (counters.dropped[reason] ?? 0) + count;
}
