/**
 * Sees every statement that runs through a handle: `prepare(...).run/get/all/iterate`, `exec`, and the start of a
 * `transaction`. It reports the slow ones with their plan, and asks the log's limit before a write (wal-limit.ts).
 *
 * A statement keeps its identity and state: it only gets a prototype of this handle's own between itself and the
 * native one, with four methods that measure and call on. While nobody listens they read no clock; with a listener a
 * run costs two clock readings more (bench case `slow-query-overhead`). Timing starts and ends around the native call;
 * for `iterate` the time inside `next()` is added up, so a slow consumer does not make a query slow.
 */
import diagnosticsChannel from 'node:diagnostics_channel';
import type DatabaseConstructor from 'better-sqlite3';
import { explain } from './query-plan.ts';
import type { WalLimit } from './wal-limit.ts';

type Database = DatabaseConstructor.Database;
type Statement = DatabaseConstructor.Statement;

export interface SlowQuery {
  /** As it was prepared. Bound values are never part of it: they may be secret. */
  readonly sql: string;
  readonly durationMs: number;
  /** See {@link explain}; empty when the plan cannot be had, as for a script of several statements. */
  readonly plan: readonly string[];
  readonly fullScans: readonly string[];
}

/** Monotonic milliseconds. */
export interface Clock {
  now(): number;
}

export interface WatchOptions {
  readonly slowQueryMs: number;
  readonly onSlowQuery: ((query: SlowQuery) => void) | undefined;
  readonly clock: Clock;
  readonly walLimit: WalLimit | undefined;
}

/** Slow queries of every handle are published here too, as {@link SlowQuery} with the `database` path. */
export const SLOW_QUERY_CHANNEL = 'perf:sqlite:slow-query';

export function watchStatements(db: Database, options: WatchOptions): void {
  const { clock, walLimit } = options;
  const reporter = new SlowQueryReporter(db, options);
  const native = { prepare: db.prepare, exec: db.exec, transaction: db.transaction };

  const beforeWrite = walLimit === undefined ? () => {} : () => walLimit.beforeWrite(clock.now());
  const shape = Object.getPrototypeOf(native.prepare.call(db, 'SELECT 1')) as Statement;
  const reading = watchedPrototype(shape, reporter, clock, beforeWrite, false);
  const writing = watchedPrototype(shape, reporter, clock, beforeWrite, true);

  replace(db, 'prepare', (sql: string): Statement => {
    const statement = native.prepare.call(db, sql);
    return Object.setPrototypeOf(statement, statement.readonly ? reading : writing) as Statement;
  });

  replace(db, 'exec', (sql: string): Database => {
    beforeWrite();
    if (!reporter.listening) return native.exec.call(db, sql);
    const startMs = clock.now();
    try {
      return native.exec.call(db, sql);
    } finally {
      reporter.finished(sql, clock.now() - startMs);
    }
  });

  // BEGIN and COMMIT of `transaction` do not pass through `prepare`, and inside it is too late to check the log.
  if (walLimit === undefined) return;
  type Variants = DatabaseConstructor.Transaction;
  const guarded = (variant: Variants): Variants =>
    function startTransaction(this: unknown, ...params: unknown[]): unknown {
      beforeWrite();
      return Reflect.apply(variant, this, params);
    } as Variants;
  replace(db, 'transaction', (run: (...params: unknown[]) => unknown): Variants => {
    const transaction = native.transaction.call(db, run);
    const properties: PropertyDescriptorMap = { database: { value: db, enumerable: true } };
    for (const variant of ['default', 'deferred', 'immediate', 'exclusive'] as const) {
      properties[variant] = { value: guarded(transaction[variant] as unknown as Variants) };
    }
    const face = properties['default']?.value as Variants;
    for (const { value } of Object.values(properties)) {
      if (value !== db) Object.defineProperties(value, properties);
    }
    return face;
  });
}

function replace(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable: false });
}

