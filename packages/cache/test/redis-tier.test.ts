import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { CacheError, Entry, InvalidationMessage } from '@perf/cache';
import { RedisTier } from '@perf/cache/redis';
import type { RedisTierOptions } from '@perf/cache/redis';
import { findRedis, ownRedisTest, redisTest, RedisServer, until } from './redis-server.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const texts = (entries: readonly (Entry | undefined)[]): (string | undefined)[] =>
  entries.map((entry) => entry && new TextDecoder().decode(entry.value));

/** Everything a test opens, closed after it. */
const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

interface Setup {
  readonly tier: RedisTier;
  readonly raw: Redis;
  readonly errors: CacheError[];
  readonly late: InvalidationMessage[];
}

function setup(connection: RedisTierOptions['redis'], options: Partial<RedisTierOptions> = {}): Setup {
  const errors: CacheError[] = [];
  const late: InvalidationMessage[] = [];
  const tier = new RedisTier({ redis: connection, onError: (error) => errors.push(error), ...options });
  tier.watch((message) => late.push(message));
  const raw = new Redis({ ...(connection as object), retryStrategy: () => 20 });
  raw.on('error', () => undefined);
  open.push({ close: () => raw.disconnect() }, tier);
  return { tier, raw, errors, late };
}

describe('RedisTier on a server that answers', () => {
  let redis: Awaited<ReturnType<typeof findRedis>>;
  const namespace = `perf-test-${process.pid}`;
  const quick = { namespace, timeoutMs: 5000 };
  beforeAll(async () => {
    redis = await findRedis();
  });
  afterAll(() => redis.end());
  beforeEach(async () => {
    const { tier } = setup(redis.connection, quick);
    await tier.clear();
  });

  redisTest('clears its own namespace and nothing else', async () => {
    const { tier, raw } = setup(redis.connection, quick);
    const wild = setup(redis.connection, { ...quick, namespace: 'perf-test-*' });
    await raw.set('perf-test-foreign', 'stays');
    await tier.setMany([{ key: 'a', value: bytes('1'), tags: ['t'] }]);
    await wild.tier.setMany([{ key: 'a', value: bytes('2'), tags: ['t'] }]);
    await wild.tier.clear();
    expect(texts(await tier.getMany(['a']))).toEqual(['1']);
    expect(await wild.tier.getMany(['a'])).toEqual([undefined]);
    await tier.clear();
    expect(await raw.keys(`${namespace}:*`)).toEqual([]);
    expect(await raw.get('perf-test-foreign')).toBe('stays');
    await raw.del('perf-test-foreign');
  });

  redisTest(
    'Redis itself ends entries, at the end of their stale time, and a tag with its last entry',
    async () => {
      const { tier, raw } = setup(redis.connection, quick);
      const at = Date.now() + 1e6;
      await tier.setMany([
        { key: 'fresh', value: bytes('1'), expiresAtMs: at + 0.5, tags: ['t'] },
        { key: 'stale', value: bytes('2'), expiresAtMs: at, staleUntilMs: at + 5000, tags: ['t'] },
        { key: 'forever', value: bytes('3'), expiresAtMs: 1e300 },
        { key: 'past', value: bytes('4'), expiresAtMs: 5 },
      ]);
      const end = async (name: string): Promise<number> => raw.pexpiretime(`${namespace}:${name}`);
      expect([await end('e:fresh'), await end('e:stale'), await end('t:t')]).toEqual([
        at + 1,
        at + 5000,
        at + 5000,
      ]);
      expect([await end('e:forever'), await end('e:past')]).toEqual([-1, -2]);
      await tier.setMany([{ key: 'untimed', value: bytes('5'), tags: ['t'] }]);
      expect(await end('t:t')).toBe(-1);
      await tier.setMany([{ key: 'fresh', value: bytes('6'), expiresAtMs: at, tags: ['t'] }]);
      expect(await end('t:t')).toBe(-1);
    },
  );

  redisTest("a tag's index does not keep growing with entries that are gone", async () => {
    const { tier, raw } = setup(redis.connection, quick);
    for (let i = 0; i < 2000; i++) {
      await tier.setMany([{ key: `k${i}`, value: bytes('v'), tags: ['t'] }]);
      if (i >= 20) await tier.deleteMany([`k${i - 20}`]);
    }
    expect(await raw.hlen(`${namespace}:t:t`)).toBeLessThan(100);
    expect(await tier.deleteByTag('t')).toHaveLength(20);
    expect(await raw.exists(`${namespace}:t:t`)).toBe(0);
  });

  redisTest(
    "a lease is one owner's, and ends by release, by its time and by any change of the entry",
    async () => {
      const { tier } = setup(redis.connection, quick);
      const { leases } = tier;
      const later = Date.now() + 60_000;
      const taken = (): Promise<boolean> => leases.acquire('a', 'one', later);
      expect([await taken(), await taken(), await leases.acquire('a', 'two', later)]).toEqual([
        true,
        true,
        false,
      ]);
      await leases.release('a', 'two');
      expect([await leases.holds('a', 'one'), await leases.holds('a', 'two')]).toEqual([true, false]);
      const endings: (() => Promise<unknown>)[] = [
        () => leases.release('a', 'one'),
        () => leases.acquire('a', 'one', Date.now() - 1),
        () => tier.setMany([{ key: 'a', value: bytes('1'), tags: ['t'] }]),
        () => tier.deleteByTag('t'),
        () => tier.setMany([{ key: 'a', value: bytes('1') }]),
        () => tier.deleteMany(['a']),
        () => tier.clear(),
      ];
      for (const end of endings) {
        expect(await taken()).toBe(true);
        await end();
        expect(await leases.holds('a', 'one')).toBe(false);
      }
    },
  );

  redisTest('a value that is not an entry is a miss, counted and reported', async () => {
    const { tier, raw, errors } = setup(redis.connection, quick);
    const whole = { key: 'cut', value: bytes('value'), tags: ['a', 'b'], mac: new Uint8Array(32) };
    await tier.setMany([whole]);
    const frame = await raw.getBuffer(`${namespace}:e:cut`);
    await raw.set(`${namespace}:e:cut`, frame!.subarray(0, 40));
    await raw.set(`${namespace}:e:foreign`, 'hello');
    await raw.set(`${namespace}:e:empty`, '');
    await raw.lpush(`${namespace}:e:list`, 'x');
    expect(await tier.getMany(['cut', 'foreign', 'empty', 'list'])).toEqual(Array.from({ length: 4 }));
    expect(tier.stats()).toMatchObject({ unreadable: 3 });
    expect(errors.map((error) => error.code)).toEqual(Array.from({ length: 3 }, () => 'ERR_PERF_CACHE_TIER'));
  });

  redisTest("leaves the caller's client open and closes its own", async () => {
    const client = new Redis(redis.connection);
    open.push({ close: () => client.disconnect() });
    const given = new RedisTier({ redis: client, ...quick });
    await given.setMany([{ key: 'a', value: bytes('1') }]);
    await given.close();
    expect(await client.ping()).toBe('PONG');
    expect(client.listenerCount('close')).toBe(0);
  });

  test('refuses options by name', () => {
    const bad =
      (options: object): (() => RedisTier) =>
      () =>
        new RedisTier(options as RedisTierOptions);
    const ok = { path: '/nonexistent' };
    expect(bad({})).toThrow(/redis/);
    expect(bad({ redis: 5 })).toThrow(TypeError);
    expect(bad({ redis: { keyPrefix: 'x' } })).toThrow(/namespace/);
    expect(bad({ redis: 'redis://localhost?db=1&keyPrefix=x' })).toThrow(/namespace/);
    expect(bad({ redis: ok, namespace: 'a:b' })).toThrow(/namespace/);
    expect(bad({ redis: ok, namespace: '' })).toThrow(RangeError);
    expect(bad({ redis: ok, timeoutMs: 0 })).toThrow(/timeoutMs/);
    expect(bad({ redis: ok, onUnavailable: 'ignore' })).toThrow(/onUnavailable/);
    expect(bad({ redis: ok, maxOwed: -1 })).toThrow(/maxOwed/);
    expect(bad({ redis: ok, onError: 1 })).toThrow(/onError/);
  });
});

