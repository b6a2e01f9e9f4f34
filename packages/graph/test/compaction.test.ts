import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Graph } from '@perf/graph';
import { NaiveGraph } from './naive-graph.ts';
import { scratchDir } from './scratch-dir.ts';

const path = scratchDir();

function distances(graph: Graph, start: string, direction: 'out' | 'in' | 'both'): Map<string, number> {
  const found = graph.traverse(start, { maxDepth: 3, direction });
  return new Map(found.ids.map((id, at) => [id, found.depths[at] ?? -1]));
}

function attempt(f: () => void): void {
  try {
    f();
  } catch (failure) {
    if ((failure as Error).message !== 'undone') throw failure;
  }
}

it('loses nothing that is written by anybody while it runs, and its snapshot neither', async () => {
  let files = 0;
  const write = fc.record({
    do: fc.constantFrom('put', 'put', 'put', 'cut', 'gone', 'new', 'foreign', 'turn', 'turn', 'undone'),
    source: fc.nat(299),
    target: fc.nat(299),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(write, { minLength: 20, maxLength: 120 }),
      fc.nat(1_000),
      async (writes, seed) => {
        const file = path(`busy-${files++}.db`);
        const graph = Graph.open({ path: file });
        const other = Graph.open({ path: file, snapshot: false });
        const naive = new NaiveGraph();
        const put = (to: Graph, source: number, target: number, type: string): void => {
          to.putEdge({ source: `n${source}`, target: `n${target}`, type });
          naive.putEdge(`n${source}`, `n${target}`, type);
        };
        graph.transaction(() => {
          for (let i = 0; i < 600; i++)
            put(graph, (i * 7 + seed) % 300, (i * i) % 300, i % 3 === 0 ? 'a' : 'b');
        });
        graph.deleteNode('n9');
        naive.deleteNode('n9');
        const done = graph.compact();
        for (const { do: what, source, target } of writes) {
          if (what === 'turn') await new Promise((resolve) => setImmediate(resolve));
          if (what === 'put') put(graph, source, target, 'a');
          if (what === 'foreign') put(other, source, target, 'f');
          if (what === 'new') put(graph, 1_000 + source, target, `type ${source % 5}`);
          if (what === 'cut') {
            graph.deleteEdge(`n${source}`, `n${target}`);
            naive.deleteEdge(`n${source}`, `n${target}`);
          }
          if (what === 'gone') {
            graph.deleteNode(`n${source}`);
            naive.deleteNode(`n${source}`);
          }
          if (what === 'undone') {
            attempt(() =>
              graph.transaction(() => {
                graph.putEdge({ source: `n${source}`, target: 'never', type: 'a' });
                graph.deleteNode(`n${target}`);
                throw new Error('undone');
              }),
            );
          }
        }
        await done;
        const reopened = Graph.open({ path: file });
        expect(reopened.stats()).toMatchObject({
          snapshotLoads: 1,
          nodes: naive.nodes.size,
          edges: naive.edges.size,
        });
        for (const reader of [graph, reopened, other]) {
          expect(reader.stats()).toMatchObject({ nodes: naive.nodes.size, edges: naive.edges.size });
          for (const direction of ['out', 'in', 'both'] as const) {
            for (let i = 0; i < 300; i += 37) {
              expect(distances(reader, `n${i}`, direction)).toEqual(
                naive.distances([`n${i}`], 3, { direction }),
              );
            }
          }
          reader.close();
        }
      },
    ),
    { numRuns: 25 },
  );
});

it('makes ordinals of earlier traversals invalid and keeps their ids', async () => {
  using graph = Graph.open({ path: ':memory:' });
  graph.putEdge({ source: 'a', target: 'b', type: 't' });
  const before = graph.traverse('a', { maxDepth: 1 });
  const { epoch } = graph;
  await graph.compact();
  expect(() => before.ordinals).toThrow(expect.objectContaining({ code: 'ERR_PERF_GRAPH_STALE' }));
  expect(before.ids).toEqual(['a', 'b']);
  expect(graph.epoch).toBeGreaterThan(epoch);
});

it('starts by itself when moved rows have left enough behind', async () => {
  using graph = Graph.open({ path: ':memory:' });
  for (let round = 0; round < 40; round++) {
    graph.transaction(() => {
      for (let i = 0; i < 2_000; i++) graph.putEdge({ source: `n${i}`, target: `m${round}`, type: 't' });
    });
  }
  const { garbageShare } = graph.stats();
  expect(garbageShare).toBeGreaterThan(0.1);
  while (graph.stats().compactions === 0) await new Promise((resolve) => setImmediate(resolve));
  expect(graph.stats().garbageShare).toBeLessThan(garbageShare);
  expect(graph.traverse('n7', { maxDepth: 1 }).size).toBe(41);
  expect(graph.traverse('m39', { maxDepth: 1, direction: 'in' }).size).toBe(2_001);
});

it('stops when the graph is closed meanwhile', async () => {
  const graph = Graph.open({ path: path('closed.db') });
  graph.transaction(() => {
    for (let i = 0; i < 60_000; i++)
      graph.putEdge({ source: `n${i % 9_000}`, target: `n${(i * 31) % 9_000}`, type: 't' });
  });
  const done = graph.compact();
  graph.close();
  await done;
  using reopened = Graph.open({ path: path('closed.db') });
  expect(reopened.stats().snapshotLoads).toBe(1);
});
