import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Queue, Worker } from 'bullmq';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Batcher, type JobOutcome, type JobStore, type NewJob } from '@perf/batch';
import { BullMqJobStore, type BullMqJobStoreOptions } from '@perf/batch/bullmq';
import { makePlace, type Place } from './bullmq-place.ts';
import { describeJobStore } from './job-store-conformance.ts';
import { testRedis, type TestRedis } from './redis-server.ts';

const server = await testRedis();
const job = (item: unknown, extra: Partial<NewJob<unknown>> = {}): NewJob<unknown> => ({
  item,
  priority: 4,
  ...extra,
});

if (typeof server === 'string') {
  // oxlint-disable-next-line vitest/no-disabled-tests -- its name says why, and PERF_REQUIRE_SERVICES=1 makes it fail
  test.skip(`BullMqJobStore: skipped, because ${server}`, () => undefined);
} else {
  afterAll(() => server.stop());
  describeJobStore('BullMqJobStore', async () => {
    const place = makePlace(server);
    return {
      open: async () => place.open(),
      abandon: () => place.abandonAll(),
      passKeyTtl: () => place.expireKeys(),
      cleanUp: () => place.cleanUp(),
    };
  });
  describe('BullMqJobStore on its own', () => {
    describeAlone(server);
  });
}

test('options out of range name themselves', async () => {
  const open = (options: object): Promise<unknown> =>
    BullMqJobStore.open({ queueName: 'q', connection: {}, ...options });
  await expect(open({ queueName: 'a:b' })).rejects.toThrow(RangeError);
  await expect(open({ queueName: 1 })).rejects.toThrow('queueName');
  await expect(open({ connection: 'redis://' })).rejects.toThrow('connection');
  await expect(open({ visibilityTimeoutMs: 1 })).rejects.toThrow('visibilityTimeoutMs');
  await expect(open({ keyTtlMs: -1 })).rejects.toThrow('keyTtlMs');
  await expect(open({ maxJobs: 0 })).rejects.toThrow('maxJobs');
  await expect(open({ maxDead: 0 })).rejects.toThrow('maxDead');
  await expect(open({ maxStalls: 0.5 })).rejects.toThrow('maxStalls');
  await expect(open({ onError: 1 })).rejects.toThrow('onError');
});

test('a Redis that cannot be reached is an error, not a wait', async () => {
  const connection = { host: '127.0.0.1', port: 1 };
  await expect(BullMqJobStore.open({ queueName: 'q', connection })).rejects.toMatchObject({
    code: 'ERR_PERF_BATCH_STORE',
    cause: { code: 'ECONNREFUSED' },
  });
});

