import { EventEmitter, once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  PerformanceSystem,
  createDefaultPerformanceSystem,
  createIntegratedPerformanceSystem,
  createTestPerformanceSystem,
} from '@perf/system';
import type { OptimizationReport, SystemAlert } from '@perf/system';
import type { Kpi } from '@perf/metrics';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FakeClock, openSystem, scratchFolder, texts } from './opened-system.ts';

const closed = expect.objectContaining({ name: 'SystemError', code: 'ERR_PERF_SYSTEM_CLOSED' });

describe('respond', () => {
  it('asks once for requests that are the same, whatever the order of their members', async () => {
    const system = await openSystem();
    let calls = 0;
    const load = async (): Promise<{ text: string }> => ({ text: `answer ${++calls}` });
    const first = await system.respond({ model: 'm', messages: [{ role: 'user', content: 'hi' }] }, load);
    const second = await system.respond({ messages: [{ content: 'hi', role: 'user' }], model: 'm' }, load);
    expect(second).toEqual(first);
    expect(calls).toBe(1);
    await system.respond({ model: 'm', messages: [{ role: 'user', content: 'ho' }] }, load);
    expect(calls).toBe(2);
  });

  it('asks once for a hundred at the same time, and gives every one the error', async () => {
    const system = await openSystem();
    let calls = 0;
    const { promise, resolve } = Promise.withResolvers<string>();
    const all = Array.from({ length: 100 }, () =>
      system.respond('same', () => {
        calls += 1;
        return promise;
      }),
    );
    resolve('one answer');
    expect(new Set(await Promise.all(all))).toEqual(new Set(['one answer']));
    expect(calls).toBe(1);

    const failing = Array.from({ length: 10 }, () =>
      system.respond('other', () => Promise.reject(new Error('down'))),
    );
    const results = await Promise.allSettled(failing);
    expect(results.every((r) => r.status === 'rejected' && r.reason.message === 'down')).toBe(true);
    expect(await system.respond('other', () => Promise.resolve('up again'))).toBe('up again');
  });

  it('keeps answers across a reopen, until their tag is deleted', async () => {
    const dir = scratchFolder();
    const first = await openSystem({ dir });
    await first.respond({ q: 1 }, async () => 'kept', { tags: ['t'] });
    await first.shutdown();
    const second = await openSystem({ dir });
    const ask = (): Promise<string> => second.respond({ q: 1 }, async () => 'asked again');
    expect(await ask()).toBe('kept');
    await second.cache.deleteByTag('t');
    expect(await ask()).toBe('asked again');
  });

  it('ends with the reason of an aborted signal', async () => {
    const system = await openSystem();
    const controller = new AbortController();
    const waiting = system.respond('slow', () => new Promise(() => undefined), { signal: controller.signal });
    controller.abort(new Error('not needed any more'));
    await expect(waiting).rejects.toThrow('not needed any more');
  });

  it('refuses requests that are not JSON and loaders that are no functions', async () => {
    const system = await openSystem();
    await expect(system.respond({ f: () => 1 }, async () => 1)).rejects.toThrow(TypeError);
    await expect(system.respond({}, 'answer' as never)).rejects.toThrow(TypeError);
  });
});

describe('route', () => {
  it('names the agents whose keywords the task has, best first', async () => {
    const agents = [
      { id: 'tester', keywords: ['test', 'flaky test'] },
      { id: 'docs', keywords: ['readme'] },
    ];
    const system = await openSystem({ agents });
    expect(system.route('fix the flaky test and the readme').map(({ id }) => id)).toEqual(['tester', 'docs']);
    expect(system.route('nothing of that')).toEqual([]);
    expect(() => system.route(1 as never)).toThrow(TypeError);
  });
});

