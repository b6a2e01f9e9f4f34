import { createHmac, createSecretKey, randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { CacheError, InvalidationMessage } from '@perf/cache';
import { RedisBus } from '@perf/cache/redis';
import type { RedisBusOptions } from '@perf/cache/redis';
import { findRedis, ownRedisTest, redisTest, RedisServer, until } from './redis-server.ts';
import type { RedisAddress } from './redis-server.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.close();
});

const KEY = new Uint8Array(32).fill(7);
const CLEAR: InvalidationMessage = { kind: 'clear' };
const keys = (...list: string[]): InvalidationMessage => ({ kind: 'keys', keys: list });

interface Member {
  readonly bus: RedisBus;
  readonly heard: InvalidationMessage[];
  readonly errors: CacheError[];
}

async function join(redis: RedisAddress, options: Partial<RedisBusOptions> = {}): Promise<Member> {
  const heard: InvalidationMessage[] = [];
  const errors: CacheError[] = [];
  const bus = new RedisBus({ redis, onError: (error) => errors.push(error), ...options });
  open.push(bus);
  bus.subscribe((message) => heard.push(message));
  await bus.ready();
  heard.length = 0;
  return { bus, heard, errors };
}

function rawClient(redis: RedisAddress): Redis {
  const raw = new Redis({ ...redis, retryStrategy: () => 20 });
  raw.on('error', () => undefined);
  open.push({ close: () => raw.disconnect() });
  return raw;
}

/** A message as a member without a key would send it. */
function frame(publisher: Buffer, number: number, body: string): Buffer {
  const head = Buffer.alloc(26);
  head[0] = 1;
  publisher.copy(head, 1);
  head.writeDoubleLE(number, 17);
  return Buffer.concat([head, Buffer.from(body)]);
}

