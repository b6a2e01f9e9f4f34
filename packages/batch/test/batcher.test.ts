import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { BatchError, Batcher, type ItemResult } from '@perf/batch';

/** A sink that holds every batch until told. */
function stalledSink<T>(): {
  process: (items: readonly T[]) => Promise<readonly ItemResult<T>[]>;
  batches: T[][];
  release: () => void;
  releaseAll: () => void;
} {
  const batches: T[][] = [];
  const waiting: (() => void)[] = [];
  let open = false;
  return {
    batches,
    process: (items) => {
      batches.push([...items]);
      const results = items.map((value) => ({ ok: true as const, value }));
      if (open) return Promise.resolve(results);
      return new Promise((resolve) => waiting.push(() => resolve(results)));
    },
    release: () => waiting.shift()?.(),
    releaseAll: () => {
      open = true;
      for (const go of waiting.splice(0)) go();
    },
  };
}

function nth<V>(values: readonly V[], index: number): V {
  const value = values[index];
  if (value === undefined) throw new Error(`there is no element ${index}`);
  return value;
}

const settled = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

async function stateOf(promise: Promise<unknown>): Promise<'pending' | 'fulfilled' | 'rejected'> {
  let state: 'pending' | 'fulfilled' | 'rejected' = 'pending';
  promise.then(
    () => (state = 'fulfilled'),
    () => (state = 'rejected'),
  );
  await settled();
  return state;
}

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'fulfilled',
    (error: unknown) => (error instanceof BatchError ? error.code : error),
  );

describe('batches', () => {
  test('items added in one turn go together, and each gets its own result', async () => {
    const sizes: number[] = [];
    const batcher = new Batcher<number, number>({
      process: async (items) => {
        sizes.push(items.length);
        return items.map((item) => ({ ok: true, value: item * 2 }));
      },
      maxItems: 4,
    });
    const tickets = Array.from({ length: 10 }, (_, i) => batcher.add(i));
    expect(await Promise.all(tickets.map((ticket) => ticket.result))).toEqual([
      0, 2, 4, 6, 8, 10, 12, 14, 16, 18,
    ]);
    expect(sizes).toEqual([4, 4, 2]);
    await batcher.close();
  });

  test('process is never called while add is on the stack', async () => {
    const sink = stalledSink<number>();
    const batcher = new Batcher<number, number>({ process: sink.process, maxItems: 1 });
    batcher.add(1);
    expect(sink.batches).toEqual([]);
    await settled();
    expect(sink.batches).toEqual([[1]]);
  });

  test('a batch closes before the item that would exceed maxBytes; a larger item goes alone', async () => {
    const sink = stalledSink<string>();
    sink.releaseAll();
    const batcher = new Batcher<string, string>({
      process: sink.process,
      maxBytes: 10,
      sizeOf: (item) => item.length,
    });
    for (const item of ['aaaa', 'bbbb', 'cccc', 'd'.repeat(40), 'e', 'f']) batcher.add(item);
    await batcher.drain();
    expect(sink.batches).toEqual([['aaaa', 'bbbb'], ['cccc'], ['d'.repeat(40)], ['e', 'f']]);
  });

  test('returning nothing means that all went well', async () => {
    const batcher = new Batcher<number>({ process: async () => undefined });
    await expect(batcher.add(1).result).resolves.toBeUndefined();
  });

  test('throwing, synchronously or not, fails every item of the batch', async () => {
    for (const process of [
      () => Promise.reject(new Error('down')),
      () => {
        throw new Error('down');
      },
    ]) {
      const batcher = new Batcher<number>({ process });
      const tickets = [batcher.add(1), batcher.add(2)];
      for (const ticket of tickets) await expect(ticket.result).rejects.toThrow('down');
      expect(batcher.stats()).toMatchObject({ failed: 2, completed: 0, held: 0 });
    }
  });

  test('a wrong number of results fails the batch with a typed error and no retry', async () => {
    const batcher = new Batcher<number, number>({
      process: async () => [{ ok: true, value: 1 }],
      retry: { maxAttempts: 5 },
    });
    const tickets = [batcher.add(1), batcher.add(2)];
    for (const ticket of tickets) expect(await codeOf(ticket.result)).toBe('ERR_PERF_BATCH_RESULT_COUNT');
    expect(batcher.stats().retries).toBe(0);
  });

  test('no more than `concurrency` batches run at once', async () => {
    const sink = stalledSink<number>();
    const batcher = new Batcher<number, number>({ process: sink.process, maxItems: 1, concurrency: 3 });
    for (let i = 0; i < 10; i++) batcher.add(i);
    await settled();
    expect(sink.batches.length).toBe(3);
    sink.release();
    await settled();
    expect(sink.batches.length).toBe(4);
    batcher.setConcurrency(5);
    await settled();
    expect(sink.batches.length).toBe(6);
    sink.releaseAll();
    expect(await batcher.drain()).toMatchObject({ completed: 10, remaining: 0 });
  });
});

