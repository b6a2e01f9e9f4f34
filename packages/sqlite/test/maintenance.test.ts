import { statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openDatabase, optimize } from '@perf/sqlite';
import { codeThrownBy, scratchFolder } from './scratch-folder.ts';

const folder = scratchFolder();

function fill(db: ReturnType<typeof openDatabase>, rows: number): void {
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, kind INT, text TEXT); CREATE INDEX by_kind ON t (kind)');
  const insert = db.prepare('INSERT INTO t (kind, text) VALUES (?, ?)');
  db.transaction(() => {
    for (let row = 0; row < rows; row++) insert.run(row % 7, 'x'.repeat(200));
  })();
}

it('analyzes what is due, gives back free pages and empties the log', () => {
  const path = join(folder, 'due.db');
  const db = openDatabase(path);
  fill(db, 10_000);
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.exec('DELETE FROM t WHERE id > 100');
  const bytesBefore = statSync(path).size;
  const report = optimize(db);
  expect(report.analyzed.join()).toContain('ANALYZE');
  expect(report.vacuum.freedPages).toBeGreaterThan(500);
  expect(report.vacuum.freedBytes).toBe(report.vacuum.freedPages * 4096);
  expect(report.vacuum.freePages).toBe(0);
  expect(report.checkpoint).toMatchObject({ complete: true, walBytesAfter: 0 });
  expect(report.checkpoint.walBytesBefore).toBeGreaterThan(0);
  expect(report.fileBytesBefore).toBe(bytesBefore);
  expect(report.fileBytesAfter).toBe(statSync(path).size);
  expect(statSync(path).size).toBeLessThan(bytesBefore);
  expect(db.prepare('SELECT count(*) FROM sqlite_stat1').pluck().get()).toBeGreaterThan(0);
  expect(db.pragma('integrity_check', { simple: true })).toBe('ok');

  const again = optimize(db);
  expect(again.analyzed).toEqual([]);
  expect(again.vacuum.freedPages).toBe(0);
  expect(again.checkpoint.complete).toBe(true);
  db.close();
});

it('says that a reader kept the log from being emptied', () => {
  const path = join(folder, 'read.db');
  const db = openDatabase(path, { busyTimeoutMs: 10 });
  fill(db, 1_000);
  const reader = openDatabase(path, { readonly: true });
  const rows = reader.prepare('SELECT * FROM t').iterate();
  rows.next();
  db.exec(`UPDATE t SET text = 'y'`);
  const report = optimize(db);
  expect(report.checkpoint.complete).toBe(false);
  expect(report.checkpoint.walBytesAfter).toBeGreaterThan(0);
  expect(db.pragma('busy_timeout', { simple: true })).toBe(10);
  rows.return?.();
  expect(optimize(db).checkpoint.complete).toBe(true);
  reader.close();
  db.close();
});

it('leaves free pages where the file was not made for giving them back', () => {
  const path = join(folder, 'full.db');
  const db = openDatabase(path);
  fill(db, 2_000);
  db.pragma('journal_mode = DELETE');
  db.pragma('auto_vacuum = NONE');
  db.exec('VACUUM');
  db.exec('DELETE FROM t');
  db.close();
  const again = openDatabase(path);
  const { vacuum } = optimize(again);
  expect(vacuum.freedPages).toBe(0);
  expect(vacuum.freePages).toBeGreaterThan(10);
  again.close();
});

it('works in memory', () => {
  const db = openDatabase(':memory:');
  fill(db, 100);
  expect(optimize(db)).toMatchObject({
    fileBytesBefore: 0,
    fileBytesAfter: 0,
    checkpoint: { complete: true },
  });
  db.close();
});

it('refuses a transaction, a read-only handle, a closed one, and waits no longer than the busy timeout', () => {
  const path = join(folder, 'states.db');
  const db = openDatabase(path, { busyTimeoutMs: 10 });
  fill(db, 1_000);
  db.exec('BEGIN');
  expect(() => optimize(db)).toThrow(TypeError);
  db.exec('ROLLBACK');
  const reader = openDatabase(path, { readonly: true });
  expect(codeThrownBy(() => optimize(reader))).toBe('ERR_PERF_SQLITE_READONLY');
  reader.close();
  const writer = openDatabase(path);
  writer.exec('BEGIN IMMEDIATE');
  expect(codeThrownBy(() => optimize(db))).toBe('ERR_PERF_SQLITE_LOCKED');
  writer.close();
  db.close();
  expect(codeThrownBy(() => optimize(db))).toBe('ERR_PERF_SQLITE_CLOSED');
});
