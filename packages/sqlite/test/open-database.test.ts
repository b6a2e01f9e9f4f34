import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import { expect, it } from 'vitest';
import { openDatabase } from '@perf/sqlite';
import type { OpenOptions } from '@perf/sqlite';
import { codeThrownBy, scratchFolder, snapshot } from './scratch-folder.ts';

let folders = 0;
const root = scratchFolder();

function newFolder(): string {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  return folder;
}

/** A database of some pages in WAL mode, closed, so without side files. */
function makeDatabase(path: string, rows = 2_000): void {
  const db = openDatabase(path);
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)');
  const insert = db.prepare('INSERT INTO t (text) VALUES (?)');
  db.transaction(() => {
    for (let row = 0; row < rows; row++) insert.run(`row ${row} ${'x'.repeat(40)}`);
  })();
  db.close();
}

/** Main file and log as a killed process leaves them: the log still holds committed pages. */
function makeKilledDatabase(path: string, rows = 500): void {
  const living = join(newFolder(), 'living.db');
  makeDatabase(living);
  const db = openDatabase(living);
  db.pragma('wal_autocheckpoint = 0');
  const insert = db.prepare('INSERT INTO t (text) VALUES (?)');
  db.transaction(() => {
    for (let row = 0; row < rows; row++) insert.run(`later ${row} ${'y'.repeat(40)}`);
  })();
  for (const suffix of ['', '-wal']) copyFileSync(living + suffix, path + suffix);
  db.close();
}

/** What opening the file to write and to read throws, and the folder before and after. */
function refusal(folder: string, path: string, options?: OpenOptions): unknown {
  const before = snapshot(folder);
  const codes = [false, true].map((readonly) =>
    codeThrownBy(() => openDatabase(path, { ...options, readonly })),
  );
  return { codes, before, after: snapshot(folder) };
}

function untouched(folder: string, code: string): unknown {
  const now = snapshot(folder);
  return { codes: [code, code], before: now, after: now };
}

it('opens a database in memory and answers a query', () => {
  const db = openDatabase(':memory:');
  expect(db.prepare('select 1 as a').get()).toEqual({ a: 1 });
  expect(db.pragma('foreign_keys', { simple: true })).toBe(1);
  db.close();
});

it('sets up a new file for WAL, incremental vacuum, foreign keys and a memory map', () => {
  const db = openDatabase(join(newFolder(), 'new.db'));
  const setting = (name: string): unknown => db.pragma(name, { simple: true });
  expect({
    journal: setting('journal_mode'),
    vacuum: setting('auto_vacuum'),
    keys: setting('foreign_keys'),
    mmap: setting('mmap_size'),
    busy: setting('busy_timeout'),
    sync: setting('synchronous'),
    limit: setting('journal_size_limit'),
    cache: setting('cache_size'),
  }).toEqual({
    journal: 'wal',
    vacuum: 2,
    keys: 1,
    mmap: 256 * 1024 * 1024,
    busy: 5000,
    sync: 1,
    limit: 64 * 1024 * 1024,
    cache: -16384,
  });
  db.close();
});

it('syncs every commit when durability is power-loss', () => {
  const db = openDatabase(join(newFolder(), 'new.db'), {
    durability: 'power-loss',
    mmapBytes: 0,
    busyTimeoutMs: 7,
  });
  expect(db.pragma('synchronous', { simple: true })).toBe(2);
  expect(db.pragma('mmap_size', { simple: true })).toBe(0);
  expect(db.pragma('busy_timeout', { simple: true })).toBe(7);
  db.close();
});

it('takes an empty file for a new database', () => {
  const path = join(newFolder(), 'empty.db');
  writeFileSync(path, '');
  const db = openDatabase(path);
  expect(db.pragma('auto_vacuum', { simple: true })).toBe(2);
  db.close();
});

it('refuses random bytes and leaves them alone', () => {
  const folder = newFolder();
  const path = join(folder, 'noise.db');
  writeFileSync(
    path,
    Uint8Array.from({ length: 9000 }, (_, index) => (index * 7919 + 13) % 251),
  );
  expect(refusal(folder, path)).toEqual(untouched(folder, 'ERR_PERF_SQLITE_NOT_A_DATABASE'));
});

