import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDatabase, type Database } from '@perf/sqlite';
import { SqliteWriter } from '@perf/batch/sqlite';

let dir: string;
let db: Database;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'sqlite-writer-'));
  db = openDatabase(path.join(dir, 'rows.db'));
  db.exec(`
    CREATE TABLE parent (id INTEGER PRIMARY KEY);
    CREATE TABLE row (id INTEGER PRIMARY KEY, value INTEGER NOT NULL CHECK (value >= 0),
      parent INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE log (id INTEGER);
    CREATE TRIGGER row_rollback BEFORE INSERT ON row WHEN new.value = 666
      BEGIN SELECT RAISE(ROLLBACK, 'everything goes'); END;
    INSERT INTO parent VALUES (1);
  `);
});
afterEach(() => {
  db.close();
  rmSync(dir, { recursive: true });
});

interface Row {
  readonly id: number;
  readonly value: number;
  readonly parent?: number;
}

function writeRow(): (row: Row) => number {
  const log = db.prepare('INSERT INTO log VALUES (?)');
  const insert = db.prepare('INSERT INTO row (id, value, parent) VALUES (?, ?, ?)');
  return (row) => {
    // Two statements: when the second fails the first must go with it.
    log.run(row.id);
    return Number(insert.run(row.id, row.value, row.parent ?? null).lastInsertRowid);
  };
}

const idsOf = (table: string): unknown[] => db.prepare(`SELECT id FROM ${table} ORDER BY id`).pluck().all();

test('rows share a transaction and get what write returned', async () => {
  let commits = 0;
  const write = writeRow();
  db.function('noop', () => 0);
  const writer = new SqliteWriter<Row, number>({ db, write, maxRows: 100 });
  const exec = db.exec.bind(db);
  db.exec = (sql) => {
    if (sql === 'COMMIT') commits++;
    return exec(sql);
  };
  const results = await Promise.all(Array.from({ length: 250 }, (_, id) => writer.write({ id, value: id })));
  expect(results).toEqual(Array.from({ length: 250 }, (_, id) => id));
  expect(commits).toBe(3);
  expect(idsOf('row')).toHaveLength(250);
  expect(await writer.close()).toMatchObject({ completed: 250, remaining: 0 });
});

test('bad rows fail alone with their own errors, whole rows only', async () => {
  const writer = new SqliteWriter<Row, number>({ db, write: writeRow() });
  const rows: Row[] = [
    { id: 1, value: 1 },
    { id: 2, value: -1 },
    { id: 3, value: 3, parent: 1 },
    { id: 1, value: 9 },
    { id: 5, value: 5, parent: 99 },
    { id: 6, value: 666 },
    { id: 7, value: 7 },
  ];
  const settled = await Promise.allSettled(rows.map((row) => writer.write(row)));
  const codes = settled.map((outcome) =>
    outcome.status === 'fulfilled' ? 'ok' : (outcome.reason as { code: string }).code,
  );
  expect(codes).toEqual([
    'ok',
    'SQLITE_CONSTRAINT_CHECK',
    'ok',
    'SQLITE_CONSTRAINT_PRIMARYKEY',
    'SQLITE_CONSTRAINT_FOREIGNKEY',
    'SQLITE_CONSTRAINT_TRIGGER',
    'ok',
  ]);
  expect(idsOf('row')).toEqual([1, 3, 7]);
  expect(idsOf('log')).toEqual([1, 3, 7]);
  await writer.close();
});

test('property: the file ends as if each row had been written alone, in order', async () => {
  const row = fc.record({
    id: fc.integer({ min: 0, max: 20 }),
    value: fc.constantFrom(0, 1, 2, -1, 666),
    parent: fc.constantFrom(1, 99),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { maxLength: 60 }),
      fc.integer({ min: 1, max: 30 }),
      async (rows, maxRows) => {
        db.exec('DELETE FROM row; DELETE FROM log');
        const write = writeRow();
        const expected = rows.map((each) => {
          try {
            db.transaction(() => write(each))();
            return 'ok';
          } catch (error) {
            return (error as { code: string }).code;
          }
        });
        const expectedRows = db.prepare('SELECT * FROM row ORDER BY id').all();
        db.exec('DELETE FROM row; DELETE FROM log');
        const writer = new SqliteWriter<Row, number>({ db, write, maxRows });
        const outcomes = await Promise.allSettled(rows.map((each) => writer.write(each)));
        await writer.close();
        expect(
          outcomes.map((o) => (o.status === 'fulfilled' ? 'ok' : (o.reason as { code: string }).code)),
        ).toEqual(expected);
        expect(db.prepare('SELECT * FROM row ORDER BY id').all()).toEqual(expectedRows);
      },
    ),
    { numRuns: 60 },
  );
});

test('a database that fails fails every row once, not row by row', async () => {
  const other = openDatabase(path.join(dir, 'rows.db'), { busyTimeoutMs: 0 });
  const impatient = openDatabase(path.join(dir, 'rows.db'), { busyTimeoutMs: 0 });
  let calls = 0;
  const writer = new SqliteWriter<number>({ db: impatient, write: () => void calls++ });
  other.exec('BEGIN IMMEDIATE');
  const settled = await Promise.allSettled([1, 2, 3].map((row) => writer.write(row)));
  for (const outcome of settled) expect(outcome).toMatchObject({ reason: { code: 'SQLITE_BUSY' } });
  expect(calls).toBe(0);
  other.exec('ROLLBACK');
  await writer.write(4);
  await writer.close();
  other.close();
  impatient.close();
});

test('a lock that goes away is got over with retry', async () => {
  const other = openDatabase(path.join(dir, 'rows.db'));
  const impatient = openDatabase(path.join(dir, 'rows.db'), { busyTimeoutMs: 0 });
  const insert = impatient.prepare('INSERT INTO log VALUES (?)');
  other.exec('BEGIN IMMEDIATE');
  const writer = new SqliteWriter<number>({
    db: impatient,
    write: (row) => void insert.run(row),
    retry: {
      maxAttempts: 5,
      baseDelayMs: 1,
      random: () => {
        if (other.inTransaction) other.exec('ROLLBACK');
        return 0;
      },
    },
  });
  await writer.write(1);
  expect(idsOf('log')).toEqual([1]);
  expect((await writer.close()).completed).toBe(1);
  other.close();
  impatient.close();
});

test('a transaction somebody else left open is not joined', async () => {
  const writer = new SqliteWriter<number>({ db, write: () => undefined });
  db.exec('BEGIN');
  await expect(writer.write(1)).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_STORE' });
  db.exec('ROLLBACK');
  await writer.close();
});

test('options are checked', () => {
  expect(() => new SqliteWriter({ db: {} as Database, write: () => undefined })).toThrow('db');
  expect(() => new SqliteWriter({ db, write: 1 as never })).toThrow('write');
  expect(() => new SqliteWriter({ db, write: () => undefined, maxRows: 0 })).toThrow('maxRows');
});
