import { expect, test } from 'vitest';
import { LoadBalancer } from '@perf/batch';

function seeded(seed = 1): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function counts(balancer: LoadBalancer): Record<string, number> {
  return Object.fromEntries(balancer.stats().map((component) => [component.name, component.assigned]));
}

test('work spreads by weight', () => {
  const balancer = new LoadBalancer({
    components: ['a', { name: 'b', weight: 3 }],
    random: seeded(),
  });
  for (let i = 0; i < 4000; i++) balancer.pick();
  const { a, b } = counts(balancer) as { a: number; b: number };
  expect(b / a).toBeGreaterThan(2.5);
  expect(b / a).toBeLessThan(3.5);
});

test('`performance` prefers who has less work ahead of it', () => {
  const balancer = new LoadBalancer({ components: ['fast', 'slow'], random: seeded() });
  for (let i = 0; i < 1000; i++) {
    const assignment = balancer.pick();
    assignment.release({ ok: true, latencyMs: assignment.name === 'fast' ? 10 : 100 });
  }
  const { fast, slow } = counts(balancer) as { fast: number; slow: number };
  expect(fast).toBeGreaterThan(slow * 5);
});

test('two choices keep the longest queue short', () => {
  const names = Array.from({ length: 50 }, (_, i) => `c${i}`);
  const two = new LoadBalancer({ components: names, random: seeded() });
  for (let i = 0; i < 5000; i++) two.pick();
  // With one random choice the fullest of 50 bins would hold about 125.
  expect(Math.max(...two.stats().map(({ inFlight }) => inFlight))).toBeLessThan(106);
});

test('`memory` prefers free memory, `availability` a record of success', () => {
  const memory = new LoadBalancer({ components: ['full', 'empty'], strategy: 'memory', random: seeded() });
  memory.report('full', { memoryUsedBytes: 90, memoryTotalBytes: 100 });
  memory.report('empty', { memoryUsedBytes: 10, memoryTotalBytes: 100 });
  memory.report('unknown', { memoryUsedBytes: 10, memoryTotalBytes: 100 });
  for (let i = 0; i < 100; i++) memory.pick();
  expect(counts(memory)).toEqual({ full: 0, empty: 100 });
  const availability = new LoadBalancer({
    components: ['flaky', 'steady'],
    strategy: 'availability',
    maxFailures: 1000,
    random: seeded(),
  });
  for (let i = 0; i < 200; i++) {
    const assignment = availability.pick();
    assignment.release({ ok: assignment.name === 'steady', latencyMs: 1 });
  }
  expect(counts(availability)['flaky']).toBeLessThan(10);
});

test('an outlier is ejected, for longer each time, but never more than the allowed share', () => {
  let nowMs = 0;
  const balancer = new LoadBalancer({
    components: ['a', 'b', 'c', 'd'],
    maxFailures: 3,
    ejectionMs: 1000,
    clock: { now: () => nowMs },
    random: seeded(),
  });
  const failAll = (names: readonly string[]): void => {
    for (let i = 0; i < 200; i++) {
      const assignment = balancer.pick();
      assignment.release({ ok: !names.includes(assignment.name), latencyMs: 1 });
    }
  };
  const ejectedFor = (name: string): number =>
    balancer.stats().find((component) => component.name === name)?.ejectedForMs ?? Number.NaN;
  failAll(['a']);
  expect(ejectedFor('a')).toBe(1000);
  const before = counts(balancer)['a'];
  failAll([]);
  expect(counts(balancer)['a']).toBe(before);
  nowMs = 1000;
  failAll(['a']);
  expect(ejectedFor('a')).toBeGreaterThan(1000);
  failAll(['b', 'c', 'd']);
  expect(['a', 'b', 'c', 'd'].filter((name) => ejectedFor(name) > 0)).toHaveLength(2);
});

test('when all are ejected somebody still gets the work, and exclusion yields when nobody else is left', () => {
  const balancer = new LoadBalancer({ components: ['only'], maxFailures: 1, maxEjectedShare: 1 });
  balancer.pick().release({ ok: false });
  expect(balancer.pick().name).toBe('only');
  expect(balancer.pick({ exclude: ['only'] }).name).toBe('only');
  balancer.add('other');
  for (let i = 0; i < 20; i++) expect(balancer.pick({ exclude: ['only'] }).name).toBe('other');
});

test('run times, releases, and does not blame a component for an abort', async () => {
  let nowMs = 0;
  const balancer = new LoadBalancer({ components: ['a'], clock: { now: () => nowMs } });
  const value = await balancer.run(async (name) => {
    nowMs += 25;
    return `by ${name}`;
  });
  expect(value).toBe('by a');
  expect(balancer.stats()).toMatchObject([{ inFlight: 0, latencyMs: 25, successShare: 1 }]);
  const stop = new AbortController();
  const aborted = balancer.run(
    async () => {
      stop.abort(new Error('enough'));
      throw stop.signal.reason;
    },
    { signal: stop.signal },
  );
  await expect(aborted).rejects.toThrow('enough');
  expect(balancer.stats()).toMatchObject([{ failures: 0, inFlight: 0 }]);
  await expect(balancer.run(() => Promise.reject(new Error('x')))).rejects.toThrow('x');
  expect(balancer.stats()).toMatchObject([{ failures: 1, inFlight: 0 }]);
});

test('nothing to choose is a typed error; names are unique; options name themselves', () => {
  const empty = new LoadBalancer({ components: [] });
  expect(() => empty.pick()).toThrow(expect.objectContaining({ code: 'ERR_PERF_BATCH_NO_COMPONENT' }));
  expect(() => new LoadBalancer({ components: ['a', 'a'] })).toThrow('already');
  expect(() => new LoadBalancer({ components: [{ name: 'a', weight: 0 }] })).toThrow('weight of a');
  expect(() => new LoadBalancer({ components: ['a'], strategy: 'x' as 'memory' })).toThrow('strategy');
  const once = new LoadBalancer({ components: ['a'] }).pick();
  once.release({ ok: true });
  expect(() => once.release({ ok: true })).toThrow('once');
});