/** Stands between a client and Redis, and can keep a connection to Redis open whose client is gone. */
class HoldingProxy {
  readonly #server: Server;
  #first: { client: Socket; redis: Socket; held: Buffer[] | undefined } | undefined;

  constructor(redisPath: string) {
    this.#server = createServer((client) => {
      const redis = createConnection(redisPath);
      const pair = { client, redis, held: undefined as Buffer[] | undefined };
      this.#first ??= pair;
      client
        .on('error', () => undefined)
        .on('data', (data) => {
          if (pair.held === undefined) redis.write(data);
          else pair.held.push(data);
        });
      redis.on('error', () => undefined).on('data', (data) => client.write(data));
      client.on('close', () => pair.held ?? redis.destroy());
      redis.on('close', () => client.destroy());
    });
  }

  async listen(path: string): Promise<void> {
    this.#server.listen(path);
    await once(this.#server, 'listening');
  }

  /** From now on, what the first client sends is kept here. */
  hold(): { cut(): void; deliver(): Promise<void> } {
    const pair = this.#first!;
    const held: Buffer[] = [];
    pair.held = held;
    return {
      cut: () => pair.client.destroy(),
      /** Hands over what was kept and waits until Redis has read it or ended the connection. */
      deliver: async () => {
        const read = Promise.race([once(pair.redis, 'data'), once(pair.redis, 'close')]);
        if (!pair.redis.destroyed) pair.redis.write(Buffer.concat(held));
        if (!pair.redis.destroyed) await read;
        pair.redis.destroy();
      },
    };
  }

  close(): void {
    this.#server.close();
  }
}

