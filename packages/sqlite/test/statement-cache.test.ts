import fc from 'fast-check';
import { expect, it } from 'vitest';
import { openDatabase, StatementCache } from '@perf/sqlite';
import type { RowMode } from '@perf/sqlite';
import { codeThrownBy } from './scratch-folder.ts';

function open(): ReturnType<typeof openDatabase> {
  const db = openDatabase(':memory:');
  db.exec('CREATE TABLE t (a INT, b INT); INSERT INTO t VALUES (1, 10), (2, 20)');
  return db;
}

it('prepares a text once and keeps the modes of rows apart', () => {
  const db = open();
  const cache = new StatementCache(db);
  const sql = 'SELECT a, b FROM t WHERE a = ?';
  expect(cache.prepare(sql)).toBe(cache.prepare(sql));
  expect(cache.prepare(sql).get(2)).toEqual({ a: 2, b: 20 });
  expect(cache.prepare(sql, 'array').get(2)).toEqual([2, 20]);
  expect(cache.prepare(sql, 'value').get(2)).toBe(2);
  expect(cache.prepare(sql).get(1)).toEqual({ a: 1, b: 10 });
  expect(cache.size).toBe(3);
  db.close();
});

it('drops the statement used least recently', () => {
  const db = open();
  const cache = new StatementCache(db, { maxStatements: 2 });
  const one = cache.prepare('SELECT 1');
  const two = cache.prepare('SELECT 2');
  cache.prepare('SELECT 1');
  cache.prepare('SELECT 3');
  expect(cache.size).toBe(2);
  expect(cache.prepare('SELECT 1')).toBe(one);
  expect(cache.prepare('SELECT 2')).not.toBe(two);
  expect(two.get()).toEqual({ 2: 2 });
  cache.clear();
  expect(cache.size).toBe(0);
  db.close();
});

it('gives a second statement to whoever asks while the first is being iterated', () => {
  const db = open();
  const cache = new StatementCache(db);
  const sql = 'SELECT a FROM t ORDER BY a';
  const seen: unknown[] = [];
  for (const outer of cache.prepare<number>(sql, 'value').iterate()) {
    for (const inner of cache.prepare<number>(sql, 'value').iterate()) seen.push([outer, inner]);
  }
  expect(seen).toEqual([
    [1, 1],
    [1, 2],
    [2, 1],
    [2, 2],
  ]);
  expect(cache.size).toBe(1);
  db.close();
});

it('refuses to change the state that others rely on', () => {
  const db = open();
  const statement = new StatementCache(db).prepare('SELECT a FROM t') as ReturnType<typeof db.prepare>;
  for (const method of ['pluck', 'raw', 'expand', 'safeIntegers', 'bind'] as const) {
    expect(() => statement[method]()).toThrow(TypeError);
  }
  db.close();
});

it('gives the new columns after the schema has changed', () => {
  const db = open();
  const cache = new StatementCache(db);
  expect(cache.prepare('SELECT * FROM t WHERE a = 1').get()).toEqual({ a: 1, b: 10 });
  db.exec('ALTER TABLE t ADD COLUMN c DEFAULT 7');
  expect(cache.prepare('SELECT * FROM t WHERE a = 1').get()).toEqual({ a: 1, b: 10, c: 7 });
  db.close();
});

it('answers like freshly prepared statements whatever was asked before', () => {
  const db = open();
  const texts = [
    'SELECT * FROM t',
    'SELECT b FROM t WHERE a = 2',
    'SELECT count(*) FROM t',
    'SELECT a + b FROM t',
  ];
  const step = fc.record({
    sql: fc.constantFrom(...texts),
    mode: fc.constantFrom<RowMode>('object', 'array', 'value'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 5 }), (steps, maxStatements) => {
      const cache = new StatementCache(db, { maxStatements });
      for (const { sql, mode } of steps) {
        const fresh = db.prepare(sql);
        if (mode === 'array') fresh.raw();
        if (mode === 'value') fresh.pluck();
        expect(cache.prepare(sql, mode).all()).toEqual(fresh.all());
        expect(cache.size).toBeLessThanOrEqual(maxStatements);
      }
    }),
  );
  db.close();
});

it('refuses wrong options, wrong SQL and a closed handle', () => {
  const db = open();
  expect(() => new StatementCache(db, { maxStatements: 0 })).toThrow(/maxStatements/);
  expect(() => new StatementCache(db).prepare('SELECT 1', 'rows' as RowMode)).toThrow(RangeError);
  expect(() => new StatementCache(db).prepare('SELEC 1')).toThrow(/syntax/);
  const cache = new StatementCache(db);
  cache.prepare('SELECT 1');
  db.close();
  expect(codeThrownBy(() => cache.prepare('SELECT 1'))).toBe('ERR_PERF_SQLITE_CLOSED');
});
