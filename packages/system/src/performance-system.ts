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
import { GcMonitor, PressureMonitor, RingBuffer } from '@perf/memory';
import type { PressureEvent } from '@perf/memory';
import { PerformanceMonitor } from '@perf/metrics';
import type { Execution, Histogram, KpiReport } from '@perf/metrics';
import { KeywordRouter, PatternSet } from '@perf/patterns';
import type { PatternDef, PatternMatch } from '@perf/patterns';
import { starterPatterns } from '@perf/patterns/starter';
import { openDatabase, optimize } from '@perf/sqlite';
import type { Database } from '@perf/sqlite';
import { AutoOptimizer } from './auto-optimizer.ts';
import type { OptimizationReport, StepDefinition } from './auto-optimizer.ts';
import { ClosingStack } from './closing-stack.ts';
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
  readonly kind: 'kpi' | 'write-failed';
  readonly message: string;
  readonly detail?: unknown;
}

export interface SystemEvents {
  readonly optimizationComplete: OptimizationReport;
  readonly memoryWarning: PressureEvent;
  readonly fileOptimized: LargeFileReport<unknown>;
  readonly alert: SystemAlert;
}

/** What `open` opens, in the order it does. */
interface Parts {
  readonly router: KeywordRouter;
  readonly monitor: PerformanceMonitor;
  readonly db: Database;
  readonly cache: TieredCache<unknown>;
  readonly graph: Graph;
  readonly pressure: PressureMonitor;
  readonly gc: GcMonitor;
  readonly compressor: Compressor;
}

export type CacheLevel = 'l1' | 'l2' | 'l3' | 'all';

