/**
 * The sending side of fragmented messages towards one remote: which fragment goes next, what is lost, when to give up.
 *
 * A window of fragments may be on the way; it grows by about one a round trip and halves on loss, at most once for what
 * was sent before the last halving (as NewReno, RFC 6582). A fragment is lost when three that were sent after it have been
 * acknowledged (RFC 9002 §6.1.1) or when nothing was acknowledged for the resend time (RFC 6298, with Karn's rule).
 * Time comes in as an argument; nothing here sends.
 *
 * Invariants: a fragment that was acknowledged is never sent again; at most `window` are on the way; the messages under way
 * fit the receiver's bounds for one sender; transfers take turns, so that a large one does not hold up a small one.
 */

import { assert } from '../base/assert.ts';
import {
  FRAGMENT_WINDOW_MAX,
  FRAGMENT_WINDOW_MIN,
  FRAGMENT_WINDOW_START,
  REASSEMBLY_BYTES_PER_SENDER,
  REASSEMBLY_MESSAGES_PER_SENDER,
  RESEND_MAX_MS,
  RESEND_MIN_MS,
  RESEND_START_MS,
  TRANSFER_SILENT_MS,
} from '../base/limits.ts';
import { acknowledges, type Geometry, geometry, partOf } from '../wire/fragment.ts';
import { ACK_BITMAP_BYTES, type Fragment, type FragmentAck } from '../wire/frame.ts';
import type { Address } from './interface.ts';

/** A message on its way out. `to` null: to wherever the remote is. */
export interface Outgoing {
  readonly message: Uint8Array;
  readonly to: Address | null;
  readonly onDelivered: (() => void) | null;
}

const UNSENT = 0;
const ON_THE_WAY = 1;
const LOST = 2;
const ACKNOWLEDGED = 3;

interface Transfer extends Outgoing {
  readonly id: number;
  readonly shape: Geometry;
  readonly states: Uint8Array;
  readonly sentTwice: Uint8Array;
  /** The lowest fragment that was not acknowledged. */
  base: number;
  nextUnsent: number;
  lost: number[];
  unacknowledged: number;
  /** When it was begun or last acknowledged. */
  heardAt: number;
}

interface Flight {
  readonly transfer: Transfer;
  readonly index: number;
  readonly order: number;
  readonly sentAt: number;
}

/** How many fragments beyond its base an acknowledgement can tell of. */
const ACK_REACH = ACK_BITMAP_BYTES * 8;
const REORDERING = 3;

export class FragmentSender {
  readonly #partBytesMax: number;
  readonly #nextId: () => number;
  readonly #waiting: Outgoing[] = [];
  #active: Transfer[] = [];
  #activeBytes = 0;
  #turn = 0;
  #flights: Flight[] = [];
  #nextOrder = 1;
  #highestAcknowledged = 0;
  #recovery = 0;
  #window = FRAGMENT_WINDOW_START;
  #roundTripMs: number | null = null;
  #variationMs = 0;
  #backoff = 1;
  /** The resend timer's start: the last progress, or the first fragment sent after nothing was on the way. */
  #timerFrom = 0;
  resent = 0;
  /** The sizes of all messages that were added and neither delivered, given up nor taken back. */
  queuedBytes = 0;

  /** `nextId` numbers messages within the sender's boot, over all remotes. */
  constructor(options: { partBytesMax: number; nextId: () => number }) {
    this.#partBytesMax = options.partBytesMax;
    this.#nextId = options.nextId;
  }

