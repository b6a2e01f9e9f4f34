import { createRequire } from 'node:module';
import { createCache } from 'cache-manager';
import type { CreateCacheOptions } from 'cache-manager';
import { Keyv } from 'keyv';
import { afterEach, describe, expect, test } from 'vitest';
import { TieredCache } from '@perf/cache';
import type { Entry } from '@perf/cache';
import { fromKeyvStore, toKeyvStore } from '@perf/cache/keyv';
import type { KeyvLike } from '@perf/cache/keyv';
import { MapTier } from './map-tier.ts';
import { testTier } from './tier-conformance.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

/** The Keyv that cache-manager comes with. */
type OlderKeyv = NonNullable<CreateCacheOptions['stores']>[number];
const { Keyv: Keyv5 } = createRequire(import.meta.resolve('cache-manager'))('keyv') as {
  Keyv: new (options: { store: unknown; namespace?: string }) => OlderKeyv;
};

/** A storage adapter of the older or newer contract that notes what it is told of time. */
class NotingStore implements KeyvLike {
  readonly values = new Map<string, string>();
  readonly limits: (number | undefined)[] = [];
  readonly capabilities: unknown;
  disconnected = 0;
  refuses = false;

  constructor(takesEnds: boolean) {
    this.capabilities = takesEnds ? { expires: true } : undefined;
  }

  get(key: string): Promise<string | undefined> {
    return Promise.resolve(this.values.get(key));
  }

  set(key: string, value: string, limit?: number): Promise<boolean> {
    this.limits.push(limit);
    if (!this.refuses) this.values.set(key, value);
    return Promise.resolve(!this.refuses);
  }

  delete(key: string): Promise<boolean> {
    return Promise.resolve(this.values.delete(key));
  }

  clear(): Promise<void> {
    this.values.clear();
    return Promise.resolve();
  }

  disconnect(): Promise<void> {
    this.disconnected++;
    return Promise.resolve();
  }
}

describe('a Keyv instance as a tier', () => {
  testTier({ open: () => fromKeyvStore(new Keyv()) });
});
describe('a Keyv instance with a namespace as a tier', () => {
  testTier({ open: () => fromKeyvStore(new Keyv({ namespace: 'n' })) });
});
describe('a Map as a tier', () => {
  testTier({ open: () => fromKeyvStore(new Map<string, string>()) });
});
describe('a storage adapter as a tier', () => {
  testTier({ open: () => fromKeyvStore(new NotingStore(true)) });
});

describe('fromKeyvStore', () => {
  const entry: Entry = { key: 'a', value: bytes('1'), expiresAtMs: 5000, staleUntilMs: 6000.5 };

  test('gives older stores lifetimes and newer ones ends, and drops what is over', async () => {
    const clock = { now: () => 1000 };
    for (const [takesEnds, expected] of [
      [false, 5001],
      [true, 6001],
    ] as const) {
      const store = new NotingStore(takesEnds);
      const tier = fromKeyvStore(store, { clock });
      await tier.setMany([entry, { key: 'b', value: bytes('2') }]);
      expect(store.limits).toEqual([expected, undefined]);
      await tier.setMany([{ ...entry, expiresAtMs: 900, staleUntilMs: 1000 }]);
      expect(await tier.getMany(['a'])).toEqual([undefined]);
    }
  });

  test('a foreign value is a miss and counted', async () => {
    const store = new Map<string, string>([['perf:a', 'hello']]);
    const tier = fromKeyvStore(store, { name: 'mine' });
    expect(await tier.getMany(['a'])).toEqual([undefined]);
    expect([tier.name, tier.stats()['unreadable']]).toEqual(['mine', 1]);
  });

  test('a store that says it did not store is an error', async () => {
    const store = new NotingStore(true);
    store.refuses = true;
    const tier = fromKeyvStore(store, { clock: { now: () => 1000 } });
    await expect(tier.setMany([entry])).rejects.toMatchObject({ code: 'ERR_PERF_CACHE_TIER' });
  });

  test('disconnects the store only when asked', async () => {
    const store = new NotingStore(true);
    await fromKeyvStore(store).close();
    expect(store.disconnected).toBe(0);
    const tier = fromKeyvStore(store, { disconnect: true });
    await tier.close();
    await tier.close();
    expect(store.disconnected).toBe(1);
  });

  test('works below a cache, with tags and integrity', async () => {
    const store = new Map<string, string>();
    const cache = new TieredCache<{ n: number }>({
      memory: { maxEntries: 2 },
      tiers: [fromKeyvStore(store)],
      integrity: { mode: 'always', key: new Uint8Array(32) },
    });
    open.push(cache);
    for (let n = 0; n < 10; n++) await cache.set(`k${n}`, { n }, { tags: [`t${n % 2}`] });
    expect(await cache.get('k3')).toEqual({ n: 3 });
    await cache.deleteByTag('t1');
    await cache.clear({ tier: 'memory' });
    expect([await cache.get('k3'), await cache.get('k4')]).toEqual([undefined, { n: 4 }]);
    store.set('perf:k4', store.get('perf:k6')!);
    await cache.clear({ tier: 'memory' });
    expect(await cache.get('k4')).toBeUndefined();
    expect(cache.stats().integrityFailures).toBe(1);
  });

  test('refuses what is not a store', () => {
    expect(() => fromKeyvStore(undefined as unknown as KeyvLike)).toThrow(TypeError);
    expect(() => fromKeyvStore({ get: () => 1 } as unknown as KeyvLike)).toThrow(/set/);
    expect(() => fromKeyvStore({ get: 5 } as unknown as KeyvLike)).toThrow(/store.get/);
  });
});