describe('RedisTier and a server that does not answer', () => {
  let server: RedisServer;
  const redisGone = (): boolean => open.length > 0;
  beforeEach(async (context) => {
    if (context.task.name.includes('(skipped:')) return;
    server = await RedisServer.start();
    expect(redisGone()).toBe(false);
  });
  afterEach(async () => {
    server?.thaw();
    await server?.remove();
  });

  ownRedisTest('reads are misses, and only the first one waits for its timeout', async () => {
    const { tier, errors } = setup(server.connection, { timeoutMs: 20 });
    await until(() => tier.stats()['available'] === 1);
    await tier.setMany([{ key: 'a', value: bytes('1') }]);
    server.freeze();
    for (let i = 0; i < 50; i++) expect(await tier.getMany(['a', 'b'])).toEqual([undefined, undefined]);
    expect(tier.stats()).toMatchObject({ timeouts: 1, refused: 49, outages: 1, available: 0 });
    expect(errors).toHaveLength(1);
    server.thaw();
    await until(() => tier.stats()['available'] === 1);
    expect(texts(await tier.getMany(['a']))).toEqual(['1']);
  });

  ownRedisTest('what was written or deleted meanwhile is gone before anything is read again', async () => {
    const { tier, raw, late } = setup(server.connection, { timeoutMs: 20 });
    await until(() => tier.stats()['available'] === 1);
    const keys = ['written', 'again', 'deleted', 'tagged', 'kept'];
    await tier.setMany(keys.map((key) => ({ key, value: bytes('old'), tags: [key] })));
    server.freeze();
    await tier.setMany([{ key: 'written', value: bytes('sent, without a reply') }]);
    await tier.setMany([{ key: 'again', value: bytes('not even sent') }]);
    expect(await tier.deleteMany(['deleted'])).toBe(0);
    expect(await tier.deleteByTag('tagged')).toEqual([]);
    expect(tier.stats()).toMatchObject({ owed: 4, deferred: 4 });
    server.thaw();
    await until(() => tier.stats()['available'] === 1);
    expect(texts(await tier.getMany(keys))).toEqual([undefined, undefined, undefined, undefined, 'old']);
    expect(await raw.exists('perf-cache:e:written', 'perf-cache:e:tagged')).toBe(0);
    expect(tier.stats()).toMatchObject({ owed: 0 });
    expect(late).toEqual([
      { kind: 'keys', keys: ['written', 'again', 'deleted'] },
      { kind: 'tag', tag: 'tagged' },
    ]);
  });

  ownRedisTest('what an abandoned connection still holds does not come after', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'perf-proxy-')), 'proxy.sock');
    const proxy = new HoldingProxy(server.connection.path);
    await proxy.listen(path);
    open.push(proxy);
    const { tier } = setup({ path }, { timeoutMs: 50 });
    await until(() => tier.stats()['available'] === 1);
    await tier.setMany([{ key: 'a', value: bytes('old') }]);
    const abandoned = proxy.hold();
    await tier.setMany([{ key: 'a', value: bytes('too late') }]);
    abandoned.cut();
    await until(() => tier.stats()['available'] === 1);
    await abandoned.deliver();
    expect(await tier.getMany(['a'])).toEqual([undefined]);
  });

  ownRedisTest('a server that is killed and comes back is used again', async () => {
    const { tier, errors } = setup(server.connection);
    await tier.setMany([{ key: 'a', value: bytes('1') }]);
    await server.stop();
    await until(() => tier.stats()['available'] === 0);
    await tier.setMany([{ key: 'a', value: bytes('2') }]);
    expect(await tier.getMany(['a'])).toEqual([undefined]);
    await server.start();
    await until(() => tier.stats()['available'] === 1);
    await tier.setMany([{ key: 'a', value: bytes('3') }]);
    expect(texts(await tier.getMany(['a']))).toEqual(['3']);
    expect([errors.length, tier.stats()['timeouts']]).toEqual([1, 0]);
  });

  ownRedisTest('a server that is not there yet is joined when it comes', async () => {
    await server.stop();
    const { tier } = setup(server.connection);
    expect(await tier.getMany(['a'])).toEqual([undefined]);
    await server.start();
    await until(() => tier.stats()['available'] === 1);
    await tier.setMany([{ key: 'a', value: bytes('1') }]);
    expect(texts(await tier.getMany(['a']))).toEqual(['1']);
  });

  ownRedisTest('writes reject when asked to, and are made good all the same', async () => {
    const { tier } = setup(server.connection, { timeoutMs: 20, onUnavailable: 'reject' });
    await until(() => tier.stats()['available'] === 1);
    await tier.setMany([{ key: 'a', value: bytes('old') }]);
    server.freeze();
    const refused = { code: 'ERR_PERF_CACHE_TIER', cause: { name: 'RedisUnavailable' } };
    await expect(tier.setMany([{ key: 'a', value: bytes('new') }])).rejects.toMatchObject(refused);
    await expect(tier.deleteMany(['b'])).rejects.toMatchObject(refused);
    await expect(tier.deleteByTag('t')).rejects.toMatchObject(refused);
    await expect(tier.clear()).rejects.toMatchObject(refused);
    expect(await tier.getMany(['a'])).toEqual([undefined]);
    server.thaw();
    await until(() => tier.stats()['available'] === 1);
    expect(await tier.getMany(['a'])).toEqual([undefined]);
  });

  ownRedisTest('when more is owed than it remembers, all of the namespace goes', async () => {
    const { tier, late } = setup(server.connection, { timeoutMs: 20, maxOwed: 2 });
    await until(() => tier.stats()['available'] === 1);
    await tier.setMany([{ key: 'bystander', value: bytes('1') }]);
    server.freeze();
    await tier.deleteMany(['a', 'b']);
    expect(tier.stats()).toMatchObject({ owed: 2 });
    await tier.deleteMany(['c']);
    expect(tier.stats()).toMatchObject({ owed: 1 });
    server.thaw();
    await until(() => tier.stats()['available'] === 1);
    expect(await tier.getMany(['bystander'])).toEqual([undefined]);
    expect(late).toEqual([{ kind: 'clear' }]);
  });

  ownRedisTest('a write that Redis refuses takes the old entry away', async () => {
    const { tier, raw, errors } = setup(server.connection);
    await tier.setMany([{ key: 'a', value: bytes('old') }]);
    await raw.config('SET', 'maxmemory', '1');
    expect(await tier.leases.acquire('b', 'one', Date.now() + 60_000)).toBe(true);
    expect(errors.splice(0)).toMatchObject([{ code: 'ERR_PERF_CACHE_TIER', cause: { name: 'ReplyError' } }]);
    await tier.setMany([{ key: 'a', value: bytes('new') }]);
    await until(() => tier.stats()['available'] === 1);
    expect(await tier.getMany(['a'])).toEqual([undefined]);
    expect(tier.stats()).toMatchObject({ refusedWrites: 1 });
    expect(errors[0]).toMatchObject({ code: 'ERR_PERF_CACHE_TIER', cause: { name: 'ReplyError' } });
  });

  ownRedisTest('says at close what it could not make good', async () => {
    const { tier, errors } = setup(server.connection, { timeoutMs: 20 });
    await until(() => tier.stats()['available'] === 1);
    server.freeze();
    await tier.deleteMany(['a', 'b']);
    await tier.close();
    expect(errors.at(-1)?.message).toMatch(/2 keys were still to be deleted/);
  });
});
