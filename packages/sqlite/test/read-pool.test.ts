import { join } from 'node:path';
import { mkdirSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { openDatabase, ReadPool, SqliteError } from '@perf/sqlite';
import type { ReadPoolOptions } from '@perf/sqlite';
import { scratchFolder, snapshot } from './scratch-folder.ts';

const folder = scratchFolder();
const path = join(folder, 'pool.db');
const ROWS = 5_000;

/** Runs until it is ended: rows without end, then a step without end. */
const ENDLESS_ROWS = 'WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n) SELECT x FROM n';
/** One step of about a second. */
const LONG_STEP = `WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n LIMIT 3000000) SELECT count(*) AS n FROM n`;

const writer = openDatabase(path);
writer.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, score REAL, bytes BLOB)');
writer.transaction(() => {
  const insert = writer.prepare('INSERT INTO t (name, score, bytes) VALUES (?, ?, ?)');
  for (let row = 0; row < ROWS; row++) {
    insert.run(`name ${row}`, row / 3, row % 3 === 0 ? Buffer.alloc(row % 50, row) : null);
  }
})();

function pool(options: Partial<ReadPoolOptions> = {}): ReadPool {
  return new ReadPool({ path, threads: 2, maxRows: 1e9, ...options });
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    return { resolved: await promise };
  } catch (failure) {
    return failure instanceof SqliteError ? failure.code : failure;
  }
}

it('gives the rows that the handle itself gives', async () => {
  await using readers = pool();
  const queries: readonly [string, unknown?][] = [
    ['SELECT * FROM t'],
    ['SELECT id, name FROM t WHERE id BETWEEN ? AND ?', [10, 20]],
    ['SELECT id FROM t WHERE name = :name OR id = @id', { name: 'name 7', id: 3 }],
    ['SELECT id AS a, id AS a, NULL AS b FROM t LIMIT 3'],
    ['SELECT * FROM t WHERE bytes = ?', [Buffer.alloc(3, 3)]],
    ['SELECT * FROM t WHERE id < 0'],
    ['SELECT ? AS big', [12n]],
    ['SELECT name FROM pragma_table_info(?)', ['t']],
    ['/* all */ VALUES (1, 2), (3, 4)'],
  ];
  const answers = await Promise.all(queries.map(([sql, params]) => readers.all(sql, params as never)));
  const expected = queries.map(([sql, params]) => {
    const statement = writer.prepare(sql);
    return params === undefined ? statement.all() : statement.all(params);
  });
  expect(answers).toEqual(expected);
  expect(readers.stats()).toMatchObject({
    threads: 2,
    running: 0,
    queued: 0,
    completed: queries.length,
    failed: 0,
  });
});

it('gives blobs as Buffers, small ones and large ones', async () => {
  await using readers = pool();
  const [row] = await readers.all<{ small: Buffer; large: Buffer }>(
    `SELECT x'010203' AS small, zeroblob(1000000) AS large`,
  );
  expect(Buffer.isBuffer(row?.small)).toBe(true);
  expect([...(row?.small ?? [])]).toEqual([1, 2, 3]);
  expect(row?.large.equals(Buffer.alloc(1_000_000))).toBe(true);
});

it('does not send the neighbours of a small Buffer, nor take the caller its blob', async () => {
  await using readers = pool();
  const blob = Buffer.from('abc');
  expect(await readers.all('SELECT length(?) AS n', [blob])).toEqual([{ n: 3 }]);
  expect(await readers.all('SELECT length(:b) AS n', { b: blob })).toEqual([{ n: 3 }]);
  expect(blob.toString()).toBe('abc');
});

it('sees what has been committed before the query', async () => {
  await using readers = pool();
  const count = async () => readers.all<{ n: number }>(`SELECT count(*) AS n FROM t WHERE name = 'fresh'`);
  expect(await count()).toEqual([{ n: 0 }]);
  writer.exec(`INSERT INTO t (name) VALUES ('fresh')`);
  expect(await count()).toEqual([{ n: 1 }]);
  writer.exec(`DELETE FROM t WHERE name = 'fresh'`);
});

it('rejects a query in the queue and one that runs with the reason of their signal, and no other', async () => {
  await using readers = pool({ threads: 1 });
  const running = new AbortController();
  const queued = new AbortController();
  const first = failureOf(readers.all(ENDLESS_ROWS, [], { signal: running.signal }));
  const second = failureOf(readers.all('SELECT 2 AS a', [], { signal: queued.signal }));
  const third = readers.all('SELECT 3 AS a');
  expect(readers.stats()).toMatchObject({ running: 1, queued: 2 });
  const reasons = [new Error('enough'), new Error('never mind')];
  queued.abort(reasons[1]);
  running.abort(reasons[0]);
  expect(await first).toBe(reasons[0]);
  expect(await second).toBe(reasons[1]);
  expect(await third).toEqual([{ a: 3 }]);
  expect(readers.stats()).toMatchObject({ cancelled: 2, completed: 1, running: 0, queued: 0 });
  const aborted = AbortSignal.abort(reasons[0]);
  expect(await failureOf(readers.all('SELECT 1', [], { signal: aborted }))).toBe(reasons[0]);
});

