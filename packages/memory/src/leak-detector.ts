// Tells a leak from noise and from a warm-up, from process.memoryUsage() over time.
//
// Used memory is a saw: it climbs with garbage and falls at a collection, so only its troughs show what is kept. In the
// heap, a trough is a sample below the one before it: a collection came between. Memory outside the heap and resident
// memory have no such teeth; there every sample counts. The window is cut into bins and each bin's lowest trough taken.
// A leak is a trend in these minima that is
//   steep      Theil-Sen slope at least the threshold (Sen, JASA 1968; half the points may be outliers, hardly any sway)
//   lasting    the same for the later half alone, which a cache that fills and then stops does not pass
//   not chance Mann-Kendall test (Mann, Econometrica 1945; Kendall 1955) one-sided at the set confidence
// Resident memory grows long after the heap has stopped, because freed pages are kept; it is judged only when the heap
// and external memory are flat, and over twice the observation.
import { checkedCount } from './option-checks.ts';

export interface MemorySample {
  readonly atMs: number;
  readonly heapUsedBytes: number;
  /** Buffers and other memory outside the heap. */
  readonly externalBytes?: number;
  readonly rssBytes?: number;
}

export type LeakSource = 'heap' | 'external' | 'rss';

export interface LeakVerdict {
  readonly leak: boolean;
  /** Slope of the minima over the window; 0 before there is enough to judge. */
  readonly bytesPerMinute: number;
  /** Of a rising trend, by the Mann-Kendall test, in [0, 1]; 0 before there is enough to judge. */
  readonly confidence: number;
  /** What leaks; without a leak, what grows fastest. */
  readonly source: LeakSource;
}

export interface LeakDetectorOptions {
  /** Growth that is called a leak. Default 5 MB (5,000,000 bytes) a minute. */
  readonly thresholdBytesPerMinute?: number;
  /** How far back a verdict looks. Default 5 minutes. */
  readonly windowMs?: number;
  /** No leak is called on less than this. Default 2 minutes. */
  readonly minObservedMs?: number;
  /** Samples kept at most; more shorten the window. Default 4096. */
  readonly maxSamples?: number;
}

const BINS = 24;
/** Fewer minima carry no verdict. */
const MIN_BINS = 8;
const MIN_CONFIDENCE = 0.99;
const MINUTE_MS = 60_000;
/** V8 scavenges a young generation of default size before it holds more than this. */
const UNCOLLECTED_BYTES = 16 * 1024 * 1024;

interface Trend {
  readonly source: LeakSource;
  readonly leak: boolean;
  readonly bytesPerMinute: number;
  readonly confidence: number;
}

export class LeakDetector {
  readonly #threshold: number;
  readonly #windowMs: number;
  readonly #minObservedMs: number;
  readonly #maxSamples: number;
  #samples: MemorySample[] = [];

  constructor(options: LeakDetectorOptions = {}) {
    const {
      thresholdBytesPerMinute = 5_000_000,
      windowMs = 5 * MINUTE_MS,
      minObservedMs = 2 * MINUTE_MS,
    } = options;
    this.#threshold = checkedCount('thresholdBytesPerMinute', thresholdBytesPerMinute);
    this.#windowMs = checkedCount('windowMs', windowMs);
    this.#minObservedMs = checkedCount('minObservedMs', minObservedMs);
    this.#maxSamples = checkedCount('maxSamples', options.maxSamples ?? 4096, BINS);
    if (minObservedMs > windowMs) throw new RangeError('minObservedMs must be at most windowMs');
  }

