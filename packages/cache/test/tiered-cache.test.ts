import { serialize } from 'node:v8';
import { describe, expect, test, vi } from 'vitest';
import { CacheError, TieredCache } from '@perf/cache';
import type { Entry, TieredCacheOptions } from '@perf/cache';
import { MapTier } from './map-tier.ts';

interface Setup<V> {
  readonly cache: TieredCache<V>;
  readonly near: MapTier;
  readonly far: MapTier;
  readonly time: { now: number };
  readonly errors: CacheError[];
}

function setup<V = unknown>(options: Partial<TieredCacheOptions<V>> = {}): Setup<V> {
  const near = new MapTier('near');
  const far = new MapTier('far');
  const time = { now: 1_000_000 };
  const errors: CacheError[] = [];
  const cache = new TieredCache<V>({
    memory: { maxEntries: 100 },
    tiers: [near, far],
    clock: { now: () => time.now },
    onError: (error) => errors.push(error),
    ...options,
  });
  return { cache, near, far, time, errors };
}

function deferred<T>(): PromiseWithResolvers<T> {
  return Promise.withResolvers<T>();
}

const ticks = async (n = 20): Promise<void> => {
  for (let i = 0; i < n; i++) await Promise.resolve();
};

describe('reading and writing', () => {
  test('a value set is in memory at once and in every tier when the promise resolves', async () => {
    const { cache, near, far } = setup<string>();
    const done = cache.set('a', 'value');
    expect(cache.peek('a')).toBe('value');
    await done;
    expect([near.entries.has('a'), far.entries.has('a')]).toEqual([true, true]);
  });

  test('a value in a slow tier is promoted to memory and the faster tiers with its absolute expiry', async () => {
    const { cache, near, far, time } = setup<string>();
    await cache.set('a', 'value', { ttlMs: 1000 });
    await cache.clear({ tier: 'memory' });
    await cache.clear({ tier: 'near' });
    time.now += 600;
    expect(await cache.get('a')).toBe('value');
    await cache.flush();
    expect(near.entries.get('a')).toMatchObject({ expiresAtMs: far.entries.get('a')!.expiresAtMs });
    expect(cache.peek('a')).toBe('value');
    time.now += 399;
    expect(await cache.get('a')).toBe('value');
    time.now += 1;
    expect(cache.peek('a')).toBeUndefined();
    expect(await cache.get('a')).toBeUndefined();
  });

  test('memory has its own limit of time, after which the tiers are asked', async () => {
    const { cache, near, time } = setup<string>({ memory: { maxEntries: 10, ttlMs: 100 } });
    await cache.set('a', 'value', { ttlMs: 1000 });
    time.now += 100;
    expect(cache.peek('a')).toBeUndefined();
    expect(await cache.get('a')).toBe('value');
    expect(near.reads).toBe(1);
  });

  test('a tier may cap how long it keeps entries', async () => {
    const { cache, near, far, time } = setup<string>({ tierTtlMs: { near: 50 } });
    await cache.set('a', 'value', { ttlMs: 1000 });
    expect([near.entries.get('a')?.expiresAtMs, far.entries.get('a')?.expiresAtMs]).toEqual([
      time.now + 50,
      time.now + 1000,
    ]);
  });

  test('getMany asks each tier once, for what the faster ones lack', async () => {
    const { cache, near, far } = setup<number>();
    await Promise.all([1, 2, 3, 4].map((n) => cache.set(`k${n}`, n)));
    await cache.clear({ tier: 'memory' });
    await cache.get('k1');
    near.entries.delete('k3');
    near.reads = 0;
    far.reads = 0;
    const values = await cache.getMany(['k1', 'k2', 'k3', 'k4', 'none', 'k2']);
    expect(values).toEqual(
      new Map([
        ['k1', 1],
        ['k2', 2],
        ['k4', 4],
        ['k3', 3],
      ]),
    );
    expect([near.reads, far.reads]).toEqual([1, 1]);
  });

  test('values are copies: neither the caller nor a reader can change what the cache holds', async () => {
    const { cache } = setup<{ list: number[] }>();
    const mine = { list: [1] };
    await cache.set('a', mine);
    mine.list.push(2);
    const first = await cache.get('a');
    first!.list.push(3);
    cache.peek('a')!.list.push(4);
    expect(await cache.get('a')).toEqual({ list: [1] });
    const loaded = await cache.getOrLoad('b', () => Promise.resolve(mine));
    loaded.list.push(9);
    expect(cache.peek('b')).toEqual({ list: [1, 2] });
  });

  test('values are shared by reference when asked', async () => {
    const value = { a: 1 };
    const { cache } = setup<object>({ share: true, tiers: [] });
    await cache.set('a', value);
    expect(cache.peek('a')).toBe(value);
    expect(await cache.get('a')).toBe(value);
  });

  test('structured values survive the tiers', async () => {
    const { cache } = setup();
    const value = {
      date: new Date(5),
      map: new Map([[1, new Set(['x'])]]),
      bytes: new Uint8Array([1, 2]),
      none: undefined,
    };
    await cache.set('a', value);
    await cache.clear({ tier: 'memory' });
    expect(await cache.get('a')).toEqual(value);
  });

  test('a value that cannot be encoded is refused and nothing changes', async () => {
    const { cache } = setup();
    await cache.set('a', 'before');
    await expect(cache.set('a', () => 0)).rejects.toMatchObject({ code: 'ERR_PERF_CACHE_CODEC' });
    expect(cache.peek('a')).toBe('before');
  });

  test('delete removes from all tiers and says whether anything was there', async () => {
    const { cache, near, far } = setup<string>();
    await cache.set('a', 'value');
    await cache.clear({ tier: 'memory' });
    expect(await cache.delete('a')).toBe(true);
    expect(await cache.delete('a')).toBe(false);
    expect([near.entries.size, far.entries.size, await cache.get('a')]).toEqual([0, 0, undefined]);
  });

  test('a read that starts while a delete is on its way does not bring the value back', async () => {
    const { cache, near } = setup<string>();
    await cache.set('a', 'value');
    await cache.clear({ tier: 'memory' });
    const gate = deferred<void>();
    near.gate = gate;
    const deleted = cache.delete('a');
    const read = cache.get('a');
    gate.resolve();
    near.gate = undefined;
    expect([await deleted, await read, cache.peek('a')]).toEqual([true, undefined, undefined]);
  });

  test('clear empties everything, or one tier', async () => {
    const { cache, near, far } = setup<string>();
    await cache.set('a', 'value');
    await cache.clear({ tier: 'far' });
    expect([cache.peek('a'), near.entries.size, far.entries.size]).toEqual(['value', 1, 0]);
    await cache.clear();
    expect([cache.peek('a'), near.entries.size]).toEqual([undefined, 0]);
    await expect(cache.clear({ tier: 'nowhere' })).rejects.toThrow(RangeError);
  });

  test('writes of one key reach a tier in order even when the first is slow', async () => {
    const { cache, near } = setup<number>({});
    const gate = deferred<void>();
    near.gate = gate;
    const first = cache.set('a', 1);
    near.gate = undefined;
    const second = cache.set('a', 2);
    gate.resolve();
    await Promise.all([first, second]);
    await cache.clear({ tier: 'memory' });
    expect(await cache.get('a')).toBe(2);
  });
});

