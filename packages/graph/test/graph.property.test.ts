import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Graph } from '@perf/graph';
import { NaiveGraph } from './naive-graph.ts';
import type { NaiveWalk } from './naive-graph.ts';
import { scratchDir } from './scratch-dir.ts';

const path = scratchDir();
const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l'];
const id = fc.constantFrom(...names);
const edgeType = fc.constantFrom('knows', 'likes', 'uses');
const nodeType = fc.constantFrom('', 'person', 'tool');
const time = fc.integer({ min: 0, max: 10 });
const confidence = fc.constantFrom(0, 0.3, 0.7, 1);

const operation = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ do: fc.constant('edge' as const), source: id, target: id, type: edgeType }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('full' as const),
      source: id,
      target: id,
      type: edgeType,
      weight: fc.integer({ min: 0, max: 9 }),
      from: time,
      to: time,
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('node' as const), id, type: nodeType, confidence }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('cut' as const), source: id, target: id, type: edgeType }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cut all' as const), source: id, target: id }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('gone' as const), id }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compact' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

const walkArbitrary = fc.record({
  direction: fc.constantFrom('out' as const, 'in' as const, 'both' as const),
  edgeTypes: fc.option(fc.subarray(['knows', 'likes', 'uses', 'unheard of']), { nil: undefined }),
  validAtMs: fc.option(time, { nil: undefined }),
});

function applyToNaive(naive: NaiveGraph, op: Operation): boolean | undefined {
  switch (op.do) {
    case 'edge':
      naive.putEdge(op.source, op.target, op.type);
      return undefined;
    case 'full':
      naive.putEdge(op.source, op.target, op.type, op.weight, op.from, op.to);
      return undefined;
    case 'node':
      naive.putNode(op.id, op.type, op.confidence);
      return undefined;
    case 'cut':
      return naive.deleteEdge(op.source, op.target, op.type);
    case 'cut all':
      return naive.deleteEdge(op.source, op.target);
    case 'gone':
      return naive.deleteNode(op.id);
    default:
      return undefined;
  }
}

function applyToGraph(graph: Graph, op: Operation): boolean | undefined {
  switch (op.do) {
    case 'edge':
      graph.putEdge({ source: op.source, target: op.target, type: op.type });
      return undefined;
    case 'full': {
      const { source, target, type, weight, from, to } = op;
      graph.putEdge({ source, target, type, weight, validFromMs: from, validToMs: to });
      return undefined;
    }
    case 'node':
      graph.putNode({ id: op.id, type: op.type, confidence: op.confidence });
      return undefined;
    case 'cut':
      return graph.deleteEdge(op.source, op.target, op.type);
    case 'cut all':
      return graph.deleteEdge(op.source, op.target);
    case 'gone':
      return graph.deleteNode(op.id);
    default:
      return undefined;
  }
}

function expectSame(graph: Graph, naive: NaiveGraph, walk: NaiveWalk, starts: string[], depth: number): void {
  const expected = naive.distances(starts, depth, walk);
  for (const strategy of ['auto', 'dfs'] as const) {
    const found = graph.traverse(starts, { maxDepth: depth, ...walk, strategy });
    const distances = new Map(found.ids.map((node, at) => [node, found.depths[at]]));
    expect(distances).toEqual(expected);
    expect(found.size).toBe(expected.size);
    const depths = [...found.depths];
    expect(strategy === 'dfs' || depths.every((d, at) => at === 0 || d >= (depths[at - 1] ?? 0))).toBe(true);
  }
  const selected = graph.traverse(starts, {
    maxDepth: depth,
    ...walk,
    nodeTypes: ['person'],
    minConfidence: 0.5,
  });
  const wanted = [...expected.keys()].filter((node) => {
    const { type, confidence: sure } = naive.nodes.get(node)!;
    return type === 'person' && sure >= 0.5;
  });
  expect(selected.ids.toSorted()).toEqual(wanted.toSorted());
  const limited = graph.traverse(starts, { maxDepth: depth, ...walk, limit: 3 });
  expect(limited.size).toBe(Math.min(3, expected.size));
  const nearest = [...expected.values()].toSorted((a, b) => a - b).slice(0, 3);
  expect([...limited.depths]).toEqual(nearest);
  for (const node of limited.ids) expect(expected.has(node)).toBe(true);
}

function expectSamePaths(graph: Graph, naive: NaiveGraph, walk: NaiveWalk, a: string, b: string): void {
  const hops = naive.distances([a], 100, walk).get(b);
  const path = graph.shortestPath(a, b, walk);
  expect(path === undefined ? undefined : path.ids.length - 1).toBe(hops);
  const weighted = graph.shortestPath(a, b, { ...walk, weighted: true });
  expect(weighted?.cost).toBe(naive.leastWeight(a, b, walk));
  for (const found of [path, weighted]) {
    if (found === undefined) continue;
    expect([found.ids[0], found.ids.at(-1)]).toEqual([a, b]);
    expect(found.edges.length).toBe(found.ids.length - 1);
    found.edges.forEach((edge, at) => {
      const here = found.ids[at] ?? '';
      const takes = naive.steps(here, walk).map(([, { source, target, type, weight }]) => ({
        source,
        target,
        type,
        weight,
      }));
      expect(takes).toContainEqual(edge);
      expect([edge.source, edge.target].toSorted()).toEqual([here, found.ids[at + 1]].toSorted());
    });
  }
}

