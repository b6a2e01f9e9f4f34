/**
 * Counter, gauge and histogram. Each keeps its own series and offers them to the monitor's prom-client registry as a
 * metric, so that everything prom-client can do with a registry (merge, default labels, push) works on them too.
 */
import { LogBuckets } from './log-buckets.ts';
import type { LogBucketsSnapshot } from './log-buckets.ts';
import { SeriesTable, checkNames } from './series-limit.ts';
import type { Labels } from './series-limit.ts';

export interface MetricOptions {
  /** A Prometheus metric name; end it in its unit (`_seconds`, `_bytes`) or, for counters, `_total`. */
  readonly name: string;
  /** One line for readers of a dashboard. Default: the name. */
  readonly help?: string;
  readonly labelNames?: readonly string[];
}

export interface GaugeOptions extends MetricOptions {
  /** Read at every scrape and evaluation instead of `set`; `undefined` means there is nothing to report now. */
  collect?(): number | undefined;
}

export interface HistogramOptions extends MetricOptions {
  /**
   * Upper bounds of the buckets that Prometheus sees, ascending. `quantile` does not depend on them. Default: by unit,
   * 100 us to 60 s for `_seconds`, 64 B to 1 GiB for `_bytes`, 1 to 1 million otherwise.
   */
  readonly buckets?: readonly number[];
}

/** One sample of a metric, in the shape that prom-client's registry passes around. */
export interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly Sample[];
  readonly aggregator: string;
}

/** What a metric needs from its monitor. */
export interface MetricHost {
  readonly maxSeries: number;
  onOverflow(metric: string): void;
  onCollectError(metric: string): void;
}

abstract class Metric<S> {
  /** Not readonly: prom-client renames counters when its registry is switched to OpenMetrics. */
  name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly aggregator = 'sum';
  abstract readonly type: 'counter' | 'gauge' | 'histogram';
  protected readonly table: SeriesTable<S>;

  constructor(
    options: MetricOptions,
    host: MetricHost,
    reserved: readonly string[],
    create: (labels: Labels) => S,
  ) {
    const labelNames = [...(options.labelNames ?? [])];
    checkNames(options.name, labelNames, reserved);
    this.name = options.name;
    this.help = options.help ?? options.name;
    this.labelNames = labelNames;
    this.table = new SeriesTable<S>({
      metric: options.name,
      labelNames,
      maxSeries: host.maxSeries,
      create,
      onOverflow: () => host.onOverflow(options.name),
    });
  }

  /** The series of these label values; keep it where the same labels are used again and again. */
  labels(labels: Labels): S {
    return this.table.get(labels);
  }

  /** What a link to another thread sends. */
  *series(): Generator<{ readonly labels: Labels; readonly series: S }> {
    yield* this.table.entries();
  }

  /** For prom-client's registry. */
  get(): Promise<Family> {
    return Promise.resolve({
      name: this.name,
      help: this.help,
      type: this.type,
      values: this.samples(),
      aggregator: this.aggregator,
    });
  }

  /** For prom-client's registry: forgets every series. */
  reset(): void {
    this.table.clear();
  }

  protected abstract samples(): Sample[];
}

export class CounterSeries {
  #value = 0;

  get value(): number {
    return this.#value;
  }

  /** Adds `amount`, 0 or more; `inc(0)` says "measured, and nothing happened". */
  inc(amount = 1): void {
    if (!(amount >= 0 && amount < Infinity)) {
      throw new RangeError(`a counter only grows by finite amounts, not by ${amount}`);
    }
    this.#value += amount;
  }
}

/** A number that only grows. */
export class Counter extends Metric<CounterSeries> {
  readonly type = 'counter';

  constructor(options: MetricOptions, host: MetricHost) {
    super(options, host, [], () => new CounterSeries());
  }

  /** @throws {RangeError} when `amount` is negative or not finite. */
  inc(amount = 1, labels?: Labels): void {
    this.table.get(labels).inc(amount);
  }

