/**
 * The one way to open a file: look at it first (file-inspection.ts), take the locks with patience, then set the
 * connection up (durability.ts, slow-query.ts, wal-limit.ts) and bring its schema up to date (migrations.ts). Whatever fails leaves no open handle
 * behind and the file as it was.
 */
import { resolve } from 'node:path';
import DatabaseConstructor from 'better-sqlite3';
import { SOFT_WAL_BYTES, applyConnectionSettings, applyNewFileSettings } from './durability.ts';
import type { Durability } from './durability.ts';
import { SqliteError, codeOf, toSqliteError } from './errors.ts';
import { checkContent, fingerprint, inspectFile } from './file-inspection.ts';
import type { FileFacts } from './file-inspection.ts';
import { checkMigrations, migrate, refuseNewerSchema } from './migrations.ts';
import type { Migration } from './migrations.ts';
import { watchStatements } from './slow-query.ts';
import type { Clock, SlowQuery } from './slow-query.ts';
import { WalLimit } from './wal-limit.ts';

/** A better-sqlite3 handle. */
export type Database = DatabaseConstructor.Database;

export interface OpenOptions {
  /** Default `'process-crash'`. */
  readonly durability?: Durability;
  /** The file must exist and is never written. Default `false`. */
  readonly readonly?: boolean;
  /** Bytes of the file that are read through a memory map; 0 turns it off. Default 256 MiB, at most 2 GiB. */
  readonly mmapBytes?: number;
  /** How long a statement waits for another connection's lock. Default 5,000. */
  readonly busyTimeoutMs?: number;
  /** A statement that takes this long is reported; `Infinity` turns reports off. Default 100. */
  readonly slowQueryMs?: number;
  /** Called after a slow statement, with its plan. Without it and without a subscriber nothing is timed. */
  readonly onSlowQuery?: (query: SlowQuery) => void;
  /** Where the write-ahead log must stop growing when a reader never ends. At least 16 MiB, default 1 GiB. */
  readonly maxWalBytes?: number;
  /** Monotonic milliseconds, for slow queries. Default `performance`. */
  readonly clock?: Clock;
  /** Applied before the handle is returned, see {@link migrate}; a file that is too new is refused untouched. */
  readonly migrations?: readonly Migration[];
}

interface Settings {
  readonly durability: Durability;
  readonly readonly: boolean;
  readonly mmapBytes: number;
  readonly busyTimeoutMs: number;
  readonly slowQueryMs: number;
  readonly onSlowQuery: ((query: SlowQuery) => void) | undefined;
  readonly maxWalBytes: number;
  readonly softWalBytes: number;
  readonly clock: Clock;
  readonly migrations: readonly Migration[] | undefined;
}

const DEFAULT_MMAP_BYTES = 256 * 1024 * 1024;
// SQLITE_MAX_MMAP_SIZE of the bundled SQLite.
const MAX_MMAP_BYTES = 0x7fff0000;
const MAX_BUSY_TIMEOUT_MS = 0x7fffffff;
const DEFAULT_SLOW_QUERY_MS = 100;
const DEFAULT_MAX_WAL_BYTES = 1024 * 1024 * 1024;
// Four times what SQLite's own checkpoint waits for.
const MIN_MAX_WAL_BYTES = 16 * 1024 * 1024;
const RETRY_EVERY_MS = 5;
const MAX_ATTEMPTS = 20;

/**
 * Opens a SQLite database, making the file if there is none. `path` is a file path or `':memory:'`, never a URI.
 *
 * @throws {TypeError} {@link RangeError} when an option is of the wrong type or out of range
 * @throws {SqliteError} `ERR_PERF_SQLITE_NOT_A_DATABASE`, `_CORRUPT`, `_READONLY`, `_LOCKED`, `_CANNOT_OPEN`,
 *   `_NEWER_SCHEMA`, `_MIGRATION`, `_IO`
 */
export function openDatabase(path: string, options: OpenOptions = {}): Database {
  const settings = checkOptions(path, options);
  if (path === ':memory:') return openInMemory(settings);
  const file = openStanding(resolve(path), settings);
  const { db } = file;
  try {
    const { migrations } = settings;
    if (migrations !== undefined)
      refuseNewerSchema(Number(db.pragma('user_version', { simple: true })), migrations);
    if (!settings.readonly) enterWalMode(db, settings.busyTimeoutMs);
    setUp(db, settings, file.facts.path);
    if (migrations !== undefined) migrate(db, migrations);
    return db;
  } catch (failure) {
    closeUntouched(file);
    throw toSqliteError(failure, `cannot open ${path}`);
  }
}

function openInMemory(settings: Settings): Database {
  const db = new DatabaseConstructor(':memory:');
  try {
    setUp(db, settings, undefined);
    if (settings.migrations !== undefined) migrate(db, settings.migrations);
    return db;
  } catch (failure) {
    db.close();
    throw failure;
  }
}

function setUp(db: Database, settings: Settings, path: string | undefined): void {
  applyConnectionSettings(db, settings);
  const { readonly, softWalBytes, maxWalBytes } = settings;
  const walLimit =
    readonly || path === undefined ? undefined : new WalLimit(db, path, softWalBytes, maxWalBytes);
  watchStatements(db, { ...settings, walLimit });
}

interface OpenedFile {
  readonly db: Database;
  readonly facts: FileFacts;
}

