/** Stable codes of {@link MetricsError}; match on these, never on messages. */
export type MetricsErrorCode =
  | 'ERR_PERF_METRICS_CLOSED'
  | 'ERR_PERF_METRICS_DUPLICATE'
  | 'ERR_PERF_METRICS_SQLITE_MISSING'
  | 'ERR_PERF_METRICS_TRACKER'
  | 'ERR_PERF_METRICS_INPUT';

/** What `@perf/metrics` throws when the state or a file, not an argument's type or range, is at fault. */
export class MetricsError extends Error {
  override readonly name = 'MetricsError';
  readonly code: MetricsErrorCode;

  constructor(code: MetricsErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
