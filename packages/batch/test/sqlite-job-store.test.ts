import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDatabase } from '@perf/sqlite';
import { Batcher } from '@perf/batch';
import { SqliteJobStore } from '@perf/batch/sqlite';
import { describeJobStore } from './job-store-conformance.ts';

const DAY_MS = 86_400_000;
let dir: string;
let file: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'job-store-'));
  file = path.join(dir, 'jobs.db');
});
afterEach(() => rmSync(dir, { recursive: true }));

describeJobStore('SqliteJobStore', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'job-store-'));
  let nowMs = 1e12;
  return {
    open: async () =>
      SqliteJobStore.open({
        path: path.join(folder, 'jobs.db'),
        durability: 'process-crash',
        visibilityTimeoutMs: 60_000,
        keyTtlMs: DAY_MS,
        clock: { now: () => nowMs },
      }),
    abandon: async () => {
      nowMs += 61_000;
    },
    passKeyTtl: () => {
      nowMs += DAY_MS;
    },
    cleanUp: async () => rmSync(folder, { recursive: true }),
  };
});

test('everything asked for in one turn is one transaction, and one bad request does not spoil the others', async () => {
  const store = SqliteJobStore.open({ path: file, maxFileBytes: 2 ** 20 });
  const small = store.append([{ item: 'small', priority: 0 }]);
  const large = store.append([{ item: 'x'.repeat(2 ** 21), priority: 0 }]);
  const last = store.append([{ item: 'last', priority: 0 }]);
  await expect(large).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_STORE_FULL' });
  const ids = [...(await small), ...(await last)].map(({ id }) => id);
  expect(new Set(ids).size).toBe(2);
  expect(store.stats()).toMatchObject({ unfinished: 2, leasedHere: 2 });
  await store.close();
});

test('a full file refuses appends, still takes outcomes, and has room again afterwards', async () => {
  const store = SqliteJobStore.open({ path: file, maxFileBytes: 2 ** 20, durability: 'process-crash' });
  const ids: string[] = [];
  const append = (): Promise<void> =>
    store
      .append([{ item: 'x'.repeat(50_000), priority: 0 }])
      .then((appended) => void ids.push(...appended.map(({ id }) => id)));
  await expect(
    (async () => {
      for (;;) await append();
    })(),
  ).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_STORE_FULL' });
  expect(ids.length).toBeGreaterThan(10);
  expect(statSync(file).size).toBeLessThan(2 ** 21);
  const done = ids.map((id) => ({ id, kind: 'done', result: undefined }) as const);
  expect(await store.settle(done)).toEqual(ids.map(() => true));
  await append();
  await store.close();
});

test('an undecodable job becomes a dead letter and does not stop the others', async () => {
  const first = SqliteJobStore.open({ path: file });
  await first.append(['a', 'b'].map((item) => ({ item, priority: 0 })));
  await first.close();
  const db = openDatabase(file);
  db.prepare(`UPDATE job SET item = '{broken' WHERE item = '"a"'`).run();
  db.close();
  const store = SqliteJobStore.open({ path: file });
  expect((await store.claim(10)).map(({ item }) => item)).toEqual(['b']);
  expect(await store.deadLetters(10)).toMatchObject([{ item: '{broken' }]);
  await store.close();
});

test('a file that is not a job store is refused and not touched', () => {
  writeFileSync(file, 'not a database, but long enough to look at'.repeat(100));
  expect(() => SqliteJobStore.open({ path: file })).toThrow(expect.objectContaining({ name: 'SqliteError' }));
});

test('options out of range name themselves', () => {
  const open = (options: object) => () => SqliteJobStore.open({ path: file, ...options });
  expect(open({ visibilityTimeoutMs: 1 })).toThrow('visibilityTimeoutMs');
  expect(open({ maxFileBytes: 10 })).toThrow('maxFileBytes');
  expect(open({ durability: 'none' })).toThrow('durability');
  expect(open({ keyTtlMs: -1 })).toThrow('keyTtlMs');
});

test('a Batcher’s result resolves after the outcome is in the file', async () => {
  const store = SqliteJobStore.open<number>({ path: file });
  const batcher = new Batcher<number>({ process: async () => undefined, store });
  const { accepted, result } = batcher.add(1);
  const id = await accepted;
  expect(Number(id)).toBeGreaterThan(0);
  await result;
  expect(store.stats().unfinished).toBe(0);
  await batcher.close();
  await store.close();
});

test('a store that fails rejects the tickets concerned and tells onStoreError', async () => {
  const store = SqliteJobStore.open<number>({ path: file });
  const errors: string[] = [];
  let release = (): void => undefined;
  const batcher = new Batcher<number>({
    process: () => new Promise((resolve) => (release = resolve)),
    store,
    onStoreError: (error) => errors.push(error.code),
  });
  const { accepted, result } = batcher.add(1);
  await accepted;
  await store.close();
  release();
  await expect(result).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_CLOSED' });
  await expect(batcher.add(2).accepted).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_CLOSED' });
  expect(errors).toEqual(['ERR_PERF_BATCH_CLOSED']);
  expect(batcher.stats().held).toBe(0);
});
