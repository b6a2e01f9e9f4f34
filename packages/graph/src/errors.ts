/** Stable codes of {@link GraphError}; match on these, never on messages. */
export type GraphErrorCode =
  | 'ERR_PERF_GRAPH_CLOSED'
  | 'ERR_PERF_GRAPH_STALE'
  | 'ERR_PERF_GRAPH_TOO_LARGE'
  | 'ERR_PERF_GRAPH_CORRUPT'
  | 'ERR_PERF_GRAPH_FORMAT'
  | 'ERR_PERF_GRAPH_NEWER_SCHEMA';

/** What `@perf/graph` throws when the state of the graph or its file, not an argument, is at fault. */
export class GraphError extends Error {
  override readonly name = 'GraphError';
  readonly code: GraphErrorCode;

  constructor(code: GraphErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
