/**
 * The in-memory engine. Peers run one async call per task; so does ours (`maxItems: 1`), and a second case shows
 * what batches of 100 do to it. Every contender awaits the promise of every task.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { measureCase, ratioCase, type BenchCase, type CaseContext, type Contender } from '@perf/bench';
import { Batcher, MessageBroker } from '@perf/batch';

const TASKS = 200_000;
const BACKLOG = 100_000;
const CONCURRENCY = 8;
const LATENCY_TASKS = 500_000;

const task = async (n: number): Promise<number> => n;

interface FastqModule {
  readonly default: {
    promise(
      worker: (n: number) => Promise<number>,
      concurrency: number,
    ): { push(n: number): Promise<number> };
  };
}
interface PQueueModule {
  readonly default: new (options: { concurrency: number; autoStart?: boolean }) => {
    add<V>(fn: () => Promise<V>, options?: { priority: number }): Promise<V>;
    start(): void;
  };
}
interface PLimitModule {
  readonly default: (concurrency: number) => <V>(fn: () => Promise<V>) => Promise<V>;
}
interface AsyncModule {
  readonly default: {
    queue(
      worker: (n: number) => Promise<number>,
      concurrency: number,
    ): { pushAsync(n: number): Promise<number> };
    priorityQueue(
      worker: (n: number) => Promise<number>,
      concurrency: number,
    ): { pushAsync(n: number, priority: number): Promise<number>; pause(): void; resume(): void };
  };
}

async function sumOf(promises: readonly Promise<number>[]): Promise<number> {
  let sum = 0;
  for (const promise of promises) sum += await promise;
  return sum;
}

function submitAll(count: number, submit: (n: number) => Promise<number>): Promise<number> {
  const promises = new Array<Promise<number>>(count);
  for (let n = 0; n < count; n++) promises[n] = submit(n);
  return sumOf(promises);
}

function single(): Batcher<number, number> {
  return new Batcher<number, number>({
    process: async (items) => [{ ok: true, value: await task(items[0] ?? Number.NaN) }],
    maxItems: 1,
    concurrency: CONCURRENCY,
  });
}

function batched(): Batcher<number, number> {
  return new Batcher<number, number>({
    process: (items) =>
      Promise.all(items.map(async (item) => ({ ok: true as const, value: await task(item) }))),
    maxItems: 100,
    concurrency: CONCURRENCY,
  });
}

type TaskContender = Contender<number, (n: number) => Promise<number>, number>;

function peers(context: CaseContext): Record<string, () => Promise<(n: number) => Promise<number>>> {
  return {
    'fastq.promise': async () => {
      const queue = (await context.peer<FastqModule>('fastq')).default.promise(task, CONCURRENCY);
      return (n) => queue.push(n);
    },
    'p-queue': async () => {
      const queue = new (await context.peer<PQueueModule>('p-queue')).default({ concurrency: CONCURRENCY });
      return (n) => queue.add(() => task(n));
    },
    'p-limit': async () => {
      const limit = (await context.peer<PLimitModule>('p-limit')).default(CONCURRENCY);
      return (n) => limit(() => task(n));
    },
    'async.queue': async () => {
      const queue = (await context.peer<AsyncModule>('async')).default.queue(task, CONCURRENCY);
      return (n) => queue.pushAsync(n);
    },
  };
}

function preparePeer(context: CaseContext, name: string): Promise<(n: number) => Promise<number>> {
  const prepare = peers(context)[name];
  if (prepare === undefined) throw new Error(`no peer ${name}`);
  return prepare();
}

const PEER_PACKAGES: Record<string, string> = {
  'fastq.promise': 'fastq',
  'p-queue': 'p-queue',
  'p-limit': 'p-limit',
  'async.queue': 'async',
};

function taskContenders(ours: () => Batcher<number, number>): TaskContender[] {
  const peerContenders = Object.entries(PEER_PACKAGES).map(([name, peer]): TaskContender => ({
    name,
    peers: [peer],
    prepare: (_input, context) => preparePeer(context, name),
    run: (submit, count) => submitAll(count, submit),
  }));
  const batcher: TaskContender = {
    name: '@perf/batch',
    ours: true,
    prepare: () => {
      const queue = ours();
      return (n) => queue.add(n).result;
    },
    run: (submit, count) => submitAll(count, submit),
  };
  return [batcher, ...peerContenders];
}

function checkSum(answer: number, count: number): void {
  const expected = (count * (count - 1)) / 2;
  if (answer !== expected) throw new Error(`sum ${answer}, expected ${expected}`);
}

const priorityOf = (n: number): number => (n * 7919) % 8;

/** Order in which tasks ran, as a check that priorities were honoured. */
interface PriorityState {
  readonly submit: (n: number) => Promise<number>;
  readonly start: () => void;
}

function percentile(sorted: Float64Array, p: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN;
}

