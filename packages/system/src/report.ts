// The state of a system as text for a terminal or a log.
import type { KpiReport, KpiResult } from '@perf/metrics';
import type { SystemStatistics } from './statistics.ts';

/** A number with its unit as people read it: 1.5 ms, 12.3 MiB, 87.0 %. */
export function formatQuantity(value: number | undefined, unit: KpiResult['unit']): string {
  if (value === undefined || Number.isNaN(value)) return 'no data';
  switch (unit) {
    case 'seconds':
      return formatSeconds(value);
    case 'bytes':
      return formatBytes(value);
    case 'ratio':
      return `${(value * 100).toFixed(1)} %`;
    case 'usd':
      return `$${value.toFixed(value < 1 ? 4 : 2)}`;
    case 'count':
      return Number.isInteger(value) ? String(value) : value.toFixed(2);
  }
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let value = bytes;
  let index = 0;
  while (Math.abs(value) >= 1024 && index < units.length - 1) {
    value /= 1024;
    index += 1;
  }
  return `${index === 0 ? value : value.toFixed(1)} ${units[index]}`;
}

function formatSeconds(seconds: number): string {
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  if (seconds >= 1e-3) return `${(seconds * 1e3).toFixed(2)} ms`;
  return `${(seconds * 1e6).toFixed(1)} us`;
}

/** What a row of the table needs of a judged KPI. */
export type JudgedKpi = Pick<KpiResult, 'title' | 'unit' | 'direction' | 'target' | 'measured' | 'verdict'>;

/** Each KPI with target, measured value and verdict, in aligned columns. */
export function formatKpis({ results }: { readonly results: readonly JudgedKpi[] }): string {
  const rows = results.map((kpi) => [
    kpi.title,
    `${kpi.direction === 'atMost' ? '<=' : '>='} ${formatQuantity(kpi.target, kpi.unit)}`,
    formatQuantity(kpi.measured, kpi.unit),
    kpi.verdict,
  ]);
  return formatTable(['KPI', 'target', 'measured', 'verdict'], rows);
}

/** Columns padded to their widest cell. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}

export function formatReport(statistics: SystemStatistics, kpis: KpiReport): string {
  const { cache, sessions, graph, patterns, writes, memory } = statistics;
  const lookups = cache.hits + cache.misses;
  const rows = [
    ['uptime', formatSeconds(statistics.uptimeMs / 1000)],
    [
      'cache',
      `${cache.hits} hits of ${lookups} (${formatQuantity(lookups === 0 ? undefined : cache.hits / lookups, 'ratio')})`,
    ],
    [
      'stored messages',
      `${sessions.messages} in ${sessions.sessions} sessions, ${formatBytes(sessions.storedBytes)} for ${formatBytes(sessions.rawBytes)}`,
    ],
    ['graph', `${graph.nodes} nodes, ${graph.edges} edges`],
    [
      'patterns',
      `${patterns.stored} stored, ${patterns.compiled} compiled, ${patterns.detections} detections`,
    ],
    ['writes', `${writes.completed} committed, ${writes.queued} queued, ${writes.failedWrites} failed`],
    ['memory', `${formatBytes(memory.rssBytes)} resident, pressure ${memory.level}`],
  ];
  return `${formatTable(['part', 'state'], rows)}\n\n${formatKpis(kpis)}`;
}
