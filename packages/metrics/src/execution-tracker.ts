/**
 * What agents did and what it cost: totals per agent and model, and the latest executions.
 *
 * In memory: a ring of `capacity` executions, and one row of sums per (agent, model), bounded like any metric's series.
 * With `path`: the same in one SQLite file. Executions wait in memory for `flushMs` and are written in one transaction
 * that also adds to the totals, so the two never disagree; the file keeps the newest `capacity` executions and all totals.
 */
import { createRequire } from 'node:module';
import { MetricsError } from './errors.ts';
import { OVERFLOW_LABEL } from './series-limit.ts';

export interface Execution {
  readonly agent: string;
  readonly model?: string;
  readonly task: string;
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly ok: boolean;
  readonly inputTokens?: number;
  readonly outputTokens?: number;
  readonly cachedTokens?: number;
  readonly costUsd?: number;
  readonly error?: string;
}

export interface TrackerOptions {
  /** A SQLite file; needs `@perf/sqlite` installed. Default: memory alone. */
  readonly path?: string;
  /** Latest executions kept, in memory and in the file. Default 10 000. */
  readonly capacity?: number;
  /** How long an execution may wait before it is written. Default 1000. */
  readonly flushMs?: number;
}

/** Sums of one agent or model; executions without a model are under the key `''`. */
export interface CostRow {
  readonly key: string;
  readonly executions: number;
  readonly failed: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedTokens: number;
  readonly costUsd: number;
  readonly durationMs: number;
}

/** The parts of a better-sqlite3 handle used here; structural, so that no user needs the peer's types. */
interface TrackerDatabase {
  exec(sql: string): unknown;
  pragma(source: string, options?: { simple: boolean }): unknown;
  prepare(sql: string): { run(...parameters: unknown[]): unknown; all(): unknown[] };
  transaction(run: () => void): () => void;
  close(): unknown;
}

interface Totals {
  readonly agent: string;
  readonly model: string;
  executions: number;
  failed: number;
  inputTokens: number;
  outputTokens: number;
  cachedTokens: number;
  costUsd: number;
  durationMs: number;
}

/** Waiting executions that are written without waiting for the timer. */
const FLUSH_AT = 1000;
/** Waiting executions kept while the file refuses writes. */
const MAX_WAITING = 10_000;

const SCHEMA_VERSION = 1;
const SCHEMA = `
  create table executions (
    id integer primary key, agent text not null, model text not null, task text not null,
    started_at_ms real not null, duration_ms real not null, ok integer not null, input_tokens integer not null,
    output_tokens integer not null, cached_tokens integer not null, cost_usd real not null, error text
  ) strict;
  create table totals (
    agent text not null, model text not null, executions integer not null, failed integer not null,
    input_tokens integer not null, output_tokens integer not null, cached_tokens integer not null,
    cost_usd real not null, duration_ms real not null, primary key (agent, model)
  ) strict, without rowid;
  pragma user_version = ${SCHEMA_VERSION};`;

export class ExecutionTracker {
  readonly #capacity: number;
  readonly #maxRows: number;
  readonly #onError: () => void;
  readonly #database: TrackerDatabase | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #totals = new Map<string, Totals>();
  readonly #recent: Execution[] = [];
  /** Where the next execution goes once the ring is full. */
  #next = 0;
  #pending: Execution[] = [];

  constructor(options: TrackerOptions, maxRows: number, onError: () => void) {
    const { path, capacity = 10_000, flushMs = 1000 } = options;
    if (!Number.isSafeInteger(capacity) || capacity < 1) {
      throw new RangeError('tracker.capacity must be a positive integer');
    }
    if (!(flushMs >= 1 && flushMs <= 2 ** 31 - 1)) {
      throw new RangeError('tracker.flushMs must be between 1 and 2^31 - 1');
    }
    if (path !== undefined && (typeof path !== 'string' || path === '')) {
      throw new TypeError('tracker.path must be a file name');
    }
    this.#capacity = capacity;
    this.#maxRows = maxRows;
    this.#onError = onError;
    if (path === undefined) return;
    this.#database = openTracker(path);
    this.#load(this.#database);
    this.#timer = setInterval(() => this.#tryFlush(), flushMs);
    this.#timer.unref();
  }

