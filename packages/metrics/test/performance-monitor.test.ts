import diagnosticsChannel from 'node:diagnostics_channel';
import { Registry } from 'prom-client';
import { Counter as PromCounter, Gauge as PromGauge, Histogram as PromHistogram, Summary } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { MetricsError, OVERFLOW_LABEL, PerformanceMonitor, defaultKpis } from '@perf/metrics';
import type { Kpi } from '@perf/metrics';

async function text(monitor: PerformanceMonitor, accept?: string): Promise<string> {
  return Buffer.from((await monitor.metrics(accept)).body).toString();
}

function code(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    return error instanceof MetricsError ? error.code : (error as Error).name;
  }
  return undefined;
}

describe('counters, gauges and histograms', () => {
  it('appear in the exposition with their labels', async () => {
    const monitor = new PerformanceMonitor();
    monitor
      .counter({ name: 'jobs_total', help: 'Jobs', labelNames: ['queue'] })
      .inc(2, { queue: 'a"b\\c\nd' });
    monitor.gauge({ name: 'depth' }).set(-1.5);
    monitor.histogram({ name: 'size_bytes', buckets: [10, 100] }).observe(50);
    const body = await text(monitor);
    expect(body).toContain(
      '# HELP jobs_total Jobs\n# TYPE jobs_total counter\njobs_total{queue="a\\"b\\\\c\\nd"} 2\n',
    );
    expect(body).toContain('# TYPE depth gauge\ndepth -1.5\n');
    expect(body).toContain('size_bytes_bucket{le="10"} 0\nsize_bytes_bucket{le="100"} 1\n');
    expect(body).toContain('size_bytes_bucket{le="+Inf"} 1\nsize_bytes_sum 50\nsize_bytes_count 1\n');
  });

  it('are the same object when asked for again, and refuse another kind or other labels', () => {
    const monitor = new PerformanceMonitor();
    const counter = monitor.counter({ name: 'a_total', labelNames: ['x', 'y'] });
    expect(monitor.counter({ name: 'a_total', labelNames: ['y', 'x'] })).toBe(counter);
    expect(code(() => monitor.counter({ name: 'a_total' }))).toBe('ERR_PERF_METRICS_DUPLICATE');
    expect(code(() => monitor.gauge({ name: 'a_total', labelNames: ['x', 'y'] }))).toBe(
      'ERR_PERF_METRICS_DUPLICATE',
    );
  });

  it('refuse a name that the given registry has already', () => {
    const registry = new Registry();
    registry.registerMetric(new PromCounter({ name: 'taken', help: 'x', registers: [] }));
    const monitor = new PerformanceMonitor({ registry });
    expect(code(() => monitor.counter({ name: 'taken' }))).toBe('ERR_PERF_METRICS_DUPLICATE');
  });

  it('refuse values that make no sense', () => {
    const monitor = new PerformanceMonitor();
    expect(() => monitor.counter({ name: 'c' }).inc(-1)).toThrow(RangeError);
    expect(() => monitor.counter({ name: 'c' }).inc(Number.NaN)).toThrow(RangeError);
    expect(() => monitor.histogram({ name: 'h' }).observe(Infinity)).toThrow(RangeError);
    expect(() => monitor.histogram({ name: 'h' }).observe('1' as never)).toThrow(RangeError);
    expect(() => monitor.gauge({ name: 'g' }).set('1' as never)).toThrow(TypeError);
    expect(() => monitor.histogram({ name: 'h' }).quantile(1.1)).toThrow(RangeError);
    expect(() => monitor.histogram({ name: 'h' }).quantile(Number.NaN)).toThrow(RangeError);
  });

  it('refuse names, labels and buckets that Prometheus would refuse', () => {
    const monitor = new PerformanceMonitor();
    expect(() => monitor.counter({ name: 'no spaces' })).toThrow(TypeError);
    expect(() => monitor.counter({ name: 'a', labelNames: ['__name__'] })).toThrow(TypeError);
    expect(() => monitor.counter({ name: 'a', labelNames: ['x', 'x'] })).toThrow(TypeError);
    expect(() => monitor.histogram({ name: 'h', labelNames: ['le'] })).toThrow(TypeError);
    expect(() => monitor.histogram({ name: 'h', buckets: [2, 1] })).toThrow(RangeError);
    expect(() => monitor.histogram({ name: 'h', buckets: [] })).toThrow(RangeError);
    expect(() => monitor.counter({ name: 'a' }).inc(1, { b: 'x' })).toThrow(TypeError);
    expect(() => monitor.counter({ name: 'l', labelNames: ['x'] }).inc(1, { x: {} as never })).toThrow(
      TypeError,
    );
    expect(() => new PerformanceMonitor({ maxSeries: 0 })).toThrow(RangeError);
  });

  it('keep label values apart that would read the same when joined', () => {
    const counter = new PerformanceMonitor().counter({ name: 'c', labelNames: ['a', 'b'] });
    counter.inc(1, { a: '1:x', b: '' });
    counter.inc(1, { a: '1', b: ':x' });
    counter.inc(1, { a: '1', b: '1:x' });
    expect(counter.value({ a: '1' })).toBe(2);
    expect(counter.value()).toBe(3);
  });

  it('send what exceeds maxSeries to one overflow series, and count it', () => {
    const monitor = new PerformanceMonitor({ maxSeries: 2 });
    const counter = monitor.counter({ name: 'c_total', labelNames: ['user'] });
    for (let i = 0; i < 10; i++) counter.inc(1, { user: `u${i}` });
    expect(counter.value()).toBe(10);
    expect(counter.value({ user: OVERFLOW_LABEL })).toBe(8);
    const overflow = monitor.counter({ name: 'perf_metrics_series_overflow_total', labelNames: ['metric'] });
    expect(overflow.value({ metric: 'c_total' })).toBe(8);
  });

  it('survive more overflowing metrics than maxSeries', () => {
    const monitor = new PerformanceMonitor({ maxSeries: 1 });
    for (const name of ['a', 'b', 'c']) {
      const counter = monitor.counter({ name, labelNames: ['x'] });
      counter.inc(1, { x: 1 });
      counter.inc(1, { x: 2 });
      expect(counter.value()).toBe(2);
    }
  });

  it('answer quantiles over all series and of one', () => {
    const histogram = new PerformanceMonitor().histogram({ name: 'h_seconds', labelNames: ['op'] });
    expect(histogram.quantile(0.5)).toBeNaN();
    for (let i = 1; i <= 100; i++) histogram.observe(i, { op: i <= 50 ? 'low' : 'high' });
    expect(histogram.labels({ op: 'low' }).quantile(1)).toBe(50);
    expect(Math.abs(histogram.quantile(0.75) - 75)).toBeLessThan(75 / 256);
    expect(histogram.quantile(0, { op: 'high' })).toBe(51);
  });

  it('count a value equal to a bound in that bound, as Prometheus does', async () => {
    const monitor = new PerformanceMonitor();
    monitor.histogram({ name: 'h', buckets: [1, 2] }).observe(1);
    expect(await text(monitor)).toContain('h_bucket{le="1"} 1\n');
  });
});

