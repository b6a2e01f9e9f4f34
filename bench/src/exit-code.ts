import type { PackageResult } from './result.ts';

/** 0: every goal met. 1: something is wrong (an answer, a crash). 3: a goal missed, or anything skipped. */
export function exitCodeOf(results: readonly PackageResult[]): 0 | 1 | 3 {
  const verdicts = new Set(results.flatMap((result) => result.cases.map(({ verdict }) => verdict)));
  if (verdicts.has('fail')) return 1;
  return verdicts.has('miss') || verdicts.has('skip') ? 3 : 0;
}
