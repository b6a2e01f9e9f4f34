import { join } from 'node:path';
import { EventLoopMonitor, gcAdvice, GcMonitor } from '@perf/memory';
import type { GcStats } from '@perf/memory';
import { describe, expect, test } from 'vitest';

const closed = expect.objectContaining({ code: 'ERR_PERF_MEMORY_CLOSED' });
const MIB = 1024 * 1024;

function collect(): void {
  (globalThis as unknown as { gc(): void }).gc();
}

async function turnOfTheLoop(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe('GcMonitor', () => {
  test('counts and times the collections that happen while it watches', async () => {
    collect();
    using monitor = new GcMonitor();
    expect(monitor.stats()).toMatchObject({ collections: 0, pauseMsTotal: 0, pauseMsP99: Number.NaN });
    for (let i = 0; i < 3; i++) collect();
    await turnOfTheLoop();
    const stats = monitor.stats();
    expect(stats.byKind.major).toBeGreaterThanOrEqual(3);
    expect(stats.pauseMsMax).toBeGreaterThan(0);
    expect(stats.pauseMsTotal).toBeGreaterThanOrEqual(stats.pauseMsMax);
    expect(stats.pauseMsP99).toBeGreaterThan(0);
    expect(stats.pauseShare).toBeCloseTo(stats.pauseMsTotal / stats.observedMs, 12);
  });

  test('a closed monitor refuses its stats', () => {
    const monitor = new GcMonitor();
    monitor.close();
    monitor.close();
    expect(() => monitor.stats()).toThrow(closed);
  });
});

describe('EventLoopMonitor', () => {
  test('sees a loop that was held up', async () => {
    using monitor = new EventLoopMonitor({ resolutionMs: 1 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    const until = performance.now() + 30;
    while (performance.now() < until);
    await new Promise((resolve) => setTimeout(resolve, 5));
    const stats = monitor.stats();
    expect(stats.samples).toBeGreaterThan(0);
    expect(stats.maxMs).toBeGreaterThan(20);
    expect(stats.p50Ms).toBeLessThanOrEqual(stats.p99Ms);
    expect(stats.p99Ms).toBeLessThanOrEqual(stats.maxMs);
    expect(stats.utilization).toBeGreaterThan(0);
    expect(stats.utilization).toBeLessThanOrEqual(1);
    monitor.reset();
    expect(monitor.stats()).toMatchObject({ samples: 0, maxMs: Number.NaN });
  });

  test('a closed monitor refuses its stats, and options are checked', () => {
    const monitor = new EventLoopMonitor();
    monitor.close();
    monitor.close();
    expect(() => monitor.stats()).toThrow(closed);
    expect(() => monitor.reset()).toThrow(closed);
    expect(() => new EventLoopMonitor({ resolutionMs: 0 })).toThrow(/resolutionMs/);
  });
});

describe('gcAdvice', () => {
  const gc: GcStats = {
    collections: 1000,
    byKind: { minor: 990, major: 10, incremental: 0, weak: 0 },
    pauseMsTotal: 3000,
    pauseMsMax: 20,
    pauseMsP50: 2,
    pauseMsP99: 10,
    observedMs: 60_000,
    pauseShare: 0.05,
  };

  test('warns when the heap may outgrow the container', () => {
    expect(gcAdvice({ memoryLimitBytes: 512 * MIB, heapLimitBytes: 2048 * MIB })).toStrictEqual([
      {
        flag: '--max-old-space-size',
        currentMiB: 2048,
        recommendedMiB: 384,
        severity: 'warning',
        reason: expect.stringContaining('400 %'),
      },
    ]);
  });

  test('tells when the heap may take only a little of the container', () => {
    expect(gcAdvice({ memoryLimitBytes: 4096 * MIB, heapLimitBytes: 1024 * MIB })).toMatchObject([
      { severity: 'info', recommendedMiB: 3072 },
    ]);
  });

  test('says nothing when the limit fits', () => {
    expect(gcAdvice({ memoryLimitBytes: 1024 * MIB, heapLimitBytes: 700 * MIB })).toStrictEqual([]);
  });

  test('finds the limit in the cgroup below root', () => {
    const root = join(import.meta.dirname, 'cgroup-root');
    expect(gcAdvice({ root, heapLimitBytes: 1024 * MIB })).toMatchObject([{ recommendedMiB: 384 }]);
  });

  test('a machine without a container limit is not told to use all of its memory', () => {
    const root = join(import.meta.dirname, 'no-such-root');
    expect(gcAdvice({ root, heapLimitBytes: 16 * MIB })).toStrictEqual([]);
  });

  test('many minor collections that cost time ask for a larger young generation', () => {
    const fitting = { memoryLimitBytes: 1024 * MIB, heapLimitBytes: 700 * MIB };
    expect(gcAdvice({ ...fitting, gc })).toMatchObject([{ flag: '--max-semi-space-size', severity: 'info' }]);
    expect(gcAdvice({ ...fitting, gc: { ...gc, pauseShare: 0.2 } })).toMatchObject([{ severity: 'warning' }]);
    expect(gcAdvice({ ...fitting, gc: { ...gc, pauseShare: 0.001 } })).toStrictEqual([]);
    expect(gcAdvice({ ...fitting, gc: { ...gc, observedMs: 100 } })).toStrictEqual([]);
  });

  test('options are checked by name', () => {
    expect(() => gcAdvice({ root: '' })).toThrow(/root/);
    expect(() => gcAdvice({ memoryLimitBytes: 0 })).toThrow(/memoryLimitBytes/);
    expect(() => gcAdvice({ heapLimitBytes: -1 })).toThrow(/heapLimitBytes/);
  });
});
