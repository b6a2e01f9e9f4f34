/**
 * Counts of values in logarithmic buckets, so that any quantile can be read back within a stated relative error.
 *
 * A bucket's index is the upper bits of the double itself: 11 bits of exponent and {@link SUB_BITS} bits of mantissa,
 * which cuts every power of two into 128 equal parts. No logarithm is computed, so an index never depends on rounding,
 * and two instances add up exactly. The counts sit in one window of consecutive buckets that grows to what was seen.
 * Negative values have a window of their own, mirrored; zero and subnormals have a counter.
 *
 * Invariants: `count` is the sum of all buckets; a window spans at most {@link MAX_BUCKETS} buckets, and what is smaller
 * in magnitude than its span is counted in the lowest bucket (the collapsing of DDSketch: Masson, Rim, Lee, VLDB 2019).
 *
 * Error: a value is answered by the middle of its bucket, at most half a bucket away: 1/256 of the value, for all values
 * within 2^64 of the largest. Minimum and maximum are exact.
 */

/** Bits of mantissa in an index: 2^7 buckets for every power of two. */
const SUB_BITS = 7;
/** 64 powers of two: 64 KiB of counts at worst; latencies between a microsecond and a minute need 26. */
const MAX_BUCKETS = 64 << SUB_BITS;
/** The smallest normal double; what is nearer to zero counts as zero. */
const SMALLEST_NORMAL = 2 ** -1022;

/** Largest relative error of {@link LogBuckets.quantile}. */
export const QUANTILE_RELATIVE_ERROR: number = 1 / 2 ** (SUB_BITS + 1);

const double = new Float64Array(1);
const words = new Uint32Array(double.buffer);
/** Index of the word that holds sign and exponent; 1 on every little-endian machine Node supports. */
const HIGH_WORD = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0;

function indexOf(magnitude: number): number {
  double[0] = magnitude;
  return (words[HIGH_WORD] as number) >>> (20 - SUB_BITS);
}

function lowerBound(index: number): number {
  words[HIGH_WORD] = (index << (20 - SUB_BITS)) >>> 0;
  words[1 - HIGH_WORD] = 0;
  return double[0] as number;
}

function middle(index: number): number {
  const low = lowerBound(index);
  const high = lowerBound(index + 1);
  return high === Infinity ? low : low + (high - low) / 2;
}

/** What one {@link LogBuckets} counted, as plain data: non-empty buckets as [index, count] pairs. */
export interface LogBucketsSnapshot {
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  readonly zeros: number;
  readonly positive: readonly (readonly [index: number, count: number])[];
  readonly negative: readonly (readonly [index: number, count: number])[];
}

class Window {
  /** Index of `counts[0]`. */
  first = 0;
  /** Highest index counted. */
  #last = 0;
  counts: Float64Array = new Float64Array(0);

  add(index: number, amount: number): void {
    if (index < this.first || index >= this.first + this.counts.length) this.#cover(index);
    if (index > this.#last) this.#last = index;
    const at = index < this.first ? 0 : index - this.first;
    this.counts[at] = (this.counts[at] as number) + amount;
  }

  /** Grows the window, by doubling, until it holds `index`, or as much of what is below its highest as it may hold. */
  #cover(index: number): void {
    const old = this.counts;
    const empty = old.length === 0;
    const oldFirst = this.first;
    const high = empty ? index : Math.max(index, this.#last);
    const low = Math.max(empty ? index : Math.min(index, oldFirst), high - MAX_BUCKETS + 1);
    if (!empty && low >= oldFirst && index < oldFirst) return;
    const size = Math.min(MAX_BUCKETS, Math.max(32, 2 * (high - low + 1)));
    // The room to spare goes to the side that grew.
    this.first = index < oldFirst || empty ? Math.max(0, high + 1 - size) : low;
    this.counts = new Float64Array(size);
    for (let i = 0; i < old.length && oldFirst + i <= this.#last; i++) {
      const at = Math.max(oldFirst + i - this.first, 0);
      this.counts[at] = (this.counts[at] as number) + (old[i] as number);
    }
  }

  pairs(): [number, number][] {
    const out: [number, number][] = [];
    for (let i = 0; i < this.counts.length; i++) {
      const count = this.counts[i] as number;
      if (count > 0) out.push([this.first + i, count]);
    }
    return out;
  }
}

export class LogBuckets {
  #count = 0;
  #zeros = 0;
  readonly #positive = new Window();
  readonly #negative = new Window();
  /** sum, min, max: doubles that change on every call live in a typed array, where they are not boxed. */
  readonly #moments = new Float64Array([0, Infinity, -Infinity]);

  get count(): number {
    return this.#count;
  }

  get sum(): number {
    return this.#moments[0] as number;
  }

  /** Counts one finite value. */
  add(value: number): void {
    const moments = this.#moments;
    this.#count++;
    moments[0] = (moments[0] as number) + value;
    if (value < (moments[1] as number)) moments[1] = value;
    if (value > (moments[2] as number)) moments[2] = value;
    if (value >= SMALLEST_NORMAL) this.#positive.add(indexOf(value), 1);
    else if (value <= -SMALLEST_NORMAL) this.#negative.add(indexOf(-value), 1);
    else this.#zeros++;
  }

  /** Adds everything another instance counted. */
  merge(other: LogBuckets | LogBucketsSnapshot): void {
    const from = other instanceof LogBuckets ? other.snapshot() : other;
    if (from.count === 0) return;
    this.#count += from.count;
    this.#zeros += from.zeros;
    const moments = this.#moments;
    moments[0] = (moments[0] as number) + from.sum;
    moments[1] = Math.min(moments[1] as number, from.min);
    moments[2] = Math.max(moments[2] as number, from.max);
    for (const [index, count] of from.positive) this.#positive.add(index, count);
    for (const [index, count] of from.negative) this.#negative.add(index, count);
  }

  /**
   * The value of rank `ceil(p * count)` (nearest rank), within {@link QUANTILE_RELATIVE_ERROR}; `p` 0 and 1 are exact.
   * NaN when nothing was counted. Linear in the number of buckets.
   */
  quantile(p: number): number {
    if (this.#count === 0) return Number.NaN;
    const [, min, max] = this.#moments as unknown as [number, number, number];
    if (p === 0) return min;
    if (p === 1) return max;
    const rank = Math.max(1, Math.ceil(p * this.#count));
    let seen = 0;
    const negative = this.#negative;
    for (let i = negative.counts.length - 1; i >= 0; i--) {
      seen += negative.counts[i] as number;
      if (seen >= rank) return clamp(-middle(negative.first + i), min, max);
    }
    seen += this.#zeros;
    if (seen >= rank) return clamp(0, min, max);
    const positive = this.#positive;
    for (let i = 0; i < positive.counts.length; i++) {
      seen += positive.counts[i] as number;
      if (seen >= rank) return clamp(middle(positive.first + i), min, max);
    }
    return max;
  }

  snapshot(): LogBucketsSnapshot {
    const [sum, min, max] = this.#moments as unknown as [number, number, number];
    return {
      count: this.#count,
      sum,
      min,
      max,
      zeros: this.#zeros,
      positive: this.#positive.pairs(),
      negative: this.#negative.pairs(),
    };
  }
}

function clamp(value: number, min: number, max: number): number {
  return value < min ? min : value > max ? max : value;
}