describe('linger', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  test('a batch that is not full waits for company until lingerMs after its first item', async () => {
    const sink = stalledSink<number>();
    const batcher = new Batcher<number, number>({
      process: sink.process,
      maxItems: 3,
      lingerMs: 50,
      concurrency: 9,
    });
    batcher.add(1);
    await vi.advanceTimersByTimeAsync(30);
    batcher.add(2);
    await vi.advanceTimersByTimeAsync(19);
    expect(sink.batches).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(sink.batches).toEqual([[1, 2]]);
    for (const item of [3, 4, 5]) batcher.add(item);
    await settled();
    expect(sink.batches).toEqual([
      [1, 2],
      [3, 4, 5],
    ]);
  });

  test('flush and drain do not wait for linger', async () => {
    const sink = stalledSink<number>();
    sink.releaseAll();
    const batcher = new Batcher<number, number>({ process: sink.process, lingerMs: 1e6 });
    batcher.add(1);
    await batcher.flush();
    batcher.add(2);
    expect(await batcher.drain()).toEqual({
      completed: 2,
      failed: 0,
      remaining: 0,
      deadLettered: 0,
      timedOut: false,
    });
    expect(vi.getTimerCount()).toBeLessThanOrEqual(1);
  });

  test('batches shrink and grow so that one takes about targetBatchMs', async () => {
    let msPerItem = 10;
    const sizes: number[] = [];
    const batcher = new Batcher<number>({
      process: async (items) => {
        sizes.push(items.length);
        await new Promise((resolve) => setTimeout(resolve, msPerItem * items.length));
      },
      maxItems: 1000,
      targetBatchMs: 100,
    });
    for (let i = 0; i < 2000; i++) batcher.add(i);
    await vi.advanceTimersByTimeAsync(3000);
    expect(sizes.slice(0, 4)).toEqual([1, 2, 4, 8]);
    expect(sizes.at(-1)).toBe(10);
    msPerItem = 1;
    await vi.advanceTimersByTimeAsync(3000);
    expect(Math.max(...sizes)).toBeGreaterThan(30);
  });
});

