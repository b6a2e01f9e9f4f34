import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { TieredCache } from '@perf/cache';
import type { CacheError, Entry, InvalidationMessage } from '@perf/cache';
import { RedisBus, RedisTier } from '@perf/cache/redis';
import { hasRedisServer, noRedis, RedisServer } from './redis-server.ts';

const key = new Uint8Array(32).fill(9);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (entry: Entry | undefined): string | undefined => entry && new TextDecoder().decode(entry.value);

describe.skipIf(noRedis !== undefined)('with Redis', () => {
  const server = new RedisServer();
  const clients: Redis[] = [];
  const closers: (() => Promise<void>)[] = [];
  let prefix = '';

  const connect = async (): Promise<Redis> => {
    const client = server.connect();
    clients.push(client);
    await vi.waitFor(() => expect(client.status).toBe('ready'));
    return client;
  };
  const openTier = async (onError?: (error: CacheError) => void): Promise<RedisTier> =>
    new RedisTier({
      client: await connect(),
      prefix,
      timeoutMs: 2000,
      ...(onError === undefined ? {} : { onError }),
    });
  const openBus = async (): Promise<RedisBus> => {
    const bus = new RedisBus({ client: await connect(), key, channel: `${prefix}bus` });
    closers.push(() => bus.close());
    await bus.ready();
    return bus;
  };
  const openCache = async (): Promise<TieredCache<string>> =>
    new TieredCache<string>({ memory: { maxEntries: 100 }, tiers: [await openTier()], bus: await openBus() });

  beforeAll(async () => {
    prefix = `perf-cache-test-${randomUUID()}:`;
    await server.start();
  });
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
    for (const client of clients.splice(0)) client.disconnect();
  });
  afterAll(() => server.stop());

  test('a tier gives back what it was given', async () => {
    const tier = await openTier();
    const entry: Entry = {
      key: 'a',
      value: bytes('one'),
      expiresAtMs: Date.now() + 60_000,
      staleUntilMs: Date.now() + 90_000,
      writtenAtMs: 5,
      tags: ['t', 'ü'],
      mac: new Uint8Array(32).fill(1),
    };
    await tier.setMany([entry, { key: 'b', value: bytes('two') }]);
    const [a, none, b] = await tier.getMany(['a', 'none', 'b']);
    expect({ ...a, value: Uint8Array.from(a?.value ?? []), mac: Uint8Array.from(a?.mac ?? []) }).toEqual(
      entry,
    );
    expect([none, Object.keys(b ?? {})]).toEqual([undefined, ['key', 'value']]);
    expect(await tier.deleteMany(['a', 'none'])).toBe(1);
    expect((await tier.getMany(['a', 'b'])).map(text)).toEqual([undefined, 'two']);
    await tier.clear();
    expect((await tier.getMany(['b'])).map(text)).toEqual([undefined]);
    await tier.close();
    await expect(tier.getMany(['a'])).rejects.toMatchObject({ code: 'ERR_PERF_CACHE_CLOSED' });
  });

  test('a tier deletes by tag what still carries the tag', async () => {
    const tier = await openTier();
    await tier.setMany([
      { key: 'a', value: bytes('1'), tags: ['x'] },
      { key: 'b', value: bytes('2'), tags: ['x'], expiresAtMs: Date.now() + 60_000 },
    ]);
    await tier.setMany([{ key: 'a', value: bytes('3'), tags: ['y'] }]);
    expect(await tier.deleteByTag('x')).toEqual(['b']);
    expect((await tier.getMany(['a', 'b'])).map(text)).toEqual(['3', undefined]);
    await tier.clear();
  });

  test('a delete, a set, a tag deletion and a clear in one process are seen in the other', async () => {
    const [one, other] = [await openCache(), await openCache()];
    await one.set('a', 'first', { tags: ['t'] });
    expect(await other.get('a')).toBe('first');
    await one.set('a', 'second', { tags: ['t'] });
    await vi.waitFor(() => expect(other.peek('a')).toBeUndefined());
    expect(await other.get('a')).toBe('second');
    await one.deleteByTag('t');
    await vi.waitFor(() => expect(other.peek('a')).toBeUndefined());
    expect(await other.get('a')).toBeUndefined();
    await other.set('b', 'value');
    expect(await one.get('b')).toBe('value');
    await other.clear();
    await vi.waitFor(() => expect(one.peek('b')).toBeUndefined());
    expect(one.stats().errors + other.stats().errors).toBe(0);
  });

  test('a message with a wrong signature, one that came before and one that is no message are reported and dropped', async () => {
    const errors: CacheError[] = [];
    const client = await connect();
    const channel = `${prefix}forged`;
    const heard: InvalidationMessage[] = [];
    const bus = new RedisBus({ client, key, channel, onError: (error) => errors.push(error) });
    bus.subscribe((message) => heard.push(message));
    const sender = new RedisBus({ client, key, channel });
    await Promise.all([bus.ready(), sender.ready()]);
    const spy = await connect();
    const seen: string[] = [];
    spy.on('message', (_channel: string, message: string) => seen.push(message));
    await spy.subscribe(channel);
    await sender.publish({ kind: 'keys', keys: ['a'] });
    await vi.waitFor(() => expect([heard.length, seen.length]).toEqual([1, 1]));
    const [original = ''] = seen;
    await client.publish(channel, original);
    await client.publish(channel, original.replace('"a"', '"b"'));
    await client.publish(channel, 'nonsense');
    await vi.waitFor(() => expect(errors).toHaveLength(3));
    expect(heard).toEqual([{ kind: 'keys', keys: ['a'] }]);
    await Promise.all([bus.close(), sender.close()]);
  });

  test.skipIf(!hasRedisServer)(
    'while Redis is away local entries are served without errors, and on return nothing stale is',
    async () => {
      const [one, other] = [await openCache(), await openCache()];
      await one.set('kept', 'old');
      await one.set('local', 'value');
      expect([await other.get('kept'), await other.get('local')]).toEqual(['old', 'value']);
      await server.stop();
      expect([await one.get('local'), await other.get('local')]).toEqual(['value', 'value']);
      await one.set('kept', 'new');
      expect(await one.delete('local')).toBe(true);
      expect(await one.getOrLoad('loaded', () => Promise.resolve('while away'))).toBe('while away');
      expect(await one.get('nowhere')).toBeUndefined();
      await server.start();
      await vi.waitFor(
        () => expect([other.peek('kept'), other.peek('local')]).toEqual([undefined, undefined]),
        5000,
      );
      // An empty Redis came back; were it the old one, what is owed would have been deleted before this read.
      await vi.waitFor(async () => {
        await one.set('kept', 'newest');
        expect(await other.get('kept')).toBe('newest');
      }, 5000);
    },
  );

  test.skipIf(!hasRedisServer)(
    'what could not be deleted is deleted before the first read after the return',
    async () => {
      const tier = await openTier();
      const client = clients.at(-1) as Redis;
      await tier.setMany([
        { key: 'a', value: bytes('stale'), tags: ['t'] },
        { key: 'b', value: bytes('stale'), tags: ['t'] },
      ]);
      const direct = await connect();
      client.disconnect();
      await vi.waitFor(() => expect(client.status).toBe('end'));
      expect(await tier.deleteMany(['a'])).toBe(0);
      expect(await tier.deleteByTag('t')).toEqual([]);
      expect((await tier.getMany(['a', 'b'])).map(text)).toEqual([undefined, undefined]);
      expect(tier.stats()).toMatchObject({ owed: 2 });
      expect(await direct.exists(`${prefix}e:a`)).toBe(1);
      await client.connect();
      expect((await tier.getMany(['a', 'b'])).map(text)).toEqual([undefined, undefined]);
      expect(await direct.exists(`${prefix}e:a`, `${prefix}e:b`)).toBe(0);
      expect(tier.stats()).toMatchObject({ owed: 0 });
    },
  );

  test('a Redis that accepts everything and answers nothing holds nobody up', async () => {
    const client = await connect();
    const tier = new RedisTier({ client, prefix, timeoutMs: 20 });
    const bus = new RedisBus({ client, key, channel: `${prefix}silent`, timeoutMs: 20 });
    await bus.ready();
    const cache = new TieredCache<string>({ memory: { maxEntries: 10 }, tiers: [tier], bus });
    const direct = await connect();
    // The server answers no other client for this long.
    await direct.call('CLIENT', 'PAUSE', '400', 'ALL');
    await cache.set('a', 'value');
    expect([cache.peek('a'), await cache.get('none')]).toEqual(['value', undefined]);
    await cache.deleteByTag('t');
    await cache.clear();
    expect(tier.stats()['timeouts']).toBeGreaterThan(2);
    await vi.waitFor(async () => expect(await direct.exists(`${prefix}e:a`)).toBe(0), 5000);
    await vi.waitFor(async () => {
      await cache.set('b', 'back');
      expect(await direct.exists(`${prefix}e:b`)).toBe(1);
    }, 5000);
    expect(await direct.exists(`${prefix}e:a`)).toBe(0);
    await cache.close();
  });

  test('options out of range are refused by name', async () => {
    const client = await connect();
    expect(() => new RedisTier({ client, timeoutMs: 0 })).toThrow(/timeoutMs/);
    expect(() => new RedisTier({ client: undefined as unknown as Redis })).toThrow(/client/);
    expect(() => new RedisBus({ client, key: new Uint8Array(3) })).toThrow(/key/);
    expect(() => new RedisBus({ client, key: 'secret' as unknown as Uint8Array })).toThrow(TypeError);
  });
});
