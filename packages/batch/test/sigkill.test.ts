import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { Batcher } from '@perf/batch';
import { SqliteJobStore } from '@perf/batch/sqlite';
import { openDatabase } from '@perf/sqlite';

const KILLS = Number(process.env['PERF_SIGKILLS'] ?? 100);
/** Rounds in several files at once: most of a round is a process starting. */
const LANES = 4;

const WORKER = path.join(import.meta.dirname, 'killed-worker.ts');

function warmUp(cache: string): Promise<void> {
  const env = { ...process.env, NODE_COMPILE_CACHE: cache };
  const worker = spawn(process.execPath, ['--conditions=@perf/source', WORKER, '', '', '0', '0'], { env });
  return new Promise((resolve) => worker.on('exit', () => resolve()));
}

/** Starts the worker, lets it run for a while that differs each time, and kills it. */
async function runAndKill(
  database: string,
  journal: string,
  first: number,
  afterMs: number,
  cache: string,
): Promise<void> {
  const worker = spawn(
    process.execPath,
    ['--conditions=@perf/source', WORKER, database, journal, String(first), String(1 + (first % 97))],
    { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, NODE_COMPILE_CACHE: cache } },
  );
  const ended = new Promise<NodeJS.Signals | null>((resolve) =>
    worker.on('exit', (_code, signal) => resolve(signal)),
  );
  const lines = (): number => (existsSync(journal) ? readFileSync(journal).length : 0);
  const before = lines();
  while (lines() === before && worker.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 2));
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  worker.kill('SIGKILL');
  expect(await ended).toBe('SIGKILL');
}

test(`${KILLS} SIGKILLs at random points: nothing acknowledged is lost, nothing is done twice after deduplication`, async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'sigkill-'));
  const cache = path.join(dir, 'compiled');
  await warmUp(cache);
  const totals = { acknowledged: 0, processed: 0, again: 0 };
  const lane = async (index: number): Promise<void> => {
    const database = path.join(dir, `jobs-${index}.db`);
    const journal = path.join(dir, `journal-${index}`);
    for (let round = index; round < KILLS; round += LANES) {
      await runAndKill(database, journal, round * 1_000_000, Math.random() * 40, cache);
    }
    const store = SqliteJobStore.open<number>({ path: database });
    const rest: [number, string][] = [];
    const batcher = new Batcher<number>({
      store,
      process: async (items, { jobs }) => {
        items.forEach((item, i) => rest.push([item, jobs[i]?.id ?? '']));
      },
    });
    expect(await batcher.drain()).toMatchObject({ remaining: 0, failed: 0 });
    await batcher.close();
    await store.close();
    const acknowledged = new Map<number, string>();
    const processed = new Map<number, Set<string>>();
    const record = (item: number, id: string): void => {
      totals.processed++;
      const ids = processed.get(item);
      if (ids === undefined) processed.set(item, new Set([id]));
      else totals.again++;
      ids?.add(id);
    };
    for (const line of readFileSync(journal, 'utf8').split('\n')) {
      const [what, item = '', id = ''] = line.split(' ');
      if (what === 'a') acknowledged.set(Number(item), id);
      if (what === 'p') record(Number(item), id);
    }
    for (const [item, id] of rest) record(item, id);
    totals.acknowledged += acknowledged.size;
    const lost = [...acknowledged.keys()].filter((item) => !processed.has(item));
    expect(lost).toEqual([]);
    // Deduplication is by job id: one item never had two.
    const twice = [...processed].filter(([, ids]) => ids.size > 1);
    expect(twice).toEqual([]);
    for (const [item, id] of acknowledged) expect(processed.get(item)?.has(id)).toBe(true);
    const db = openDatabase(database, { readonly: true });
    expect(db.pragma('integrity_check', { simple: true })).toBe('ok');
    expect(db.prepare('SELECT count(*) FROM job').pluck().get()).toBe(0);
    db.close();
  };
  await Promise.all(Array.from({ length: LANES }, (_, index) => lane(index)));
  expect(totals.acknowledged).toBeGreaterThan(KILLS);
  rmSync(dir, { recursive: true });
}, 600_000);
