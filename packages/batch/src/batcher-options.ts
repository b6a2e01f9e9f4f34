import { defaultSizeOf } from './admission.ts';
import { monotonicClock, type Clock } from './clock.ts';
import type { ConcurrencyLimit } from './concurrency-limit.ts';
import type { BatchError } from './errors.ts';
import type { JobInfo } from './job.ts';
import type { JobStore } from './job-store.ts';
import { choiceOption, functionOption, integerOption, numberOption } from './option-checks.ts';
import { MAX_PRIORITIES } from './priority-ring.ts';
import type { RetryOptions } from './retry.ts';

/** How one item of a batch ended. */
export type ItemResult<R> =
  | { readonly ok: true; readonly value: R }
  /** `retryable: false` ends it at once, whatever the retry options say. */
  | { readonly ok: false; readonly error: unknown; readonly retryable?: boolean };

export interface BatchContext {
  /** Aligned with the items. */
  readonly jobs: readonly JobInfo[];
  /** Aborted when a `close` runs out of time. */
  readonly signal: AbortSignal;
}

export interface BatcherOptions<T, R = void> {
  /**
   * Does the work. Returns one result per item in order, or nothing when all went well; throwing fails every item.
   * It is never called while a caller's `add` is on the stack.
   */
  readonly process: (
    items: readonly T[],
    context: BatchContext,
  ) => Promise<readonly ItemResult<R>[] | void> | readonly ItemResult<R>[] | void;
  /** Items of a batch at most. Default 100. */
  readonly maxItems?: number;
  /** Bytes of a batch at most; an item larger than that goes alone. Default: no limit. */
  readonly maxBytes?: number;
  /** How long the first item of a batch that is not full waits for company. Default 0: until the current turn ends. */
  readonly lingerMs?: number;
  /** When set, batches grow and shrink below `maxItems` so that one takes about this long. */
  readonly targetBatchMs?: number;
  /** Batches at once, or who decides it. Default 1. */
  readonly concurrency?: number | ConcurrencyLimit;
  /** Taken in and not finished, at most. Default 1,048,576 items, 256 MiB when sizes are known. */
  readonly capacity?: { readonly items?: number; readonly bytes?: number };
  /** What `add` does when there is no room. Default 'wait': `accepted` stays pending until there is. */
  readonly overflow?: 'wait' | 'reject' | 'shed';
  /** Adds that may wait for room; beyond it they are rejected. Default 16,384. */
  readonly maxWaiting?: number;
  /** Bytes of an item. Needed for byte limits; without it strings, bytes and JSON are measured. */
  readonly sizeOf?: (item: T) => number;
  /** Levels, 1 to 32; level 0 is the most urgent. Default 8; an item's default is the middle. */
  readonly priorities?: number;
  /** A waiting item rises one level each time it has waited this long. Default: never. */
  readonly agingMs?: number;
  /** Default: one attempt. */
  readonly retry?: RetryOptions;
  /** Called for each accepted item that ended without success (failed for good, expired or shed). */
  readonly deadLetter?: (item: T, error: unknown) => void;
  /** Dead letters remembered for `deadLetters` and `replay` when there is no store. Default 1,000. */
  readonly maxDeadLetters?: number;
  /** Makes accepted items durable. It stays the caller's: close it after the batcher. */
  readonly store?: JobStore<T>;
  /** Told when the store fails to hand out jobs or to write outcomes down; the tickets concerned are rejected. */
  readonly onStoreError?: (error: BatchError) => void;
  /** How long a finished key is remembered without a store. Default 24 h. */
  readonly keyTtlMs?: number;
  /** Keys remembered without a store. Default 100,000. */
  readonly maxKeys?: number;
  readonly clock?: Clock;
}

export interface AddOptions {
  /** 0 (most urgent) to `priorities - 1`. */
  readonly priority?: number;
  /** Idempotency key: a second add with it gets the first one's outcome. */
  readonly key?: string;
  /** From now; an item not started by then is rejected with ERR_PERF_BATCH_DEADLINE. */
  readonly deadlineMs?: number;
  /** Takes a waiting item out of the queue, and gives up on the result of a running one. */
  readonly signal?: AbortSignal;
}

