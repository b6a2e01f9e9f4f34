/** Stable codes of {@link BatchError}; match on these, never on messages. */
export type BatchErrorCode =
  | 'ERR_PERF_BATCH_CLOSED'
  | 'ERR_PERF_BATCH_FULL'
  | 'ERR_PERF_BATCH_SHED'
  | 'ERR_PERF_BATCH_ITEM_TOO_LARGE'
  | 'ERR_PERF_BATCH_DEADLINE'
  | 'ERR_PERF_BATCH_RESULT_COUNT'
  | 'ERR_PERF_BATCH_DUPLICATE'
  | 'ERR_PERF_BATCH_LEASE_LOST'
  | 'ERR_PERF_BATCH_STORE'
  | 'ERR_PERF_BATCH_STORE_FULL'
  | 'ERR_PERF_BATCH_CIRCUIT_OPEN'
  | 'ERR_PERF_BATCH_NO_COMPONENT';

/** What `@perf/batch` rejects with when the queue or the other side, not the caller's code, is at fault. */
export class BatchError extends Error {
  override readonly name = 'BatchError';
  readonly code: BatchErrorCode;

  constructor(code: BatchErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