describe('recordOperation', () => {
  it('counts by name with quantiles of the durations, and failures', async () => {
    const system = await openSystem();
    for (let ms = 1; ms <= 100; ms++) system.recordOperation('tool.run', ms, ms % 4 !== 0);
    const [operation] = system.getStatistics().operations;
    expect(operation).toMatchObject({ name: 'tool.run', count: 100, failures: 25 });
    expect(operation?.p50Ms).toBeGreaterThan(45);
    expect(operation?.p50Ms).toBeLessThan(56);
    expect(operation?.p99Ms).toBeGreaterThan(90);
  });

  it('hands related keys to the cache', async () => {
    const system = await openSystem();
    const seen = vi.spyOn(system.cache, 'recordOperation');
    system.recordOperation('a', 1, true, { relatedKeys: ['k1', 'k2'] });
    system.recordOperation('a', 1, true);
    expect(seen.mock.calls).toEqual([['a', ['k1', 'k2']]]);
  });

  it('counts names beyond the limit together', async () => {
    const system = await openSystem();
    for (let n = 0; n < 600; n++) system.recordOperation(`name ${n}`, 1, true);
    const { operations } = system.getStatistics();
    expect(operations).toHaveLength(501);
    expect(operations.find(({ name }) => name === 'other')?.count).toBe(100);
  });

  it.each([
    ['', 1],
    [5, 1],
    ['a', -1],
    ['a', Number.NaN],
    ['a', '1'],
  ])('refuses the name %o with the duration %o', async (name, durationMs) => {
    const system = await openSystem();
    expect(() => system.recordOperation(name as never, durationMs as never, true)).toThrow(/name|durationMs/);
    expect(system.getStatistics().operations).toEqual([]);
  });
});

describe('processLargeFile', () => {
  it('runs over the chunks and tells fileOptimized', async () => {
    const system = await openSystem();
    const file = path.join(scratchFolder(), 'code.ts');
    const text = 'export const one = 1;\n\nexport function two(): number {\n  return 2;\n}\n';
    writeFileSync(file, text);
    const told: unknown[] = [];
    system.on('fileOptimized', (report) => told.push(report));
    const seen: string[] = [];
    const report = await system.processLargeFile(file, async (chunk) => void seen.push(chunk.text));
    expect(seen.join('')).toBe(text);
    expect(told).toEqual([report]);
    expect(system.getStatistics().operations).toMatchObject([
      { name: 'files.process', count: 1, failures: 0 },
    ]);
  });

  it('counts a failure and tells nothing when there is no such file', async () => {
    const system = await openSystem();
    const told: unknown[] = [];
    system.on('fileOptimized', (report) => told.push(report));
    await expect(system.processLargeFile('/nowhere/at/all.ts', async () => 1)).rejects.toThrow(
      /ENOENT|nowhere/,
    );
    expect(told).toEqual([]);
    expect(system.getStatistics().operations).toMatchObject([{ name: 'files.process', failures: 1 }]);
  });
});

describe('optimize', () => {
  it('reports each step with what it found and left, and tells it once however many asked', async () => {
    const system = await openSystem();
    const reports: OptimizationReport[] = [];
    system.on('optimizationComplete', (report) => reports.push(report));
    void system.recordMessage('s', 'queued');
    const [one, two] = await Promise.all([system.optimize('first'), system.optimize('second')]);
    expect(two).toBe(one);
    expect(reports).toEqual([one]);
    expect(one).toMatchObject({ trigger: 'first', ok: true });
    expect(one.steps.map(({ name }) => name)).toEqual([
      'commit queued writes',
      'tidy the store',
      'compact the graph',
      'shrink the cache under pressure',
    ]);
    expect(one.steps[0]).toMatchObject({ before: 1, after: 0, unit: 'count' });
    expect(system.getStatistics().optimizations).toBe(1);
    await system.optimize();
    expect(reports[1]).toMatchObject({ trigger: 'manual' });
    await expect(system.optimize(3 as never)).rejects.toThrow(TypeError);
  });

  it('is finished before a shutdown closes anything', async () => {
    const system = await openSystem();
    const optimizing = system.optimize();
    await system.shutdown();
    expect(await optimizing).toMatchObject({ ok: true });
  });

  it('runs by itself at its interval', async () => {
    const system = await openSystem({ optimizeIntervalMs: 1 });
    const { promise, resolve } = Promise.withResolvers<OptimizationReport>();
    system.on('optimizationComplete', resolve);
    expect(await promise).toMatchObject({ trigger: 'interval', ok: true });
  });
});