/** `accepted` by the batcher so far = completed + failed + remaining. */
export interface DrainReport {
  readonly completed: number;
  /** Ended without success: failed for good, expired, shed or aborted. */
  readonly failed: number;
  /** Still unfinished, here or in the store. */
  readonly remaining: number;
  /** Those of `failed` that became dead letters. */
  readonly deadLettered: number;
  readonly timedOut: boolean;
}

export interface BatcherStats {
  /** In the queue. */
  readonly queued: number;
  /** Adds waiting for room. */
  readonly waiting: number;
  /** Items being processed. */
  readonly running: number;
  readonly runningBatches: number;
  /** Failed items waiting for their next attempt. */
  readonly backingOff: number;
  /** Items taken in and not finished. */
  readonly held: number;
  readonly heldBytes: number;
  readonly accepted: number;
  readonly completed: number;
  readonly failed: number;
  readonly deadLettered: number;
  readonly expired: number;
  readonly shed: number;
  readonly aborted: number;
  /** Adds refused: queue full, closed, too large, or the store failed. */
  readonly refused: number;
  readonly retries: number;
  readonly batches: number;
  /** Batches that may run at once now. */
  readonly concurrency: number;
  /** Items of the next full batch. */
  readonly batchItems: number;
}

const DEFAULT_CAPACITY_ITEMS = 2 ** 20;
const DEFAULT_CAPACITY_BYTES = 256 * 2 ** 20;
const DAY_MS = 24 * 60 * 60 * 1000;

export interface BatcherSettings<T> {
  readonly maxItems: number;
  readonly maxBytes: number;
  readonly lingerMs: number;
  readonly targetBatchMs: number | undefined;
  readonly capacityItems: number;
  readonly capacityBytes: number;
  readonly overflow: 'wait' | 'reject' | 'shed';
  readonly maxWaiting: number;
  readonly sizeOf: ((item: T) => number) | undefined;
  readonly priorities: number;
  readonly agingMs: number | undefined;
  readonly maxDeadLetters: number;
  readonly keyTtlMs: number;
  readonly maxKeys: number;
  readonly clock: Clock;
}

export function checkBatcherOptions<T, R>(o: BatcherOptions<T, R>): BatcherSettings<T> {
  functionOption('process', o.process);
  if (o.deadLetter !== undefined) functionOption('deadLetter', o.deadLetter);
  if (o.sizeOf !== undefined) functionOption('sizeOf', o.sizeOf);
  const countsBytes = o.sizeOf !== undefined || o.maxBytes !== undefined || o.capacity?.bytes !== undefined;
  return {
    maxItems: integerOption('maxItems', o.maxItems ?? 100, 1, 1_000_000),
    maxBytes: numberOption('maxBytes', o.maxBytes ?? Infinity, 1, Infinity),
    lingerMs: numberOption('lingerMs', o.lingerMs ?? 0, 0),
    targetBatchMs:
      o.targetBatchMs === undefined ? undefined : numberOption('targetBatchMs', o.targetBatchMs, 0.01),
    capacityItems: integerOption('capacity.items', o.capacity?.items ?? DEFAULT_CAPACITY_ITEMS, 1),
    capacityBytes: countsBytes
      ? numberOption('capacity.bytes', o.capacity?.bytes ?? DEFAULT_CAPACITY_BYTES, 1, Infinity)
      : Infinity,
    overflow: choiceOption('overflow', o.overflow ?? 'wait', ['wait', 'reject', 'shed']),
    maxWaiting: integerOption('maxWaiting', o.maxWaiting ?? 16_384, 0),
    sizeOf: countsBytes ? (o.sizeOf ?? defaultSizeOf) : undefined,
    priorities: integerOption('priorities', o.priorities ?? 8, 1, MAX_PRIORITIES),
    agingMs: o.agingMs === undefined ? undefined : numberOption('agingMs', o.agingMs, 1),
    maxDeadLetters: integerOption('maxDeadLetters', o.maxDeadLetters ?? 1000, 0),
    keyTtlMs: numberOption('keyTtlMs', o.keyTtlMs ?? DAY_MS, 0),
    maxKeys: integerOption('maxKeys', o.maxKeys ?? 100_000, 1),
    clock: o.clock ?? monotonicClock,
  };
}
