/**
 * What a run leaves behind: one JSON shape for a package (`result.schema.json` is the same as a JSON Schema). Built from
 * the reports of forks by pure functions; verdicts are decided here and nowhere else.
 */
import type { Goal, MeasureCase, Measurement, RatioCase } from './case.ts';
import type { ForkReport } from './fork.ts';
import type { MachineFacts } from './machine.ts';
import { median, pairedSpeedRatio, spreadOf, type Spread } from './statistics.ts';

export const RESULT_SCHEMA = 'perf-bench-result/1';

/** `none`: nothing was promised, so there is nothing to judge. `fail`: a wrong answer, a crash, a wrong declaration. */
export type Verdict = 'pass' | 'miss' | 'skip' | 'fail' | 'none';

export interface Estimate extends Spread {
  /** One value per fork, in the order the forks ran. */
  readonly perFork: readonly number[];
}

export interface ContenderResult {
  readonly name: string;
  readonly ours: boolean;
  /** Why it was skipped; absent when it was measured. */
  readonly skipped?: string;
  /** Nanoseconds per operation; the observation of a fork is the median of its rounds. */
  readonly operationNs?: Estimate;
  readonly runsPerSample?: number;
}

export interface RatioResult {
  readonly versus: string;
  /** Speed of ours over theirs; above 1 means ours is faster. */
  readonly speed: Estimate;
}

export interface GoalResult extends Goal {
  readonly verdict: 'pass' | 'miss' | 'skip';
  /** The median that was judged; absent when the goal was skipped. */
  readonly measured?: number;
  /** The interval lies on one side of the goal, so another run would most likely say the same. */
  readonly isClear?: boolean;
  readonly reason?: string;
}

interface CaseFacts {
  readonly name: string;
  /** File name below `bench/`. */
  readonly file: string;
  readonly about: string;
  readonly verdict: Verdict;
  /** Why it was skipped or failed. */
  readonly reason?: string;
  readonly durationMs: number;
  readonly forks: number;
  /** More than `forks` when the case ran out of time, or when a fork said that the others need not run. */
  readonly forksPlanned: number;
  /** Share of all CPUs that others used while the forks ran, 0 to 1; median over forks. */
  readonly othersCpuFraction: number;
}

export interface RatioCaseResult extends CaseFacts {
  readonly kind: 'ratio';
  /** Timed samples, over all contenders, rounds and forks. */
  readonly samples: number;
  readonly operationsPerRun: number;
  readonly contenders: readonly ContenderResult[];
  readonly ratios: readonly RatioResult[];
  readonly goals: readonly GoalResult[];
}

export interface MeasurementResult {
  readonly name: string;
  readonly unit: string;
  readonly value: Estimate;
  readonly target?: { readonly atLeast: number } | { readonly atMost: number };
  readonly verdict: 'pass' | 'miss' | 'none';
  readonly note?: string;
}

export interface MeasureCaseResult extends CaseFacts {
  readonly kind: 'measure';
  readonly measurements: readonly MeasurementResult[];
}

export type CaseResult = RatioCaseResult | MeasureCaseResult;

export interface RunOptions {
  readonly forks: number;
  readonly rounds: number;
  readonly sampleMs: number;
  readonly warmupMs: number;
  /** Wall time of the rounds of one fork. */
  readonly budgetMs: number;
  /** A fork is stopped after this. */
  readonly timeoutMs: number;
  /** No fork of a case starts when it would most likely end after this. */
  readonly caseBudgetMs: number;
  /** Few and short samples: shows that the cases work, not how fast they are. */
  readonly quick: boolean;
  readonly filter?: string;
}

export interface PackageResult {
  readonly schema: typeof RESULT_SCHEMA;
  readonly package: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly durationMs: number;
  readonly options: RunOptions;
  readonly machine: MachineFacts;
  readonly cases: readonly CaseResult[];
}

/** What a case's forks said: all their reports, or the first that stops the case. */
export interface CaseRun {
  readonly file: string;
  readonly reports: readonly ForkReport[];
  readonly forksPlanned: number;
  readonly othersCpuFraction: number;
  readonly durationMs: number;
}

export function ratioCaseResult(definition: RatioCase, run: CaseRun): RatioCaseResult {
  const facts = caseFacts(definition, run);
  const reports = run.reports.filter((report) => report.kind === 'ratio');
  const stopped = stopOf(run.reports);
  if (stopped !== undefined || reports.length === 0) {
    const verdict = stopped?.verdict ?? 'fail';
    const reason = stopped?.reason ?? 'no fork reported';
    return {
      ...facts,
      kind: 'ratio',
      verdict,
      reason,
      samples: 0,
      operationsPerRun: 0,
      contenders: [],
      ratios: [],
      goals: (definition.goals ?? []).map((goal) => ({ ...goal, verdict: 'skip' as const, reason })),
    };
  }
  const contenders = definition.contenders.map((contender): ContenderResult => {
    const identity = { name: contender.name, ours: contender.ours === true };
    const skip = reports.flatMap((report) => report.skipped).find(({ name }) => name === contender.name);
    if (skip !== undefined) return { ...identity, skipped: skip.reason };
    const perFork = reports.map((report) => median(roundsOf(report, contender.name)));
    const runs = reports.map((report) => runsOf(report, contender.name));
    return { ...identity, operationNs: estimateOf(perFork), runsPerSample: median(runs) };
  });
  const ratios = ratiosOf(contenders, reports);
  const goals = (definition.goals ?? []).map((goal) => judgeGoal(goal, contenders, ratios));
  return {
    ...facts,
    kind: 'ratio',
    verdict: worstOf([
      ...goals.map((goal) => goal.verdict),
      ...contenders.map((contender) => (contender.skipped === undefined ? 'none' : 'skip')),
    ]),
    samples: reports.reduce(
      (sum, report) =>
        sum + report.measured.reduce((inner, { operationNs }) => inner + operationNs.length, 0),
      0,
    ),
    operationsPerRun: median(reports.map((report) => report.operations)),
    contenders,
    ratios,
    goals,
  };
}