it('leaves other queries alone when one is cancelled', async () => {
  await using readers = pool({ threads: 2 });
  const controller = new AbortController();
  const other = readers.all(LONG_STEP);
  const cancelled = failureOf(readers.all(ENDLESS_ROWS, [], { signal: controller.signal }));
  controller.abort(new Error('stop'));
  expect(await cancelled).toMatchObject({ message: 'stop' });
  expect(await other).toEqual([{ n: 3_000_000 }]);
});

it('does not wait for a step of SQLite that cannot be stopped, and bounds the threads that linger in one', async () => {
  await using readers = pool({ threads: 1 });
  const controller = new AbortController();
  const long = failureOf(readers.all(LONG_STEP, [], { signal: controller.signal }));
  controller.abort(new Error('stop'));
  expect(await long).toMatchObject({ message: 'stop' });
  // The place of the thread is free once the old one is gone; until then one thread per place may linger.
  expect(readers.stats()).toMatchObject({ threads: 0, running: 0, lingering: 1 });
  expect(await readers.all('SELECT 1 AS a')).toEqual([{ a: 1 }]);
  expect(readers.stats()).toMatchObject({ threads: 1, lingering: 0 });
});

it('ends a query that runs too long', async () => {
  await using readers = pool({ threads: 1, maxQueryMs: 50 });
  expect(await failureOf(readers.all(ENDLESS_ROWS))).toBe('ERR_PERF_SQLITE_TIMEOUT');
  expect(readers.stats()).toMatchObject({ timedOut: 1, failed: 0 });
});

it('refuses a result with too many rows', async () => {
  await using readers = pool({ maxRows: 10 });
  expect(await failureOf(readers.all(ENDLESS_ROWS))).toBe('ERR_PERF_SQLITE_TOO_MANY_ROWS');
  expect(await readers.all('SELECT id FROM t LIMIT 10')).toHaveLength(10);
});

it('refuses queries beyond the queue it may have, and takes them again afterwards', async () => {
  await using readers = pool({ threads: 1, maxQueued: 2 });
  const results = [1, 2, 3, 4].map((n) => failureOf(readers.all(`SELECT ${n} AS n`)));
  expect(await Promise.all(results)).toEqual([
    { resolved: [{ n: 1 }] },
    { resolved: [{ n: 2 }] },
    { resolved: [{ n: 3 }] },
    'ERR_PERF_SQLITE_QUEUE_FULL',
  ]);
  expect(await readers.all('SELECT 5 AS n')).toEqual([{ n: 5 }]);
});

it('answers all of a crowd in the order in which it came', async () => {
  await using readers = pool({ threads: 1 });
  const order: number[] = [];
  const crowd = Array.from({ length: 200 }, async (_, n) => {
    const rows = await readers.all('SELECT ? AS n', [n]);
    order.push(n);
    return rows;
  });
  expect(await Promise.all(crowd)).toEqual(Array.from({ length: 200 }, (_, n) => [{ n }]));
  expect(order).toEqual(Array.from({ length: 200 }, (_, n) => n));
});

it.each([
  [`INSERT INTO t (name) VALUES ('x')`],
  [`INSERT INTO t (name) VALUES ('x') RETURNING id`],
  ['DELETE FROM t'],
  ['CREATE TABLE u (a)'],
])('refuses to write: %s', async (sql) => {
  await using readers = pool({ threads: 1 });
  expect(await failureOf(readers.all(sql))).toBe('ERR_PERF_SQLITE_READONLY');
  expect(await readers.all('SELECT count(*) AS n FROM t')).toEqual([{ n: ROWS }]);
});

it.each([
  ['BEGIN'],
  ['PRAGMA locking_mode = EXCLUSIVE'],
  ['-- a\n/* b */ pragma user_version'],
  [`ATTACH ':memory:' AS m`],
])('refuses what would outlive the query: %s', async (sql) => {
  await using readers = pool({ threads: 1 });
  expect(await failureOf(readers.all(sql))).toBeInstanceOf(TypeError);
});

