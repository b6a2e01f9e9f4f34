/** A KPI as PromQL. */
import type { Kpi, Selector } from './kpi.ts';

/** Over which counters and histograms are rated. */
const RATE_WINDOW = '5m';

/** What the KPI measures; without data it has no value, so that nothing is judged. */
export function measureExpression({ measure }: Kpi): string {
  if (measure.kind === 'value') return `sum(${selector(measure)})`;
  if (measure.kind === 'quantile') {
    const bucket = selector({ ...measure, metric: `${measure.metric}_bucket` });
    return `histogram_quantile(${measure.quantile}, sum by (le) (rate(${bucket}[${RATE_WINDOW}])))`;
  }
  return `${sumOfRates(measure.numerator)} / ${sumOfRates(measure.denominator)}`;
}

/** True while the KPI is missed. */
export function alertExpression(kpi: Kpi): string {
  return `${measureExpression(kpi)} ${kpi.direction === 'atMost' ? '>' : '<'} ${kpi.target}`;
}

export function alertName({ id }: Kpi): string {
  const words = id.split('-').map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  return `Perf${words.join('')}`;
}

/** A series in the notation of Prometheus. */
export function selector({ metric, labels = {} }: Selector): string {
  const matchers = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return matchers.length === 0 ? metric : `${metric}{${matchers.join(', ')}}`;
}

/** One that does not exist (yet) counts as zero, as it does in this process. */
function sumOfRates(selectors: readonly Selector[]): string {
  const rates = selectors.map((one) => `(sum(rate(${selector(one)}[${RATE_WINDOW}])) or vector(0))`);
  return rates.length === 1 ? (rates[0] as string) : `(${rates.join(' + ')})`;
}
