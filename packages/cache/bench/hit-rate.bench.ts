/** How much of the optimum's hits the adaptive policy gets, on real traces: read, then set on a miss, starting cold. */
import { measureCase } from '@perf/bench';
import type { CaseContext, MeasureCase, Measurement } from '@perf/bench';
import { MemoryCache } from '@perf/cache';
import { optimalHits, replay } from '@perf/cache/simulator';
import { mustReadTrace, readBaselines, readTrace } from './traces.ts';
import type { Baseline } from './traces.ts';

interface Cell extends Baseline {
  readonly ours: number;
}

function measureCells(context: CaseContext): readonly Cell[] {
  const traces = new Map<string, Uint32Array | undefined>();
  const cells: Cell[] = [];
  for (const baseline of readBaselines(context)) {
    const { trace, capacity } = baseline;
    if (!traces.has(trace)) traces.set(trace, readTrace(context, trace));
    const keys = traces.get(trace);
    if (keys === undefined) continue;
    const cache = new MemoryCache<number, true>({ maxEntries: capacity, random: () => context.random() });
    cells.push({ ...baseline, ours: replay(keys, cache) });
  }
  return cells;
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

function summarize(cells: readonly Cell[]): readonly Measurement[] {
  const share = (hits: (cell: Cell) => number): number =>
    mean(cells.map((cell) => (cell.hits.opt === 0 ? 1 : hits(cell) / cell.hits.opt)));
  const behind = (cell: Cell): number => (100 * (cell.hits.lru - cell.ours)) / cell.accesses;
  const worst = cells.reduce((one, other) => (behind(other) > behind(one) ? other : one));
  return [
    { name: 'cells', value: cells.length, unit: '', note: '56 with the ARC traces, 48 without' },
    { name: 'adaptive / optimum', value: share((cell) => cell.ours), unit: '', target: { atLeast: 0.75 } },
    { name: 'lru / optimum', value: share((cell) => cell.hits.lru), unit: '' },
    { name: 's3fifo / optimum', value: share((cell) => cell.hits.s3fifo), unit: '' },
    { name: 'w-tinylfu 1 % / optimum', value: share((cell) => cell.hits.wtinylfu1), unit: '' },
    {
      name: 'best recorded policy per cell / optimum',
      value: share(({ hits: { opt: _opt, ...others } }) => Math.max(...Object.values(others))),
      unit: '',
    },
    {
      name: 'furthest below lru',
      value: behind(worst),
      unit: 'points of hit rate',
      target: { atMost: 2.5 },
      note: `${worst.trace} at ${worst.capacity}`,
    },
  ];
}

export const cases: readonly MeasureCase[] = [
  measureCase({
    name: 'hit-rate',
    about: 'Hits of the adaptive policy against Belady on 14 traces at 1, 5, 10 and 20 % of their keys.',
    forks: 3,
    measure: (context) => summarize(measureCells(context)),
  }),
  measureCase({
    name: 'changing-workload',
    about: 'Hits against Belady while a workload goes from recency to a loop and back, at 512 entries.',
    forks: 3,
    measure: (context) => {
      const vault = mustReadTrace(context, 'corda_vault');
      const loop = mustReadTrace(context, 'lirs_loop').map((key) => key + 1_000_000);
      const keys = Uint32Array.from([...vault, ...loop, ...vault]);
      const cache = new MemoryCache<number, true>({ maxEntries: 512, random: () => context.random() });
      const share = replay(keys, cache) / optimalHits(keys, 512);
      return [{ name: 'adaptive / optimum', value: share, unit: '', target: { atLeast: 0.95 } }];
    },
  }),
  measureCase({
    name: 'miss-ratio-curve',
    about: 'Error of the live miss-ratio curve at 0.5, 2 and 4 times the size against caches of those sizes.',
    forks: 1,
    measure: (context) => {
      const errors: number[] = [];
      for (const [trace, entries] of [
        ['orm-busy', 2209],
        ['scarab-recs', 7676],
        ['web07', 1024],
        ['lirs_sprite', 354],
        ['mooncake_syn', 2196],
      ] as const) {
        const keys = mustReadTrace(context, trace);
        const run = (maxEntries: number): MemoryCache<number, true> => {
          const cache = new MemoryCache<number, true>({ maxEntries, random: () => context.random() });
          replay(keys, cache);
          return cache;
        };
        for (const point of run(entries).missRatioCurve()) {
          errors.push(100 * Math.abs(point.missRatio - (1 - run(point.entries).stats().hitRate)));
        }
      }
      return [
        { name: 'mean error', value: mean(errors), unit: 'points' },
        { name: 'largest error', value: Math.max(...errors), unit: 'points', target: { atMost: 2 } },
      ];
    },
  }),
];
