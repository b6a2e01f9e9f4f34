import { IdleResource } from '@perf/memory';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function tracked(): {
  log: string[];
  load(): Promise<{ id: number }>;
  unload(resource: { id: number }): void;
} {
  const log: string[] = [];
  let id = 0;
  return {
    log,
    async load() {
      log.push(`load ${++id}`);
      return { id };
    },
    unload(resource) {
      log.push(`unload ${resource.id}`);
    },
  };
}

describe('IdleResource', () => {
  test('loads once for all who ask at once, and again after it was unloaded', async () => {
    const { log, load, unload } = tracked();
    const resource = new IdleResource({ load, unload, idleMs: 100 });
    expect(resource.loaded).toBe(false);
    const both = await Promise.all([resource.use((one) => one.id), resource.use(async (one) => one.id)]);
    expect(both).toStrictEqual([1, 1]);
    await vi.advanceTimersByTimeAsync(99);
    expect(resource.loaded).toBe(true);
    await vi.advanceTimersByTimeAsync(1);
    expect(resource.loaded).toBe(false);
    expect(await resource.use((one) => one.id)).toBe(2);
    expect(log).toStrictEqual(['load 1', 'unload 1', 'load 2']);
  });

  test('is never unloaded while in use, and a use starts the idle time anew', async () => {
    const { log, load, unload } = tracked();
    const resource = new IdleResource({ load, unload, idleMs: 100 });
    const gate = Promise.withResolvers<void>();
    const long = resource.use(async () => gate.promise);
    await vi.advanceTimersByTimeAsync(1000);
    gate.resolve();
    await long;
    await vi.advanceTimersByTimeAsync(60);
    await resource.use(() => {});
    await vi.advanceTimersByTimeAsync(60);
    expect(log).toStrictEqual(['load 1']);
    await vi.advanceTimersByTimeAsync(40);
    expect(log).toStrictEqual(['load 1', 'unload 1']);
  });

  test('a load waits for the unload before it', async () => {
    const log: string[] = [];
    const unloaded = Promise.withResolvers<void>();
    const resource = new IdleResource({
      load: () => log.push('load'),
      async unload() {
        log.push('unload begins');
        await unloaded.promise;
        log.push('unload ends');
      },
      idleMs: 10,
    });
    await resource.use(() => {});
    await vi.advanceTimersByTimeAsync(10);
    const next = resource.use(() => {});
    await vi.advanceTimersByTimeAsync(10);
    unloaded.resolve();
    await next;
    expect(log).toStrictEqual(['load', 'unload begins', 'unload ends', 'load']);
  });

  test('a failed load rejects its callers and is tried again by the next', async () => {
    let attempts = 0;
    const resource = new IdleResource({
      load() {
        if (++attempts === 1) throw new Error('not yet');
        return attempts;
      },
      unload() {},
      idleMs: 10,
    });
    await expect(resource.use((n) => n)).rejects.toThrow('not yet');
    await expect(resource.use((n) => n)).resolves.toBe(2);
  });

  test('a failing function rejects, and the resource still goes idle', async () => {
    const { log, load, unload } = tracked();
    const resource = new IdleResource({ load, unload, idleMs: 10 });
    await expect(resource.use(async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await vi.advanceTimersByTimeAsync(10);
    expect(log).toStrictEqual(['load 1', 'unload 1']);
  });

  test('a failing unload is reported and does not keep the next use from loading', async () => {
    const errors: unknown[] = [];
    const resource = new IdleResource({
      load: () => 1,
      unload: async () => Promise.reject(new Error('stuck')),
      idleMs: 10,
      onError: (error) => void errors.push(error),
    });
    await resource.use(() => {});
    await vi.advanceTimersByTimeAsync(10);
    expect(errors).toMatchObject([{ message: 'stuck' }]);
    await expect(resource.use((n) => n)).resolves.toBe(1);
    await expect(resource.close()).rejects.toThrow('stuck');
  });

  test('close waits for users, unloads, and refuses later uses', async () => {
    const { log, load, unload } = tracked();
    const resource = new IdleResource({ load, unload, idleMs: 1000 });
    const gate = Promise.withResolvers<void>();
    const use = resource.use(async () => gate.promise);
    const closing = resource.close();
    await expect(resource.use(() => {})).rejects.toMatchObject({ code: 'ERR_PERF_MEMORY_CLOSED' });
    await vi.advanceTimersByTimeAsync(1);
    expect(log).toStrictEqual(['load 1']);
    gate.resolve();
    await use;
    await closing;
    await resource.close();
    expect(log).toStrictEqual(['load 1', 'unload 1']);
  });

  test('close of one never loaded does nothing', async () => {
    const { log, load, unload } = tracked();
    const resource = new IdleResource({ load, unload, idleMs: 10 });
    await resource.close();
    await resource[Symbol.asyncDispose]();
    expect(log).toStrictEqual([]);
  });

  test('options are checked by name', () => {
    const good = { load: () => 1, unload() {}, idleMs: 1 };
    expect(() => new IdleResource({ ...good, idleMs: 0 })).toThrow(/idleMs/);
    expect(() => new IdleResource({ ...good, load: 1 as unknown as () => number })).toThrow(/load/);
    expect(() => new IdleResource({ ...good, unload: 1 as unknown as () => void })).toThrow(/unload/);
  });
});
