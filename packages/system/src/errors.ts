/** Stable codes of {@link SystemError}; match on these, never on messages. */
export type SystemErrorCode =
  | 'ERR_PERF_SYSTEM_CLOSED'
  | 'ERR_PERF_SYSTEM_WRITE_FAILED'
  | 'ERR_PERF_SYSTEM_QUEUE_FULL'
  | 'ERR_PERF_SYSTEM_UNKNOWN_PATTERN'
  | 'ERR_PERF_SYSTEM_INVALID_PATTERN'
  | 'ERR_PERF_SYSTEM_AGENT_DEFINITION'
  | 'ERR_PERF_SYSTEM_NO_MODEL';

/** What `@perf/system` throws when the state of the system or its data, not the type of an argument, is at fault. */
export class SystemError extends Error {
  override readonly name = 'SystemError';
  readonly code: SystemErrorCode;

  constructor(code: SystemErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
