/** What the event loop notices of queries that run elsewhere, and of their rows when they come in. */
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { ReadPool, openDatabase } from '@perf/sqlite';
import { measureCase } from '@perf/bench';
import type { MeasureCase } from '@perf/bench';
import { freshPaths } from './messages.ts';

const ROWS = 10_000;
const QUERIES = 20;
const ALL_ROWS = 'SELECT * FROM runs';
/** A self-join that compares every pair of 3,000 rows. */
const HEAVY =
  'SELECT count(*) AS pairs FROM runs a, runs b WHERE a.id <= 3000 AND b.id <= 3000 AND a.name < b.name';

function makeFile(path: string): void {
  const db = openDatabase(path);
  db.exec('CREATE TABLE runs (id INTEGER PRIMARY KEY, name TEXT, tokens INT, seconds REAL, note TEXT)');
  const insert = db.prepare('INSERT INTO runs (name, tokens, seconds, note) VALUES (?, ?, ?, ?)');
  db.transaction(() => {
    for (let row = 0; row < ROWS; row++)
      insert.run(`run ${row}`, row % 900, row / 7, `a note on run number ${row}`);
  })();
  db.close();
}

/** Longest time between two turns of the event loop while `work` runs. */
async function longestPauseMs(work: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let last = performance.now();
  let running = true;
  const turn = (): void => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (running) setImmediate(turn);
  };
  setImmediate(turn);
  await work();
  running = false;
  turn();
  return longest;
}

/** Milliseconds of this thread per call. */
async function activeMs(call: () => Promise<number>): Promise<number> {
  for (let warmup = 0; warmup < 5; warmup++) await call();
  const before = performance.eventLoopUtilization();
  for (let query = 0; query < QUERIES; query++) {
    const rows = await call();
    if (rows !== ROWS) throw new Error(`${rows} rows instead of ${ROWS}`);
  }
  return performance.eventLoopUtilization(before).active / QUERIES;
}

export const cases: readonly MeasureCase[] = [
  measureCase({
    name: 'event-loop-pause',
    about: 'Longest pause of the event loop during a join of some tenths of a second, here and in the pool.',
    forks: 5,
    async measure(context) {
      const path = freshPaths(context)();
      makeFile(path);
      const db = openDatabase(path);
      await using pool = new ReadPool({ path, threads: 1 });
      const [warm] = await pool.all<{ pairs: number }>(HEAVY);
      let direct: unknown;
      const blocked = await longestPauseMs(async () => {
        direct = db.prepare(HEAVY).get();
      });
      const pooled = await longestPauseMs(async () => pool.all(HEAVY));
      if ((direct as { pairs: number }).pairs !== warm?.pairs)
        throw new Error('the pool gives another answer');
      db.close();
      return [
        { name: 'on the event loop', value: blocked, unit: 'ms' },
        { name: 'in the pool', value: pooled, unit: 'ms', target: { atMost: 50 } },
      ];
    },
  }),
  measureCase({
    name: 'read-pool-transport',
    about: `Time of the event loop for taking in ${ROWS} rows of five columns: as columns, and as row objects.`,
    forks: 5,
    async measure(context) {
      const path = freshPaths(context)();
      makeFile(path);
      await using pool = new ReadPool({ path, threads: 1 });
      const columns = await activeMs(async () => (await pool.all(ALL_ROWS)).length);
      const worker = new Worker(new URL('object-rows-worker.ts', import.meta.url), { workerData: path });
      const objects = await activeMs(async () => {
        worker.postMessage(ALL_ROWS, []);
        const [rows] = (await once(worker, 'message')) as [unknown[]];
        return rows.length;
      });
      await worker.terminate();
      return [
        { name: 'ReadPool, columns', value: columns, unit: 'ms' },
        { name: 'plain worker, row objects', value: objects, unit: 'ms' },
        { name: 'plain over ReadPool', value: objects / columns, unit: 'x', target: { atLeast: 1.5 } },
      ];
    },
  }),
];