function watchedPrototype(
  native: Statement,
  reporter: SlowQueryReporter,
  clock: Clock,
  beforeWrite: () => void,
  writes: boolean,
): Statement {
  const prototype = Object.create(native) as Statement;
  const watch = (method: 'run' | 'get' | 'all', guard: boolean): void => {
    const call = native[method];
    replace(prototype, method, function watched(this: Statement, ...params: unknown[]): unknown {
      if (guard) beforeWrite();
      if (!reporter.listening) return call.apply(this, params);
      const startMs = clock.now();
      try {
        return call.apply(this, params);
      } finally {
        reporter.finished(this.source, clock.now() - startMs);
      }
    });
  };
  // `BEGIN` counts as read-only and is run with `run`.
  watch('run', true);
  watch('get', writes);
  watch('all', writes);
  const iterate = native.iterate;
  replace(prototype, 'iterate', function watchedIterate(this: Statement, ...params: unknown[]): unknown {
    if (writes) beforeWrite();
    const rows = iterate.apply(this, params);
    return reporter.listening ? new WatchedRows(rows, this.source, reporter, clock) : rows;
  });
  return prototype;
}

class WatchedRows implements IterableIterator<unknown> {
  readonly #rows: IterableIterator<unknown>;
  readonly #sql: string;
  readonly #reporter: SlowQueryReporter;
  readonly #clock: Clock;
  #durationMs = 0;
  #ended = false;

  constructor(rows: IterableIterator<unknown>, sql: string, reporter: SlowQueryReporter, clock: Clock) {
    this.#rows = rows;
    this.#sql = sql;
    this.#reporter = reporter;
    this.#clock = clock;
  }

  next(): IteratorResult<unknown> {
    const startMs = this.#clock.now();
    let ended = true;
    try {
      const result = this.#rows.next();
      ended = result.done === true;
      return result;
    } finally {
      this.#durationMs += this.#clock.now() - startMs;
      if (ended) this.#end();
    }
  }

  return(): IteratorResult<unknown> {
    const result = this.#rows.return?.() ?? { done: true, value: undefined };
    this.#end();
    return result;
  }

  [Symbol.iterator](): this {
    return this;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#reporter.finished(this.#sql, this.#durationMs);
  }
}

class SlowQueryReporter {
  readonly #db: Database;
  readonly #slowQueryMs: number;
  readonly #onSlowQuery: ((query: SlowQuery) => void) | undefined;
  readonly #channel: diagnosticsChannel.Channel = diagnosticsChannel.channel(SLOW_QUERY_CHANNEL);
  #reporting = false;

  constructor(db: Database, { slowQueryMs, onSlowQuery }: WatchOptions) {
    this.#db = db;
    this.#slowQueryMs = slowQueryMs;
    this.#onSlowQuery = onSlowQuery;
  }

  get listening(): boolean {
    return this.#onSlowQuery !== undefined || this.#channel.hasSubscribers;
  }

  finished(sql: string, durationMs: number): void {
    // A listener that logs into the same database must not report its own statements without end.
    if (durationMs < this.#slowQueryMs || this.#reporting) return;
    this.#reporting = true;
    try {
      this.#report(sql, durationMs);
    } finally {
      this.#reporting = false;
    }
  }

  #report(sql: string, durationMs: number): void {
    const query: SlowQuery = { sql, durationMs, ...this.#planOf(sql) };
    if (this.#channel.hasSubscribers) this.#channel.publish({ ...query, database: this.#db.name });
    try {
      this.#onSlowQuery?.(query);
    } catch (failure) {
      // The statement has done its work: a listener's error must not look like the statement's.
      queueMicrotask(() => {
        throw failure;
      });
    }
  }

  #planOf(sql: string): Pick<SlowQuery, 'plan' | 'fullScans'> {
    try {
      const { plan, fullScans } = explain(this.#db, sql);
      return { plan, fullScans };
    } catch {
      // A script, a table that the statement itself has dropped, or a call from inside a user function.
      return { plan: [], fullScans: [] };
    }
  }
}
