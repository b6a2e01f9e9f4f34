/** Stable codes of {@link PatternsError}; match on these, never on messages. */
export type PatternsErrorCode =
  /** The bytes do not start with the header of a serialised set. */
  | 'ERR_PERF_PATTERNS_NOT_A_SET'
  /** The serialised set ends early. */
  | 'ERR_PERF_PATTERNS_TRUNCATED'
  /** The checksum or the structure of a serialised set is wrong. */
  | 'ERR_PERF_PATTERNS_CORRUPT'
  /** Serialised by an unknown version of the format. */
  | 'ERR_PERF_PATTERNS_VERSION'
  /** The set, library or matcher has no pattern of that id. */
  | 'ERR_PERF_PATTERNS_UNKNOWN_ID'
  /** Used after `close()`. */
  | 'ERR_PERF_PATTERNS_CLOSED'
  /** What is to be imported is not in the format it was said to be. */
  | 'ERR_PERF_PATTERNS_IMPORT';

/** What `@perf/patterns` throws when data or state, not an argument, is at fault. */
export class PatternsError extends Error {
  override readonly name = 'PatternsError';
  readonly code: PatternsErrorCode;

  constructor(code: PatternsErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