describe('tags', () => {
  test('deleteByTag removes what carries the tag, in memory and in tiers that cannot search by tag', async () => {
    const { cache } = setup<number>();
    await cache.set('a', 1, { tags: ['x', 'y'] });
    await cache.set('b', 2, { tags: ['y'] });
    await cache.set('c', 3);
    expect(await cache.deleteByTag('x')).toBe(1);
    expect([cache.peek('a'), cache.peek('b')]).toEqual([undefined, 2]);
    await cache.clear({ tier: 'memory' });
    expect(await cache.deleteByTag('y')).toBe(0);
    expect(await cache.getMany(['a', 'b', 'c'])).toEqual(new Map([['c', 3]]));
  });

  test('an entry written after the tag was deleted is served', async () => {
    const { cache, time } = setup<number>();
    await cache.deleteByTag('x');
    time.now += 1;
    await cache.set('a', 1, { tags: ['x'] });
    await cache.clear({ tier: 'memory' });
    expect(await cache.get('a')).toBe(1);
  });

  test('a replaced entry loses its old tags', async () => {
    const { cache } = setup<number>({ tiers: [] });
    await cache.set('a', 1, { tags: ['x'] });
    await cache.set('a', 2, { tags: ['y'] });
    expect(await cache.deleteByTag('x')).toBe(0);
    expect(cache.peek('a')).toBe(2);
  });
});

