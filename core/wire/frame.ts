/**
 * A datagram's header, and the frames inside it.
 *
 *   header := magic b7 4c, version u8, kind-and-class u8, sender's boot 16, counter u64, receiver's hint 4     (32 bytes)
 *   kind-and-class := kind * 16 + class      kind: 0 data, 1 hello request, 2 hello reply
 *                                            class: 1 peer, 2 client, 3 observer, 15 insecure
 *   data's plaintext := one or more frames
 *   frame := 1, message (varint length, bytes)                                                        a whole message
 *          | 2, id varint, index varint, count varint, size varint, part (varint length, bytes)       one fragment
 *          | 3, id varint, base varint, bitmap (varint length ≤ ACK_BITMAP_BYTES, bytes)              fragments received
 *
 * The hint is the first four bytes of the receiver's boot: a datagram for an earlier boot is told apart before anything is
 * derived for it. In an acknowledgement every fragment below `base` is there, `base` itself is not (unless all are), and
 * bit n of the bitmap (lowest bit of the first byte first) stands for fragment base + 1 + n.
 *
 * Invariants: the decoders are total; a header is 32 bytes in every version, so that another version can be named when it
 * is refused; a frame never holds an empty message.
 */

import { type Decoded, decode, type Reader, Writer } from '../base/bytes.ts';
import { COUNTER_MAX, MESSAGE_BYTES_MAX } from '../base/limits.ts';

export const HEADER_BYTES = 32;
export const BOOT_BYTES = 16;
export const HINT_BYTES = 4;
export const WIRE_VERSION = 1;
const MAGIC_FIRST = 0xb7;
const MAGIC_SECOND = 0x4c;

/** Who may send what: the class of the key under which a datagram was sealed. `insecure` has no key at all. */
export type KeyClass = 'peer' | 'client' | 'observer' | 'insecure';

const KINDS = ['data', 'hello-request', 'hello-reply'] as const;
export type DatagramKind = (typeof KINDS)[number];

const CLASS_NUMBERS = { peer: 1, client: 2, observer: 3, insecure: 15 } as const satisfies Record<
  KeyClass,
  number
>;
const CLASSES: ReadonlyMap<number, KeyClass> = new Map(
  (Object.keys(CLASS_NUMBERS) as KeyClass[]).map((name) => [CLASS_NUMBERS[name], name]),
);

export function keyClassNumber(keyClass: KeyClass): number {
  return CLASS_NUMBERS[keyClass];
}

export interface Header {
  readonly kind: DatagramKind;
  readonly keyClass: KeyClass;
  readonly boot: Uint8Array;
  /** From 1 in data; 0 in a hello. */
  readonly counter: number;
  /** The first HINT_BYTES of the receiver's boot; zeros in a hello. */
  readonly hint: Uint8Array;
}

export type HeaderProblem = 'short' | 'magic' | 'version' | 'kind' | 'class' | 'counter';

export function encodeHeader(header: Header): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  bytes[0] = MAGIC_FIRST;
  bytes[1] = MAGIC_SECOND;
  bytes[2] = WIRE_VERSION;
  bytes[3] = KINDS.indexOf(header.kind) * 16 + CLASS_NUMBERS[header.keyClass];
  bytes.set(header.boot, 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(20, header.counter % 0x1_0000_0000, true);
  view.setUint32(24, Math.floor(header.counter / 0x1_0000_0000), true);
  bytes.set(header.hint, 28);
  return bytes;
}

/** The header in front of a datagram, or the first thing that is wrong with it. Byte strings are views. */
export function decodeHeader(datagram: Uint8Array): Header | HeaderProblem {
  if (datagram.length < HEADER_BYTES) return 'short';
  if (datagram[0] !== MAGIC_FIRST || datagram[1] !== MAGIC_SECOND) return 'magic';
  if (datagram[2] !== WIRE_VERSION) return 'version';
  const kindAndClass = datagram[3] as number;
  const kind = KINDS[kindAndClass >>> 4];
  if (kind === undefined) return 'kind';
  const keyClass = CLASSES.get(kindAndClass & 0x0f);
  if (keyClass === undefined) return 'class';
  const view = new DataView(datagram.buffer, datagram.byteOffset, HEADER_BYTES);
  const counter = view.getUint32(20, true) + view.getUint32(24, true) * 0x1_0000_0000;
  if (counter > COUNTER_MAX || (counter === 0) === (kind === 'data')) return 'counter';
  return { kind, keyClass, boot: datagram.subarray(4, 20), counter, hint: datagram.subarray(28, 32) };
}

/** The nonce of a data datagram: four zeros and the counter as it lies in the header. */
export function nonceOf(header: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(12);
  nonce.set(header.subarray(20, 28), 4);
  return nonce;
}

// --- frames ----------------------------------------------------------------------------------------------------------

/** Enough for the largest window of fragments on the way. */
export const ACK_BITMAP_BYTES = 32;
/** Kind and length in front of a whole message that fits a datagram. */
export const MESSAGE_FRAME_OVERHEAD = 4;
/** Kind, id (at most 8), index and count (3 each), size (4) and the part's length (3). */
export const FRAGMENT_FRAME_OVERHEAD = 22;

export interface Fragment {
  /** Numbers the sender's fragmented messages within its boot. */
  readonly id: number;
  readonly index: number;
  readonly count: number;
  /** The whole message's. */
  readonly size: number;
  readonly part: Uint8Array;
}

export interface FragmentAck {
  readonly id: number;
  readonly base: number;
  readonly bitmap: Uint8Array;
}

export type Frame =
  | { readonly type: 'message'; readonly message: Uint8Array }
  | ({ readonly type: 'fragment' } & Fragment)
  | ({ readonly type: 'fragment-ack' } & FragmentAck);

export function encodeMessageFrame(message: Uint8Array): Uint8Array {
  return new Writer(message.length + MESSAGE_FRAME_OVERHEAD).u8(1).bytes(message).finish();
}

export function encodeFragmentFrame(fragment: Fragment): Uint8Array {
  const writer = new Writer(fragment.part.length + FRAGMENT_FRAME_OVERHEAD);
  writer.u8(2).varint(fragment.id).varint(fragment.index).varint(fragment.count).varint(fragment.size);
  return writer.bytes(fragment.part).finish();
}

export function encodeAckFrame(ack: FragmentAck): Uint8Array {
  const writer = new Writer(ack.bitmap.length + 16);
  return writer.u8(3).varint(ack.id).varint(ack.base).bytes(ack.bitmap).finish();
}

/** All frames of a plaintext. One wrong frame refuses them all: an authentic sender makes no wrong ones. */
export function decodeFrames(plaintext: Uint8Array): Decoded<Frame[]> {
  return decode(plaintext, (reader) => {
    const frames: Frame[] = [];
    do frames.push(decodeFrame(reader));
    while (reader.remaining > 0);
    return frames;
  });
}

function decodeFrame(reader: Reader): Frame {
  const kind = reader.u8();
  switch (kind) {
    case 1: {
      const message = reader.bytes(MESSAGE_BYTES_MAX);
      if (message.length === 0) reader.fail('an empty message');
      return { type: 'message', message };
    }
    case 2:
      return {
        type: 'fragment',
        id: reader.varint(),
        index: reader.varint(),
        count: reader.varint(),
        size: reader.varint(),
        part: reader.bytes(MESSAGE_BYTES_MAX),
      };
    case 3:
      return {
        type: 'fragment-ack',
        id: reader.varint(),
        base: reader.varint(),
        bitmap: reader.bytes(ACK_BITMAP_BYTES),
      };
    default:
      return reader.fail(`unknown frame ${kind}`);
  }
}