describe('backpressure', () => {
  test('`wait` keeps `accepted` pending until there is room, in order', async () => {
    const sink = stalledSink<number>();
    const batcher = new Batcher<number, number>({
      process: sink.process,
      maxItems: 1,
      capacity: { items: 2 },
    });
    const tickets = [1, 2, 3, 4].map((item) => batcher.add(item));
    expect(await Promise.all(tickets.map((ticket) => stateOf(ticket.accepted)))).toEqual([
      'fulfilled',
      'fulfilled',
      'pending',
      'pending',
    ]);
    expect(batcher.stats()).toMatchObject({ held: 2, waiting: 2 });
    sink.release();
    expect(await Promise.all(tickets.map((ticket) => stateOf(ticket.accepted)))).toEqual([
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'pending',
    ]);
    sink.releaseAll();
    expect(await Promise.all(tickets.map((ticket) => ticket.result))).toEqual([1, 2, 3, 4]);
  });

  test('waiting adds are bounded too', async () => {
    const sink = stalledSink<number>();
    const batcher = new Batcher<number, number>({
      process: sink.process,
      capacity: { items: 1 },
      maxWaiting: 1,
    });
    const tickets = [1, 2, 3].map((item) => batcher.add(item));
    expect(await codeOf(nth(tickets, 2).accepted)).toBe('ERR_PERF_BATCH_FULL');
    sink.releaseAll();
    expect(await batcher.close()).toMatchObject({ completed: 2 });
  });

  test('`reject` refuses at once, and `result` alone raises no unhandled rejection', async () => {
    const sink = stalledSink<number>();
    const batcher = new Batcher<number, number>({
      process: sink.process,
      capacity: { items: 1 },
      overflow: 'reject',
    });
    batcher.add(1);
    const { accepted, result } = batcher.add(2);
    expect(await codeOf(accepted)).toBe('ERR_PERF_BATCH_FULL');
    expect(await codeOf(result)).toBe('ERR_PERF_BATCH_FULL');
    const unread = batcher.add(3);
    expect(unread).toBeDefined();
    expect(batcher.tryAdd(4)).toBe(false);
    expect(batcher.stats().refused).toBe(3);
  });

  test('`shed` drops the least urgent, newest first, and only for something more urgent', async () => {
    const sink = stalledSink<string>();
    const dead: string[] = [];
    const batcher = new Batcher<string, string>({
      process: sink.process,
      maxItems: 1,
      capacity: { items: 4 },
      overflow: 'shed',
      priorities: 3,
      deadLetter: (item) => dead.push(item),
    });
    const running = batcher.add('running', { priority: 2 });
    await settled();
    const low1 = batcher.add('low1', { priority: 2 });
    const low2 = batcher.add('low2', { priority: 2 });
    const mid = batcher.add('mid', { priority: 1 });
    const high = batcher.add('high', { priority: 0 });
    expect(await codeOf(low2.result)).toBe('ERR_PERF_BATCH_SHED');
    expect(dead).toEqual(['low2']);
    expect(await codeOf(batcher.add('low3', { priority: 2 }).accepted)).toBe('ERR_PERF_BATCH_SHED');
    expect(batcher.tryAdd('low4', { priority: 2 })).toBe(false);
    sink.releaseAll();
    expect(await Promise.all([running, low1, mid, high].map((ticket) => ticket.result))).toHaveLength(4);
    expect(sink.batches.flat()).toEqual(['running', 'high', 'mid', 'low1']);
  });

  test('shedding by bytes drops nothing when it would not make enough room', async () => {
    const sink = stalledSink<string>();
    const batcher = new Batcher<string, string>({
      process: sink.process,
      maxItems: 1,
      capacity: { bytes: 100 },
      sizeOf: (item) => item.length,
      overflow: 'shed',
    });
    batcher.add('r'.repeat(60), { priority: 0 });
    await settled();
    const small = batcher.add('s'.repeat(20), { priority: 7 });
    expect(await codeOf(batcher.add('x'.repeat(50), { priority: 1 }).accepted)).toBe('ERR_PERF_BATCH_SHED');
    expect(await stateOf(small.result)).toBe('pending');
    expect(await stateOf(batcher.add('y'.repeat(40), { priority: 1 }).accepted)).toBe('fulfilled');
    expect(await codeOf(small.result)).toBe('ERR_PERF_BATCH_SHED');
  });

  test('an item that can never fit is refused with its own code', async () => {
    const batcher = new Batcher<string>({ process: async () => undefined, capacity: { bytes: 10 } });
    expect(await codeOf(batcher.add('x'.repeat(11)).accepted)).toBe('ERR_PERF_BATCH_ITEM_TOO_LARGE');
    expect(batcher.tryAdd('x'.repeat(11))).toBe(false);
    await expect(batcher.add('x'.repeat(10)).result).resolves.toBeUndefined();
  });
});

describe('order', () => {
  test('more urgent items first, then older ones', async () => {
    const sink = stalledSink<string>();
    const batcher = new Batcher<string, string>({ process: sink.process, maxItems: 1, priorities: 4 });
    batcher.add('first');
    await settled();
    batcher.add('c', { priority: 3 });
    batcher.add('a1', { priority: 0 });
    batcher.add('b', { priority: 1 });
    batcher.add('a2', { priority: 0 });
    sink.releaseAll();
    await batcher.drain();
    expect(sink.batches.flat()).toEqual(['first', 'a1', 'a2', 'b', 'c']);
  });

  test('waiting raises an item one level per agingMs', async () => {
    let nowMs = 0;
    const sink = stalledSink<string>();
    const batcher = new Batcher<string, string>({
      process: sink.process,
      maxItems: 1,
      priorities: 3,
      agingMs: 100,
      clock: { now: () => nowMs },
    });
    batcher.add('first');
    await settled();
    batcher.add('old', { priority: 2 });
    nowMs = 250;
    batcher.add('new', { priority: 1 });
    sink.releaseAll();
    await batcher.drain();
    expect(sink.batches.flat()).toEqual(['first', 'old', 'new']);
  });

  test('a priority outside the levels is a RangeError', () => {
    const batcher = new Batcher<number>({ process: async () => undefined, priorities: 2 });
    for (const priority of [-1, 2, 0.5, Number.NaN])
      expect(() => batcher.add(1, { priority })).toThrow(RangeError);
  });
});

