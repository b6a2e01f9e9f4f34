/** Stable codes of {@link CacheError}; match on these, never on messages. */
export type CacheErrorCode =
  | 'ERR_PERF_CACHE_CLOSED'
  | 'ERR_PERF_CACHE_TIER'
  | 'ERR_PERF_CACHE_LOAD_TIMEOUT'
  | 'ERR_PERF_CACHE_REFRESH'
  | 'ERR_PERF_CACHE_CODEC';

/** What `@perf/cache` throws when the state of the cache or of a tier, not an argument, is at fault. */
export class CacheError extends Error {
  override readonly name = 'CacheError';
  readonly code: CacheErrorCode;

  constructor(code: CacheErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
