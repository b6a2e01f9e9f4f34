import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, vi } from 'vitest';
import { TieredCache } from '@perf/cache';
import type { CacheError, InvalidationBus, TieredCacheOptions } from '@perf/cache';
import { RedisBus, RedisTier } from '@perf/cache/redis';
import { SqliteTier } from '@perf/cache/sqlite';
import type { Call } from './redis-child.ts';
import { MapTier } from './map-tier.ts';
import { ownRedisTest, RedisServer, until } from './redis-server.ts';

const CHILD = fileURLToPath(new URL('redis-child.ts', import.meta.url));
const KEY = new Uint8Array(32).fill(5);
let server: RedisServer;
const open: { close(): unknown }[] = [];

beforeEach(async (context) => {
  if (!context.task.name.includes('(skipped:')) server = await RedisServer.start();
});
afterEach(async () => {
  server?.thaw();
  for (const each of open.splice(0).toReversed()) await each.close();
  await server?.remove();
});

interface Member {
  readonly cache: TieredCache<string>;
  readonly bus: RedisBus;
  readonly tier: RedisTier;
  readonly errors: CacheError[];
}

async function join(options: Partial<TieredCacheOptions<string>> = {}): Promise<Member> {
  const redis = server.connection;
  const bus = new RedisBus({ redis, key: KEY, timeoutMs: 50 });
  const tier = new RedisTier({ redis, timeoutMs: 50 });
  const errors: CacheError[] = [];
  const cache = new TieredCache<string>({
    memory: { maxEntries: 1000 },
    integrity: { mode: 'always', key: KEY },
    bus,
    onError: (error) => errors.push(error),
    ...options,
    tiers: [...(options.tiers ?? []), tier],
  });
  open.push(cache);
  await bus.ready();
  await until(() => tier.stats()['available'] === 1);
  return { cache, bus, tier, errors };
}

async function forkMember(): Promise<(call: Call) => Promise<unknown>> {
  const child = fork(CHILD, [JSON.stringify(server.connection)], { execArgv: ['--conditions=@perf/source'] });
  open.push({ close: () => child.kill('SIGKILL') });
  const answer = async (): Promise<unknown> => {
    const [message] = (await once(child, 'message')) as [{ result?: unknown; error?: string }];
    if (message.error !== undefined) throw new Error(message.error);
    return message.result;
  };
  await answer();
  return (call) => {
    child.send(call);
    return answer();
  };
}

