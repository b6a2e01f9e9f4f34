import diagnosticsChannel from 'node:diagnostics_channel';
import { expect, it } from 'vitest';
import { openDatabase, SLOW_QUERY_CHANNEL } from '@perf/sqlite';
import type { Database, OpenOptions, SlowQuery } from '@perf/sqlite';

/** A database whose SQL function `pass(ms)` moves the clock. */
function openWithClock(options: OpenOptions = {}): { db: Database; reports: SlowQuery[] } {
  let nowMs = 0;
  const reports: SlowQuery[] = [];
  const db = openDatabase(':memory:', {
    clock: { now: () => nowMs },
    onSlowQuery: (query) => void reports.push(query),
    ...options,
  });
  db.function('pass', (ms: number) => {
    nowMs += ms;
    return ms;
  });
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, ms INT); INSERT INTO t (ms) VALUES (40), (40), (40)');
  return { db, reports };
}

it('reports a statement that took the threshold or longer, with its plan', () => {
  const { db, reports } = openWithClock();
  db.prepare('SELECT pass(?)').get(99);
  expect(reports).toEqual([]);
  db.prepare('SELECT pass(?)').get(100);
  db.prepare('SELECT pass(ms) FROM t WHERE ms = 40').all();
  expect(reports).toEqual([
    { sql: 'SELECT pass(?)', durationMs: 100, plan: ['SCAN CONSTANT ROW'], fullScans: [] },
    { sql: 'SELECT pass(ms) FROM t WHERE ms = 40', durationMs: 120, plan: ['SCAN t'], fullScans: ['t'] },
  ]);
  db.close();
});

it('sees run, get, all, iterate and exec, inside transactions too', () => {
  const { db, reports } = openWithClock();
  db.prepare('UPDATE t SET ms = pass(200) WHERE id = 1').run();
  db.prepare('SELECT pass(200)').get();
  db.prepare('SELECT pass(200)').pluck().all();
  for (const row of db.prepare('SELECT pass(ms) FROM t').raw().iterate()) expect(row).toHaveLength(1);
  db.exec('SELECT pass(150); SELECT 1');
  db.transaction(() => db.prepare('SELECT pass(201)').bind().get())();
  expect(reports.map(({ durationMs }) => durationMs)).toEqual([200, 200, 200, 280, 150, 201]);
  expect(reports[4]).toEqual({ sql: 'SELECT pass(150); SELECT 1', durationMs: 150, plan: [], fullScans: [] });
  db.close();
});

it('counts the time inside an iteration, not the time between its rows, once', () => {
  const { db, reports } = openWithClock();
  const outside = db.prepare('SELECT pass(1000)');
  for (const row of db.prepare('SELECT ms FROM t').iterate()) {
    expect(row).toEqual({ ms: 40 });
    outside.get();
  }
  expect(reports.map(({ sql }) => sql)).toEqual(Array.from({ length: 3 }, () => 'SELECT pass(1000)'));
  const rows = db.prepare('SELECT pass(ms * 3) FROM t').iterate();
  rows.next();
  rows.return?.();
  rows.return?.();
  expect(reports).toHaveLength(4);
  expect(reports[3]).toMatchObject({ durationMs: 120 });
  db.close();
});

it('reports a statement that failed slowly, and lets the failure through', () => {
  const { db, reports } = openWithClock();
  const insert = db.prepare('INSERT INTO t (id, ms) VALUES (1, pass(500))');
  expect(() => insert.run()).toThrow(expect.objectContaining({ code: 'SQLITE_CONSTRAINT_PRIMARYKEY' }));
  expect(reports.map(({ durationMs }) => durationMs)).toEqual([500]);
  db.close();
});

it('leaves the results, the state and the identity of statements as they were', () => {
  const { db } = openWithClock({ slowQueryMs: 0 });
  const statement = db.prepare('SELECT id, ms FROM t WHERE id = ?');
  expect(statement.pluck()).toBe(statement);
  expect(statement.get(2)).toBe(2);
  expect(statement.pluck(false).raw().all(3)).toEqual([[3, 40]]);
  expect(statement.columns().map(({ name }) => name)).toEqual(['id', 'ms']);
  expect(statement.database).toBe(db);
  expect(db.prepare('INSERT INTO t (ms) VALUES (@ms)').run({ ms: 5 })).toEqual({
    changes: 1,
    lastInsertRowid: 4,
  });
  expect(db.exec('SELECT 1')).toBe(db);
  expect([...db.prepare('SELECT id FROM t WHERE id < ?').pluck().iterate(3)]).toEqual([1, 2]);
  db.close();
});

it('does not report what a listener does on the same database', () => {
  const reports: string[] = [];
  const db = openDatabase(':memory:', {
    slowQueryMs: 0,
    onSlowQuery: ({ sql }) => {
      reports.push(sql);
      db.prepare('SELECT 2').get();
    },
  });
  db.prepare('SELECT 1').get();
  expect(reports).toEqual(['SELECT 1']);
  db.close();
});

it('raises an error of a listener outside the statement', async () => {
  const thrown = new Error('listener');
  const { db } = openWithClock({
    onSlowQuery: () => {
      throw thrown;
    },
  });
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  const uncaught = new Promise((resolve) => process.once('uncaughtException', resolve));
  expect(db.prepare('SELECT pass(300) AS ms').get()).toEqual({ ms: 300 });
  expect(await uncaught).toBe(thrown);
  for (const listener of others) process.on('uncaughtException', listener);
  db.close();
});

it('publishes on the diagnostics channel, also without a listener of its own, and not after Infinity', () => {
  const messages: unknown[] = [];
  const listen = (message: unknown): void => void messages.push(message);
  diagnosticsChannel.subscribe(SLOW_QUERY_CHANNEL, listen);
  const watched = openDatabase(':memory:', { slowQueryMs: 0 });
  watched.prepare('SELECT 1').get();
  const unwatched = openDatabase(':memory:', { slowQueryMs: Infinity });
  unwatched.prepare('SELECT 2').get();
  diagnosticsChannel.unsubscribe(SLOW_QUERY_CHANNEL, listen);
  watched.prepare('SELECT 3').get();
  expect(messages).toMatchObject([{ database: ':memory:', sql: 'SELECT 1', fullScans: [] }]);
  watched.close();
  unwatched.close();
});

it('names the option that is wrong', () => {
  const open = (options: unknown) => () => openDatabase(':memory:', options as OpenOptions);
  expect(open({ slowQueryMs: -1 })).toThrow(/slowQueryMs/);
  expect(open({ slowQueryMs: Number.NaN })).toThrow(RangeError);
  expect(open({ slowQueryMs: '1' })).toThrow(TypeError);
  expect(open({ onSlowQuery: 'log' })).toThrow(/onSlowQuery/);
  expect(open({ clock: {} })).toThrow(/clock/);
});
