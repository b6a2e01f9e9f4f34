/** The aggregate as Markdown: first what needs attention, then every case. */
import type { AggregateResult, Remark } from './aggregate.ts';
import { aggregateWarnings, describeMachine, intervalText, targetText } from './report-terminal.ts';
import type { CaseResult, PackageResult } from './result.ts';
import { formatDuration, formatNs, formatRatio, formatValue } from './units.ts';

export function markdownReport(result: AggregateResult): string {
  const { options } = result;
  const machine = result.packages[0]?.machine;
  return [
    '# Bench report',
    '',
    `${result.startedAt}, ${formatDuration(result.durationMs)}; up to ${options.forks} forks of up to ` +
      `${options.rounds} rounds.${options.quick ? ' **Quick run: not a measurement.**' : ''}`,
    ...(machine === undefined ? [] : ['', `Machine: ${describeMachine(machine)}.`]),
    ...aggregateWarnings(result).flatMap((warning) => ['', `**Warning:** ${warning}.`]),
    '',
    ...remarkSection('Failures', result.failures),
    ...remarkSection('Goals missed', result.misses),
    ...remarkSection('Skipped', result.skips),
    ...remarkSection('Cases where a peer wins', result.peerWins),
    ...result.unusablePeers.flatMap(({ name, reason }) => [`Peer ${name} ${reason}.`, '']),
    ...result.packages.flatMap(packageSection),
    ...(result.withoutCases.length === 0 ? [] : [`No cases: ${result.withoutCases.join(', ')}.`, '']),
  ].join('\n');
}

function remarkSection(title: string, remarks: readonly Remark[]): string[] {
  const rows = remarks.map(
    (remark) => `- ${remark.package} \`${remark.case}\`: ${remark.what.split('\n', 1)[0]}`,
  );
  return [`## ${title}`, '', ...(rows.length === 0 ? ['None.'] : rows), ''];
}

function packageSection(result: PackageResult): string[] {
  const rows = result.cases.flatMap(caseRows).map((row) => `| ${row.map(escapeCell).join(' | ')} |`);
  return [
    `## ${result.package}`,
    '',
    '| case | verdict | what | measured | ours over theirs | goal |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ];
}

function caseRows(result: CaseResult): string[][] {
  const head = [result.name, result.verdict];
  if (result.reason !== undefined) return [[...head, result.reason.split('\n', 1)[0] ?? '', '', '', '']];
  const rows =
    result.kind === 'measure'
      ? result.measurements.map(({ name, value, unit, target, verdict }) => [
          name,
          `${formatValue(value.median)} ${unit} ${intervalText(value, formatValue)}`,
          '',
          target === undefined ? '' : `${targetText(target)}: ${verdict}`,
        ])
      : result.contenders.map((contender) => {
          const speed = result.ratios.find(({ versus }) => versus === contender.name)?.speed;
          const goals = result.goals.filter(({ versus }) => versus === contender.name);
          const time = contender.operationNs;
          return [
            contender.ours ? `${contender.name} (ours)` : contender.name,
            time === undefined
              ? `skipped: ${contender.skipped ?? ''}`
              : `${formatNs(time.median)}/op ${intervalText(time, formatNs)}`,
            speed === undefined ? '' : `${formatRatio(speed.median)} ${intervalText(speed, formatRatio)}`,
            goals.map((goal) => `>= ${formatRatio(goal.atLeast)}: ${goal.verdict}`).join('; '),
          ];
        });
  return rows.map((row, index) => (index === 0 ? [...head, ...row] : ['', '', ...row]));
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|');
}
