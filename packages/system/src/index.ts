export { PerformanceSystem } from './performance-system.ts';
export type {
  CacheLevel,
  OperationOptions,
  RespondOptions,
  SystemAlert,
  SystemEvents,
} from './performance-system.ts';
export {
  createDefaultPerformanceSystem,
  createIntegratedPerformanceSystem,
  createTestPerformanceSystem,
} from './composed-systems.ts';
export type { CoordinatedOperation, Coordinator, Logger } from './composed-systems.ts';
export type { Clock, SystemOptions } from './configuration.ts';
export { loadAgentDefinitions, parseAgentDefinition } from './agent-definitions.ts';
export type { AgentDefinition } from './agent-definitions.ts';
export type { OptimizationReport, OptimizationStep } from './auto-optimizer.ts';
export type { ChooseModelOptions, ModelChoice, ModelProfile } from './model-choice.ts';
export type { Json } from './canonical-json.ts';
export type { Outcome, Pattern, PatternInput } from './pattern-repository.ts';
export { formatBytes, formatKpis, formatQuantity, formatTable } from './report.ts';
export type { JudgedKpi } from './report.ts';
export type {
  PruneOptions,
  RememberedSession,
  Session,
  SessionStats,
  SimilarSession,
  SimilarSessionsOptions,
} from './session-memory.ts';
export type { MetricsSample, OperationStatistics, SystemStatistics } from './statistics.ts';
export { SystemError } from './errors.ts';
export type { SystemErrorCode } from './errors.ts';
