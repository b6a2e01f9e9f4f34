/**
 * Schema versions, kept in the file's own `user_version` (https://www.sqlite.org/pragma.html#pragma_user_version).
 * All pending migrations are one transaction: after a crash or an error the file has the old schema, never half of the
 * new one. Foreign keys are off while migrations run, because rebuilding a parent table would otherwise delete its
 * children, and are checked before the commit (the procedure of https://www.sqlite.org/lang_altertable.html#otheralter).
 */
import type DatabaseConstructor from 'better-sqlite3';
import { SqliteError, codeOf, toSqliteError } from './errors.ts';

type Database = DatabaseConstructor.Database;

export interface Migration {
  /** 1 or more; versions ascend through the list, and a released one never changes. */
  readonly version: number;
  /** For error messages. */
  readonly name?: string;
  /** SQL, or a synchronous function. It runs inside a transaction and must not end it. */
  readonly up: string | ((db: Database) => void);
}

const MAX_VERSION = 0x7fffffff;

/**
 * Brings the schema to the last version of the list and returns the version the file then has. Several processes may
 * call it at once: one of them migrates, the others wait and find it done.
 *
 * @throws {SqliteError} `ERR_PERF_SQLITE_NEWER_SCHEMA` when the file's version is above the list's: nothing is
 *   written; `ERR_PERF_SQLITE_MIGRATION` when one fails: none is applied, `cause` is the failure;
 *   `ERR_PERF_SQLITE_READONLY` when some are pending on a read-only handle; `_LOCKED`; `_CLOSED`
 */
export function migrate(db: Database, migrations: readonly Migration[]): number {
  checkMigrations(migrations);
  if (!db.open) throw new SqliteError('ERR_PERF_SQLITE_CLOSED', 'the database handle is closed');
  if (db.inTransaction) {
    throw new SqliteError(
      'ERR_PERF_SQLITE_MIGRATION',
      'migrations need a transaction of their own; one is open',
    );
  }
  const last = migrations.at(-1)?.version ?? 0;
  try {
    const version = refuseNewerSchema(userVersionOf(db), migrations);
    if (version === last) return version;
    if (db.readonly) {
      throw new SqliteError(
        'ERR_PERF_SQLITE_READONLY',
        `version ${version} is read-only and needs migrating to ${last}`,
      );
    }
    const enforced = db.pragma('foreign_keys', { simple: true }) === 1;
    // The setting cannot change inside a transaction.
    if (enforced) db.pragma('foreign_keys = OFF');
    try {
      applyPending(db, migrations, enforced);
    } finally {
      if (enforced) db.pragma('foreign_keys = ON');
    }
    return last;
  } catch (failure) {
    throw toSqliteError(failure, 'cannot migrate');
  }
}

function applyPending(db: Database, migrations: readonly Migration[], checkForeignKeys: boolean): void {
  // IMMEDIATE takes the write lock first, so the version read here is the one the migrations start from.
  db.exec('BEGIN IMMEDIATE');
  try {
    const version = refuseNewerSchema(userVersionOf(db), migrations);
    for (const migration of migrations) {
      if (migration.version > version) apply(db, migration);
    }
    if (checkForeignKeys && (db.pragma('foreign_key_check') as unknown[]).length > 0) {
      throw new SqliteError('ERR_PERF_SQLITE_MIGRATION', 'the migrated schema violates foreign keys');
    }
    db.pragma(`user_version = ${migrations.at(-1)?.version ?? 0}`);
    db.exec('COMMIT');
  } catch (failure) {
    if (db.inTransaction) db.exec('ROLLBACK');
    throw failure;
  }
}

function apply(db: Database, { version, name, up }: Migration): void {
  const label = name === undefined ? `migration ${version}` : `migration ${version} (${name})`;
  try {
    if (typeof up === 'string') {
      db.exec(up);
    } else {
      const result: unknown = up(db);
      if (typeof (result as PromiseLike<unknown> | undefined)?.then === 'function') {
        throw new TypeError('up must be synchronous, it returned a promise');
      }
    }
  } catch (cause) {
    // A full disk or a lock is not the migration's fault and keeps its own code.
    const code = codeOf(cause) ?? 'ERR_PERF_SQLITE_MIGRATION';
    throw new SqliteError(
      code,
      `${label} failed: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
  if (!db.inTransaction) throw new SqliteError('ERR_PERF_SQLITE_MIGRATION', `${label} ended the transaction`);
}

/** Returns the version when the list knows it. */
export function refuseNewerSchema(version: number, migrations: readonly Migration[]): number {
  const last = migrations.at(-1)?.version ?? 0;
  if (version >= 0 && version <= last) return version;
  throw new SqliteError(
    'ERR_PERF_SQLITE_NEWER_SCHEMA',
    `the file has schema version ${version}, this program knows versions up to ${last}`,
  );
}

export function checkMigrations(migrations: readonly Migration[]): void {
  if (!Array.isArray(migrations)) throw new TypeError('migrations must be an array');
  let previous = 0;
  for (const { version, up } of migrations as readonly Migration[]) {
    if (!Number.isInteger(version) || version <= previous || version > MAX_VERSION) {
      throw new RangeError(
        `migrations: versions must be ascending integers from 1, got ${version} after ${previous}`,
      );
    }
    if (typeof up !== 'string' && typeof up !== 'function') {
      throw new TypeError(`migrations: up of version ${version} must be SQL or a function`);
    }
    previous = version;
  }
}

function userVersionOf(db: Database): number {
  return Number(db.pragma('user_version', { simple: true }));
}