describe('retry', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  test('only the failed items of a batch are tried again, with full jitter, and then become dead letters', async () => {
    const attempts: number[][] = [];
    const dead: unknown[] = [];
    const batcher = new Batcher<number, string>({
      process: async (items, { jobs }) => {
        attempts.push(jobs.map((job) => job.attempt));
        return items.map((item) =>
          item === 2 ? { ok: false, error: new Error('bad') } : { ok: true, value: `done ${item}` },
        );
      },
      retry: { maxAttempts: 3, baseDelayMs: 100, maxDelayMs: 150, random: () => 0.5 },
      deadLetter: (item, error) => dead.push(item, error),
    });
    const tickets = [1, 2, 3].map((item) => batcher.add(item));
    await settled();
    expect(await nth(tickets, 0).result).toBe('done 1');
    expect(batcher.stats()).toMatchObject({ backingOff: 1, completed: 2 });
    await vi.advanceTimersByTimeAsync(49);
    expect(attempts).toEqual([[1, 1, 1]]);
    await vi.advanceTimersByTimeAsync(1);
    expect(attempts).toEqual([[1, 1, 1], [2]]);
    await vi.advanceTimersByTimeAsync(75);
    expect(attempts).toEqual([[1, 1, 1], [2], [3]]);
    await expect(nth(tickets, 1).result).rejects.toThrow('bad');
    expect(dead).toEqual([2, new Error('bad')]);
    expect(await batcher.deadLetters()).toEqual([{ id: '2', item: 2, error: 'Error: bad', attempts: 3 }]);
  });

  test('an error is not retried before its retryAfterMs', async () => {
    let calls = 0;
    const batcher = new Batcher<number>({
      process: async () => {
        calls++;
        if (calls === 1) throw Object.assign(new Error('later'), { retryAfterMs: 5000 });
      },
      retry: { maxDelayMs: 10, random: () => 0 },
    });
    const { result } = batcher.add(1);
    await vi.advanceTimersByTimeAsync(4999);
    expect(calls).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(calls).toBe(2);
    await result;
  });

  test('`retryable: false` and `retryable()` end an item at once', async () => {
    const batcher = new Batcher<string>({
      process: async (items) =>
        items.map((item) => ({
          ok: false,
          error: new Error(item),
          ...(item === 'x' ? { retryable: false } : {}),
        })),
      retry: { retryable: (error) => (error as Error).message !== 'y' },
    });
    const tickets = ['x', 'y'].map((item) => batcher.add(item));
    for (const ticket of tickets) await expect(ticket.result).rejects.toThrow(/x|y/);
    expect(batcher.stats().retries).toBe(0);
  });

  test('a budget stops the retries of an outage', async () => {
    const batcher = new Batcher<number>({
      process: () => Promise.reject(new Error('down')),
      retry: { maxAttempts: 100, baseDelayMs: 1, budget: { ratio: 0.1, burst: 5 } },
    });
    for (let i = 0; i < 50; i++) batcher.add(i);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(batcher.stats()).toMatchObject({ retries: 5, failed: 50 });
  });

  test('dead letters can be replayed, and the oldest are forgotten beyond maxDeadLetters', async () => {
    let healthy = false;
    const batcher = new Batcher<number>({
      process: async () => {
        if (!healthy) throw new Error('down');
      },
      maxItems: 1,
      maxDeadLetters: 2,
    });
    for (const item of [1, 2, 3]) batcher.add(item);
    await batcher.drain();
    expect((await batcher.deadLetters()).map((letter) => letter.item)).toEqual([2, 3]);
    healthy = true;
    expect(await batcher.replay()).toBe(2);
    expect(await batcher.drain()).toMatchObject({ completed: 2, failed: 3, remaining: 0 });
    expect(await batcher.deadLetters()).toEqual([]);
  });
});

