import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CoalescingUpdater, coalesce } from '@perf/batch';

describe('coalesce', () => {
  test('calls with one key that overlap are one call; later ones are another', async () => {
    const calls: string[] = [];
    const gates: PromiseWithResolvers<string>[] = [];
    const load = coalesce(
      (id: string) => {
        calls.push(id);
        const gate = Promise.withResolvers<string>();
        gates.push(gate);
        return gate.promise;
      },
      { key: (id) => id },
    );
    const shared = [load('a'), load('a'), load('b')];
    expect(calls).toEqual(['a', 'b']);
    gates[0]?.resolve('A');
    gates[1]?.resolve('B');
    expect(await Promise.all(shared)).toEqual(['A', 'A', 'B']);
    void load('a');
    expect(calls).toEqual(['a', 'b', 'a']);
  });

  test('a failure is shared and forgotten, a synchronous throw too', async () => {
    let calls = 0;
    const load = coalesce(
      () => {
        calls++;
        if (calls === 1) return Promise.reject(new Error('first'));
        throw new Error('second');
      },
      { key: () => 'k' },
    );
    const both = await Promise.allSettled([load(), load()]);
    for (const outcome of both) expect(outcome).toMatchObject({ reason: new Error('first') });
    await expect(load()).rejects.toThrow('second');
    await expect(load()).rejects.toThrow('second');
    expect(calls).toBe(3);
  });

  test('functions are required', () => {
    expect(() => coalesce(1 as never, { key: () => '' })).toThrow('fn');
    expect(() => coalesce(async () => 1, {} as never)).toThrow('key');
  });
});

describe('CoalescingUpdater', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  const sum = (a: number, b: number): number => a + b;

  test('updates of a key are merged until its write begins, in batches of maxItems keys', async () => {
    const writes: (readonly (readonly [string, number])[])[] = [];
    const updater = new CoalescingUpdater<string, number>({
      merge: sum,
      apply: (entries) => void writes.push(entries),
      maxItems: 2,
      lingerMs: 10,
    });
    const done = ['a', 'a', 'b', 'c', 'a'].map((key) => updater.update(key, 1));
    await vi.advanceTimersByTimeAsync(10);
    await Promise.all(done);
    expect(writes.flat().reduce((total, [, value]) => total + value, 0)).toBe(5);
    expect(Math.max(...writes.map((write) => write.length))).toBe(2);
    expect(updater.stats()).toMatchObject({ updates: 5, merged: 2, pendingKeys: 0 });
  });

  test('what arrives during a write of its key waits for the next one, never overtaking', async () => {
    const gates: PromiseWithResolvers<void>[] = [];
    const writes: number[] = [];
    const updater = new CoalescingUpdater<string, number>({
      merge: sum,
      apply: (entries) => {
        writes.push(...entries.map(([, value]) => value));
        const gate = Promise.withResolvers<void>();
        gates.push(gate);
        return gate.promise;
      },
      lingerMs: 0,
    });
    const first = updater.update('a', 1);
    await vi.advanceTimersByTimeAsync(0);
    const later = [updater.update('a', 10), updater.update('a', 100)];
    expect(writes).toEqual([1]);
    gates[0]?.resolve();
    await first;
    await vi.advanceTimersByTimeAsync(0);
    expect(writes).toEqual([1, 110]);
    gates[1]?.resolve();
    await Promise.all(later);
    await updater.close();
  });

  test('flush and close write what is waiting', async () => {
    const written = new Map<string, number>();
    const updater = new CoalescingUpdater<string, number>({
      merge: sum,
      apply: (entries) =>
        entries.forEach(([key, value]) => written.set(key, (written.get(key) ?? 0) + value)),
      lingerMs: 1e6,
    });
    void updater.update('a', 1);
    await updater.flush();
    expect(written.get('a')).toBe(1);
    void updater.update('a', 2);
    expect(await updater.close()).toMatchObject({ remaining: 0 });
    expect(written.get('a')).toBe(3);
    await expect(updater.update('a', 1)).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_CLOSED' });
  });

  test('a failed write rejects its updates, raises nothing if nobody looks, and the next one works', async () => {
    let healthy = false;
    const updater = new CoalescingUpdater<string, number>({
      merge: sum,
      apply: async () => {
        if (!healthy) throw new Error('down');
      },
      lingerMs: 0,
    });
    void updater.update('b', 1);
    await expect(updater.update('a', 1)).rejects.toThrow('down');
    healthy = true;
    await updater.update('a', 1);
    expect(updater.stats()).toMatchObject({ failed: 2, completed: 1 });
  });

  test('a merge that throws leaves the earlier update as it was', async () => {
    const written: number[] = [];
    const updater = new CoalescingUpdater<string, number>({
      merge: () => {
        throw new Error('cannot merge');
      },
      apply: (entries) => void written.push(...entries.map(([, value]) => value)),
      lingerMs: 0,
    });
    const first = updater.update('a', 1);
    expect(() => updater.update('a', 2)).toThrow('cannot merge');
    await first;
    expect(written).toEqual([1]);
  });

  test('keys are bounded', async () => {
    const updater = new CoalescingUpdater<number, number>({ merge: sum, apply: () => undefined, maxKeys: 2 });
    void updater.update(1, 1);
    void updater.update(2, 1);
    void updater.update(1, 1);
    await expect(updater.update(3, 1)).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_FULL' });
  });
});
