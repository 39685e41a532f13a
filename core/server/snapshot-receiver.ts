/**
 * The follower's side of a snapshot on its way: fetches the state, then of each log the records that it lacks, and puts all
 * in place at once.
 *
 *   offered ──parts──▶ state complete ──records──▶ all logs as the manifest has them ──saveSnapshot──▶ installed
 *
 * Records go into the files as they come, ahead of the state machine, so that a fetch that is broken off goes on where it
 * was. Until the snapshot is durable the old one and the old log stand, and a crash leaves the server as it was.
 *
 * Invariant: a record is taken only behind a chain value that both sides share, so that no file is ever a mixture.
 */

import { assert } from '../base/assert.ts';
import { SNAPSHOT_PART_BYTES, UNPERSISTED_BYTES_MAX } from '../base/limits.ts';
import type { Clock, Logger } from '../base/ports.ts';
import type { ServerId } from '../raft/types.ts';
import type { LogInfo } from '../state-machine/commands.ts';
import type { Storage } from '../storage/interface.ts';
import { decodeSnapshotPayload, encodePeerMessage, type SnapshotPayload } from '../wire/peer-codec.ts';
import type { PeerMessage } from '../wire/peer-messages.ts';

/** Parts asked for and not come yet. */
const PARTS_AT_ONCE = 4;
const ASK_AGAIN_MS = 1_000;
const REPORT_EVERY_BYTES = 16 * 1_048_576;

export interface SnapshotReceiverOptions {
  readonly self: ServerId;
  readonly storage: Storage;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly send: (node: string, message: Uint8Array) => void;
  /** All is there: makes it durable and the server's state. Resolves to false if that could not be. */
  readonly install: (payload: SnapshotPayload) => Promise<boolean>;
}

type Message<T extends PeerMessage['type']> = Extract<PeerMessage, { type: T }>;

interface Fetching {
  readonly from: string;
  readonly index: number;
  readonly state: Uint8Array;
  /** Offsets of parts that came. */
  readonly parts: Set<number>;
  readonly askedAt: Map<number, number>;
  payload: SnapshotPayload | null;
  /** Position in the manifest. */
  at: number;
  /** The log there differs, so it is begun anew at the manifest's start. */
  anew: boolean;
  recordsAskedAt: number;
  receivedBytes: number;
  reportedBytes: number;
  installing: boolean;
}

export class SnapshotReceiver {
  readonly #options: SnapshotReceiverOptions;
  #fetching: Fetching | null = null;

  constructor(options: SnapshotReceiverOptions) {
    this.#options = options;
  }

  /** True while the state is being replaced: nothing may be applied meanwhile. */
  get installing(): boolean {
    return this.#fetching?.installing ?? false;
  }

  /** Bytes of records fetched for the snapshot under way, for the status. */
  get receivedBytes(): number {
    return this.#fetching?.receivedBytes ?? 0;
  }

  receive(message: PeerMessage): void {
    if (message.type === 'snapshot-offer') return this.#onOffer(message);
    const fetching = this.#fetching;
    if (fetching === null || fetching.installing || message.from.node !== fetching.from) return;
    if (!('index' in message) || message.index !== fetching.index) return;
    if (message.type === 'snapshot-part') this.#onPart(fetching, message);
    else if (message.type === 'records-part') this.#onRecords(fetching, message);
  }