describe('deadlines and signals', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  test('an item not started by its deadline is rejected, whether queued or waiting for room', async () => {
    const sink = stalledSink<number>();
    const batcher = new Batcher<number, number>({
      process: sink.process,
      maxItems: 1,
      capacity: { items: 2 },
    });
    const running = batcher.add(1, { deadlineMs: 10 });
    const queued = batcher.add(2, { deadlineMs: 20 });
    const waiting = batcher.add(3, { deadlineMs: 30 });
    await vi.advanceTimersByTimeAsync(20);
    expect(await codeOf(queued.result)).toBe('ERR_PERF_BATCH_DEADLINE');
    await vi.advanceTimersByTimeAsync(10);
    expect(await codeOf(waiting.result)).toBe('ERR_PERF_BATCH_DEADLINE');
    sink.releaseAll();
    expect(await running.result).toBe(1);
    expect(batcher.stats()).toMatchObject({ expired: 2, held: 0, waiting: 0 });
    expect(vi.getTimerCount()).toBe(0);
  });

  test('a deadline below the limit of timers but above it is waited for correctly', async () => {
    const sink = stalledSink<number>();
    const batcher = new Batcher<number, number>({ process: sink.process, maxItems: 1 });
    batcher.add(0);
    await settled();
    const late = batcher.add(1, { deadlineMs: 2 ** 31 + 1000 });
    await vi.advanceTimersByTimeAsync(2 ** 31);
    expect(await stateOf(late.result)).toBe('pending');
    await vi.advanceTimersByTimeAsync(2000);
    expect(await codeOf(late.result)).toBe('ERR_PERF_BATCH_DEADLINE');
  });

  test('an aborted signal takes an item out wherever it is, with its reason, and removes its listener', async () => {
    const sink = stalledSink<number>();
    const batcher = new Batcher<number, number>({
      process: sink.process,
      maxItems: 1,
      capacity: { items: 2 },
    });
    const stop = [0, 1, 2].map(() => new AbortController());
    const tickets = stop.map(({ signal }, item) => batcher.add(item, { signal }));
    await settled();
    for (const controller of stop) controller.abort(new Error('enough'));
    for (const ticket of tickets) await expect(ticket.result).rejects.toThrow('enough');
    expect(batcher.stats()).toMatchObject({ aborted: 3, queued: 0, waiting: 0, held: 1, running: 1 });
    sink.releaseAll();
    expect(await batcher.drain()).toMatchObject({ completed: 0, failed: 3, remaining: 0 });
    expect(batcher.stats().held).toBe(0);
    const done = new AbortController();
    const removed = vi.spyOn(done.signal, 'removeEventListener');
    await batcher.add(9, { signal: done.signal }).result;
    expect(removed).toHaveBeenCalledTimes(1);
    expect(await codeOf(batcher.add(1, { signal: AbortSignal.abort('no') }).accepted)).toBe('no');
  });

  test('an item aborted while backing off gives its room back', async () => {
    const stop = new AbortController();
    const batcher = new Batcher<number>({
      process: () => Promise.reject(new Error('x')),
      retry: { baseDelayMs: 1000 },
    });
    const { result } = batcher.add(1, { signal: stop.signal });
    await settled();
    expect(batcher.stats().backingOff).toBe(1);
    stop.abort(new Error('enough'));
    await expect(result).rejects.toThrow('enough');
    expect(batcher.stats()).toMatchObject({ backingOff: 0, held: 0 });
  });

  test('cancelled items do not pile up behind a stalled sink', async () => {
    const sink = stalledSink<number>();
    const batcher = new Batcher<number, number>({
      process: sink.process,
      maxItems: 1,
      capacity: { items: 10 },
    });
    for (let i = 0; i < 20_000; i++) {
      const stop = new AbortController();
      batcher.add(i, { signal: stop.signal });
      stop.abort();
    }
    expect(batcher.stats()).toMatchObject({ queued: 0, held: 0 });
    sink.releaseAll();
    expect(await batcher.add(-1).result).toBe(-1);
  });
});

describe('keys', () => {
  test('a second add with a key gets the first one’s outcome, until it fails or expires', async () => {
    let nowMs = 0;
    let runs = 0;
    const batcher = new Batcher<string, number>({
      process: async (items) =>
        items.map((item) =>
          item === 'bad' ? { ok: false, error: new Error('no') } : { ok: true, value: ++runs },
        ),
      keyTtlMs: 1000,
      clock: { now: () => nowMs },
    });
    const first = batcher.add('a', { key: 'k' });
    const second = batcher.add('a', { key: 'k' });
    expect(await Promise.all([first.result, second.result])).toEqual([1, 1]);
    expect(await second.accepted).toBe(await first.accepted);
    nowMs = 999;
    expect(await batcher.add('a', { key: 'k' }).result).toBe(1);
    nowMs = 1000;
    expect(await batcher.add('a', { key: 'k' }).result).toBe(2);
    await expect(batcher.add('bad', { key: 'b' }).result).rejects.toThrow('no');
    expect(await batcher.add('good', { key: 'b' }).result).toBe(3);
  });
});

