/** A package's results as lines for a terminal: verdict first, then who was faster by how much. */
import type { AggregateResult, Remark } from './aggregate.ts';
import { BUSY_WARNING, isBusy, type MachineFacts } from './machine.ts';
import {
  peerWins,
  type CaseResult,
  type Estimate,
  type MeasureCaseResult,
  type MeasurementResult,
  type PackageResult,
  type RatioCaseResult,
  type Verdict,
} from './result.ts';
import { formatBytes, formatDuration, formatNs, formatRatio, formatValue } from './units.ts';

export function describeMachine(machine: MachineFacts): string {
  return [
    `${machine.cpuModel}, ${machine.usableCpuCount} CPUs, ${formatBytes(machine.memoryBytes)}`,
    `Node ${machine.node} (V8 ${machine.v8})`,
    `${machine.os}, scratch on ${machine.scratchFileSystem}`,
    `load ${(machine.loadAverage[0] ?? 0).toFixed(2)}`,
  ].join('; ');
}

export function caseLines(result: CaseResult): string[] {
  const title = `${verdictWord(result.verdict)} ${result.name}`;
  const why = result.reason === undefined ? [] : [`         ${firstLine(result.reason)}`];
  const body = result.kind === 'ratio' ? ratioLines(result) : measureLines(result);
  const isCutShort = result.forks < result.forksPlanned && result.reason === undefined;
  const cut = isCutShort
    ? [`         only ${result.forks} of ${result.forksPlanned} forks: the case ran out of time`]
    : [];
  const busy = isBusy(result.othersCpuFraction)
    ? [`         busy: others used ${Math.round(result.othersCpuFraction * 100)} % of the CPUs meanwhile`]
    : [];
  return [`${title}  (${result.about})`, ...why, ...body, ...cut, ...busy];
}

/** The aggregate: every case, then in lists of their own the ones to look at. */
export function terminalReport(result: AggregateResult): string[] {
  const machine = result.packages[0]?.machine;
  return [
    ...result.packages.flatMap((found) => ['', found.package, ...found.cases.flatMap(caseLines)]),
    ...remarkLines('a peer wins', result.peerWins),
    ...remarkLines('skipped', result.skips),
    ...remarkLines('goals missed', result.misses),
    ...remarkLines('failures', result.failures),
    '',
    ...(result.withoutCases.length === 0 ? [] : [`no cases: ${result.withoutCases.join(', ')}`]),
    ...result.unusablePeers.map(({ name, reason }) => `peer ${name} ${reason}`),
    ...(machine === undefined ? [] : [describeMachine(machine)]),
    ...aggregateWarnings(result).map((warning) => `warning: ${warning}`),
    ...(result.options.quick ? ['quick run: not a measurement'] : []),
    `${totalsLine(result.packages)}; ${formatDuration(result.durationMs)}`,
  ];
}

/** What a reader must know before believing the numbers. */
export function aggregateWarnings(result: AggregateResult): string[] {
  const cases = result.packages.flatMap((found) => found.cases);
  const busy = cases.filter(({ othersCpuFraction }) => isBusy(othersCpuFraction)).length;
  // Whether the machine was busy is known for every case, which says more than a look before each package.
  const machineWarnings = result.packages.flatMap(({ machine }) =>
    machine.warnings.filter((warning) => !warning.startsWith(BUSY_WARNING)),
  );
  return [
    ...new Set(machineWarnings),
    ...(busy === 0 ? [] : [`${BUSY_WARNING} with something else during ${busy} of ${cases.length} cases`]),
  ];
}

function remarkLines(title: string, remarks: readonly Remark[]): string[] {
  if (remarks.length === 0) return [];
  return [
    '',
    `${title}:`,
    ...remarks.map((remark) => `  ${remark.package} ${remark.case}: ${firstLine(remark.what)}`),
  ];
}

/** One line: how many of each verdict. */
export function totalsLine(results: readonly PackageResult[]): string {
  const cases = results.flatMap((result) => result.cases);
  const count = (verdict: Verdict): number => cases.filter((result) => result.verdict === verdict).length;
  const wins = cases.filter((result) => peerWins(result).length > 0).length;
  return (
    `${cases.length} ${cases.length === 1 ? 'case' : 'cases'}: ${count('pass')} pass, ${count('none')} without a goal, ${count('miss')} miss, ` +
    `${count('skip')} skip, ${count('fail')} fail; a peer wins in ${wins}`
  );
}

export function intervalText(estimate: Estimate, format: (value: number) => string): string {
  if (estimate.perFork.length === 1) return '(one fork)';
  const confidence = estimate.confidence < 0.95 ? ` at only ${Math.floor(estimate.confidence * 100)} %` : '';
  return `[${format(estimate.low)}, ${format(estimate.high)}]${confidence}`;
}

export function targetText(target: NonNullable<MeasurementResult['target']>): string {
  return 'atLeast' in target ? `>= ${formatValue(target.atLeast)}` : `<= ${formatValue(target.atMost)}`;
}

function ratioLines(result: RatioCaseResult): string[] {
  const lines: string[] = [];
  for (const contender of result.contenders) {
    const ratio = result.ratios.find(({ versus }) => versus === contender.name);
    const goals = result.goals.filter(({ versus }) => versus === contender.name);
    const goalText = goals.map(
      (goal) =>
        `goal ${formatRatio(goal.atLeast)}: ${goal.verdict}${goal.isClear === false ? ' (unclear)' : ''}`,
    );
    if (contender.skipped !== undefined) {
      lines.push(`         skipped: ${contender.name}: ${contender.skipped}`);
      continue;
    }
    const { operationNs } = contender;
    if (operationNs === undefined) continue;
    const time = `${formatNs(operationNs.median)}/op ${intervalText(operationNs, formatNs)}`;
    const name = contender.ours ? `${contender.name} (ours)` : contender.name;
    const speed =
      ratio === undefined
        ? []
        : [
            `ours is ${formatRatio(ratio.speed.median)} ${intervalText(ratio.speed, formatRatio)}`,
            ...winText(ratio.speed),
          ];
    lines.push(`         ${name.padEnd(26)} ${[time, ...speed, ...goalText].join('  ')}`);
  }
  return lines;
}

/** A peer that is faster by the median; by the whole interval, it wins for sure. */
function winText({ median, high }: Estimate): string[] {
  if (median >= 1) return [];
  return [high < 1 ? 'PEER WINS' : 'peer ahead, may be a tie'];
}

function measureLines(result: MeasureCaseResult): string[] {
  return result.measurements.map((measurement) => {
    const { target } = measurement;
    const value = `${formatValue(measurement.value.median)} ${measurement.unit}`;
    const goal = target === undefined ? '' : `  target ${targetText(target)}: ${measurement.verdict}`;
    const note = measurement.note === undefined ? '' : `  (${measurement.note})`;
    return `         ${measurement.name.padEnd(26)} ${value} ${intervalText(measurement.value, formatValue)}${goal}${note}`;
  });
}

function verdictWord(verdict: Verdict): string {
  return (verdict === 'none' ? '-' : verdict.toUpperCase()).padEnd(8);
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
