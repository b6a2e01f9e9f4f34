import { copyFileSync, existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Graph } from '@perf/graph';
import { scratchDir } from './scratch-dir.ts';

const path = scratchDir();

/** A graph with everything a snapshot keeps: types, weights, validity, confidences, deleted nodes. */
function fill(graph: Graph): void {
  graph.putNode({ id: 'gone', type: 'x' });
  for (let i = 0; i < 40; i++)
    graph.putNode({ id: `n${i}`, type: `t${i % 3}`, confidence: i % 4 === 0 ? 0.5 : 1 });
  for (let i = 0; i < 40; i++) {
    graph.putEdge({ source: `n${i}`, target: `n${(i * 7) % 40}`, type: 'a', weight: 1 + (i % 3) });
    graph.putEdge({ source: `n${i}`, target: `é${i % 5}`, type: 'b', validFromMs: i, validToMs: i + 10 });
  }
  graph.deleteNode('gone');
}

function answers(graph: Graph): unknown {
  const ids = Array.from({ length: 40 }, (_, at) => `n${at}`);
  return {
    walks: ids.flatMap((id) =>
      (['out', 'in', 'both'] as const).map((direction) => {
        const found = graph.traverse(id, { maxDepth: 2, direction });
        return found.ids.map((node, at) => `${found.depths[at]} ${node}`).toSorted();
      }),
    ),
    valid: ids.map((id) => graph.traverse(id, { maxDepth: 1, validAtMs: 15 }).ids.toSorted()),
    sure: graph.traverse('n1', { maxDepth: 9, minConfidence: 0.6, nodeTypes: ['t1'] }).ids.toSorted(),
    costs: ids.map((id) => graph.shortestPath('n1', id, { weighted: true, direction: 'both' })?.cost),
    counts: [graph.stats().nodes, graph.stats().edges],
    gone: graph.getNode('gone'),
  };
}

function closedGraph(name: string): { file: string; expected: unknown } {
  const file = path(name);
  const graph = Graph.open({ path: file });
  fill(graph);
  const expected = answers(graph);
  graph.close();
  return { file, expected };
}

it('opens from the snapshot that close wrote, with the same answers', () => {
  const { file, expected } = closedGraph('plain.db');
  using graph = Graph.open({ path: file });
  expect(answers(graph)).toEqual(expected);
  expect(graph.stats()).toMatchObject({ snapshotLoads: 1, rebuilds: { missing: 0, corrupt: 0 } });
});

it('answers the same before and after the other side has been read', () => {
  const file = path('sides.db');
  const graph = Graph.open({ path: file });
  // Two hops from a hub to more edges than it takes to want the other side.
  graph.putEdges(Array.from({ length: 200 }, (_, at) => ({ source: 'hub', target: `m${at}`, type: 'a' })));
  graph.putEdges(
    Array.from({ length: 8_000 }, (_, at) => ({ source: `m${at % 200}`, target: `n${at}`, type: 'a' })),
  );
  graph.close();
  using reopened = Graph.open({ path: file, cacheBytes: 0 });
  const answers = Array.from({ length: 3 }, () =>
    reopened.traverse('hub', { maxDepth: 2 }).ids.toSorted().join(),
  );
  expect(answers[0]?.split(',')).toHaveLength(8_201);
  expect(new Set(answers).size).toBe(1);
  expect(reopened.stats().queries.levels).toEqual({ sparse: 3, dense: 1, 'bottom-up': 2 });
});

it('writes no snapshot and reads none when it is turned off', () => {
  const file = path('off.db');
  Graph.open({ path: file, snapshot: false }).close();
  expect(existsSync(`${file}.csr`)).toBe(false);
});

it('applies the changes since the snapshot, and leaves it alone when they are few', () => {
  const { file } = closedGraph('behind.db');
  const written = readFileSync(`${file}.csr`);
  const change = (graph: Graph): void => {
    graph.putEdge({ source: 'n1', target: 'new', type: 'a' });
    graph.deleteNode('n3');
    graph.deleteEdge('n4', 'n28', 'a');
    graph.putNode({ id: 'n5', type: 't9', confidence: 0.1 });
  };
  const unsnapped = Graph.open({ path: file, snapshot: false });
  change(unsnapped);
  const expected = answers(unsnapped);
  unsnapped.close();
  expect(readFileSync(`${file}.csr`)).toEqual(written);
  using graph = Graph.open({ path: file });
  expect(answers(graph)).toEqual(expected);
  expect(graph.stats()).toMatchObject({ snapshotLoads: 1, rebuilds: { missing: 0, stale: 0 } });
});

