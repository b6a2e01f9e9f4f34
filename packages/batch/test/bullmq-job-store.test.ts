import { randomUUID } from 'node:crypto';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, describe, expect, test } from 'vitest';
import { Batcher } from '@perf/batch';
import { BullMqJobStore } from '@perf/batch/bullmq';
import { describeJobStore } from './job-store-conformance.ts';
import { startRedis } from './redis-server.ts';

const redis = await startRedis();
const connection = { host: '127.0.0.1', port: redis?.port ?? 0 };
const client = new Redis({ ...connection, lazyConnect: true });
afterAll(async () => {
  client.disconnect();
  await redis?.stop();
});

const VISIBILITY_MS = 300;
const open = (queueName: string): Promise<BullMqJobStore<unknown>> =>
  BullMqJobStore.open({ queueName, connection, visibilityTimeoutMs: VISIBILITY_MS });

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe.skipIf(redis === undefined)('with a real Redis', () => {
  describeJobStore('BullMqJobStore', async () => {
    const queueName = `conformance-${randomUUID()}`;
    return {
      open: () => open(queueName),
      abandon: async () => {
        // What happens when a lock is not renewed: it is gone, and the next stalled check of the other worker sees it.
        const watcher = await open(queueName);
        const locks = await client.keys(`bull:${queueName}:*:lock`);
        if (locks.length > 0) await client.del(locks);
        await until(async () => (await client.llen(`bull:${queueName}:active`)) === 0);
        await watcher.close();
      },
      cleanUp: async () => {
        const keys = await client.keys(`bull:${queueName}:*`);
        if (keys.length > 0) await client.del(keys);
      },
    };
  });

  test('finished jobs leave nothing in Redis but the key', async () => {
    const queueName = `tidy-${randomUUID()}`;
    const store = await open(queueName);
    const batcher = new Batcher<unknown>({ process: async () => undefined, store });
    await Promise.all(Array.from({ length: 50 }, (_, i) => batcher.add(i).result));
    await batcher.close();
    const left = (await client.keys(`bull:${queueName}:*`)).filter((key) => /:\d+$/.test(key));
    expect(left).toEqual([]);
    await store.close();
  });

  test('two batchers share a queue, each job runs once, and each producer gets its results', async () => {
    const queueName = `shared-${randomUUID()}`;
    const ran: unknown[] = [];
    const stores = [await open(queueName), await open(queueName)];
    const batchers = stores.map(
      (store) =>
        new Batcher<unknown, unknown>({
          store,
          maxItems: 5,
          process: async (items) => {
            ran.push(...items);
            return items.map((item) => ({ ok: true, value: { squared: Number(item) ** 2 } }));
          },
        }),
    );
    const results = await Promise.all(Array.from({ length: 100 }, (_, i) => batchers[i % 2]?.add(i).result));
    expect(results).toEqual(Array.from({ length: 100 }, (_, i) => ({ squared: i ** 2 })));
    expect(ran.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    for (const batcher of batchers) await batcher.close();
    for (const store of stores) await store.close();
  });

  test('workers killed in the middle of their jobs lose nothing', async () => {
    const queueName = `killed-${randomUUID()}`;
    const store = await open(queueName);
    const jobs = Array.from({ length: 60 }, (_, item) => ({ item, priority: 0 }));
    await store.append(jobs);
    for (let round = 0; round < 3; round++) {
      const worker = spawn(
        process.execPath,
        [
          '--conditions=@perf/source',
          path.join(import.meta.dirname, 'stuck-worker.ts'),
          queueName,
          String(connection.port),
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      await new Promise((resolve) => worker.stdout.once('data', resolve));
      worker.kill('SIGKILL');
      await new Promise((resolve) => worker.once('exit', resolve));
    }
    const ran: number[] = [];
    const batcher = new Batcher<unknown>({
      store,
      process: async (items) => void ran.push(...items.map(Number)),
    });
    await until(async () => ran.length >= jobs.length);
    expect(await batcher.close()).toMatchObject({ remaining: 0, failed: 0 });
    expect(ran.sort((a, b) => a - b)).toEqual(jobs.map(({ item }) => item));
    await store.close();
  });
});

test('a Redis that cannot be reached is an error, and options name themselves', async () => {
  const nowhere = { host: '127.0.0.1', port: 1, maxRetriesPerRequest: null, retryStrategy: () => null };
  await expect(BullMqJobStore.open({ queueName: 'q', connection: nowhere })).rejects.toThrow(/./);
  await expect(BullMqJobStore.open({ queueName: '', connection })).rejects.toThrow('queueName');
  await expect(BullMqJobStore.open({ queueName: 'q', connection, visibilityTimeoutMs: 1 })).rejects.toThrow(
    'visibilityTimeoutMs',
  );
});
