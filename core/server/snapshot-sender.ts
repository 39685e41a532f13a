/**
 * The leader's side of a snapshot on its way: it offers, and the follower fetches at its own pace, so that a slow one holds
 * nobody up. Of the append-only files only what the follower lacks is sent, and only where both have the same chain value.
 *
 * Nothing is remembered of what was sent: every part is asked for by its place, and may be asked for again.
 */

import { SNAPSHOT_IDLE_MS, SNAPSHOT_PART_BYTES } from '../base/limits.ts';
import type { Clock, Logger } from '../base/ports.ts';
import type { ServerId } from '../raft/types.ts';
import type { Storage } from '../storage/interface.ts';
import { encodePeerMessage, encodeSnapshotPayload, type SnapshotPayload } from '../wire/peer-codec.ts';
import type { PeerMessage } from '../wire/peer-messages.ts';

const OFFER_EVERY_MS = 500;

interface Offer {
  readonly index: number;
  readonly bytes: Uint8Array;
  heardAt: number;
}

export interface SnapshotSenderOptions {
  readonly self: ServerId;
  readonly storage: Storage;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly send: (node: string, message: Uint8Array) => void;
  readonly term: () => number;
  /** What is applied now. */
  readonly take: () => SnapshotPayload;
  /** The follower has it up to `index`, or did not get it (null). */
  readonly finished: (node: string, index: number | null) => void;
}

type Fetch<T extends PeerMessage['type']> = Extract<PeerMessage, { type: T }>;

export class SnapshotSender {
  readonly #options: SnapshotSenderOptions;
  readonly #offers = new Map<string, Offer>();
  #offeredAt = Number.NEGATIVE_INFINITY;

  constructor(options: SnapshotSenderOptions) {
    this.#options = options;
  }

  /** A member needs a snapshot. */
  begin(node: string): void {
    const { take, clock, logger } = this.#options;
    const payload = take();
    const bytes = encodeSnapshotPayload(payload);
    this.#offers.set(node, { index: payload.index, bytes, heardAt: clock.now() });
    logger.log('info', `${node} needs a snapshot`, { index: payload.index, bytes: bytes.length });
    this.#offer(node);
  }

  #offer(node: string): void {
    const offer = this.#offers.get(node);
    if (offer === undefined) return;
    const { self, term, send } = this.#options;
    const { index, bytes } = offer;
    const type = 'snapshot-offer';
    send(node, encodePeerMessage({ type, from: self, term: term(), index, sizeBytes: bytes.length }));
  }

  tick(): void {
    const { clock, finished, logger } = this.#options;
    const now = clock.now();
    if (now - this.#offeredAt < OFFER_EVERY_MS) return;
    this.#offeredAt = now;
    for (const [node, offer] of [...this.#offers]) {
      if (now - offer.heardAt > SNAPSHOT_IDLE_MS) {
        logger.log('warn', `${node} does not fetch its snapshot`, { index: offer.index });
        this.#offers.delete(node);
        finished(node, null);
      } else if (now - offer.heardAt > OFFER_EVERY_MS) this.#offer(node);
    }
  }

  receive(message: PeerMessage): void {
    const { node } = message.from;
    const offer = this.#offers.get(node);
    if (offer === undefined || !('index' in message) || message.index !== offer.index) return;
    offer.heardAt = this.#options.clock.now();
    if (message.type === 'snapshot-fetch') this.#sendPart(offer, message);
    else if (message.type === 'records-fetch') void this.#sendRecords(message);
    else if (message.type === 'snapshot-result') {
      this.#offers.delete(node);
      this.#options.finished(node, message.installed ? message.index : null);
    }
  }

  #sendPart(offer: Offer, fetch: Fetch<'snapshot-fetch'>): void {
    const { self, send } = this.#options;
    const { index, offset } = fetch;
    const bytes = offer.bytes.subarray(offset, offset + SNAPSHOT_PART_BYTES);
    if (bytes.length === 0) return;
    send(fetch.from.node, encodePeerMessage({ type: 'snapshot-part', from: self, index, offset, bytes }));
  }

  async #sendRecords(fetch: Fetch<'records-fetch'>): Promise<void> {
    const { self, storage, send } = this.#options;
    const { index, log, start, any } = fetch;
    const reply = { type: 'records-part', from: self, index, log, start } as const;
    try {
      const { bytes, chain } = await storage.recordsBefore(log, start);
      const agrees = any || chain === fetch.chain;
      const range = { from: start, to: Number.MAX_SAFE_INTEGER, bytesMax: SNAPSHOT_PART_BYTES };
      const found = agrees ? await storage.readRecords(log, range) : [];
      const records = found.slice(0, RECORDS_A_PART);
      send(fetch.from.node, encodePeerMessage({ ...reply, agrees, chain, bytes, records }));
    } catch {
      // Trimmed or deleted since the snapshot was taken: a newer one is offered instead.
      if (this.#offers.get(fetch.from.node)?.index === index) this.begin(fetch.from.node);
    }
  }

  /** Leadership is gone. */
  clear(): void {
    this.#offers.clear();
  }
}

const RECORDS_A_PART = 4_096;
