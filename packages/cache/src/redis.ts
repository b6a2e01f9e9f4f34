/** `@perf/cache/redis`: a tier in Redis and invalidations between processes, over ioredis clients of the caller. */
export { RedisTier } from './redis-tier.ts';
export type { RedisTierOptions } from './redis-tier.ts';
export { RedisBus } from './redis-bus.ts';
export type { RedisBusOptions } from './redis-bus.ts';