it('passes on what is wrong with a query and goes on', async () => {
  await using readers = pool({ threads: 1 });
  expect(await failureOf(readers.all('SELECT * FROM nowhere'))).toMatchObject({
    name: 'SqliteError',
    code: 'SQLITE_ERROR',
    message: 'no such table: nowhere',
  });
  expect(await failureOf(readers.all('SELECT ?', []))).toBeInstanceOf(RangeError);
  expect(await failureOf(readers.all('SELECT 1; SELECT 2'))).toBeInstanceOf(RangeError);
  expect(await failureOf(readers.all('SELECT ?', [() => 1]))).toBeInstanceOf(TypeError);
  expect(await failureOf(readers.all('SELECT ?', [{}]))).toBeInstanceOf(TypeError);
  expect(await failureOf(readers.all('SELECT ?', 'text' as never))).toBeInstanceOf(TypeError);
  expect(await failureOf(readers.all(1 as never))).toBeInstanceOf(TypeError);
  expect(await readers.all('SELECT 1 AS a')).toEqual([{ a: 1 }]);
  expect(readers.stats()).toMatchObject({ failed: 5, completed: 1, running: 0 });
});

it('gives the codes of openDatabase for a file it cannot read, and leaves the file alone', async () => {
  const place = join(folder, 'bad');
  mkdirSync(place);
  writeFileSync(join(place, 'noise.db'), 'not a database '.repeat(100));
  const before = snapshot(place);
  await using noise = pool({ path: join(place, 'noise.db') });
  await using missing = pool({ path: join(place, 'missing.db') });
  expect(await failureOf(noise.all('SELECT 1'))).toBe('ERR_PERF_SQLITE_NOT_A_DATABASE');
  expect(await failureOf(missing.all('SELECT 1'))).toBe('ERR_PERF_SQLITE_CANNOT_OPEN');
  expect(snapshot(place)).toEqual(before);
});

it('rejects the query of a thread that dies and starts another', async () => {
  await using readers = pool({ threads: 1, maxThreadHeapBytes: 16 * 1024 * 1024 });
  // More than the thread may have on its heap.
  const wide = `SELECT ${Array.from({ length: 50 }, (_, n) => `x + ${n / 7} AS c${n}`).join()} FROM (${ENDLESS_ROWS})`;
  expect(await failureOf(readers.all(wide))).toBe('ERR_PERF_SQLITE_WORKER');
  expect(readers.stats()).toMatchObject({ failed: 1 });
  expect(await readers.all('SELECT 1 AS a')).toEqual([{ a: 1 }]);
});

it('survives many cancelled queries', async () => {
  await using readers = pool({ threads: 2 });
  for (let round = 0; round < 20; round++) {
    const controllers = [new AbortController(), new AbortController()];
    const ended = controllers.map(({ signal }) => failureOf(readers.all(ENDLESS_ROWS, [], { signal })));
    if (round % 2 === 0) await Promise.race([...ended, new Promise((resolve) => setImmediate(resolve))]);
    for (const controller of controllers) controller.abort(round);
    expect(await Promise.all(ended)).toEqual([round, round]);
  }
  expect(await readers.all('SELECT 1 AS a')).toEqual([{ a: 1 }]);
});

it('drops what waits and runs when it is closed, once', async () => {
  const readers = pool({ threads: 1 });
  const outcomes = [failureOf(readers.all(ENDLESS_ROWS)), failureOf(readers.all('SELECT 1'))];
  const closing = readers.close();
  expect(readers.close()).toBe(closing);
  expect(await Promise.all(outcomes)).toEqual(['ERR_PERF_SQLITE_CLOSED', 'ERR_PERF_SQLITE_CLOSED']);
  await closing;
  expect(await failureOf(readers.all('SELECT 1'))).toBe('ERR_PERF_SQLITE_CLOSED');
  expect(readers.stats()).toMatchObject({ threads: 0, running: 0, queued: 0, lingering: 0 });
  await pool().close();
});

it('names the option that is wrong', () => {
  const make = (options: object) => () => pool(options);
  expect(make({ path: '' })).toThrow(/path/);
  expect(make({ path: ':memory:' })).toThrow(/path/);
  expect(make({ threads: 0 })).toThrow(/threads/);
  expect(make({ threads: 65 })).toThrow(RangeError);
  expect(make({ maxQueued: -1 })).toThrow(/maxQueued/);
  expect(make({ maxQueryMs: 0 })).toThrow(/maxQueryMs/);
  expect(make({ maxRows: 1.5 })).toThrow(/maxRows/);
  expect(make({ maxThreadHeapBytes: 1 })).toThrow(/maxThreadHeapBytes/);
  expect(make({ maxRows: '1' })).toThrow(TypeError);
});
