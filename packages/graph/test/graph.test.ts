import { openDatabase } from '@perf/sqlite';
import { describe, expect, it } from 'vitest';
import { Graph, GraphError } from '@perf/graph';
import type { EdgeInput, NodeInput, TraverseOptions } from '@perf/graph';
import { scratchDir } from './scratch-dir.ts';

const path = scratchDir();

function family(): Graph {
  const graph = Graph.open({ path: ':memory:', clock: { now: () => 1_000 } });
  graph.putNode({ id: 'ann', type: 'person', content: 'Ann writes compilers', metadata: { age: 41 } });
  graph.putNode({ id: 'bob', type: 'person', confidence: 0.4, createdAtMs: 5 });
  graph.putNode({
    id: 'rust',
    type: 'language',
    content: 'a language for compilers',
    embedding: new Float32Array([1, 2]),
  });
  graph.putEdges([
    { source: 'ann', target: 'bob', type: 'knows' },
    { source: 'ann', target: 'bob', type: 'likes', weight: 0.5, metadata: { since: 2020 } },
    { source: 'bob', target: 'rust', type: 'uses', validFromMs: 10, validToMs: 20 },
    { source: 'rust', target: 'llvm', type: 'needs' },
  ]);
  return graph;
}

describe('nodes', () => {
  it('returns what was put, with defaults for the rest', () => {
    using graph = family();
    expect(graph.getNode('ann')).toEqual({
      id: 'ann',
      type: 'person',
      confidence: 1,
      createdAtMs: 1_000,
      content: 'Ann writes compilers',
      metadata: { age: 41 },
    });
    expect(graph.getNode('rust')?.embedding).toEqual(new Float32Array([1, 2]));
    expect(graph.getNode('llvm')).toEqual({ id: 'llvm', type: '', confidence: 1, createdAtMs: 1_000 });
    expect(graph.getNode('nobody')).toBeUndefined();
  });

  it('replaces a node that is put again and keeps its time of creation', () => {
    using graph = family();
    graph.putNode({ id: 'bob', type: 'robot' });
    expect(graph.getNode('bob')).toEqual({ id: 'bob', type: 'robot', confidence: 1, createdAtMs: 5 });
    expect(graph.degree('bob', 'in')).toBe(2);
  });

  it('returns objects of the caller that share nothing with the graph', () => {
    using graph = family();
    (graph.getNode('ann')!.metadata as { age: number }).age = 0;
    graph.getNode('rust')!.embedding![0] = 9;
    expect(graph.getNode('ann')!.metadata).toEqual({ age: 41 });
    expect(graph.getNode('rust')!.embedding![0]).toBe(1);
  });

  it('takes its edges along when it is deleted, and starts afresh when it comes back', () => {
    using graph = family();
    expect(graph.deleteNode('bob')).toBe(true);
    expect(graph.deleteNode('bob')).toBe(false);
    expect(graph.stats()).toMatchObject({ nodes: 3, edges: 1 });
    expect(graph.traverse('ann', { maxDepth: 5 }).ids).toEqual(['ann']);
    graph.putNode({ id: 'bob', type: 'person' });
    expect(graph.degree('bob', 'both')).toBe(0);
  });
});