describe('the exposition', () => {
  function fillForeign(registry: Registry): void {
    new PromCounter({
      name: 'f_total',
      help: 'a "quoted" \\ help\nline',
      labelNames: ['l'],
      registers: [registry],
    }).inc({ l: 'x"y\\z\n' }, 3);
    new PromGauge({ name: 'f_gauge', help: 'g', registers: [registry] }).set(Infinity);
    new PromHistogram({
      name: 'f_hist',
      help: 'h',
      labelNames: ['l'],
      buckets: [0.5, 1],
      registers: [registry],
    }).observe({ l: 'v' }, 0.7);
    new Summary({ name: 'f_summary', help: 's', percentiles: [0.5], registers: [registry] }).observe(2);
    registry.setDefaultLabels({ app: 'demo' });
  }

  it('equals what prom-client prints for the same registry', async () => {
    const registry = new Registry();
    fillForeign(registry);
    const monitor = new PerformanceMonitor({ registry });
    monitor.counter({ name: 'own_total' }).inc();
    monitor.histogram({ name: 'own_seconds', labelNames: ['a'] }).observe(0.2, { a: 'b' });
    const sorted = (body: string): string[] =>
      body.replaceAll('Nan', 'NaN').split('\n').map(sortLabels).sort();
    expect(sorted(await text(monitor))).toEqual(sorted(await registry.metrics()));
  });

  it('is OpenMetrics when asked, and leaves the registry as it was', async () => {
    const registry = new Registry();
    fillForeign(registry);
    const monitor = new PerformanceMonitor({ registry });
    monitor.counter({ name: 'own_total' }).inc(4);
    const before = await text(monitor);
    const { contentType, body } = await monitor.metrics(
      'application/openmetrics-text;version=1.0.0,text/plain;q=0.5',
    );
    const open = Buffer.from(body).toString();
    expect(contentType).toContain('application/openmetrics-text; version=1.0.0');
    expect(open).toContain('# TYPE own counter\nown_total{app="demo"} 4\n');
    expect(open).toContain('le="1.0"');
    expect(open.endsWith('# EOF\n')).toBe(true);
    expect(await text(monitor)).toBe(before);
  });

  it('is the Prometheus format when the header prefers it, refuses OpenMetrics, or is nonsense', async () => {
    const monitor = new PerformanceMonitor();
    for (const accept of [
      undefined,
      '',
      '*/*',
      'text/plain',
      'application/openmetrics-text;q=0',
      ';;,q=',
      'text/html',
    ]) {
      expect((await monitor.metrics(accept)).contentType).toContain('text/plain; version=0.0.4');
    }
    const preferred = 'application/openmetrics-text;q=0.5,text/plain;q=0.9';
    expect((await monitor.metrics(preferred)).contentType).toContain('text/plain');
  });
});