describe('caches in two processes on one Redis', () => {
  ownRedisTest('what one process sets, replaces and deletes the other one sees', async () => {
    const { cache } = await join();
    const other = await forkMember();
    await other({ call: 'set', name: 'a', value: 'one', tags: ['t'] });
    expect(await cache.get('a')).toBe('one');
    await other({ call: 'set', name: 'a', value: 'two', tags: ['t'] });
    await until(() => cache.peek('a') === undefined);
    expect(await cache.get('a')).toBe('two');
    await cache.delete('a');
    await vi.waitFor(async () => expect(await other({ call: 'peek', name: 'a' })).toBeNull(), {
      interval: 1,
    });
    expect(await other({ call: 'get', name: 'a' })).toBeNull();
    await cache.set('b', 'three', { tags: ['u'] });
    expect(await other({ call: 'get', name: 'b' })).toBe('three');
    expect(await other({ call: 'deleteByTag', name: 'u' })).toBe(1);
    await until(() => cache.peek('b') === undefined);
    expect(await cache.get('b')).toBeUndefined();
  });

  ownRedisTest('a loader runs once between processes', async () => {
    const [one, two] = [await join(), await join()];
    const answer = Promise.withResolvers<string>();
    const load = vi.fn(() => answer.promise);
    const reads = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? one : two).cache.getOrLoad('a', load));
    await vi.waitFor(() => expect(load).toHaveBeenCalled(), { interval: 1 });
    answer.resolve('value');
    expect(new Set(await Promise.all(reads))).toEqual(new Set(['value']));
    expect(load).toHaveBeenCalledTimes(1);
  });

  ownRedisTest('a set or delete in one wins over a load under way in the other, in Redis too', async () => {
    for (const overtake of ['set', 'delete'] as const) {
      const [one, two] = [await join(), await join()];
      const answer = Promise.withResolvers<string>();
      const load = vi.fn(() => answer.promise);
      const loading = one.cache.getOrLoad(overtake, load);
      await vi.waitFor(() => expect(load).toHaveBeenCalled(), { interval: 1 });
      await (overtake === 'set' ? two.cache.set('set', 'new') : two.cache.delete('delete'));
      answer.resolve('old');
      expect(await loading).toBe('old');
      await one.cache.flush();
      const expected = overtake === 'set' ? 'new' : undefined;
      expect([await one.cache.get(overtake), await two.cache.get(overtake)]).toEqual([expected, expected]);
    }
  });

  ownRedisTest('with Redis down, callers get what is local, and no errors', async () => {
    const local = SqliteTier.open({ path: ':memory:' });
    const { cache, tier, errors } = await join({ tiers: [local] });
    const names = Array.from({ length: 50 }, (_, i) => `k${i}`);
    for (const name of names) await cache.set(name, `${name}!`);
    server.freeze();
    for (const name of names) expect(await cache.get(name)).toBe(`${name}!`);
    await cache.clear({ tier: 'memory' });
    for (const name of names) expect(await cache.get(name)).toBe(`${name}!`);
    expect(await cache.getOrLoad('loaded', () => Promise.resolve('fresh'))).toBe('fresh');
    await cache.set('k0', 'changed');
    expect(await cache.delete('k1')).toBe(true);
    expect([await cache.get('k0'), await cache.get('k1'), cache.peek('loaded')]).toEqual([
      'changed',
      undefined,
      'fresh',
    ]);
    expect(tier.stats()).toMatchObject({ timeouts: 1, available: 0 });
    await server.stop();
    for (const name of names.slice(2)) expect(await cache.get(name)).toBe(`${name}!`);
    expect([errors, cache.stats().errors]).toEqual([[], 0]);
  });

  ownRedisTest('when Redis answers again, nobody reads what was replaced meanwhile', async () => {
    const { cache, tier } = await join();
    const other = await forkMember();
    for (const name of ['set', 'deleted', 'same']) {
      await cache.set(name, 'old');
      expect(await other({ call: 'get', name })).toBe('old');
    }
    server.freeze();
    await cache.set('set', 'new');
    await cache.delete('deleted');
    server.thaw();
    await until(() => tier.stats()['available'] === 1);
    const seen = async (): Promise<unknown[]> => [
      await other({ call: 'get', name: 'set' }),
      await other({ call: 'get', name: 'deleted' }),
      await other({ call: 'get', name: 'same' }),
    ];
    await vi.waitFor(async () => expect(await seen()).toEqual([null, null, 'old']), { interval: 1 });
    expect(cache.peek('set')).toBe('new');
    expect(await cache.get('deleted')).toBeUndefined();
  });

  ownRedisTest('a restarted Redis leaves nothing stale in any process', async () => {
    const [one, two] = [await join(), await join()];
    await one.cache.set('a', 'old');
    await until(() => two.bus.stats().received === 1);
    expect(await two.cache.get('a')).toBe('old');
    await server.stop();
    await until(() => !two.bus.stats().subscribed && one.tier.stats()['available'] === 0);
    await one.cache.set('a', 'new');
    expect(two.cache.peek('a')).toBe('old');
    await server.start();
    await Promise.all([one.bus.ready(), two.bus.ready()]);
    await until(() => one.tier.stats()['available'] === 1 && two.tier.stats()['available'] === 1);
    expect(two.cache.peek('a')).toBeUndefined();
    expect(await two.cache.get('a')).toBeUndefined();
  });
});

describe('what a bus says', () => {
  ownRedisTest('reaches the tiers that only this process has', async () => {
    const near = new MapTier('near');
    const [one, two] = [await join({ tiers: [near] }), await join()];
    await two.cache.set('a', 'old', { tags: ['t'] });
    await until(() => one.bus.stats().received === 1);
    expect(await one.cache.get('a')).toBe('old');
    await one.cache.flush();
    expect(near.entries.has('a')).toBe(true);
    await two.cache.set('a', 'new', { tags: ['t'] });
    await until(() => !near.entries.has('a'));
    expect(await one.cache.get('a')).toBe('new');
    await one.cache.flush();
    await two.cache.clear();
    await until(() => near.entries.size === 0);
    expect(await one.cache.get('a')).toBeUndefined();
  });

  ownRedisTest('leaves alone a file that all members use', async () => {
    const local = SqliteTier.open({ path: ':memory:', shared: true });
    const [one, two] = [await join({ tiers: [local] }), await join()];
    await one.cache.set('a', 'old');
    await two.cache.set('a', 'new');
    await until(() => one.cache.peek('a') === undefined);
    await one.cache.flush();
    expect(await local.getMany(['a'])).toMatchObject([{ key: 'a' }]);
  });

  ownRedisTest('comes after the tiers have changed, even when one of them could not', async () => {
    const said: string[] = [];
    const far = new MapTier('far');
    const bus: InvalidationBus = {
      publish: (message) => {
        said.push(`${message.kind} with ${far.entries.size}`);
        return Promise.resolve();
      },
      subscribe: () => () => undefined,
      close: () => Promise.resolve(),
    };
    const cache = new TieredCache<string>({ memory: { maxEntries: 10 }, tiers: [far], bus });
    open.push(cache);
    await cache.set('a', '1');
    await cache.delete('a');
    far.failure = new Error('full');
    await expect(cache.set('b', '2')).rejects.toMatchObject({ code: 'ERR_PERF_CACHE_TIER' });
    far.failure = undefined;
    expect(said).toEqual(['keys with 1', 'keys with 0', 'keys with 0']);
  });
});
