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