describe('toKeyvStore', () => {
  const time = { now: Date.now() };
  function makeCache(): TieredCache<unknown> {
    const cache = new TieredCache<unknown>({
      memory: { maxEntries: 1000 },
      tiers: [new MapTier('map')],
      clock: { now: () => time.now },
    });
    open.push(cache);
    return cache;
  }

  test('Keyv reads, writes, deletes and clears through it', async () => {
    const cache = makeCache();
    const keyv = new Keyv({ store: toKeyvStore(cache) });
    expect(await keyv.set('a', { list: [1] })).toBe(true);
    await keyv.setMany([
      { key: 'b', value: 2 },
      { key: 'c', value: 3 },
    ]);
    expect(await keyv.get('a')).toEqual({ list: [1] });
    expect(await keyv.get(['b', 'none', 'c'])).toEqual([2, undefined, 3]);
    expect([await keyv.has('a'), await keyv.has('none')]).toEqual([true, false]);
    expect([await keyv.delete('a'), await keyv.delete('a')]).toEqual([true, false]);
    await cache.set('beside', 'stays');
    await keyv.clear();
    expect([await keyv.get('b'), await cache.get('beside')]).toEqual([undefined, 'stays']);
    await keyv.disconnect();
    expect(await cache.get('beside')).toBe('stays');
  });

  test('a lifetime given to Keyv ends the entry in the cache', async () => {
    const keyv = new Keyv({ store: toKeyvStore(makeCache()) });
    await keyv.set('short', 1, 1000);
    await keyv.set('long', 2, 100_000);
    await keyv.set('endless', 3);
    time.now += 1000;
    expect(await keyv.get(['short', 'long', 'endless'])).toEqual([undefined, 2, 3]);
  });

  test('namespaces on one cache are apart', async () => {
    const cache = makeCache();
    const one = new Keyv({ store: toKeyvStore(cache), namespace: 'one' });
    const two = new Keyv({ store: toKeyvStore(cache), namespace: 'two' });
    await one.set('a', 1);
    await two.set('a', 2);
    expect([await one.get('a'), await two.get('a')]).toEqual([1, 2]);
    await one.clear();
    expect([await one.get('a'), await two.get('a')]).toEqual([undefined, 2]);
  });

  test('cache-manager works on it', async () => {
    const manager = createCache({ stores: [new Keyv5({ store: toKeyvStore(makeCache()) })], ttl: 10_000 });
    await manager.set('a', { n: 1 });
    await manager.mset([
      { key: 'b', value: 2 },
      { key: 'c', value: 3, ttl: 500 },
    ]);
    expect(await manager.get('a')).toEqual({ n: 1 });
    expect(await manager.mget(['b', 'c', 'none'])).toEqual([2, 3, undefined]);
    let loads = 0;
    const load = (): Promise<string> => Promise.resolve(`loaded ${++loads}`);
    expect([await manager.wrap('w', load), await manager.wrap('w', load)]).toEqual(['loaded 1', 'loaded 1']);
    time.now += 500;
    expect([await manager.get('b'), await manager.get('c')]).toEqual([2, undefined]);
    expect(await manager.del('a')).toBe(true);
    expect(await manager.get('a')).toBeUndefined();
    await manager.clear();
    expect(await manager.get('b')).toBeUndefined();
  });

  test('Keyv 5 keeps namespaces apart too', async () => {
    const cache = makeCache();
    const one = new Keyv5({ store: toKeyvStore(cache), namespace: 'one' });
    const two = new Keyv5({ store: toKeyvStore(cache), namespace: 'two' });
    await one.set('a', 1, 1000);
    await two.set('a', 2);
    expect([await one.get('a'), await two.get('a')]).toEqual([1, 2]);
    time.now += 1000;
    expect([await one.get('a'), await two.get('a')]).toEqual([undefined, 2]);
    await two.clear();
    expect(await two.get('a')).toBeUndefined();
  });

  test('refuses what is not a cache', () => {
    expect(() => toKeyvStore(undefined as unknown as TieredCache<unknown>)).toThrow(/cache/);
  });
});
