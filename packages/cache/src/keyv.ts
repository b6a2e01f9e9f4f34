/**
 * `@perf/cache/keyv`: a Keyv store as a tier, and a cache as a Keyv store, for Keyv 5 and 6 and what builds
 * on them.
 */
export { fromKeyvStore } from './keyv-tier.ts';
export type { KeyvLike, KeyvTierOptions } from './keyv-tier.ts';
export { toKeyvStore } from './keyv-store.ts';
export type { KeyvStore } from './keyv-store.ts';