function sortLabels(line: string): string {
  return line.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(',').sort().join(',')}}`);
}

describe('instrument', () => {
  it('turns the numbers of stats() into gauges, read at each scrape', async () => {
    const monitor = new PerformanceMonitor();
    let hits = 1;
    let calls = 0;
    const part = {
      stats: () => {
        calls++;
        return {
          hits,
          sizeBytes: 10n,
          ageMs: 1500,
          open: true,
          name: 'x',
          list: [1],
          tiers: { 'my-disk': { hits: 7 } },
        };
      },
    };
    monitor.instrument(part, 'cache');
    await Promise.resolve();
    hits = 5;
    const before = calls;
    const body = await text(monitor);
    expect(body).toContain('\nperf_cache_hits 5\n');
    expect(body).toContain('\nperf_cache_size_bytes 10\n');
    expect(body).toContain('\nperf_cache_age_seconds 1.5\n');
    expect(body).toContain('\nperf_cache_open 1\n');
    expect(body).toContain('\nperf_cache_tiers_my_disk_hits 7\n');
    expect(body).not.toContain('list');
    expect(calls - before).toBeLessThanOrEqual(2);
  });

  it('reports nothing, and counts the failure, while stats() throws', async () => {
    const monitor = new PerformanceMonitor();
    let broken = false;
    monitor.instrument(
      {
        stats: () => {
          if (broken) throw new Error('down');
          return { hits: 3 };
        },
      },
      'part',
    );
    expect(await text(monitor)).toContain('\nperf_part_hits 3\n');
    broken = true;
    const body = await text(monitor);
    expect(body).not.toMatch(/^perf_part_hits \d/m);
    expect(body).toMatch(/perf_metrics_errors_total\{source="part"\} \d/);
    broken = false;
    expect(await text(monitor)).toContain('\nperf_part_hits 3\n');
  });

  it('finds fields that appear later', async () => {
    const monitor = new PerformanceMonitor();
    const stats: Record<string, number> = {};
    monitor.instrument({ stats: () => stats }, 'part');
    await Promise.resolve();
    stats['late'] = 2;
    expect(await text(monitor)).toContain('\nperf_part_late 2\n');
  });

  it('leaves out, and counts, a field whose name is taken', async () => {
    const registry = new Registry();
    registry.registerMetric(new PromGauge({ name: 'perf_x_foreign', help: 'f', registers: [] }));
    const monitor = new PerformanceMonitor({ registry });
    monitor.instrument({ stats: () => ({ yZ: 1, foreign: 5 }) }, 'x');
    monitor.instrument({ stats: () => ({ z: 2 }) }, 'x_y');
    const errors = monitor.counter({ name: 'perf_metrics_errors_total', labelNames: ['source'] });
    expect(errors.value({ source: 'x' })).toBe(1);
    expect(errors.value({ source: 'x_y' })).toBe(1);
    expect(await text(monitor)).toContain('\nperf_x_y_z 1\n');
  });

  it('counts messages of channels and observes their durations, until it is closed', async () => {
    const monitor = new PerformanceMonitor();
    monitor.instrument('cache', 'sessions', { events: ['evict', 'load'] });
    const load = diagnosticsChannel.channel('perf:cache:load');
    load.publish({ durationMs: 20 });
    load.publish('no object');
    diagnosticsChannel.channel('perf:cache:evict').publish(null);
    const body = await text(monitor);
    expect(body).toContain('perf_events_total{component="sessions",event="load"} 2\n');
    expect(body).toContain('perf_events_total{component="sessions",event="evict"} 1\n');
    expect(body).toContain('perf_event_duration_seconds_sum{component="sessions",event="load"} 0.02\n');
    await monitor.close();
    expect(load.hasSubscribers).toBe(false);
  });

  it('refuses a part without stats(), a name without events, and a name in use', () => {
    const monitor = new PerformanceMonitor();
    expect(() => monitor.instrument({} as never, 'x')).toThrow(TypeError);
    expect(() => monitor.instrument('cache', 'x')).toThrow(TypeError);
    expect(() => monitor.instrument({ stats: () => ({}) }, 'Bad Name')).toThrow(TypeError);
    monitor.instrument({ stats: () => ({}) }, 'x');
    expect(code(() => monitor.instrument({ stats: () => ({}) }, 'x'))).toBe('ERR_PERF_METRICS_DUPLICATE');
  });
});

describe('KPIs', () => {
  const kpi = (id: string, measure: Kpi['measure'], target: number, direction: Kpi['direction']): Kpi => ({
    id,
    title: id,
    unit: 'count',
    target,
    direction,
    measure,
  });

  it('are all skipped when nothing was measured', () => {
    const report = new PerformanceMonitor().evaluate();
    expect(report.skip).toBe(defaultKpis.length);
    expect(
      report.results.every(({ verdict, measured }) => verdict === 'skip' && measured === undefined),
    ).toBe(true);
  });

  it('are judged by direction, and meeting the target exactly passes', () => {
    const monitor = new PerformanceMonitor({
      kpis: [
        kpi('low', { kind: 'value', metric: 'a' }, 5, 'atMost'),
        kpi('high', { kind: 'value', metric: 'a' }, 6, 'atLeast'),
        kpi('p', { kind: 'quantile', metric: 'h', quantile: 1 }, 1, 'atMost'),
        kpi(
          'r',
          {
            kind: 'ratio',
            numerator: [{ metric: 'ok' }],
            denominator: [{ metric: 'ok' }, { metric: 'bad' }],
          },
          0.75,
          'atLeast',
        ),
      ],
      clock: { now: () => 42 },
    });
    monitor.gauge({ name: 'a' }).set(5);
    monitor.histogram({ name: 'h' }).observe(2);
    monitor.counter({ name: 'ok' }).inc(3);
    monitor.counter({ name: 'bad' }).inc(1);
    const report = monitor.evaluate();
    expect(report.results.map(({ verdict, measured }) => [verdict, measured])).toEqual([
      ['pass', 5],
      ['miss', 5],
      ['miss', 2],
      ['pass', 0.75],
    ]);
    expect(report).toMatchObject({ atMs: 42, pass: 2, miss: 2, skip: 0 });
  });

  it('skip a counter never touched, and judge one that was declared to be zero', () => {
    const monitor = new PerformanceMonitor({ kpis: [kpi('z', { kind: 'value', metric: 'c' }, 0, 'atMost')] });
    const counter = monitor.counter({ name: 'c' });
    expect(monitor.evaluate().skip).toBe(1);
    counter.inc(0);
    expect(monitor.evaluate().pass).toBe(1);
  });

  it('skip a ratio over nothing and a gauge that is not a number', () => {
    const monitor = new PerformanceMonitor({
      kpis: [
        kpi(
          'r',
          { kind: 'ratio', numerator: [{ metric: 'a' }], denominator: [{ metric: 'b' }] },
          1,
          'atMost',
        ),
        kpi('n', { kind: 'value', metric: 'g' }, 1, 'atMost'),
      ],
    });
    monitor.counter({ name: 'b' }).inc(0);
    monitor.gauge({ name: 'g' }).set(Number.NaN);
    expect(monitor.evaluate().skip).toBe(2);
  });

  it('read instrumented parts as they are now', () => {
    const monitor = new PerformanceMonitor();
    monitor.instrument({ stats: () => ({ hits: 9, misses: 1 }) }, 'cache');
    const result = monitor.evaluate().results.find(({ id }) => id === 'cache-hit-ratio');
    expect(result).toMatchObject({ verdict: 'pass', measured: 0.9, samples: 10 });
  });

  it('put their target among the bucket bounds', async () => {
    const monitor = new PerformanceMonitor({
      kpis: [kpi('p', { kind: 'quantile', metric: 'h_seconds', quantile: 0.99 }, 0.007, 'atMost')],
    });
    monitor.histogram({ name: 'h_seconds' }).observe(0.006);
    expect(await text(monitor)).toContain('h_seconds_bucket{le="0.007"} 1\n');
  });

  it('are refused when they cannot be judged', () => {
    const good = kpi('a', { kind: 'value', metric: 'm' }, 1, 'atMost');
    for (const bad of [
      { ...good, id: 'Not Kebab' },
      { ...good, target: Number.NaN },
      { ...good, direction: 'up' as never },
      { ...good, measure: { kind: 'other' } as never },
      { ...good, measure: { kind: 'quantile', metric: 'm', quantile: 99 } as const },
      { ...good, measure: { kind: 'ratio', numerator: [], denominator: [] } as const },
      { ...good, forMs: -1 },
    ]) {
      expect(() => new PerformanceMonitor({ kpis: [bad] })).toThrow(/KPI a|kpis/);
    }
    expect(() => new PerformanceMonitor({ kpis: [good, good] })).toThrow(/two are called a/);
  });
});

it('closes once, and then refuses to track and instrument but still answers', async () => {
  const monitor = new PerformanceMonitor();
  monitor.counter({ name: 'c' }).inc();
  await monitor.close();
  await monitor.close();
  expect(code(() => monitor.track({ agent: 'a', task: 't', startedAtMs: 0, durationMs: 1, ok: true }))).toBe(
    'ERR_PERF_METRICS_CLOSED',
  );
  expect(code(() => monitor.instrument({ stats: () => ({}) }, 'x'))).toBe('ERR_PERF_METRICS_CLOSED');
  expect(code(() => monitor.workerLink())).toBe('ERR_PERF_METRICS_CLOSED');
  expect(await text(monitor)).toContain('\nc 1\n');
});
