export { planCapacity } from './capacity-plan.ts';
export type { CapacityOptions, CapacityPlan, LoadPoint } from './capacity-plan.ts';
export { MetricsError } from './errors.ts';
export type { MetricsErrorCode } from './errors.ts';
export type { CostRow, Execution, TrackerOptions } from './execution-tracker.ts';
export { exportMonitoring } from './export-monitoring.ts';
export type { ExportOptions, MonitoringExport } from './export-monitoring.ts';
export { changePoints } from './gate/change-points.ts';
export type { ChangePoint, ChangePointOptions } from './gate/change-points.ts';
export { compare } from './gate/compare.ts';
export type { CompareOptions, Estimate, ForkSamples, Verdict } from './gate/compare.ts';
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
