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
export { AdaptiveLimit } from './adaptive-limit.ts';
export type { AdaptiveLimitOptions, AdaptiveLimitStats } from './adaptive-limit.ts';
export { coalesce } from './coalesce.ts';
export type { CoalesceOptions } from './coalesce.ts';
export { CoalescingUpdater } from './coalescing-updater.ts';
export type { CoalescingUpdaterOptions, CoalescingUpdaterStats } from './coalescing-updater.ts';
export { LoadBalancer } from './load-balancer.ts';
export type {
  Assignment,
  BalancingStrategy,
  ComponentOptions,
  ComponentReport,
  ComponentStats,
  LoadBalancerOptions,
} from './load-balancer.ts';
export { MemoryJobStore } from './memory-job-store.ts';
export type { MemoryJobStoreOptions } from './memory-job-store.ts';
export { MessageBroker } from './message-broker.ts';
export type {
  Delivery,
  DepthAlert,
  MessageBrokerOptions,
  MessageBrokerStats,
  MessageHandler,
  PublishOptions,
  SubscribeOptions,
  Subscription,
} from './message-broker.ts';
export { ResourceScheduler } from './resource-scheduler.ts';
export type {
  ProfileStats,
  ResourceProfile,
  ResourceSchedulerOptions,
  ResourceSchedulerStats,
  ResourceUse,
  SubmitOptions,
  TaskContext,
} from './resource-scheduler.ts';