  get window(): number {
    return Math.floor(this.#window);
  }

  get onTheWay(): number {
    return this.#flights.length;
  }

  /** Messages that were added and are neither delivered nor given up. */
  get count(): number {
    return this.#active.length + this.#waiting.length;
  }

  get idle(): boolean {
    return this.count === 0;
  }

  /** The smoothed round trip, or null before the first measurement. */
  get roundTripMs(): number | null {
    return this.#roundTripMs;
  }

  get resendMs(): number {
    const measured =
      this.#roundTripMs === null ? RESEND_START_MS : this.#roundTripMs + Math.max(1, 4 * this.#variationMs);
    return Math.min(RESEND_MAX_MS, Math.max(RESEND_MIN_MS, measured) * this.#backoff);
  }

  /** When `expire` is due; null while nothing is under way. */
  get deadline(): number | null {
    if (this.#active.length === 0) return null;
    let deadline = this.#timerFrom + this.resendMs;
    for (const transfer of this.#active) deadline = Math.min(deadline, transfer.heardAt + TRANSFER_SILENT_MS);
    return deadline;
  }

  add(outgoing: Outgoing, nowMs: number): void {
    this.#waiting.push(outgoing);
    this.queuedBytes += outgoing.message.length;
    this.#activate(nowMs);
  }

  #activate(nowMs: number): void {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined || this.#active.length >= REASSEMBLY_MESSAGES_PER_SENDER) return;
      if (this.#activeBytes + next.message.length > REASSEMBLY_BYTES_PER_SENDER) return;
      this.#waiting.shift();
      const shape = geometry(next.message.length, this.#partBytesMax);
      if (this.#active.length === 0) this.#timerFrom = nowMs;
      this.#activeBytes += shape.size;
      this.#active.push({
        ...next,
        id: this.#nextId(),
        shape,
        states: new Uint8Array(shape.count),
        sentTwice: new Uint8Array(shape.count),
        base: 0,
        nextUnsent: 0,
        lost: [],
        unacknowledged: shape.count,
        heardAt: nowMs,
      });
    }
  }

  /** The next fragment that may be sent now, taken as sent; null if the window is full or nothing is left. */
  next(nowMs: number): { readonly fragment: Fragment; readonly to: Address | null } | null {
    if (this.#flights.length >= this.window) return null;
    for (let tried = 0; tried < this.#active.length; tried++) {
      const transfer = this.#active[this.#turn++ % this.#active.length] as Transfer;
      const index = takeIndex(transfer);
      if (index === null) continue;
      if (transfer.states[index] === LOST) {
        transfer.sentTwice[index] = 1;
        this.resent++;
      }
      transfer.states[index] = ON_THE_WAY;
      if (this.#flights.length === 0) this.#timerFrom = nowMs;
      this.#flights.push({ transfer, index, order: this.#nextOrder++, sentAt: nowMs });
      const { id, shape } = transfer;
      const part = partOf(transfer.message, shape, index);
      return { fragment: { id, index, count: shape.count, size: shape.size, part }, to: transfer.to };
    }
    return null;
  }

  /** What an acknowledgement finished. One of an unknown message is late and changes nothing. */
  acknowledge(ack: FragmentAck, nowMs: number): readonly Outgoing[] {
    const transfer = this.#active.find((one) => one.id === ack.id);
    if (transfer === undefined) return [];
    const newly = markAcknowledged(transfer, ack);
    if (newly === 0) return [];
    transfer.heardAt = nowMs;
    this.#timerFrom = nowMs;
    this.#backoff = 1;
    this.#land(nowMs);
    this.#findLost();
    this.#window = Math.min(FRAGMENT_WINDOW_MAX, this.#window + newly / this.#window);
    if (transfer.unacknowledged > 0) return [];
    this.#remove(transfer, nowMs);
    return [transfer];
  }

  /** Takes acknowledged fragments off the way, and measures the newest that was sent only once (Karn). */
  #land(nowMs: number): void {
    let newest: Flight | null = null;
    this.#flights = this.#flights.filter((flight) => {
      if (flight.transfer.states[flight.index] !== ACKNOWLEDGED) return true;
      this.#highestAcknowledged = Math.max(this.#highestAcknowledged, flight.order);
      if (flight.transfer.sentTwice[flight.index] === 0) newest = flight;
      return false;
    });
    if (newest !== null) this.#measure(nowMs - (newest as Flight).sentAt);
  }

  #measure(sampleMs: number): void {
    if (this.#roundTripMs === null) {
      this.#roundTripMs = sampleMs;
      this.#variationMs = sampleMs / 2;
      return;
    }
    this.#variationMs = 0.75 * this.#variationMs + 0.25 * Math.abs(this.#roundTripMs - sampleMs);
    this.#roundTripMs = 0.875 * this.#roundTripMs + 0.125 * sampleMs;
  }

  #findLost(): void {
    this.#lose((flight) => flight.order + REORDERING <= this.#highestAcknowledged);
  }

