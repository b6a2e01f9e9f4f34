/** Two caches over one Redis: how soon an invalidation is seen, and what callers notice while Redis is away for 5 s. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { measureCase } from '@perf/bench';
import type { MeasureCase, Measurement } from '@perf/bench';
import { TieredCache } from '@perf/cache';
import { RedisBus, RedisTier } from '@perf/cache/redis';

const INVALIDATIONS = 200;
const AWAY_MS = 5000;
const KEYS = 200;
const key = new Uint8Array(32).fill(3);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function openCache(port: number): Promise<{ cache: TieredCache<number>; client: Redis }> {
  const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 50 });
  client.on('error', () => undefined);
  const bus = new RedisBus({ client, key });
  await bus.ready();
  const cache = new TieredCache<number>({
    memory: { maxEntries: 1000 },
    tiers: [new RedisTier({ client })],
    bus,
  });
  return { cache, client };
}

/** Milliseconds until the other cache no longer serves what the first has replaced. */
async function invalidationMs(one: TieredCache<number>, other: TieredCache<number>): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < INVALIDATIONS; i++) {
    await one.set('watched', i);
    if ((await other.get('watched')) !== i) throw new Error('the other cache read something else');
    const start = performance.now();
    const done = one.set('watched', i + 0.5);
    while (other.peek('watched') === i) await wait(0);
    times.push(performance.now() - start);
    await done;
  }
  return times;
}

interface Outage {
  readonly reads: number;
  readonly errors: number;
  readonly wrong: number;
  readonly slowestMs: number;
}

/** Reads keys that are in memory until told to stop. */
async function readWhile(cache: TieredCache<number>, running: () => boolean): Promise<Outage> {
  let [reads, errors, wrong, slowestMs] = [0, 0, 0, 0];
  for (; running(); reads++) {
    const start = performance.now();
    try {
      if ((await cache.get(`key${reads % KEYS}`)) !== reads % KEYS) wrong++;
    } catch {
      errors++;
    }
    slowestMs = Math.max(slowestMs, performance.now() - start);
    if (reads % 100 === 0) await wait(1);
  }
  return { reads, errors, wrong, slowestMs };
}

async function measure(): Promise<readonly Measurement[]> {
  if (spawnSync('redis-server', ['--version']).status !== 0)
    throw new Error('this case needs the redis-server program');
  const port = await freePort();
  const server = spawn('redis-server', ['--port', String(port), '--save', ''], { stdio: 'ignore' });
  const caches = [await openCache(port), await openCache(port)] as const;
  const [{ cache: one }, { cache: other }] = caches;
  try {
    const times = (await invalidationMs(one, other)).toSorted((a, b) => a - b);
    for (let i = 0; i < KEYS; i++) await one.set(`key${i}`, i);
    const keys = Array.from({ length: KEYS }, (_, i) => `key${i}`);
    // Until the invalidations of the sets above have all come in.
    while (keys.some((name) => other.peek(name) === undefined)) {
      await other.getMany(keys);
      await wait(50);
    }
    let away = true;
    const reading = readWhile(other, () => away);
    // Stopped, not killed: connections stay open and nothing answers, the harder case.
    server.kill('SIGSTOP');
    await one.set('changed', 1);
    await wait(AWAY_MS);
    server.kill('SIGCONT');
    away = false;
    const { reads, errors, wrong, slowestMs } = await reading;
    const start = performance.now();
    while ((await other.get('changed')) === 0) await wait(1);
    return [
      { name: 'invalidation, median', value: times.at(times.length >> 1) ?? 0, unit: 'ms' },
      { name: 'invalidation, slowest', value: times.at(-1) ?? 0, unit: 'ms', target: { atMost: 50 } },
      { name: 'reads while Redis was stopped', value: reads, unit: '' },
      { name: 'errors to callers', value: errors, unit: '', target: { atMost: 0 } },
      { name: 'wrong or missing values', value: wrong, unit: '', target: { atMost: 0 } },
      { name: 'slowest read', value: slowestMs, unit: 'ms' },
      {
        name: 'stale after the return',
        value: performance.now() - start,
        unit: 'ms',
        target: { atMost: 100 },
      },
    ];
  } finally {
    server.kill('SIGCONT');
    for (const { cache, client } of caches) {
      await cache.close();
      client.disconnect();
    }
    server.kill('SIGKILL');
  }
}

export const cases: readonly MeasureCase[] = [
  measureCase({
    name: 'redis-outage',
    about: `${INVALIDATIONS} invalidations between two caches; then reads of ${KEYS} local keys while Redis stops for 5 s.`,
    forks: 1,
    measure,
  }),
];