it('refuses a file of a few bytes or of zeros, which SQLite would write over', () => {
  for (const bytes of [
    'x',
    '\0',
    'hello world, this is a text of more than sixteen bytes',
    Buffer.alloc(8192),
  ]) {
    const folder = newFolder();
    writeFileSync(join(folder, 'few.db'), bytes);
    expect(refusal(folder, join(folder, 'few.db'))).toEqual(
      untouched(folder, 'ERR_PERF_SQLITE_NOT_A_DATABASE'),
    );
  }
});

it('refuses a truncated database, wherever it was cut, and leaves it alone', () => {
  const whole = join(newFolder(), 'whole.db');
  makeDatabase(whole);
  const { size } = statSync(whole);
  for (const cut of [
    size - 1,
    size - 512,
    size - 4096,
    size >> 1,
    4097,
    4096,
    4095,
    3000,
    512,
    511,
    100,
    16,
    1,
  ]) {
    const folder = newFolder();
    const path = join(folder, 'cut.db');
    copyFileSync(whole, path);
    truncateSync(path, cut);
    expect(refusal(folder, path)).toEqual(untouched(folder, 'ERR_PERF_SQLITE_CORRUPT'));
  }
});

it('reads what a killed process left in the log', () => {
  const path = join(newFolder(), 'killed.db');
  makeKilledDatabase(path);
  const db = openDatabase(path);
  expect(db.prepare('SELECT count(*) FROM t').pluck().get()).toBe(2_500);
  db.close();
});

it('refuses a truncated database whose log holds only some of its pages, and keeps both', () => {
  for (const cut of [0, 4096, 40_000]) {
    const folder = newFolder();
    const path = join(folder, 'cut.db');
    makeKilledDatabase(path);
    truncateSync(path, cut);
    expect(refusal(folder, path)).toEqual(untouched(folder, 'ERR_PERF_SQLITE_CORRUPT'));
  }
});

it('accepts a database that is shorter than its header says when the log holds the rest', () => {
  const folder = newFolder();
  const path = join(folder, 'half-checkpointed.db');
  const living = join(newFolder(), 'living.db');
  makeDatabase(living, 10);
  const db = openDatabase(living);
  db.pragma('wal_autocheckpoint = 0');
  const insert = db.prepare('INSERT INTO t (text) VALUES (?)');
  db.transaction(() => {
    for (let row = 0; row < 1_000; row++) insert.run('z'.repeat(50));
  })();
  copyFileSync(`${living}-wal`, `${path}-wal`);
  const shortBytes = statSync(living).size;
  db.pragma('wal_checkpoint(PASSIVE)');
  copyFileSync(living, path);
  db.close();
  // As if the checkpoint had been killed after writing the first pages: the header counts pages that are not there.
  truncateSync(path, shortBytes + 100);
  const opened = openDatabase(path);
  expect(opened.prepare('SELECT count(*) FROM t').pluck().get()).toBe(1_010);
  expect(opened.pragma('integrity_check', { simple: true })).toBe('ok');
  opened.close();
});

it('refuses a log that is not one, and keeps it', () => {
  const folder = newFolder();
  const path = join(folder, 'odd-log.db');
  makeDatabase(path);
  writeFileSync(`${path}-wal`, Buffer.alloc(5000, 'log?'));
  expect(refusal(folder, path)).toEqual(untouched(folder, 'ERR_PERF_SQLITE_CORRUPT'));
});

it('refuses a database whose schema page is damaged, and leaves it alone', () => {
  const folder = newFolder();
  const path = join(folder, 'schema.db');
  makeDatabase(path);
  const bytes = readFileSync(path);
  bytes.fill(0xa5, 100, 4096);
  writeFileSync(path, bytes);
  expect(refusal(folder, path)).toEqual(untouched(folder, 'ERR_PERF_SQLITE_CORRUPT'));
});

it('refuses a database whose newest schema, in the log, is damaged, and keeps file and log', () => {
  const folder = newFolder();
  const path = join(folder, 'schema.db');
  const living = join(newFolder(), 'living.db');
  makeDatabase(living);
  const db = openDatabase(living);
  db.unsafeMode();
  db.pragma('writable_schema = ON');
  db.exec(`UPDATE sqlite_schema SET sql = 'CREATE TABLE t (', rootpage = 999999 WHERE name = 't'`);
  for (const suffix of ['', '-wal']) copyFileSync(living + suffix, path + suffix);
  db.close();
  const before = snapshot(folder);
  expect(codeThrownBy(() => openDatabase(path))).toBe('ERR_PERF_SQLITE_CORRUPT');
  expect(snapshot(folder)).toMatchObject(before);
});

