/**
 * Reading and writing bytes: the only code that knows how numbers and strings lie in a message.
 *
 * Numbers are little-endian or LEB128 varints up to 2^53 - 1. A Reader never reads past its end and never allocates more
 * than it was given: wrong input throws DecodeError, which `decode` alone catches, so that every decoder is total.
 */

import { assert } from './assert.ts';

export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string };

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The UTF-8 bytes of a string. A lone surrogate becomes U+FFFD, as everywhere in JavaScript. */
export function utf8(text: string): Uint8Array {
  return textEncoder.encode(text);
}

/** The string of UTF-8 bytes, or null if they are not UTF-8. */
export function utf8Text(bytes: Uint8Array): string | null {
  try {
    return textDecoder.decode(bytes);
  } catch {
    return null;
  }
}

const HEX_PAIRS: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, '0'),
);

export function hex(bytes: Uint8Array): string {
  let text = '';
  // By index, since this runs for every datagram.
  for (let at = 0; at < bytes.length; at++) text += HEX_PAIRS[bytes[at] as number];
  return text;
}

/** The bytes of a hexadecimal string, or null if it is not one. */
export function unhex(text: string): Uint8Array | null {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return null;
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++) bytes[at] = Number.parseInt(text.slice(2 * at, 2 * at + 2), 16);
  return bytes;
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const part of parts) size += part.length;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

/** Grows as it is written to; `finish` gives exactly what was written. */
export class Writer {
  #buffer: Uint8Array;
  #view: DataView;
  #at = 0;

  constructor(capacity = 256) {
    this.#buffer = new Uint8Array(capacity);
    this.#view = new DataView(this.#buffer.buffer);
  }

  get size(): number {
    return this.#at;
  }

  #room(size: number): number {
    const at = this.#at;
    const needed = at + size;
    if (needed > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
      grown.set(this.#buffer.subarray(0, at));
      this.#buffer = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#at = needed;
    return at;
  }

  u8(value: number): this {
    const at = this.#room(1);
    this.#buffer[at] = value;
    return this;
  }

  bool(value: boolean): this {
    return this.u8(value ? 1 : 0);
  }

  u16(value: number): this {
    const at = this.#room(2);
    this.#view.setUint16(at, value, true);
    return this;
  }

  u32(value: number): this {
    const at = this.#room(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  /** A whole number in [0, 2^53), in eight bytes. */
  u64(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, `not a counter: ${value}`);
    const at = this.#room(8);
    this.#view.setUint32(at, value % 0x1_0000_0000, true);
    this.#view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
    return this;
  }

  /** A whole number in [0, 2^53), in one to eight bytes. */
  varint(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, `not a counter: ${value}`);
    let rest = value;
    while (rest >= 0x80) {
      this.u8((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    return this.u8(rest);
  }

  /** The bytes as they are, without a length. */
  raw(bytes: Uint8Array): this {
    const at = this.#room(bytes.length);
    this.#buffer.set(bytes, at);
    return this;
  }

  /** A varint length and the bytes. */
  bytes(bytes: Uint8Array): this {
    return this.varint(bytes.length).raw(bytes);
  }

  /** A string as UTF-8 with its length. */
  text(text: string): this {
    return this.bytes(utf8(text));
  }

  /** An optional part: a flag, and the part if it is there. */
  optional<T>(value: T | null, write: (value: T) => void): this {
    this.bool(value !== null);
    if (value !== null) write(value);
    return this;
  }

  list<T>(items: readonly T[], write: (item: T) => void): this {
    this.varint(items.length);
    for (const item of items) write(item);
    return this;
  }

  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#at);
  }
}

/** Reads what Writer wrote. Byte strings are views into the input, not copies. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get position(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  fail(problem: string): never {
    throw new DecodeError(problem);
  }

  #take(size: number): number {
    const at = this.#at;
    if (size > this.#bytes.length - at) this.fail('ends too early');
    this.#at = at + size;
    return at;
  }

  u8(): number {
    return this.#bytes[this.#take(1)] as number;
  }

  bool(): boolean {
    const value = this.u8();
    if (value > 1) this.fail(`not a flag: ${value}`);
    return value === 1;
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): number {
    const at = this.#take(8);
    const value = this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 0x1_0000_0000;
    if (!Number.isSafeInteger(value)) this.fail('number too large');
    return value;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (count > 0 && byte === 0) this.fail('number not in its shortest form');
        if (!Number.isSafeInteger(value)) this.fail('number too large');
        return value;
      }
      scale *= 0x80;
    }
    return this.fail('number too long');
  }

  raw(size: number): Uint8Array {
    const at = this.#take(size);
    return this.#bytes.subarray(at, at + size);
  }

  bytes(sizeMax: number): Uint8Array {
    const size = this.varint();
    if (size > sizeMax) this.fail(`${size} bytes where at most ${sizeMax} are allowed`);
    return this.raw(size);
  }

  text(sizeMax: number): string {
    const text = utf8Text(this.bytes(sizeMax));
    return text === null ? this.fail('not UTF-8') : text;
  }

  optional<T>(read: () => T): T | null {
    return this.bool() ? read() : null;
  }

  list<T>(countMax: number, read: () => T): T[] {
    const count = this.varint();
    // Every item takes at least one byte, so a count beyond what remains is wrong before anything is allocated.
    if (count > countMax || count > this.remaining)
      this.fail(`${count} items where at most ${countMax} are allowed`);
    const items: T[] = [];
    for (let index = 0; index < count; index++) items.push(read());
    return items;
  }

  end(): void {
    if (this.remaining > 0) this.fail(`${this.remaining} bytes too many`);
  }
}

/** Runs a decoder over all of `bytes`; wrong bytes give a problem, never an exception. */
export function decode<T>(bytes: Uint8Array, read: (reader: Reader) => T): Decoded<T> {
  const reader = new Reader(bytes);
  try {
    const value = read(reader);
    reader.end();
    return { ok: true, value };
  } catch (error) {
    if (error instanceof DecodeError) return { ok: false, problem: error.message };
    throw error;
  }
}
