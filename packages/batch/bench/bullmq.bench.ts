import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { measureCase, type BenchCase } from '@perf/bench';
import { BullMqJobStore } from '@perf/batch/bullmq';
import { Queue } from 'bullmq';

const JOBS = 2000;
const ROUNDS = 12;

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const startedAtMs = performance.now();
  await run();
  return performance.now() - startedAtMs;
}

export const cases: readonly BenchCase[] = [
  measureCase({
    name: 'bullmq-append',
    about: `BullMqJobStore.append against native addBulk, ${JOBS} jobs at a time in turns, on the Redis of 127.0.0.1:6379.`,
    forks: 3,
    measure: async () => {
      if (!(await answers(6379))) throw new Error('this case needs a Redis on 127.0.0.1:6379');
      const connection = { host: '127.0.0.1', port: 6379 };
      const queueName = `bench-${randomUUID()}`;
      const native = new Queue(`${queueName}-native`, { connection });
      const store = await BullMqJobStore.open({ queueName, connection });
      const item = { agent: 1, tool: 'read_file', path: 'src/index.ts' };
      const ratios: number[] = [];
      let perSecond = 0;
      for (let round = 0; round <= ROUNDS; round++) {
        const opts = { priority: 4, removeOnComplete: true, removeOnFail: false };
        const addNative = (): Promise<unknown> =>
          native.addBulk(Array.from({ length: JOBS }, () => ({ name: 'job', data: { item }, opts })));
        const addOurs = (): Promise<unknown> =>
          store.append(Array.from({ length: JOBS }, () => ({ item, priority: 4 })));
        // In turns, each first every other time.
        const first = await timed(round % 2 === 0 ? addNative : addOurs);
        const second = await timed(round % 2 === 0 ? addOurs : addNative);
        const [nativeMs, oursMs] = round % 2 === 0 ? [first, second] : [second, first];
        if (round > 0) ratios.push(nativeMs / oursMs);
        perSecond = (JOBS * 1000) / oursMs;
      }
      const { unfinished } = await store.stats();
      if (unfinished !== JOBS * (ROUNDS + 1)) throw new Error(`${unfinished} jobs are in Redis`);
      await store.close();
      const cleaner = new Queue(queueName, { connection });
      for (const queue of [native, cleaner]) {
        await queue.obliterate({ force: true });
        await queue.close();
      }
      const median = ratios.sort((a, b) => a - b)[ratios.length >> 1] ?? Number.NaN;
      return [
        { name: 'speed against native addBulk', value: median, unit: 'ratio', target: { atLeast: 0.9 } },
        { name: 'appended', value: perSecond, unit: 'jobs/s' },
      ];
    },
  }),
];