describe('a damaged snapshot', () => {
  it('is noticed wherever a byte differs, and rebuilt from the rows', () => {
    const { file, expected } = closedGraph('flip.db');
    const good = readFileSync(`${file}.csr`);
    // Bytes between sections are the only ones that nobody reads.
    const isPadding = (at: number): boolean => at >= 24 && good[at] === 0;
    let noticed = 0;
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: good.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (at, flip) => {
          const bad = Buffer.from(good);
          bad[at] = (bad[at] ?? 0) ^ flip;
          writeFileSync(`${file}.csr`, bad);
          const graph = Graph.open({ path: file });
          const same = answers(graph);
          const { rebuilds } = graph.stats();
          graph.close();
          noticed += rebuilds.corrupt;
          return (
            JSON.stringify(same) === JSON.stringify(expected) &&
            (rebuilds.corrupt === 1 || isPadding(at) || at >= 20)
          );
        },
      ),
      { numRuns: 80 },
    );
    expect(noticed).toBeGreaterThan(30);
  });

  it.each([0, 1, 23, 24, 400, 3_000, -1])('is rebuilt when cut to %i bytes', (length) => {
    const { file, expected } = closedGraph(`cut${length}.db`);
    truncateSync(`${file}.csr`, length < 0 ? statSync(`${file}.csr`).size - 1 : length);
    using graph = Graph.open({ path: file });
    expect(answers(graph)).toEqual(expected);
    expect(graph.stats().rebuilds.corrupt).toBe(1);
  });

  it('tells who listens why it was not used', () => {
    const { file } = closedGraph('told.db');
    writeFileSync(`${file}.csr`, 'not a snapshot at all, but long enough to look at');
    const events: unknown[] = [];
    const listener = (event: unknown): void => void events.push(event);
    subscribe('perf:graph:rebuild', listener);
    Graph.open({ path: file }).close();
    unsubscribe('perf:graph:rebuild', listener);
    expect(events).toEqual([{ reason: 'corrupt', nodes: 45, edges: 80 }]);
  });
});

it('does not believe the snapshot of another database', () => {
  const { file } = closedGraph('one.db');
  const other = path('other.db');
  const graph = Graph.open({ path: other });
  graph.putEdge({ source: 'x', target: 'y', type: 't' });
  graph.close();
  copyFileSync(`${file}.csr`, `${other}.csr`);
  using reopened = Graph.open({ path: other });
  expect(reopened.traverse('x', { maxDepth: 1 }).ids).toEqual(['x', 'y']);
  expect(reopened.stats().rebuilds.foreign).toBe(1);
});

it('does not believe a snapshot from a future that was undone', () => {
  const { file } = closedGraph('past.db');
  copyFileSync(file, `${file}.backup`);
  const later = Graph.open({ path: file });
  for (let i = 0; i < 60; i++) later.putEdge({ source: `n${i % 40}`, target: `future ${i}`, type: 'a' });
  later.close();
  expect(readFileSync(`${file}.csr`).includes('future 1')).toBe(true);
  // The backup comes back and goes another way, past the point of the snapshot.
  copyFileSync(`${file}.backup`, file);
  const restored = Graph.open({ path: file });
  expect(restored.stats().rebuilds.foreign).toBe(1);
  expect(restored.getNode('future 1')).toBeUndefined();
  for (let i = 0; i < 70; i++) restored.putEdge({ source: 'n1', target: `other ${i % 3}`, type: 'a' });
  const expected = answers(restored);
  restored.close();
  const again = Graph.open({ path: file });
  expect(answers(again)).toEqual(expected);
  again.close();
});

it('rebuilds when the log was cut behind the snapshot', () => {
  const { file } = closedGraph('pruned.db');
  const graph = Graph.open({ path: file, snapshot: false, changeLogBytes: 0 });
  for (let i = 0; i < 10; i++) graph.putEdge({ source: 'n1', target: `late ${i}`, type: 'a' });
  const expected = answers(graph);
  graph.close();
  using reopened = Graph.open({ path: file });
  expect(answers(reopened)).toEqual(expected);
  expect(reopened.stats().rebuilds.stale).toBe(1);
});
