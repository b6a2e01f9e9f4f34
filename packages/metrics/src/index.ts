export { MetricsError } from './errors.ts';
export type { MetricsErrorCode } from './errors.ts';
export type { CostRow, Execution, TrackerOptions } from './execution-tracker.ts';
export type { StatsSource } from './instrument.ts';
export { defaultKpis } from './kpi.ts';
export type { Kpi, KpiMeasure, KpiReport, KpiResult, Selector } from './kpi.ts';
export { QUANTILE_RELATIVE_ERROR } from './log-buckets.ts';
export type {
  Counter,
  Gauge,
  Histogram,
  CounterSeries,
  GaugeOptions,
  GaugeSeries,
  HistogramOptions,
  HistogramSeries,
  MetricOptions,
} from './metric.ts';
export { PerformanceMonitor } from './performance-monitor.ts';
export type { Clock, InstrumentOptions, MonitorOptions } from './performance-monitor.ts';
export { OVERFLOW_LABEL } from './series-limit.ts';
export type { Labels } from './series-limit.ts';
export type { WorkerLink } from './worker-link.ts';
