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
  beforeAll(async () => {
    redis = await findRedis();
  });
  afterAll(() => redis.end());
  testTier({
    declare: redisTest,
    open: async () => {
      const namespace = `perf-test-${process.pid}`;
      const tier = new RedisTier({ redis: redis.connection, namespace, timeoutMs: 5000 });
      await tier.clear();
      return tier;
    },
  });
});
