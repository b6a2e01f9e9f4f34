/** How long a run will take, said before it starts. */
import type { FoundCase } from './case-file.ts';
import type { PackageResult, RunOptions } from './result.ts';
import { forksOf } from './runner.ts';

/** Starting Node, loading the case and its data, before the first timed run. */
const FORK_START_MS = 400;

/** Milliseconds: from the last run of the same cases where there is one, otherwise from the options. */
export function expectedTimeMs(
  cases: readonly FoundCase[],
  options: RunOptions,
  previous?: PackageResult,
): number {
  let totalMs = 0;
  for (const found of cases) {
    const forkMs = recordedForkMs(found, options, previous) ?? guessedForkMs(found, options);
    totalMs += forksOf(found, options) * forkMs;
  }
  return totalMs;
}

function guessedForkMs(found: FoundCase, options: RunOptions): number {
  const { definition } = found;
  if (definition.kind === 'measure') return FORK_START_MS + 1000;
  const perContenderMs = options.warmupMs + options.rounds * options.sampleMs * 1.5;
  return FORK_START_MS + definition.contenders.length * perContenderMs;
}

/** Only a run with the same lengths says something about this one. */
function recordedForkMs(
  found: FoundCase,
  options: RunOptions,
  previous: PackageResult | undefined,
): number | undefined {
  if (previous === undefined) return undefined;
  const { rounds, sampleMs } = previous.options;
  if (rounds !== options.rounds || sampleMs !== options.sampleMs) return undefined;
  const recorded = previous.cases.find(({ name }) => name === found.definition.name);
  return recorded === undefined || recorded.forks === 0 ? undefined : recorded.durationMs / recorded.forks;
}