describe('single flight', () => {
  test('100 concurrent misses call the loader once', async () => {
    const { cache } = setup<string>();
    const load = vi.fn(() => Promise.resolve('value'));
    const values = await Promise.all(Array.from({ length: 100 }, () => cache.getOrLoad('a', load)));
    expect(new Set(values)).toEqual(new Set(['value']));
    expect(load).toHaveBeenCalledTimes(1);
    expect(cache.stats()).toMatchObject({ loads: 1, coalesced: 99, misses: 100, hits: 0 });
    expect(await cache.getOrLoad('a', load)).toBe('value');
    expect(load).toHaveBeenCalledTimes(1);
  });

  test('a rejection reaches every caller from one call, and the next caller tries anew', async () => {
    const { cache } = setup<string>();
    const error = new Error('backend');
    const load = vi.fn(() => Promise.reject<string>(error));
    const results = await Promise.allSettled(Array.from({ length: 100 }, () => cache.getOrLoad('a', load)));
    expect(results.every((result) => result.status === 'rejected' && result.reason === error)).toBe(true);
    expect(load).toHaveBeenCalledTimes(1);
    expect(await cache.getOrLoad('a', () => Promise.resolve('later'))).toBe('later');
  });

  test('a loader that throws synchronously is a rejection', async () => {
    const { cache } = setup<string>();
    const load = (): Promise<string> => {
      throw new RangeError('sync');
    };
    await expect(cache.getOrLoad('a', load)).rejects.toThrow('sync');
  });

  test('one waiter may abort: the others get the value', async () => {
    const { cache } = setup<string>();
    const answer = deferred<string>();
    const controller = new AbortController();
    let seen: AbortSignal | undefined;
    const load = vi.fn(({ signal }: { signal: AbortSignal }) => {
      seen = signal;
      return answer.promise;
    });
    const one = cache.getOrLoad('a', load, { signal: controller.signal });
    const others = Array.from({ length: 99 }, () => cache.getOrLoad('a', load));
    await ticks();
    controller.abort(new Error('gone'));
    await expect(one).rejects.toThrow('gone');
    expect(seen!.aborted).toBe(false);
    answer.resolve('value');
    expect(new Set(await Promise.all(others))).toEqual(new Set(['value']));
    expect(load).toHaveBeenCalledTimes(1);
  });

  test('when all waiters abort the load is aborted, nothing is kept, and the next caller loads anew', async () => {
    const { cache } = setup<string>();
    const answer = deferred<string>();
    const controller = new AbortController();
    let seen: AbortSignal | undefined;
    const waiters = Array.from({ length: 100 }, () =>
      cache.getOrLoad('a', ({ signal }) => ((seen = signal), answer.promise), { signal: controller.signal }),
    );
    await ticks();
    controller.abort(new Error('gone'));
    const results = await Promise.allSettled(waiters);
    expect(results.every((result) => result.status === 'rejected')).toBe(true);
    expect(seen!.aborted).toBe(true);
    const again = cache.getOrLoad('a', () => Promise.resolve('second'));
    answer.resolve('first');
    expect(await again).toBe('second');
    await ticks();
    expect(cache.peek('a')).toBe('second');
  });

  test('an aborted signal rejects before anything starts', async () => {
    const { cache } = setup<string>();
    const load = vi.fn(() => Promise.resolve('x'));
    const signal = AbortSignal.abort(new Error('before'));
    await expect(cache.getOrLoad('a', load, { signal })).rejects.toThrow('before');
    await expect(cache.get('a', { signal })).rejects.toThrow('before');
    expect(load).not.toHaveBeenCalled();
  });

  test.each([
    ['delete', (cache: TieredCache<string>) => cache.delete('a'), undefined],
    ['clear', (cache: TieredCache<string>) => cache.clear(), undefined],
    ['deleteByTag', (cache: TieredCache<string>) => cache.deleteByTag('t'), undefined],
    ['set', (cache: TieredCache<string>) => cache.set('a', 'set'), 'set'],
  ] as const)(
    '%s during a load wins: its 100 callers get the loaded value, the cache does not keep it',
    async (_name, mutate, left) => {
      const { cache } = setup<string>();
      const answer = deferred<string>();
      const load = vi.fn(() => answer.promise);
      const waiters = Array.from({ length: 100 }, () => cache.getOrLoad('a', load, { tags: ['t'] }));
      await ticks();
      expect(load).toHaveBeenCalledTimes(1);
      await mutate(cache);
      answer.resolve('loaded');
      expect(new Set(await Promise.all(waiters))).toEqual(new Set(['loaded']));
      await cache.flush();
      expect([cache.peek('a'), await cache.get('a')]).toEqual([left, left]);
      await cache.clear({ tier: 'memory' });
      expect(await cache.get('a')).toBe(left);
      expect(load).toHaveBeenCalledTimes(1);
    },
  );

  test('a tag that the loader learns while loading counts too', async () => {
    const { cache } = setup<string>();
    const answer = deferred<string>();
    const loading = cache.getOrLoad('a', async ({ refine }) => {
      const value = await answer.promise;
      refine({ tags: ['late'] });
      return value;
    });
    await ticks();
    await cache.deleteByTag('late');
    answer.resolve('loaded');
    expect([await loading, cache.peek('a')]).toEqual(['loaded', undefined]);
  });

  test('a caller after a delete does not join the load from before it', async () => {
    const { cache } = setup<string>();
    const old = deferred<string>();
    const before = cache.getOrLoad('a', () => old.promise);
    await ticks();
    await cache.delete('a');
    const after = cache.getOrLoad('a', () => Promise.resolve('new'));
    expect(await after).toBe('new');
    old.resolve('old');
    expect(await before).toBe('old');
    expect(cache.peek('a')).toBe('new');
  });
});