export function measureCaseResult(definition: MeasureCase, run: CaseRun): MeasureCaseResult {
  const facts = caseFacts(definition, run);
  const stopped = stopOf(run.reports);
  if (stopped !== undefined) return { ...facts, kind: 'measure', ...stopped, measurements: [] };
  const reports = run.reports.filter((report) => report.kind === 'measure');
  const first = reports[0]?.measurements ?? [];
  const names = first.map(({ name }) => name).join(', ');
  const isSame = reports.every((report) => report.measurements.map(({ name }) => name).join(', ') === names);
  if (first.length === 0 || !isSame || new Set(first.map(({ name }) => name)).size !== first.length) {
    const reason = 'every fork must report the same measurements, at least one, each name once';
    return { ...facts, kind: 'measure', verdict: 'fail', reason, measurements: [] };
  }
  const measurements = first.map((measurement, index) =>
    measurementResult(measurement, estimateOf(reports.map((report) => valueAt(report.measurements, index)))),
  );
  return {
    ...facts,
    kind: 'measure',
    verdict: worstOf(measurements.map(({ verdict }) => verdict)),
    measurements,
  };
}

/** The worst verdict: fail, miss, skip, pass, none. */
export function worstOf(verdicts: readonly Verdict[]): Verdict {
  const order: readonly Verdict[] = ['fail', 'miss', 'skip', 'pass'];
  return order.find((verdict) => verdicts.includes(verdict)) ?? 'none';
}

/** Whether a peer was faster than ours by the median; and whether the whole interval says so. */
export function peerWins(result: CaseResult): readonly { versus: string; speed: Spread; isClear: boolean }[] {
  if (result.kind !== 'ratio') return [];
  return result.ratios
    .filter(({ speed }) => speed.median < 1)
    .map(({ versus, speed }) => ({ versus, speed, isClear: speed.high < 1 }));
}

export function estimateOf(perFork: readonly number[]): Estimate {
  return { ...spreadOf(perFork), perFork };
}

function caseFacts(definition: RatioCase | MeasureCase, run: CaseRun): Omit<CaseFacts, 'verdict'> {
  const { name, about } = definition;
  const { file, durationMs, forksPlanned, othersCpuFraction, reports } = run;
  return { name, file, about, durationMs, forks: reports.length, forksPlanned, othersCpuFraction };
}

function stopOf(reports: readonly ForkReport[]): { verdict: 'fail' | 'skip'; reason: string } | undefined {
  const failure = reports.find((report) => report.kind === 'failure');
  if (failure !== undefined) return { verdict: 'fail', reason: failure.message };
  const skip = reports.find((report) => report.kind === 'skip');
  return skip === undefined ? undefined : { verdict: 'skip', reason: skip.reason };
}

type RatioReport = Extract<ForkReport, { kind: 'ratio' }>;

function roundsOf(report: RatioReport, name: string): readonly number[] {
  return report.measured.find((contender) => contender.name === name)?.operationNs ?? [];
}

function runsOf(report: RatioReport, name: string): number {
  return report.measured.find((contender) => contender.name === name)?.runsPerSample ?? 0;
}

function ratiosOf(contenders: readonly ContenderResult[], reports: readonly RatioReport[]): RatioResult[] {
  const ours = contenders.find((contender) => contender.ours);
  if (ours === undefined || ours.skipped !== undefined) return [];
  return contenders
    .filter((contender) => !contender.ours && contender.skipped === undefined)
    .map(({ name }) => ({
      versus: name,
      speed: estimateOf(
        reports.map((report) => pairedSpeedRatio(roundsOf(report, ours.name), roundsOf(report, name))),
      ),
    }));
}

function judgeGoal(
  goal: Goal,
  contenders: readonly ContenderResult[],
  ratios: readonly RatioResult[],
): GoalResult {
  const speed = ratios.find(({ versus }) => versus === goal.versus)?.speed;
  if (speed === undefined) {
    const ours = contenders.find((contender) => contender.ours);
    const theirs = contenders.find((contender) => contender.name === goal.versus);
    const reason = ours?.skipped ?? theirs?.skipped ?? `'${goal.versus}' was not measured`;
    return { ...goal, verdict: 'skip', reason };
  }
  return {
    ...goal,
    verdict: speed.median >= goal.atLeast ? 'pass' : 'miss',
    measured: speed.median,
    isClear: speed.low >= goal.atLeast || speed.high < goal.atLeast,
  };
}

function measurementResult(measurement: Measurement, value: Estimate): MeasurementResult {
  const { name, unit, target, note } = measurement;
  return {
    name,
    unit,
    value,
    verdict: target === undefined ? 'none' : isMet(target, value.median) ? 'pass' : 'miss',
    ...(target === undefined ? {} : { target }),
    ...(note === undefined ? {} : { note }),
  };
}

function isMet(target: NonNullable<Measurement['target']>, value: number): boolean {
  return 'atLeast' in target ? value >= target.atLeast : value <= target.atMost;
}

function valueAt(measurements: readonly Measurement[], index: number): number {
  return measurements[index]?.value ?? Number.NaN;
}
