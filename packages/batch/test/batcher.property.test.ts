import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Batcher, MemoryJobStore, type DrainReport, type Ticket } from '@perf/batch';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const LEVELS = 4;

const item = fc.record({
  priority: fc.integer({ min: 0, max: LEVELS - 1 }),
  bytes: fc.integer({ min: 1, max: 10 }),
  /** How many attempts fail first. */
  failures: fc.integer({ min: 0, max: 3 }),
  waitMs: fc.integer({ min: 0, max: 5 }),
  deadlineMs: fc.option(fc.integer({ min: 0, max: 40 }), { nil: undefined }),
  abortAfterMs: fc.option(fc.integer({ min: 0, max: 40 }), { nil: undefined }),
});

const settings = fc.record({
  maxItems: fc.integer({ min: 1, max: 5 }),
  maxBytes: fc.integer({ min: 5, max: 30 }),
  lingerMs: fc.constantFrom(0, 3),
  concurrency: fc.integer({ min: 1, max: 3 }),
  overflow: fc.constantFrom('wait' as const, 'reject' as const, 'shed' as const),
  capacityItems: fc.integer({ min: 1, max: 12 }),
  capacityBytes: fc.integer({ min: 10, max: 60 }),
  agingMs: fc.constantFrom(undefined, 4),
  durationMs: fc.integer({ min: 0, max: 6 }),
  durable: fc.boolean(),
});

test('property: whatever happens, every item ends once, the books balance and no bound is broken', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(item, { maxLength: 40 }), settings, async (items, options) => {
      const attempts = new Map<number, number>();
      const succeeded = new Set<number>();
      let runningBatches = 0;
      const store = options.durable ? new MemoryJobStore<number>() : undefined;
      const batcher = new Batcher<number, string>({
        maxItems: options.maxItems,
        maxBytes: options.maxBytes,
        lingerMs: options.lingerMs,
        concurrency: options.concurrency,
        overflow: options.overflow,
        capacity: { items: options.capacityItems, bytes: options.capacityBytes },
        sizeOf: (index) => items[index]?.bytes ?? 0,
        priorities: LEVELS,
        ...(options.agingMs === undefined ? {} : { agingMs: options.agingMs }),
        retry: { maxAttempts: 3, baseDelayMs: 4 },
        ...(store === undefined ? {} : { store }),
        process: async (batch) => {
          expect(++runningBatches).toBeLessThanOrEqual(options.concurrency);
          expect(batch.length).toBeLessThanOrEqual(options.maxItems);
          const bytes = batch.reduce((sum, index) => sum + (items[index]?.bytes ?? 0), 0);
          expect(batch.length === 1 || bytes <= options.maxBytes).toBe(true);
          await new Promise((resolve) => setTimeout(resolve, options.durationMs));
          runningBatches--;
          return batch.map((index) => {
            const attempt = (attempts.get(index) ?? 0) + 1;
            attempts.set(index, attempt);
            if (attempt <= (items[index]?.failures ?? 0)) return { ok: false, error: new Error('again') };
            expect(succeeded.has(index)).toBe(false);
            succeeded.add(index);
            return { ok: true, value: `done ${index}` };
          });
        },
      });
      const tickets: Ticket<string>[] = [];
      for (const [index, { priority, waitMs, deadlineMs, abortAfterMs }] of items.entries()) {
        const stop = new AbortController();
        if (abortAfterMs !== undefined) setTimeout(() => stop.abort(new Error('aborted')), abortAfterMs);
        const deadline = deadlineMs === undefined ? {} : { deadlineMs };
        tickets.push(batcher.add(index, { priority, signal: stop.signal, ...deadline }));
        const { held, heldBytes } = batcher.stats();
        expect(held).toBeLessThanOrEqual(options.capacityItems);
        expect(heldBytes).toBeLessThanOrEqual(options.capacityBytes);
        if (waitMs > 0) await vi.advanceTimersByTimeAsync(waitMs);
      }
      const outcomes = Promise.allSettled(tickets.map((ticket) => ticket.result));
      const accepted = Promise.allSettled(tickets.map((ticket) => ticket.accepted));
      let report: DrainReport | undefined;
      void batcher.drain().then((drained) => (report = drained));
      await vi.advanceTimersByTimeAsync(5000);
      const stats = batcher.stats();
      expect(report).toMatchObject({ remaining: 0, timedOut: false });
      expect(stats).toMatchObject({
        held: 0,
        heldBytes: 0,
        queued: 0,
        waiting: 0,
        running: 0,
        backingOff: 0,
      });
      expect(stats.accepted).toBe(stats.completed + stats.failed);
      expect(stats.accepted + stats.refused).toBe(items.length);
      const results = await outcomes;
      const fulfilled = results.flatMap((outcome, index) => (outcome.status === 'fulfilled' ? [index] : []));
      expect(fulfilled.length).toBe(stats.completed);
      // Whoever was told "done" has been done; what was done and not told was given up on meanwhile.
      for (const index of fulfilled) expect(succeeded.has(index)).toBe(true);
      expect((await accepted).filter(({ status }) => status === 'fulfilled').length).toBe(stats.accepted);
      await batcher.close();
      await store?.close();
      vi.clearAllTimers();
    }),
    { numRuns: 500 },
  );
});

test('property: one at a time, items run in the order of a sorted list', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: LEVELS - 1 }), { maxLength: 60 }),
      async (priorities) => {
        const order: number[] = [];
        const batcher = new Batcher<number>({
          maxItems: 1,
          priorities: LEVELS,
          process: async ([index = -1]) => void order.push(index),
        });
        for (const [index, priority] of priorities.entries()) batcher.add(index, { priority });
        await batcher.close();
        const expected = priorities
          .map((priority, index) => ({ priority, index }))
          .sort((a, b) => a.priority - b.priority || a.index - b.index);
        expect(order).toEqual(expected.map(({ index }) => index));
      },
    ),
  );
});