describe('edges', () => {
  it('keeps one edge per source, target and type', () => {
    using graph = family();
    graph.putEdge({ source: 'ann', target: 'bob', type: 'likes', weight: 3 });
    expect(graph.stats().edges).toBe(4);
    expect(graph.getEdge('ann', 'bob', 'likes')).toEqual({
      source: 'ann',
      target: 'bob',
      type: 'likes',
      weight: 3,
    });
    expect(graph.getEdge('bob', 'rust', 'uses')).toMatchObject({ validFromMs: 10, validToMs: 20 });
    expect(graph.getEdge('ann', 'bob', 'hates')).toBeUndefined();
  });

  it('deletes one type, or all of them when none is named', () => {
    using graph = family();
    expect(graph.deleteEdge('ann', 'bob', 'hates')).toBe(false);
    expect(graph.deleteEdge('ann', 'bob', 'knows')).toBe(true);
    expect(graph.neighbors('ann')).toEqual(['bob']);
    expect(graph.deleteEdge('ann', 'bob')).toBe(true);
    expect(graph.deleteEdge('ann', 'bob')).toBe(false);
    expect(graph.neighbors('ann')).toEqual([]);
  });

  it('counts edges in degree and nodes in neighbors', () => {
    using graph = family();
    graph.putEdge({ source: 'ann', target: 'ann', type: 'knows' });
    expect(graph.degree('ann')).toBe(3);
    expect(graph.degree('ann', 'in')).toBe(1);
    expect(graph.degree('ann', 'both')).toBe(4);
    expect(graph.neighbors('ann')).toEqual(['ann', 'bob']);
    expect(graph.neighbors('bob', { direction: 'both' })).toEqual(['ann', 'rust']);
    expect(graph.neighbors('bob', { direction: 'in', edgeTypes: ['uses'] })).toEqual([]);
    expect(graph.degree('nobody')).toBe(0);
  });

  it('holds 300 edge types, more than the bits it starts with', () => {
    using graph = Graph.open({ path: ':memory:' });
    const types = Array.from({ length: 300 }, (_, at) => `type ${at}`);
    graph.putEdges(types.map((type, at) => ({ source: 'hub', target: `n${at % 7}`, type })));
    expect(graph.degree('hub')).toBe(300);
    expect(graph.neighbors('hub', { edgeTypes: ['type 299'] })).toEqual(['n5']);
    expect(graph.traverse('hub', { maxDepth: 1, edgeTypes: ['type 14', 'type 256'] }).ids).toEqual([
      'hub',
      'n0',
      'n4',
    ]);
  });
});

describe('traverse', () => {
  it('returns nodes by distance, starts included', () => {
    using graph = family();
    const found = graph.traverse('ann', { maxDepth: 2 });
    expect(found.ids).toEqual(['ann', 'bob', 'rust']);
    expect(found.depths).toEqual(new Uint8Array([0, 1, 2]));
    expect([...found.nodes()].map(({ type }) => type)).toEqual(['person', 'person', 'language']);
    expect(graph.traverse(['llvm', 'ann', 'llvm', 'nobody'], { maxDepth: 0 }).ids).toEqual(['llvm', 'ann']);
    expect(graph.traverse('nobody', { maxDepth: 3 }).size).toBe(0);
  });

  it('selects what is returned, not what is walked', () => {
    using graph = family();
    expect(graph.traverse('ann', { maxDepth: 3, nodeTypes: ['language'] }).ids).toEqual(['rust']);
    expect(graph.traverse('ann', { maxDepth: 3, minConfidence: 0.5 }).ids).toEqual(['ann', 'rust', 'llvm']);
    const filter: TraverseOptions['filter'] = ({ content }) => content?.includes('compilers') === true;
    expect(graph.traverse('ann', { maxDepth: 3, filter }).ids).toEqual(['ann', 'rust']);
    expect(graph.traverse('ann', { maxDepth: 3, filter, limit: 1 }).ids).toEqual(['ann']);
    expect(graph.traverse('ann', { maxDepth: 3, limit: 0 }).ids).toEqual([]);
  });

  it('walks only edges valid at the time asked for', () => {
    using graph = family();
    expect(graph.traverse('bob', { maxDepth: 1, validAtMs: 9 }).ids).toEqual(['bob']);
    expect(graph.traverse('bob', { maxDepth: 1, validAtMs: 10 }).ids).toEqual(['bob', 'rust']);
    expect(graph.traverse('bob', { maxDepth: 1, validAtMs: 20 }).ids).toEqual(['bob']);
    expect(graph.traverse('ann', { maxDepth: 1, validAtMs: 9 }).ids).toEqual(['ann', 'bob']);
  });

  it('can be nested in the filter of another one', () => {
    using graph = family();
    const found = graph.traverse('ann', {
      maxDepth: 3,
      filter: ({ id }) => graph.traverse(id, { maxDepth: 9 }).ids.includes('rust'),
    });
    expect(found.ids).toEqual(['ann', 'bob', 'rust']);
  });

  it('leaves the graph usable when a filter throws', () => {
    using graph = family();
    const filter = (): boolean => {
      throw new Error('mine');
    };
    expect(() => graph.traverse('ann', { maxDepth: 3, filter })).toThrow('mine');
    expect(graph.traverse('ann', { maxDepth: 3 }).size).toBe(4);
  });

  it('keeps its ids when nodes are deleted afterwards', () => {
    using graph = family();
    const found = graph.traverse('ann', { maxDepth: 3 });
    graph.deleteNode('bob');
    graph.putNode({ id: 'carl', type: 'person' });
    expect(found.ids).toEqual(['ann', 'bob', 'rust', 'llvm']);
    expect([...found.nodes()].map(({ id }) => id)).toEqual(['ann', 'rust', 'llvm']);
  });

  it('refuses its ordinals once disposed', () => {
    using graph = family();
    const found = graph.traverse('ann', { maxDepth: 1 });
    expect(found.ordinals).toEqual(new Uint32Array([0, 1]));
    found.dispose();
    expect(() => found.ordinals).toThrow(expect.objectContaining({ code: 'ERR_PERF_GRAPH_STALE' }));
    expect(found.ids).toEqual(['ann', 'bob']);
  });

  it('stops at an aborted signal', () => {
    using graph = family();
    const reason = new Error('enough');
    expect(() => graph.traverse('ann', { maxDepth: 3, signal: AbortSignal.abort(reason) })).toThrow(reason);
    const controller = new AbortController();
    const filter = (): boolean => {
      controller.abort(reason);
      return true;
    };
    expect(() => graph.traverse('ann', { maxDepth: 3, filter, signal: controller.signal })).toThrow(reason);
  });
});

