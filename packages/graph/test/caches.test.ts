import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, it } from 'vitest';
import { Graph } from '@perf/graph';
import type { QueryEvent } from '@perf/graph';

/** A start that reaches 1,000 nodes by 'a' in two hops. */
function wide(): Graph {
  const graph = Graph.open({ path: ':memory:' });
  graph.putEdges(Array.from({ length: 10 }, (_, at) => ({ source: 's', target: `m${at}`, type: 'a' })));
  graph.putEdges(
    Array.from({ length: 1_000 }, (_, at) => ({ source: `m${at % 10}`, target: `n${at}`, type: 'a' })),
  );
  return graph;
}

it('answers a repeated traversal from the cache, with an array of its own', () => {
  using graph = wide();
  const first = graph.traverse('s', { maxDepth: 2 });
  first.ordinals.fill(0);
  const second = graph.traverse('s', { maxDepth: 2 });
  expect(new Set(second.ids).size).toBe(1_011);
  expect(second.depths[1_010]).toBe(2);
  expect(graph.stats().caches.traversals).toMatchObject({ hits: 1, entries: 1 });
  expect(graph.stats().queries).toMatchObject({
    traversals: 2,
    cached: 1,
    byDepth: [0, 0, 2, 0, 0, 0, 0, 0, 0],
  });
});

it('forgets exactly the traversals that a change concerns', () => {
  using graph = wide();
  const ask = (): boolean[] => {
    const hits = (): number => graph.stats().caches.traversals.hits;
    return [{ edgeTypes: ['a'] }, {}, { edgeTypes: ['a'], minConfidence: 0.5 }].map((options) => {
      const before = hits();
      graph.traverse('s', { maxDepth: 3, ...options });
      return hits() > before;
    });
  };
  expect(ask()).toEqual([false, false, false]);
  expect(ask()).toEqual([true, true, true]);
  graph.putEdge({ source: 'n1', target: 'n2', type: 'b' });
  expect(ask()).toEqual([true, false, true]);
  graph.putNode({ id: 'n3', type: 'x', confidence: 0.1 });
  expect(ask()).toEqual([true, true, false]);
  graph.putNode({ id: 'n3', type: 'x', confidence: 0.1, content: 'only content' });
  expect(ask()).toEqual([true, true, true]);
  graph.deleteNode('n4');
  expect(ask()).toEqual([false, false, false]);
  expect(graph.traverse('s', { maxDepth: 3 }).ids).not.toContain('n4');
});

it('reads a node again after it was changed, deleted, or changed and rolled back', () => {
  using graph = wide();
  graph.putNode({ id: 'n1', type: 't', content: 'one' });
  expect([graph.getNode('n1')?.content, graph.getNode('n1')?.content]).toEqual(['one', 'one']);
  expect(graph.stats().caches.nodes.hits).toBe(1);
  const change = (): void =>
    graph.transaction(() => {
      graph.putNode({ id: 'n1', type: 't', content: 'two' });
      graph.putNode({ id: 'new', type: 't', content: 'gone soon' });
      expect([graph.getNode('n1')?.content, graph.getNode('new')?.content]).toEqual(['two', 'gone soon']);
      throw new Error('no');
    });
  expect(change).toThrow('no');
  expect(graph.getNode('n1')?.content).toBe('one');
  graph.putNode({ id: 'other', type: 't', content: 'in its place' });
  expect(graph.getNode('other')?.content).toBe('in its place');
  graph.deleteNode('n1');
  expect(graph.getNode('n1')).toBeUndefined();
});

it('keeps nothing when the caches are off', () => {
  using graph = Graph.open({ path: ':memory:', cacheBytes: 0 });
  graph.putEdges(Array.from({ length: 1_000 }, (_, at) => ({ source: 's', target: `n${at}`, type: 'a' })));
  for (let round = 0; round < 2; round++) graph.traverse('s', { maxDepth: 2 });
  graph.getNode('s');
  const { nodes, traversals } = graph.stats().caches;
  expect([nodes.entries, traversals.entries, traversals.hits]).toEqual([0, 0, 0]);
});

it('publishes queries to who listens', () => {
  using graph = wide();
  const events: QueryEvent[] = [];
  const listener = (event: unknown): void => void events.push(event as QueryEvent);
  subscribe('perf:graph:query', listener);
  graph.traverse('s', { maxDepth: 2 });
  graph.traverse('s', { maxDepth: 2 });
  graph.shortestPath('s', 'n5');
  unsubscribe('perf:graph:query', listener);
  graph.traverse('s', { maxDepth: 2 });
  expect(events.map(({ kind, depth, nodes, cached }) => [kind, depth, nodes, cached])).toEqual([
    ['traverse', 2, 1_011, false],
    ['traverse', 2, 1_011, true],
    ['shortestPath', 65_535, 3, false],
  ]);
  expect(events.every(({ durationMs }) => durationMs >= 0)).toBe(true);
});

it('counts degrees and warns of a mean degree above 100, once, with advice', () => {
  using graph = Graph.open({ path: ':memory:' });
  const alerts: unknown[] = [];
  const listener = (alert: unknown): void => void alerts.push(alert);
  subscribe('perf:graph:alert', listener);
  const names = Array.from({ length: 8 }, (_, at) => `n${at}`);
  for (let type = 0; type < 14; type++) {
    graph.putEdges(names.flatMap((source) => names.map((target) => ({ source, target, type: `t${type}` }))));
  }
  unsubscribe('perf:graph:alert', listener);
  graph.putNode({ id: 'alone', type: '' });
  const { degrees, alerts: active } = graph.stats();
  expect(degrees).toEqual({ mean: 896 / 9, maxOut: 112, maxIn: 112, p99Out: 112, p99In: 112, isolated: 1 });
  expect(alerts).toMatchObject([{ kind: 'mean-degree', limit: 100 }]);
  expect(active).toEqual([]);
});
