import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openDatabase } from '@perf/sqlite';
import { ScriptProcess } from './child-process.ts';
import { scratchFolder } from './scratch-folder.ts';

const folder = scratchFolder();
const KILLS = 15;

// Says the number of each row once its transaction has been committed; every third transaction has five rows.
// Checkpoints come every 20 pages, so that kills also fall into them.
const writer = `
  import { writeSync } from 'node:fs';
  const { openDatabase } = await import('@perf/sqlite');
  const db = openDatabase(process.argv[1], {
    migrations: [{ version: 1, up: 'CREATE TABLE log (id INTEGER PRIMARY KEY, text TEXT); CREATE INDEX by_text ON log (text)' }],
  });
  db.pragma('wal_autocheckpoint = 20');
  const insert = db.prepare('INSERT INTO log (text) VALUES (?)');
  const five = db.transaction(() => { let id; for (let n = 0; n < 5; n++) id = insert.run('five ' + Math.random()).lastInsertRowid; return id; });
  for (let turn = 0; ; turn++) {
    const id = turn % 3 === 0 ? five() : insert.run('one ' + 'x'.repeat(turn % 900)).lastInsertRowid;
    writeSync(1, id + '\\n');
  }`;

it('keeps every committed row when the process is killed while it writes, again and again', async () => {
  const path = join(folder, 'killed.db');
  let previous = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const child = new ScriptProcess(writer, [path]);
    // Where in its work the process dies is up to the scheduler; how far it got at least is known from its output.
    const lines = 1 + Math.floor(Math.random() * 150);
    for (let line = 0; line < lines; line++) await child.line();
    await child.kill();
    let said = previous;
    for (let line = await child.line(); line !== undefined; line = await child.line()) said = Number(line);

    const db = openDatabase(path);
    const { rows, last } = db.prepare('SELECT count(*) AS rows, max(id) AS last FROM log').get() as {
      rows: number;
      last: number;
    };
    expect(child.stderr).toBe('');
    expect(last).toBeGreaterThanOrEqual(said);
    expect(last).toBeGreaterThan(previous);
    expect(rows).toBe(last);
    // Transactions of five are there in whole or not at all.
    expect(
      (db.prepare(`SELECT count(*) FROM log WHERE text LIKE 'five %'`).pluck().get() as number) % 5,
    ).toBe(0);
    expect(db.pragma('integrity_check', { simple: true })).toBe('ok');
    db.close();
    previous = last;
  }
});

it('lets several processes make and migrate the same new file at the same moment', async () => {
  const path = join(folder, 'race.db');
  const script = `
    import { createInterface } from 'node:readline';
    const { openDatabase } = await import('@perf/sqlite');
    console.log('ready');
    for await (const line of createInterface({ input: process.stdin })) {
      const db = openDatabase(process.argv[1] + line, {
        migrations: [{ version: 1, up: 'CREATE TABLE t (id INTEGER PRIMARY KEY, pid INT)' }],
      });
      db.prepare('INSERT INTO t (pid) VALUES (?)').run(process.pid);
      db.close();
      console.log('done');
    }`;
  const processes = Array.from({ length: 4 }, () => new ScriptProcess(script, [path]));
  for (const each of processes) expect(await each.line()).toBe('ready');
  for (let round = 0; round < 10; round++) {
    for (const each of processes) each.send(String(round));
    for (const each of processes) expect(await each.line()).toBe('done');
    const db = openDatabase(path + round);
    expect(db.prepare('SELECT count(DISTINCT pid) FROM t').pluck().get()).toBe(processes.length);
    expect(db.pragma('auto_vacuum', { simple: true })).toBe(2);
    db.close();
  }
  for (const each of processes) await each.kill();
});
