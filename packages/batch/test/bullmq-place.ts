/** A queue of its own in a test's Redis, and the power to let time pass there. */
import { randomUUID } from 'node:crypto';
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { BullMqJobStore, type BullMqJobStoreOptions } from '@perf/batch/bullmq';
import type { TestRedis } from './redis-server.ts';

export interface Place {
  readonly redis: Redis;
  readonly queue: string;
  readonly prefix: string;
  open(options?: Partial<BullMqJobStoreOptions>): Promise<BullMqJobStore<unknown>>;
  /** Whatever is leased is recovered, as if its worker had been silent for long enough. */
  abandonAll(maxStalls?: number): Promise<void>;
  expireKeys(): Promise<void>;
  cleanUp(): Promise<void>;
}

export function makePlace({ host, port }: TestRedis): Place {
  const redis = new Redis({ host, port, maxRetriesPerRequest: null });
  const queue = `perf-test-${randomUUID()}`;
  const prefix = `bull:${queue}:`;
  return {
    redis,
    queue,
    prefix,
    open: (options) =>
      BullMqJobStore.open({
        queueName: queue,
        connection: { host, port },
        visibilityTimeoutMs: 60_000,
        ...options,
      }),
    async abandonAll(maxStalls = 1000) {
      const active = await redis.lrange(`${prefix}active`, 0, -1);
      if (active.length === 0) return;
      await redis.del(...active.map((id) => `${prefix}${id}:lock`));
      await redis.sadd(`${prefix}stalled`, ...active);
      await redis.del(`${prefix}stalled-check`);
      const recovered = new Set<string>();
      const worker = new Worker(queue, null, { connection: redis, maxStalledCount: maxStalls });
      await new Promise<void>((resolve, reject) => {
        worker.on('stalled', (id: string) => {
          recovered.add(id);
          if (recovered.size === active.length) resolve();
        });
        worker.on('error', reject);
        worker.startStalledCheckTimer().catch(reject);
      });
      await worker.close();
    },
    async expireKeys() {
      for (const key of await redis.keys(`${prefix}de:*`)) {
        if ((await redis.pttl(key)) > 0) await redis.del(key);
      }
    },
    async cleanUp() {
      const keys = await redis.keys(`${prefix}*`);
      if (keys.length > 0) await redis.del(...keys);
      redis.disconnect();
    },
  };
}
