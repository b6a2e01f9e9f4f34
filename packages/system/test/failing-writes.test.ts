import path from 'node:path';
import { openDatabase } from '@perf/sqlite';
import type { Database } from '@perf/sqlite';
import type { PerformanceSystem, SystemAlert } from '@perf/system';
import { describe, expect, it, onTestFinished } from 'vitest';
import { StoreWriter } from '../src/store-writer.ts';
import { openSystem, scratchFolder, texts } from './opened-system.ts';

/** A second handle on the store, which makes the first one's writes of messages of seven bytes fail. */
function poison(dir: string): { mend(): void } {
  const db = openDatabase(path.join(dir, 'store.sqlite'));
  db.exec(`CREATE TRIGGER poison BEFORE INSERT ON messages WHEN new.raw_bytes = 7
    BEGIN SELECT RAISE(ABORT, 'poisoned'); END`);
  onTestFinished(() => void db.close());
  return { mend: () => void db.exec('DROP TRIGGER poison') };
}

async function poisoned(
  options: { durability?: 'sync' } = {},
): Promise<{ system: PerformanceSystem; dir: string; mend: () => void; alerts: SystemAlert[] }> {
  const dir = scratchFolder();
  const system = await openSystem({ dir, ...options });
  const alerts: SystemAlert[] = [];
  system.on('alert', (alert) => alerts.push(alert));
  return { system, dir, ...poison(dir), alerts };
}

describe('a write that the database refuses', () => {
  it('takes no neighbour with it, is told by flush and by one alert, and is committed once it can be', async () => {
    const { system, alerts, mend } = await poisoned();
    await Promise.all(['1', '2', 'poison!', '4', 'poison?', '6'].map((m) => system.recordMessage('s', m)));
    await expect(system.flush()).rejects.toMatchObject({
      code: 'ERR_PERF_SYSTEM_WRITE_FAILED',
      cause: expect.objectContaining({ message: 'poisoned' }),
    });
    expect(alerts).toMatchObject([{ kind: 'write-failed', detail: { message: 'poisoned' } }]);
    expect(system.getStatistics().writes).toMatchObject({ queued: 0, completed: 4, failedWrites: 2 });
    expect(system.getStatistics().sessions.messages).toBe(4);

    // Still broken: still kept, and still said.
    await expect(system.flush()).rejects.toMatchObject({ code: 'ERR_PERF_SYSTEM_WRITE_FAILED' });
    expect(system.getStatistics().writes.failedWrites).toBe(2);

    mend();
    await system.flush();
    expect(system.getStatistics().writes.failedWrites).toBe(0);
    // In the order they were accepted, not in the order they were committed.
    expect(await texts(system.messages('s'))).toEqual(['1', '2', 'poison!', '4', 'poison?', '6']);
  });

  it('makes reading its session fail rather than leave it out, and no other session', async () => {
    const { system, mend } = await poisoned();
    await system.recordMessage('s', 'poison!');
    await system.recordMessage('t', 'fine');
    await expect(texts(system.messages('s'))).rejects.toMatchObject({ code: 'ERR_PERF_SYSTEM_WRITE_FAILED' });
    expect(await texts(system.messages('t'))).toEqual(['fine']);
    await system.rememberSession({ id: 't', agent: 'a', summary: 'words' });
    expect(await system.similarSessions('words')).toHaveLength(1);
    mend();
    await system.flush();
    expect(await texts(system.messages('s'))).toEqual(['poison!']);
  });

  it('is told by shutdown, which closes everything all the same', async () => {
    const { system, dir } = await poisoned();
    await system.recordMessage('s', 'poison!');
    await system.recordMessage('s', 'fine');
    await expect(system.shutdown()).rejects.toMatchObject({ code: 'ERR_PERF_SYSTEM_WRITE_FAILED' });
    const after = await openSystem({ dir });
    expect(await texts(after.messages('s'))).toEqual(['fine']);
  });

  it('with durability sync is told to its caller and not tried again', async () => {
    const { system, alerts, mend } = await poisoned({ durability: 'sync' });
    const results = await Promise.allSettled(['1', 'poison!', '3'].map((m) => system.recordMessage('s', m)));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(results[1]).toMatchObject({ reason: { code: 'ERR_PERF_SYSTEM_WRITE_FAILED' } });
    expect(alerts).toHaveLength(1);
    mend();
    await system.flush();
    expect(await texts(system.messages('s'))).toEqual(['1', '3']);
  });

  it('shows the pattern that was there before, with durability sync', async () => {
    const dir = scratchFolder();
    const system = await openSystem({ dir, durability: 'sync' });
    await system.storePattern({ id: 'p', source: 'old' });
    const db = openDatabase(path.join(dir, 'store.sqlite'));
    onTestFinished(() => void db.close());
    db.exec(`CREATE TRIGGER poison BEFORE INSERT ON patterns BEGIN SELECT RAISE(ABORT, 'poisoned'); END;
      CREATE TRIGGER poison_too BEFORE UPDATE ON patterns BEGIN SELECT RAISE(ABORT, 'poisoned'); END`);
    await expect(system.storePattern({ id: 'p', source: 'new' })).rejects.toMatchObject({
      code: 'ERR_PERF_SYSTEM_WRITE_FAILED',
    });
    await expect(system.storePattern({ id: 'q', source: 'new' })).rejects.toThrow(/committed/);
    await expect(system.updateConfidence('p', 'failure')).rejects.toThrow(/committed/);
    expect(system.getPattern('p')).toMatchObject({ source: 'old', confidence: 1 });
    expect(system.getPattern('q')).toBeUndefined();
    expect(system.detect('old new').map(({ id }) => id)).toEqual(['p']);
    expect(system.getStatistics().patterns.stored).toBe(1);
    // The match that was counted could not be written and is written later.
    await expect(system.flush()).rejects.toThrow(/could not|failed/);
    db.exec('DROP TRIGGER poison; DROP TRIGGER poison_too');
    await system.flush();
    expect(openedUsage(db)).toBe(1);
  });

  it('is one among others for optimize, whose other steps run', async () => {
    const { system } = await poisoned();
    await system.recordMessage('s', 'poison!');
    const report = await system.optimize('test');
    expect(report).toMatchObject({ trigger: 'test', ok: false });
    const failed = report.steps.filter((step) => 'error' in step);
    expect(failed).toMatchObject([
      { name: 'commit queued writes', error: { code: 'ERR_PERF_SYSTEM_WRITE_FAILED' } },
    ]);
    expect(report.steps.length).toBeGreaterThan(failed.length + 2);
  });
});

