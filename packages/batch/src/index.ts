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
