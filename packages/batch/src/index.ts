export { Batcher } from './batcher.ts';
export type {
  AddOptions,
  BatchContext,
  BatcherOptions,
  BatcherStats,
  DrainReport,
  ItemResult,
} from './batcher-options.ts';
export type { Clock } from './clock.ts';
export type { ConcurrencyLimit, Permit, PermitOutcome } from './concurrency-limit.ts';
export { BatchError } from './errors.ts';
export type { BatchErrorCode } from './errors.ts';
export type { JobInfo, Ticket } from './job.ts';
export type {
  Appended,
  DeadLetter,
  JobOutcome,
  JobStore,
  JobStoreStats,
  NewJob,
  Settlement,
  StoredJob,
} from './job-store.ts';
export type { RetryOptions } from './retry.ts';
export { CircuitBreaker, CircuitOpenError } from './circuit-breaker.ts';
export type { CircuitBreakerOptions, CircuitBreakerStats, CircuitState } from './circuit-breaker.ts';
export { RateLimiter } from './rate-limiter.ts';
export type { RateGrant, RateLimiterOptions, RateLimiterStats, RequestCost } from './rate-limiter.ts';
export type { LimitName, ResponseHeaders } from './rate-limit-headers.ts';
