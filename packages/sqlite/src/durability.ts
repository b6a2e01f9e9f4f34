/**
 * The settings every connection gets, each with its reason. Defaults of SQLite aim at the smallest device it runs on;
 * these aim at one Node process on a server or a developer's machine.
 */
import type DatabaseConstructor from 'better-sqlite3';

/**
 * What a committed transaction survives. `'process-crash'`: the death of the process, by `kill -9` too; after a power
 * loss the database is intact and may lack the last commits. `'power-loss'`: a power loss too, at the price of one
 * fsync per commit.
 */
export type Durability = 'process-crash' | 'power-loss';

export interface ConnectionSettings {
  readonly durability: Durability;
  readonly mmapBytes: number;
  readonly softWalBytes: number;
}

/**
 * A log that starts over is cut down to this, so that one large transaction does not keep its disk for ever; and a log
 * that grows beyond it is emptied with more patience (wal-limit.ts).
 */
export const SOFT_WAL_BYTES: number = 64 * 1024 * 1024;

/**
 * Dirty pages of a large transaction spill into the log when they outgrow the page cache, and are written twice then.
 * 16 MiB holds some 4,000 changed pages. Clean pages use it only beyond the memory map.
 */
const CACHE_KIB = 16 * 1024;

/** Settings that live in the connection; they write nothing to the file. */
export function applyConnectionSettings(
  db: DatabaseConstructor.Database,
  settings: ConnectionSettings,
): void {
  // In WAL mode NORMAL syncs at checkpoints only: a commit has reached the operating system, which outlives the
  // process. FULL syncs the log at every commit.
  db.pragma(`synchronous = ${settings.durability === 'power-loss' ? 'FULL' : 'NORMAL'}`);
  // On macOS fsync leaves data in the drive's cache; F_FULLFSYNC does not. No effect elsewhere.
  if (settings.durability === 'power-loss') db.pragma('fullfsync = ON');
  // Pages are read from the operating system's cache without a system call and without a copy of their own per
  // connection. Where the file fits in the page cache below, this loses (bench case `reads-by-key`).
  db.pragma(`mmap_size = ${settings.mmapBytes}`);
  db.pragma(`cache_size = -${CACHE_KIB}`);
  db.pragma(`journal_size_limit = ${settings.softWalBytes}`);
  // SQLite enforces foreign keys per connection and only when asked.
  db.pragma('foreign_keys = ON');
  // A page whose cells overlap is reported as corrupt when it is first read, instead of giving wrong rows.
  db.pragma('cell_size_check = ON');
}

/** Settings that live in the file and must be there before its first page is written. */
export function applyNewFileSettings(db: DatabaseConstructor.Database): void {
  // Free pages can be given back a few at a time (see `optimize`), without rewriting the file as VACUUM does.
  db.pragma('auto_vacuum = INCREMENTAL');
}
