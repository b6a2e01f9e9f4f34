import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { PerformanceMonitor, defaultKpis, exportMonitoring } from '@perf/metrics';
import type { Kpi } from '@perf/metrics';

const kpis: readonly Kpi[] = [
  ...defaultKpis,
  {
    id: 'rss',
    title: 'Resident memory',
    unit: 'bytes',
    target: 4e8,
    direction: 'atMost',
    severity: 'critical',
    forMs: 0,
    measure: { kind: 'value', metric: 'rss_bytes' },
  },
  {
    id: 'workers-alive',
    title: 'Workers: "alive"',
    unit: 'count',
    target: 1,
    direction: 'atLeast',
    forMs: 90_000,
    measure: { kind: 'value', metric: 'workers', labels: { pool: 'a"b' } },
  },
  {
    id: 'speed-p50',
    title: 'Tokens per second',
    unit: 'count',
    target: 20,
    direction: 'atLeast',
    measure: { kind: 'quantile', metric: 'tokens_per_second', quantile: 0.5 },
  },
];

interface Rules {
  groups: {
    rules: { alert: string; expr: string; for: string; labels: { severity: string; kpi: string } }[];
  }[];
}

function has(program: string): boolean {
  return spawnSync(program, ['--version']).error === undefined;
}

const required = process.env['PERF_REQUIRE_SERVICES'] === '1';

describe('exportMonitoring', () => {
  it('makes one alert per KPI, for the side that misses', () => {
    const { rules } = parse(exportMonitoring(kpis).rules).groups[0] as Rules['groups'][0];
    expect(rules).toHaveLength(kpis.length);
    expect(rules[1]).toMatchObject({
      alert: 'PerfCacheHitRatio',
      expr:
        '(sum(rate(perf_cache_hits[5m])) or vector(0)) / ((sum(rate(perf_cache_hits[5m])) or vector(0)) + ' +
        '(sum(rate(perf_cache_misses[5m])) or vector(0))) < 0.5',
      for: '300000ms',
      labels: { severity: 'warning', kpi: 'cache-hit-ratio' },
    });
    expect(rules.find(({ labels }) => labels.kpi === 'workers-alive')?.expr).toBe(
      String.raw`sum(workers{pool="a\"b"}) < 1`,
    );
    expect(rules.find(({ labels }) => labels.kpi === 'speed-p50')?.expr).toBe(
      'histogram_quantile(0.5, sum by (le) (rate(tokens_per_second_bucket[5m]))) < 20',
    );
  });

  it('tests every rule with series that miss and series that meet the target', () => {
    const { tests } = parse(exportMonitoring(kpis).ruleTests) as { tests: { name: string }[] };
    expect(tests.map(({ name }) => name)).toEqual(
      kpis.flatMap(({ id }) => [`${id} is missed`, `${id} is met`]),
    );
  });

  it('leaves out tests of what no series can do', () => {
    const always: Kpi = {
      id: 'never-missed',
      title: 'x',
      unit: 'ratio',
      target: 1,
      direction: 'atMost',
      measure: {
        kind: 'ratio',
        numerator: [{ metric: 'a' }],
        denominator: [{ metric: 'a' }, { metric: 'b' }],
      },
    };
    const { tests } = parse(exportMonitoring([always]).ruleTests) as { tests: { name: string }[] };
    expect(tests.map(({ name }) => name)).toEqual(['never-missed is met']);
  });

  it('lays dashboard panels out without overlap, one per KPI, with the target as a threshold', () => {
    const { dashboard } = exportMonitoring(kpis);
    const { panels } = dashboard as {
      panels: {
        id: number;
        gridPos: { x: number; y: number; w: number; h: number };
        fieldConfig: { defaults: { thresholds: { steps: { value: number | null }[] } } };
      }[];
    };
    expect(new Set(panels.map(({ id }) => id)).size).toBe(kpis.length);
    const cells = panels.map(
      ({ gridPos: { x, y, w, h } }) => [x % w, y % h, x + w <= 24, `${x},${y}`] as const,
    );
    expect(cells.every(([x, y, fits]) => x === 0 && y === 0 && fits)).toBe(true);
    expect(new Set(cells.map(([, , , place]) => place)).size).toBe(kpis.length);
    expect(panels.map(({ fieldConfig }) => fieldConfig.defaults.thresholds.steps[1]?.value)).toEqual(
      kpis.map(({ target }) => target),
    );
    expect(JSON.parse(JSON.stringify(dashboard))).toEqual(dashboard);
  });

  it('sends notifications where it is told', () => {
    const { receivers } = parse(
      exportMonitoring(kpis, { webhookUrl: 'https://example.com/x' }).alertmanager,
    ) as {
      receivers: { webhook_configs: { url: string }[] }[];
    };
    expect(receivers.map((one) => one.webhook_configs[0]?.url)).toEqual([
      'https://example.com/x',
      'https://example.com/x',
    ]);
    expect(() => exportMonitoring(kpis, { webhookUrl: 'file:///etc' })).toThrow(TypeError);
    expect(() => exportMonitoring(kpis, { webhookUrl: 'nonsense' })).toThrow(TypeError);
  });

  it('refuses KPIs that cannot be judged', () => {
    expect(() => exportMonitoring(kpis.map((kpi) => ({ ...kpi, target: Number.NaN })))).toThrow(RangeError);
  });
});

/** Writes the files of an export into a folder of its own and runs a program there. */
function runOn(
  program: string,
  args: readonly string[],
  input?: string,
): { status: number | null; output: string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'perf-export-'));
  try {
    const { rules, ruleTests, alertmanager } = exportMonitoring(kpis, { webhookUrl: 'http://localhost:1/x' });
    writeFileSync(path.join(folder, 'perf-rules.yml'), rules);
    writeFileSync(path.join(folder, 'perf-rule-tests.yml'), ruleTests);
    writeFileSync(path.join(folder, 'alertmanager.yml'), alertmanager);
    const { status, stdout, stderr } = spawnSync(program, args, { cwd: folder, encoding: 'utf8', input });
    return { status, output: `${stdout}${stderr}` };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe.skipIf(!has('promtool') && !required)('with promtool (skipped when it is not installed)', () => {
  it('has rules that promtool accepts', () => {
    expect(runOn('promtool', ['check', 'rules', 'perf-rules.yml'])).toMatchObject({ status: 0 });
  });

  it('has rule tests that pass: alerts fire when a target is missed, and only then', () => {
    const { status, output } = runOn('promtool', ['test', 'rules', 'perf-rule-tests.yml']);
    expect(output).toContain('SUCCESS');
    expect(status).toBe(0);
  });

  it('has an exposition that promtool parses', async () => {
    const monitor = new PerformanceMonitor();
    monitor.track({
      agent: 'a "b"\n',
      model: 'm',
      task: 't',
      startedAtMs: 0,
      durationMs: 5,
      ok: true,
      inputTokens: 3,
    });
    monitor.instrument({ stats: () => ({ hits: 1 }) }, 'cache');
    const { body } = await monitor.metrics();
    const { status, output } = runOn('promtool', ['check', 'metrics'], Buffer.from(body).toString());
    expect(output).not.toMatch(/error/i);
    expect(status).toBe(0);
  });
});

describe.skipIf(!has('amtool') && !required)('with amtool (skipped when it is not installed)', () => {
  it('has a configuration that amtool accepts', () => {
    expect(runOn('amtool', ['check-config', 'alertmanager.yml'])).toMatchObject({ status: 0 });
  });
});
