import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { migrate, openDatabase, SqliteError } from '@perf/sqlite';
import type { Migration } from '@perf/sqlite';
import { codeThrownBy, scratchFolder, snapshot } from './scratch-folder.ts';

const folder = scratchFolder();

const notes: readonly Migration[] = [
  { version: 1, name: 'notes', up: 'CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)' },
  {
    version: 2,
    name: 'tags',
    up: (db) => void db.exec('CREATE TABLE tags (note INTEGER REFERENCES notes, tag TEXT)'),
  },
];

function schemaOf(db: ReturnType<typeof openDatabase>): unknown[] {
  return db.prepare('SELECT name FROM sqlite_schema ORDER BY name').pluck().all();
}

it('applies what is pending, once, and returns the version', () => {
  const db = openDatabase(':memory:');
  expect(migrate(db, notes.slice(0, 1))).toBe(1);
  expect(migrate(db, notes)).toBe(2);
  expect(migrate(db, notes)).toBe(2);
  expect(schemaOf(db)).toEqual(['notes', 'tags']);
  expect(db.pragma('user_version', { simple: true })).toBe(2);
  db.close();
});

it('applies none of the pending migrations when one fails, and keeps the cause', () => {
  const db = openDatabase(':memory:');
  const cause = new Error('no');
  const broken: Migration[] = [
    ...notes,
    {
      version: 5,
      name: 'five',
      up: () => {
        throw cause;
      },
    },
  ];
  let failure: unknown;
  try {
    migrate(db, broken);
  } catch (thrown) {
    failure = thrown;
  }
  expect(failure).toBeInstanceOf(SqliteError);
  expect(failure).toMatchObject({ code: 'ERR_PERF_SQLITE_MIGRATION', cause });
  expect((failure as Error).message).toContain('migration 5 (five)');
  expect(schemaOf(db)).toEqual([]);
  expect(db.pragma('user_version', { simple: true })).toBe(0);
  expect(db.pragma('foreign_keys', { simple: true })).toBe(1);
  expect(db.inTransaction).toBe(false);
  db.close();
});

it('reports bad SQL as a failed migration', () => {
  const db = openDatabase(':memory:');
  expect(codeThrownBy(() => migrate(db, [{ version: 1, up: 'CREATE TALBE x' }]))).toBe(
    'ERR_PERF_SQLITE_MIGRATION',
  );
  db.close();
});

it('refuses a file of a newer version and writes nothing', () => {
  const path = join(folder, 'newer.db');
  const db = openDatabase(path, { migrations: notes });
  db.close();
  const before = snapshot(folder);
  const again = openDatabase(path);
  expect(codeThrownBy(() => migrate(again, notes.slice(0, 1)))).toBe('ERR_PERF_SQLITE_NEWER_SCHEMA');
  expect(codeThrownBy(() => migrate(again, []))).toBe('ERR_PERF_SQLITE_NEWER_SCHEMA');
  again.close();
  expect(snapshot(folder)).toEqual(before);
});

it('refuses a version below zero, which is no version of its own', () => {
  const db = openDatabase(':memory:');
  db.pragma('user_version = -4');
  expect(codeThrownBy(() => migrate(db, notes))).toBe('ERR_PERF_SQLITE_NEWER_SCHEMA');
  db.close();
});

it('lets a migration rebuild a parent table without losing its children', () => {
  const db = openDatabase(':memory:', {
    migrations: [
      {
        version: 1,
        up: `CREATE TABLE parent (id INTEGER PRIMARY KEY);
       CREATE TABLE child (parent INTEGER REFERENCES parent ON DELETE CASCADE)`,
      },
    ],
  });
  db.exec('INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1)');
  const rebuild: Migration[] = [
    { version: 1, up: '' },
    {
      version: 2,
      up: `CREATE TABLE fresh (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO fresh (id) SELECT id FROM parent;
       DROP TABLE parent; ALTER TABLE fresh RENAME TO parent`,
    },
  ];
  expect(migrate(db, rebuild)).toBe(2);
  expect(db.prepare('SELECT * FROM child').all()).toEqual([{ parent: 1 }]);
  expect(db.pragma('foreign_keys', { simple: true })).toBe(1);
  db.close();
});

it('rolls back a migration that leaves dangling references', () => {
  const db = openDatabase(':memory:');
  const dangling: Migration[] = [...notes, { version: 3, up: `INSERT INTO tags VALUES (99, 'x')` }];
  expect(codeThrownBy(() => migrate(db, dangling))).toBe('ERR_PERF_SQLITE_MIGRATION');
  expect(schemaOf(db)).toEqual([]);
  db.close();
});

it('refuses migrations that end the transaction or go on later', () => {
  const db = openDatabase(':memory:');
  expect(codeThrownBy(() => migrate(db, [{ version: 1, up: 'COMMIT' }]))).toBe('ERR_PERF_SQLITE_MIGRATION');
  const later = [{ version: 1, up: (async () => {}) as unknown as () => void }];
  expect(codeThrownBy(() => migrate(db, later))).toBe('ERR_PERF_SQLITE_MIGRATION');
  expect(db.pragma('user_version', { simple: true })).toBe(0);
  db.close();
});

it('refuses to run inside a transaction, on a closed handle, and on a read-only one', () => {
  const path = join(folder, 'states.db');
  const db = openDatabase(path);
  db.exec('BEGIN');
  expect(codeThrownBy(() => migrate(db, notes))).toBe('ERR_PERF_SQLITE_MIGRATION');
  db.exec('ROLLBACK');
  const reader = openDatabase(path, { readonly: true });
  expect(codeThrownBy(() => migrate(reader, notes))).toBe('ERR_PERF_SQLITE_READONLY');
  reader.close();
  db.close();
  expect(codeThrownBy(() => migrate(db, notes))).toBe('ERR_PERF_SQLITE_CLOSED');
});

it('waits no longer than the busy timeout for another writer', () => {
  const path = join(folder, 'busy.db');
  const writer = openDatabase(path);
  writer.exec('BEGIN IMMEDIATE');
  const db = openDatabase(path, { busyTimeoutMs: 10 });
  expect(codeThrownBy(() => migrate(db, notes))).toBe('ERR_PERF_SQLITE_LOCKED');
  writer.exec('ROLLBACK');
  expect(migrate(db, notes)).toBe(2);
  db.close();
  writer.close();
});

it('leaves nothing behind when the migrations of a new file fail', () => {
  const path = join(folder, 'failed.db');
  const migrations = [{ version: 1, up: 'nonsense' }];
  expect(codeThrownBy(() => openDatabase(path, { migrations }))).toBe('ERR_PERF_SQLITE_MIGRATION');
  const db = openDatabase(path, { migrations: notes });
  expect(schemaOf(db)).toEqual(['notes', 'tags']);
  db.close();
  expect(existsSync(`${path}-wal`)).toBe(false);
});

it('names the migration that is out of order or of the wrong type', () => {
  const db = openDatabase(':memory:');
  const attempt = (migrations: unknown) => () => migrate(db, migrations as Migration[]);
  expect(
    attempt([
      { version: 1, up: '' },
      { version: 1, up: '' },
    ]),
  ).toThrow(RangeError);
  expect(
    attempt([
      { version: 2, up: '' },
      { version: 1, up: '' },
    ]),
  ).toThrow(/ascending/);
  expect(attempt([{ version: 1.5, up: '' }])).toThrow(RangeError);
  expect(attempt([{ version: 1, up: 3 }])).toThrow(TypeError);
  expect(attempt('CREATE TABLE x')).toThrow(TypeError);
  db.close();
});