/** Runs `f`; returns the message of what it throws, when that is the error made on purpose. */
function attempt(f: () => void): string | undefined {
  try {
    f();
    return undefined;
  } catch (failure) {
    if ((failure as Error).message !== 'rolled back') throw failure;
    return 'rolled back';
  }
}

it('answers like a graph of Maps after any sequence of writes, compactions and reopenings', async () => {
  let files = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(operation, { minLength: 1, maxLength: 60 }),
      fc.array(fc.tuple(walkArbitrary, fc.subarray(names, { maxLength: 3 }), fc.nat(4), id, id), {
        minLength: 3,
      }),
      async (operations, queries) => {
        const file = path(`${files++}.db`);
        const naive = new NaiveGraph();
        let graph = Graph.open({ path: file });
        for (const op of operations) {
          if (op.do === 'compact') await graph.compact();
          if (op.do === 'reopen') {
            graph.close();
            graph = Graph.open({ path: file });
          }
          expect(applyToGraph(graph, op)).toBe(applyToNaive(naive, op));
        }
        for (const [walk, starts, depth, a, b] of queries) {
          expectSame(graph, naive, walk, starts, depth);
          expectSamePaths(graph, naive, walk, a, b);
          const neighbours = new Set(naive.steps(a, walk).map(([node]) => node));
          expect(graph.neighbors(a, walk).toSorted()).toEqual([...neighbours].toSorted());
          expect(graph.degree(a, walk.direction)).toBe(
            naive.steps(a, { direction: walk.direction ?? 'out' }).length,
          );
        }
        const { nodes, edges } = graph.stats();
        expect({ nodes, edges }).toEqual({ nodes: naive.nodes.size, edges: naive.edges.size });
        graph.close();
      },
    ),
    { numRuns: 40 },
  );
});

it('forgets a transaction that throws, nested or not, in memory as in the file', () => {
  const step = fc.record({
    ops: fc.array(operation, { maxLength: 12 }),
    fails: fc.boolean(),
    nested: fc.boolean(),
  });
  let files = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 6 }), walkArbitrary, (steps, walk) => {
      const file = path(`rollback-${files++}.db`);
      let naive = new NaiveGraph();
      const graph = Graph.open({ path: file });
      const other = Graph.open({ path: file });
      for (const { ops, fails, nested } of steps) {
        const before = naive.clone();
        const run = (): void => {
          for (const op of ops) expect(applyToGraph(graph, op)).toBe(applyToNaive(naive, op));
          for (const start of names) expectSame(graph, naive, walk, [start], 2);
          if (fails) throw new Error('rolled back');
        };
        const outer = (): void => {
          graph.putEdge({ source: 'a', target: 'b', type: 'outer' });
          before.putEdge('a', 'b', 'outer');
          naive.putEdge('a', 'b', 'outer');
          if (attempt(() => graph.transaction(run)) === 'rolled back') naive = before;
        };
        if (nested) graph.transaction(outer);
        else if (attempt(() => graph.transaction(run)) === 'rolled back') naive = before;
        for (const start of names) expectSame(graph, naive, walk, [start], 3);
      }
      const reopened = Graph.open({ path: file });
      for (const reader of [other, reopened]) {
        for (const start of names) expectSame(reader, naive, walk, [start], 3);
        expect(reader.stats().edges).toBe(naive.edges.size);
        reader.close();
      }
      graph.close();
    }),
    { numRuns: 40 },
  );
});

it('streams exactly the nodes of a traversal, whatever the batch size', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(operation, { maxLength: 40 }),
      walkArbitrary,
      fc.nat(5),
      fc.integer({ min: 1, max: 5 }),
      fc.option(fc.nat(6), { nil: undefined }),
      async (operations, walk, maxDepth, batchSize, limit) => {
        using graph = Graph.open({ path: ':memory:' });
        for (const op of operations) applyToGraph(graph, op);
        const options = { maxDepth, ...walk, limit, ...(maxDepth > 2 && { minConfidence: 0.5 }) };
        const streamed: string[] = [];
        for await (const batch of graph.stream(['a', 'b'], { ...options, batchSize })) {
          expect(batch.length).toBeGreaterThan(0);
          expect(batch.length).toBeLessThanOrEqual(batchSize);
          streamed.push(...batch.map((node) => node.id));
        }
        const whole = graph.traverse(['a', 'b'], { ...options, limit: undefined });
        const depthOf = new Map(whole.ids.map((node, at) => [node, whole.depths[at]]));
        expect(new Set(streamed).size).toBe(Math.min(limit ?? Infinity, whole.size));
        // By ascending distance; the order within one distance is its own.
        const depths = streamed.map((node) => depthOf.get(node));
        expect(depths).toEqual(Array.from(whole.depths.slice(0, streamed.length)));
      },
    ),
    { numRuns: 200 },
  );
});