describe('the end', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  test('close refuses new items and finishes old ones, those that wait for room too', async () => {
    const sink = stalledSink<number>();
    const batcher = new Batcher<number, number>({ process: sink.process, capacity: { items: 1 } });
    const old = [1, 2, 3].map((item) => batcher.add(item));
    const closing = batcher.close();
    expect(await codeOf(batcher.add(4).accepted)).toBe('ERR_PERF_BATCH_CLOSED');
    expect(batcher.tryAdd(5)).toBe(false);
    sink.releaseAll();
    expect(await closing).toEqual({
      completed: 3,
      failed: 0,
      remaining: 0,
      deadLettered: 0,
      timedOut: false,
    });
    expect(await Promise.all(old.map((ticket) => ticket.result))).toEqual([1, 2, 3]);
    expect(await batcher.close()).toMatchObject({ completed: 3 });
  });

  test('a drain that runs out of time says what remained and leaves it running', async () => {
    const sink = stalledSink<number>();
    const batcher = new Batcher<number, number>({ process: sink.process, maxItems: 1 });
    const tickets = [1, 2, 3].map((item) => batcher.add(item));
    const draining = batcher.drain({ timeoutMs: 100 });
    await settled();
    sink.release();
    await vi.advanceTimersByTimeAsync(100);
    expect(await draining).toEqual({
      completed: 1,
      failed: 0,
      remaining: 2,
      deadLettered: 0,
      timedOut: true,
    });
    sink.releaseAll();
    expect(await Promise.all(tickets.map((ticket) => ticket.result))).toEqual([1, 2, 3]);
  });

  test('a close that runs out of time tells process by its signal and rejects what has not started', async () => {
    let told = false;
    const batcher = new Batcher<number, string>({
      process: (items, { signal }) =>
        new Promise((resolve) =>
          signal.addEventListener('abort', () => {
            told = true;
            resolve(items.map(() => ({ ok: true, value: 'stopped' })));
          }),
        ),
      maxItems: 1,
      capacity: { items: 2 },
    });
    const tickets = [1, 2, 3].map((item) => batcher.add(item));
    const closing = batcher.close({ timeoutMs: 50 });
    await vi.advanceTimersByTimeAsync(50);
    expect(await closing).toMatchObject({ remaining: 3, timedOut: true });
    expect(told).toBe(true);
    expect(await nth(tickets, 0).result).toBe('stopped');
    for (const ticket of tickets.slice(1)) expect(await codeOf(ticket.result)).toBe('ERR_PERF_BATCH_CLOSED');
  });

  test('await using closes', async () => {
    const sink = stalledSink<number>();
    sink.releaseAll();
    {
      await using batcher = new Batcher<number, number>({ process: sink.process, lingerMs: 1e6 });
      batcher.add(1);
    }
    expect(sink.batches).toEqual([[1]]);
  });

  test('a listener that throws does not break the accounting', async () => {
    const uncaught: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => uncaught.push(error));
    const batcher = new Batcher<number>({
      process: () => Promise.reject(new Error('x')),
      deadLetter: () => {
        throw new Error('listener');
      },
    });
    expect(await codeOf(batcher.add(1).result)).toEqual(new Error('x'));
    await vi.advanceTimersByTimeAsync(1);
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(uncaught).toEqual([new Error('listener')]);
    expect(await batcher.drain()).toMatchObject({ failed: 1, remaining: 0 });
  });
});

test.each([
  [{ maxItems: 0 }, 'maxItems'],
  [{ maxItems: 1.5 }, 'maxItems'],
  [{ maxBytes: 0 }, 'maxBytes'],
  [{ lingerMs: -1 }, 'lingerMs'],
  [{ lingerMs: Number.NaN }, 'lingerMs'],
  [{ concurrency: 0 }, 'concurrency'],
  [{ capacity: { items: 0 } }, 'capacity.items'],
  [{ overflow: 'block' as 'wait' }, 'overflow'],
  [{ priorities: 33 }, 'priorities'],
  [{ retry: { maxAttempts: 0 } }, 'retry.maxAttempts'],
  [{ retry: { budget: { ratio: 2, burst: 1 } } }, 'retry.budget.ratio'],
])('an option out of range names itself: %j', (options, name) => {
  expect(() => new Batcher<number>({ process: async () => undefined, ...options })).toThrow(name);
});

test('process must be a function', () => {
  expect(() => new Batcher({ process: 1 as never })).toThrow(TypeError);
});
