import { MemoryBudget, MemoryError } from '@perf/memory';
import type { Reservation } from '@perf/memory';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

/** Lets every promise that can settle do so. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

describe('MemoryBudget', () => {
  test('grants what fits and waits for what does not', async () => {
    const budget = new MemoryBudget(100, { cache: 1, graph: 0.5 });
    const first = await budget.reserve('cache', 80);
    expect(first).toMatchObject({ pool: 'cache', bytes: 80 });
    let second: Reservation | undefined;
    const waiting = budget.reserve('graph', 50).then((granted) => (second = granted));
    await settled();
    expect(second).toBeUndefined();
    expect(budget.stats()).toStrictEqual({
      totalBytes: 100,
      usedBytes: 80,
      waiting: 1,
      pools: {
        cache: { limitBytes: 100, usedBytes: 80, waiting: 0 },
        graph: { limitBytes: 50, usedBytes: 0, waiting: 1 },
      },
    });
    first.release();
    await waiting;
    expect(budget.stats()).toMatchObject({ usedBytes: 50, waiting: 0 });
  });

  test('a pool at its share waits while others go on', async () => {
    const budget = new MemoryBudget(100, { a: 0.3, b: 0.7 });
    await budget.reserve('a', 30);
    const blocked = budget.reserve('a', 1);
    await expect(budget.reserve('b', 60)).resolves.toMatchObject({ bytes: 60 });
    expect(budget.stats().pools.a?.waiting).toBe(1);
    void blocked;
  });

  test('small reservations do not overtake a large one that waits for the total', async () => {
    const budget = new MemoryBudget(100, { a: 1, b: 1 });
    const first = await budget.reserve('a', 60);
    const order: string[] = [];
    const large = budget.reserve('b', 90).then(() => order.push('large'));
    const small = budget.reserve('a', 10).then(() => order.push('small'));
    await settled();
    expect(order).toStrictEqual([]);
    first.release();
    await Promise.all([large, small]);
    expect(order).toStrictEqual(['large', 'small']);
  });

  test('a second release throws, disposing after release does not', async () => {
    const budget = new MemoryBudget(10, { a: 1 });
    const reservation = await budget.reserve('a', 4);
    reservation.release();
    expect(() => reservation.release()).toThrow(
      expect.objectContaining({ code: 'ERR_PERF_MEMORY_RELEASED' }),
    );
    reservation[Symbol.dispose]();
    {
      using scoped = await budget.reserve('a', 10);
      expect(scoped.bytes).toBe(10);
    }
    expect(budget.stats().usedBytes).toBe(0);
  });

  test('an aborted signal ends the wait and lets those behind go on', async () => {
    const budget = new MemoryBudget(100, { a: 1 });
    await budget.reserve('a', 50);
    const controller = new AbortController();
    const reason = new Error('gave up');
    const large = budget.reserve('a', 60, { signal: controller.signal });
    const small = budget.reserve('a', 10);
    controller.abort(reason);
    await expect(large).rejects.toBe(reason);
    await expect(small).resolves.toMatchObject({ bytes: 10 });
    await expect(budget.reserve('a', 1, { signal: controller.signal })).rejects.toBe(reason);
    expect(budget.stats()).toMatchObject({ usedBytes: 60, waiting: 0 });
  });

  test('the queue is bounded', async () => {
    const budget = new MemoryBudget(10, { a: 1 }, { maxWaiting: 1 });
    await budget.reserve('a', 10);
    void budget.reserve('a', 1);
    await expect(budget.reserve('a', 1)).rejects.toMatchObject({ code: 'ERR_PERF_MEMORY_QUEUE_FULL' });
    await expect(budget.reserve('a', 1)).rejects.toBeInstanceOf(MemoryError);
  });

  test('what can never be granted is refused at once', async () => {
    const budget = new MemoryBudget(100, { a: 0.5 });
    await expect(budget.reserve('a', 51)).rejects.toThrow(RangeError);
    await expect(budget.reserve('b', 1)).rejects.toThrow(/pool b/);
    await expect(budget.reserve('a', -1)).rejects.toThrow(/bytes/);
    expect(() => new MemoryBudget(0, { a: 1 })).toThrow(/totalBytes/);
    expect(() => new MemoryBudget(10, {})).toThrow(/shares/);
    expect(() => new MemoryBudget(10, { a: 1.5 })).toThrow(/shares.a/);
    expect(() => new MemoryBudget(10, { a: '1' as unknown as number })).toThrow(TypeError);
    expect(() => new MemoryBudget(10, { a: 1 }, { maxWaiting: -1 })).toThrow(/maxWaiting/);
  });

  test('never exceeds a limit, and in the end everything asked for was granted', async () => {
    const asks = fc.array(fc.record({ pool: fc.constantFrom('a', 'b', 'c'), bytes: fc.nat(40) }), {
      maxLength: 60,
    });
    await fc.assert(
      fc.asyncProperty(asks, fc.infiniteStream(fc.nat()), async (requests, picks) => {
        const budget = new MemoryBudget(100, { a: 0.4, b: 0.5, c: 1 });
        const held: Reservation[] = [];
        let granted = 0;
        const hold = (reservation: Reservation): void => {
          granted++;
          held.push(reservation);
        };
        for (const { pool, bytes } of requests) void budget.reserve(pool, bytes).then(hold);
        await settled();
        while (held.length > 0) {
          const { usedBytes, pools } = budget.stats();
          expect(usedBytes).toBe(held.reduce((sum, one) => sum + one.bytes, 0));
          expect(usedBytes).toBeLessThanOrEqual(100);
          for (const pool of Object.values(pools))
            expect(pool.usedBytes).toBeLessThanOrEqual(pool.limitBytes);
          held.splice(Number(picks.next().value) % held.length, 1)[0]?.release();
          await settled();
        }
        expect(granted).toBe(requests.length);
        expect(budget.stats()).toMatchObject({ usedBytes: 0, waiting: 0 });
      }),
      { numRuns: 60 },
    );
  });
});
