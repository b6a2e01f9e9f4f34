/** How far the log grows under a reader that never ends. */
import { statSync } from 'node:fs';
import { SqliteError, openDatabase } from '@perf/sqlite';
import type { Database } from '@perf/sqlite';
import { measureCase } from '@perf/bench';
import type { MeasureCase } from '@perf/bench';
import BetterSqlite3 from 'better-sqlite3';
import { freshPaths } from './messages.ts';

const MIB = 1024 * 1024;
const WRITES = 1_600;
const BLOB = Buffer.alloc(64 * 1024, 1);

/** Writes 100 MiB, or as much as is allowed, beside an open reader; returns the size of the log. */
function writeBesideReader(db: Database): number {
  db.exec("CREATE TABLE blobs (bytes BLOB); INSERT INTO blobs VALUES (x'00'), (x'01')");
  const reader = new BetterSqlite3(db.name, { readonly: true });
  const rows = reader.prepare('SELECT * FROM blobs').iterate();
  rows.next();
  const insert = db.prepare('INSERT INTO blobs VALUES (?)');
  try {
    for (let write = 0; write < WRITES; write++) insert.run(BLOB);
  } catch (failure) {
    if (!(failure instanceof SqliteError) || failure.code !== 'ERR_PERF_SQLITE_WAL_LIMIT') throw failure;
  }
  const { size } = statSync(`${db.name}-wal`);
  rows.return?.();
  reader.close();
  db.close();
  return size / MIB;
}

export const cases: readonly MeasureCase[] = [
  measureCase({
    name: 'wal-growth',
    about: 'Size of the log after writing 100 MiB beside a reader that never ends; maxWalBytes is 32 MiB.',
    forks: 3,
    measure(context) {
      const nextPath = freshPaths(context);
      const bounded = writeBesideReader(
        openDatabase(nextPath(), { maxWalBytes: 32 * MIB, busyTimeoutMs: 50 }),
      );
      const plain = new BetterSqlite3(nextPath());
      plain.pragma('journal_mode = WAL');
      const unbounded = writeBesideReader(plain);
      return [
        { name: '@perf/sqlite', value: bounded, unit: 'MiB', target: { atMost: 40 } },
        { name: 'better-sqlite3 in WAL mode', value: unbounded, unit: 'MiB' },
      ];
    },
  }),
];
