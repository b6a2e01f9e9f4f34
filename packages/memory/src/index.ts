export { MemoryError } from './errors.ts';
export type { MemoryErrorCode } from './errors.ts';
export type { Clock } from './option-checks.ts';
export type { LevelThresholds, PressureLevel } from './levels.ts';
export type { PressureReading, PressureSource } from './pressure-source.ts';
export { PressureMonitor } from './pressure-monitor.ts';
export type {
  PressureEvent,
  PressureMonitorOptions,
  PressureResponse,
  PressureSample,
  ResponseOptions,
  SourceLevel,
  SourceName,
} from './pressure-monitor.ts';
export { MemoryBudget } from './memory-budget.ts';
export type {
  MemoryBudgetOptions,
  MemoryBudgetStats,
  PoolStats,
  Reservation,
  ReserveOptions,
} from './memory-budget.ts';
export { ObjectPool } from './object-pool.ts';
export type { ObjectPoolOptions, ObjectPoolStats } from './object-pool.ts';
export { BufferPool } from './buffer-pool.ts';
export type { BufferPoolOptions, BufferPoolStats, Lease } from './buffer-pool.ts';
export { RingBuffer } from './ring-buffer.ts';
export { LeakDetector } from './leak-detector.ts';
export type { LeakDetectorOptions, LeakSource, LeakVerdict, MemorySample } from './leak-detector.ts';
export { GcMonitor } from './gc-monitor.ts';
export type { GcKind, GcStats } from './gc-monitor.ts';
export { EventLoopMonitor } from './event-loop-monitor.ts';
export type { EventLoopMonitorOptions, EventLoopStats } from './event-loop-monitor.ts';
export { IdleResource } from './idle-resource.ts';
export type { IdleResourceOptions } from './idle-resource.ts';
export { gcAdvice } from './gc-advice.ts';
export type { Advice, GcAdviceOptions } from './gc-advice.ts';
