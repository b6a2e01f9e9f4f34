/** What can go wrong in the harness, by code. */
export type BenchErrorCode =
  /** The command line is wrong. */
  | 'ERR_PERF_BENCH_USAGE'
  /** A case is declared wrongly: no contender of ours, two of the same name, a goal against nobody. */
  | 'ERR_PERF_BENCH_CASE'
  /** A contender gave a wrong answer. */
  | 'ERR_PERF_BENCH_WRONG_ANSWER'
  /** One run is shorter than the clock resolves. */
  | 'ERR_PERF_BENCH_TOO_SHORT'
  /** A peer is not installed, or does not load. */
  | 'ERR_PERF_BENCH_PEER_MISSING'
  /** A case or contender says that it does not apply here. */
  | 'ERR_PERF_BENCH_SKIPPED'
  /** A fork crashed, hung or said nothing. */
  | 'ERR_PERF_BENCH_FORK'
  /** A result file does not follow the schema. */
  | 'ERR_PERF_BENCH_SCHEMA';

export class BenchError extends Error {
  override readonly name = 'BenchError';
  readonly code: BenchErrorCode;

  constructor(code: BenchErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The reason when `error` means "not here" rather than "broken"; `undefined` otherwise. */
export function skipReason(error: unknown): string | undefined {
  if (!(error instanceof BenchError)) return undefined;
  return error.code === 'ERR_PERF_BENCH_PEER_MISSING' || error.code === 'ERR_PERF_BENCH_SKIPPED'
    ? error.message
    : undefined;
}
