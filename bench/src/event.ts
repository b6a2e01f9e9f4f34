/** What `perf-bench --events` says, one JSON object per line, to the program that started it. */
import type { Verdict } from './result.ts';

export interface ListedCase {
  readonly name: string;
  /** File name below `bench/`. */
  readonly file: string;
  readonly forks: number;
}

export type BenchEvent =
  | {
      readonly event: 'list';
      readonly package: string;
      readonly cases: readonly ListedCase[];
      readonly expectedMs: number;
    }
  | { readonly event: 'none'; readonly package: string }
  | {
      readonly event: 'fork';
      readonly package: string;
      readonly case: string;
      readonly fork: number;
      readonly forks: number;
    }
  | { readonly event: 'case'; readonly package: string; readonly case: string; readonly verdict: Verdict };

/** The event in a line of output, or `undefined` when the line is something else. */
export function parseEvent(line: string): BenchEvent | undefined {
  if (!line.startsWith('{"event":')) return undefined;
  try {
    return JSON.parse(line) as BenchEvent;
  } catch {
    return undefined;
  }
}