describe('RedisBus on a server that answers', () => {
  let redis: Awaited<ReturnType<typeof findRedis>>;
  const quick = { namespace: `perf-bus-${process.pid}`, timeoutMs: 5000 };
  const channel = `${quick.namespace}:bus`;
  beforeAll(async () => {
    redis = await findRedis();
  });
  afterAll(() => redis.end());

  redisTest('brings every kind of message to the others, in order, and none to its publisher', async () => {
    const one = await join(redis.connection, quick);
    const two = await join(redis.connection, { ...quick, redis: rawClient(redis.connection) });
    const three = await join(redis.connection, { ...quick, namespace: 'perf-bus-other' });
    const sent = [keys('a', '\ud800', 'ü'), { kind: 'tag', tag: 't' } as const, CLEAR, keys('b')];
    for (const message of sent) await one.bus.publish(message);
    await until(() => two.heard.length === sent.length);
    expect(two.heard).toEqual(sent);
    expect([one.heard, three.heard]).toEqual([[], []]);
    expect(one.bus.stats()).toMatchObject({ published: 4, unconfirmed: 0, rejected: 0, subscribed: true });
    expect(two.bus.stats()).toMatchObject({ received: 4, duplicates: 0 });
  });

  redisTest('with a key, drops what is unsigned, forged, altered or from another channel', async () => {
    const one = await join(redis.connection, { ...quick, key: KEY });
    const two = await join(redis.connection, { ...quick, key: createSecretKey(KEY) });
    const raw = rawClient(redis.connection);
    const caught: Buffer[] = [];
    const spy = rawClient(redis.connection);
    await spy.subscribe(channel);
    spy.on('messageBuffer', (_: Buffer, message: Buffer) => caught.push(message));
    await one.bus.publish(keys('a'));
    await until(() => two.heard.length === 1 && caught.length === 1);
    const genuine = Buffer.concat(caught);
    const forgeries = [
      frame(randomBytes(16), 1, JSON.stringify(CLEAR)),
      Buffer.concat([genuine, Buffer.from(' ')]),
      genuine.subarray(0, 30),
      Buffer.from('hello'),
      Buffer.alloc(0),
      withMac(genuine, `perf-cache-bus other:bus`),
    ];
    for (let at = 1; at < genuine.byteLength; at += 7) {
      const flipped = Buffer.from(genuine);
      flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at);
      forgeries.push(flipped);
    }
    for (const forgery of forgeries) await raw.publish(channel, forgery);
    await raw.publish(channel, genuine);
    await until(() => two.bus.stats().duplicates === 1);
    expect(two.heard).toEqual([keys('a')]);
    expect(two.bus.stats()).toMatchObject({ rejected: forgeries.length, received: 1 });
    expect(two.errors[0]).toMatchObject({ code: 'ERR_PERF_CACHE_TIER' });
  });

  redisTest('a key can be changed member by member', async () => {
    const fresh = new Uint8Array(32).fill(8);
    const old = await join(redis.connection, { ...quick, key: KEY, previousKeys: [fresh] });
    const changed = await join(redis.connection, { ...quick, key: fresh, previousKeys: [KEY] });
    await old.bus.publish(keys('from old'));
    await changed.bus.publish(keys('from changed'));
    await until(() => old.heard.length === 1 && changed.heard.length === 1);
    expect([old.heard, changed.heard]).toEqual([[keys('from changed')], [keys('from old')]]);
  });

  redisTest(
    'a missing number may hide messages, so everything goes; a repeated one does nothing',
    async () => {
      const { heard, bus } = await join(redis.connection, quick);
      const raw = rawClient(redis.connection);
      const publisher = randomBytes(16);
      const send = (number: number, body: unknown): Promise<number> =>
        raw.publish(channel, frame(publisher, number, JSON.stringify(body)));
      await send(7, keys('first heard'));
      await send(8, keys('next'));
      await send(8, keys('again'));
      await send(3, keys('old'));
      await send(10, keys('after a gap'));
      await send(11, { kind: 'unknown' });
      await send(11, { kind: 'keys', keys: [1] });
      await send(11, keys('still in order'));
      await until(() => heard.length === 4);
      expect(heard).toEqual([keys('first heard'), keys('next'), CLEAR, keys('still in order')]);
      expect(bus.stats()).toMatchObject({ duplicates: 2, gaps: 2, rejected: 2 });
    },
  );

  redisTest('a listener is told to clear at once when the subscription stands already', async () => {
    const { bus } = await join(redis.connection, quick);
    const late: InvalidationMessage[] = [];
    const end = bus.subscribe((message) => late.push(message));
    expect(late).toEqual([CLEAR]);
    end();
    const other = await join(redis.connection, quick);
    await other.bus.publish(keys('a'));
    await until(() => bus.stats().received === 1);
    expect(late).toEqual([CLEAR]);
  });

  redisTest('close ends everything but the client it was given', async () => {
    const client = rawClient(redis.connection);
    const { bus } = await join(redis.connection, { ...quick, redis: client });
    await bus.close();
    await bus.close();
    const refused = { code: 'ERR_PERF_CACHE_CLOSED' };
    await expect(bus.publish(CLEAR)).rejects.toMatchObject(refused);
    await expect(bus.ready()).rejects.toMatchObject(refused);
    expect(() => bus.subscribe(() => undefined)).toThrow(expect.objectContaining(refused));
    expect(await client.ping()).toBe('PONG');
  });

  test('refuses options by name', () => {
    const bad =
      (options: object): (() => RedisBus) =>
      () =>
        new RedisBus(options as RedisBusOptions);
    const ok = { path: '/nonexistent' };
    expect(bad({ redis: null })).toThrow(/redis/);
    expect(bad({ redis: ok, key: new Uint8Array(8) })).toThrow(/key/);
    expect(bad({ redis: ok, key: 'secret' })).toThrow(TypeError);
    expect(bad({ redis: ok, previousKeys: [KEY] })).toThrow(/previousKeys/);
    expect(bad({ redis: ok, heartbeatMs: 1 })).toThrow(/heartbeatMs/);
    expect(bad({ redis: ok, maxUnconfirmed: 0 })).toThrow(/maxUnconfirmed/);
  });
});