/** Another process may write while the file is looked at; damage is believed when the file stood still meanwhile. */
function openStanding(path: string, settings: Settings): OpenedFile {
  let before = '';
  for (let attempt = 1; ; attempt++) {
    try {
      return openChecked(path, settings);
    } catch (failure) {
      const code = codeOf(failure);
      const damaged = code === 'ERR_PERF_SQLITE_CORRUPT' || code === 'ERR_PERF_SQLITE_NOT_A_DATABASE';
      const now = damaged ? fingerprint(path) : '';
      if (!damaged || now === before || attempt === MAX_ATTEMPTS)
        throw toSqliteError(failure, `cannot open ${path}`);
      before = now;
    }
  }
}

function openChecked(path: string, { readonly, busyTimeoutMs }: Settings): OpenedFile {
  const facts = inspectFile(path, readonly);
  const open = (asReadonly: boolean): OpenedFile => {
    const options = { readonly: asReadonly, fileMustExist: !facts.isNew || readonly, timeout: busyTimeoutMs };
    const file = { db: new DatabaseConstructor(facts.path, options), facts };
    try {
      checkContent(file.db, facts);
      return file;
    } catch (failure) {
      closeUntouched(file);
      throw failure;
    }
  };
  // A read-only handle makes a log and an index where there are none and cannot remove them, so where that is allowed
  // a file is first looked at by a handle that can.
  if (readonly && facts.writable && !facts.pending) open(false).db.close();
  return open(readonly);
}

/**
 * Readers and one writer work side by side in WAL mode, and a commit is one append. The change of mode needs the file
 * for itself for a moment; SQLite refuses it at once, without asking the busy timeout, when two processes make the
 * same new file, hence the loop.
 */
function enterWalMode(db: Database, busyTimeoutMs: number): void {
  const deadline = performance.now() + busyTimeoutMs;
  for (;;) {
    try {
      if (db.pragma('page_count', { simple: true }) === 0) applyNewFileSettings(db);
      const mode = db.pragma('journal_mode = WAL', { simple: true });
      if (mode !== 'wal') {
        throw new SqliteError(
          'ERR_PERF_SQLITE_CANNOT_OPEN',
          `the file system does not allow WAL mode (${mode})`,
        );
      }
      return;
    } catch (failure) {
      if (codeOf(failure) !== 'ERR_PERF_SQLITE_LOCKED' || performance.now() >= deadline) throw failure;
      sleep(RETRY_EVERY_MS);
    }
  }
}

/**
 * The last connection to close copies the log into the database and removes it. A file that was refused must keep its
 * bytes, so a read-only connection, which cannot do that, is made the last one. With an empty log there is nothing to
 * copy, and the connection may remove what it made.
 */
function closeUntouched({ db, facts }: OpenedFile): void {
  let witness: Database | undefined;
  if (facts.pending && !db.readonly) {
    try {
      witness = new DatabaseConstructor(facts.path, { readonly: true, fileMustExist: true, timeout: 0 });
      checkContent(witness, facts);
    } catch {
      // A damaged schema fails here too; by then the witness holds its lock on the file, which is all it is for.
    }
  }
  db.close();
  witness?.close();
}

function sleep(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}

function checkOptions(path: string, options: OpenOptions): Settings {
  if (typeof path !== 'string') throw new TypeError('path must be a string');
  if (path.trim() !== path || path === '' || path.includes('\0')) {
    throw new TypeError('path must not be empty, start or end with a space, or contain a NUL character');
  }
  const {
    durability = 'process-crash',
    readonly = false,
    mmapBytes = DEFAULT_MMAP_BYTES,
    busyTimeoutMs = 5_000,
    slowQueryMs = DEFAULT_SLOW_QUERY_MS,
    onSlowQuery,
    maxWalBytes = DEFAULT_MAX_WAL_BYTES,
    clock = performance,
    migrations,
  } = options;
  if (durability !== 'process-crash' && durability !== 'power-loss') {
    throw new RangeError(`durability must be 'process-crash' or 'power-loss'`);
  }
  if (typeof readonly !== 'boolean') throw new TypeError('readonly must be a boolean');
  if (readonly && path === ':memory:')
    throw new TypeError(`readonly: ':memory:' is always empty and writable`);
  checkInteger('mmapBytes', mmapBytes, 0, MAX_MMAP_BYTES);
  checkInteger('busyTimeoutMs', busyTimeoutMs, 0, MAX_BUSY_TIMEOUT_MS);
  if (typeof slowQueryMs !== 'number') throw new TypeError('slowQueryMs must be a number');
  if (!(slowQueryMs >= 0)) throw new RangeError(`slowQueryMs must be 0 or more, got ${slowQueryMs}`);
  if (onSlowQuery !== undefined && typeof onSlowQuery !== 'function') {
    throw new TypeError('onSlowQuery must be a function');
  }
  if (typeof clock?.now !== 'function') throw new TypeError('clock must have a method now()');
  checkInteger('maxWalBytes', maxWalBytes, MIN_MAX_WAL_BYTES, Number.MAX_SAFE_INTEGER);
  if (migrations !== undefined) checkMigrations(migrations);
  const softWalBytes = Math.min(SOFT_WAL_BYTES, Math.floor(maxWalBytes / 2));
  return {
    durability,
    readonly,
    mmapBytes,
    busyTimeoutMs,
    slowQueryMs,
    onSlowQuery,
    maxWalBytes,
    softWalBytes,
    clock,
    migrations,
  };
}

function checkInteger(name: string, value: number, least: number, most: number): void {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${name} must be an integer from ${least} to ${most}, got ${value}`);
  }
}
