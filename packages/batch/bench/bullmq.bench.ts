/**
 * BullMqJobStore against BullMQ used directly, on a Redis of the bench's own without persistence: what is compared is the
 * two programs, and a disk would hide both.
 */
import { ratioCase, type BenchCase } from '@perf/bench';
import { Batcher } from '@perf/batch';
import { BullMqJobStore } from '@perf/batch/bullmq';
import { Queue, Worker } from 'bullmq';
import { testRedis, type TestRedis } from '../test/redis-server.ts';

interface Message {
  readonly session: string;
  readonly turn: number;
  readonly text: string;
}

interface Input {
  readonly redis: TestRedis;
  readonly batches: readonly (readonly Message[])[];
}

const BATCH = 1000;
const PRIORITY = 4;
const JOB_NAME = 'job';
const CONCURRENCY = 100;

let queues = 0;
const nextQueue = (): string => `bench-${process.pid}-${++queues}`;

async function startRedis(context: { skip(reason: string): never }, batches: number): Promise<Input> {
  const redis = await testRedis();
  if (typeof redis === 'string') return context.skip(redis);
  const message = (batch: number, i: number): Message => ({
    session: `session-${i % 97}`,
    turn: batch * BATCH + i,
    text: `tool result ${i} `.repeat(12),
  });
  return {
    redis,
    batches: Array.from({ length: batches }, (_, batch) =>
      Array.from({ length: BATCH }, (_, i) => message(batch, i)),
    ),
  };
}

function connect({ host, port }: TestRedis, queueName: string): Queue {
  return new Queue(queueName, { connection: { host, port } });
}

function openStore({ host, port }: TestRedis, queueName: string): Promise<BullMqJobStore<Message>> {
  return BullMqJobStore.open<Message>({ queueName, connection: { host, port } });
}

interface Added {
  readonly count: number;
  readonly queue: Queue;
}

async function erase(queue: Queue): Promise<void> {
  await queue.obliterate({ force: true });
  await queue.close();
}

function nativeAdd(priority: number | undefined): (queue: Queue, input: Input) => Promise<number> {
  const opts = priority === undefined ? {} : { priority };
  return async (queue, { batches }) => {
    let count = 0;
    for (const batch of batches) {
      count += (await queue.addBulk(batch.map((data) => ({ name: JOB_NAME, data, opts })))).length;
    }
    return count;
  };
}

const addBulk = ratioCase<Input, number>({
  name: 'bullmq-add-bulk',
  about: `Adds 5 batches of ${BATCH} jobs of some 250 bytes to an empty queue on a local Redis.`,
  setup: (context) => startRedis(context, 5),
  operations: ({ batches }) => batches.length * BATCH,
  contenders: [
    {
      name: 'BullMqJobStore.append',
      ours: true,
      prepare: async ({ redis }) => {
        const queueName = nextQueue();
        return { store: await openStore(redis, queueName), queue: connect(redis, queueName) };
      },
      run: async ({ store }: { store: BullMqJobStore<Message> }, { batches }) => {
        let count = 0;
        for (const batch of batches) {
          count += (await store.append(batch.map((item) => ({ item, priority: PRIORITY })))).length;
        }
        return count;
      },
      dispose: async ({ store, queue }: { store: BullMqJobStore<Message>; queue: Queue }) => {
        await store.close();
        await erase(queue);
      },
    },
    {
      name: 'Queue.addBulk with a priority',
      prepare: async ({ redis }) => {
        const queue = connect(redis, nextQueue());
        await queue.waitUntilReady();
        return queue;
      },
      run: nativeAdd(PRIORITY + 1),
      dispose: erase,
    },
    {
      name: 'Queue.addBulk without priorities',
      prepare: async ({ redis }) => {
        const queue = connect(redis, nextQueue());
        await queue.waitUntilReady();
        return queue;
      },
      run: nativeAdd(undefined),
      dispose: erase,
    },
  ],
  validate: (count, { batches }) => {
    if (count !== batches.length * BATCH) throw new Error(`added ${count} jobs`);
  },
  goals: [{ versus: 'Queue.addBulk with a priority', atLeast: 0.9 }],
  teardown: ({ redis }) => redis.stop(),
});

interface OurWork extends Added {
  readonly store: BullMqJobStore<Message>;
}

interface NativeWork extends Added {
  readonly worker: Worker;
  readonly done: Promise<number>;
}

const processing = ratioCase<Input, number>({
  name: 'bullmq-process',
  about: `Works off 4,000 waiting jobs that do nothing, ${CONCURRENCY} at once, from a local Redis.`,
  setup: (context) => startRedis(context, 4),
  operations: ({ batches }) => batches.length * BATCH,
  contenders: [
    {
      name: 'Batcher on BullMqJobStore',
      ours: true,
      prepare: async ({ redis, batches }): Promise<OurWork> => {
        const queueName = nextQueue();
        const store = await openStore(redis, queueName);
        for (const batch of batches) await store.append(batch.map((item) => ({ item, priority: PRIORITY })));
        return { store, queue: connect(redis, queueName), count: batches.length * BATCH };
      },
      run: async ({ store }: OurWork) => {
        let count = 0;
        const batcher = new Batcher<Message>({
          store,
          maxItems: CONCURRENCY,
          process: async (items) => void (count += items.length),
        });
        await batcher.drain();
        await batcher.close();
        return count;
      },
      dispose: async ({ store, queue }: OurWork) => {
        await store.close();
        await erase(queue);
      },
    },
    {
      name: 'Worker',
      prepare: async ({ redis, batches }): Promise<NativeWork> => {
        const queueName = nextQueue();
        const queue = connect(redis, queueName);
        const total = batches.length * BATCH;
        const opts = { priority: PRIORITY + 1 };
        for (const batch of batches)
          await queue.addBulk(batch.map((data) => ({ name: JOB_NAME, data, opts })));
        const { promise, resolve } = Promise.withResolvers<number>();
        let count = 0;
        const worker = new Worker(queueName, async () => undefined, {
          connection: { host: redis.host, port: redis.port },
          autorun: false,
          concurrency: CONCURRENCY,
          removeOnComplete: { count: 0 },
        });
        worker.on('completed', () => {
          if (++count === total) resolve(count);
        });
        await worker.waitUntilReady();
        return { queue, worker, count: total, done: promise };
      },
      run: ({ worker, done }: NativeWork) => {
        worker.run().catch((error: unknown) => console.error(error));
        return done;
      },
      dispose: async ({ worker, queue }: NativeWork) => {
        await worker.close();
        await erase(queue);
      },
    },
  ],
  validate: (count, { batches }) => {
    if (count !== batches.length * BATCH) throw new Error(`processed ${count} jobs`);
  },
  teardown: ({ redis }) => redis.stop(),
});

export const cases: readonly BenchCase[] = [addBulk, processing];