const openedUsage = (db: Database): number | undefined =>
  db.prepare<[], number>("SELECT usage_count FROM patterns WHERE id = 'p'").pluck().get();

describe('a full disk', () => {
  it('refuses what does not fit, keeps it, and takes it once there is room', async () => {
    const dir = scratchFolder();
    const db = openDatabase(path.join(dir, 'store.sqlite'));
    onTestFinished(() => void db.close());
    db.exec('CREATE TABLE log (text TEXT)');
    const pages = db.pragma('page_count', { simple: true }) as number;
    db.pragma(`max_page_count = ${pages + 2}`);
    const failures: unknown[] = [];
    const writer = new StoreWriter({
      db,
      sync: false,
      maxQueuedBytes: 1e7,
      lingerMs: 0,
      onFailure: (error) => failures.push(error),
    });
    const insert = db.prepare('INSERT INTO log VALUES (?)');
    const big = 'x'.repeat(100_000);
    for (const text of ['small', big, 'small'])
      await writer.write({ sizeBytes: text.length, apply: () => void insert.run(text) });
    await expect(writer.flush()).rejects.toMatchObject({
      code: 'ERR_PERF_SYSTEM_WRITE_FAILED',
      cause: expect.objectContaining({ code: 'SQLITE_FULL' }),
    });
    const count = db.prepare<[], number>('SELECT count(*) FROM log').pluck();
    expect(count.get()).toBe(2);
    expect(failures).toHaveLength(1);
    db.pragma('max_page_count = 1000000');
    await writer.flush();
    expect(count.get()).toBe(3);
    await writer.close();
  });
});

describe('StoreWriter', () => {
  const setup = (options: { maxQueuedBytes?: number } = {}): { db: Database; writer: StoreWriter } => {
    const db = openDatabase(path.join(scratchFolder(), 'a.sqlite'), { busyTimeoutMs: 1 });
    db.exec('CREATE TABLE log (n INTEGER)');
    const writer = new StoreWriter({
      db,
      sync: false,
      maxQueuedBytes: 1e6,
      lingerMs: 0,
      onFailure: () => undefined,
      ...options,
    });
    onTestFinished(async () => {
      await writer.close().catch(() => undefined);
      db.close();
    });
    return { db, writer };
  };

  it('gives up the writes that do not fit among those kept, says so once, and tells them', async () => {
    const { writer } = setup({ maxQueuedBytes: 250 });
    let dropped = 0;
    const faulty = (): Promise<void> =>
      writer.write({
        sizeBytes: 100,
        apply: () => {
          throw new Error('faulty');
        },
        dropped: () => {
          dropped += 1;
        },
      });
    await Promise.all(Array.from({ length: 5 }, faulty));
    await expect(writer.flush()).rejects.toThrow(
      '2 writes failed and are kept for the next flush, 3 were dropped',
    );
    expect(dropped).toBe(3);
    await expect(writer.flush()).rejects.toThrow(
      '2 writes failed and are kept for the next flush, 0 were dropped',
    );
    expect(writer.stats()).toMatchObject({ failedWrites: 2, droppedWrites: 3, held: 0 });
  });

  it('keeps everything while another process holds the lock, and waits for it once a group', async () => {
    const { db, writer } = setup();
    const other = openDatabase(db.name);
    onTestFinished(() => void other.close());
    other.exec('BEGIN IMMEDIATE');
    let applied = 0;
    const insert = db.prepare('INSERT INTO log VALUES (?)');
    for (let n = 0; n < 20; n++) {
      void writer.write({
        sizeBytes: 1,
        apply: () => {
          applied += 1;
          insert.run(n);
        },
      });
    }
    await expect(writer.flush()).rejects.toMatchObject({ cause: { code: 'SQLITE_BUSY' } });
    expect(applied).toBe(0);
    other.exec('COMMIT');
    await writer.flush();
    expect(db.prepare('SELECT count(*) AS n FROM log').get()).toEqual({ n: 20 });
  });

  it('commits a write of several flushes that overlap before any of them resolves', async () => {
    const { db, writer } = setup();
    let broken = true;
    const insert = db.prepare('INSERT INTO log VALUES (1)');
    await writer.write({
      sizeBytes: 1,
      apply: () => {
        if (broken) throw new Error('broken');
        insert.run();
      },
    });
    await expect(writer.flush()).rejects.toThrow(/could not|failed/);
    broken = false;
    const count = (): unknown => db.prepare('SELECT count(*) AS n FROM log').get();
    await Promise.all([1, 2, 3].map(() => writer.flush().then(() => expect(count()).toEqual({ n: 1 }))));
  });

  it('refuses writes after close with ERR_PERF_SYSTEM_CLOSED', async () => {
    const { writer } = setup();
    await writer.close();
    await expect(writer.write({ sizeBytes: 1, apply: () => undefined })).rejects.toMatchObject({
      code: 'ERR_PERF_SYSTEM_CLOSED',
    });
  });
});