  /** Sum over the series with these labels; `undefined` when none was ever touched. */
  value(labels?: Labels): number | undefined {
    return sumOf(this.table.matching(labels));
  }

  protected samples(): Sample[] {
    const out: Sample[] = [];
    for (const { labels, series } of this.table.entries()) out.push({ labels, value: series.value });
    return out;
  }
}

export class GaugeSeries {
  #value = 0;

  get value(): number {
    return this.#value;
  }

  set(value: number): void {
    if (typeof value !== 'number') throw new TypeError('a gauge takes a number');
    this.#value = value;
  }

  inc(amount = 1): void {
    this.set(this.#value + amount);
  }

  dec(amount = 1): void {
    this.set(this.#value - amount);
  }
}

/** A number that goes up and down. */
export class Gauge extends Metric<GaugeSeries> {
  readonly type = 'gauge';
  readonly #collect: (() => number | undefined) | undefined;
  readonly #host: MetricHost;

  constructor(options: GaugeOptions, host: MetricHost) {
    super(options, host, [], () => new GaugeSeries());
    if (options.collect !== undefined && this.labelNames.length > 0) {
      throw new TypeError(`collect of ${options.name} needs a gauge without labels`);
    }
    this.#collect = options.collect?.bind(options);
    this.#host = host;
  }

  /** Whether it is read at scrape time rather than set. */
  get collected(): boolean {
    return this.#collect !== undefined;
  }

  set(value: number, labels?: Labels): void {
    this.table.get(labels).set(value);
  }

  inc(amount = 1, labels?: Labels): void {
    this.table.get(labels).inc(amount);
  }

  dec(amount = 1, labels?: Labels): void {
    this.table.get(labels).dec(amount);
  }

  /** Sum over the series with these labels; `undefined` when none was ever set. */
  value(labels?: Labels): number | undefined {
    this.#refresh();
    return sumOf(this.table.matching(labels));
  }

  protected samples(): Sample[] {
    this.#refresh();
    const out: Sample[] = [];
    for (const { labels, series } of this.table.entries()) out.push({ labels, value: series.value });
    return out;
  }

  #refresh(): void {
    if (this.#collect === undefined) return;
    let value: number | undefined;
    try {
      value = this.#collect();
    } catch {
      this.#host.onCollectError(this.name);
    }
    // A stale value would look like a measurement: no value now means no series now.
    if (value === undefined) this.table.clear();
    else this.table.get(undefined).set(value);
  }
}

export class HistogramSeries {
  readonly #bounds: Float64Array;
  /** Observations per Prometheus bucket, not cumulative; the last one is above every bound. */
  readonly #counts: Float64Array;
  readonly #log = new LogBuckets();

  constructor(bounds: Float64Array) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  get count(): number {
    return this.#log.count;
  }

  get sum(): number {
    return this.#log.sum;
  }

  /** @throws {RangeError} when the value is not a finite number. */
  observe(value: number): void {
    if (!Number.isFinite(value)) throw new RangeError(`a histogram takes finite numbers, not ${value}`);
    this.#log.add(value);
    const bounds = this.#bounds;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const mid = (low + high) >>> 1;
      if (value <= (bounds[mid] as number)) high = mid;
      else low = mid + 1;
    }
    this.#counts[low] = (this.#counts[low] as number) + 1;
  }

  /** As {@link Histogram.quantile}, of this series alone. */
  quantile(p: number): number {
    checkQuantile(p);
    return this.#log.quantile(p);
  }

  /** For links between threads. */
  get log(): LogBuckets {
    return this.#log;
  }

  /** For links between threads. Observations per bucket of Prometheus, the last above every bound. */
  get bucketCounts(): Float64Array {
    return this.#counts;
  }

  /** For links between threads. Adds what another thread observed, under the same bounds. */
  absorb(log: LogBucketsSnapshot, bucketCounts: ArrayLike<number>): void {
    this.#log.merge(log);
    for (let i = 0; i < this.#counts.length; i++) {
      this.#counts[i] = (this.#counts[i] as number) + (bucketCounts[i] ?? 0);
    }
  }
}

/** A distribution: exact counts per Prometheus bucket, and quantiles within 1/256 of the value. */
export class Histogram extends Metric<HistogramSeries> {
  readonly type = 'histogram';
  readonly bounds: readonly number[];

