/**
 * `@perf/cache/redis`: entries and invalidations shared between processes. Needs `ioredis`, and Redis 6.2 or
 * later.
 */
export { RedisTier } from './redis-tier.ts';
export type { RedisTierOptions } from './redis-tier.ts';
export { RedisBus } from './redis-bus.ts';
export type { RedisBusOptions, RedisBusStats } from './redis-bus.ts';
export type { RedisConnection } from './redis-link.ts';
