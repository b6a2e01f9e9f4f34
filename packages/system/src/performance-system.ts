/**
 * The face of the system: one object that owns the parts, connects them, and closes them in the right order. It decides
 * nothing that a part can decide by itself.
 *
 *   storePattern, rememberSession, recordMessage ─▶ StoreWriter ─▶ one transaction a group ─▶ store.sqlite
 *   respond, cache ─▶ memory tier ─▶ cache.sqlite        graph ─▶ graph.sqlite
 *   detect ─▶ PatternSet (starter library + stored)      recordOperation ─▶ histogram + the cache's prefetcher
 *   pressure ─▶ cache.trim, memoryWarning                timers ─▶ samples, KPI alerts, optimize
 */
import { EventEmitter } from 'node:events';
import { mkdirSync } from 'node:fs';
import { TieredCache } from '@perf/cache';
import { SqliteTier } from '@perf/cache/sqlite';
import { Compressor } from '@perf/compression';
import { processLargeFile } from '@perf/files';
import type { Chunk, LargeFileOptions, LargeFileReport } from '@perf/files';
import { Graph } from '@perf/graph';
import { EventLoopMonitor, GcMonitor, PressureMonitor, RingBuffer } from '@perf/memory';
import type { PressureEvent } from '@perf/memory';
import { PerformanceMonitor } from '@perf/metrics';
import type { Execution, Histogram, KpiReport } from '@perf/metrics';
import { KeywordRouter, PatternSet } from '@perf/patterns';
import type { PatternMatch } from '@perf/patterns';
import { starterPatterns } from '@perf/patterns/starter';
import { openDatabase, optimize } from '@perf/sqlite';
import type { Database } from '@perf/sqlite';
import { AutoOptimizer } from './auto-optimizer.ts';
import type { OptimizationReport, StepDefinition } from './auto-optimizer.ts';
import { configure } from './configuration.ts';
import type { Configuration, SystemOptions } from './configuration.ts';
import { SystemError } from './errors.ts';
import { chooseModel } from './model-choice.ts';
import type { ChooseModelOptions, ModelChoice } from './model-choice.ts';
import { ModelOutcomes } from './model-outcomes.ts';
import { PatternRepository } from './pattern-repository.ts';
import type { Outcome, Pattern, PatternInput } from './pattern-repository.ts';
import { formatReport } from './report.ts';
import { responseKey } from './response-cache.ts';
import { SessionMemory } from './session-memory.ts';
import type { PruneOptions, Session, SimilarSession, SimilarSessionsOptions } from './session-memory.ts';
import type { MetricsSample, OperationStatistics, SystemStatistics } from './statistics.ts';
import { prepareStore } from './store-schema.ts';
import { StoreWriter } from './store-writer.ts';

/** What was told about an operation that finished. */
export interface OperationOptions {
  /** Cache keys that the operation used, in order; the cache learns which follow which. */
  readonly relatedKeys?: readonly string[];
}

export interface RespondOptions {
  readonly ttlMs?: number;
  readonly tags?: readonly string[];
  /** What a hit saves, in any one unit: tokens, milliseconds, money. */
  readonly cost?: number;
  readonly signal?: AbortSignal;
}

export interface SystemAlert {
  readonly kind: 'kpi' | 'write-failed' | 'graph';
  readonly message: string;
  readonly detail?: unknown;
}

export interface SystemEvents {
  readonly optimizationComplete: OptimizationReport;
  readonly memoryWarning: PressureEvent;
  readonly fileOptimized: LargeFileReport<unknown>;
  readonly alert: SystemAlert;
}

export type CacheLevel = 'l1' | 'l2' | 'l3' | 'all';

/** The cache shrinks to this part of what it holds when memory pressure is high, and to a quarter when it is critical. */
const TRIM_HIGH = 0.5;
const TRIM_CRITICAL = 0.25;
/** Patterns with uncounted matches before their counts are handed to the writer. */
const MAX_UNWRITTEN_HITS = 256;
const eventNames = new Set<keyof SystemEvents>(['optimizationComplete', 'memoryWarning', 'fileOptimized', 'alert']);
const cacheLevels = new Set<CacheLevel>(['l1', 'l2', 'l3', 'all']);

export class PerformanceSystem implements AsyncDisposable {
  /** The parts, for direct use. They are the system's to close. */
  readonly cache: TieredCache<unknown>;
  readonly graph: Graph;
  /** The compiled set that `detect` runs; change it through `storePattern`. */
  readonly patterns: PatternSet;
  readonly compressor: Compressor;
  readonly pressure: PressureMonitor;
  readonly monitor: PerformanceMonitor;

  readonly #configuration: Configuration;
  readonly #db: Database;
  readonly #writer: StoreWriter;
  readonly #repository: PatternRepository;
  readonly #sessions: SessionMemory;
  readonly #outcomes: ModelOutcomes;
  readonly #router: KeywordRouter;
  readonly #optimizer: AutoOptimizer;
  readonly #events = new EventEmitter();
  readonly #history: RingBuffer<MetricsSample>;
  readonly #durations: Histogram;
  readonly #loopDelays: EventLoopMonitor;
  readonly #gc: GcMonitor;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #operations = new Map<string, { count: number; failures: number }>();
  readonly #missed = new Set<string>();
  readonly #detectionsByType = new Map<string, number>();
  readonly #startedAtMs: number;
  #detections = 0;
  #closing: Promise<void> | undefined;
}