  constructor(options: HistogramOptions, host: MetricHost, extraBounds: readonly number[] = []) {
    const bounds = [...new Set([...checkBuckets(options), ...extraBounds])].sort((a, b) => a - b);
    const packed = Float64Array.from(bounds);
    super(options, host, ['le'], () => new HistogramSeries(packed));
    this.bounds = bounds;
  }

  /** Counts one value, in the unit the name ends in: seconds for `_seconds`. */
  observe(value: number, labels?: Labels): void {
    this.table.get(labels).observe(value);
  }

  /**
   * The value at rank `ceil(p * count)` of everything observed in the series with these labels (all, when left out),
   * at most 1/256 of itself away from the true one; exact for `p` 0 and 1. NaN when nothing was observed.
   * @throws {RangeError} when `p` is outside [0, 1].
   */
  quantile(p: number, labels?: Labels): number {
    checkQuantile(p);
    const merged = new LogBuckets();
    for (const series of this.table.matching(labels)) merged.merge(series.log);
    return merged.quantile(p);
  }

  /** Number of observations in the series with these labels. */
  count(labels?: Labels): number {
    let count = 0;
    for (const series of this.table.matching(labels)) count += series.count;
    return count;
  }

  /** Sum of the observations in the series with these labels. */
  sum(labels?: Labels): number {
    let sum = 0;
    for (const series of this.table.matching(labels)) sum += series.sum;
    return sum;
  }

  protected samples(): Sample[] {
    const out: Sample[] = [];
    for (const { labels, series } of this.table.entries()) {
      let cumulative = 0;
      for (const [i, bound] of this.bounds.entries()) {
        cumulative += series.bucketCounts[i] as number;
        out.push({ metricName: `${this.name}_bucket`, labels: { le: bound, ...labels }, value: cumulative });
      }
      out.push(
        { metricName: `${this.name}_bucket`, labels: { le: '+Inf', ...labels }, value: series.count },
        { metricName: `${this.name}_sum`, labels, value: series.sum },
        { metricName: `${this.name}_count`, labels, value: series.count },
      );
    }
    return out;
  }
}

function sumOf(series: Iterable<{ readonly value: number }>): number | undefined {
  let sum: number | undefined;
  for (const one of series) sum = (sum ?? 0) + one.value;
  return sum;
}

function checkQuantile(p: number): void {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`p must be in [0, 1], not ${p}`);
}

const SECONDS_BUCKETS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];
const BYTES_BUCKETS = Array.from({ length: 13 }, (_, i) => 64 * 4 ** i);
const COUNT_BUCKETS = Array.from({ length: 19 }, (_, i) => 10 ** Math.floor(i / 3) * ([1, 2, 5][i % 3] ?? 1));

function checkBuckets(options: HistogramOptions): readonly number[] {
  const { name, buckets } = options;
  if (buckets === undefined) {
    if (name.endsWith('_seconds')) return SECONDS_BUCKETS;
    return name.endsWith('_bytes') ? BYTES_BUCKETS : COUNT_BUCKETS;
  }
  if (!Array.isArray(buckets) || buckets.length === 0 || buckets.length > 1000) {
    throw new RangeError(`buckets of ${name} must be 1 to 1000 bounds`);
  }
  for (const [i, bound] of buckets.entries()) {
    if (!Number.isFinite(bound) || (i > 0 && bound <= (buckets[i - 1] as number))) {
      throw new RangeError(`buckets of ${name} must be finite and ascending`);
    }
  }
  return buckets as readonly number[];
}
