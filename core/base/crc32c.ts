/**
 * CRC-32C (Castagnoli; RFC 3720 appendix B.4), the checksum of the write-ahead log and of every record's chain.
 *
 * `crc32c(bytes, seed)` continues a checksum: crc32c(b, crc32c(a)) is the checksum of a followed by b, which is what makes
 * a log's chain value one number per record.
 */

const TABLES: Uint32Array[] = [];

function buildTables(): void {
  const first = new Uint32Array(256);
  for (let index = 0; index < 256; index++) {
    let value = index;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
    first[index] = value >>> 0;
  }
  TABLES.push(first);
  for (let table = 1; table < 8; table++) {
    const before = TABLES[table - 1] as Uint32Array;
    const next = new Uint32Array(256);
    for (let index = 0; index < 256; index++) {
      const value = before[index] as number;
      next[index] = ((value >>> 8) ^ (first[value & 0xff] as number)) >>> 0;
    }
    TABLES.push(next);
  }
}

buildTables();
const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES as [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
];

/** The checksum of `bytes` in [low, high), continued from `seed` (0 to begin with). Unsigned, 32 bits. */
export function crc32c(bytes: Uint8Array, seed = 0, low = 0, high = bytes.length): number {
  let crc = ~seed;
  let at = low;
  for (; at + 8 <= high; at += 8) {
    const b0 = (crc ^ (bytes[at] as number)) & 0xff;
    const b1 = ((crc >>> 8) ^ (bytes[at + 1] as number)) & 0xff;
    const b2 = ((crc >>> 16) ^ (bytes[at + 2] as number)) & 0xff;
    const b3 = ((crc >>> 24) ^ (bytes[at + 3] as number)) & 0xff;
    crc =
      (T7[b0] as number) ^
      (T6[b1] as number) ^
      (T5[b2] as number) ^
      (T4[b3] as number) ^
      (T3[bytes[at + 4] as number] as number) ^
      (T2[bytes[at + 5] as number] as number) ^
      (T1[bytes[at + 6] as number] as number) ^
      (T0[bytes[at + 7] as number] as number);
  }
  for (; at < high; at++) crc = (T0[(crc ^ (bytes[at] as number)) & 0xff] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}
