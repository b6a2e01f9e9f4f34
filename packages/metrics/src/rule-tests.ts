/**
 * Unit tests for exported alert rules, in the format of `promtool test rules`: for each KPI, series that miss its target
 * and must raise the alert, and series that meet it and must not.
 */
import { alertName, selector } from './alert-expression.ts';
import type { Kpi, Selector } from './kpi.ts';

export interface RuleTest {
  readonly name: string;
  readonly interval: string;
  readonly input_series: readonly { readonly series: string; readonly values: string }[];
  readonly alert_rule_test: readonly {
    readonly eval_time: string;
    readonly alertname: string;
    readonly exp_alerts: readonly {
      readonly exp_labels: Readonly<Record<string, string>>;
      readonly exp_annotations: Readonly<Record<string, string>>;
    }[];
  }[];
}

type Series = readonly { readonly series: string; readonly values: string }[];

/** After the alert's wait and the rate window, with room to spare. */
const MARGIN_MINUTES = 10;

export function ruleTestsOf(
  kpi: Kpi,
  forMs: number,
  labels: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>>,
): RuleTest[] {
  const minutes = Math.ceil(forMs / 60_000) + MARGIN_MINUTES;
  const tests: RuleTest[] = [];
  for (const misses of [true, false]) {
    const series = seriesFor(kpi, misses, minutes);
    // Some targets cannot be missed (a ratio of at most 1), or not be met, by any series.
    if (series === undefined) continue;
    tests.push({
      name: `${kpi.id} ${misses ? 'is missed' : 'is met'}`,
      interval: '1m',
      input_series: series,
      alert_rule_test: [
        {
          eval_time: `${minutes}m`,
          alertname: alertName(kpi),
          exp_alerts: misses ? [{ exp_labels: labels, exp_annotations: annotations }] : [],
        },
      ],
    });
  }
  return tests;
}

function seriesFor(kpi: Kpi, misses: boolean, minutes: number): Series | undefined {
  const { measure, target, direction } = kpi;
  const above = misses === (direction === 'atMost');
  if (measure.kind === 'ratio') return ratioSeries(kpi, misses, minutes);
  if (measure.kind === 'value') {
    const value = above ? target + Math.abs(target) + 1 : target - Math.abs(target) - 1;
    return [{ series: selector(measure), values: `${value}x${minutes}` }];
  }
  // Every observation falls between two bounds on the wanted side of the target.
  const low = target > 0 ? target / 4 : target - 2;
  const middle = target > 0 ? target / 2 : target - 1;
  const bounds = above ? [target, target > 0 ? target * 4 : target + 1] : [low, middle];
  // At quantile 0 the answer is the lower bound itself, which is the target; nothing is above it then.
  if (above && measure.quantile === 0) return undefined;
  const bucket = (le: string, perMinute: number): Series[number] => ({
    series: selector({ metric: `${measure.metric}_bucket`, labels: { ...measure.labels, le } }),
    values: `0+${perMinute}x${minutes}`,
  });
  return [bucket(String(bounds[0]), 0), bucket(String(bounds[1]), 60), bucket('+Inf', 60)];
}

/** Looks for rates of the numerator's series and of the others that put the ratio on the wanted side. */
function ratioSeries(kpi: Kpi, misses: boolean, minutes: number): Series | undefined {
  const { measure, target, direction } = kpi;
  if (measure.kind !== 'ratio') return undefined;
  const numerator = unique(measure.numerator);
  const others = unique(measure.denominator).filter((one) => !numerator.some((n) => same(n, one)));
  // A selector without labels also selects the numerator's series; so the others are told apart by one more label.
  const rest = others.map((one) => ({ ...one, labels: { ...one.labels, ...distinct(one, numerator) } }));
  for (const [top, bottom] of [
    [0, 60],
    [60, 0],
    [60, 60],
    [1, 600],
    [600, 1],
    [60_000, 1],
    [1, 60_000],
  ] as const) {
    const all = [...numerator.map((s) => ({ s, rate: top })), ...rest.map((s) => ({ s, rate: bottom }))];
    const sum = (selectors: readonly Selector[]): number =>
      selectors.reduce(
        (total, one) => total + all.filter(({ s }) => selects(one, s)).reduce((t, { rate }) => t + rate, 0),
        0,
      );
    const ratio = sum(measure.numerator) / sum(measure.denominator);
    if (Number.isNaN(ratio)) continue;
    if ((direction === 'atMost' ? ratio > target : ratio < target) !== misses) continue;
    // Not so near the target that rounding could decide.
    if (Math.abs(ratio - target) < 1e-3 * Math.max(1, Math.abs(target))) continue;
    return all.map(({ s, rate }) => ({ series: selector(s), values: `0+${rate}x${minutes}` }));
  }
  return undefined;
}

function distinct(one: Selector, numerator: readonly Selector[]): Record<string, string> {
  return numerator.some((n) => n.metric === one.metric) ? { perf_case: 'other' } : {};
}

function unique(selectors: readonly Selector[]): Selector[] {
  return selectors.filter((one, i) => selectors.findIndex((other) => same(one, other)) === i);
}

function same(a: Selector, b: Selector): boolean {
  return selector(a) === selector(b);
}

function selects(by: Selector, series: Selector): boolean {
  const labels = Object.entries(by.labels ?? {});
  return by.metric === series.metric && labels.every(([name, value]) => series.labels?.[name] === value);
}
