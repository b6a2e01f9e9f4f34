/** Stable codes of {@link SqliteError}; match on these, never on messages. */
export type SqliteErrorCode =
  /** The file holds something else; nothing was written to it. */
  | 'ERR_PERF_SQLITE_NOT_A_DATABASE'
  /** The file was a database and is damaged: truncated, or its pages contradict each other. */
  | 'ERR_PERF_SQLITE_CORRUPT'
  /** A write was asked of a file, folder or handle that only allows reading. */
  | 'ERR_PERF_SQLITE_READONLY'
  /** Another connection kept its lock for longer than `busyTimeoutMs`. */
  | 'ERR_PERF_SQLITE_LOCKED'
  /** No such file or folder, a folder instead of a file, no permission. */
  | 'ERR_PERF_SQLITE_CANNOT_OPEN'
  /** The operating system failed a read or a write, or the disk is full. */
  | 'ERR_PERF_SQLITE_IO'
  /** The file was migrated by a newer version of the program. */
  | 'ERR_PERF_SQLITE_NEWER_SCHEMA'
  /** A migration failed; none of the pending ones was applied. */
  | 'ERR_PERF_SQLITE_MIGRATION'
  /** A reader keeps the log from being emptied and it has reached `maxWalBytes`; the write was not begun. */
  | 'ERR_PERF_SQLITE_WAL_LIMIT'
  /** More queries wait in a read pool than `maxQueued`. */
  | 'ERR_PERF_SQLITE_QUEUE_FULL'
  /** A query in a read pool ran longer than `maxQueryMs`. */
  | 'ERR_PERF_SQLITE_TIMEOUT'
  /** A query in a read pool gave more rows than `maxRows`. */
  | 'ERR_PERF_SQLITE_TOO_MANY_ROWS'
  /** A thread of a read pool died under a query. */
  | 'ERR_PERF_SQLITE_WORKER'
  /** The handle or pool is closed. */
  | 'ERR_PERF_SQLITE_CLOSED';

/** What `@perf/sqlite` throws when the file or the database, not the caller, is at fault. */
export class SqliteError extends Error {
  override readonly name = 'SqliteError';
  readonly code: SqliteErrorCode;

  constructor(code: SqliteErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

// Primary result codes of SQLite (https://www.sqlite.org/rescode.html); extended codes such as
// SQLITE_BUSY_SNAPSHOT start with the primary one.
const codeOfResult: readonly (readonly [RegExp, SqliteErrorCode])[] = [
  [/^SQLITE_NOTADB/, 'ERR_PERF_SQLITE_NOT_A_DATABASE'],
  [/^SQLITE_CORRUPT/, 'ERR_PERF_SQLITE_CORRUPT'],
  [/^SQLITE_READONLY/, 'ERR_PERF_SQLITE_READONLY'],
  [/^SQLITE_(BUSY|LOCKED|PROTOCOL)/, 'ERR_PERF_SQLITE_LOCKED'],
  [/^SQLITE_(CANTOPEN|PERM|AUTH)/, 'ERR_PERF_SQLITE_CANNOT_OPEN'],
  [/^SQLITE_(IOERR|FULL|NOLFS)/, 'ERR_PERF_SQLITE_IO'],
];

/** The code for a failure of better-sqlite3, or `undefined` when it is not about the file (a constraint, bad SQL). */
export function codeOf(failure: unknown): SqliteErrorCode | undefined {
  if (failure instanceof SqliteError) return failure.code;
  const result = failure instanceof Error && 'code' in failure ? failure.code : undefined;
  if (typeof result !== 'string') return undefined;
  return codeOfResult.find(([pattern]) => pattern.test(result))?.[1];
}

/**
 * Turns a failure of better-sqlite3 that is about the file into a {@link SqliteError} whose `cause` it is; anything
 * else comes back as it is. For code that runs statements and wants one set of codes:
 * `catch (failure) { throw toSqliteError(failure, 'storing the batch'); }`
 */
export function toSqliteError(failure: unknown, doing: string): unknown {
  if (failure instanceof SqliteError) return failure;
  const code = codeOf(failure);
  if (code === undefined) return failure;
  return new SqliteError(code, `${doing}: ${(failure as Error).message}`, { cause: failure });
}
