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

interface Entry<S> {
  readonly labels: Labels;
  readonly series: S;
}

/** A level of the tree for each label; below the last one are the series. */
type Level<S> = Map<string, Level<S> | Entry<S>>;

export class SeriesTable<S> {
  readonly #metric: string;
  readonly #labelNames: readonly string[];
  readonly #maxSeries: number;
  readonly #create: (labels: Labels) => S;
  readonly #onOverflow: () => void;
  /**
   * Found by one map look-up per label: a joined key would be built, flattened and hashed at every observation, and
   * could be ambiguous. Bench case: observe-labelled.
   */
  #root: Level<S> = new Map();
  #entries: Entry<S>[] = [];
  #overflow: Entry<S> | undefined;

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
    const names = this.#labelNames;
    if (labels !== undefined) this.#checkNames(labels);
    let level = this.#root;
    for (let i = 0; i < names.length - 1; i++) {
      const next = level.get(this.#text(labels, names[i] as string));
      if (next === undefined) return this.#add(labels);
      level = next as Level<S>;
    }
    const last = names.length === 0 ? '' : this.#text(labels, names[names.length - 1] as string);
    const found = level.get(last) as Entry<S> | undefined;
    return found === undefined ? this.#add(labels) : found.series;
  }

  *entries(): Generator<Entry<S>> {
    yield* this.#entries;
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
    this.#root = new Map();
    this.#entries = [];
    this.#overflow = undefined;
  }

  #add(labels: Labels | undefined): S {
    const names = this.#labelNames;
    if (this.#entries.length >= this.#maxSeries) {
      this.#onOverflow();
      this.#overflow ??= this.#make(Object.fromEntries(names.map((name) => [name, OVERFLOW_LABEL])));
      return this.#overflow.series;
    }
    const values = names.length === 0 ? [''] : names.map((name) => this.#text(labels, name));
    const entry = this.#make(normalize(labels));
    let level = this.#root;
    for (const value of values.slice(0, -1)) {
      const next = (level.get(value) as Level<S> | undefined) ?? new Map();
      level.set(value, next);
      level = next;
    }
    level.set(values.at(-1) ?? '', entry);
    this.#entries.push(entry);
    return entry.series;
  }

  #make(labels: Labels): Entry<S> {
    return { labels, series: this.#create(labels) };
  }

  #text(labels: Labels | undefined, name: string): string {
    const value = labels?.[name];
    if (typeof value === 'string') return value;
    if (value === undefined) return '';
    if (typeof value === 'number') return String(value);
    throw new TypeError(`label ${name} of ${this.#metric} must be a string or a number`);
  }

  #checkNames(labels: Labels): void {
    for (const name in labels) {
      if (!this.#labelNames.includes(name)) {
        throw new TypeError(`${this.#metric} has no label ${JSON.stringify(name)}`);
      }
    }
  }
}

function normalize(labels: Labels | undefined): Labels {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(labels ?? {})) {
    if (value !== undefined && value !== '') out[name] = String(value);
  }
  return out;
}
