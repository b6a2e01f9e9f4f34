/**
 * The series of one metric, one per combination of label values, never more than `maxSeries` of them.
 *
 * A label whose values come from outside (a path, a user, an error text) would otherwise grow memory and every scrape
 * without bound. Beyond the limit everything lands in one more series whose labels all read `__overflow__`, so that
 * totals stay right, and the caller is told, so that it can be counted.
 */

export type Labels = Readonly<Record<string, string | number>>;

/** The value of every label of the series that takes what no longer fits. */
export const OVERFLOW_LABEL = '__overflow__';

const METRIC_NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/;

/** @throws {TypeError} when the metric's or a label's name is not one Prometheus accepts. */
export function checkNames(name: string, labelNames: readonly string[], reserved: readonly string[]): void {
  if (typeof name !== 'string' || !METRIC_NAME.test(name)) {
    throw new TypeError(`name must be a Prometheus metric name, not ${JSON.stringify(name)}`);
  }
  for (const label of labelNames) {
    if (typeof label !== 'string' || !LABEL_NAME.test(label) || reserved.includes(label)) {
      throw new TypeError(`labelNames of ${name}: ${JSON.stringify(label)} cannot be a label`);
    }
  }
  if (new Set(labelNames).size !== labelNames.length) {
    throw new TypeError(`labelNames of ${name} must be distinct`);
  }
}

export class SeriesTable<S> {
  readonly #metric: string;
  readonly #labelNames: readonly string[];
  readonly #maxSeries: number;
  readonly #create: (labels: Labels) => S;
  readonly #onOverflow: () => void;
  readonly #series = new Map<string, { readonly labels: Labels; readonly series: S }>();
  #overflow: { readonly labels: Labels; readonly series: S } | undefined;

  constructor(options: {
    readonly metric: string;
    readonly labelNames: readonly string[];
    readonly maxSeries: number;
    create(labels: Labels): S;
    onOverflow(): void;
  }) {
    this.#metric = options.metric;
    this.#labelNames = options.labelNames;
    this.#maxSeries = options.maxSeries;
    this.#create = options.create;
    this.#onOverflow = options.onOverflow;
  }

  /**
   * The series of these label values, made when it is new. A label left out counts as empty, as in Prometheus.
   * @throws {TypeError} when a label was not declared, or its value is neither a string nor a number.
   */
  get(labels: Labels | undefined): S {
    const key = this.#key(labels);
    const found = this.#series.get(key);
    if (found !== undefined) return found.series;
    if (this.#series.size >= this.#maxSeries) {
      this.#onOverflow();
      this.#overflow ??= this.#make(Object.fromEntries(this.#labelNames.map((n) => [n, OVERFLOW_LABEL])));
      return this.#overflow.series;
    }
    const made = this.#make(normalize(labels));
    this.#series.set(key, made);
    return made.series;
  }

  *entries(): Generator<{ readonly labels: Labels; readonly series: S }> {
    yield* this.#series.values();
    if (this.#overflow !== undefined) yield this.#overflow;
  }

  /** Series whose labels include all of `wanted`. */
  *matching(wanted: Labels | undefined): Generator<S> {
    const pairs = Object.entries(wanted ?? {});
    for (const { labels, series } of this.entries()) {
      if (pairs.every(([name, value]) => String(labels[name] ?? '') === String(value))) yield series;
    }
  }

  clear(): void {
    this.#series.clear();
    this.#overflow = undefined;
  }

  #make(labels: Labels): { readonly labels: Labels; readonly series: S } {
    return { labels, series: this.#create(labels) };
  }

  #key(labels: Labels | undefined): string {
    if (labels === undefined)
      return this.#labelNames.length === 0 ? '' : '0:'.repeat(this.#labelNames.length);
    for (const name in labels) {
      if (!this.#labelNames.includes(name)) {
        throw new TypeError(`${this.#metric} has no label ${JSON.stringify(name)}`);
      }
    }
    let key = '';
    for (const name of this.#labelNames) {
      const value = labels[name];
      if (value !== undefined && typeof value !== 'string' && typeof value !== 'number') {
        throw new TypeError(`label ${name} of ${this.#metric} must be a string or a number`);
      }
      const text = value === undefined ? '' : String(value);
      // The length in front keeps ('a:1', 'b') and ('a', '1:b') apart whatever the values contain.
      key += `${text.length}:${text}`;
    }
    return key;
  }
}

function normalize(labels: Labels | undefined): Labels {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(labels ?? {})) {
    if (value !== '') out[name] = String(value);
  }
  return out;
}
