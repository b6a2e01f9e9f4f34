import { describe, expect, test } from 'vitest';
import { MemoryCache } from '@perf/cache';
import type { EvictionPolicy, EvictReason } from '@perf/cache';

const POLICIES: readonly EvictionPolicy[] = ['adaptive', 'lru', 'lfu', 's3fifo'];

describe.each(POLICIES)('MemoryCache with policy %s', (policy) => {
  test('returns what was set and undefined for what was not', () => {
    const cache = new MemoryCache<string, number>({ maxEntries: 10, policy });
    expect(cache.set('a', 1).set('b', 2)).toBe(cache);
    expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([1, 2, undefined]);
    expect([cache.has('a'), cache.has('c'), cache.size]).toEqual([true, false, 2]);
  });

  test('returns every value while it grows to its limit', () => {
    const cache = new MemoryCache<string, number>({ maxEntries: 5000, policy });
    for (let i = 0; i < 5000; i++) cache.set(`k${i}`, i);
    const wrong = Array.from({ length: 5000 }, (_, i) => i).filter((i) => cache.get(`k${i}`) !== i);
    expect([wrong, cache.size]).toEqual([[], 5000]);
  });

  test('returns the value last set whatever comes and goes', () => {
    const cache = new MemoryCache<string, number>({ maxEntries: 300, policy });
    const last = new Map<string, number>();
    let hits = 0;
    const wrong: string[] = [];
    for (let i = 0; i < 30_000; i++) {
      const key = `k${(i * i) % 1009}`;
      const value = cache.get(key);
      if (value !== undefined) hits++;
      if (value !== undefined && value !== last.get(key)) wrong.push(key);
      if (i % 7 === 0) cache.delete(`k${i % 1009}`);
      else if (value === undefined || i % 5 === 0) {
        cache.set(key, i);
        last.set(key, i);
      }
    }
    expect([wrong, cache.stats().hits]).toEqual([[], hits]);
    expect(hits).toBeGreaterThan(1000);
  });

  test('replaces a value without growing', () => {
    const cache = new MemoryCache<string, number>({ maxEntries: 10, policy });
    cache.set('a', 1).set('a', 2);
    expect([cache.get('a'), cache.size]).toEqual([2, 1]);
  });

  test('never holds more than maxEntries', () => {
    const cache = new MemoryCache<number, number>({ maxEntries: 37, policy });
    for (let i = 0; i < 5000; i++) {
      const key = (i * 7919) % 211;
      if (cache.get(key) === undefined) cache.set(key, i);
      expect(cache.size).toBeLessThanOrEqual(37);
    }
    expect(cache.size).toBe(37);
  });

  test('keeps the newest entry at a capacity of one', () => {
    const cache = new MemoryCache<number, number>({ maxEntries: 1, policy });
    for (let i = 0; i < 10; i++) cache.set(i, i);
    expect(cache.size).toBe(1);
  });

  test('never holds more than maxBytes', () => {
    const cache = new MemoryCache<number, string>({
      maxBytes: 1000,
      sizeOf: (value) => value.length,
      policy,
    });
    for (let i = 0; i < 2000; i++) {
      cache.set(i % 97, 'x'.repeat(1 + ((i * 31) % 90)));
      expect(cache.sizeBytes).toBeLessThanOrEqual(1000);
    }
    let sum = 0;
    for (const key of cache.keys()) sum += cache.peek(key)!.length;
    expect(cache.sizeBytes).toBe(sum);
  });

  test('does not keep an entry larger than the byte budget, and ends the one it would replace', () => {
    const reasons: EvictReason[] = [];
    const cache = new MemoryCache<string, string>({
      maxBytes: 100,
      sizeOf: (value) => value.length,
      policy,
      onEvict: (_key, _value, why) => reasons.push(why),
    });
    cache.set('a', 'small').set('a', 'x'.repeat(101));
    expect([cache.get('a'), cache.size, cache.sizeBytes]).toEqual([undefined, 0, 0]);
    expect(reasons).toEqual(['oversized']);
  });

  test('ends an entry at its expiry, not a millisecond later', () => {
    let now = 1000;
    const ended: string[] = [];
    const cache = new MemoryCache<string, number>({
      maxEntries: 10,
      ttlMs: 50,
      policy,
      clock: { now: () => now },
      onEvict: (key, _value, why) => ended.push(`${key} ${why}`),
    });
    cache.set('a', 1).set('b', 2, { ttlMs: 100 }).set('c', 3, { ttlMs: Infinity });
    now = 1049;
    expect(cache.get('a')).toBe(1);
    now = 1050;
    expect([cache.has('a'), cache.peek('a'), cache.get('a'), cache.get('b')]).toEqual([
      false,
      undefined,
      undefined,
      2,
    ]);
    now = 1e9;
    expect([cache.get('b'), cache.get('c')]).toEqual([undefined, 3]);
    expect(ended).toEqual(['a expired', 'b expired']);
    expect(cache.stats().expirations).toBe(2);
  });

  test('delete of an expired entry reports that nothing was there', () => {
    let now = 0;
    const cache = new MemoryCache<string, number>({
      maxEntries: 10,
      ttlMs: 5,
      policy,
      clock: { now: () => now },
    });
    cache.set('a', 1);
    now = 5;
    expect([cache.delete('a'), cache.size]).toEqual([false, 0]);
  });

  test('deletes, clears and reports sizes exactly', () => {
    const cache = new MemoryCache<string, number>({ maxEntries: 10, sizeOf: () => 10, policy });
    cache.set('a', 1).set('b', 2).set('c', 3);
    expect([cache.delete('a'), cache.delete('a'), cache.size, cache.sizeBytes]).toEqual([true, false, 2, 20]);
    cache.clear();
    expect([cache.size, cache.sizeBytes, cache.get('b')]).toEqual([0, 0, undefined]);
    cache.set('b', 5);
    expect([cache.get('b'), cache.sizeBytes]).toEqual([5, 10]);
  });

  test('trims to a number of bytes and returns what was freed', () => {
    const reasons = new Set<EvictReason>();
    const cache = new MemoryCache<number, string>({
      maxBytes: 10_000,
      sizeOf: () => 100,
      policy,
      onEvict: (_key, _value, why) => reasons.add(why),
    });
    for (let i = 0; i < 50; i++) cache.set(i, 'v');
    expect([cache.trim(5000), cache.trim(1234), cache.sizeBytes, cache.size]).toEqual([0, 3800, 1200, 12]);
    expect(cache.trim(0)).toBe(1200);
    expect([cache.size, cache.sizeBytes, [...reasons]]).toEqual([0, 0, ['trimmed']]);
  });

  test('trims a cache that has only an entry limit by its estimated size', () => {
    const cache = new MemoryCache<number, string>({ maxEntries: 3000, policy });
    for (let i = 0; i < 3000; i++) cache.set(i, 'x'.repeat(100));
    const before = cache.sizeBytes;
    expect(before).toBeGreaterThan(3000 * 100);
    const freed = cache.trim(before / 2);
    expect(cache.sizeBytes).toBeLessThanOrEqual(before / 2);
    expect(freed).toBe(before - cache.sizeBytes);
    expect(cache.size).toBeGreaterThan(1000);
  });

  test('counts hits, misses, sets and evictions exactly, and peek and has as nothing', () => {
    const cache = new MemoryCache<number, number>({ maxEntries: 2, policy });
    cache.set(1, 1).set(2, 2).set(3, 3);
    const kept = [1, 2, 3].filter((key) => cache.has(key));
    cache.peek(1);
    for (const key of [1, 2, 3, 4]) cache.get(key);
    expect(cache.stats()).toMatchObject({
      hits: 2,
      misses: 2,
      hitRate: 0.5,
      sets: 3,
      evictions: 1,
      entries: 2,
    });
    expect(kept).toHaveLength(2);
  });

  test('takes keys of any kind, by identity for objects', () => {
    const cache = new MemoryCache<unknown, number>({ maxEntries: 20, policy });
    const object = {};
    const symbol = Symbol('s');
    const keys = [object, {}, symbol, 1n, 1.5, -0, Number.NaN, true, 'text', 'x'.repeat(1000), () => 0];
    for (const [index, key] of keys.entries()) cache.set(key, index);
    expect(keys.map((key) => cache.get(key))).toEqual(keys.map((_, index) => index));
    expect(cache.get({})).toBeUndefined();
  });

  test('may be changed by its own eviction listener', () => {
    const cache: MemoryCache<number, number> = new MemoryCache({
      maxEntries: 8,
      policy,
      onEvict: (key) => {
        cache.delete(key - 1);
        if (key % 3 === 0 && key < 500) cache.set(key + 10_000, 0);
      },
    });
    for (let i = 0; i < 1000; i++) cache.set(i, i);
    expect(cache.size).toBeLessThanOrEqual(8);
    expect([...cache.keys()].every((key) => cache.has(key))).toBe(true);
  });

  test('makes the same decisions for the same random numbers', () => {
    const run = (): number => {
      const cache = new MemoryCache<string, number>({ maxEntries: 50, policy, random: () => 0.25 });
      for (let i = 0; i < 20_000; i++) {
        const key = `k${(i * i) % 331}`;
        if (cache.get(key) === undefined) cache.set(key, i);
      }
      return cache.stats().hits;
    };
    expect(run()).toBe(run());
  });

  test('refuses options out of range by name', () => {
    const make = (options: object) => () => new MemoryCache<string, number>(options);
    expect(make({ policy })).toThrow(/maxEntries or maxBytes/);
    expect(make({ maxEntries: 0, policy })).toThrow(RangeError);
    expect(make({ maxEntries: 1.5, policy })).toThrow(/maxEntries/);
    expect(make({ maxEntries: '10', policy })).toThrow(TypeError);
    expect(make({ maxBytes: -1, policy })).toThrow(/maxBytes/);
    expect(make({ maxEntries: 1, ttlMs: 0, policy })).toThrow(/ttlMs/);
    expect(make({ maxEntries: 1, ttlMs: Number.NaN, policy })).toThrow(RangeError);
    expect(make({ maxEntries: 1, policy: 'mru' })).toThrow(/policy/);
    expect(make({ maxEntries: 1, sizeOf: 5, policy })).toThrow(/sizeOf/);
    const cache = new MemoryCache<string, number>({ maxEntries: 1, policy });
    expect(() => cache.set('a', 1, { ttlMs: 0 })).toThrow(RangeError);
    expect(() => cache.set('a', 1, { cost: -1 })).toThrow(/cost/);
    expect(() => cache.set('a', 1, { sizeBytes: Number.NaN })).toThrow(/sizeBytes/);
    expect(() => cache.trim(-1)).toThrow(/targetBytes/);
    expect(cache.size).toBe(0);
    const broken = new MemoryCache<string, number>({ maxBytes: 10, sizeOf: () => Number.NaN, policy });
    expect(() => broken.set('a', 1)).toThrow(/sizeOf/);
    expect(broken.size).toBe(0);
  });
});