describe('clearCaches', () => {
  it('empties the tiers it is told to, and nothing else', async () => {
    const system = await openSystem();
    const { cache } = system;
    const fill = async (): Promise<void> => {
      await cache.set('k', 'v');
      await cache.flush();
    };
    await fill();
    await system.clearCaches('l3');
    expect(cache.peek('k')).toBe('v');
    await system.clearCaches('l1');
    expect(cache.peek('k')).toBeUndefined();
    expect(await cache.get('k')).toBe('v');
    await system.clearCaches('l2');
    expect(cache.peek('k')).toBe('v');
    await system.clearCaches('l1');
    expect(await cache.get('k')).toBeUndefined();
    await fill();
    await system.recordMessage('s', 'stays');
    await system.clearCaches();
    expect(await cache.get('k')).toBeUndefined();
    expect(await texts(system.messages('s'))).toEqual(['stays']);
    await expect(system.clearCaches('l4' as never)).rejects.toThrow(RangeError);
  });
});

describe('what a system measured', () => {
  it('is in its statistics, a snapshot that does not change', async () => {
    const clock = new FakeClock();
    const system = await openSystem({ clock });
    const before = system.getStatistics();
    clock.nowMs += 5000;
    system.graph.putEdge({ source: 'a', target: 'b', type: 't' });
    await system.respond('q', async () => 1);
    await system.respond('q', async () => 2);
    await system.recordMessage('s', 'm');
    await system.flush();
    const after = system.getStatistics();
    expect(before).toMatchObject({ uptimeMs: 0, operations: [], sessions: { messages: 0 } });
    expect(after).toMatchObject({
      uptimeMs: 5000,
      cache: { hits: 1, misses: 1 },
      graph: { nodes: 2, edges: 1 },
      sessions: { messages: 1 },
      writes: { queued: 0, completed: 1 },
    });
    expect(after.operations.map(({ name, count }) => [name, count])).toEqual([
      ['respond', 2],
      ['store', 1],
    ]);
    expect(after.memory.rssBytes).toBeGreaterThan(1e6);
  });

  it('is judged by the KPIs: a target that is missed is a miss, one without data is skipped', async () => {
    const of = (operation: string, target: number): Kpi => ({
      id: operation,
      title: operation,
      unit: 'seconds',
      direction: 'atMost',
      target,
      measure: {
        kind: 'quantile',
        metric: 'perf_operation_duration_seconds',
        labels: { operation },
        quantile: 0.5,
      },
    });
    const system = await openSystem({ kpis: [of('slow', 0.001), of('fast', 1), of('never', 1)] });
    system.recordOperation('slow', 500, true);
    system.recordOperation('fast', 1, true);
    const report = system.getMetrics();
    expect(report).toMatchObject({ pass: 1, miss: 1, skip: 1 });
    expect(Object.fromEntries(report.results.map(({ id, verdict }) => [id, verdict]))).toEqual({
      slow: 'miss',
      fast: 'pass',
      never: 'skip',
    });
    const text = system.getReport();
    expect(text).toMatch(/slow +<= 1\.00 ms +\S+ ms +miss/);
    expect(text).toMatch(/never .*no data +skip/);
    expect(text).toMatch(/stored messages +0 in 0 sessions/);
  });

  it('is sampled at its interval, the newest kept, with one alert when a KPI begins to be missed', async () => {
    const system = await openSystem({
      metricsIntervalMs: 1,
      metricsHistory: 3,
      kpis: [
        {
          id: 'slow',
          title: 'Slow things',
          unit: 'seconds',
          target: 0.001,
          direction: 'atMost',
          measure: { kind: 'quantile', metric: 'perf_operation_duration_seconds', quantile: 0.5 },
        },
      ],
    });
    const alerts: SystemAlert[] = [];
    system.on('alert', (alert) => alerts.push(alert));
    system.recordOperation('slow', 500, false);
    await vi.waitFor(() => expect(system.getMetricsHistory()).toHaveLength(3));
    const [sample] = system.getMetricsHistory();
    expect(sample).toMatchObject({ operations: 1, failures: 1, hitRate: Number.NaN, queuedWrites: 0 });
    await vi.waitFor(() => expect(system.getMetricsHistory()[0]?.atMs).toBeGreaterThan(sample?.atMs ?? 0));
    expect(alerts).toMatchObject([{ kind: 'kpi', detail: { id: 'slow', verdict: 'miss' } }]);
  });
});