describe('stale values', () => {
  test('a value past its end is served at once while one load refreshes it', async () => {
    const { cache, time } = setup<number>({ ttlMs: 100, staleWhileRevalidateMs: 1000 });
    let version = 0;
    const load = vi.fn(() => Promise.resolve(++version));
    expect(await cache.getOrLoad('a', load)).toBe(1);
    time.now += 150;
    expect(await Promise.all([cache.getOrLoad('a', load), cache.getOrLoad('a', load)])).toEqual([1, 1]);
    await ticks();
    expect(load).toHaveBeenCalledTimes(2);
    expect(await cache.getOrLoad('a', load)).toBe(2);
    expect(cache.stats().staleServed).toBe(2);
    expect(await cache.get('a')).toBe(2);
  });

  test('a refresh that fails behind a stale value is reported', async () => {
    const { cache, time, errors } = setup<number>({ ttlMs: 100, staleWhileRevalidateMs: 1000, tiers: [] });
    await cache.set('a', 1);
    time.now += 150;
    const down = new Error('down');
    expect(await cache.getOrLoad('a', () => Promise.reject<number>(down))).toBe(1);
    await ticks();
    expect(errors).toMatchObject([{ code: 'ERR_PERF_CACHE_REFRESH', cause: down }]);
  });

  test('a slow read of the tiers does not bring back what a load has replaced', async () => {
    const gate = deferred<void>();
    class SlowlyAnswering extends MapTier {
      slow = false;

      override async getMany(keys: readonly string[]): Promise<(Entry | undefined)[]> {
        const entries = await super.getMany(keys);
        if (this.slow) await gate.promise;
        return entries;
      }
    }
    const tier = new SlowlyAnswering('slow');
    const { cache, time } = setup<number>({ ttlMs: 100, graceMs: 1000, tiers: [tier] });
    await cache.set('a', 1);
    await cache.clear({ tier: 'memory' });
    time.now += 150;
    tier.slow = true;
    const reading = cache.getMany(['a']);
    await ticks();
    tier.slow = false;
    expect(await cache.getOrLoad('a', () => Promise.resolve(2))).toBe(2);
    gate.resolve();
    expect((await reading).size).toBe(0);
    expect(cache.peek('a')).toBe(2);
  });

  test('get never serves a stale value', async () => {
    const { cache, time } = setup<number>({ ttlMs: 100, staleWhileRevalidateMs: 1000, graceMs: 1000 });
    await cache.set('a', 1);
    time.now += 100;
    expect([cache.peek('a'), await cache.get('a'), (await cache.getMany(['a'])).size]).toEqual([
      undefined,
      undefined,
      0,
    ]);
  });

  test('within its grace a stale value answers when loading fails, and not after', async () => {
    const { cache, time } = setup<number>({ ttlMs: 100, graceMs: 1000 });
    await cache.set('a', 1);
    await cache.clear({ tier: 'memory' });
    time.now += 500;
    const fail = (): Promise<number> => Promise.reject(new Error('down'));
    expect(await cache.getOrLoad('a', fail)).toBe(1);
    time.now += 600;
    await expect(cache.getOrLoad('a', fail)).rejects.toThrow('down');
  });

  test('a slow load is waited for softTimeoutMs when there is a stale value, and hardTimeoutMs when there is none', async () => {
    vi.useFakeTimers();
    try {
      const { cache, time } = setup<number>({
        ttlMs: 100,
        graceMs: 1000,
        softTimeoutMs: 20,
        hardTimeoutMs: 50,
        tiers: [],
      });
      await cache.set('a', 1);
      time.now += 200;
      const slow = deferred<number>();
      const stale = cache.getOrLoad('a', () => slow.promise);
      await vi.advanceTimersByTimeAsync(20);
      expect(await stale).toBe(1);
      slow.resolve(2);
      await ticks();
      expect(cache.peek('a')).toBe(2);
      const never = cache.getOrLoad('b', () => new Promise<number>(() => undefined));
      const failed = never.catch((error: unknown) => error);
      await vi.advanceTimersByTimeAsync(50);
      expect(await failed).toMatchObject({ code: 'ERR_PERF_CACHE_LOAD_TIMEOUT' });
    } finally {
      vi.useRealTimers();
    }
  });

  test('a loader that finds nothing is asked again, unless absence is remembered', async () => {
    const plain = setup<string | undefined>();
    const load = vi.fn(() => Promise.resolve<string | undefined>(undefined));
    await plain.cache.getOrLoad('a', load);
    await plain.cache.getOrLoad('a', load);
    expect(load).toHaveBeenCalledTimes(2);
    const { cache, time } = setup<string | undefined>({ negativeTtlMs: 100 });
    const negative = vi.fn(() => Promise.resolve<string | undefined>(undefined));
    await cache.getOrLoad('a', negative);
    expect(await cache.getOrLoad('a', negative)).toBeUndefined();
    expect(negative).toHaveBeenCalledTimes(1);
    time.now += 100;
    await cache.getOrLoad('a', negative);
    expect(negative).toHaveBeenCalledTimes(2);
  });
});

