import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import fc from 'fast-check';
import { ResourceScheduler, type ResourceProfile } from '@perf/batch';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('tasks run when they fit, and small ones fill the gaps', async () => {
  const scheduler = new ResourceScheduler({ budget: { memoryBytes: 100 } });
  const order: string[] = [];
  const submit = (name: string, memoryBytes: number): Promise<void> =>
    scheduler.submit({ name, memoryBytes }, async () => {
      order.push(name);
      await sleep(100);
    });
  const all = [submit('large', 80), submit('less large', 70), submit('small', 20)];
  await vi.advanceTimersByTimeAsync(0);
  expect(order).toEqual(['large', 'small']);
  expect(scheduler.stats().reserved.memoryBytes).toBe(100);
  await vi.advanceTimersByTimeAsync(200);
  await Promise.all(all);
  expect(order).toEqual(['large', 'small', 'less large']);
  expect(scheduler.stats()).toMatchObject({
    running: 0,
    waiting: 0,
    completed: 3,
    reserved: { memoryBytes: 0 },
  });
});

test('after maxWaitMs nothing overtakes a task', async () => {
  const scheduler = new ResourceScheduler({ budget: { memoryBytes: 100 }, maxWaitMs: 1000 });
  let largeStartedMs: number | undefined;
  const startMs = performance.now();
  const streams = [0, 1, 2, 3].map((i) => ({ name: `small ${i}`, memoryBytes: 30 }));
  const stop = new AbortController();
  const loop = async (profile: ResourceProfile): Promise<void> => {
    while (!stop.signal.aborted) await scheduler.submit(profile, () => sleep(70));
  };
  const loops = streams.map(loop);
  await vi.advanceTimersByTimeAsync(0);
  const large = scheduler.submit({ name: 'large', memoryBytes: 95 }, async () => {
    largeStartedMs = performance.now() - startMs;
  });
  await vi.advanceTimersByTimeAsync(3000);
  await large;
  stop.abort();
  await vi.advanceTimersByTimeAsync(200);
  await Promise.all(loops);
  expect(largeStartedMs).toBeGreaterThanOrEqual(1000);
  expect(largeStartedMs).toBeLessThanOrEqual(1140);
});

test('of equal urgency the one that looks like what is free goes first', async () => {
  const scheduler = new ResourceScheduler({ budget: { memoryBytes: 100, cpu: 10 } });
  const order: string[] = [];
  const submit = (name: string, memoryBytes: number, cpu: number): Promise<void> =>
    scheduler.submit({ name, memoryBytes, cpu }, async () => {
      order.push(name);
      await sleep(100);
    });
  const all = [submit('fills memory', 80, 1)];
  await vi.advanceTimersByTimeAsync(0);
  all.push(submit('wants memory', 20, 1), submit('wants cores', 5, 9));
  await vi.advanceTimersByTimeAsync(300);
  await Promise.all(all);
  expect(order).toEqual(['fills memory', 'wants cores', 'wants memory']);
});

test('urgent first; waiting raises a task one level per agingMs', async () => {
  const scheduler = new ResourceScheduler({
    budget: { cpu: 1 },
    agingMs: 100,
    maxWaitMs: Infinity,
    priorities: 4,
  });
  const order: string[] = [];
  const submit = (name: string, priority: number): Promise<void> =>
    scheduler.submit(
      { name, cpu: 1 },
      async () => {
        order.push(name);
        await sleep(150);
      },
      { priority },
    );
  const all = [submit('first', 3), submit('low', 3)];
  await vi.advanceTimersByTimeAsync(120);
  all.push(submit('mid', 2), submit('high', 0));
  await vi.advanceTimersByTimeAsync(1000);
  await Promise.all(all);
  expect(order).toEqual(['first', 'high', 'low', 'mid']);
});

test('maxConcurrent bounds one profile without blocking the others', async () => {
  const scheduler = new ResourceScheduler({ budget: { cpu: 100 } });
  let running = 0;
  let most = 0;
  const all = Array.from({ length: 6 }, () =>
    scheduler.submit({ name: 'narrow', cpu: 1, maxConcurrent: 2 }, async () => {
      most = Math.max(most, ++running);
      await sleep(10);
      running--;
    }),
  );
  const other = vi.fn<() => void>();
  all.push(scheduler.submit({ name: 'other', cpu: 1 }, other));
  await vi.advanceTimersByTimeAsync(1);
  expect(other).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(100);
  await Promise.all(all);
  expect(most).toBe(2);
});