it('reports damage further inside when the page is read', () => {
  const path = join(newFolder(), 'inside.db');
  makeDatabase(path);
  const bytes = readFileSync(path);
  bytes.fill(0xff, 4096 * 3, 4096 * 12);
  writeFileSync(path, bytes);
  const db = openDatabase(path);
  expect(() => db.prepare('SELECT sum(length(text)) FROM t').get()).toThrow(
    expect.objectContaining({ code: 'SQLITE_CORRUPT' }),
  );
  db.close();
});

it('refuses a schema that is newer than the program, and leaves it alone', () => {
  const folder = newFolder();
  const path = join(folder, 'newer.db');
  makeDatabase(path);
  const plain = new BetterSqlite3(path);
  plain.pragma('journal_mode = DELETE');
  plain.pragma('user_version = 3');
  plain.close();
  const migrations = [{ version: 1, up: 'CREATE TABLE a (x)' }];
  expect(refusal(folder, path, { migrations })).toEqual(untouched(folder, 'ERR_PERF_SQLITE_NEWER_SCHEMA'));
});

it('refuses a newer schema that is still in the log of a killed process, and keeps file and log', () => {
  const folder = newFolder();
  const path = join(folder, 'newer.db');
  const living = join(newFolder(), 'living.db');
  makeDatabase(living);
  const db = openDatabase(living);
  db.pragma('user_version = 7');
  for (const suffix of ['', '-wal']) copyFileSync(living + suffix, path + suffix);
  db.close();
  const before = snapshot(folder);
  const migrations = [{ version: 1, up: 'CREATE TABLE a (x)' }];
  expect(codeThrownBy(() => openDatabase(path, { migrations }))).toBe('ERR_PERF_SQLITE_NEWER_SCHEMA');
  expect(snapshot(folder)).toMatchObject(before);
});

it('refuses a folder, a file below a missing folder, a file below a file, and a missing file to be read', () => {
  const folder = newFolder();
  writeFileSync(join(folder, 'file'), 'text');
  const refused = 'ERR_PERF_SQLITE_CANNOT_OPEN';
  expect(codeThrownBy(() => openDatabase(folder))).toBe(refused);
  expect(codeThrownBy(() => openDatabase(join(folder, 'missing', 'a.db')))).toBe(refused);
  expect(codeThrownBy(() => openDatabase(join(folder, 'file', 'a.db')))).toBe(refused);
  expect(codeThrownBy(() => openDatabase(join(folder, 'a.db'), { readonly: true }))).toBe(refused);
  expect(codeThrownBy(() => openDatabase('/dev/null'))).toBe(refused);
  expect(Object.keys(snapshot(folder))).toEqual(['file']);
});

it('names missing permissions', () => {
  // Permissions do not bind root, so root checks as another user.
  const folder = newFolder();
  const secret = join(folder, 'secret.db');
  const fixed = join(folder, 'fixed.db');
  for (const path of [secret, fixed]) makeDatabase(path);
  const before = snapshot(folder);
  chmodSync(root, 0o755);
  chmodSync(secret, 0o000);
  chmodSync(fixed, 0o444);
  chmodSync(folder, 0o555);
  const script = `
    const { openDatabase } = await import('@perf/sqlite');
    openDatabase(':memory:').close();
    // With everything loaded, as the other user may not be allowed to read the package either.
    if (process.getuid() === 0) {
      process.setgid(65534);
      process.setuid(65534);
    }
    const codes = process.argv.slice(1).map((path) => {
      try { openDatabase(path); return 'opened'; } catch (failure) { return failure.code ?? String(failure); }
    });
    console.log(JSON.stringify(codes));`;
  const child = spawnSync(
    process.execPath,
    ['--conditions=@perf/source', '--input-type=module', '-e', script, secret, fixed, join(folder, 'new.db')],
    { encoding: 'utf8' },
  );
  expect(child.stderr).toBe('');
  expect(JSON.parse(child.stdout)).toEqual([
    'ERR_PERF_SQLITE_CANNOT_OPEN',
    'ERR_PERF_SQLITE_READONLY',
    'ERR_PERF_SQLITE_READONLY',
  ]);
  chmodSync(folder, 0o755);
  chmodSync(secret, 0o600);
  expect(snapshot(folder)).toEqual(before);
});

