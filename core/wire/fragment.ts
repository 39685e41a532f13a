/**
 * How a message is cut into fragments and put together again.
 *
 * A message of `size` bytes in `count` fragments has parts of ceil(size / count) bytes, the last one the rest, so that a
 * fragment's place follows from (index, count, size) alone.
 *
 * Invariants: a geometry that no sender makes is refused before anything is allocated; a fragment that does not agree with
 * its message's first one is refused; a part is copied, never kept as a view of its datagram.
 */

import { assert } from '../base/assert.ts';
import { FRAGMENT_BYTES_MIN, MESSAGE_BYTES_MAX } from '../base/limits.ts';
import { ACK_BITMAP_BYTES, type Fragment, type FragmentAck } from './frame.ts';

export interface Geometry {
  readonly count: number;
  readonly size: number;
  readonly partBytes: number;
}

/** The fewest fragments of at most `partBytesMax` that hold `size` bytes. */
export function geometry(size: number, partBytesMax: number): Geometry {
  assert(size > 0 && size <= MESSAGE_BYTES_MAX, `a message of ${size} bytes`);
  assert(partBytesMax >= FRAGMENT_BYTES_MIN, `fragments of at most ${partBytesMax} bytes`);
  const count = Math.ceil(size / partBytesMax);
  return { count, size, partBytes: Math.ceil(size / count) };
}

/** The geometry that a fragment claims, or null if there is no such one or the fragment does not fit into it. */
export function claimedGeometry(fragment: Fragment): Geometry | null {
  const { index, count, size, part } = fragment;
  if (size > MESSAGE_BYTES_MAX || count < 2 || count > size || index >= count) return null;
  const partBytes = Math.ceil(size / count);
  const lastBytes = size - (count - 1) * partBytes;
  if (partBytes < FRAGMENT_BYTES_MIN || lastBytes < 1) return null;
  if (part.length !== (index === count - 1 ? lastBytes : partBytes)) return null;
  return { count, size, partBytes };
}

/** The part of a message that fragment `index` carries, as a view. */
export function partOf(message: Uint8Array, shape: Geometry, index: number): Uint8Array {
  assert(index < shape.count, `fragment ${index} of ${shape.count}`);
  const low = index * shape.partBytes;
  return message.subarray(low, Math.min(low + shape.partBytes, shape.size));
}

/** One message that is being put together. */
export class Assembly {
  readonly #shape: Geometry;
  readonly #message: Uint8Array;
  readonly #have: Uint8Array;
  #missing: number;
  /** Every fragment below it is there. */
  #base = 0;

  constructor(shape: Geometry) {
    this.#shape = shape;
    this.#message = new Uint8Array(shape.size);
    this.#have = new Uint8Array(shape.count);
    this.#missing = shape.count;
  }

  get size(): number {
    return this.#shape.size;
  }

  /** The whole message, or null while something is missing. */
  get message(): Uint8Array | null {
    return this.#missing === 0 ? this.#message : null;
  }

  /** False if the fragment contradicts the message's first one. `shape` is the one that the fragment claims. */
  add(fragment: Fragment, shape: Geometry): boolean {
    if (shape.count !== this.#shape.count || shape.size !== this.#shape.size) return false;
    const { index, part } = fragment;
    if (this.#have[index] === 1) return true;
    this.#have[index] = 1;
    this.#missing--;
    this.#message.set(part, index * shape.partBytes);
    while (this.#base < shape.count && this.#have[this.#base] === 1) this.#base++;
    return true;
  }

  acknowledgement(id: number): FragmentAck {
    const first = this.#base + 1;
    const bits = Math.min(Math.max(this.#shape.count - first, 0), ACK_BITMAP_BYTES * 8);
    const bitmap = new Uint8Array(Math.ceil(bits / 8));
    for (let bit = 0; bit < bits; bit++) {
      if (this.#have[first + bit] === 1) bitmap[bit >>> 3] = (bitmap[bit >>> 3] as number) | (1 << (bit & 7));
    }
    return { id, base: this.#base, bitmap };
  }
}

/** What acknowledges a message as a whole, when it is no longer there to ask. */
export function wholeAcknowledgement(id: number, count: number): FragmentAck {
  return { id, base: count, bitmap: new Uint8Array(0) };
}

/** True if the acknowledgement says that fragment `index` arrived. */
export function acknowledges(ack: FragmentAck, index: number): boolean {
  if (index < ack.base) return true;
  const bit = index - ack.base - 1;
  if (bit < 0 || bit >= ack.bitmap.length * 8) return false;
  return ((ack.bitmap[bit >>> 3] as number) & (1 << (bit & 7))) !== 0;
}
