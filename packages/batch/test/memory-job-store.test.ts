import { expect, test } from 'vitest';
import { MemoryJobStore } from '@perf/batch';
import { describeJobStore } from './job-store-conformance.ts';

const DAY_MS = 86_400_000;

describeJobStore('MemoryJobStore', async () => {
  let nowMs = 1e12;
  const first = new MemoryJobStore<unknown>({ keyTtlMs: DAY_MS, clock: { now: () => nowMs } });
  return {
    open: async () => first.worker(),
    abandon: async () => {
      nowMs += 61_000;
    },
    passKeyTtl: () => {
      nowMs += DAY_MS;
    },
    cleanUp: () => first.close(),
  };
});

test('a full store refuses', async () => {
  const store = new MemoryJobStore<number>({ maxJobs: 1 });
  await store.append([{ item: 1, priority: 0 }]);
  await expect(store.append([{ item: 2, priority: 0 }])).rejects.toMatchObject({
    code: 'ERR_PERF_BATCH_STORE_FULL',
  });
  await store.close();
});
