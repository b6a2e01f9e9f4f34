/** Stable codes of {@link CompressionError}; match on these, never on messages. */
export type CompressionErrorCode =
  | 'ERR_PERF_COMPRESSION_CORRUPT'
  | 'ERR_PERF_COMPRESSION_TRUNCATED'
  | 'ERR_PERF_COMPRESSION_DICTIONARY_MISSING'
  | 'ERR_PERF_COMPRESSION_DICTIONARY_MISMATCH'
  | 'ERR_PERF_COMPRESSION_TOO_LARGE'
  | 'ERR_PERF_COMPRESSION_UNSUPPORTED'
  | 'ERR_PERF_COMPRESSION_CLOSED';

/** What `@perf/compression` throws when the data, not the caller, is at fault. */
export class CompressionError extends Error {
  override readonly name = 'CompressionError';
  readonly code: CompressionErrorCode;

  constructor(code: CompressionErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

export function corrupt(message: string, cause?: unknown): CompressionError {
  return new CompressionError('ERR_PERF_COMPRESSION_CORRUPT', message, cause === undefined ? {} : { cause });
}

export function truncated(message: string): CompressionError {
  return new CompressionError('ERR_PERF_COMPRESSION_TRUNCATED', message);
}

export function tooLarge(message: string): CompressionError {
  return new CompressionError('ERR_PERF_COMPRESSION_TOO_LARGE', message);
}

export function unsupported(message: string, cause?: unknown): CompressionError {
  return new CompressionError(
    'ERR_PERF_COMPRESSION_UNSUPPORTED',
    message,
    cause === undefined ? {} : { cause },
  );
}
