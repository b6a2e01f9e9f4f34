import { expect, it } from 'vitest';
import { explain, openDatabase } from '@perf/sqlite';
import { codeThrownBy } from './scratch-folder.ts';

function open(): ReturnType<typeof openDatabase> {
  const db = openDatabase(':memory:');
  db.exec(`
    CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, age INT);
    CREATE INDEX users_by_name ON users (name);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, user INT, total REAL);
    CREATE TABLE pairs (a TEXT PRIMARY KEY, b) WITHOUT ROWID;
    CREATE VIEW grown AS SELECT * FROM users WHERE age > 17;
    CREATE VIRTUAL TABLE words USING fts5 (body);
    CREATE VIRTUAL TABLE boxes USING rtree (id, x0, x1);`);
  return db;
}

const cases: readonly [sql: string, usesIndex: boolean, fullScans: readonly string[]][] = [
  ['SELECT * FROM users WHERE age = ?', false, ['users']],
  ['SELECT * FROM main.users', false, ['users']],
  ['SELECT * FROM users AS u WHERE u.age = :age', false, ['users']],
  ['SELECT * FROM "users" "odd name"', false, ['users']],
  ['SELECT * FROM users WHERE name = ?', true, []],
  ['SELECT * FROM users WHERE id = ?', true, []],
  ['SELECT * FROM pairs WHERE a = ?', true, []],
  ['SELECT name FROM users', true, ['users']],
  ['SELECT count(*) FROM users', true, ['users']],
  ['SELECT max(name) FROM users', true, []],
  ['SELECT max(age) FROM users', false, ['users']],
  ['SELECT * FROM users u JOIN orders o ON o.user = u.id', true, ['orders']],
  ['SELECT * FROM users u LEFT JOIN orders o ON o.total = u.id WHERE u.name = ?', true, ['orders']],
  ['SELECT * FROM grown', false, ['users']],
  ['UPDATE users SET age = 1 WHERE age = 2', false, ['users']],
  ['DELETE FROM users WHERE id = 3', true, []],
  ['WITH c AS (SELECT user, sum(total) t FROM orders GROUP BY user) SELECT * FROM c x', false, ['orders']],
  ['WITH users AS (SELECT * FROM main.users LIMIT 3) SELECT * FROM users WHERE age = 1', false, ['users']],
  ['WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n LIMIT 9) SELECT * FROM n', false, []],
  ['SELECT * FROM (SELECT * FROM users LIMIT 3) s WHERE s.age = 2', false, ['users']],
  ['SELECT * FROM users WHERE id IN (SELECT user FROM orders) OR name = ?', true, ['orders']],
  ['SELECT * FROM words WHERE words MATCH ?', true, []],
  ['SELECT * FROM words', false, ['words']],
  ['SELECT * FROM boxes WHERE x0 > 1', true, []],
  ['SELECT * FROM boxes', false, ['boxes']],
  ['SELECT 1', false, []],
  ['VALUES (1), (2)', false, []],
  ['CREATE TABLE more (a)', false, []],
];

it.each(cases)('explains %s', (sql, usesIndex, fullScans) => {
  const db = open();
  expect(explain(db, sql)).toMatchObject({ usesIndex, fullScans });
  db.close();
});

it('names a table that only an automatic index makes bearable', () => {
  const db = open();
  const { fullScans, plan } = explain(db, 'SELECT * FROM orders a JOIN orders b ON a.total = b.user');
  expect(plan.join('\n')).toContain('AUTOMATIC');
  expect(fullScans).toEqual(['orders']);
  db.close();
});

it('indents the plan by its levels', () => {
  const db = open();
  const { plan } = explain(db, 'SELECT * FROM (SELECT * FROM users LIMIT 3) s WHERE s.age = 1');
  expect(plan).toEqual(['CO-ROUTINE s', '  SCAN users', 'SCAN s']);
  db.close();
});

it('runs nothing', () => {
  const db = open();
  db.exec(`INSERT INTO users (name) VALUES ('a')`);
  explain(db, 'DELETE FROM users');
  expect(db.prepare('SELECT count(*) FROM users').pluck().get()).toBe(1);
  db.close();
});

it('passes on what is wrong with the SQL and refuses a closed handle', () => {
  const db = open();
  expect(() => explain(db, 'SELECT * FROM nowhere')).toThrow(/no such table/);
  expect(() => explain(db, 7 as unknown as string)).toThrow(TypeError);
  db.close();
  expect(codeThrownBy(() => explain(db, 'SELECT 1'))).toBe('ERR_PERF_SQLITE_CLOSED');
});
