import { describe, expect, test } from 'vitest';
import { Prefetcher } from '@perf/cache';

const absent = (): boolean => false;
const make = (
  options: Partial<{ maxKeys: number; maxWaste: number; horizon: number }> = {},
): Prefetcher<string> => new Prefetcher({ maxKeys: 1000, maxWaste: 0.3, horizon: 10, ...options });

function repeat(
  prefetcher: Prefetcher<string>,
  keys: readonly string[],
  rounds: number,
): (string | undefined)[] {
  let last: (string | undefined)[] = [];
  for (let round = 0; round < rounds; round++) last = keys.map((key) => prefetcher.observe(key, absent));
  return last;
}

describe('Prefetcher', () => {
  test('names the key that has followed often enough', () => {
    expect(repeat(make(), ['a', 'b', 'c', 'd'], 50)).toEqual(['b', 'c', 'd', 'a']);
  });

  test('names nothing that is present already', () => {
    const prefetcher = make();
    repeat(prefetcher, ['a', 'b', 'c'], 50);
    expect(prefetcher.observe('a', (key) => key === 'b')).toBeUndefined();
  });

  test('fetches nothing while reads follow no order, and starts when they do', () => {
    const prefetcher = make();
    let state = 1;
    for (let i = 0; i < 5000; i++) {
      state = (state * 16807) % 2147483647;
      prefetcher.observe(`k${state % 500}`, absent);
    }
    expect(prefetcher.stats()).toMatchObject({ active: false });
    expect(prefetcher.stats().issued).toBeLessThan(50);
    repeat(prefetcher, ['a', 'b', 'c', 'd'], 50);
    expect(prefetcher.stats().active).toBe(true);
  });

  test('switches itself off when predictions stop coming true', () => {
    const prefetcher = make({ horizon: 3 });
    repeat(prefetcher, ['a', 'b', 'c', 'd'], 100);
    const { wasted } = prefetcher.stats();
    const keys = ['a', 'b', 'c', 'd'];
    for (let i = 0; i < 4000; i++)
      prefetcher.observe(i % 9 === 0 ? (keys.at(i % 4) ?? '') : `new${i}`, absent);
    expect(prefetcher.stats().wasted - wasted).toBeLessThan(600);
    const { issued } = prefetcher.stats();
    for (let i = 0; i < 900; i++)
      prefetcher.observe(i % 9 === 0 ? (keys.at(i % 4) ?? '') : `more${i}`, absent);
    expect(prefetcher.stats().issued).toBe(issued);
  });

  test('counts what it issued exactly', () => {
    const prefetcher = make();
    let issued = 0;
    for (let round = 0; round < 60; round++) {
      for (const key of ['a', 'b', 'c', 'd', 'e'])
        if (prefetcher.observe(key, absent) !== undefined) issued++;
    }
    const stats = prefetcher.stats();
    expect(stats.issued).toBe(issued);
    expect(stats.useful + stats.wasted).toBeGreaterThan(issued - 6);
  });

  test('remembers a bounded number of keys', () => {
    const prefetcher = make({ maxKeys: 3 });
    expect(repeat(prefetcher, ['a', 'b', 'c', 'd', 'e', 'f'], 50)).toEqual(Array.from({ length: 6 }));
  });

  test('refuses options out of range by name', () => {
    expect(() => make({ maxKeys: 0 })).toThrow(/maxKeys/);
    expect(() => make({ maxWaste: 2 })).toThrow(/maxWaste/);
    expect(() => make({ horizon: 1.5 })).toThrow(/horizon/);
  });
});
