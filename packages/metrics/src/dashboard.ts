/** A Grafana dashboard with one panel per KPI: what it measures over time, with the target as a line. */
import { measureExpression } from './alert-expression.ts';
import type { Kpi } from './kpi.ts';

const UNITS: Readonly<Record<Kpi['unit'], string>> = {
  seconds: 's',
  bytes: 'bytes',
  ratio: 'percentunit',
  count: 'short',
  usd: 'currencyUSD',
};
/** Grafana's grid is 24 wide. */
const PANEL_WIDTH = 12;
const PANEL_HEIGHT = 8;

/** For Grafana's import; the data source is a variable. */
export function dashboardOf(kpis: readonly Kpi[]): object {
  const datasource = { type: 'prometheus', uid: '${datasource}' };
  const panels = kpis.map((kpi, i) => {
    const [good, bad] = ['green', 'red'] as const;
    const rising = kpi.direction === 'atMost';
    return {
      id: i + 1,
      type: 'timeseries',
      title: kpi.title,
      description: `${kpi.direction === 'atMost' ? 'At most' : 'At least'} ${kpi.target} ${kpi.unit}`,
      datasource,
      gridPos: {
        x: (i % 2) * PANEL_WIDTH,
        y: Math.floor(i / 2) * PANEL_HEIGHT,
        w: PANEL_WIDTH,
        h: PANEL_HEIGHT,
      },
      targets: [{ refId: 'A', datasource, expr: measureExpression(kpi), legendFormat: kpi.id }],
      fieldConfig: {
        defaults: {
          unit: UNITS[kpi.unit],
          custom: { thresholdsStyle: { mode: 'line' } },
          thresholds: {
            mode: 'absolute',
            steps: [
              { color: rising ? good : bad, value: null },
              { color: rising ? bad : good, value: kpi.target },
            ],
          },
        },
        overrides: [],
      },
      options: {
        legend: { showLegend: true, displayMode: 'list', placement: 'bottom' },
        tooltip: { mode: 'single' },
      },
    };
  });
  return {
    uid: 'perf-kpis',
    title: 'Performance KPIs',
    tags: ['perf'],
    schemaVersion: 39,
    editable: true,
    time: { from: 'now-6h', to: 'now' },
    refresh: '30s',
    templating: {
      list: [{ name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Data source' }],
    },
    panels,
  };
}