  /** Takes a sample; times must not go back. Every 0.1 to 5 seconds is a good rate. */
  add(sample: MemorySample): void {
    const { atMs, heapUsedBytes, externalBytes, rssBytes } = sample;
    for (const [name, value] of Object.entries({ atMs, heapUsedBytes, externalBytes, rssBytes })) {
      const optional = name === 'externalBytes' || name === 'rssBytes';
      if (optional && value === undefined) continue;
      if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
      if (!Number.isFinite(value)) throw new RangeError(`${name} must be finite`);
    }
    const last = this.#samples.at(-1);
    if (last !== undefined && atMs < last.atMs) throw new RangeError('atMs must not go back');
    this.#samples.push({ ...sample });
    const oldest = atMs - this.#windowMs;
    // Trimmed in batches, so that adding stays O(1) on average.
    if (this.#samples.length > 2 * this.#maxSamples) this.#samples = this.#samples.slice(-this.#maxSamples);
    if ((this.#samples[this.#samples.length >> 1]?.atMs ?? atMs) < oldest) {
      this.#samples = this.#samples.filter((one) => one.atMs >= oldest);
    }
  }

  /** O(samples) and a constant for the minima: well below a millisecond. */
  verdict(): LeakVerdict {
    const newest = this.#samples.at(-1)?.atMs ?? 0;
    const window = this.#samples
      .slice(-this.#maxSamples)
      .filter((one) => one.atMs >= newest - this.#windowMs);
    const observedMs = newest - (window[0]?.atMs ?? newest);
    const heap = this.#trend(
      'heap',
      collected(window),
      observedMs >= this.#minObservedMs,
      (one) => one.heapUsedBytes,
    );
    const external = this.#trend(
      'external',
      window,
      observedMs >= this.#minObservedMs,
      (one) => one.externalBytes,
    );
    const rssLongEnough = observedMs >= Math.min(2 * this.#minObservedMs, this.#windowMs * 0.9);
    const rss = this.#trend('rss', window, rssLongEnough, (one) => one.rssBytes);
    const tracked = heap.bytesPerMinute >= external.bytesPerMinute ? [heap, external] : [external, heap];
    const { source, leak, bytesPerMinute, confidence } =
      tracked.find((trend) => trend.leak) ?? (rss.leak ? rss : (tracked[0] ?? heap));
    return { leak, bytesPerMinute, confidence, source };
  }

  #trend(
    source: LeakSource,
    window: readonly MemorySample[],
    longEnough: boolean,
    bytesOf: (sample: MemorySample) => number | undefined,
  ): Trend {
    const { times, minima } = troughs(window, bytesOf);
    if (minima.length < MIN_BINS) return { source, leak: false, bytesPerMinute: 0, confidence: 0 };
    const half = minima.length >> 1;
    const slope = theilSenSlope(times, minima) * MINUTE_MS;
    const lateSlope = theilSenSlope(times.slice(half), minima.slice(half)) * MINUTE_MS;
    const confidence = risingConfidence(minima);
    const steep = slope >= this.#threshold && lateSlope >= this.#threshold;
    return {
      source,
      leak: longEnough && steep && confidence >= MIN_CONFIDENCE,
      bytesPerMinute: slope,
      confidence,
    };
  }
}

/**
 * The samples after a collection: those with less in the heap than the sample before. A window without any says nothing
 * until the heap has grown by more than a young generation can hold uncollected; from there on every sample counts.
 */
function collected(window: readonly MemorySample[]): readonly MemorySample[] {
  const troughs = window.filter((one, i) => one.heapUsedBytes < (window[i - 1]?.heapUsedBytes ?? -Infinity));
  if (troughs.length > 0) return troughs;
  const rise = (window.at(-1)?.heapUsedBytes ?? 0) - (window[0]?.heapUsedBytes ?? 0);
  return rise > UNCOLLECTED_BYTES ? window : [];
}

/** The lowest sample of each bin of time, at its own time. Empty bins are left out. */
function troughs(
  window: readonly MemorySample[],
  bytesOf: (sample: MemorySample) => number | undefined,
): { times: number[]; minima: number[] } {
  const first = window[0]?.atMs ?? 0;
  const spanMs = (window.at(-1)?.atMs ?? 0) - first;
  const lowest: (MemorySample | undefined)[] = new Array<undefined>(BINS).fill(undefined);
  for (const sample of window) {
    const bytes = bytesOf(sample);
    if (bytes === undefined) continue;
    const bin = spanMs === 0 ? 0 : Math.min(BINS - 1, Math.floor(((sample.atMs - first) / spanMs) * BINS));
    const known = lowest[bin];
    if (known === undefined || bytes < (bytesOf(known) ?? Infinity)) lowest[bin] = sample;
  }
  const found = lowest.filter((sample) => sample !== undefined);
  return { times: found.map((one) => one.atMs), minima: found.map((one) => bytesOf(one) ?? 0) };
}

/** The median of the slopes between all pairs of points. */
export function theilSenSlope(times: readonly number[], values: readonly number[]): number {
  const slopes: number[] = [];
  for (let i = 0; i < times.length; i++) {
    for (let j = i + 1; j < times.length; j++) {
      const apart = (times[j] ?? 0) - (times[i] ?? 0);
      if (apart > 0) slopes.push(((values[j] ?? 0) - (values[i] ?? 0)) / apart);
    }
  }
  slopes.sort((a, b) => a - b);
  const middle = slopes.length >> 1;
  if (slopes.length === 0) return 0;
  if (slopes.length % 2 === 1) return slopes[middle] ?? 0;
  return ((slopes[middle - 1] ?? 0) + (slopes[middle] ?? 0)) / 2;
}

/** One-sided Mann-Kendall: the probability that a series without trend rises less than this one. */
export function risingConfidence(values: readonly number[]): number {
  const n = values.length;
  let score = 0;
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) score += Math.sign((values[j] ?? 0) - (values[i] ?? 0));
  }
  const deviation = Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  if (score === 0 || deviation === 0) return 0.5;
  return normalCumulative((score - Math.sign(score)) / deviation);
}

/** Abramowitz and Stegun 26.2.17; absolute error below 7.5e-8. */
function normalCumulative(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const series =
    t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  const upper = (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * series;
  return z >= 0 ? 1 - upper : upper;
}
