/**
 * Finds how much may run at once from how long things take.
 *
 * Latencies are divided by the size of their request and the median of each window of them is compared with a baseline,
 * the lower quartile of the last hundred medians. The division is what makes it work for language models: a request of
 * 2,000 tokens is slow because it is long, and a limiter that takes it for overload halves for nothing. The median makes it
 * calm: one stuck request says nothing. The quartile makes it forget: a server that is slower for good becomes the
 * baseline within some dozens of windows.
 *
 * - It begins by doubling per round trip (one more per answer) until the first sign of overload, as TCP does.
 * - Above `tolerance` times the baseline the limit shrinks in proportion to how far above, to between a half and 0.9.
 * - Otherwise, if it was used, it grows by half its square root per window: fast when large, gentle when small.
 * - Answers to what began before the last decrease are not counted: they tell about the old limit.
 *
 * Sources: Chiu & Jain 1989 (why additive increase with multiplicative decrease converges), Jacobson 1988 (slow start),
 * Netflix concurrency-limits (limiting by latency gradient). Measured on replayed traces in bench/adaptive-limit.bench.ts.
 */
import type { ConcurrencyLimit, Permit, PermitOutcome } from './concurrency-limit.ts';
import { integerOption, numberOption } from './option-checks.ts';

export interface AdaptiveLimitOptions {
  /** Default 1. */
  readonly minLimit?: number;
  /** Default 1,000. */
  readonly maxLimit?: number;
  /** Default 20, within the bounds. */
  readonly initialLimit?: number;
  /** Answers between two looks at the limit. Default 64. */
  readonly windowSamples?: number;
  /** How many times the baseline a window's median may be. 1 or more, default 1.4. */
  readonly tolerance?: number;
}

export interface AdaptiveLimitStats {
  readonly limit: number;
  readonly inFlight: number;
  /** Usual latency per unit of size when there is no overload, ms. 0 before the first window. */
  readonly baselineMs: number;
  /** Median of the last window, ms per unit of size. */
  readonly medianMs: number;
  readonly increases: number;
  readonly decreases: number;
}

/** Window medians that the baseline is drawn from. */
const BASELINE_WINDOWS = 100;
const BASELINE_QUANTILE = 0.25;
/** A decrease leaves at least and at most this share. */
const LEAST_KEPT = 0.5;
const MOST_KEPT = 0.9;
/**
 * A decrease goes a little below the knee, so that enough windows without overload keep the baseline honest; without it
 * the baseline and the limit creep upwards together.
 */
const UNDERSHOOT = 0.9;
/** Growth per window in square roots of the limit. */
const GROWTH = 0.5;

export class AdaptiveLimit implements ConcurrencyLimit {
  readonly #minLimit: number;
  readonly #maxLimit: number;
  readonly #windowSamples: number;
  readonly #tolerance: number;
  readonly #window: Float64Array;
  #samples = 0;
  readonly #medians: number[] = [];
  #nextMedian = 0;
  #starting = true;
  #exact: number;
  #inFlight = 0;
  /** Highest number in flight during the window: a limit that was not used says nothing about raising it. */
  #peakInFlight = 0;
  /** Things that began before the last decrease still show the old limit. */
  #era = 0;
  #baselineMs = 0;
  #medianMs = 0;
  #increases = 0;
  #decreases = 0;
  #wakes: (() => void)[] = [];

  /** @throws {RangeError | TypeError} naming the option. */
  constructor(options: AdaptiveLimitOptions = {}) {
    this.#minLimit = integerOption('minLimit', options.minLimit ?? 1, 1);
    this.#maxLimit = integerOption('maxLimit', options.maxLimit ?? 1000, this.#minLimit);
    const initial = options.initialLimit ?? Math.max(this.#minLimit, Math.min(20, this.#maxLimit));
    this.#exact = integerOption('initialLimit', initial, this.#minLimit, this.#maxLimit);
    this.#windowSamples = integerOption('windowSamples', options.windowSamples ?? 64, 1, 10_000);
    this.#tolerance = numberOption('tolerance', options.tolerance ?? 1.4, 1);
    this.#window = new Float64Array(this.#windowSamples);
  }

  get limit(): number {
    return Math.floor(this.#exact);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** A permit, or undefined when `limit` of them are out. Release it exactly once. */
  acquire(): Permit | undefined {
    if (this.#inFlight >= this.limit) {
      this.#peakInFlight = this.#inFlight;
      return undefined;
    }
    this.#inFlight++;
    if (this.#inFlight > this.#peakInFlight) this.#peakInFlight = this.#inFlight;
    const era = this.#era;
    let released = false;
    return {
      release: (outcome) => {
        if (released) throw new TypeError('a permit is released once');
        released = true;
        this.#released(outcome, era);
      },
    };
  }

  onAvailable(wake: () => void): void {
    this.#wakes.push(wake);
  }

  stats(): AdaptiveLimitStats {
    return {
      limit: this.limit,
      inFlight: this.#inFlight,
      baselineMs: this.#baselineMs,
      medianMs: this.#medianMs,
      increases: this.#increases,
      decreases: this.#decreases,
    };
  }

  #released(outcome: PermitOutcome, era: number): void {
    const latencyMs = numberOption('latencyMs', outcome.latencyMs, 0);
    const size = numberOption('size', outcome.size ?? 1, 0);
    this.#inFlight--;
    if (era === this.#era) {
      if (outcome.dropped === true) {
        this.#decrease(LEAST_KEPT);
      } else {
        this.#window[this.#samples++] = latencyMs / Math.max(size, Number.MIN_VALUE);
        if (this.#starting && this.#isUsed()) this.#increase(1);
        if (this.#samples === this.#windowSamples) this.#reconsider();
      }
    }
    while (this.#wakes.length > 0 && this.#inFlight < this.limit) (this.#wakes.shift() as () => void)();
  }

  #isUsed(): boolean {
    return this.#peakInFlight * 2 > this.limit;
  }

  #reconsider(): void {
    this.#medianMs = this.#window.sort()[this.#samples >> 1] as number;
    const wasUsed = this.#isUsed();
    this.#samples = 0;
    this.#peakInFlight = this.#inFlight;
    this.#medians[this.#nextMedian] = this.#medianMs;
    this.#nextMedian = (this.#nextMedian + 1) % BASELINE_WINDOWS;
    const ordered = Float64Array.from(this.#medians).sort();
    this.#baselineMs = ordered[Math.floor(ordered.length * BASELINE_QUANTILE)] as number;
    const excess = this.#medianMs / this.#baselineMs;
    if (excess > this.#tolerance)
      this.#decrease(Math.max(LEAST_KEPT, Math.min(MOST_KEPT, UNDERSHOOT / excess)));
    else if (wasUsed && !this.#starting) this.#increase(GROWTH * Math.sqrt(this.#exact));
  }

  #increase(by: number): void {
    this.#exact = Math.min(this.#maxLimit, this.#exact + by);
    this.#increases++;
  }

  #decrease(keep: number): void {
    this.#exact = Math.max(this.#minLimit, this.#exact * keep);
    this.#starting = false;
    this.#samples = 0;
    this.#era++;
    this.#decreases++;
  }
}
