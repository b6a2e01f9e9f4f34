import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openDatabase } from '@perf/sqlite';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MetricsError, OVERFLOW_LABEL, PerformanceMonitor } from '@perf/metrics';
import type { Execution } from '@perf/metrics';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'perf-metrics-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function execution(n: number, more: Partial<Execution> = {}): Execution {
  return { agent: 'a', task: `task ${n}`, startedAtMs: n, durationMs: 10, ok: true, ...more };
}

it('sums costs by agent and by model, dearest first', () => {
  const monitor = new PerformanceMonitor();
  monitor.track(
    execution(1, { agent: 'coder', model: 'big', costUsd: 2, inputTokens: 100, cachedTokens: 50 }),
  );
  monitor.track(
    execution(2, { agent: 'coder', model: 'small', costUsd: 1, outputTokens: 7, ok: false, error: 'x' }),
  );
  monitor.track(execution(3, { agent: 'tester', model: 'small', costUsd: 4 }));
  monitor.track(execution(4, { agent: 'tester' }));
  expect(
    monitor.costs('agent').map(({ key, costUsd, executions, failed }) => [key, costUsd, executions, failed]),
  ).toEqual([
    ['tester', 4, 2, 0],
    ['coder', 3, 2, 1],
  ]);
  expect(monitor.costs('model').map(({ key, costUsd }) => [key, costUsd])).toEqual([
    ['small', 5],
    ['big', 2],
    ['', 0],
  ]);
  expect(monitor.costs('agent')[1]).toEqual({
    key: 'coder',
    executions: 2,
    failed: 1,
    inputTokens: 100,
    outputTokens: 7,
    cachedTokens: 50,
    costUsd: 3,
    durationMs: 20,
  });
  const failures = monitor.evaluate().results.find(({ id }) => id === 'execution-failure-ratio');
  expect(failures).toMatchObject({ verdict: 'miss', measured: 0.25 });
});

it('keeps the latest executions up to its capacity, and all totals', () => {
  const monitor = new PerformanceMonitor({ tracker: { capacity: 3 } });
  for (let n = 1; n <= 5; n++) monitor.track(execution(n));
  expect(monitor.executions().map(({ task }) => task)).toEqual(['task 3', 'task 4', 'task 5']);
  expect(monitor.costs('agent')[0]?.executions).toBe(5);
});

it('bounds the rows of totals', () => {
  const monitor = new PerformanceMonitor({ maxSeries: 3 });
  for (let n = 0; n < 10; n++) monitor.track(execution(n, { agent: `agent ${n}`, costUsd: 1 }));
  const rows = monitor.costs('agent');
  expect(rows.length).toBeLessThanOrEqual(4);
  expect(rows[0]).toMatchObject({ key: OVERFLOW_LABEL, costUsd: 7 });
});

it('does not alias what the caller keeps', () => {
  const monitor = new PerformanceMonitor();
  const mine = { ...execution(1) };
  monitor.track(mine);
  mine.task = 'changed';
  expect(monitor.executions()[0]?.task).toBe('task 1');
});

it('finds totals and the latest executions again in its file', async () => {
  const file = path.join(folder, 'tracker.db');
  const first = new PerformanceMonitor({ tracker: { path: file, capacity: 2 } });
  first.track(execution(1, { model: 'm', costUsd: 1 }));
  first.track(execution(2, { costUsd: 2, ok: false, error: 'boom', inputTokens: 5 }));
  first.track(execution(3, { costUsd: 4 }));
  await first.close();
  const second = new PerformanceMonitor({ tracker: { path: file, capacity: 2 } });
  expect(second.executions().map(({ task, error, ok }) => [task, error, ok])).toEqual([
    ['task 2', 'boom', false],
    ['task 3', undefined, true],
  ]);
  second.track(execution(4, { costUsd: 8 }));
  expect(second.costs('agent')).toMatchObject([
    { key: 'a', executions: 4, failed: 1, costUsd: 15, inputTokens: 5 },
  ]);
  await second.close();
  const db = openDatabase(file);
  expect(db.prepare('select count(*) as n from executions').get()).toEqual({ n: 2 });
  expect(db.prepare('select sum(executions) as n, sum(cost_usd) as c from totals').get()).toEqual({
    n: 4,
    c: 15,
  });
  db.close();
});

it('refuses a file that is not its own and leaves it untouched', () => {
  const text = path.join(folder, 'notes.txt');
  writeFileSync(text, 'not a database, and long enough to be read as a header '.repeat(20));
  const before = readFileSync(text);
  const open = (file: string) => () => new PerformanceMonitor({ tracker: { path: file } });
  expect(open(text)).toThrow(expect.objectContaining({ code: 'ERR_PERF_METRICS_TRACKER' }));
  expect(readFileSync(text).equals(before)).toBe(true);
  const newer = path.join(folder, 'newer.db');
  const db = openDatabase(newer);
  db.pragma('user_version = 99');
  db.close();
  expect(open(newer)).toThrow(MetricsError);
});

it('counts what it loses when the file refuses writes, and says so on close', async () => {
  const file = path.join(folder, 'tracker.db');
  const monitor = new PerformanceMonitor({ tracker: { path: file, capacity: 2 } });
  const db = openDatabase(file);
  db.exec('drop table totals');
  db.close();
  for (let n = 0; n < 10_003; n++) monitor.track(execution(n));
  const errors = monitor.counter({ name: 'perf_metrics_errors_total', labelNames: ['source'] });
  expect(errors.value({ source: 'tracker' })).toBe(1 + 3);
  await expect(monitor.close()).rejects.toMatchObject({ code: 'ERR_PERF_METRICS_TRACKER' });
});

it('refuses executions and options that make no sense', () => {
  const monitor = new PerformanceMonitor();
  for (const bad of [
    null,
    {},
    execution(1, { durationMs: -1 }),
    execution(1, { durationMs: Number.NaN }),
    execution(1, { inputTokens: 1.5 }),
    execution(1, { costUsd: -1 }),
    execution(1, { model: 7 as never }),
    execution(Number.NaN),
  ]) {
    expect(() => monitor.track(bad as never)).toThrow(/TypeError|must|has/);
  }
  expect(monitor.executions()).toEqual([]);
  expect(monitor.costs('agent')).toEqual([]);
  expect(() => monitor.costs('task' as never)).toThrow(TypeError);
  expect(() => new PerformanceMonitor({ tracker: { capacity: 0 } })).toThrow(RangeError);
  expect(() => new PerformanceMonitor({ tracker: { flushMs: 0 } })).toThrow(RangeError);
  expect(() => new PerformanceMonitor({ tracker: { path: '' } })).toThrow(TypeError);
});
