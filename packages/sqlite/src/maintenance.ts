/** What a database wants done now and then, in the order in which the steps help each other. */
import { statSync } from 'node:fs';
import type DatabaseConstructor from 'better-sqlite3';
import { SqliteError, toSqliteError } from './errors.ts';
import { checkpointTruncate } from './wal-limit.ts';

type Database = DatabaseConstructor.Database;

export interface OptimizeReport {
  /** The ANALYZE statements that were due; most often none. */
  readonly analyzed: readonly string[];
  readonly vacuum: {
    /** Free pages given back to the file system, at most 16,384 per call. */
    readonly freedPages: number;
    readonly freedBytes: number;
    /** Free pages still in the file; without incremental auto-vacuum they stay for reuse. */
    readonly freePages: number;
  };
  readonly checkpoint: {
    /** The log was copied into the database and emptied; `false` when a reader or writer was in the way. */
    readonly complete: boolean;
    readonly walBytesBefore: number;
    readonly walBytesAfter: number;
  };
  readonly fileBytesBefore: number;
  readonly fileBytesAfter: number;
  readonly durationMs: number;
}

/**
 * 0x02 runs ANALYZE where the planner could profit, 0x10 bounds the rows it looks at, 0x10000 looks at all tables and
 * not only at those queried lately (https://www.sqlite.org/pragma.html#pragma_optimize).
 */
const ANALYZE_WHERE_DUE = 0x1_0012;
const ONLY_SAY = 0x1;
/** 64 MiB of 4 KiB pages: each freed page may move another one, and nobody else can write meanwhile. */
const MAX_FREED_PAGES = 16_384;
const CHECKPOINT_PATIENCE_MS = 100;
const INCREMENTAL = 2;

/**
 * Updates the planner's statistics where that is due, gives free pages back, and empties the log. Blocks the calling
 * thread: usually milliseconds, at worst some hundred for the pages and the statistics.
 *
 * @throws {SqliteError} `ERR_PERF_SQLITE_CLOSED`; `_READONLY`; `_LOCKED` when another connection is writing
 * @throws {TypeError} inside a transaction
 */
export function optimize(db: Database): OptimizeReport {
  if (!db.open) throw new SqliteError('ERR_PERF_SQLITE_CLOSED', 'the database handle is closed');
  if (db.readonly) throw new SqliteError('ERR_PERF_SQLITE_READONLY', `${db.name} is open for reading only`);
  if (db.inTransaction) throw new TypeError('optimize cannot run inside a transaction');
  const startMs = performance.now();
  const fileBytesBefore = sizeOf(db, '');
  const walBytesBefore = sizeOf(db, '-wal');
  try {
    const analyzed = analyze(db);
    const vacuum = giveBackFreePages(db);
    // Last, because the steps above write to the log.
    const complete = emptyLog(db);
    return {
      analyzed,
      vacuum,
      checkpoint: { complete, walBytesBefore, walBytesAfter: sizeOf(db, '-wal') },
      fileBytesBefore,
      fileBytesAfter: sizeOf(db, ''),
      durationMs: performance.now() - startMs,
    };
  } catch (failure) {
    throw toSqliteError(failure, `cannot optimize ${db.name}`);
  }
}

function analyze(db: Database): readonly string[] {
  const due = db.pragma(`optimize(${ANALYZE_WHERE_DUE | ONLY_SAY})`) as Record<string, string>[];
  if (due.length > 0) db.pragma(`optimize(${ANALYZE_WHERE_DUE})`);
  return due.flatMap((row) => Object.values(row));
}

function giveBackFreePages(db: Database): OptimizeReport['vacuum'] {
  const count = (name: string): number => db.pragma(name, { simple: true }) as number;
  const before = count('freelist_count');
  if (before > 0 && count('auto_vacuum') === INCREMENTAL) db.pragma(`incremental_vacuum(${MAX_FREED_PAGES})`);
  const freePages = count('freelist_count');
  const freedPages = before - freePages;
  return { freedPages, freedBytes: freedPages * count('page_size'), freePages };
}

function emptyLog(db: Database): boolean {
  const usualMs = db.pragma('busy_timeout', { simple: true }) as number;
  db.pragma(`busy_timeout = ${Math.min(usualMs, CHECKPOINT_PATIENCE_MS)}`);
  try {
    return checkpointTruncate(db).busy === 0;
  } finally {
    db.pragma(`busy_timeout = ${usualMs}`);
  }
}

function sizeOf(db: Database, suffix: '' | '-wal'): number {
  if (db.memory) return 0;
  return statSync(db.name + suffix, { throwIfNoEntry: false })?.size ?? 0;
}