test('it learns what a profile really uses, and a task that uses more raises its reservation at once', async () => {
  const scheduler = new ResourceScheduler({ budget: { memoryBytes: 1000 }, margin: 0.1 });
  const profile = { name: 'guess', memoryBytes: 500 };
  for (let i = 0; i < 5; i++) {
    await scheduler.submit(profile, ({ report }) => {
      report({ memoryBytes: 50 });
      report({ memoryBytes: 100 - i });
    });
  }
  expect(scheduler.stats().profiles[0]?.reserves.memoryBytes).toBeCloseTo(110);
  const gate = Promise.withResolvers<void>();
  const hungry = scheduler.submit(profile, async ({ report }) => {
    report({ memoryBytes: 950 });
    await gate.promise;
  });
  await vi.advanceTimersByTimeAsync(0);
  expect(scheduler.stats().reserved.memoryBytes).toBe(950);
  const next = vi.fn<() => void>();
  const waiting = scheduler.submit(profile, next);
  await vi.advanceTimersByTimeAsync(0);
  expect(next).not.toHaveBeenCalled();
  gate.resolve();
  await hungry;
  await waiting;
  expect(scheduler.stats().profiles[0]?.reserves.memoryBytes).toBe(1000);
});

test('what the machine has free counts beside the budget, and is asked again without a task ending', async () => {
  let freeBytes = 10;
  const scheduler = new ResourceScheduler({
    budget: { memoryBytes: 1000 },
    available: () => ({ memoryBytes: freeBytes }),
  });
  const ran = vi.fn<() => void>();
  const task = scheduler.submit({ name: 'a', memoryBytes: 100 }, ran);
  await vi.advanceTimersByTimeAsync(1000);
  expect(ran).not.toHaveBeenCalled();
  freeBytes = 200;
  await vi.advanceTimersByTimeAsync(1000);
  await task;
  expect(vi.getTimerCount()).toBe(0);
});

test('what can never fit, what is aborted and what is too much is rejected', async () => {
  const scheduler = new ResourceScheduler({ budget: { memoryBytes: 10 }, maxWaiting: 1 });
  const never = scheduler.submit({ name: 'huge', memoryBytes: 11 }, () => undefined);
  await expect(never).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_ITEM_TOO_LARGE' });
  const gate = Promise.withResolvers<void>();
  const running = scheduler.submit({ name: 'a', memoryBytes: 10 }, () => gate.promise);
  await vi.advanceTimersByTimeAsync(0);
  const stop = new AbortController();
  const waiting = scheduler.submit({ name: 'a', memoryBytes: 10 }, () => 1, { signal: stop.signal });
  const full = scheduler.submit({ name: 'a', memoryBytes: 10 }, () => 1);
  await expect(full).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_FULL' });
  stop.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  gate.resolve();
  await running;
  const failing = scheduler.submit({ name: 'a', memoryBytes: 10 }, () => {
    throw new Error('sync');
  });
  await expect(failing).rejects.toThrow('sync');
  expect(scheduler.stats()).toMatchObject({ running: 0, waiting: 0, failed: 1, completed: 1 });
});

test('property: reservations never exceed the budget and everything submitted ends', async () => {
  const task = fc.record({
    profile: fc.integer({ min: 0, max: 4 }),
    priority: fc.integer({ min: 0, max: 7 }),
    atMs: fc.integer({ min: 0, max: 200 }),
    durationMs: fc.integer({ min: 0, max: 50 }),
  });
  const profiles = [10, 25, 40, 70, 100].map((memoryBytes, i) => ({
    name: `p${i}`,
    memoryBytes,
    cpu: (5 - i) / 4,
  }));
  await fc.assert(
    fc.asyncProperty(fc.array(task, { maxLength: 60 }), async (tasks) => {
      const scheduler = new ResourceScheduler({ budget: { memoryBytes: 100, cpu: 2 }, maxWaitMs: 300 });
      const used = { memoryBytes: 0, cpu: 0 };
      let ran = 0;
      const all = tasks.map(async ({ profile: index, priority, atMs, durationMs }) => {
        await sleep(atMs);
        const profile = profiles.at(index);
        if (profile === undefined) throw new Error('no such profile');
        await scheduler.submit(
          profile,
          async () => {
            used.memoryBytes += profile.memoryBytes;
            used.cpu += profile.cpu;
            expect(used.memoryBytes).toBeLessThanOrEqual(100);
            expect(used.cpu).toBeLessThanOrEqual(2 + 1e-6);
            await sleep(durationMs);
            used.memoryBytes -= profile.memoryBytes;
            used.cpu -= profile.cpu;
            ran++;
          },
          { priority },
        );
      });
      await vi.advanceTimersByTimeAsync(10_000);
      await Promise.all(all);
      expect(ran).toBe(tasks.length);
    }),
    { numRuns: 50 },
  );
});

test('options out of range name themselves', () => {
  expect(() => new ResourceScheduler({} as never)).toThrow('budget');
  expect(() => new ResourceScheduler({ budget: { cpu: 0 } })).toThrow('budget.cpu');
  expect(() => new ResourceScheduler({ budget: {}, agingMs: 0 })).toThrow('agingMs');
  const scheduler = new ResourceScheduler({ budget: {} });
  expect(() => scheduler.submit({ name: 'x', cpu: -1 }, () => 1)).toThrow('cpu');
  expect(() => scheduler.submit({ name: 'x' }, 1 as never)).toThrow('fn');
  expect(() => scheduler.submit({ name: 'x' }, () => 1, { priority: 9 })).toThrow('priority');
});