test('sweeps expired entries that nobody reads', () => {
  let now = 0;
  const cache = new MemoryCache<number, number>({ maxEntries: 1000, ttlMs: 10, clock: { now: () => now } });
  for (let i = 0; i < 100; i++) cache.set(i, i);
  now = 20;
  for (let i = 0; i < 100; i++) cache.set(1000 + i, i);
  expect(cache.size).toBe(100);
});

test('keeps what is expensive to get over what is cheap', () => {
  const cache = new MemoryCache<string, number>({ maxEntries: 100, policy: 'lfu', random: () => 0.5 });
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 90; i++)
      if (cache.get(`dear${i}`) === undefined) cache.set(`dear${i}`, 1, { cost: 50 });
    for (let i = 0; i < 400; i++)
      if (cache.get(`cheap${i}`) === undefined) cache.set(`cheap${i}`, 1, { cost: 1 });
  }
  let dear = 0;
  for (let i = 0; i < 90; i++) if (cache.has(`dear${i}`)) dear++;
  expect(dear).toBeGreaterThan(85);
});

test('costs little when it is empty, whatever its limit', () => {
  const before = process.memoryUsage().arrayBuffers;
  const caches = Array.from({ length: 20 }, () => new MemoryCache<string, number>({ maxEntries: 2 ** 24 }));
  expect((process.memoryUsage().arrayBuffers - before) / caches.length).toBeLessThan(300_000);
});
