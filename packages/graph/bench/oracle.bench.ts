/** Is it right? 100,000 random operations next to an oracle of Maps, crashes and compactions included. */
import { join } from 'node:path';
import { measureCase } from '@perf/bench';
import type { MeasureCase } from '@perf/bench';
import { Graph } from '@perf/graph';
import { liveRandomly } from '../test/fuzz.ts';
import { checkNeighbourhoods, GRAPHS, readGraph } from './recorded-graphs.ts';
import { mulberry32 } from './rmat.ts';

const OPERATIONS = 100_000;

export const cases: readonly MeasureCase[] = [
  measureCase({
    name: 'oracle-fuzz',
    about: `${OPERATIONS} random writes with queries, compactions, reopenings and crashes, against an oracle.`,
    forks: 1,
    async measure({ scratchDir }) {
      const done = await liveRandomly(OPERATIONS, mulberry32(42), (name) => join(scratchDir, name), {
        writesPerQuery: 25,
      });
      return [
        // A difference throws, and the case fails.
        { name: 'differences', value: 0, unit: '', target: { atMost: 0 } },
        { name: 'queries compared', value: done.queries, unit: '' },
        { name: 'compactions', value: done.compacted, unit: '' },
        { name: 'reopenings', value: done.reopened, unit: '' },
        { name: 'crashes', value: done.crashed, unit: '' },
      ];
    },
  }),
  measureCase({
    name: 'expected-answers',
    about: 'Every neighbourhood and path of expected.json.gz, in each graph that is here.',
    forks: 1,
    measure(context) {
      let checked = 0;
      let graphs = 0;
      for (const name of GRAPHS) {
        const recorded = readGraph(context, name);
        if (recorded === undefined) continue;
        using graph = Graph.open({ path: ':memory:' });
        graph.putEdges(recorded.list);
        const { neighbourhoods } = recorded;
        const answers = neighbourhoods.map(
          ({ start, depth, direction }) => graph.traverse(start, { maxDepth: depth, direction }).ids,
        );
        checkNeighbourhoods(answers, neighbourhoods);
        for (const { from, to, direction, length } of recorded.shortestPaths) {
          const hops = graph.shortestPath(from, to, { direction })?.edges.length ?? -1;
          if (hops !== length) throw new Error(`${from} to ${to}: ${hops} hops instead of ${length}`);
        }
        checked += neighbourhoods.length + recorded.shortestPaths.length;
        graphs++;
      }
      return [
        { name: 'graphs', value: graphs, unit: '', target: { atLeast: 3 } },
        { name: 'right answers', value: checked, unit: '', target: { atLeast: 3 * 260 } },
      ];
    },
  }),
];