describe('failing tiers', () => {
  test('a tier that cannot be read is a miss that is reported', async () => {
    const { cache, near, errors } = setup<string>();
    await cache.set('a', 'value');
    await cache.clear({ tier: 'memory' });
    near.failure = new Error('disk');
    expect(await cache.get('a')).toBe('value');
    await ticks();
    expect(errors[0]).toMatchObject({ code: 'ERR_PERF_CACHE_TIER', cause: near.failure });
    expect(cache.stats().tiers['near']?.['errors']).toBeGreaterThan(0);
  });

  test('a write that a tier refuses rejects, and the other tiers have it', async () => {
    const { cache, near, far } = setup<string>();
    near.failure = new Error('full');
    await expect(cache.set('a', 'value')).rejects.toMatchObject({
      code: 'ERR_PERF_CACHE_TIER',
      cause: near.failure,
    });
    expect([far.entries.has('a'), cache.peek('a')]).toEqual([true, 'value']);
    await expect(cache.delete('a')).rejects.toMatchObject({ code: 'ERR_PERF_CACHE_TIER' });
  });

  test('an entry that cannot be decoded is dropped, counted and reported', async () => {
    const { cache, far, errors } = setup<string>({ tiers: [] });
    await cache.close();
    const other = setup<string>();
    other.far.entries.set('a', { key: 'a', value: new Uint8Array([1, 2, 3]) });
    expect(await other.cache.get('a')).toBeUndefined();
    await other.cache.flush();
    expect([other.far.entries.size, other.errors[0]?.code]).toEqual([0, 'ERR_PERF_CACHE_CODEC']);
    expect([far.entries.size, errors]).toEqual([0, []]);
  });
});

