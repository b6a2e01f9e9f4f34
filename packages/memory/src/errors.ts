/** Stable codes of {@link MemoryError}; match on these, never on messages. */
export type MemoryErrorCode =
  | 'ERR_PERF_MEMORY_CLOSED'
  | 'ERR_PERF_MEMORY_RELEASED'
  | 'ERR_PERF_MEMORY_QUEUE_FULL'
  | 'ERR_PERF_MEMORY_TIMEOUT';

/** What `@perf/memory` throws when an operation cannot be done in the present state. */
export class MemoryError extends Error {
  override readonly name = 'MemoryError';
  readonly code: MemoryErrorCode;

  constructor(code: MemoryErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