it('says that the file is locked when another connection keeps it beyond the busy timeout', () => {
  const path = join(newFolder(), 'locked.db');
  makeDatabase(path);
  const holder = new BetterSqlite3(path);
  holder.pragma('locking_mode = EXCLUSIVE');
  holder.exec('BEGIN EXCLUSIVE');
  expect(codeThrownBy(() => openDatabase(path, { busyTimeoutMs: 20 }))).toBe('ERR_PERF_SQLITE_LOCKED');
  holder.close();
  const db = openDatabase(path, { busyTimeoutMs: 20 });
  expect(db.prepare('SELECT count(*) FROM t').pluck().get()).toBe(2_000);
  db.close();
});

it('reads a WAL database through a read-only handle and refuses to write it', () => {
  const path = join(newFolder(), 'read.db');
  makeDatabase(path);
  const writer = openDatabase(path);
  writer.prepare('INSERT INTO t (text) VALUES (?)').run('fresh');
  const reader = openDatabase(path, { readonly: true });
  expect(reader.prepare('SELECT count(*) FROM t').pluck().get()).toBe(2_001);
  expect(() => reader.exec('DELETE FROM t')).toThrow(expect.objectContaining({ code: 'SQLITE_READONLY' }));
  reader.close();
  writer.close();
});

it('opens a database made elsewhere in rollback mode and turns it to WAL', () => {
  const path = join(newFolder(), 'old.db');
  const old = new BetterSqlite3(path);
  old.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1)');
  old.close();
  const db = openDatabase(path);
  expect(db.pragma('journal_mode', { simple: true })).toBe('wal');
  expect(db.prepare('SELECT a FROM t').all()).toEqual([{ a: 1 }]);
  db.close();
});

it('follows a symbolic link to the log beside the target', () => {
  const folder = newFolder();
  const link = join(newFolder(), 'link.db');
  const path = join(folder, 'killed.db');
  makeKilledDatabase(path);
  truncateSync(path, 4096);
  symlinkSync(path, link);
  expect(refusal(folder, link)).toEqual(untouched(folder, 'ERR_PERF_SQLITE_CORRUPT'));
});

it('keeps the locks of the connections that this process already has on the file', () => {
  const path = join(newFolder(), 'shared.db');
  makeDatabase(path);
  const first = openDatabase(path);
  first.prepare('INSERT INTO t (text) VALUES (?)').run('in the log');
  openDatabase(path).close();
  // A process that believes it is the last one removes the log when it closes.
  const script = `
    const { openDatabase } = await import('@perf/sqlite');
    openDatabase(process.argv[1]).close();`;
  const child = spawnSync(
    process.execPath,
    ['--conditions=@perf/source', '--input-type=module', '-e', script, path],
    { encoding: 'utf8' },
  );
  expect(child.stderr).toBe('');
  expect(existsSync(`${path}-wal`)).toBe(true);
  first.close();
  expect(existsSync(`${path}-wal`)).toBe(false);
});

it('names the option that is wrong', () => {
  const open = (options: unknown, path: unknown = ':memory:') =>
    openDatabase(path as string, options as OpenOptions);
  expect(() => open({ durability: 'maybe' })).toThrow(/durability/);
  expect(() => open({ mmapBytes: -1 })).toThrow(RangeError);
  expect(() => open({ mmapBytes: 2 ** 31 })).toThrow(/mmapBytes/);
  expect(() => open({ mmapBytes: '1' })).toThrow(TypeError);
  expect(() => open({ busyTimeoutMs: 1.5 })).toThrow(/busyTimeoutMs/);
  expect(() => open({ readonly: 1 })).toThrow(/readonly/);
  expect(() => open({ readonly: true })).toThrow(TypeError);
  expect(() => open({ migrations: [{ version: 0, up: '' }] })).toThrow(/migrations/);
  expect(() => open({}, '')).toThrow(TypeError);
  expect(() => open({}, 'a.db ')).toThrow(TypeError);
  expect(() => open({}, 'a\0.db')).toThrow(TypeError);
  expect(() => open({}, 12)).toThrow(TypeError);
});
