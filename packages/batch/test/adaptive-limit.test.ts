import { expect, test } from 'vitest';
import { AdaptiveLimit, Batcher, type Permit } from '@perf/batch';

/** A server that does `capacity` things at once and slows down in proportion beyond. */
function serve(limit: AdaptiveLimit, capacity: number, rounds: number, sizeOf: () => number = () => 1): void {
  for (let round = 0; round < rounds; round++) {
    const permits: Permit[] = [];
    for (let permit = limit.acquire(); permit !== undefined; permit = limit.acquire()) permits.push(permit);
    const slowdown = Math.max(1, permits.length / capacity);
    for (const permit of permits) {
      const size = sizeOf();
      permit.release({ latencyMs: 10 * size * slowdown, size });
    }
  }
}

test('it rises while latency stays and stops where it grows', () => {
  const limit = new AdaptiveLimit({ initialLimit: 4 });
  serve(limit, 40, 400);
  for (let i = 0; i < 50; i++) {
    serve(limit, 40, 100);
    expect(limit.limit).toBeGreaterThan(30);
    expect(limit.limit).toBeLessThan(80);
  }
});

test('it falls when capacity falls, and recovers when it comes back', () => {
  const limit = new AdaptiveLimit({ initialLimit: 4 });
  serve(limit, 100, 500);
  serve(limit, 20, 30);
  expect(limit.limit).toBeLessThan(45);
  serve(limit, 100, 500);
  expect(limit.limit).toBeGreaterThan(80);
});

test('a server that has become slower for good is accepted as it is', () => {
  const limit = new AdaptiveLimit({ initialLimit: 50, maxLimit: 50, minLimit: 5 });
  const serveAt = (latencyMs: number): void => {
    for (let i = 0; i < 2000; i++) {
      const permits = Array.from({ length: limit.limit }, () => limit.acquire());
      for (const permit of permits) permit?.release({ latencyMs });
    }
  };
  serveAt(10);
  serveAt(100);
  expect(limit.limit).toBe(50);
});

test('long requests are not taken for overload', () => {
  const limit = new AdaptiveLimit({ initialLimit: 4, maxLimit: 50 });
  let n = 0;
  serve(limit, 1000, 500, () => (++n % 7 === 0 ? 1000 : 10));
  expect(limit.limit).toBe(50);
});

test('a limit that is not used does not rise', () => {
  const limit = new AdaptiveLimit({ initialLimit: 100 });
  for (let i = 0; i < 1000; i++) limit.acquire()?.release({ latencyMs: 10 });
  expect(limit.limit).toBe(100);
});

test('what is dropped shrinks it, once for all that began under the old limit', () => {
  const limit = new AdaptiveLimit({ initialLimit: 100 });
  const permits = Array.from({ length: 50 }, () => limit.acquire());
  for (const permit of permits) permit?.release({ latencyMs: 1, dropped: true });
  expect(limit.limit).toBe(50);
  expect(limit.stats()).toMatchObject({ decreases: 1, inFlight: 0 });
});

test('permits are bounded by the limit, released once, and whoever waits is woken', () => {
  const limit = new AdaptiveLimit({ initialLimit: 1, maxLimit: 1 });
  const permit = limit.acquire();
  expect(limit.acquire()).toBeUndefined();
  let woken = 0;
  limit.onAvailable(() => woken++);
  permit?.release({ latencyMs: 1 });
  expect(woken).toBe(1);
  expect(() => permit?.release({ latencyMs: 1 })).toThrow('once');
  expect(limit.inFlight).toBe(0);
});

test('two batchers share one limit and both get on', async () => {
  const limit = new AdaptiveLimit({ initialLimit: 2, maxLimit: 2 });
  let most = 0;
  let running = 0;
  const process = async (): Promise<void> => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
  };
  const batchers = [1, 2].map(() => new Batcher<number>({ process, maxItems: 1, concurrency: limit }));
  for (let i = 0; i < 20; i++) for (const batcher of batchers) batcher.add(i);
  const reports = await Promise.all(batchers.map((batcher) => batcher.close()));
  expect(reports).toMatchObject([{ completed: 20 }, { completed: 20 }]);
  expect(most).toBe(2);
  expect(limit.inFlight).toBe(0);
  expect(() => batchers[0]?.setConcurrency(3)).toThrow(TypeError);
});

test('options out of range name themselves', () => {
  expect(() => new AdaptiveLimit({ minLimit: 0 })).toThrow('minLimit');
  expect(() => new AdaptiveLimit({ maxLimit: 5, initialLimit: 6 })).toThrow('initialLimit');
  expect(() => new AdaptiveLimit({ tolerance: 0.5 })).toThrow('tolerance');
  expect(() => new AdaptiveLimit({ windowSamples: 0 })).toThrow('windowSamples');
});
