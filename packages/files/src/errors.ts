/** Stable codes of {@link FilesError}; match on these, never on messages. */
export type FilesErrorCode =
  | 'ERR_PERF_FILES_UNKNOWN_LANGUAGE'
  | 'ERR_PERF_FILES_CHANGED'
  | 'ERR_PERF_FILES_CHUNK_FAILED';

/** What `@perf/files` throws when a file or a callback, not an argument's type or range, is at fault. */
export class FilesError extends Error {
  override readonly name = 'FilesError';
  readonly code: FilesErrorCode;

  constructor(code: FilesErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