/** The same message, signed for another channel. */
function withMac(genuine: Buffer, label: string): Buffer {
  const hmac = createHmac('sha256', KEY).update(label).update(Buffer.of(0xff));
  const mac = hmac.update(genuine.subarray(0, 25)).update(genuine.subarray(58)).digest();
  return Buffer.concat([genuine.subarray(0, 26), mac, genuine.subarray(58)]);
}

describe('RedisBus and a server that does not answer', () => {
  let server: RedisServer;
  beforeEach(async (context) => {
    if (!context.task.name.includes('(skipped:')) server = await RedisServer.start();
  });
  afterEach(async () => {
    server?.thaw();
    await server?.remove();
  });

  ownRedisTest('what was published meanwhile arrives once when the server answers again', async () => {
    const one = await join(server.connection, { timeoutMs: 20, heartbeatMs: 60_000 });
    const two = await join(server.connection, { heartbeatMs: 60_000 });
    await one.bus.publish(keys('before'));
    await until(() => two.heard.length === 1);
    server.freeze();
    await one.bus.publish(keys('sent, without a reply'));
    await one.bus.publish(keys('not sent'));
    expect(one.bus.stats()).toMatchObject({ unconfirmed: 2 });
    server.thaw();
    await until(() => one.bus.stats().unconfirmed === 0 && two.heard.length === 3);
    expect(two.heard.slice(1)).toEqual([keys('sent, without a reply'), keys('not sent')]);
    expect(two.bus.stats()).toMatchObject({ duplicates: 1, gaps: 1 });
  });

  ownRedisTest('after a loss, everything that may have been missed goes', async () => {
    const one = await join(server.connection);
    const two = await join(server.connection);
    await server.stop();
    await until(() => !two.bus.stats().subscribed && !one.bus.stats().subscribed);
    await one.bus.publish(keys('a'));
    await server.start();
    await Promise.all([one.bus.ready(), two.bus.ready()]);
    await until(() => one.bus.stats().unconfirmed === 0);
    expect(two.heard).toContainEqual(CLEAR);
    await one.bus.publish(keys('b'));
    await until(() => two.heard.some((message) => message.kind === 'keys' && message.keys[0] === 'b'));
    expect(two.bus.stats()).toMatchObject({ subscribed: true, rejected: 0 });
  });

  ownRedisTest('more messages than it keeps become one that clears', async () => {
    const one = await join(server.connection, { timeoutMs: 20, heartbeatMs: 60_000, maxUnconfirmed: 2 });
    const two = await join(server.connection, { heartbeatMs: 60_000 });
    server.freeze();
    for (const key of ['a', 'b', 'c', 'd']) await one.bus.publish(keys(key));
    expect(one.bus.stats()).toMatchObject({ unconfirmed: 2 });
    server.thaw();
    await until(() => two.heard.some((message) => message.kind === 'keys' && message.keys[0] === 'd'));
    expect(two.heard).toContainEqual(CLEAR);
    expect(two.heard.at(-1)).toEqual(keys('d'));
  });

  ownRedisTest('a subscription that has silently died is found by its heartbeat', async () => {
    const { bus, heard } = await join(server.connection, { heartbeatMs: 20 });
    server.freeze();
    await until(() => !bus.stats().subscribed);
    expect(heard).toEqual([]);
    server.thaw();
    await until(() => bus.stats().subscribed);
    expect(heard).toEqual([CLEAR]);
  });

  ownRedisTest('waiting for the subscription can be given up', async () => {
    await server.stop();
    const bus = new RedisBus({ redis: server.connection });
    open.push(bus);
    const controller = new AbortController();
    const waiting = bus.ready({ signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(bus.ready({ signal: controller.signal })).rejects.toThrow('enough');
    await server.start();
    await bus.ready();
    expect(bus.stats().subscribed).toBe(true);
  });

  ownRedisTest('says at close what it could not send', async () => {
    const { bus, errors } = await join(server.connection, { timeoutMs: 20 });
    server.freeze();
    await bus.publish(CLEAR);
    await bus.close();
    expect(errors.at(-1)?.message).toMatch(/1 messages were still to be sent/);
  });
});
