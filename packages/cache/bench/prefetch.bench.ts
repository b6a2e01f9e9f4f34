/** What prefetching by learned succession gains in hit rate, at 5 % of the keys, and what it wastes. */
import { measureCase } from '@perf/bench';
import type { CaseContext, MeasureCase, Measurement } from '@perf/bench';
import { MemoryCache, Prefetcher } from '@perf/cache';
import { readTrace } from './traces.ts';

interface Goal {
  readonly trace: string;
  /** Smallest gain in points of hit rate. */
  readonly gain: number;
  /** Largest share of the fetched keys that may go unread, in percent. */
  readonly waste?: number;
}

const GOALS: readonly Goal[] = [
  { trace: 'lirs_sprite', gain: 12, waste: 10 },
  { trace: 'orm-busy', gain: 4, waste: 10 },
  { trace: 'scarab-recs', gain: 5, waste: 25 },
  { trace: 'web07', gain: -0.2 },
  { trace: 'arc_OLTP', gain: -0.2 },
];

function hitRate(
  context: CaseContext,
  keys: Uint32Array,
  entries: number,
  prefetcher?: Prefetcher<number>,
): number {
  const cache = new MemoryCache<number, true>({ maxEntries: entries, random: () => context.random() });
  const isPresent = (key: number): boolean => cache.has(key);
  let hits = 0;
  for (const key of keys) {
    if (cache.get(key) === undefined) cache.set(key, true);
    else hits++;
    const next = prefetcher?.observe(key, isPresent);
    if (next !== undefined) cache.set(next, true);
  }
  return (100 * hits) / keys.length;
}

function measureGoal(context: CaseContext, { trace, gain, waste }: Goal): readonly Measurement[] {
  const keys = readTrace(context, trace);
  if (keys === undefined) return [];
  const entries = Math.floor(new Set(keys).size * 0.05);
  const prefetcher = new Prefetcher<number>({ maxKeys: 262_144, maxWaste: 0.3, horizon: entries });
  const without = hitRate(context, keys, entries);
  const measured = hitRate(context, keys, entries, prefetcher) - without;
  const { useful, wasted } = prefetcher.stats();
  const gained = { name: `${trace} gain`, value: measured, unit: 'points', target: { atLeast: gain } };
  if (waste === undefined) return [gained];
  const share = (100 * wasted) / Math.max(1, useful + wasted);
  return [gained, { name: `${trace} waste`, value: share, unit: '%', target: { atMost: waste } }];
}

export const cases: readonly MeasureCase[] = [
  measureCase({
    name: 'prefetch',
    about: 'Gain in hit rate by prefetching the learned successor, at 5 % of the keys.',
    forks: 3,
    measure: (context) => GOALS.flatMap((goal) => measureGoal(context, goal)),
  }),
];
