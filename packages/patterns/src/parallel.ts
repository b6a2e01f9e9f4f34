/** `@perf/patterns/parallel`: a set on worker threads, with time budgets. Needs the peer `piscina`. */
export { ParallelMatcher } from './parallel-matcher.ts';
export type { MatchOptions, ParallelMatcherOptions, Quarantined } from './parallel-matcher.ts';