export const cases: readonly BenchCase[] = [
  ratioCase<number, number>({
    name: 'tiny-tasks',
    about: `${TASKS} tiny async tasks, one call each, ${CONCURRENCY} at once, every result awaited.`,
    setup: () => TASKS,
    operations: (count) => count,
    contenders: taskContenders(single),
    validate: checkSum,
    goals: [
      { versus: 'fastq.promise', atLeast: 1.4 },
      { versus: 'p-queue', atLeast: 6 },
    ],
  }),
  ratioCase<number, number>({
    name: 'tiny-tasks-batched',
    about: 'The same with batches of 100 on our side, as somebody would who can.',
    setup: () => TASKS,
    operations: (count) => count,
    contenders: taskContenders(batched).slice(0, 2),
    validate: checkSum,
  }),
  ratioCase<number, number>({
    name: 'priority-backlog',
    about: `${BACKLOG} tasks of 8 priorities queued before the first runs.`,
    setup: () => BACKLOG,
    operations: (count) => count,
    contenders: [
      {
        name: '@perf/batch',
        ours: true,
        prepare: (): PriorityState => {
          const queue = single();
          return { submit: (n) => queue.add(n, { priority: priorityOf(n) }).result, start: () => undefined };
        },
        run: ({ submit }: PriorityState, count) => submitAll(count, submit),
      },
      {
        name: 'p-queue',
        peers: ['p-queue'],
        prepare: async (_input, context): Promise<PriorityState> => {
          const { default: PQueue } = await context.peer<PQueueModule>('p-queue');
          const queue = new PQueue({ concurrency: CONCURRENCY, autoStart: false });
          const submit = (n: number): Promise<number> =>
            queue.add(() => task(n), { priority: -priorityOf(n) });
          return { submit, start: () => queue.start() };
        },
        run: ({ submit, start }: PriorityState, count) => {
          const all = submitAll(count, submit);
          start();
          return all;
        },
      },
      {
        name: 'async.priorityQueue',
        peers: ['async'],
        prepare: async (_input, context): Promise<PriorityState> => {
          const queue = (await context.peer<AsyncModule>('async')).default.priorityQueue(task, CONCURRENCY);
          queue.pause();
          return { submit: (n) => queue.pushAsync(n, priorityOf(n)), start: () => queue.resume() };
        },
        run: ({ submit, start }: PriorityState, count) => {
          const all = submitAll(count, submit);
          start();
          return all;
        },
      },
    ],
    validate: checkSum,
    goals: [{ versus: 'p-queue', atLeast: 20 }],
  }),
  measureCase({
    name: 'memory-per-item',
    about: 'Heap of an item that waits in the queue while its result is awaited.',
    forks: 3,
    measure: () => {
      setFlagsFromString('--expose-gc');
      const gc = runInNewContext('gc') as () => void;
      const count = 1_000_000;
      const queue = new Batcher<number, number>({ process: () => new Promise(() => undefined), maxItems: 1 });
      const results = new Array<Promise<number>>(count);
      gc();
      const before = process.memoryUsage().heapUsed;
      for (let n = 0; n < count; n++) results[n] = queue.add(n).result;
      gc();
      const bytes = (process.memoryUsage().heapUsed - before) / count;
      if (queue.stats().held !== count || results.length !== count) throw new Error('items are missing');
      return [{ name: 'bytes per queued item', value: bytes, unit: 'bytes', target: { atMost: 400 } }];
    },
  }),
  measureCase({
    name: 'task-latency',
    about: `${LATENCY_TASKS} tiny tasks at once: time from submission to result, p99, against fastq.promise and p-queue.`,
    peers: ['fastq', 'p-queue'],
    forks: 5,
    measure: async (context) => {
      const contenders: Record<string, () => Promise<(n: number) => Promise<number>>> = {
        ours: async () => {
          const queue = single();
          return (n) => queue.add(n).result;
        },
        'fastq.promise': () => preparePeer(context, 'fastq.promise'),
        'p-queue': () => preparePeer(context, 'p-queue'),
      };
      const p99 = new Map<string, number[]>();
      for (let round = 0; round < 4; round++) {
        for (const [name, prepare] of Object.entries(contenders)) {
          const submit = await prepare();
          const latencies = new Float64Array(LATENCY_TASKS);
          const all = new Array<Promise<void>>(LATENCY_TASKS);
          for (let n = 0; n < LATENCY_TASKS; n++) {
            const start = performance.now();
            all[n] = submit(n).then(() => {
              latencies[n] = performance.now() - start;
            });
          }
          for (const each of all) await each;
          // The first round compiles.
          if (round > 0) p99.set(name, [...(p99.get(name) ?? []), percentile(latencies.sort(), 0.99)]);
        }
      }
      const median = (name: string): number => {
        const sorted = (p99.get(name) ?? []).sort((a, b) => a - b);
        return sorted[sorted.length >> 1] ?? Number.NaN;
      };
      return [
        {
          name: 'p99, share of fastq.promise',
          value: median('ours') / median('fastq.promise'),
          unit: 'ratio',
          target: { atMost: 0.5 },
        },
        {
          name: 'p99, share of p-queue',
          value: median('ours') / median('p-queue'),
          unit: 'ratio',
          target: { atMost: 0.5 },
        },
        { name: 'p99', value: median('ours'), unit: 'ms' },
      ];
    },
  }),
  measureCase({
    name: 'acceptance',
    about:
      'Time until `accepted` resolves: at 100,000 items a second, and with a million items in the queue.',
    measure: async () => {
      const paced = single();
      const latencies: number[] = [];
      const startedAtMs = performance.now();
      while (latencies.length < 100_000) {
        const due = Math.min(100_000, Math.floor((performance.now() - startedAtMs) * 100));
        const burst: Promise<unknown>[] = [];
        for (let n = latencies.length; n < due; n++) {
          const addedAtMs = performance.now();
          const { accepted } = paced.add(n);
          burst.push(accepted.then(() => latencies.push(performance.now() - addedAtMs)));
        }
        await Promise.all(burst);
        await new Promise((resolve) => setImmediate(resolve));
      }
      const backlog = new Batcher<number, number>({
        process: () => new Promise(() => undefined),
        maxItems: 1,
        capacity: { items: 1_100_000 },
      });
      for (let n = 0; n < 1_000_000; n++) backlog.add(n);
      const loaded: number[] = [];
      for (let n = 0; n < 20_000; n++) {
        const addedAtMs = performance.now();
        await backlog.add(n, { priority: n % 8 }).accepted;
        loaded.push(performance.now() - addedAtMs);
      }
      return [
        {
          name: 'p99 at 100,000/s',
          value: percentile(Float64Array.from(latencies).sort(), 0.99),
          unit: 'ms',
          target: { atMost: 1 },
        },
        {
          name: 'p99 with a backlog of 1M',
          value: percentile(Float64Array.from(loaded).sort(), 0.99),
          unit: 'ms',
          target: { atMost: 20 },
        },
      ];
    },
  }),
  measureCase({
    name: 'broker',
    about: 'MessageBroker in memory: 10 topics with one subscriber each, published in bursts of 200.',
    measure: async () => {
      const broker = new MessageBroker<number>();
      const latencies: number[] = [];
      for (let topic = 0; topic < 10; topic++) {
        broker.subscribe(
          `topic ${topic}`,
          async (sentAtMs) => void latencies.push(performance.now() - sentAtMs),
          {
            concurrency: 16,
          },
        );
      }
      const startedAtMs = performance.now();
      for (let sent = 0; sent < 500_000; sent += 200) {
        for (let n = 0; n < 200; n++)
          broker.publish(`topic ${n % 10}`, performance.now(), { priority: n % 8 });
        await new Promise((resolve) => setImmediate(resolve));
      }
      await broker.drain();
      const seconds = (performance.now() - startedAtMs) / 1000;
      if (latencies.length !== 500_000) throw new Error(`${latencies.length} messages arrived`);
      return [
        { name: 'messages', value: 500_000 / seconds, unit: '/s', target: { atLeast: 200_000 } },
        {
          name: 'p99 from publish to handler',
          value: percentile(Float64Array.from(latencies).sort(), 0.99),
          unit: 'ms',
          target: { atMost: 5 },
        },
      ];
    },
  }),
  measureCase({
    name: 'stalled-sink',
    about:
      '10M items of 64 KiB offered to a sink that never returns, 256 MiB of capacity: how far memory grows.',
    forks: 3,
    measure: () => {
      setFlagsFromString('--expose-gc');
      const gc = runInNewContext('gc') as () => void;
      const capacityBytes = 256 * 2 ** 20;
      const itemBytes = 65_536;
      const queue = new Batcher<Buffer>({
        process: () => new Promise(() => undefined),
        capacity: { bytes: capacityBytes },
        overflow: 'reject',
        sizeOf: (item) => item.length,
      });
      const refused = Buffer.alloc(itemBytes, 1);
      gc();
      const before = process.memoryUsage().rss;
      let taken = 0;
      for (let n = 0; n < 10_000_000; n++) {
        // What is refused would be garbage at once; one item stands for all of them.
        const item = taken * itemBytes < capacityBytes ? Buffer.alloc(itemBytes, 1) : refused;
        if (queue.tryAdd(item)) taken++;
      }
      gc();
      const grown = process.memoryUsage().rss - before;
      if (taken !== capacityBytes / itemBytes) throw new Error(`${taken} items were taken`);
      const target = { atMost: 1.1 };
      return [{ name: 'RSS growth over the capacity', value: grown / capacityBytes, unit: 'ratio', target }];
    },
  }),
];