function describeAlone(redisServer: TestRedis): void {
  let place: Place;
  const stores: BullMqJobStore<unknown>[] = [];
  const open = async (options?: Partial<BullMqJobStoreOptions>): Promise<BullMqJobStore<unknown>> => {
    const store = await place.open(options);
    stores.push(store);
    return store;
  };
  beforeEach(() => {
    place = makePlace(redisServer);
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    await place.cleanUp();
  });

  test('finished jobs leave nothing in Redis, and a key leaves itself and its result for keyTtlMs', async () => {
    const store = await open({ keyTtlMs: 50_000 });
    await store.append(Array.from({ length: 500 }, (_, i) => job(i)));
    await store.append([job('keyed', { key: 'k' })]);
    const claimed = await store.claim(1000);
    await store.settle(claimed.map(({ id, key }) => ({ id, kind: 'done', result: key })));
    const names = (await place.redis.keys(`${place.prefix}*`)).map((name) => name.slice(place.prefix.length));
    const left = names.filter(
      (name) => !['meta', 'id', 'pc', 'events', 'marker', 'stalled-check'].includes(name),
    );
    expect(left).toHaveLength(2);
    for (const name of left) {
      expect(name).toMatch(/^de:k$|:result$/);
      const ttlMs = await place.redis.pttl(place.prefix + name);
      expect(ttlMs).toBeGreaterThan(0);
      expect(ttlMs).toBeLessThanOrEqual(50_000);
    }
  });

  test('of more dead letters than maxDead the oldest are dropped', async () => {
    const store = await open({ maxDead: 3 });
    await store.append([1, 2, 3, 4, 5].map((item) => job(item)));
    for (const { id } of await store.claim(10)) {
      await store.settle([{ id, kind: 'dead', attempts: 1, error: new Error('x') }]);
    }
    expect((await store.deadLetters(10)).map(({ item }) => item)).toEqual([3, 4, 5]);
    expect(await store.stats()).toMatchObject({ unfinished: 0, dead: 3, leasedHere: 0 });
  });

  test('a full queue refuses whole appends, until jobs are done', async () => {
    const store = await open({ maxJobs: 3 });
    await store.append([job(1), job(2)]);
    await expect(store.append([job(3), job(4)])).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_STORE_FULL' });
    expect((await store.stats()).unfinished).toBe(2);
    await store.append([job(3)]);
    await expect(store.append([job(4)])).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_STORE_FULL' });
    const claimed = await store.claim(10);
    await store.settle(claimed.map(({ id }) => ({ id, kind: 'done', result: undefined })));
    expect(await store.append([job(4)])).toMatchObject([{ status: 'queued' }]);
  });

  test('a job abandoned more than maxStalls times is a dead letter, and revived it counts from zero', async () => {
    const store = await open();
    await store.append([job('killer')]);
    expect(await store.claim(10)).toHaveLength(1);
    await place.abandonAll(1);
    const next = await open();
    expect(await next.claim(10)).toHaveLength(1);
    await place.abandonAll(1);
    expect(await store.claim(10)).toEqual([]);
    const [letter] = await store.deadLetters(10);
    expect(letter).toMatchObject({ item: 'killer', error: 'Error: job stalled more than allowable limit' });
    expect(await store.revive([letter?.id ?? ''])).toBe(1);
    expect(await next.claim(10)).toMatchObject([{ item: 'killer', attempts: 0 }]);
    await place.abandonAll(1);
    expect(await store.claim(10)).toHaveLength(1);
  });

  test('jobs recovered from a worker that vanished keep their priority', async () => {
    const store = await open();
    await store.append([3, 0, 2, 0, 1].map((priority, i) => job(`${priority}-${i}`, { priority })));
    await store.claim(4);
    await place.abandonAll();
    const other = await open();
    await other.append([job('0-late', { priority: 0 }), job('1-late', { priority: 1 })]);
    const one = await other.claim(1);
    const rest = await other.claim(10);
    expect([...one, ...rest].map(({ item }) => item)).toEqual([
      '0-1',
      '0-3',
      '0-late',
      '1-4',
      '1-late',
      '2-2',
      '3-0',
    ]);
  });

  test('a producer is told how its jobs ended in another process', async () => {
    const producer = await open();
    const worker = await open();
    const outcomes = new Map<string, JobOutcome>();
    const told = Promise.withResolvers<void>();
    producer.onSettled((id, outcome) => {
      outcomes.set(id, outcome);
      if (outcomes.size === 2) told.resolve();
    });
    const [good, bad] = await producer.append([job('good'), job('bad')]);
    await worker.claim(2);
    await worker.settle([
      { id: good?.id ?? '', kind: 'done', result: { answer: 42 } },
      { id: bad?.id ?? '', kind: 'dead', attempts: 2, error: new TypeError('no') },
    ]);
    await told.promise;
    expect(outcomes.get(good?.id ?? '')).toEqual({ ok: true, value: { answer: 42 } });
    expect(outcomes.get(bad?.id ?? '')).toEqual({ ok: false, error: new Error('TypeError: no') });
  });

  test('an outcome that overtakes the answer to an append under way is told after it', async () => {
    const producer = await open();
    const told = Promise.withResolvers<string>();
    producer.onSettled((id) => {
      events.push('told');
      told.resolve(id);
    });
    const events: string[] = [];
    const [first] = await producer.append([job('first')]);
    const stream = `${place.prefix}outcomes-${first?.id.slice(-8)}`;
    // Takes Redis long enough; the outcome of one of the jobs comes in the middle.
    const append = producer.append(Array.from({ length: 15_000 }, (_, i) => job(i)));
    await place.redis.xadd(stream, '*', 'outcome', '{"id":"of one of them"}');
    await append;
    events.push('answered');
    expect(await told.promise).toBe('of one of them');
    expect(events).toEqual(['answered', 'told']);
  });

  test('a second producer of a key follows the first job to its outcome', async () => {
    const first = await open();
    const second = await open();
    const worker = await open();
    const told = Promise.withResolvers<JobOutcome>();
    second.onSettled((_, outcome) => told.resolve(outcome));
    const [original] = await first.append([job('a', { key: 'k' })]);
    const [duplicate] = await second.append([job('b', { key: 'k' })]);
    expect(duplicate).toMatchObject({ status: 'duplicate', id: original?.id, first: 'unfinished' });
    const claimed = await worker.claim(10);
    expect(await second.append([job('b', { key: 'k' })])).toMatchObject([{ first: 'elsewhere' }]);
    await worker.settle(claimed.map(({ id }) => ({ id, kind: 'done', result: 7 })));
    expect(await told.promise).toEqual({ ok: true, value: 7 });
  });

  test('a Batcher that waits for work is woken by what another process appends', async () => {
    const producing = await open();
    const working = await open();
    const batcher = new Batcher<unknown, unknown>({
      store: working,
      process: async (items) => items.map((value) => ({ ok: true, value })),
    });
    const told = Promise.withResolvers<JobOutcome>();
    producing.onSettled((_, outcome) => told.resolve(outcome));
    // It has found nothing and waits by now.
    await batcher.drain();
    await producing.append([job('over there')]);
    expect(await told.promise).toEqual({ ok: true, value: 'over there' });
    await batcher.close();
  });

  test('what a former holder says of a lost job changes nothing: not its attempts, its key or its producer', async () => {
    const producer = await open();
    const told: unknown[] = [];
    const end = Promise.withResolvers<void>();
    producer.onSettled((_, outcome) => {
      told.push(outcome);
      end.resolve();
    });
    const [appended] = await producer.append([job('a', { key: 'k' })]);
    const id = appended?.id ?? '';
    const former = await open();
    const holder = await open();
    await former.claim(1);
    await place.abandonAll();
    expect(await holder.claim(1)).toMatchObject([{ id, attempts: 0 }]);
    expect(await former.settle([{ id, kind: 'retry', attempts: 9, delayMs: 0 }])).toEqual([false]);
    expect(await former.settle([{ id, kind: 'done', result: 'late' }])).toEqual([false]);
    expect(await former.settle([{ id, kind: 'done', result: 'again' }])).toEqual([false]);
    expect(await producer.append([job('b', { key: 'k' })])).toMatchObject([{ first: 'elsewhere' }]);
    await holder.settle([{ id, kind: 'release' }]);
    expect(await holder.claim(1)).toMatchObject([{ id, attempts: 0 }]);
    await holder.settle([{ id, kind: 'done', result: 'right' }]);
    await end.promise;
    expect(told).toEqual([{ ok: true, value: 'right' }]);
    expect(await producer.append([job('b', { key: 'k' })])).toMatchObject([
      { first: 'done', result: 'right' },
    ]);
  });

  test('leases of a store that lives are extended before they run out', async () => {
    const store = await open({ visibilityTimeoutMs: 1000 });
    const [appended] = await store.append([job('long')]);
    await store.claim(1);
    const lock = `${place.prefix}${appended?.id}:lock`;
    let leftMs = await place.redis.pttl(lock);
    let extensions = 0;
    while (extensions < 3 && leftMs > 0) {
      const nowLeftMs = await place.redis.pttl(lock);
      if (nowLeftMs > leftMs) extensions++;
      leftMs = nowLeftMs;
    }
    expect(extensions).toBe(3);
  });

  test('two Batchers on one queue run every item once and tell each producer its results', async () => {
    const ran: number[] = [];
    const batchers = await Promise.all(
      [0, 1].map(
        async () =>
          new Batcher<number, number>({
            store: (await open()) as unknown as JobStore<number>,
            maxItems: 10,
            process: async (items) => {
              ran.push(...items);
              return items.map((item) => ({ ok: true, value: item * 2 }));
            },
          }),
      ),
    );
    const items = Array.from({ length: 400 }, (_, i) => i);
    const results = await Promise.all(items.map((item) => batchers[item % 2]?.add(item).result));
    expect(results).toEqual(items.map((item) => item * 2));
    expect(ran.toSorted((a, b) => a - b)).toEqual(items);
    for (const batcher of batchers) await batcher.close();
  });

  test('jobs of native producers are run, and native workers run jobs of ours', async () => {
    const store = await open();
    const queue = new Queue(place.queue, { connection: place.redis });
    await queue.addBulk([
      { name: 'theirs', data: { n: 1 } },
      { name: 'theirs', data: { n: 2 }, opts: { priority: 3 } },
    ]);
    const claimed = await store.claim(10);
    expect(claimed).toMatchObject([
      { item: { n: 1 }, priority: 0 },
      { item: { n: 2 }, priority: 2 },
    ]);
    await store.settle(claimed.map(({ id }) => ({ id, kind: 'done', result: undefined })));
    await store.append([job({ n: 3 })]);
    const ran = Promise.withResolvers<unknown>();
    const worker = new Worker(place.queue, async ({ data }) => ran.resolve(data), {
      connection: place.redis,
      removeOnComplete: { count: 0 },
    });
    expect(await ran.promise).toEqual({ n: 3 });
    await worker.close();
    await queue.close();
    expect((await store.stats()).unfinished).toBe(0);
  });

  test('a job of a native producer that fails for good is not retried by its own options', async () => {
    const store = await open();
    const queue = new Queue(place.queue, { connection: place.redis });
    await queue.add('theirs', {}, { attempts: 5 });
    const [claimed] = await store.claim(1);
    await store.settle([{ id: claimed?.id ?? '', kind: 'dead', attempts: 1, error: new Error('x') }]);
    expect(await store.stats()).toMatchObject({ unfinished: 0, dead: 1 });
    await queue.close();
  });

  test('a deadline is counted from the append', async () => {
    let nowMs = 1e12;
    const store = await open({ clock: { now: () => nowMs } });
    await store.append([job('a', { deadlineMs: 500 }), job('b')]);
    nowMs += 600;
    expect((await store.claim(2)).map(({ deadlineMs }) => deadlineMs)).toEqual([-100, undefined]);
  });

  test('what has no JSON form is refused: an item, and a result that must be kept', async () => {
    const store = await open();
    await expect(store.append([job(() => 1)])).rejects.toThrow(TypeError);
    await expect(store.append([job('a', { key: '' })])).rejects.toThrow(RangeError);
    const [appended] = await store.append([job('a', { key: 'k' })]);
    await store.claim(1);
    const id = appended?.id ?? '';
    await expect(store.settle([{ id, kind: 'done', result: 1n }])).rejects.toThrow(TypeError);
    expect(await store.settle([{ id, kind: 'done', result: 1 }])).toEqual([true]);
  });

  test('connections that break are made again, and what waits for work still wakes', async () => {
    const errors: Error[] = [];
    const producing = await open();
    const working = await open({ onError: (error) => errors.push(error) });
    const batcher = new Batcher<unknown, unknown>({
      store: working,
      process: async (items) => items.map((value) => ({ ok: true, value })),
    });
    await batcher.drain();
    const told = Promise.withResolvers<JobOutcome>();
    producing.onSettled((_, outcome) => told.resolve(outcome));
    await place.redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await producing.append([job('after the break')]);
    expect(await told.promise).toEqual({ ok: true, value: 'after the break' });
    await batcher.close();
  });

  test('workers killed mid-job lose nothing, and nothing is done twice after deduplication', async () => {
    const producer = await open({ visibilityTimeoutMs: 300 });
    const items = Array.from({ length: 300 }, (_, i) => i);
    const left = new Set<string>();
    const finished = Promise.withResolvers<void>();
    producer.onSettled((id) => {
      left.delete(id);
      if (left.size === 0) finished.resolve();
    });
    for (const { id } of await producer.append(items.map((item) => job(item, { key: `key ${item}` }))))
      left.add(id);
    const killed: Promise<unknown>[] = [];
    for (let round = 0; round < 4; round++) {
      // Each is killed while it works: after so many of its jobs have begun.
      const child = startWorker(redisServer, place.queue);
      await linesOf(child, 1 + ((round * 7) % 23));
      child.kill('SIGKILL');
      killed.push(once(child, 'exit'));
    }
    await Promise.all(killed);
    const survivor = startWorker(redisServer, place.queue);
    await finished.promise;
    survivor.kill('SIGTERM');
    expect(await once(survivor, 'exit')).toEqual([0, null]);
    const effects = await place.redis.hgetall(`${place.prefix}effects`);
    expect(
      Object.keys(effects)
        .map(Number)
        .toSorted((a, b) => a - b),
    ).toEqual(items);
    const runs = await place.redis.llen(`${place.prefix}runs`);
    // Some were begun by one that was killed and begun again by another: the kills hit what they were aimed at.
    expect(runs).toBeGreaterThan(items.length);
    expect(await producer.stats()).toMatchObject({ unfinished: 0, dead: 0 });
    const again = await producer.append(items.map((item) => job(item, { key: `key ${item}` })));
    for (const { status } of again) expect(status).toBe('duplicate');
  });
}

function startWorker({ host, port }: TestRedis, queue: string): ChildProcess {
  const script = path.join(import.meta.dirname, 'bullmq-worker-process.ts');
  const args = ['--conditions=@perf/source', script, host, String(port), queue];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function linesOf(child: ChildProcess, count: number): Promise<void> {
  let seen = 0;
  for await (const _ of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    if (++seen === count) return;
  }
  throw new Error(`the worker ended after ${seen} of ${count} lines`);
}