  #lose(isLost: (flight: Flight) => boolean): void {
    let highestLost = 0;
    this.#flights = this.#flights.filter((flight) => {
      if (!isLost(flight)) return true;
      flight.transfer.states[flight.index] = LOST;
      flight.transfer.lost.push(flight.index);
      highestLost = Math.max(highestLost, flight.order);
      return false;
    });
    if (highestLost <= this.#recovery) return;
    this.#window = Math.max(FRAGMENT_WINDOW_MIN, this.#window / 2);
    this.#recovery = this.#nextOrder - 1;
  }

  /**
   * To be called at the deadline: without progress for the resend time everything on the way is taken for lost. Gives the
   * transfers that are given up.
   */
  expire(nowMs: number): readonly Outgoing[] {
    if (nowMs >= this.#timerFrom + this.resendMs) {
      this.#lose(() => true);
      this.#backoff = Math.min(this.#backoff * 2, RESEND_MAX_MS / RESEND_MIN_MS);
      this.#timerFrom = nowMs;
    }
    const silent = this.#active.filter((transfer) => nowMs - transfer.heardAt >= TRANSFER_SILENT_MS);
    for (const transfer of silent) this.#remove(transfer, nowMs);
    return silent;
  }

  #remove(transfer: Transfer, nowMs: number): void {
    this.#active = this.#active.filter((one) => one !== transfer);
    this.#flights = this.#flights.filter((flight) => flight.transfer !== transfer);
    this.#activeBytes -= transfer.shape.size;
    this.queuedBytes -= transfer.shape.size;
    assert(this.#activeBytes >= 0, `${this.#activeBytes} bytes under way`);
    this.#activate(nowMs);
  }

  /** Takes back everything that is not delivered and that `which` picks, to be sent anew elsewhere. */
  takeBack(which: (outgoing: Outgoing) => boolean, nowMs: number): Outgoing[] {
    const taken: Outgoing[] = [];
    for (const outgoing of this.#waiting.splice(0)) {
      if (!which(outgoing)) {
        this.#waiting.push(outgoing);
        continue;
      }
      this.queuedBytes -= outgoing.message.length;
      taken.push(outgoing);
    }
    const active = this.#active.filter(which);
    for (const transfer of active) this.#remove(transfer, nowMs);
    return [...active, ...taken];
  }
}

/** The fragment of a transfer that goes next: a lost one, else one that was never sent. */
function takeIndex(transfer: Transfer): number | null {
  for (;;) {
    const index = transfer.lost.shift();
    if (index === undefined) break;
    if (transfer.states[index] === LOST) return index;
  }
  if (transfer.nextUnsent >= transfer.shape.count) return null;
  // Further ahead an acknowledgement could not tell that it arrived.
  if (transfer.nextUnsent > transfer.base + ACK_REACH) return null;
  return transfer.nextUnsent++;
}

/** How many fragments the acknowledgement is the first to name. */
function markAcknowledged(transfer: Transfer, ack: FragmentAck): number {
  const { states, shape } = transfer;
  const high = Math.min(shape.count, ack.base + 1 + ack.bitmap.length * 8);
  let newly = 0;
  for (let index = transfer.base; index < high; index++) {
    // A fragment that was never sent cannot have arrived, whatever the other end says.
    if (states[index] === ACKNOWLEDGED || states[index] === UNSENT || !acknowledges(ack, index)) continue;
    states[index] = ACKNOWLEDGED;
    newly++;
  }
  while (transfer.base < shape.count && states[transfer.base] === ACKNOWLEDGED) transfer.base++;
  transfer.unacknowledged -= newly;
  return newly;
}
