/** Stable codes of {@link SqliteError}; match on these, never on messages. */
export type SqliteErrorCode =
  | 'ERR_PERF_SQLITE_NOT_A_DATABASE'
  | 'ERR_PERF_SQLITE_CORRUPT'
  | 'ERR_PERF_SQLITE_READONLY'
  | 'ERR_PERF_SQLITE_LOCKED'
  | 'ERR_PERF_SQLITE_CANNOT_OPEN'
  | 'ERR_PERF_SQLITE_NEWER_SCHEMA'
  | 'ERR_PERF_SQLITE_MIGRATION'
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
