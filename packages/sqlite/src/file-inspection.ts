/**
 * Looks at a database file before SQLite may write anything near it, so that a file which cannot be read is refused
 * with its bytes and its log exactly as they were.
 *
 *   stat             missing, a folder, no permission, zero bytes
 *   log with pages   every page must be in the log or in the file, otherwise the file was cut (wal-file.ts)
 *   then SQLite      reads the header and the whole schema, before any setting that writes
 *
 * The file itself is never opened with `fs`: closing any descriptor of a file drops all POSIX locks this process
 * holds on it, and with them the protection of every open connection (https://www.sqlite.org/howtocorrupt.html,
 * section 2.2). SQLite's own handles keep book of that. For the same reason `node:sqlite`, a second copy of SQLite in
 * the process, must not be used for a look.
 */
import { accessSync, constants, readFileSync, realpathSync, statSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { dirname } from 'node:path';
import type DatabaseConstructor from 'better-sqlite3';
import { SqliteError } from './errors.ts';
import { inspectWal } from './wal-file.ts';

// https://www.sqlite.org/fileformat2.html#the_database_header
const MAGIC = Buffer.from('SQLite format 3\0');
const SMALLEST_PAGE_BYTES = 512;

export interface FileFacts {
  /** With symbolic links resolved: SQLite puts its side files next to the target. */
  readonly path: string;
  readonly isNew: boolean;
  /** Whether the log has transactions that are not in the file yet, or a journal waits to be rolled back. */
  readonly pending: boolean;
  /** Whether this process may write the file and its folder. */
  readonly writable: boolean;
}

/** @throws {SqliteError} `ERR_PERF_SQLITE_CANNOT_OPEN`, `ERR_PERF_SQLITE_READONLY`, `ERR_PERF_SQLITE_CORRUPT` */
export function inspectFile(path: string, readonly: boolean): FileFacts {
  const target = resolveLink(path);
  const stats = statFile(target);
  if (stats === undefined) {
    if (readonly) throw new SqliteError('ERR_PERF_SQLITE_CANNOT_OPEN', `no such file: ${path}`);
    requireWritableFolder(target);
    return { path: target, isNew: true, pending: false, writable: true };
  }
  if (!stats.isFile()) {
    const what = stats.isDirectory() ? 'a folder' : 'not a regular file';
    throw new SqliteError('ERR_PERF_SQLITE_CANNOT_OPEN', `${path} is ${what}`);
  }
  requireAccess(target, constants.R_OK, 'ERR_PERF_SQLITE_CANNOT_OPEN', 'cannot be read');
  if (!readonly) {
    requireAccess(target, constants.W_OK, 'ERR_PERF_SQLITE_READONLY', 'cannot be written');
    requireWritableFolder(target);
  }
  const writable =
    !readonly || (isAllowed(target, constants.W_OK) && isAllowed(dirname(target), constants.W_OK));
  return { path: target, writable, ...inspectSideFiles(target) };
}

function inspectSideFiles(path: string): { isNew: boolean; pending: boolean } {
  const sizeBytes = (): number => Number(statFile(path)?.size ?? 0n);
  // A journal of a killed writer: SQLite rolls it back before it reads, and only then can anything be said.
  if ((statFile(`${path}-journal`)?.size ?? 0n) > 0n) return { isNew: false, pending: true };
  const log = inspectWal(`${path}-wal`, sizeBytes);
  if (log === 'unreadable') {
    throw new SqliteError('ERR_PERF_SQLITE_CORRUPT', `${path}-wal is not the log of a database`);
  }
  if (log === 'incomplete') {
    throw new SqliteError('ERR_PERF_SQLITE_CORRUPT', `${path} is cut short: pages are missing`);
  }
  if (log === 'complete') return { isNew: false, pending: true };
  const size = sizeBytes();
  if (size > 0 && size < SMALLEST_PAGE_BYTES) throw refuseStump(path);
  return { isNew: size === 0, pending: false };
}

/**
 * SQLite takes a file of a few bytes for an empty database and writes over it. No database is that small, not even
 * while it is made, so nobody holds locks that reading it here could drop.
 */
function refuseStump(path: string): SqliteError {
  const bytes = readFileSync(path);
  return bytes.equals(MAGIC.subarray(0, bytes.length)) || bytes.subarray(0, MAGIC.length).equals(MAGIC)
    ? new SqliteError('ERR_PERF_SQLITE_CORRUPT', `${path} is cut short`)
    : new SqliteError('ERR_PERF_SQLITE_NOT_A_DATABASE', `${path} is not a database`);
}

/**
 * Reads header and schema, so that damage there shows now and not in the middle of the work. Costs one read
 * transaction; pages further inside are checked by SQLite when they are read.
 *
 * @throws whatever SQLite throws; {@link SqliteError} `ERR_PERF_SQLITE_CORRUPT` when the last page is cut
 */
export function checkContent(db: DatabaseConstructor.Database, { path, pending }: FileFacts): void {
  db.prepare('SELECT count(*) FROM sqlite_schema').get();
  if (pending) return;
  // SQLite notices missing pages, but takes a last page that is cut in the middle for a whole one.
  const pages = db.pragma('page_count', { simple: true }) as number;
  const pageBytes = db.pragma('page_size', { simple: true }) as number;
  const { size } = statFile(path) ?? { size: 0n };
  if (pages * pageBytes > size) throw new SqliteError('ERR_PERF_SQLITE_CORRUPT', `${path} is cut short`);
}

/** Changes when the file or its log do. Damage counts when it is seen twice over a file that stands still. */
export function fingerprint(path: string): string {
  return [path, `${path}-wal`, `${path}-journal`]
    .map((name) => statFile(name))
    .map((stats) => (stats === undefined ? '-' : `${stats.ino} ${stats.size} ${stats.mtimeNs}`))
    .join(' ');
}

function resolveLink(path: string): string {
  try {
    return realpathSync(path);
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code === 'ENOENT') return path;
    throw cannotOpen(path, failure);
  }
}

function statFile(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch (failure) {
    throw cannotOpen(path, failure);
  }
}

function cannotOpen(path: string, cause: unknown): SqliteError {
  return new SqliteError('ERR_PERF_SQLITE_CANNOT_OPEN', `cannot open ${path}`, { cause });
}

function requireAccess(
  path: string,
  mode: number,
  code: 'ERR_PERF_SQLITE_CANNOT_OPEN' | 'ERR_PERF_SQLITE_READONLY',
  problem: string,
): void {
  try {
    accessSync(path, mode);
  } catch (cause) {
    throw new SqliteError(code, `${path} ${problem}`, { cause });
  }
}

function isAllowed(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

/** SQLite keeps the log and its index next to the file, so a writer needs the folder too. */
function requireWritableFolder(path: string): void {
  const folder = dirname(path);
  requireAccess(folder, constants.F_OK, 'ERR_PERF_SQLITE_CANNOT_OPEN', 'does not exist');
  requireAccess(folder, constants.W_OK, 'ERR_PERF_SQLITE_READONLY', 'cannot be written');
}