  #onOffer(offer: Message<'snapshot-offer'>): void {
    const { logger } = this.#options;
    const { index, sizeBytes, from } = offer;
    const present = this.#fetching;
    if (present?.installing === true || (present?.from === from.node && present.index === index)) return;
    logger.log('info', 'fetching a snapshot', { from: from.node, index, bytes: sizeBytes });
    this.#fetching = {
      from: from.node,
      index,
      state: new Uint8Array(sizeBytes),
      parts: new Set(),
      askedAt: new Map(),
      payload: null,
      at: 0,
      anew: false,
      recordsAskedAt: Number.NEGATIVE_INFINITY,
      receivedBytes: 0,
      reportedBytes: 0,
      installing: false,
    };
    this.#askForParts(this.#fetching);
  }

  /** Asks again for what did not come. */
  tick(): void {
    const fetching = this.#fetching;
    if (fetching === null || fetching.installing) return;
    if (fetching.payload === null) this.#askForParts(fetching);
    else if (this.#options.clock.now() - fetching.recordsAskedAt > ASK_AGAIN_MS) this.#nextLog(fetching);
  }

  #send(fetching: Fetching, message: PeerMessage): void {
    this.#options.send(fetching.from, encodePeerMessage(message));
  }

  #askForParts(fetching: Fetching): void {
    const { self, clock } = this.#options;
    const now = clock.now();
    let asked = 0;
    for (
      let offset = 0;
      offset < fetching.state.length && asked < PARTS_AT_ONCE;
      offset += SNAPSHOT_PART_BYTES
    ) {
      if (fetching.parts.has(offset)) continue;
      asked += 1;
      if (now - (fetching.askedAt.get(offset) ?? Number.NEGATIVE_INFINITY) < ASK_AGAIN_MS) continue;
      fetching.askedAt.set(offset, now);
      this.#send(fetching, { type: 'snapshot-fetch', from: self, index: fetching.index, offset });
    }
  }

  #onPart(fetching: Fetching, part: Message<'snapshot-part'>): void {
    const { state, parts } = fetching;
    const { offset, bytes } = part;
    const whole = Math.min(SNAPSHOT_PART_BYTES, state.length - offset);
    if (fetching.payload !== null || offset % SNAPSHOT_PART_BYTES !== 0 || bytes.length !== whole) return;
    state.set(bytes, offset);
    parts.add(offset);
    fetching.askedAt.delete(offset);
    if (parts.size < Math.ceil(state.length / SNAPSHOT_PART_BYTES)) return this.#askForParts(fetching);
    const decoded = decodeSnapshotPayload(state);
    assert(decoded.ok, `a snapshot of ${fetching.from} cannot be read`);
    fetching.payload = decoded.value;
    this.#nextLog(fetching);
  }

  /** Passes over what is the same already, and asks for the first records that are not. */
  #nextLog(fetching: Fetching): void {
    const { self, storage, clock } = this.#options;
    const { logs } = fetching.payload as SnapshotPayload;
    // The disk must keep up with the network.
    if (storage.unpersistedBytes > UNPERSISTED_BYTES_MAX / 4) {
      clock.after(20, () => {
        if (this.#fetching === fetching && !fetching.installing) this.#nextLog(fetching);
      });
      return;
    }
    for (; fetching.at < logs.length; fetching.at += 1, fetching.anew = false) {
      const wanted = logs[fetching.at] as LogInfo;
      const ask = this.#lacks(wanted, fetching.anew);
      if (ask === null) continue;
      fetching.recordsAskedAt = clock.now();
      const { index } = fetching;
      this.#send(fetching, { type: 'records-fetch', from: self, index, log: wanted.id, ...ask });
      return;
    }
    this.#install(fetching);
  }

  /** Where the records of a log that are missing begin, or null if none are. */
  #lacks(wanted: LogInfo, anew: boolean): { start: number; chain: number; any: boolean } | null {
    const { storage } = this.#options;
    const present = storage.fileState(wanted.id);
    const whole = { start: wanted.start, chain: 0, any: true };
    if (anew || present === null) {
      if (wanted.count > 0 || anew) return whole;
      storage.stage([{ type: 'begin', id: wanted.id, name: wanted.name, start: 0, bytes: 0, chain: 0 }]);
      return null;
    }
    if (present.count === wanted.count && present.chain === wanted.chain && present.start <= wanted.start)
      return null;
    if (present.count >= wanted.count || present.count < wanted.start || present.start > wanted.start)
      return whole;
    return { start: present.count, chain: present.chain, any: false };
  }

  #onRecords(fetching: Fetching, part: Message<'records-part'>): void {
    const { storage, logger } = this.#options;
    const wanted = (fetching.payload as SnapshotPayload | null)?.logs[fetching.at];
    if (wanted === undefined || part.log !== wanted.id) return;
    if (!part.agrees) {
      fetching.anew = true;
      return this.#nextLog(fetching);
    }
    const ask = this.#lacks(wanted, fetching.anew);
    if (ask === null || ask.start !== part.start) return;
    if (ask.any) {
      const { id, name } = wanted;
      storage.stage([{ type: 'begin', id, name, start: part.start, bytes: part.bytes, chain: part.chain }]);
      fetching.anew = false;
    } else if (part.chain !== ask.chain) return;
    // The leader may have more by now; the manifest says how far this snapshot goes.
    const records = part.records.slice(0, wanted.count - part.start);
    storage.stage(records.map((data) => ({ type: 'record', id: wanted.id, data })));
    for (const record of records) fetching.receivedBytes += record.length;
    if (fetching.receivedBytes - fetching.reportedBytes >= REPORT_EVERY_BYTES) {
      fetching.reportedBytes = fetching.receivedBytes;
      logger.log('info', 'fetching records', {
        log: wanted.name,
        record: part.start + records.length,
        of: wanted.count,
        receivedBytes: fetching.receivedBytes,
      });
    }
    this.#nextLog(fetching);
  }

  /** All records are there: takes away what the snapshot does not have, and makes it durable. */
  #install(fetching: Fetching): void {
    const { self, storage, install, logger } = this.#options;
    const payload = fetching.payload as SnapshotPayload;
    fetching.installing = true;
    const kept = new Map(payload.logs.map((log) => [log.id, log]));
    for (const { id, name, start } of storage.fileStates()) {
      const log = kept.get(id);
      if (log === undefined) storage.applyFiles([{ type: 'delete', id, name }]);
      else if (start < log.start) storage.applyFiles([{ type: 'trim', id, before: log.start }]);
    }
    const { index, receivedBytes } = fetching;
    void install(payload).then((installed) => {
      logger.log('info', installed ? 'installed a snapshot' : 'could not install a snapshot', {
        index,
        receivedBytes,
      });
      this.#fetching = null;
      this.#send(fetching, { type: 'snapshot-result', from: self, index, installed });
    });
  }
}