describe('stream', () => {
  it('hands over the nodes of a traversal in batches', async () => {
    using graph = family();
    const batches: string[][] = [];
    for await (const batch of graph.stream('ann', { maxDepth: 3, batchSize: 3 }))
      batches.push(batch.map(({ id }) => id));
    expect(batches).toEqual([['ann', 'bob', 'rust'], ['llvm']]);
  });

  it('applies selection and limit', async () => {
    using graph = family();
    const found: string[] = [];
    const filter = ({ id }: { id: string }): boolean => id !== 'ann';
    for await (const batch of graph.stream('ann', { maxDepth: 3, minConfidence: 0.5, filter, limit: 1 })) {
      found.push(...batch.map(({ id }) => id));
    }
    expect(found).toEqual(['rust']);
  });

  it('survives writes between batches and leaves out what was deleted', async () => {
    using graph = family();
    const found: string[] = [];
    for await (const batch of graph.stream('ann', { maxDepth: 9, batchSize: 1 })) {
      found.push(...batch.map(({ id }) => id));
      if (found.length === 1) {
        graph.deleteNode('llvm');
        for (let i = 0; i < 1_500; i++)
          graph.putEdge({ source: 'bob', target: `new ${i % 2_000}`, type: 'made' });
      }
    }
    expect(found).toEqual(['ann', 'bob', 'rust']);
  });

  it('rejects with the reason of its signal and can be left early', async () => {
    using graph = family();
    const controller = new AbortController();
    const reason = new Error('enough');
    const stream = graph.stream('ann', { maxDepth: 3, batchSize: 1, signal: controller.signal });
    await stream.next();
    controller.abort(reason);
    await expect(stream.next()).rejects.toBe(reason);
    const other = graph.stream('ann', { maxDepth: 3, batchSize: 1 });
    await other.next();
    expect(await other.return()).toEqual({ done: true, value: undefined });
  });
});

