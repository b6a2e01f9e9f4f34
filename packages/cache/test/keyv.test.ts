import { Keyv, KeyvMemoryAdapter } from 'keyv';
import { describe, expect, test } from 'vitest';
import { TieredCache } from '@perf/cache';
import { fromKeyvStore, toCacheManagerStore, toKeyvStore } from '@perf/cache/keyv';
import type { KeyvStore } from '@perf/cache/keyv';

class PlainStore implements KeyvStore {
  readonly texts = new Map<string, string>();
  readonly expiries: (number | undefined)[] = [];

  get(key: string): string | undefined {
    return this.texts.get(key);
  }

  set(key: string, value: string, expiry?: number): void {
    this.texts.set(key, value);
    this.expiries.push(expiry);
  }

  delete(key: string): boolean {
    return this.texts.delete(key);
  }

  clear(): void {
    this.texts.clear();
  }
}

describe('a Keyv store as a tier', () => {
  test('keeps entries with everything that belongs to them', async () => {
    const store = new PlainStore();
    const integrity = { mode: 'always' as const, key: new Uint8Array(32).fill(5) };
    const open = (): TieredCache<object> =>
      new TieredCache<object>({ memory: { maxEntries: 10 }, tiers: [fromKeyvStore(store)], integrity });
    const first = open();
    await first.set('a', { list: [1, 2] }, { ttlMs: 60_000, tags: ['t'] });
    await first.set('b', { n: 1 });
    const second = open();
    expect(await second.get('a')).toEqual({ list: [1, 2] });
    expect(store.expiries.at(1)).toBeUndefined();
    expect(Math.abs((store.expiries.at(0) ?? 0) - 60_000)).toBeLessThan(5000);
    expect(await second.delete('a')).toBe(true);
    expect([await second.get('a'), await second.get('b')]).toEqual([undefined, { n: 1 }]);
    store.texts.set('b', 'not an entry');
    await second.clear({ tier: 'memory' });
    expect(await second.get('b')).toBeUndefined();
    await second.clear();
    expect(store.texts.size).toBe(0);
  });

  test('may be the in-memory adapter of Keyv', async () => {
    const tier = fromKeyvStore(new KeyvMemoryAdapter(new Map()));
    await tier.setMany([{ key: 'a', value: new Uint8Array([1, 2]), expiresAtMs: Date.now() + 60_000 }]);
    const [entry] = await tier.getMany(['a']);
    expect([...(entry?.value ?? [])]).toEqual([1, 2]);
  });

  test('must have the methods of one', () => {
    expect(() => fromKeyvStore({} as KeyvStore)).toThrow(/store.get/);
  });
});

describe('a TieredCache as a store', () => {
  test('holds what Keyv puts into it', async () => {
    const cache = new TieredCache<unknown>({ memory: { maxEntries: 10 } });
    const keyv = new Keyv({ store: toKeyvStore(cache) });
    await keyv.set('a', { n: 1 }, 60_000);
    await keyv.set('b', 'two');
    expect([await keyv.get('a'), await keyv.get('b'), await keyv.get('c')]).toEqual([
      { n: 1 },
      'two',
      undefined,
    ]);
    expect(cache.stats().entries).toBe(2);
    expect([await keyv.has('a'), await keyv.delete('a'), await keyv.has('a')]).toEqual([true, true, false]);
    await keyv.clear();
    expect(await keyv.get('b')).toBeUndefined();
  });

  test('ends entries by an absolute or a relative time', async () => {
    let now = Date.now();
    const cache = new TieredCache<unknown>({ memory: { maxEntries: 10 }, clock: { now: () => now } });
    await toKeyvStore(cache).set('absolute', 1, Date.now() + 5000);
    await toCacheManagerStore(cache).set('relative', 2, 5000);
    await toKeyvStore(cache).set('over', 3, Date.now() - 1);
    const read = (): Promise<unknown[]> => toKeyvStore(cache).getMany(['absolute', 'relative', 'over']);
    expect(await read()).toEqual([1, 2, undefined]);
    now += 5001;
    expect(await read()).toEqual([undefined, undefined, undefined]);
  });

  test('deletes and reads many, and disconnecting closes the cache', async () => {
    const cache = new TieredCache<unknown>({ memory: { maxEntries: 10 } });
    const store = toKeyvStore(cache);
    expect(
      await store.setMany([
        { key: 'a', value: 1 },
        { key: 'b', value: 2 },
      ]),
    ).toEqual([true, true]);
    expect(await store.hasMany(['a', 'c'])).toEqual([true, false]);
    expect(await store.deleteMany(['a', 'c'])).toEqual([true, false]);
    await store.disconnect();
    await expect(store.get('b')).rejects.toMatchObject({ code: 'ERR_PERF_CACHE_CLOSED' });
  });
});
