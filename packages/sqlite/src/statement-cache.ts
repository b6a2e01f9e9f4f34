/**
 * Prepared statements by SQL text, the least recently used one dropped first. Preparing parses and plans: for a lookup
 * by key it costs several times the lookup itself (bench case `prepared-statements`).
 *
 * A better-sqlite3 statement has state (`pluck`, `raw`, `bind`, an open iterator), so handing the same one to two
 * callers is safe only if that state is out of reach: the mode of the rows is part of the key, the methods that change
 * state throw, and a statement that is being iterated is not handed out again.
 */
import type DatabaseConstructor from 'better-sqlite3';
import { SqliteError } from './errors.ts';

/** How rows come: objects by column name, arrays, or the first column alone. */
export type RowMode = 'object' | 'array' | 'value';

export interface CachedStatement<Row = unknown> {
  readonly source: string;
  readonly reader: boolean;
  readonly readonly: boolean;
  run(...params: unknown[]): DatabaseConstructor.RunResult;
  get(...params: unknown[]): Row | undefined;
  all(...params: unknown[]): Row[];
  iterate(...params: unknown[]): IterableIterator<Row>;
  columns(): DatabaseConstructor.ColumnDefinition[];
}

export interface StatementCacheOptions {
  /** From 1; default 256. A statement keeps some kilobytes of native memory. */
  readonly maxStatements?: number;
}

const STATEFUL_METHODS = ['bind', 'pluck', 'raw', 'expand', 'safeIntegers'] as const;

export class StatementCache {
  readonly #db: DatabaseConstructor.Database;
  readonly #maxStatements: number;
  // A Map keeps insertion order: the first entry is the one used least recently.
  readonly #statements: Record<RowMode, Map<string, DatabaseConstructor.Statement>> = {
    object: new Map(),
    array: new Map(),
    value: new Map(),
  };
  #latest: DatabaseConstructor.Statement | undefined;

  constructor(db: DatabaseConstructor.Database, { maxStatements = 256 }: StatementCacheOptions = {}) {
    if (!Number.isSafeInteger(maxStatements) || maxStatements < 1) {
      throw new RangeError(`maxStatements must be an integer from 1, got ${maxStatements}`);
    }
    this.#db = db;
    this.#maxStatements = maxStatements;
  }

  /** Number of statements kept, over all modes. */
  get size(): number {
    const { object, array, value } = this.#statements;
    return object.size + array.size + value.size;
  }

  /**
   * The statement for `sql`, prepared at most once while it stays in the cache. O(1) on a hit.
   *
   * @throws {SqliteError} `ERR_PERF_SQLITE_CLOSED`; what `prepare` throws when the SQL is wrong
   */
  prepare<Row = unknown>(sql: string, mode: RowMode = 'object'): CachedStatement<Row> {
    if (!this.#db.open) throw new SqliteError('ERR_PERF_SQLITE_CLOSED', 'the database handle is closed');
    const statements = this.#statements[mode];
    if (statements === undefined)
      throw new RangeError(`mode must be 'object', 'array' or 'value', got ${mode}`);
    const found = statements.get(sql);
    if (found !== undefined) {
      // Someone is iterating it; the next caller gets one of its own, which is not kept.
      if (found.busy) return this.#prepare(sql, mode) as CachedStatement<Row>;
      // The one used last is at the end already, and moving it there is a deletion and an insertion.
      if (found !== this.#latest) {
        statements.delete(sql);
        statements.set(sql, found);
        this.#latest = found;
      }
      return found as CachedStatement<Row>;
    }
    const statement = this.#prepare(sql, mode);
    if (this.size >= this.#maxStatements) this.#dropOldest(statements);
    statements.set(sql, statement);
    this.#latest = statement;
    return statement as CachedStatement<Row>;
  }

  clear(): void {
    for (const statements of Object.values(this.#statements)) statements.clear();
    this.#latest = undefined;
  }

  #prepare(sql: string, mode: RowMode): DatabaseConstructor.Statement {
    const statement = this.#db.prepare(sql);
    // A statement that gives no rows has no mode.
    if (mode === 'array' && statement.reader) statement.raw();
    if (mode === 'value' && statement.reader) statement.pluck();
    const refuse = (): never => {
      throw new TypeError('a cached statement is used by others: its mode is fixed, prepare one of your own');
    };
    for (const method of STATEFUL_METHODS) Object.defineProperty(statement, method, { value: refuse });
    return statement;
  }

  /** From the same mode if it has any, so that each mode keeps its own order; the native part goes with the GC. */
  #dropOldest(preferred: Map<string, DatabaseConstructor.Statement>): void {
    for (const statements of [preferred, ...Object.values(this.#statements)]) {
      for (const sql of statements.keys()) {
        statements.delete(sql);
        return;
      }
    }
  }
}
