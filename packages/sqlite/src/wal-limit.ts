/**
 * Keeps the write-ahead log bounded when readers never let go.
 *
 * SQLite checkpoints by itself after 1,000 pages, but such a checkpoint gives way to readers: the log starts over only
 * when no reader uses it at that moment. Readers that overlap without a gap, or one that never ends, make it grow
 * until the disk is full (https://www.sqlite.org/wal.html#avoiding_excessively_large_wal_files). So:
 *
 *   above `softBytes`   a TRUNCATE checkpoint, which waits a little. It holds off writers, so readers that start
 *                       meanwhile need no log, and overlapping short readers cannot starve it.
 *   at `maxBytes`       it waits for `busyTimeoutMs`, as for any other lock; then the write is refused before it began,
 *                       with `ERR_PERF_SQLITE_WAL_LIMIT`. Later writes are refused at once until the reader is gone.
 *
 * The size is looked at before writes, outside transactions, at most every `LOOK_EVERY_MS`. The log can therefore pass
 * `maxBytes` by one transaction plus what is written in that time.
 */
import { statSync } from 'node:fs';
import type DatabaseConstructor from 'better-sqlite3';
import { SqliteError, codeOf } from './errors.ts';

const LOOK_EVERY_MS = 2;
const PATIENCE_MS = 10;
/** A checkpoint that had to give way is tried again when the log has grown by this much. */
const RETRY_EVERY_BYTES = 4 * 1024 * 1024;

export class WalLimit {
  readonly #db: DatabaseConstructor.Database;
  readonly #walPath: string;
  readonly #softBytes: number;
  readonly #maxBytes: number;
  #lookedAtMs = -Infinity;
  #nextTryBytes: number;
  #waitedInVain = false;

  constructor(db: DatabaseConstructor.Database, path: string, softBytes: number, maxBytes: number) {
    this.#db = db;
    this.#walPath = `${path}-wal`;
    this.#softBytes = softBytes;
    this.#maxBytes = maxBytes;
    this.#nextTryBytes = softBytes;
  }

  /**
   * Called before every statement that may write; `nowMs` is monotonic.
   *
   * @throws {SqliteError} `ERR_PERF_SQLITE_WAL_LIMIT`
   */
  beforeWrite(nowMs: number): void {
    if (nowMs - this.#lookedAtMs < LOOK_EVERY_MS || this.#db.inTransaction) return;
    this.#lookedAtMs = nowMs;
    const bytes = statSync(this.#walPath, { throwIfNoEntry: false })?.size ?? 0;
    if (bytes < this.#nextTryBytes) {
      // Another connection, or SQLite itself, has emptied the log.
      if (bytes < this.#softBytes) this.#nextTryBytes = this.#softBytes;
      return;
    }
    this.#shorten(bytes);
  }

  #shorten(bytes: number): void {
    const full = bytes >= this.#maxBytes;
    if (this.#truncate(full)) {
      this.#nextTryBytes = this.#softBytes;
      this.#waitedInVain = false;
      return;
    }
    this.#nextTryBytes = Math.min(bytes + RETRY_EVERY_BYTES, this.#maxBytes);
    if (!full) return;
    this.#waitedInVain = true;
    // The next write looks again, however soon it comes.
    this.#lookedAtMs = -Infinity;
    throw new SqliteError(
      'ERR_PERF_SQLITE_WAL_LIMIT',
      `a reader has kept the log from being emptied and it has grown to ${bytes} bytes; writing waits until it ends`,
    );
  }

  #truncate(full: boolean): boolean {
    const usualMs = this.#db.pragma('busy_timeout', { simple: true }) as number;
    let patienceMs = Math.min(PATIENCE_MS, usualMs);
    if (full) patienceMs = this.#waitedInVain ? 0 : usualMs;
    this.#db.pragma(`busy_timeout = ${patienceMs}`);
    try {
      return checkpointTruncate(this.#db).busy === 0;
    } finally {
      this.#db.pragma(`busy_timeout = ${usualMs}`);
    }
  }
}

/** `pages` and `copied` are -1 without a log. */
export function checkpointTruncate(db: DatabaseConstructor.Database): {
  busy: number;
  pages: number;
  copied: number;
} {
  try {
    const [row] = db.pragma('wal_checkpoint(TRUNCATE)') as {
      busy: number;
      log: number;
      checkpointed: number;
    }[];
    return { busy: row?.busy ?? 1, pages: row?.log ?? -1, copied: row?.checkpointed ?? -1 };
  } catch (failure) {
    // A statement of this connection is still reading.
    if (codeOf(failure) !== 'ERR_PERF_SQLITE_LOCKED') throw failure;
    return { busy: 1, pages: -1, copied: -1 };
  }
}
