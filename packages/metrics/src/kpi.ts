/**
 * A KPI is a target on something a monitor measures. One definition serves twice: {@link evaluateKpis} judges it in this
 * process, and the exported alert rules judge it in Prometheus.
 */

/** Series of one metric; all of them when `labels` is left out. */
export interface Selector {
  readonly metric: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export type KpiMeasure =
  /** A quantile in [0, 1] of a histogram. */
  | ({ readonly kind: 'quantile'; readonly quantile: number } & Selector)
  /** A sum of counters or gauges over another sum. */
  | {
      readonly kind: 'ratio';
      readonly numerator: readonly Selector[];
      readonly denominator: readonly Selector[];
    }
  /** The sum of a counter's or gauge's series. */
  | ({ readonly kind: 'value' } & Selector);

export interface Kpi {
  /** Stable and unique, kebab-case; names the alert. */
  readonly id: string;
  readonly title: string;
  readonly unit: 'seconds' | 'bytes' | 'ratio' | 'count' | 'usd';
  readonly target: number;
  /** Whether measured values above or below the target miss it. A value equal to the target meets it. */
  readonly direction: 'atMost' | 'atLeast';
  readonly measure: KpiMeasure;
  /** Default `warning`. */
  readonly severity?: 'warning' | 'critical';
  /** How long Prometheus must see a miss before it alerts. Default 300 000. */
  readonly forMs?: number;
}

export interface KpiResult {
  readonly id: string;
  readonly title: string;
  readonly unit: Kpi['unit'];
  readonly target: number;
  readonly direction: Kpi['direction'];
  /** `undefined` when there is nothing to judge; the verdict is then `skip`. */
  readonly measured: number | undefined;
  /** Observations behind a quantile, the denominator of a ratio, 1 for a value; 0 when there is no data. */
  readonly samples: number;
  readonly verdict: 'pass' | 'miss' | 'skip';
}

export interface KpiReport {
  readonly atMs: number;
  readonly results: readonly KpiResult[];
  readonly pass: number;
  readonly miss: number;
  readonly skip: number;
}

/** Where KPIs read from: what a monitor can say about its metrics. */
export interface KpiSource {
  quantile(metric: string, p: number, labels?: Readonly<Record<string, string>>): number;
  count(metric: string, labels?: Readonly<Record<string, string>>): number;
  value(metric: string, labels?: Readonly<Record<string, string>>): number | undefined;
}

/**
 * KPIs of an agent system, on the metrics that a monitor keeps by itself (`track`), that it polls after
 * `instrument(cache, 'cache')`, or that a system observes in `perf_operation_duration_seconds{operation}` and
 * `perf_event_loop_delay_seconds`. What a system does not measure is skipped.
 */
export const defaultKpis: readonly Kpi[] = Object.freeze([
  {
    id: 'execution-failure-ratio',
    title: 'Failed executions',
    unit: 'ratio',
    target: 0.05,
    direction: 'atMost',
    severity: 'critical',
    measure: {
      kind: 'ratio',
      numerator: [{ metric: 'perf_executions_total', labels: { ok: 'false' } }],
      denominator: [{ metric: 'perf_executions_total' }],
    },
  },
  {
    id: 'cache-hit-ratio',
    title: 'Cache hits',
    unit: 'ratio',
    target: 0.5,
    direction: 'atLeast',
    measure: {
      kind: 'ratio',
      numerator: [{ metric: 'perf_cache_hits' }],
      denominator: [{ metric: 'perf_cache_hits' }, { metric: 'perf_cache_misses' }],
    },
  },
  operationKpi('cache-get-p99', 'Cache read, p99', 'cache.get', 0.001),
  operationKpi('graph-traverse-p99', 'Graph query, p99', 'graph.traverse', 0.01),
  operationKpi('patterns-detect-p99', 'Pattern detection, p99', 'patterns.detect', 0.005),
  operationKpi('store-p99', 'Durable write, p99', 'store', 0.05),
  {
    id: 'event-loop-delay-p99',
    title: 'Event-loop delay, p99',
    unit: 'seconds',
    target: 0.05,
    direction: 'atMost',
    measure: { kind: 'quantile', metric: 'perf_event_loop_delay_seconds', quantile: 0.99 },
  },
] satisfies Kpi[]);

function operationKpi(id: string, title: string, operation: string, target: number): Kpi {
  return {
    id,
    title,
    unit: 'seconds',
    target,
    direction: 'atMost',
    measure: {
      kind: 'quantile',
      metric: 'perf_operation_duration_seconds',
      labels: { operation },
      quantile: 0.99,
    },
  };
}

/** @throws {TypeError | RangeError} when a KPI cannot be judged, naming it. */
export function checkKpis(kpis: readonly Kpi[]): void {
  if (!Array.isArray(kpis)) throw new TypeError('kpis must be an array');
  const seen = new Set<string>();
  for (const kpi of kpis) {
    if (typeof kpi?.id !== 'string' || !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(kpi.id)) {
      throw new TypeError(`kpis: id must be kebab-case, not ${JSON.stringify(kpi?.id)}`);
    }
    if (seen.has(kpi.id)) throw new TypeError(`kpis: two are called ${kpi.id}`);
    seen.add(kpi.id);
    if (!Number.isFinite(kpi.target)) throw new RangeError(`target of KPI ${kpi.id} must be finite`);
    if (kpi.direction !== 'atMost' && kpi.direction !== 'atLeast') {
      throw new TypeError(`direction of KPI ${kpi.id} must be 'atMost' or 'atLeast'`);
    }
    if (kpi.forMs !== undefined && !(kpi.forMs >= 0 && kpi.forMs < Infinity)) {
      throw new RangeError(`forMs of KPI ${kpi.id} must be 0 or more`);
    }
    checkMeasure(kpi);
  }
}

function checkMeasure({ id, measure }: Kpi): void {
  const selectors =
    measure?.kind === 'ratio'
      ? [...(measure.numerator ?? []), ...(measure.denominator ?? [])]
      : measure?.kind === 'quantile' || measure?.kind === 'value'
        ? [measure]
        : [];
  const complete = measure?.kind !== 'ratio' || (measure.numerator?.length && measure.denominator?.length);
  if (selectors.length === 0 || !complete || selectors.some((s) => typeof s.metric !== 'string')) {
    throw new TypeError(`measure of KPI ${id} must be a quantile, a ratio or a value of named metrics`);
  }
  if (measure.kind === 'quantile' && !(measure.quantile >= 0 && measure.quantile <= 1)) {
    throw new RangeError(`quantile of KPI ${id} must be in [0, 1]`);
  }
}

/** Judges every KPI. No data is `skip`, never `pass`. */
export function evaluateKpis(kpis: readonly Kpi[], source: KpiSource, atMs: number): KpiReport {
  const results = kpis.map((kpi): KpiResult => {
    const { measured, samples } = measureKpi(kpi.measure, source);
    const { id, title, unit, target, direction } = kpi;
    const met = measured !== undefined && (direction === 'atMost' ? measured <= target : measured >= target);
    const verdict = measured === undefined ? 'skip' : met ? 'pass' : 'miss';
    return { id, title, unit, target, direction, measured, samples, verdict };
  });
  const count = (verdict: KpiResult['verdict']): number =>
    results.filter((r) => r.verdict === verdict).length;
  return { atMs, results, pass: count('pass'), miss: count('miss'), skip: count('skip') };
}

function measureKpi(
  measure: KpiMeasure,
  source: KpiSource,
): { measured: number | undefined; samples: number } {
  const none = { measured: undefined, samples: 0 };
  if (measure.kind === 'quantile') {
    const samples = source.count(measure.metric, measure.labels);
    if (samples === 0) return none;
    return { measured: source.quantile(measure.metric, measure.quantile, measure.labels), samples };
  }
  if (measure.kind === 'value') {
    const measured = source.value(measure.metric, measure.labels);
    return measured === undefined || Number.isNaN(measured) ? none : { measured, samples: 1 };
  }
  const denominator = sum(measure.denominator, source);
  if (!(denominator > 0)) return none;
  return { measured: sum(measure.numerator, source) / denominator, samples: denominator };
}

function sum(selectors: readonly Selector[], source: KpiSource): number {
  let total = 0;
  for (const { metric, labels } of selectors) total += source.value(metric, labels) ?? 0;
  return total;
}
