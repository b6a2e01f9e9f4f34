import { statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openDatabase } from '@perf/sqlite';
import type { Database } from '@perf/sqlite';
import { ScriptProcess } from './child-process.ts';
import { codeThrownBy, scratchFolder } from './scratch-folder.ts';

const MIB = 1024 * 1024;
const ROW = Buffer.alloc(64 * 1024, 7);
const folder = scratchFolder();

/** Its clock moves at every reading, so that every write looks at the log. */
function openWriter(name: string, maxWalBytes: number): Database {
  let nowMs = 0;
  const clock = { now: () => (nowMs += 10) };
  const db = openDatabase(join(folder, name), {
    maxWalBytes,
    busyTimeoutMs: 20,
    slowQueryMs: Infinity,
    clock,
  });
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, bytes BLOB); CREATE TABLE marks (id INTEGER PRIMARY KEY)');
  return db;
}

function walBytes(db: Database): number {
  return statSync(`${db.name}-wal`).size;
}

it.each([
  ['run', (db: Database) => void db.prepare('INSERT INTO t (bytes) VALUES (?)').run(ROW)],
  ['get', (db: Database) => void db.prepare('INSERT INTO t (bytes) VALUES (?) RETURNING id').get(ROW)],
  [
    'transaction',
    (db: Database) => {
      const insert = db.prepare('INSERT INTO t (bytes) VALUES (?)');
      db.transaction(() => insert.run(ROW)).immediate();
    },
  ],
  ['exec', (db: Database) => void db.exec(`INSERT INTO t (bytes) VALUES (zeroblob(${ROW.length}))`)],
  [
    'BEGIN and COMMIT',
    (db: Database) => {
      db.prepare('BEGIN').run();
      try {
        db.prepare('INSERT INTO t (bytes) VALUES (?)').run(ROW);
      } finally {
        db.exec('COMMIT');
      }
    },
  ],
])(
  'refuses to write by %s when a reader that never ends has let the log grow to its limit',
  (name, write) => {
    const db = openWriter(`${name}.db`, 16 * MIB);
    db.exec('INSERT INTO marks VALUES (1)');
    const reader = openDatabase(db.name, { readonly: true });
    const rows = reader.prepare('SELECT id FROM marks').iterate();
    rows.next();

    let written = 0;
    let code: unknown;
    for (; written < 1_000 && code === undefined; written++) {
      const outcome = codeThrownBy(() => write(db));
      if (typeof outcome === 'string') code = outcome;
    }
    expect(code).toBe('ERR_PERF_SQLITE_WAL_LIMIT');
    expect(walBytes(db)).toBeGreaterThanOrEqual(16 * MIB);
    expect(walBytes(db)).toBeLessThan(16 * MIB + 4 * ROW.length);
    expect(codeThrownBy(() => write(db))).toBe('ERR_PERF_SQLITE_WAL_LIMIT');
    expect(db.inTransaction).toBe(false);
    expect(db.prepare('SELECT count(*) FROM t').pluck().get()).toBe(written - 1);

    rows.return?.();
    write(db);
    expect(walBytes(db)).toBeLessThan(MIB);
    expect(db.prepare('SELECT count(*) FROM t').pluck().get()).toBe(written);
    expect(db.pragma('integrity_check', { simple: true })).toBe('ok');
    reader.close();
    db.close();
  },
);

it('lets one transaction be larger than the limit and empties the log after it', () => {
  const db = openWriter('large.db', 16 * MIB);
  const insert = db.prepare('INSERT INTO t (bytes) VALUES (?)');
  db.transaction(() => {
    for (let row = 0; row < 400; row++) insert.run(ROW);
  })();
  expect(walBytes(db)).toBeGreaterThan(16 * MIB);
  insert.run(ROW);
  expect(walBytes(db)).toBeLessThan(MIB);
  expect(db.prepare('SELECT count(*) FROM t').pluck().get()).toBe(401);
  db.close();
});

it('keeps the log short under readers of another process that overlap without a gap', async () => {
  const db = openWriter('overlap.db', 64 * MIB);
  db.exec('INSERT INTO marks VALUES (1), (2)');
  const script = `
    const { openDatabase } = await import('@perf/sqlite');
    const selects = [1, 2].map(() => openDatabase(process.argv[1], { readonly: true }).prepare('SELECT id FROM marks'));
    let open = selects[0].iterate();
    open.next();
    console.log('reading');
    for (let turn = 1; ; turn++) {
      const next = selects[turn % 2].iterate();
      next.next();
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      open.return();
      open = next;
    }`;
  const reader = new ScriptProcess(script, [db.name]);
  expect(await reader.line()).toBe('reading');
  const insert = db.prepare('INSERT INTO t (bytes) VALUES (?)');
  let longest = 0;
  for (let row = 0; row < 1_600; row++) {
    insert.run(ROW);
    if (row % 16 === 0) longest = Math.max(longest, walBytes(db));
  }
  await reader.kill();
  expect(reader.stderr).toBe('');
  // 100 MiB were written.
  expect(longest).toBeLessThan(64 * MIB);
  db.close();
});

it('names the option that is wrong', () => {
  const open = (maxWalBytes: unknown) => () =>
    openDatabase(':memory:', { maxWalBytes: maxWalBytes as number });
  expect(open(1024)).toThrow(/maxWalBytes/);
  expect(open(Infinity)).toThrow(RangeError);
  expect(open('1')).toThrow(TypeError);
});