/** The cache shrinks to this part of what it holds when memory pressure is high, and to a quarter when it is critical. */
const TRIM_HIGH = 0.5;
const TRIM_CRITICAL = 0.25;
/** Patterns with uncounted matches before their counts are handed to the writer. */
const MAX_UNWRITTEN_HITS = 256;
/** Operations told apart by name; further ones are counted together as `other`. */
const MAX_OPERATIONS = 500;
/** Between two probes of the event loop. */
const LOOP_PROBE_MS = 20;
const eventNames = new Set<keyof SystemEvents>([
  'optimizationComplete',
  'memoryWarning',
  'fileOptimized',
  'alert',
]);
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
  readonly #loopDelays: Histogram;
  readonly #gc: GcMonitor;
  /** Compiled patterns of the starter library; a stored one of the same id takes its place for good. */
  readonly #starters = new Set<string>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #operations = new Map<string, { count: number; failures: number }>();
  readonly #missed = new Set<string>();
  readonly #detectionsByType = new Map<string, number>();
  readonly #startedAtMs: number;
  readonly #atShutdown: (() => void)[] = [];
  #detections = 0;
  #closing: Promise<void> | undefined;

  /**
   * Opens the system in a folder, making what is missing.
   *
   * @throws {TypeError | RangeError} naming the option that is wrong.
   * @throws {SqliteError} when a file in the folder is not a database, is corrupt, locked, or of a newer version; nothing
   *   is changed then.
   */
  static async open(options: SystemOptions): Promise<PerformanceSystem> {
    const configuration = configure(options);
    // What checks options of its own comes before anything is opened.
    const router = new KeywordRouter(configuration.agents);
    const monitor = new PerformanceMonitor({
      clock: configuration.clock,
      ...(configuration.kpis === undefined ? {} : { kpis: configuration.kpis }),
    });
    mkdirSync(configuration.dir, { recursive: true });
    // What has been opened is closed again when a later part cannot be.
    await using opened = new ClosingStack();
    opened.defer(() => monitor.close());
    const db = openDatabase(configuration.storePath, {
      durability: configuration.durability === 'sync' ? 'power-loss' : 'process-crash',
    });
    opened.defer(() => void db.close());
    prepareStore(db);
    const tier = SqliteTier.open({
      path: configuration.cachePath,
      maxBytes: configuration.diskCacheBytes,
      clock: configuration.clock,
    });
    opened.defer(() => tier.close());
    const cache = new TieredCache<unknown>({
      memory: { maxBytes: configuration.cacheBytes },
      tiers: [tier],
      clock: configuration.clock,
    });
    opened.defer(() => cache.close());
    const graph = Graph.open({ path: configuration.graphPath });
    opened.defer(() => graph.close());
    const pressure = new PressureMonitor({
      root: configuration.root,
      intervalMs: configuration.pressureIntervalMs,
      clock: configuration.clock,
    });
    opened.defer(() => pressure.close());
    const gc = new GcMonitor();
    opened.defer(() => gc.close());
    const compressor = new Compressor();
    opened.defer(() => compressor[Symbol.dispose]());
    const system = new PerformanceSystem(configuration, {
      router,
      monitor,
      db,
      cache,
      graph,
      pressure,
      gc,
      compressor,
    });
    opened.release();
    return system;
  }

  private constructor(configuration: Configuration, parts: Parts) {
    const { clock } = configuration;
    const { db, cache, graph } = parts;
    this.#configuration = configuration;
    this.#db = db;
    this.cache = cache;
    this.graph = graph;
    this.compressor = parts.compressor;
    this.monitor = parts.monitor;
    this.pressure = parts.pressure;
    this.#gc = parts.gc;
    this.#router = parts.router;
    this.#startedAtMs = clock.now();
    this.#writer = new StoreWriter({
      db,
      sync: configuration.durability === 'sync',
      maxQueuedBytes: configuration.maxQueuedBytes,
      lingerMs: configuration.lingerMs,
      onCommit: (durationMs) => this.#observe('store', durationMs, true),
      onFailure: (error) => this.#writeFailed(error),
    });
    this.#repository = new PatternRepository({
      db,
      writer: this.#writer,
      clock,
      maxCachedPatterns: configuration.maxCachedPatterns,
    });
    this.#sessions = new SessionMemory(db, this.#writer, this.compressor, clock);
    this.#outcomes = new ModelOutcomes(db, this.#writer);
    this.patterns = new PatternSet();
    if (configuration.starterPatterns) {
      for (const pattern of starterPatterns) {
        this.patterns.add(pattern);
        this.#starters.add(pattern.id);
      }
    }
    this.#compileChanges();
    this.#optimizer = new AutoOptimizer(
      this.#optimizationSteps(),
      () => clock.now(),
      (report) => this.#emit('optimizationComplete', report),
    );
    this.#history = new RingBuffer(configuration.metricsHistory);
    this.#durations = this.monitor.histogram({
      name: 'perf_operation_duration_seconds',
      help: 'Duration of the operations that were recorded, by name and outcome.',
      labelNames: ['operation'],
    });
    this.#loopDelays = this.monitor.histogram({
      name: 'perf_event_loop_delay_seconds',
      help: 'How late a timer of the main thread runs.',
    });
    this.monitor.instrument(cache, 'cache');
    this.monitor.instrument(graph, 'graph');
    this.monitor.instrument(this.#writer, 'writes');
    this.monitor.instrument(this.#sessions, 'sessions');
    this.monitor.instrument(this.#gc, 'gc');
    this.#watchPressure();
    this.#watchEventLoop();
    this.#every(configuration.metricsIntervalMs, () => this.#sample());
    this.#every(
      configuration.optimizeIntervalMs,
      () => void this.optimize('interval').catch(() => undefined),
    );
  }

  // --- patterns ------------------------------------------------------------------------------------------------------

  /** The stored pattern; `undefined` when there is none. O(1) in memory, else one read by key. */
  getPattern(id: string): Pattern | undefined {
    this.#assertOpen();
    return this.#repository.get(id);
  }

  /** Those of the ids that are stored, in the order given. */
  getPatterns(ids: readonly string[]): Pattern[] {
    this.#assertOpen();
    return this.#repository.getMany(ids);
  }

  /**
   * Stores a pattern, or replaces it keeping its usage and outcomes. Resolves when the write is accepted and every read
   * of this process sees it, `detect` included; `flush` makes it durable.
   *
   * @throws {SystemError} ERR_PERF_SYSTEM_INVALID_PATTERN when it does not compile; nothing is stored then.
   */
  async storePattern(pattern: PatternInput): Promise<Pattern> {
    this.#assertOpen();
    const { pattern: stored, changed } = await this.#repository.store(pattern);
    // Of several that were stored at the same time the newest is compiled, whichever was accepted last.
    if (changed) this.#compile(this.#repository.get(stored.id) ?? stored);
    return stored;
  }

  /**
   * Counts how a use of the pattern ended and resolves to its new confidence.
   * @throws {SystemError} ERR_PERF_SYSTEM_UNKNOWN_PATTERN
   */
  async updateConfidence(id: string, outcome: Outcome): Promise<number> {
    this.#assertOpen();
    return this.#repository.recordOutcome(id, outcome);
  }

  /** Every match of the starter library and the stored active patterns in the text; stored ones count the use. */
  detect(text: string): PatternMatch[] {
    this.#assertOpen();
    if (typeof text !== 'string') throw new TypeError('text must be a string');
    this.#compileChanges();
    const startMs = performance.now();
    const found = this.patterns.all(text);
    this.#observe('patterns.detect', performance.now() - startMs, true);
    const matches = found.map((match) => {
      const { id, type } = match;
      this.#detections += 1;
      if (type !== undefined) this.#detectionsByType.set(type, (this.#detectionsByType.get(type) ?? 0) + 1);
      // Outcomes may have moved the confidence since the pattern was compiled.
      const confidence = this.#starters.has(id) ? undefined : this.#repository.recordHit(id);
      return confidence === undefined ? match : { ...match, confidence };
    });
    if (this.#repository.unwrittenHits >= MAX_UNWRITTEN_HITS) {
      // A refused write is reported by the writer; the counts stay in memory until it succeeds.
      this.#repository.writeHits().catch((error: unknown) => this.#writeFailed(error));
    }
    return matches;
  }

  // --- memory of what agents did -------------------------------------------------------------------------------------

  /** Describes a session so that it can be found again. Resolves when the write is accepted. */
  async rememberSession(session: Session): Promise<void> {
    this.#assertOpen();
    await this.#sessions.remember(session);
  }

  /**
   * Appends a message of at most 256 MiB to a session, compressed on its way into the store. Resolves when it is
   * accepted; waits while the queue is full.
   */
  async recordMessage(session: string, message: string | Uint8Array): Promise<void> {
    this.#assertOpen();
    await this.#sessions.append(session, message);
  }

  /** The messages of a session, byte for byte, in the order they were recorded. */
  messages(session: string): AsyncGenerator<Uint8Array> {
    this.#assertOpen();
    return this.#whileOpen(this.#sessions.messages(session));
  }

  /** Sessions whose summary is most like the text. */
  async similarSessions(text: string, options?: SimilarSessionsOptions): Promise<SimilarSession[]> {
    this.#assertOpen();
    return this.#sessions.similar(text, options);
  }

  /** Deletes old sessions with their messages; resolves to how many. */
  async pruneSessions(options: PruneOptions): Promise<number> {
    this.#assertOpen();
    return this.#sessions.prune(options);
  }

  // --- requests, tasks, models ---------------------------------------------------------------------------------------

  /**
   * The answer to a request, from the cache or from `load`, which runs once however many ask at the same time. Requests
   * are the same when their JSON is, whatever the order of their members.
   *
   * @throws {TypeError} when the request is not JSON; whatever `load` throws.
   */
  async respond<R>(
    request: unknown,
    load: (signal: AbortSignal) => Promise<R>,
    options: RespondOptions = {},
  ): Promise<R> {
    this.#assertOpen();
    if (typeof load !== 'function') throw new TypeError('load must be a function');
    const key = responseKey(request);
    const startMs = performance.now();
    let ok = false;
    try {
      const answer = await this.cache.getOrLoad(key, ({ signal }) => load(signal), options);
      ok = true;
      return answer as R;
    } finally {
      this.#observe('respond', performance.now() - startMs, ok);
    }
  }

  /** Agents whose keywords the task speaks of, best first. */
  route(task: string): readonly { id: string; confidence: number }[] {
    this.#assertOpen();
    return this.#router.route(task);
  }

  /**
   * The cheapest model that is proved on tasks like this one, else the first that fits.
   * @throws {SystemError} ERR_PERF_SYSTEM_NO_MODEL when no model was given, or none fits the limits.
   */
  chooseModel(task: string, options: ChooseModelOptions = {}): ModelChoice {
    this.#assertOpen();
    const kind = this.#kindOf(task);
    const choice = chooseModel(
      this.#configuration.models,
      (model) => this.#outcomes.of(model, kind),
      options,
    );
    if (!choice)
      throw new SystemError('ERR_PERF_SYSTEM_NO_MODEL', 'no model fits the context and cost limits');
    return choice;
  }

  /** Counts an execution: tokens, cost and duration in the metrics, the outcome for `chooseModel`. */
  async track(execution: Execution): Promise<void> {
    this.#assertOpen();
    this.monitor.track(execution);
    if (execution.model !== undefined) {
      await this.#outcomes.record(execution.model, this.#kindOf(execution.task), execution.ok);
    }
  }

  // --- operations and files ------------------------------------------------------------------------------------------

  /** Tells of an operation that finished; its cache keys teach the prefetcher. */
  recordOperation(
    name: string,
    durationMs: number,
    ok: boolean,
    { relatedKeys }: OperationOptions = {},
  ): void {
    this.#assertOpen();
    if (typeof name !== 'string' || name === '') throw new TypeError('name must be a non-empty string');
    if (typeof durationMs !== 'number' || !(durationMs >= 0))
      throw new RangeError('durationMs must be at least 0');
    this.#observe(name, durationMs, ok);
    if (relatedKeys !== undefined && relatedKeys.length > 0) this.cache.recordOperation(name, relatedKeys);
  }

  /** Runs `fn` over the chunks of a file; see `processLargeFile` of `@perf/files`. Emits `fileOptimized`. */
  async processLargeFile<R>(
    path: string,
    fn: (chunk: Chunk) => Promise<R>,
    options?: LargeFileOptions<R>,
  ): Promise<LargeFileReport<R>> {
    this.#assertOpen();
    const startMs = performance.now();
    let ok = false;
    try {
      const report = await processLargeFile(path, fn, options);
      ok = true;
      this.#emit('fileOptimized', report);
      return report;
    } finally {
      this.#observe('files.process', performance.now() - startMs, ok);
    }
  }

  // --- care ----------------------------------------------------------------------------------------------------------

  /** Commits what is queued, then lets every part tidy up. A call during a run gets that run's report. */
  async optimize(trigger = 'manual'): Promise<OptimizationReport> {
    this.#assertOpen();
    if (typeof trigger !== 'string') throw new TypeError('trigger must be a string');
    return this.#optimizer.optimize(trigger);
  }

  /** Empties caches: `l1` memory, `l2` disk, `l3` remote tiers. Default all. Nothing but cached values is lost. */
  async clearCaches(level: CacheLevel = 'all'): Promise<void> {
    this.#assertOpen();
    if (!cacheLevels.has(level)) throw new RangeError("level must be 'l1', 'l2', 'l3' or 'all'");
    if (level === 'all') await this.cache.clear();
    if (level === 'l1') await this.cache.clear({ tier: 'memory' });
    if (level === 'l2') await this.cache.clear({ tier: 'sqlite' });
    // The system opens no remote tier by itself, so 'l3' alone has nothing to empty.
  }

  // --- what it measured ----------------------------------------------------------------------------------------------

  /** Everything counted since the system was opened. */
  getStatistics(): SystemStatistics {
    this.#assertOpen();
    const atMs = this.#configuration.clock.now();
    const usage = process.memoryUsage();
    const writes = this.#writer.stats();
    return {
      atMs,
      uptimeMs: atMs - this.#startedAtMs,
      cache: this.cache.stats(),
      graph: this.graph.stats(),
      patterns: {
        stored: this.#repository.size,
        compiled: this.patterns.stats().patterns,
        detections: this.#detections,
        detectionsByType: Object.fromEntries(this.#detectionsByType),
      },
      sessions: this.#sessions.stats(),
      writes: {
        queued: writes.held,
        completed: writes.completed,
        failedWrites: writes.failedWrites,
        droppedWrites: writes.droppedWrites,
      },
      memory: {
        level: this.pressure.level,
        rssBytes: usage.rss,
        heapUsedBytes: usage.heapUsed,
        externalBytes: usage.external,
      },
      eventLoopDelayMsP99: this.#loopDelays.quantile(0.99) * 1000,
      gcPauseMsP99: this.#gc.stats().pauseMsP99,
      operations: this.#operationStatistics(),
      optimizations: this.#optimizer.runs,
    };
  }

  /** The KPIs judged now; no data is a skip, never a pass. */
  getMetrics(): KpiReport {
    this.#assertOpen();
    return this.monitor.evaluate();
  }

  /** Samples taken every `metricsIntervalMs`, oldest first. */
  getMetricsHistory(): readonly MetricsSample[] {
    this.#assertOpen();
    return this.#history.toArray();
  }

  /** State and KPIs as text for a terminal. */
  getReport(): string {
    return formatReport(this.getStatistics(), this.getMetrics());
  }

  /**
   * Calls `fn` on every such event until the returned function is called. What `fn` throws becomes an uncaught exception;
   * it does not disturb the system.
   */
  on<E extends keyof SystemEvents>(event: E, fn: (detail: SystemEvents[E]) => void): () => void {
    if (!eventNames.has(event)) throw new RangeError(`event must be one of ${[...eventNames].join(', ')}`);
    if (typeof fn !== 'function') throw new TypeError('fn must be a function');
    this.#events.on(event, fn);
    return () => void this.#events.off(event, fn);
  }

  /** Calls `fn` once everything is closed. */
  onShutdown(fn: () => void): void {
    this.#assertOpen();
    this.#atShutdown.push(fn);
  }

  // --- end -----------------------------------------------------------------------------------------------------------

  /**
   * Makes every accepted write durable and visible to other processes.
   * @throws {SystemError} ERR_PERF_SYSTEM_WRITE_FAILED when some could not be committed; they are kept for the next flush.
   */
  async flush(): Promise<void> {
    this.#assertOpen();
    await this.#flushAll();
  }

  /** Flushes and closes every part. Idempotent; calls after it throw ERR_PERF_SYSTEM_CLOSED. */
  shutdown(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  async #close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#optimizer.idle();
    // Deferred in reverse: the last one deferred runs first, and one that fails does not keep the others from closing.
    await using closing = new ClosingStack();
    for (const fn of this.#atShutdown) closing.defer(fn);
    closing.defer(() => void this.#db.close());
    closing.defer(() => this.compressor[Symbol.dispose]());
    closing.defer(() => this.graph.close());
    closing.defer(() => this.cache.close());
    closing.defer(() => this.monitor.close());
    closing.defer(() => this.#writer.close());
    closing.defer(() => this.#repository.writeHits());
    closing.defer(() => this.pressure.close());
    closing.defer(() => this.#gc.close());
  }

  async #flushAll(): Promise<void> {
    // One that fails does not keep the others from being flushed.
    const failures: unknown[] = [];
    const attempt = async (step: () => Promise<void>): Promise<void> => {
      await step().catch((error: unknown) => failures.push(error));
    };
    await attempt(() => this.#repository.writeHits());
    await attempt(() => this.#writer.flush());
    await attempt(() => this.cache.flush());
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) {
      const cause = new AggregateError(failures);
      throw new SystemError('ERR_PERF_SYSTEM_WRITE_FAILED', 'several parts could not be flushed', { cause });
    }
  }

  // --- inside --------------------------------------------------------------------------------------------------------

  #assertOpen(): void {
    if (this.#closing) throw new SystemError('ERR_PERF_SYSTEM_CLOSED', 'the system is shut down');
  }

  #compile(pattern: PatternDef): void {
    this.#starters.delete(pattern.id);
    this.patterns.remove(pattern.id);
    if (pattern.active !== false) this.patterns.add(pattern);
  }

  /** Takes in what other processes have stored since the last look; at the start everything that is stored. */
  #compileChanges(): void {
    for (const pattern of this.#repository.takeChanges()) this.#compile(pattern);
  }

  async *#whileOpen<T>(items: AsyncGenerator<T>): AsyncGenerator<T> {
    for (;;) {
      this.#assertOpen();
      const { done, value } = await items.next();
      if (done === true) return;
      yield value;
    }
  }

  #kindOf(task: string): string {
    return this.#router.route(task)[0]?.id ?? '';
  }

  #observe(given: string, durationMs: number, ok: boolean): void {
    const known = this.#operations.has(given) || this.#operations.size < MAX_OPERATIONS;
    const name = known ? given : 'other';
    this.#durations.observe(durationMs / 1000, { operation: name });
    let counted = this.#operations.get(name);
    if (!counted) {
      counted = { count: 0, failures: 0 };
      this.#operations.set(name, counted);
    }
    counted.count += 1;
    if (!ok) counted.failures += 1;
  }

  #operationStatistics(): OperationStatistics[] {
    return [...this.#operations].map(([name, { count, failures }]) => ({
      name,
      count,
      failures,
      p50Ms: this.#durations.labels({ operation: name }).quantile(0.5) * 1000,
      p99Ms: this.#durations.labels({ operation: name }).quantile(0.99) * 1000,
    }));
  }

  #optimizationSteps(): StepDefinition[] {
    const cacheBytes = (): number => this.cache.stats().sizeBytes;
    return [
      {
        name: 'commit queued writes',
        unit: 'count',
        measure: () => this.#writer.stats().held,
        run: async () => {
          await this.#flushAll();
          return 'flushed';
        },
      },
      {
        name: 'tidy the store',
        unit: 'none',
        run: () => JSON.stringify(optimize(this.#db)),
      },
      {
        name: 'compact the graph',
        unit: 'none',
        run: async () => {
          await this.graph.compact();
          return 'compacted';
        },
      },
      {
        name: 'shrink the cache under pressure',
        unit: 'bytes',
        measure: cacheBytes,
        run: () => {
          const { level } = this.pressure.sample();
          if (level === 'optimal' || level === 'moderate') return `pressure is ${level}: nothing to do`;
          const freed = this.#trimCache(level === 'high' ? TRIM_HIGH : TRIM_CRITICAL);
          return `freed ${freed} bytes at ${level} pressure`;
        },
      },
    ];
  }

  /** Returns the bytes freed. */
  #trimCache(share: number): number {
    return this.cache.trim(Math.floor(this.cache.stats().sizeBytes * share));
  }

  #watchPressure(): void {
    this.pressure.onLevel('high', (event) => {
      // From critical on, the response below does it.
      if (event.level === 'high') this.#trimCache(TRIM_HIGH);
      this.#emit('memoryWarning', event);
    });
    this.pressure.onLevel('critical', () => void this.#trimCache(TRIM_CRITICAL));
  }

  #watchEventLoop(): void {
    let dueMs = performance.now() + LOOP_PROBE_MS;
    this.#every(LOOP_PROBE_MS, () => {
      const nowMs = performance.now();
      this.#loopDelays.observe(Math.max(0, nowMs - dueMs) / 1000);
      dueMs = nowMs + LOOP_PROBE_MS;
    });
  }

  #sample(): void {
    const { cache, memory, writes, operations, atMs } = this.getStatistics();
    const lookups = cache.hits + cache.misses;
    this.#history.push({
      atMs,
      operations: operations.reduce((sum, o) => sum + o.count, 0),
      failures: operations.reduce((sum, o) => sum + o.failures, 0),
      hitRate: lookups === 0 ? Number.NaN : cache.hits / lookups,
      queuedWrites: writes.queued,
      rssBytes: memory.rssBytes,
      heapUsedBytes: memory.heapUsedBytes,
      level: memory.level,
    });
    this.#alertMissedKpis();
  }

  /** One alert when a KPI begins to be missed, and no more until it was met again. */
  #alertMissedKpis(): void {
    for (const kpi of this.getMetrics().results) {
      if (kpi.verdict !== 'miss') this.#missed.delete(kpi.id);
      else if (!this.#missed.has(kpi.id)) {
        this.#missed.add(kpi.id);
        this.#alert({
          kind: 'kpi',
          message: `${kpi.title}: ${kpi.measured}, target ${kpi.target}`,
          detail: kpi,
        });
      }
    }
  }

  #alert(alert: SystemAlert): void {
    this.#emit('alert', alert);
  }

  #writeFailed(error: unknown): void {
    this.#alert({ kind: 'write-failed', message: 'a write could not be committed', detail: error });
  }

  /** A listener that throws must not break the part that has something to tell. */
  #emit<E extends keyof SystemEvents>(event: E, detail: SystemEvents[E]): void {
    for (const listener of this.#events.listeners(event)) {
      try {
        listener(detail);
      } catch (error) {
        process.nextTick(() => {
          throw error;
        });
      }
    }
  }

  #every(intervalMs: number, run: () => void): void {
    if (intervalMs === Infinity) return;
    this.#timers.push(setInterval(run, intervalMs).unref());
  }
}
