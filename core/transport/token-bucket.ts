/**
 * Rate limits: so many a second, and as many at once. `TokenBucket` is one; `FairBuckets` bounds a total and, within it,
 * what any one source may take, so that a flood from one address leaves room for others.
 *
 * Invariants: sources share a fixed number of buckets by a salted hash, so their number costs no memory and nobody can
 * choose whose bucket to empty. Against sources that are forged in numbers only the total is left.
 */

export class TokenBucket {
  readonly #perSecond: number;
  #tokens: number;
  #filledAt: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
    this.#filledAt = nowMs;
  }

  /** True if one more is within the rate. */
  take(nowMs: number): boolean {
    const gained = ((nowMs - this.#filledAt) / 1_000) * this.#perSecond;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + gained);
    this.#filledAt = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}

const SOURCE_BUCKETS = 64;
/** What one source may take of the whole. */
const SOURCE_SHARE = 1 / 8;

export class FairBuckets {
  readonly #total: TokenBucket;
  readonly #sources: readonly TokenBucket[];
  readonly #salt: number;

  constructor(options: { perSecond: number; nowMs: number; salt: number }) {
    const { perSecond, nowMs } = options;
    this.#salt = options.salt;
    this.#total = new TokenBucket(perSecond, nowMs);
    this.#sources = Array.from(
      { length: SOURCE_BUCKETS },
      () => new TokenBucket(perSecond * SOURCE_SHARE, nowMs),
    );
  }

  take(source: string, nowMs: number): boolean {
    const bucket = this.#sources[hash(source, this.#salt) % SOURCE_BUCKETS] as TokenBucket;
    return bucket.take(nowMs) && this.#total.take(nowMs);
  }
}

/** FNV-1a with a salt. Unsigned, 32 bits. */
function hash(text: string, salt: number): number {
  let value = (0x811c9dc5 ^ salt) >>> 0;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193) >>> 0;
  // The low bits alone decide, so the high ones are mixed into them.
  return (value ^ (value >>> 15)) >>> 0;
}
