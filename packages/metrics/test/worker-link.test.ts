import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { PerformanceMonitor } from '@perf/metrics';
import type { WorkerLink } from '@perf/metrics';

/** Runs `body` in a worker thread with a linked monitor and waits for its end. */
async function runWorker(link: WorkerLink, body: string): Promise<void> {
  const source = `
    import { workerData } from 'node:worker_threads';
    const { PerformanceMonitor } = await import(${JSON.stringify(import.meta.resolve('../src/index.ts'))});
    const monitor = new PerformanceMonitor({ link: workerData });
    ${body}`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  const worker = new Worker(url, { workerData: link });
  const [code] = (await once(worker, 'exit')) as [number];
  expect(code).toBe(0);
}

/** Messages of a worker that has exited are in the queue; they are handled within a turn or two of the event loop. */
async function settle(done: () => boolean): Promise<void> {
  for (let turn = 0; turn < 10_000 && !done(); turn++) await new Promise((resolve) => setImmediate(resolve));
}

const work = `
  monitor.counter({ name: 'jobs_total', labelNames: ['kind'] }).inc(2, { kind: 'a' });
  const h = monitor.histogram({ name: 'job_seconds' });
  for (let i = 1; i <= 100; i++) h.observe(i);
  monitor.track({ agent: 'w', model: 'm', task: 't', startedAtMs: 0, durationMs: 5, ok: true, costUsd: 1 });
`;

it('adds what workers counted, observed and tracked, also in several periods', async () => {
  const main = new PerformanceMonitor();
  const link = main.workerLink({ flushMs: 5 });
  expect(main.workerLink()).toBe(link);
  const jobs = main.counter({ name: 'jobs_total', labelNames: ['kind'] });
  jobs.inc(1, { kind: 'a' });
  const slow = `${work}
    await new Promise((resolve) => setTimeout(resolve, 30));
    monitor.counter({ name: 'jobs_total', labelNames: ['kind'] }).inc(1, { kind: 'a' });
    h.observe(1000);
    await monitor.close();`;
  await Promise.all([runWorker(link, slow), runWorker(link, `${work} await monitor.close();`)]);
  await settle(() => jobs.value() === 6 && main.executions().length === 2);
  expect(jobs.value({ kind: 'a' })).toBe(6);
  const observed = main.histogram({ name: 'job_seconds' });
  expect(observed.count()).toBe(201);
  expect(observed.sum()).toBe(2 * 5050 + 1000);
  expect(observed.quantile(1)).toBe(1000);
  expect(Math.abs(observed.quantile(0.5) - 51)).toBeLessThan(1);
  expect(main.costs('agent')).toMatchObject([{ key: 'w', executions: 2, costUsd: 2 }]);
  expect(main.counter({ name: 'perf_executions_total', labelNames: ['agent', 'model', 'ok'] }).value()).toBe(
    2,
  );
  await main.close();
});

it('sums the gauges of living workers and drops those of closed and of silent ones', async () => {
  let nowMs = 0;
  const main = new PerformanceMonitor({ clock: { now: () => nowMs } });
  const link = main.workerLink({ flushMs: 1000 });
  const depth = main.gauge({ name: 'depth' });
  depth.set(1);
  const closing = new PerformanceMonitor({ link });
  closing.gauge({ name: 'depth' }).set(5);
  await closing.close();
  await runWorker(
    link,
    `monitor.gauge({ name: 'depth' }).set(10); monitor.counter({ name: 'c' }).inc(); await monitor.close();`,
  );
  const counted = main.counter({ name: 'c' });
  await settle(() => counted.value() === 1);
  expect(depth.value()).toBe(1);

  // One that never says goodbye: it dies after its first period.
  const silent = main.workerLink();
  const worker = new Worker(
    new URL(
      `data:text/javascript,${encodeURIComponent(`
        import { workerData } from 'node:worker_threads';
        const { PerformanceMonitor } = await import(${JSON.stringify(import.meta.resolve('../src/index.ts'))});
        const monitor = new PerformanceMonitor({ link: { ...workerData, flushMs: 1 } });
        monitor.gauge({ name: 'depth' }).set(100);
        setTimeout(() => process.exit(0), 50);`)}`,
    ),
    { workerData: silent },
  );
  await once(worker, 'exit');
  await settle(() => depth.value() === 101);
  expect(depth.value()).toBe(101);
  nowMs = 10_001;
  main.evaluate();
  expect(depth.value()).toBe(1);
  await main.close();
});

it('counts as an error what two threads declare differently', async () => {
  const main = new PerformanceMonitor();
  const link = main.workerLink();
  main.gauge({ name: 'x' });
  main.histogram({ name: 'h', buckets: [1] });
  await runWorker(
    link,
    `monitor.counter({ name: 'x' }).inc(); monitor.histogram({ name: 'h', buckets: [2] }).observe(1);
     monitor.counter({ name: 'fine' }).inc(); await monitor.close();`,
  );
  const fine = main.counter({ name: 'fine' });
  await settle(() => fine.value() === 1);
  const errors = main.counter({ name: 'perf_metrics_errors_total', labelNames: ['source'] });
  expect(errors.value({ source: 'link' })).toBe(2);
  await main.close();
});

it('refuses what is no link', () => {
  expect(() => new PerformanceMonitor({ link: {} as never })).toThrow(TypeError);
  expect(() => new PerformanceMonitor().workerLink({ flushMs: 0 })).toThrow(RangeError);
});
