import { afterAll, beforeAll, describe } from 'vitest';
import { RedisTier } from '@perf/cache/redis';
import { SqliteTier } from '@perf/cache/sqlite';
import { findRedis, redisTest } from './redis-server.ts';
import { testTier } from './tier-conformance.ts';

describe('SqliteTier', () => {
  testTier({ open: () => SqliteTier.open({ path: ':memory:' }), anyText: false });
});

describe('RedisTier', () => {
  let redis: Awaited<ReturnType<typeof findRedis>>;
  const namespace = `perf-conformance-${process.pid}`;
  beforeAll(async () => {
    redis = await findRedis();
  });
  afterAll(async () => {
    const tier = new RedisTier({ redis: redis.connection, namespace, timeoutMs: 5000 });
    await tier.clear();
    await tier.close();
    await redis.end();
  });
  testTier({
    declare: redisTest,
    open: async () => {
      const tier = new RedisTier({ redis: redis.connection, namespace, timeoutMs: 5000 });
      await tier.clear();
      return tier;
    },
  });
});
