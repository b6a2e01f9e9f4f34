export { MemoryCache } from './memory-cache.ts';
export type {
  EvictionPolicy,
  MemoryCacheOptions,
  MemoryCacheStats,
  MemorySetOptions,
} from './memory-cache.ts';
export type { EvictReason, MissRatioPoint } from './memory-store.ts';
export { TieredCache } from './tiered-cache.ts';
export type {
  LoadContext,
  PrefetchOptions,
  ReadOptions,
  SetOptions,
  TierCounters,
  TieredCacheOptions,
  TieredCacheStats,
  TieredMemoryOptions,
} from './tiered-cache.ts';
export type { Entry, InvalidationBus, InvalidationMessage, Leases, Notes, Tier, TierStats } from './tier.ts';
export type { Codec } from './entry-codec.ts';
export type { IntegrityOptions } from './integrity.ts';
export { Prefetcher } from './prefetcher.ts';
export type { PrefetcherOptions, PrefetcherStats } from './prefetcher.ts';
export type { WarmOptions, WarmReport, WarmSource } from './warm-start.ts';
export { CacheError } from './errors.ts';
export type { CacheErrorCode } from './errors.ts';
export type { Clock } from './clock.ts';
export { estimateBytes, estimateEntryBytes } from './size-estimate.ts';