  /** @throws {TypeError | RangeError} when a field is missing or out of range. */
  add(execution: Execution): void {
    const copy = checkExecution(execution);
    if (this.#recent.length < this.#capacity) this.#recent.push(copy);
    else {
      this.#recent[this.#next] = copy;
      this.#next = (this.#next + 1) % this.#capacity;
    }
    addTo(this.#row(copy.agent, copy.model ?? ''), copy);
    if (this.#database === undefined) return;
    this.#pending.push(copy);
    if (this.#pending.length === FLUSH_AT) this.#tryFlush();
    if (this.#pending.length > MAX_WAITING) {
      // Only when the file refuses writes for long: the newest are kept, and each loss is counted.
      this.#pending.shift();
      this.#onError();
    }
  }

  /** The latest executions, oldest first. */
  recent(): readonly Execution[] {
    return [...this.#recent.slice(this.#next), ...this.#recent.slice(0, this.#next)];
  }

  /** Dearest first. */
  costs(by: 'agent' | 'model'): CostRow[] {
    if (by !== 'agent' && by !== 'model') throw new TypeError("costs takes 'agent' or 'model'");
    const rows = new Map<string, Totals>();
    for (const totals of this.#totals.values()) {
      const key = totals[by];
      const row = rows.get(key);
      if (row === undefined) rows.set(key, { ...totals });
      else addTotals(row, totals);
    }
    return [...rows]
      .map(([key, { agent: _agent, model: _model, ...sums }]) => ({ key, ...sums }))
      .sort((a, b) => b.costUsd - a.costUsd || (a.key < b.key ? -1 : 1));
  }

  /** Writes what waits. @throws {MetricsError} ERR_PERF_METRICS_TRACKER when the file refuses; nothing is lost then. */
  flush(): void {
    const database = this.#database;
    if (database === undefined || this.#pending.length === 0) return;
    const batch = this.#pending;
    try {
      this.#write(database, batch);
    } catch (cause) {
      throw new MetricsError('ERR_PERF_METRICS_TRACKER', 'cannot write executions to the tracker file', {
        cause,
      });
    }
    this.#pending = [];
  }

  close(): void {
    clearInterval(this.#timer);
    try {
      this.flush();
    } finally {
      this.#database?.close();
    }
  }

  #tryFlush(): void {
    try {
      this.flush();
    } catch {
      this.#onError();
    }
  }

  #row(agent: string, model: string): Totals {
    const key = `${agent.length}:${agent}${model}`;
    const found = this.#totals.get(key);
    if (found !== undefined) return found;
    const full = this.#totals.size >= this.#maxRows;
    if (full && agent !== OVERFLOW_LABEL) return this.#row(OVERFLOW_LABEL, OVERFLOW_LABEL);
    const row = emptyTotals(agent, model);
    this.#totals.set(key, row);
    return row;
  }

  #load(database: TrackerDatabase): void {
    const totals = database.prepare(`select agent, model, executions, failed, input_tokens as inputTokens,
      output_tokens as outputTokens, cached_tokens as cachedTokens, cost_usd as costUsd, duration_ms as durationMs
      from totals`);
    for (const row of totals.all() as Totals[]) addTotals(this.#row(row.agent, row.model), row);
    const latest = database.prepare(`select agent, model, task, started_at_ms as startedAtMs,
      duration_ms as durationMs, ok, input_tokens as inputTokens, output_tokens as outputTokens,
      cached_tokens as cachedTokens, cost_usd as costUsd, error
      from (select * from executions order by id desc limit ${this.#capacity}) order by id`);
    type Row = Omit<Execution, 'ok' | 'error'> & { ok: number; model: string; error: string | null };
    for (const { ok, model, error, ...rest } of latest.all() as Row[]) {
      this.#recent.push({
        ...rest,
        ok: ok === 1,
        ...(model !== '' && { model }),
        ...(error !== null && { error }),
      });
    }
  }

  #write(database: TrackerDatabase, batch: readonly Execution[]): void {
    const insert =
      database.prepare(`insert into executions (agent, model, task, started_at_ms, duration_ms, ok,
      input_tokens, output_tokens, cached_tokens, cost_usd, error) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    const addToTotals = database.prepare(`insert into totals values (?, ?, ?, ?, ?, ?, ?, ?, ?)
      on conflict do update set executions = executions + excluded.executions, failed = failed + excluded.failed,
      input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,
      cached_tokens = cached_tokens + excluded.cached_tokens, cost_usd = cost_usd + excluded.cost_usd,
      duration_ms = duration_ms + excluded.duration_ms`);
    const prune = database.prepare(
      `delete from executions where id <= (select max(id) from executions) - ${this.#capacity}`,
    );
    const sums = new Map<string, Totals>();
    database.transaction(() => {
      for (const e of batch) {
        const model = e.model ?? '';
        const { agent, task, startedAtMs, durationMs, ok, error = null } = e;
        const tokens = [e.inputTokens ?? 0, e.outputTokens ?? 0, e.cachedTokens ?? 0];
        insert.run(agent, model, task, startedAtMs, durationMs, ok ? 1 : 0, ...tokens, e.costUsd ?? 0, error);
        const key = `${agent.length}:${agent}${model}`;
        const row = sums.get(key) ?? emptyTotals(agent, model);
        sums.set(key, row);
        addTo(row, e);
      }
      for (const t of sums.values()) {
        const tokens = [t.inputTokens, t.outputTokens, t.cachedTokens];
        addToTotals.run(t.agent, t.model, t.executions, t.failed, ...tokens, t.costUsd, t.durationMs);
      }
      prune.run();
    })();
  }
}

function openTracker(path: string): TrackerDatabase {
  let openDatabase: (path: string) => TrackerDatabase;
  try {
    // Loaded here and not imported, so that only who asks for a file needs the peer; `require` because constructors
    // cannot wait, and every supported Node can `require` an ES module.
    ({ openDatabase } = createRequire(import.meta.url)('@perf/sqlite') as {
      openDatabase: typeof openDatabase;
    });
  } catch (cause) {
    throw new MetricsError('ERR_PERF_METRICS_SQLITE_MISSING', 'tracker.path needs @perf/sqlite installed', {
      cause,
    });
  }
  let database: TrackerDatabase | undefined;
  try {
    database = openDatabase(path);
    const version = database.pragma('user_version', { simple: true });
    if (version === 0) database.exec(`begin; ${SCHEMA} commit;`);
    else if (version !== SCHEMA_VERSION) throw new Error(`its schema version is ${String(version)}`);
    return database;
  } catch (cause) {
    database?.close();
    throw new MetricsError('ERR_PERF_METRICS_TRACKER', `cannot open the tracker file ${path}`, { cause });
  }
}

function emptyTotals(agent: string, model: string): Totals {
  return {
    agent,
    model,
    executions: 0,
    failed: 0,
    inputTokens: 0,
    outputTokens: 0,
    cachedTokens: 0,
    costUsd: 0,
    durationMs: 0,
  };
}

function addTo(row: Totals, execution: Execution): void {
  row.executions++;
  if (!execution.ok) row.failed++;
  row.inputTokens += execution.inputTokens ?? 0;
  row.outputTokens += execution.outputTokens ?? 0;
  row.cachedTokens += execution.cachedTokens ?? 0;
  row.costUsd += execution.costUsd ?? 0;
  row.durationMs += execution.durationMs;
}

function addTotals(row: Totals, other: Totals): void {
  row.executions += other.executions;
  row.failed += other.failed;
  row.inputTokens += other.inputTokens;
  row.outputTokens += other.outputTokens;
  row.cachedTokens += other.cachedTokens;
  row.costUsd += other.costUsd;
  row.durationMs += other.durationMs;
}

function checkExecution(e: Execution): Execution {
  if (typeof e?.agent !== 'string' || typeof e.task !== 'string' || typeof e.ok !== 'boolean') {
    throw new TypeError('an execution has an agent, a task and ok');
  }
  if (e.model !== undefined && typeof e.model !== 'string') throw new TypeError('model must be a string');
  if (e.error !== undefined && typeof e.error !== 'string') throw new TypeError('error must be a string');
  if (!Number.isFinite(e.startedAtMs)) throw new RangeError('startedAtMs must be finite');
  for (const field of ['durationMs', 'costUsd'] as const) {
    const value = e[field];
    if (field === 'costUsd' && value === undefined) continue;
    if (!(Number.isFinite(value) && (value as number) >= 0))
      throw new RangeError(`${field} must be 0 or more`);
  }
  for (const field of ['inputTokens', 'outputTokens', 'cachedTokens'] as const) {
    const value = e[field];
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 0)) {
      throw new RangeError(`${field} must be a whole number, 0 or more`);
    }
  }
  return Object.freeze({ ...e });
}