describe('on', () => {
  it('calls until it is told not to, and refuses other events', async () => {
    const system = await openSystem();
    let told = 0;
    const off = system.on('optimizationComplete', () => (told += 1));
    await system.optimize();
    off();
    await system.optimize();
    expect(told).toBe(1);
    expect(() => system.on('error' as never, () => undefined)).toThrow(RangeError);
    expect(() => system.on('alert', 3 as never)).toThrow(TypeError);
  });

  it('does not let a listener that throws disturb the system or the other listeners', async () => {
    const system = await openSystem();
    let told = 0;
    system.on('optimizationComplete', () => {
      throw new Error('of the listener');
    });
    system.on('optimizationComplete', () => (told += 1));
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const uncaught = once(process, 'uncaughtException');
    try {
      expect(await system.optimize()).toMatchObject({ ok: true });
      expect((await uncaught)[0]).toMatchObject({ message: 'of the listener' });
    } finally {
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
    expect(told).toBe(1);
  });
});

describe('memory pressure', () => {
  /** A folder that stands for `/`, with a cgroup limit of 100 MB of which `used` are used. */
  function fakeRoot(): { root: string; use(usedMb: number): void } {
    const root = scratchFolder();
    const cgroup = path.join(root, 'sys/fs/cgroup');
    mkdirSync(cgroup, { recursive: true });
    const write = (name: string, text: string): void => writeFileSync(path.join(cgroup, name), `${text}\n`);
    const use = (usedMb: number): void => {
      write('memory.current', String(usedMb * 1e6));
      write('memory.stat', `anon ${usedMb * 1e6}\nfile 0\ninactive_file 0`);
    };
    write('cgroup.controllers', 'memory');
    write('memory.max', String(100e6));
    write('memory.high', 'max');
    use(10);
    return { root, use };
  }

  it('trims the cache to half when it is high, to a quarter when critical, and warns once a crossing', async () => {
    const { root, use } = fakeRoot();
    const system = await openSystem({ root });
    const warnings: string[] = [];
    system.on('memoryWarning', ({ level }) => warnings.push(level));
    const fill = async (): Promise<number> => {
      for (let n = 0; n < 200; n++) await system.cache.set(`k${n}`, 'x'.repeat(1000));
      return system.cache.stats().sizeBytes;
    };
    let full = await fill();
    expect(system.pressure.sample().level).toBe('optimal');
    expect(system.cache.stats().sizeBytes).toBe(full);

    use(88);
    expect(system.pressure.sample().level).toBe('high');
    await vi.waitFor(() => expect(warnings).toEqual(['high']));
    expect(system.cache.stats().sizeBytes).toBeLessThanOrEqual(full / 2);
    expect(system.cache.stats().sizeBytes).toBeGreaterThan(full / 3);
    system.pressure.sample();
    expect(warnings).toEqual(['high']);
    expect(system.getStatistics().memory.level).toBe('high');

    use(10);
    system.pressure.sample();
    full = await fill();
    use(95);
    expect(system.pressure.sample().level).toBe('critical');
    await vi.waitFor(() => expect(system.cache.stats().sizeBytes).toBeLessThanOrEqual(full / 4));
    expect(system.cache.stats().sizeBytes).toBeGreaterThan(full / 6);
    expect(warnings).toEqual(['high', 'critical']);

    const report = await system.optimize();
    expect(report.steps.at(-1)?.detail).toMatch(/freed \d+ bytes at critical pressure/);
    // Nothing is lost: it is still on disk.
    expect(await system.cache.get('k0')).toBe('x'.repeat(1000));
  });

  it('reads the recorded cgroup of a container that is nearly full as high or worse', async () => {
    const fixture = path.resolve(import.meta.dirname, '../../../bench/data/batch-memory/cgroup-v2-fixtures');
    const levels: Record<string, string> = {};
    for (const name of ['01-unlimited', '02-512m-page-cache-full', '03-512m-anon-high']) {
      const root = scratchFolder();
      cpSync(path.join(fixture, name), path.join(root, 'sys/fs/cgroup'), { recursive: true });
      const system = await openSystem({ root });
      levels[name] = system.pressure.sample().level;
    }
    expect(levels['01-unlimited']).toBe('optimal');
    expect(['optimal', 'moderate']).toContain(levels['02-512m-page-cache-full']);
    expect(['high', 'critical', 'emergency']).toContain(levels['03-512m-anon-high']);
  });
});

describe('shutdown', () => {
  it('commits everything that was accepted, even what nobody waited for', async () => {
    const dir = scratchFolder();
    const system = await openSystem({ dir });
    const expected = Array.from({ length: 3000 }, (_, n) => `message ${n}`);
    const writes = expected.map((message) => system.recordMessage('s', message));
    void system.storePattern({ id: 'p', source: 'x' });
    void system.rememberSession({ id: 's', agent: 'a', summary: 'said' });
    await system.shutdown();
    await Promise.all(writes);
    const after = await openSystem({ dir });
    expect(await texts(after.messages('s'))).toEqual(expected);
    expect(after.getPattern('p')).toMatchObject({ source: 'x' });
    expect(await after.similarSessions('said')).toHaveLength(1);
  });

  it('commits writes that still wait for room', async () => {
    const dir = scratchFolder();
    const system = await openSystem({ dir, maxQueuedBytes: 2000 });
    const writes = Array.from({ length: 200 }, (_, n) =>
      system.recordMessage('s', `${n} ${'x'.repeat(500)}`),
    );
    const flushed = system.flush();
    const more = system.recordMessage('s', 'last');
    await system.shutdown();
    await Promise.all([...writes, flushed, more]);
    const after = await openSystem({ dir });
    const messages = await texts(after.messages('s'));
    expect(messages).toHaveLength(201);
    expect(messages.at(-1)).toBe('last');
  });

  it('is done once, however often it is called', async () => {
    const system = await openSystem();
    let told = 0;
    system.onShutdown(() => (told += 1));
    const first = system.shutdown();
    expect(system.shutdown()).toBe(first);
    await first;
    await system[Symbol.asyncDispose]();
    expect(told).toBe(1);
  });

  it('makes every call after it throw ERR_PERF_SYSTEM_CLOSED', async () => {
    const system = await openSystem();
    const shutdown = system.shutdown();
    const calls: Record<string, () => unknown> = {
      getPattern: () => system.getPattern('p'),
      getPatterns: () => system.getPatterns(['p']),
      storePattern: () => system.storePattern({ id: 'p', source: 'x' }),
      updateConfidence: () => system.updateConfidence('p', 'success'),
      detect: () => system.detect('x'),
      rememberSession: () => system.rememberSession({ id: 's', agent: 'a', summary: 's' }),
      recordMessage: () => system.recordMessage('s', 'm'),
      messages: () => system.messages('s'),
      similarSessions: () => system.similarSessions('s'),
      pruneSessions: () => system.pruneSessions({ keepNewest: 1 }),
      respond: () => system.respond({}, async () => 1),
      route: () => system.route('x'),
      chooseModel: () => system.chooseModel('x'),
      track: () => system.track({ agent: 'a', task: 't', startedAtMs: 0, durationMs: 1, ok: true }),
      recordOperation: () => system.recordOperation('x', 1, true),
      processLargeFile: () => system.processLargeFile('x', async () => 1),
      optimize: () => system.optimize(),
      clearCaches: () => system.clearCaches(),
      getStatistics: () => system.getStatistics(),
      getMetrics: () => system.getMetrics(),
      getMetricsHistory: () => system.getMetricsHistory(),
      getReport: () => system.getReport(),
      onShutdown: () => system.onShutdown(() => undefined),
      flush: () => system.flush(),
    };
    for (const when of ['while it closes', 'afterwards']) {
      for (const [name, call] of Object.entries(calls)) {
        await expect((async () => call())(), `${name} ${when}`).rejects.toThrow(closed);
      }
      await shutdown;
    }
  });
});

describe('createIntegratedPerformanceSystem', () => {
  const silent = { info: () => undefined, warn: () => undefined };

  it('records the coordinator’s operations and tells the logger, until the shutdown', async () => {
    const coordinator = new EventEmitter();
    const lines: string[] = [];
    const logger = {
      info: (m: string) => lines.push(`info ${m}`),
      warn: (m: string) => lines.push(`warn ${m}`),
    };
    const dir = scratchFolder();
    const system = await createIntegratedPerformanceSystem(coordinator, logger, {
      dir,
      starterPatterns: false,
    });
    coordinator.emit('operation', { name: 'plan', durationMs: 3, ok: false, relatedKeys: ['k'] });
    expect(system.getStatistics().operations).toMatchObject([{ name: 'plan', count: 1, failures: 1 }]);
    coordinator.emit('operation', { name: 'plan', durationMs: -3, ok: true });
    await system.optimize('test');
    expect(lines).toEqual([
      'warn operation not recorded: durationMs must be at least 0',
      expect.stringMatching(/^info optimized \(test\) in \d+ ms$/),
    ]);
    const shutdown = system.shutdown();
    coordinator.emit('operation', { name: 'late', durationMs: 3, ok: true });
    await shutdown;
    expect(coordinator.listenerCount('operation')).toBe(0);
  });

  it('refuses what is no coordinator and no logger', async () => {
    const dir = scratchFolder();
    await expect(createIntegratedPerformanceSystem({} as never, silent, { dir })).rejects.toThrow(
      /coordinator/,
    );
    await expect(createIntegratedPerformanceSystem(undefined as never, silent, { dir })).rejects.toThrow(
      /coordinator/,
    );
    await expect(createIntegratedPerformanceSystem(new EventEmitter(), {} as never, { dir })).rejects.toThrow(
      /logger/,
    );
  });
});

describe('createDefaultPerformanceSystem', () => {
  it('keeps its files in .perf-data below the working directory', async () => {
    const dir = scratchFolder();
    vi.spyOn(process, 'cwd').mockReturnValue(dir);
    onTestFinished(() => void vi.restoreAllMocks());
    const system = await createDefaultPerformanceSystem();
    onTestFinished(() => system.shutdown());
    expect(existsSync(path.join(dir, '.perf-data/store.sqlite'))).toBe(true);
  });
});

describe('createTestPerformanceSystem', () => {
  it('removes its folder on shutdown, and leaves one it was given', async () => {
    const dir = scratchFolder();
    const given = await createTestPerformanceSystem({ dir });
    await given.shutdown();
    expect(existsSync(path.join(dir, 'store.sqlite'))).toBe(true);
    const temporary = scratchFolder();
    vi.stubEnv('TMPDIR', temporary);
    onTestFinished(() => void vi.unstubAllEnvs());
    const own = await createTestPerformanceSystem();
    expect(readdirSync(temporary)).toHaveLength(1);
    await own.shutdown();
    expect(readdirSync(temporary)).toEqual([]);
    await expect(createTestPerformanceSystem({ lingerMs: -1 })).rejects.toThrow(RangeError);
    expect(readdirSync(temporary)).toEqual([]);
  });
});

it('a second system opens what the first one left, and both folders are independent', async () => {
  const one = scratchFolder();
  const two = scratchFolder();
  const first = await PerformanceSystem.open({ dir: one });
  await first.storePattern({ id: 'p', source: 'x' });
  const other = await PerformanceSystem.open({ dir: two });
  expect(other.getPattern('p')).toBeUndefined();
  await first.shutdown();
  await other.shutdown();
  expect(readFileSync(path.join(one, 'store.sqlite')).subarray(0, 15).toString()).toBe('SQLite format 3');
});