describe('integrity', () => {
  const key = new Uint8Array(32).fill(7);

  test('an altered, moved or prolonged entry is dropped, counted and reported', async () => {
    const { cache, near, far, errors } = setup<string>({ integrity: { mode: 'always', key } });
    await cache.set('a', 'value', { ttlMs: 1000, tags: ['t'] });
    await cache.clear({ tier: 'memory' });
    const good = far.entries.get('a')!;
    expect(near.entries.get('a')!.mac).not.toEqual(good.mac);
    near.entries.set('a', { ...good });
    far.entries.set('b', { ...good, key: 'b' });
    expect(await cache.get('a')).toBe('value');
    expect(await cache.get('b')).toBeUndefined();
    await cache.flush();
    expect(cache.stats().integrityFailures).toBe(2);
    expect(errors).toHaveLength(2);
    await cache.clear({ tier: 'memory' });
    for (const forged of [
      { ...good, expiresAtMs: good.expiresAtMs! + 1 },
      { ...good, tags: ['u'] },
      { ...good, value: Uint8Array.from(good.value, (byte, i) => (i === 3 ? byte ^ 1 : byte)) },
      { ...good, mac: good.mac!.subarray(0, 31) },
    ]) {
      near.entries.delete('a');
      far.entries.set('a', forged);
      expect(await cache.get('a')).toBeUndefined();
      await cache.flush();
      expect(far.entries.has('a')).toBe(false);
    }
  });

  test('entries signed with a previous key are accepted until that key is dropped', async () => {
    const first = setup<string>({ integrity: { mode: 'always', key } });
    await first.cache.set('a', 'value');
    const next = new Uint8Array(32).fill(8);
    const rotated = setup<string>({
      tiers: [first.near],
      integrity: { mode: 'always', key: next, previousKeys: [key] },
    });
    expect(await rotated.cache.get('a')).toBe('value');
    const dropped = setup<string>({ tiers: [first.near], integrity: { mode: 'always', key: next } });
    expect(await dropped.cache.get('a')).toBeUndefined();
  });

  test('refuses short keys, unknown modes and rates by name', () => {
    const make = (integrity: object) => () =>
      setup({ integrity: integrity as { mode: 'always'; key: Uint8Array } });
    expect(make({ mode: 'always', key: new Uint8Array(8) })).toThrow(/integrity.key/);
    expect(make({ mode: 'always', key: 'secret' })).toThrow(TypeError);
    expect(make({ mode: 'perhaps', key })).toThrow(/integrity.mode/);
    expect(make({ mode: 'sampling', key, sampleRate: 2 })).toThrow(/sampleRate/);
  });
});

