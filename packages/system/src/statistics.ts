// What a system counts since it was opened, and the samples it keeps of that over time. Snapshots: they never change later.
import type { TieredCacheStats } from '@perf/cache';
import type { GraphStats } from '@perf/graph';
import type { PressureLevel } from '@perf/memory';
import type { SessionStats } from './session-memory.ts';

export interface OperationStatistics {
  readonly name: string;
  readonly count: number;
  readonly failures: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface SystemStatistics {
  readonly atMs: number;
  readonly uptimeMs: number;
  readonly cache: TieredCacheStats;
  readonly graph: GraphStats;
  readonly patterns: {
    readonly stored: number;
    /** In the compiled set: starter library and stored active ones. */
    readonly compiled: number;
    /** Matches found by `detect`. */
    readonly detections: number;
    readonly detectionsByType: Readonly<Record<string, number>>;
  };
  readonly sessions: SessionStats;
  readonly writes: {
    readonly queued: number;
    readonly completed: number;
    readonly failedWrites: number;
    readonly droppedWrites: number;
  };
  readonly memory: {
    readonly level: PressureLevel;
    readonly rssBytes: number;
    readonly heapUsedBytes: number;
    readonly externalBytes: number;
  };
  readonly eventLoopDelayMsP99: number;
  readonly gcPauseMsP99: number;
  readonly operations: readonly OperationStatistics[];
  readonly optimizations: number;
}

/** A point of the history. */
export interface MetricsSample {
  readonly atMs: number;
  readonly operations: number;
  readonly failures: number;
  /** Of all cache reads so far; NaN before the first. */
  readonly hitRate: number;
  readonly queuedWrites: number;
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
  readonly level: PressureLevel;
}
