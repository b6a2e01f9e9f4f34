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
