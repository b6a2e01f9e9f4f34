/** What durability costs: group commit of jobs, transactions of rows, coalesced updates. Files are in the scratch folder. */
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import { measureCase, type BenchCase, type Measurement } from '@perf/bench';
import { CoalescingUpdater } from '@perf/batch';
import { SqliteJobStore, SqliteWriter } from '@perf/batch/sqlite';
import { openDatabase, type Database } from '@perf/sqlite';

const SLICE_MS = 150;
const SLICES = 8;
/** A frame of the write-ahead log: what a commit of one small job writes. */
const FRAME_BYTES = 4096 + 24;

function syncsPerSecond(file: number, forMs: number): number {
  const frame = Buffer.alloc(FRAME_BYTES, 1);
  const startedAtMs = performance.now();
  let syncs = 0;
  while (performance.now() - startedAtMs < forMs) {
    writeSync(file, frame, 0, FRAME_BYTES, (syncs % 500) * FRAME_BYTES);
    fdatasyncSync(file);
    syncs++;
  }
  return (syncs * 1000) / (performance.now() - startedAtMs);
}

/** Producers that each wait for their job to be durable before they come with the next one. */
async function acknowledge(
  store: SqliteJobStore<unknown>,
  producers: number,
  forMs: number,
): Promise<{ perSecond: number; latencies: number[] }> {
  const latencies: number[] = [];
  const startedAtMs = performance.now();
  const produce = async (agent: number): Promise<void> => {
    while (performance.now() - startedAtMs < forMs) {
      const addedAtMs = performance.now();
      await store.append([{ item: { agent, event: 'token usage', tokens: 1234 }, priority: 4 }]);
      latencies.push(performance.now() - addedAtMs);
    }
  };
  await Promise.all(Array.from({ length: producers }, (_, agent) => produce(agent)));
  return { perSecond: (latencies.length * 1000) / (performance.now() - startedAtMs), latencies };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

const SCHEMA =
  'CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY, agent INTEGER, kind TEXT, tokens INTEGER)';
const INSERT = 'INSERT INTO event (agent, kind, tokens) VALUES (?, ?, ?)';

/** Rows per second of plain better-sqlite3 with transactions of `perTransaction`. */
function insertPlain(db: Database, rows: number, perTransaction: number): number {
  const insert = db.prepare(INSERT);
  const startedAtMs = performance.now();
  for (let row = 0; row < rows; row += perTransaction) {
    db.exec('BEGIN');
    for (let i = 0; i < perTransaction; i++) insert.run(row % 8, 'tool call', row);
    db.exec('COMMIT');
  }
  return (rows * 1000) / (performance.now() - startedAtMs);
}

async function insertThroughWriter(db: Database, rows: number): Promise<number> {
  const insert = db.prepare(INSERT);
  const writer = new SqliteWriter<number>({ db, write: (row) => void insert.run(row % 8, 'tool call', row) });
  const startedAtMs = performance.now();
  for (let row = 0; row < rows; row++) writer.add(row);
  await writer.flush();
  const perSecond = (rows * 1000) / (performance.now() - startedAtMs);
  await writer.close();
  return perSecond;
}

export const cases: readonly BenchCase[] = [
  measureCase({
    name: 'durable-acceptance',
    about:
      'SqliteJobStore at power-loss level: acknowledged jobs with 512 producers, and with one against raw fdatasync in turns.',
    forks: 3,
    measure: async ({ scratchDir }): Promise<Measurement[]> => {
      const raw = openSync(path.join(scratchDir, 'raw'), 'w');
      writeSync(raw, Buffer.alloc(500 * FRAME_BYTES));
      fdatasyncSync(raw);
      const store = SqliteJobStore.open({ path: path.join(scratchDir, 'one.db') });
      const ratios: number[] = [];
      await acknowledge(store, 1, SLICE_MS);
      for (let slice = 0; slice < SLICES; slice++) {
        const rawPerSecond = syncsPerSecond(raw, SLICE_MS);
        const { perSecond } = await acknowledge(store, 1, SLICE_MS);
        ratios.push(perSecond / rawPerSecond);
      }
      closeSync(raw);
      await store.close();
      const many = SqliteJobStore.open({ path: path.join(scratchDir, 'many.db'), maxFileBytes: 2 ** 32 });
      await acknowledge(many, 512, 300);
      const { perSecond, latencies } = await acknowledge(many, 512, 2000);
      if (many.stats().unfinished < latencies.length) throw new Error('acknowledged jobs are missing');
      await many.close();
      const p99 = latencies.sort((a, b) => a - b)[Math.floor(latencies.length * 0.99)] ?? Number.NaN;
      return [
        { name: '512 producers', value: perSecond, unit: 'jobs/s', target: { atLeast: 200_000 } },
        { name: '512 producers, p99', value: p99, unit: 'ms', target: { atMost: 10 } },
        {
          name: 'one producer against raw fdatasync',
          value: median(ratios),
          unit: 'ratio',
          target: { atLeast: 0.9 },
        },
      ];
    },
  }),
  measureCase({
    name: 'sqlite-writer',
    about:
      'SqliteWriter against the ceiling (synchronous off, transactions of 1,000) and against single inserts.',
    forks: 3,
    measure: async ({ scratchDir }): Promise<Measurement[]> => {
      const open = (name: string, synchronous: string): Database => {
        const db = openDatabase(path.join(scratchDir, name));
        db.pragma(`synchronous = ${synchronous}`);
        db.exec(SCHEMA);
        return db;
      };
      const off = open('off.db', 'OFF');
      const full = open('full.db', 'FULL');
      const normal = open('normal.db', 'NORMAL');
      const runs = {
        ceiling: [] as number[],
        full: [] as number[],
        normal: [] as number[],
        singleFull: [] as number[],
        singleNormal: [] as number[],
      };
      for (let round = 0; round < 5; round++) {
        runs.ceiling.push(insertPlain(off, 50_000, 1000));
        runs.full.push(await insertThroughWriter(full, 50_000));
        runs.normal.push(await insertThroughWriter(normal, 50_000));
        runs.singleFull.push(insertPlain(full, 300, 1));
        runs.singleNormal.push(insertPlain(normal, 5000, 1));
      }
      for (const db of [off, full, normal]) db.close();
      return [
        {
          name: 'FULL against the ceiling',
          value: median(runs.full) / median(runs.ceiling),
          unit: 'ratio',
          target: { atLeast: 0.8 },
        },
        {
          name: 'NORMAL against the ceiling',
          value: median(runs.normal) / median(runs.ceiling),
          unit: 'ratio',
          target: { atLeast: 0.8 },
        },
        {
          name: 'against single inserts at FULL',
          value: median(runs.full) / median(runs.singleFull),
          unit: 'ratio',
          target: { atLeast: 25 },
        },
        {
          name: 'against single inserts at NORMAL',
          value: median(runs.normal) / median(runs.singleNormal),
          unit: 'ratio',
          target: { atLeast: 5 },
        },
        { name: 'rows at FULL', value: median(runs.full), unit: 'rows/s' },
      ];
    },
  }),
  measureCase({
    name: 'coalesced-updates',
    about: '50,000 confidence updates of 500 patterns at FULL: one by one, and through CoalescingUpdater.',
    forks: 3,
    measure: async ({ scratchDir }): Promise<Measurement[]> => {
      const db = openDatabase(path.join(scratchDir, 'patterns.db'), { durability: 'power-loss' });
      db.exec('CREATE TABLE pattern (id INTEGER PRIMARY KEY, successes INTEGER NOT NULL)');
      const insert = db.prepare('INSERT INTO pattern VALUES (?, 0)');
      db.transaction(() => {
        for (let id = 0; id < 500; id++) insert.run(id);
      })();
      const update = db.prepare('UPDATE pattern SET successes = successes + ? WHERE id = ?');
      const singles = 2000;
      let startedAtMs = performance.now();
      for (let n = 0; n < singles; n++) update.run(1, n % 500);
      const singlePerSecond = (singles * 1000) / (performance.now() - startedAtMs);
      const updater = new CoalescingUpdater<number, number>({
        merge: (a, b) => a + b,
        apply: (entries) => {
          db.transaction(() => {
            for (const [id, successes] of entries) update.run(successes, id);
          })();
        },
        lingerMs: 1,
      });
      const updates = 50_000;
      startedAtMs = performance.now();
      for (let n = 0; n < updates; n++) {
        void updater.update((n * 7919) % 500, 1);
        if (n % 500 === 499) await new Promise((resolve) => setImmediate(resolve));
      }
      await updater.close();
      const coalescedPerSecond = (updates * 1000) / (performance.now() - startedAtMs);
      const total = db.prepare('SELECT sum(successes) FROM pattern').pluck().get();
      db.close();
      if (total !== singles + updates) throw new Error(`${String(total)} updates arrived`);
      return [
        {
          name: 'coalesced against single updates',
          value: coalescedPerSecond / singlePerSecond,
          unit: 'ratio',
          target: { atLeast: 10 },
        },
      ];
    },
  }),
];