describe('the rest of the face', () => {
  test('recordOperation brings the keys of a repeated operation into memory', async () => {
    const { cache } = setup<number>();
    await cache.set('a', 1);
    await cache.set('b', 2);
    for (let run = 0; run < 2; run++) cache.recordOperation('plan', ['a', 'b']);
    await cache.clear({ tier: 'memory' });
    cache.recordOperation('plan', []);
    await cache.flush();
    expect([cache.peek('a'), cache.peek('b')]).toEqual([1, 2]);
  });

  test('reads in a known order are fetched ahead, and not when prefetching is off', async () => {
    const keys = Array.from({ length: 200 }, (_, i) => `k${i}`);
    const misses = async (prefetch: false | undefined): Promise<number> => {
      const { cache, near } = setup<string>({
        memory: { maxEntries: 50 },
        ...(prefetch === undefined ? {} : { prefetch }),
        random: () => 0.5,
      });
      for (const key of keys) near.entries.set(key, { key, value: serialize(key) });
      for (let round = 0; round < 12; round++) {
        for (const key of keys) {
          await cache.get(key);
          await ticks(10);
        }
      }
      return cache.stats().tiers['memory']?.misses ?? 0;
    };
    const [without, withIt] = [await misses(false), await misses(undefined)];
    expect(withIt).toBeLessThan(without / 2);
  });

  test('warm fills memory from values, from keys in the tiers and from an operation', async () => {
    const { cache } = setup<number>();
    expect(
      await cache.warm([
        ['a', 1],
        ['b', 2],
      ]),
    ).toEqual({ loaded: 2, present: 0, missing: 0 });
    expect(await cache.warm([['a', 9]])).toEqual({ loaded: 0, present: 1, missing: 0 });
    await cache.clear({ tier: 'memory' });
    expect(await cache.warm({ keys: ['a', 'none'] })).toEqual({ loaded: 1, present: 0, missing: 1 });
    cache.recordOperation('plan', ['b']);
    expect(await cache.warm({ operation: 'plan' })).toEqual({ loaded: 1, present: 0, missing: 0 });
    expect([cache.peek('a'), cache.peek('b')]).toEqual([1, 2]);
  });

  test('stats name every tier', async () => {
    const { cache } = setup<number>();
    await cache.set('a', 1);
    await cache.get('a');
    await cache.get('b');
    expect(cache.stats()).toMatchObject({
      hits: 1,
      misses: 1,
      hitRate: 0.5,
      sets: 1,
      entries: 1,
      tiers: {
        memory: { hits: 1, misses: 1 },
        near: { hits: 0, misses: 1 },
        far: { hits: 0, misses: 1, entries: 1 },
      },
    });
  });

  test('after close every call is refused, and closing again is the same', async () => {
    const { cache, near } = setup<number>();
    await cache.set('a', 1);
    await cache.close();
    await cache.close();
    expect(near.closed).toBe(1);
    const closed = { code: 'ERR_PERF_CACHE_CLOSED' };
    await expect(cache.get('a')).rejects.toMatchObject(closed);
    await expect(cache.set('a', 1)).rejects.toMatchObject(closed);
    await expect(cache.getOrLoad('a', () => Promise.resolve(1))).rejects.toMatchObject(closed);
    await expect(cache.getMany(['a'])).rejects.toMatchObject(closed);
    await expect(cache.delete('a')).rejects.toMatchObject(closed);
    await expect(cache.deleteByTag('a')).rejects.toMatchObject(closed);
    await expect(cache.clear()).rejects.toMatchObject(closed);
    await expect(cache.flush()).rejects.toMatchObject(closed);
    expect(() => cache.recordOperation('a', [])).toThrow(CacheError);
  });

  test('refuses options out of range by name', () => {
    const make = (options: object) => () => setup(options);
    expect(make({ ttlMs: 0 })).toThrow(/ttlMs/);
    expect(make({ graceMs: -1 })).toThrow(/graceMs/);
    expect(make({ hardTimeoutMs: 0 })).toThrow(/hardTimeoutMs/);
    expect(make({ tiers: [new MapTier('x'), new MapTier('x')] })).toThrow(/name x is taken/);
    expect(make({ tiers: [new MapTier('memory')] })).toThrow(/memory/);
    expect(make({ tierTtlMs: { nowhere: 5 } })).toThrow(/tierTtlMs/);
  });

  test('refuses keys that are not strings', async () => {
    const { cache } = setup();
    await expect(cache.get(5 as unknown as string)).rejects.toThrow(TypeError);
    await expect(cache.set('a', 1, { ttlMs: 0 })).rejects.toThrow(RangeError);
  });
});
