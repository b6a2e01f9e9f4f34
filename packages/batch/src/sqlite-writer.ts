/**
 * One writer for one SQLite database: rows from anywhere in the process share transactions of up to 1,000.
 *
 * A transaction costs a sync, a row costs microseconds. When a row fails, the transaction is rolled back and run again
 * with a savepoint around each row, so that the good ones commit together and the bad one gets its own error. What a
 * savepoint cannot isolate (a deferred constraint that fails at COMMIT, a trigger that rolls everything back) is
 * isolated by bisection.
 */
import type { Database } from '@perf/sqlite';
import { Batcher } from './batcher.ts';
import type { AddOptions, BatcherOptions, BatcherStats, DrainReport, ItemResult } from './batcher-options.ts';
import { BatchError } from './errors.ts';
import type { Ticket } from './job.ts';
import { functionOption, integerOption } from './option-checks.ts';

export interface SqliteWriterOptions<Row, R = void> extends Pick<
  BatcherOptions<Row, R>,
  | 'maxBytes'
  | 'lingerMs'
  | 'capacity'
  | 'overflow'
  | 'maxWaiting'
  | 'sizeOf'
  | 'priorities'
  | 'agingMs'
  | 'retry'
  | 'deadLetter'
  | 'maxDeadLetters'
  | 'clock'
> {
  /** It stays the caller's: close it after the writer. */
  readonly db: Database;
  /**
   * Runs the statements of one row, synchronously, inside the writer's transaction. It may be called again for the
   * same row when another row of the transaction fails.
   */
  readonly write: (row: Row) => R;
  /** Rows of a transaction at most. Default 1,000. */
  readonly maxRows?: number;
}

/** Failures of the database rather than of a row: trying the rows one by one would fail for each. */
const DATABASE_FAILURE = /^SQLITE_(?:BUSY|LOCKED|FULL|IOERR|READONLY|CORRUPT|NOTADB|CANTOPEN|NOMEM|PROTOCOL)/;

function isDatabaseFailure(error: unknown): boolean {
  return error instanceof Error && 'code' in error && DATABASE_FAILURE.test(String(error.code));
}

export class SqliteWriter<Row, R = void> implements AsyncDisposable {
  readonly #db: Database;
  readonly #write: (row: Row) => R;
  readonly #batcher: Batcher<Row, R>;

  /** @throws {RangeError | TypeError} naming the option. */
  constructor(options: SqliteWriterOptions<Row, R>) {
    const { db, write, maxRows, ...rest } = options;
    if (typeof db !== 'object' || db === null || typeof db.prepare !== 'function') {
      throw new TypeError('db must be a database opened with openDatabase');
    }
    this.#db = db;
    this.#write = functionOption('write', write);
    this.#batcher = new Batcher<Row, R>({
      ...rest,
      maxItems: integerOption('maxRows', maxRows ?? 1000, 1, 1_000_000),
      process: (rows) => this.#writeAll(rows),
    });
  }

  /**
   * Offers a row: `accepted` when it is in the queue, `result` when its transaction has committed, with what `write`
   * returned for it. Rejections are those of `Batcher.add`, or the row's own error.
   */
  add(row: Row, options?: AddOptions): Ticket<R> {
    return this.#batcher.add(row, options);
  }

  /** `add(row).result`. */
  write(row: Row, options?: AddOptions): Promise<R> {
    return this.#batcher.add(row, options).result;
  }

  /** Takes the row in if there is room now. */
  tryAdd(row: Row, options?: AddOptions): boolean {
    return this.#batcher.tryAdd(row, options);
  }

  /** Resolves when every row added before is committed or has failed. */
  flush(): Promise<void> {
    return this.#batcher.flush();
  }

  drain(options?: { readonly timeoutMs?: number }): Promise<DrainReport> {
    return this.#batcher.drain(options);
  }

  /** Refuses new rows and writes those that are waiting. The database stays open. */
  close(options?: { readonly timeoutMs?: number }): Promise<DrainReport> {
    return this.#batcher.close(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  stats(): BatcherStats {
    return this.#batcher.stats();
  }

  #writeAll(rows: readonly Row[]): readonly ItemResult<R>[] {
    const results: ItemResult<R>[] = [];
    this.#writeRange(rows, 0, rows.length, results);
    return results;
  }

  /** Appends one result per row of [from, to). */
  #writeRange(rows: readonly Row[], from: number, to: number, results: ItemResult<R>[]): void {
    const done = results.length;
    const failure = this.#attempt(rows, from, to, results, false);
    if (failure === undefined) return;
    results.length = done;
    if (isDatabaseFailure(failure.error) || to - from === 1) {
      for (let i = from; i < to; i++) results.push({ ok: false, error: failure.error });
      return;
    }
    if (this.#attempt(rows, from, to, results, true) === undefined) return;
    results.length = done;
    const middle = (from + to) >>> 1;
    this.#writeRange(rows, from, middle, results);
    this.#writeRange(rows, middle, to, results);
  }

  /** One transaction. @returns what made it fail; nothing is written then. */
  #attempt(
    rows: readonly Row[],
    from: number,
    to: number,
    results: ItemResult<R>[],
    isolated: boolean,
  ): { readonly error: unknown } | undefined {
    const db = this.#db;
    try {
      if (db.inTransaction) {
        throw new BatchError(
          'ERR_PERF_BATCH_STORE',
          'the database has a transaction open that is not the writer’s',
        );
      }
      db.exec('BEGIN IMMEDIATE');
    } catch (error) {
      return { error };
    }
    try {
      for (let i = from; i < to; i++) {
        const row = rows[i] as Row;
        results.push(isolated ? this.#writeIsolated(row) : { ok: true, value: this.#write(row) });
      }
      db.exec('COMMIT');
      return undefined;
    } catch (error) {
      if (db.inTransaction) db.exec('ROLLBACK');
      return { error };
    }
  }

  #writeIsolated(row: Row): ItemResult<R> {
    const db = this.#db;
    db.exec('SAVEPOINT perf_row');
    try {
      const value = this.#write(row);
      db.exec('RELEASE perf_row');
      return { ok: true, value };
    } catch (error) {
      // Without a transaction left there is nothing to go on with: the caller bisects.
      if (!db.inTransaction || isDatabaseFailure(error)) throw error;
      db.exec('ROLLBACK TO perf_row');
      db.exec('RELEASE perf_row');
      return { ok: false, error };
    }
  }
}
