/**
 * A worker to be killed: `node bullmq-worker-process.ts <host> <port> <queue>`. It says a line for each job it begins, and
 * writes down that it ran it, and the job's effect, deduplicated, between beginning and end. SIGTERM ends it in order.
 */
import { writeSync } from 'node:fs';
import { Redis } from 'ioredis';
import { Batcher } from '@perf/batch';
import { BullMqJobStore } from '@perf/batch/bullmq';

const [host = '', port = '', queue = ''] = process.argv.slice(2);
const connection = { host, port: Number(port) };
const redis = new Redis({ ...connection, maxRetriesPerRequest: null });
const store = await BullMqJobStore.open<number>({ queueName: queue, connection, visibilityTimeoutMs: 300 });
const batcher = new Batcher<number>({
  store,
  maxItems: 5,
  concurrency: 2,
  process: async (items) => {
    for (const item of items) {
      writeSync(1, `${item}\n`);
      await redis.rpush(`bull:${queue}:runs`, item);
      await redis.hsetnx(`bull:${queue}:effects`, String(item), process.pid);
    }
  },
});
process.once('SIGTERM', () => {
  void (async () => {
    await batcher.close();
    await store.close();
    redis.disconnect();
  })();
});
