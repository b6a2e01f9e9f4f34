/**
 * Finds how much may run at once from how long things take.
 *
 * Additive increase, multiplicative decrease on the median of a window of latencies, each divided by the size of its
 * request. The division is what makes it work for language models: a request of 2,000 tokens is slow because it is long,
 * and a limiter that takes it for overload halves for nothing. The median is what makes it calm: one stuck request says
 * nothing. The window's median is compared with the best one so far (`baseline`); it may be `tolerance` times as long
 * before the limit shrinks.
 *
 * Sources: Chiu & Jain 1989 (why AIMD converges); Netflix concurrency-limits (limit by latency gradient). Gradient2 and
 * Vegas were measured against it on replayed traces, see DESIGN.md.
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
  /** Requests that end before the limit is reconsidered; more when the limit is higher. Default 16. */
  readonly windowSamples?: number;
  /** How many times its best a window's median may be. Above 1, default 1.5. */
  readonly tolerance?: number;
  /** What remains of the limit when it shrinks. Default 0.9. */
  readonly backoff?: number;
}

export interface AdaptiveLimitStats {
  readonly limit: number;
  readonly inFlight: number;
  /** Best recent latency per unit of size, ms. 0 before the first window. */
  readonly baselineMs: number;
  /** Median of the last window, ms per unit of size. */
  readonly medianMs: number;
  readonly increases: number;
  readonly decreases: number;
}

export class AdaptiveLimit implements ConcurrencyLimit {
  readonly #minLimit: number;
  readonly #maxLimit: number;
  readonly #windowSamples: number;
  readonly #tolerance: number;
  readonly #backoff: number;
  readonly #window: Float64Array;
  #samples = 0;
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
    this.#windowSamples = integerOption('windowSamples', options.windowSamples ?? 16, 1, 10_000);
    this.#tolerance = numberOption('tolerance', options.tolerance ?? 1.5, 1);
    this.#backoff = numberOption('backoff', options.backoff ?? 0.9, 0.1, 0.999);
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
    if (this.#inFlight >= this.limit) return undefined;
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
    if (outcome.dropped === true) {
      if (era === this.#era) this.#decrease();
    } else {
      this.#window[this.#samples++] = latencyMs / Math.max(size, Number.MIN_VALUE);
      if (this.#samples === this.#windowSamples) this.#reconsider();
    }
    while (this.#wakes.length > 0 && this.#inFlight < this.limit) (this.#wakes.shift() as () => void)();
  }

  #reconsider(): void {
    const sorted = this.#window.slice(0, this.#samples).sort();
    this.#medianMs = sorted[sorted.length >> 1] as number;
    const wasUsed = this.#peakInFlight * 2 > this.limit;
    this.#samples = 0;
    this.#peakInFlight = this.#inFlight;
    if (this.#baselineMs === 0 || this.#medianMs < this.#baselineMs) this.#baselineMs = this.#medianMs;
    if (this.#medianMs > this.#tolerance * this.#baselineMs) {
      this.#decrease();
    } else if (wasUsed) {
      this.#exact = Math.min(this.#maxLimit, this.#exact + 1);
      this.#increases++;
    }
  }

  #decrease(): void {
    this.#exact = Math.max(this.#minLimit, this.#exact * this.#backoff);
    this.#era++;
    this.#decreases++;
  }
}