describe('shortestPath', () => {
  it('prefers fewer edges, or the lighter way when weighted', () => {
    using graph = family();
    graph.putEdge({ source: 'ann', target: 'rust', type: 'uses', weight: 10 });
    expect(graph.shortestPath('ann', 'rust')).toEqual({
      ids: ['ann', 'rust'],
      edges: [{ source: 'ann', target: 'rust', type: 'uses', weight: 10 }],
      cost: 1,
    });
    expect(graph.shortestPath('ann', 'rust', { weighted: true })).toEqual({
      ids: ['ann', 'bob', 'rust'],
      edges: [
        { source: 'ann', target: 'bob', type: 'likes', weight: 0.5 },
        { source: 'bob', target: 'rust', type: 'uses', weight: 1 },
      ],
      cost: 1.5,
    });
    expect(graph.shortestPath('llvm', 'ann')).toBeUndefined();
    expect(graph.shortestPath('llvm', 'ann', { direction: 'in' })?.ids).toEqual(['llvm', 'rust', 'ann']);
    expect(graph.shortestPath('ann', 'llvm', { maxDepth: 1 })).toBeUndefined();
    expect(graph.shortestPath('ann', 'ann')).toEqual({ ids: ['ann'], edges: [], cost: 0 });
    expect(graph.shortestPath('nobody', 'nobody')).toBeUndefined();
  });
});

describe('subgraph', () => {
  it('takes the best nodes that fit the budget and the edges between them', () => {
    using graph = family();
    const part = graph.subgraph('ann', { maxNodes: 2, score: ({ id }) => (id === 'bob' ? 5 : 1) });
    expect(part.nodes.map(({ id }) => id)).toEqual(['ann', 'bob']);
    expect(part.edges.map(({ type }) => type)).toEqual(['knows', 'likes']);
    expect(part.truncated).toBe(true);
    const all = graph.subgraph(['ann']);
    expect(all.nodes.map(({ id }) => id)).toEqual(['ann', 'bob', 'rust', 'llvm']);
    expect(all).toMatchObject({ truncated: false, edges: { length: 4 } });
    const few = graph.subgraph('ann', { maxTokens: 12 });
    expect(few.nodes.map(({ id }) => id)).toEqual(['ann', 'bob']);
    expect(few.tokens).toBeLessThanOrEqual(12);
  });
});

