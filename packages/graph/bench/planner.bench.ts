/** How much the choice of the planner loses against the best choice, query by query, over all recorded graphs. */
import { performance } from 'node:perf_hooks';
import { measureCase } from '@perf/bench';
import type { MeasureCase } from '@perf/bench';
import { Adjacency } from '../dist/adjacency.js';
import { compactionSteps } from '../dist/compaction.js';
import { GraphImage } from '../dist/graph-image.js';
import { ScratchPool } from '../dist/scratch-pool.js';
import { breadthFirst } from '../dist/traversal.js';
import { GRAPHS, readGraph } from './recorded-graphs.ts';
import type { RecordedGraph } from './recorded-graphs.ts';

const MODES = ['auto', 'sparse', 'dense', 'bottom-up'] as const;
const ROUNDS = 12;
/** A choice is good when it costs at most so much more than the best. */
const GOOD = 1.2;

function imageOf({ list }: RecordedGraph): GraphImage {
  const image = new GraphImage();
  const types = new Map<string, number>();
  const plain = Adjacency.empty().columnsAt(0);
  const ordinalOf = (id: string): number => {
    const known = image.ids.ordinalOf(id);
    return known === -1 ? image.addNode(id, 0, 1) : known;
  };
  for (const { source, type, target } of list) {
    if (!types.has(type)) types.set(type, types.size);
    image.reserve(image.ordinals, types.size);
    image.putEdge(ordinalOf(source), types.get(type) ?? 0, ordinalOf(target), plain);
  }
  const steps = compactionSteps(image, 'in-degree');
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

export const cases: readonly MeasureCase[] = [
  measureCase({
    name: 'planner-regret',
    about:
      'Time of the chosen way over the best of all ways, for every neighbourhood query of expected.json.gz.',
    forks: 3,
    measure(context) {
      const regrets: number[] = [];
      const pool = new ScratchPool();
      for (const name of GRAPHS) {
        const recorded = readGraph(context, name);
        if (recorded === undefined) continue;
        const image = imageOf(recorded);
        for (const { start, depth, direction, count } of recorded.neighbourhoods) {
          const best = new Map<string, number>();
          const walk = { direction, edgeTypes: undefined, validAtMs: undefined };
          const starts = [image.ids.ordinalOf(start)];
          for (let round = 0; round < ROUNDS; round++) {
            // In turn, so that none always finds the caches as another left them.
            for (const mode of [
              ...MODES.slice(round % MODES.length),
              ...MODES.slice(0, round % MODES.length),
            ]) {
              const search = { image, walk, starts, maxDepth: depth, mode };
              const began = performance.now();
              // Small queries are repeated, so that the clock can tell them apart.
              const repeats = count < 1_000 ? 20 : 2;
              let found = 0;
              for (let again = 0; again < repeats; again++) {
                found = breadthFirst(pool, {
                  ...search,
                  select: undefined,
                  limit: Infinity,
                  signal: undefined,
                }).visited;
              }
              best.set(mode, Math.min(best.get(mode) ?? Infinity, performance.now() - began));
              if (found !== count) throw new Error(`${mode}: ${found} nodes instead of ${count}`);
            }
          }
          const chosen = best.get('auto') ?? Number.NaN;
          best.delete('auto');
          regrets.push(chosen / Math.min(...best.values()));
        }
      }
      regrets.sort((a, b) => a - b);
      const good = regrets.filter((regret) => regret <= GOOD).length / regrets.length;
      return [
        {
          name: `queries within ${GOOD}x of the best way`,
          value: good * 100,
          unit: '%',
          target: { atLeast: 95 },
        },
        { name: 'median regret', value: regrets[regrets.length >>> 1] ?? Number.NaN, unit: 'x' },
        { name: 'worst regret', value: regrets.at(-1) ?? Number.NaN, unit: 'x' },
      ];
    },
  }),
];
