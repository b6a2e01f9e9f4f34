/** The results of all packages in one: what a reader must look at first, in lists of its own. */
import type { PeersStatus } from './peers.ts';
import { peerWins, type CaseResult, type PackageResult, type RunOptions } from './result.ts';

export const AGGREGATE_SCHEMA = 'perf-bench-aggregate/1';

/** One thing that is not as promised, by the name under which `--filter` finds it. */
export interface Remark {
  readonly package: string;
  readonly case: string;
  readonly what: string;
}

export interface AggregateResult {
  readonly schema: typeof AGGREGATE_SCHEMA;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly durationMs: number;
  readonly options: RunOptions;
  readonly packages: readonly PackageResult[];
  readonly withoutCases: readonly string[];
  readonly failures: readonly Remark[];
  readonly misses: readonly Remark[];
  readonly skips: readonly Remark[];
  readonly peerWins: readonly Remark[];
  /** Peers that are not installed or do not load, with the reason. */
  readonly unusablePeers: readonly { readonly name: string; readonly reason: string }[];
}

export interface CollectedRun {
  readonly startedAt: string;
  readonly durationMs: number;
  readonly options: RunOptions;
  readonly packages: readonly PackageResult[];
  readonly withoutCases: readonly string[];
  /** What kept a package or a case from having a result at all. */
  readonly problems: readonly Remark[];
  readonly peers: PeersStatus;
}

export function aggregate(run: CollectedRun): AggregateResult {
  const { startedAt, durationMs, options, packages, withoutCases, problems, peers } = run;
  const remarks = (pick: (result: CaseResult) => readonly string[]): Remark[] =>
    packages.flatMap((result) =>
      result.cases.flatMap((done) =>
        pick(done).map((what) => ({ package: result.package, case: done.name, what })),
      ),
    );
  return {
    schema: AGGREGATE_SCHEMA,
    startedAt,
    durationMs,
    options,
    packages,
    withoutCases,
    failures: [...problems, ...remarks(failuresOf)],
    misses: remarks(missesOf),
    skips: remarks(skipsOf),
    peerWins: remarks(winsOf),
    unusablePeers: Object.entries(peers.unusable).map(([name, reason]) => ({ name, reason })),
  };
}

/** 0: every goal met. 1: something is wrong. 3: a goal missed or anything skipped. */
export function aggregateExitCode(result: AggregateResult): 0 | 1 | 3 {
  if (result.failures.length > 0) return 1;
  return result.misses.length > 0 || result.skips.length > 0 ? 3 : 0;
}

function failuresOf(result: CaseResult): string[] {
  return result.verdict === 'fail' ? [result.reason ?? 'failed'] : [];
}

function missesOf(result: CaseResult): string[] {
  if (result.kind === 'ratio') {
    return result.goals
      .filter((goal) => goal.verdict === 'miss')
      .map(
        (goal) =>
          `${ratio(goal.measured ?? Number.NaN)} ${goal.versus}, goal ${ratio(goal.atLeast)}` +
          (goal.isClear === false ? ' (the interval holds the goal)' : ''),
      );
  }
  return result.measurements
    .filter(({ verdict }) => verdict === 'miss')
    .map(({ name, unit, value, target }) => {
      const wanted =
        target !== undefined && 'atLeast' in target ? `>= ${target.atLeast}` : `<= ${target?.atMost}`;
      return `${name} is ${Number(value.median.toPrecision(4))} ${unit}, target ${wanted}`;
    });
}

function skipsOf(result: CaseResult): string[] {
  if (result.verdict === 'skip' && result.reason !== undefined) return [result.reason];
  if (result.kind === 'measure') return [];
  return result.contenders
    .filter((contender) => contender.skipped !== undefined)
    .map((contender) => `${contender.name}: ${contender.skipped}`);
}

function winsOf(result: CaseResult): string[] {
  return peerWins(result).map(
    ({ versus, speed, isClear }) =>
      `ours is ${ratio(speed.median)} ${versus}` + (isClear ? '' : ' (the interval holds 1: may be a tie)'),
  );
}

function ratio(value: number): string {
  return `${value.toPrecision(3)}x`;
}
