import assert from 'node:assert/strict';
import { measureCase, type BenchCase, type Measurement } from '@perf/bench';
import { compilePatterns } from '@perf/patterns';
import { ParallelMatcher } from '@perf/patterns/parallel';
import { recordedSet } from './recorded-sets.ts';

const speedup = measureCase({
  name: 'parallel-speedup',
  about: 'ids of uap-device on two workers against inline, per batch of texts',
  forks: 3,
  measure: async (context) => {
    const recorded = recordedSet(context, 'uap-device');
    if (recorded === undefined) return [];
    const { set } = compilePatterns(recorded.defs);
    await using matcher = new ParallelMatcher(set, { threads: 2, budgetMs: 1_000 });
    const measurements: Measurement[] = [];
    for (const size of [32, 256, 2_048]) {
      const texts: string[] = Array.from(
        { length: size },
        (_, i) => recorded.texts[i % recorded.texts.length] ?? '',
      );
      assert.deepEqual(
        await matcher.ids(texts),
        texts.map((text) => set.ids(text)),
      );
      const ratios: number[] = [];
      for (let round = 0; round < 15; round++) {
        const startMs = performance.now();
        for (const text of texts) set.ids(text);
        const middleMs = performance.now();
        await matcher.ids(texts);
        ratios.push((middleMs - startMs) / (performance.now() - middleMs));
      }
      ratios.sort((a, b) => a - b);
      measurements.push({
        name: `speed against inline, batch of ${size}`,
        value: ratios[ratios.length >> 1] ?? 0,
        unit: 'ratio',
        target: { atLeast: size >= 256 ? 1.9 : 0.98 },
      });
    }
    return measurements;
  },
});

const containment = measureCase({
  name: 'catastrophic-patterns',
  about: 'texts that send three patterns into exponential time, budget 50 ms',
  forks: 3,
  measure: async () => {
    const budgetMs = 50;
    const { set } = compilePatterns([
      { id: 'a', source: '(x+x+)+y' },
      { id: 'b', source: '^(\\w+\\s?)*$' },
      { id: 'c', source: '(a|aa)+!' },
      ...Array.from({ length: 200 }, (_, i) => ({ id: `n${i}`, source: `needle${i}\\b` })),
    ]);
    await using matcher = new ParallelMatcher(set, { threads: 2, budgetMs });
    await matcher.ids(Array.from({ length: 2_000 }, () => 'warm up needle1'));
    let stallMs = 0;
    let lastMs = performance.now();
    const pulse = setInterval(() => {
      stallMs = Math.max(stallMs, performance.now() - lastMs - 1);
      lastMs = performance.now();
    }, 1);
    const startMs = performance.now();
    const [found] = await matcher.ids([`${'x'.repeat(40)} ${'a'.repeat(60)} needle7 ?`]);
    const tookMs = performance.now() - startMs;
    clearInterval(pulse);
    assert.deepEqual(found, ['n7']);
    const stopped = matcher.quarantined().length;
    return [
      {
        name: 'overrun of one text beyond its budgets',
        value: tookMs - stopped * budgetMs,
        unit: 'ms',
        target: { atMost: 20 },
      },
      { name: 'longest stall of the main thread', value: stallMs, unit: 'ms', target: { atMost: 5 } },
      { name: 'patterns stopped', value: stopped, unit: 'patterns' },
    ];
  },
});

export const cases: readonly BenchCase[] = [speedup, containment];
