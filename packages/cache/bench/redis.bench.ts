/** Two processes with one Redis: how soon an invalidation is seen, what an outage does to callers. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { measureCase } from '@perf/bench';
import type { CaseContext, MeasureCase, Measurement } from '@perf/bench';
import { TieredCache } from '@perf/cache';
import { RedisBus, RedisTier } from '@perf/cache/redis';
import { startRedis } from './own-redis.ts';
import type { OwnRedis } from './own-redis.ts';
import type { LoadReport } from './redis-member.ts';

const MEMBER = fileURLToPath(new URL('redis-member.ts', import.meta.url));
const INVALIDATIONS = 1000;
const OUTAGE_MS = 5000;
const SETTLE_MS = 500;
const LOCAL = Array.from({ length: 200 }, (_, i) => `local:${i}`);
const CHANGING = Array.from({ length: 20 }, (_, i) => `changing:${i}`);

type Answer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'read'; readonly found: number }
  | { readonly kind: 'seen'; readonly atNs: string; readonly gone: boolean }
  | { readonly kind: 'cleared'; readonly atNs: string }
  | { readonly kind: 'load'; readonly report: LoadReport };

class Pair {
  readonly redis: OwnRedis;
  readonly tier: RedisTier;
  readonly cache: TieredCache<string>;
  readonly #child: ChildProcess;

  private constructor(redis: OwnRedis, tier: RedisTier, cache: TieredCache<string>, child: ChildProcess) {
    this.redis = redis;
    this.tier = tier;
    this.cache = cache;
    this.#child = child;
  }

  static async open(context: CaseContext): Promise<Pair> {
    const redis = await startRedis(context);
    const child = fork(MEMBER, [redis.path]);
    const connection = { path: redis.path };
    const key = new Uint8Array(32).fill(5);
    const bus = new RedisBus({ redis: connection, key });
    const tier = new RedisTier({ redis: connection });
    const integrity = { mode: 'always', key } as const;
    const memory = { maxEntries: 10_000 };
    const cache = new TieredCache<string>({ memory, tiers: [tier], bus, integrity });
    const pair = new Pair(redis, tier, cache, child);
    await Promise.all([bus.ready(), pair.answer('ready')]);
    return pair;
  }

  send(call: object): void {
    this.#child.send(call);
  }

  answer<K extends Answer['kind']>(kind: K): Promise<Extract<Answer, { kind: K }>> {
    return new Promise((resolve) => {
      const listener = (answer: Answer): void => {
        if (answer.kind !== kind) return;
        this.#child.off('message', listener);
        resolve(answer as Extract<Answer, { kind: K }>);
      };
      this.#child.on('message', listener);
    });
  }

  async close(): Promise<void> {
    this.#child.kill();
    await this.cache.close();
    await this.redis.end();
  }
}

const percentile = (sorted: readonly number[], p: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN;

async function measureInvalidation(context: CaseContext): Promise<readonly Measurement[]> {
  const pair = await Pair.open(context);
  try {
    const delaysMs: number[] = [];
    for (let i = 0; i < INVALIDATIONS; i++) {
      const name = `k${i % 50}`;
      if (i < 50) {
        const first = pair.answer('seen');
        await pair.cache.set(name, 'first');
        await first;
      }
      const read = pair.answer('read');
      pair.send({ kind: 'read', names: [name] });
      if ((await read).found !== 1) throw new Error(`the other process did not find ${name}`);
      const seen = pair.answer('seen');
      const startedNs = process.hrtime.bigint();
      await pair.cache.set(name, `value ${i}`);
      const { atNs, gone } = await seen;
      if (!gone) throw new Error(`${name} was still in memory after its invalidation`);
      delaysMs.push(msBetween(startedNs, BigInt(atNs)));
    }
    delaysMs.sort((a, b) => a - b);
    return [
      { name: 'median', value: percentile(delaysMs, 0.5), unit: 'ms' },
      { name: 'p99', value: percentile(delaysMs, 0.99), unit: 'ms', target: { atMost: 50 } },
      { name: 'longest of 1000', value: delaysMs.at(-1)!, unit: 'ms', target: { atMost: 50 } },
    ];
  } finally {
    await pair.close();
  }
}

function msBetween(from: bigint, to: bigint): number {
  return Number(to - from) / 1e6;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function measureOutage(context: CaseContext): Promise<readonly Measurement[]> {
  const pair = await Pair.open(context);
  try {
    const names = [...LOCAL, ...CHANGING];
    for (const name of LOCAL) await pair.cache.set(name, 'unchanged');
    for (const name of CHANGING) await pair.cache.set(name, 'old');
    await pause(SETTLE_MS);
    const read = pair.answer('read');
    pair.send({ kind: 'read', names });
    if ((await read).found !== names.length) throw new Error('the other process did not find all entries');
    pair.send({ kind: 'load', names: LOCAL, changing: CHANGING });
    pair.redis.freeze();
    const end = performance.now() + OUTAGE_MS;
    let [writes, errors, longestMs] = [0, 0, 0];
    const timed = async (call: () => Promise<unknown>): Promise<void> => {
      const started = performance.now();
      await call().catch(() => errors++);
      longestMs = Math.max(longestMs, performance.now() - started);
    };
    while (performance.now() < end) {
      for (const name of CHANGING) await timed(() => pair.cache.set(name, `new ${writes++}`));
      for (const name of LOCAL) await timed(() => pair.cache.get(name));
      await pause(5);
    }
    const cleared = pair.answer('cleared');
    const thawedNs = process.hrtime.bigint();
    pair.redis.thaw();
    while (pair.tier.stats()['available'] !== 1) await pause(1);
    const oneBackNs = process.hrtime.bigint();
    const otherBackNs = BigInt((await cleared).atNs);
    const bothBackNs = oneBackNs > otherBackNs ? oneBackNs : otherBackNs;
    await pause(SETTLE_MS);
    const load = pair.answer('load');
    pair.send({ kind: 'stop', names: [] });
    const { report } = await load;
    if (BigInt(report.lastStaleNs) === 0n) throw new Error('the other process has never read an old value');
    const staleMs = msBetween(bothBackNs, BigInt(report.lastStaleNs));
    return [
      { name: 'errors to readers', value: report.errors + errors, unit: '', target: { atMost: 0 } },
      { name: 'reads during the outage', value: report.reads, unit: '' },
      { name: 'longest read elsewhere', value: report.longestMs, unit: 'ms' },
      {
        name: 'longest call here',
        value: longestMs,
        unit: 'ms',
        note: 'the tier and the bus each pay 100 ms once',
      },
      { name: 'both back after', value: msBetween(thawedNs, bothBackNs), unit: 'ms' },
      {
        name: 'old value read after return',
        value: Math.max(0, staleMs),
        unit: 'ms',
        target: { atMost: 50 },
        note: 'the last read of a replaced value, after both processes had their connections back',
      },
    ];
  } finally {
    await pair.close();
  }
}

export const cases: readonly MeasureCase[] = [
  measureCase({
    name: 'redis-invalidation',
    about: 'From a set in one process until the entry is gone from the memory of another one, over Redis.',
    forks: 3,
    measure: measureInvalidation,
  }),
  measureCase({
    name: 'redis-outage',
    about: 'Redis stopped for 5 s while two processes read local entries and one of them replaces some.',
    forks: 1,
    measure: measureOutage,
  }),
];