describe('search', () => {
  it('finds content by words, best first, and forgets what is deleted or replaced', () => {
    using graph = family();
    expect(
      graph
        .search('compilers')
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(['ann', 'rust']);
    expect(graph.search('language compilers').map(({ id }) => id)).toEqual(['rust']);
    expect(graph.search('language writes', { match: 'any' })).toHaveLength(2);
    expect(graph.search('compilers', { nodeTypes: ['person'] }).map(({ id }) => id)).toEqual(['ann']);
    expect(graph.search('"AND OR NOT ( *')).toEqual([]);
    expect(graph.search('?!')).toEqual([]);
    expect(graph.search('compil*', { match: 'fts5', limit: 1 })).toHaveLength(1);
    graph.putNode({ id: 'ann', type: 'person', content: 'retired' });
    graph.deleteNode('rust');
    expect(graph.search('compilers')).toEqual([]);
    expect(graph.search('retired').map(({ id }) => id)).toEqual(['ann']);
  });
});

describe('explain', () => {
  it('tells the strategy, what it expects to find and what else there was', () => {
    using graph = family();
    const plan = graph.explain('ann', { maxDepth: 2 });
    expect(plan).toMatchObject({
      strategy: 'bfs',
      layout: 'key',
      cached: false,
      levels: ['sparse', 'sparse'],
    });
    expect(plan.alternatives.map(({ plan: name }) => name)).toEqual(['depth-first', 'from the cache']);
    expect(plan.estimatedNodes).toBeGreaterThan(1);
    expect(graph.explain('ann', { maxDepth: 2, strategy: 'dfs' }).strategy).toBe('dfs');
    expect(graph.explain('nobody', { maxDepth: 2 })).toMatchObject({ estimatedNodes: 0, estimatedEdges: 0 });
  });
});

describe('transaction', () => {
  it('shows its writes inside and returns what its function returns', () => {
    using graph = family();
    const result = graph.transaction(() => {
      graph.putEdge({ source: 'llvm', target: 'ann', type: 'needs' });
      return graph.traverse('llvm', { maxDepth: 1 }).ids;
    });
    expect(result).toEqual(['llvm', 'ann']);
  });

  it('puts all or none', () => {
    using graph = family();
    const { nodes, edges: count, epoch, edgeTypes } = graph.stats();
    const edges = [
      { source: 'x', target: 'y', type: 't' },
      { source: 'x', target: '', type: 't' },
    ];
    expect(() => graph.putEdges(edges)).toThrow(RangeError);
    expect(graph.stats()).toMatchObject({ nodes, edges: count, epoch, edgeTypes });
    expect(graph.getNode('x')).toBeUndefined();
  });

  it('refuses a function that returns a promise, and undoes it', () => {
    using graph = family();
    const f = (): Promise<void> => {
      graph.putNode({ id: 'late', type: '' });
      return Promise.resolve();
    };
    expect(() => void graph.transaction(f)).toThrow(TypeError);
    expect(graph.getNode('late')).toBeUndefined();
  });
});

describe('several graphs on one file', () => {
  it('shows a commit of one at the next read of the other', () => {
    const file = path('shared.db');
    using one = Graph.open({ path: file });
    using two = Graph.open({ path: file });
    one.putNode({ id: 'a', type: 'first', content: 'hello' });
    one.putEdge({ source: 'a', target: 'b', type: 'to', weight: 2 });
    expect(two.traverse('a', { maxDepth: 1 }).ids).toEqual(['a', 'b']);
    two.putEdge({ source: 'b', target: 'c', type: 'on' });
    expect(one.shortestPath('a', 'c', { weighted: true })?.cost).toBe(3);
    one.deleteNode('b');
    expect(two.neighbors('a')).toEqual([]);
    one.putNode({ id: 'a', type: 'second' });
    expect(two.getNode('a')?.type).toBe('second');
    expect(two.refresh()).toBe(0);
    expect(two.epoch).toBe(one.epoch);
  });

  it('works on a database somebody else opened, also through their rolled back transaction', () => {
    const db = openDatabase(path('theirs.db'));
    db.pragma('user_version = 7');
    const graph = Graph.open({ path: db });
    graph.putEdge({ source: 'a', target: 'b', type: 't' });
    db.exec('BEGIN');
    graph.putEdge({ source: 'b', target: 'c', type: 't' });
    expect(graph.traverse('a', { maxDepth: 5 }).ids).toEqual(['a', 'b', 'c']);
    db.exec('ROLLBACK');
    expect(graph.traverse('a', { maxDepth: 5 }).ids).toEqual(['a', 'b']);
    const second = Graph.open({ path: db });
    second.putEdge({ source: 'b', target: 'd', type: 't' });
    expect(graph.traverse('a', { maxDepth: 5 }).ids).toEqual(['a', 'b', 'd']);
    graph.close();
    expect(db.open).toBe(true);
    expect(db.pragma('user_version', { simple: true })).toBe(7);
    db.exec(`UPDATE graph_meta SET value = 99 WHERE name = 'schema'`);
    expect(() => Graph.open({ path: db })).toThrow(
      expect.objectContaining({ code: 'ERR_PERF_GRAPH_NEWER_SCHEMA' }),
    );
    db.close();
  });
});

describe('wrong arguments', () => {
  it.each<[string, Partial<NodeInput> & Record<string, unknown>, typeof TypeError | typeof RangeError]>([
    ['id', { id: '' }, RangeError],
    ['id', { id: 7 as unknown as string }, TypeError],
    ['id', { id: '\ud800' }, TypeError],
    ['type', { type: 0 as unknown as string }, TypeError],
    ['content', { content: 1 as unknown as string }, TypeError],
    ['confidence', { confidence: 1.5 }, RangeError],
    ['confidence', { confidence: Number.NaN }, RangeError],
    ['embedding', { embedding: [1] as unknown as Float32Array }, TypeError],
    ['createdAtMs', { createdAtMs: Infinity }, RangeError],
    ['metadata', { metadata: (() => 1) as unknown as string }, TypeError],
  ])('putNode names %s in the error', (name, part, type) => {
    using graph = family();
    const put = (): void => graph.putNode({ id: 'x', type: 't', ...part });
    expect(put).toThrow(type);
    expect(put).toThrow(name);
  });

  it.each<[string, Partial<EdgeInput>, typeof TypeError | typeof RangeError]>([
    ['source', { source: '' }, RangeError],
    ['target', { target: null as unknown as string }, TypeError],
    ['type', { type: 3 as unknown as string }, TypeError],
    ['weight', { weight: -1 }, RangeError],
    ['weight', { weight: Infinity }, RangeError],
    ['validToMs', { validToMs: '1' as unknown as number }, TypeError],
  ])('putEdge names %s in the error', (name, part, type) => {
    using graph = family();
    const put = (): void => graph.putEdge({ source: 'x', target: 'y', type: 't', ...part });
    expect(put).toThrow(type);
    expect(put).toThrow(name);
  });

  it.each<[string, Partial<TraverseOptions> & Record<string, unknown>]>([
    ['maxDepth', { maxDepth: -1 }],
    ['maxDepth', { maxDepth: 70_000 }],
    ['maxDepth', { maxDepth: '3' as unknown as number }],
    ['direction', { direction: 'up' as unknown as 'in' }],
    ['edgeTypes', { edgeTypes: 'knows' as unknown as string[] }],
    ['nodeTypes', { nodeTypes: [1] as unknown as string[] }],
    ['minConfidence', { minConfidence: Number.NaN }],
    ['limit', { limit: 1.5 }],
    ['strategy', { strategy: 'random' as unknown as 'bfs' }],
    ['filter', { filter: true as unknown as () => boolean }],
    ['validAtMs', { validAtMs: 'now' as unknown as number }],
  ])('traverse names %s in the error', (name, part) => {
    using graph = family();
    expect(() => graph.traverse('ann', { maxDepth: 1, ...part })).toThrow(name);
  });

  it('refuses everything but close once closed', () => {
    const graph = family();
    graph.close();
    graph.close();
    expect(() => graph.getNode('ann')).toThrow(GraphError);
    expect(() => graph.putNode({ id: 'a', type: '' })).toThrow(
      expect.objectContaining({ code: 'ERR_PERF_GRAPH_CLOSED' }),
    );
  });
});

it('logs a deletion and a touch that fall on the end of the log buffer, whatever their place in it', () => {
  // Ids of growing length move the last record of the transaction over every offset around the buffer's first size.
  for (let length = 1; length <= 64; length++) {
    const file = path(`log-end-${length}.db`);
    const writer = Graph.open({ path: file });
    const reader = Graph.open({ path: file });
    writer.putNodes(['gone', 'kept'].map((id) => ({ id, type: 't' })));
    writer.putEdge({ source: 'kept', target: 'gone', type: 'e' });
    expect(reader.neighbors('kept')).toEqual(['gone']);
    writer.transaction(() => {
      for (let i = 0; i < 4; i++) writer.putNode({ id: `${i}`.padEnd(length, 'x'), type: 't' });
      writer.putNode({ id: 'kept', type: 't', content: 'new' });
      writer.deleteNode('gone');
    });
    expect(reader.neighbors('kept')).toEqual([]);
    expect(reader.getNode('gone')).toBeUndefined();
    expect(reader.getNode('kept')?.content).toBe('new');
    expect(reader.traverse('kept', { maxDepth: 1 }).ids).toEqual(['kept']);
    writer.close();
    reader.close();
  }
});
