/** A graph of 500,000 nodes and 5,000,000 edges: searches, opening, memory, streaming. One fork builds it and asks. */
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { openDatabase } from '@perf/sqlite';
import { measureCase } from '@perf/bench';
import type { MeasureCase, Measurement } from '@perf/bench';
import { Graph } from '@perf/graph';
import { mulberry32, rmat } from './rmat.ts';
import type { EdgeList } from './rmat.ts';

const NODES = 500_000;
const EDGES = 5_000_000;
const QUERIES = 300;
const ROUNDS = 5;

interface Csr {
  readonly offsets: Uint32Array;
  readonly targets: Uint32Array;
}

/** The twin: compressed sparse rows and a stamp per node, nothing else. */
function plainCsr({ nodes, sources, targets }: EdgeList): Csr {
  const offsets = new Uint32Array(nodes + 1);
  for (const source of sources) offsets[source + 1] = (offsets[source + 1] ?? 0) + 1;
  for (let at = 0; at < nodes; at++) offsets[at + 1] = (offsets[at + 1] ?? 0) + (offsets[at] ?? 0);
  const next = offsets.slice();
  const sorted = new Uint32Array(sources.length);
  for (let i = 0; i < sources.length; i++) {
    const source = sources[i] ?? 0;
    sorted[next[source] ?? 0] = targets[i] ?? 0;
    next[source] = (next[source] ?? 0) + 1;
  }
  return { offsets, targets: sorted };
}

// oxlint-disable typescript/no-unnecessary-type-assertion -- the compiler counts an element as maybe undefined
function twin({ offsets, targets }: Csr): (start: number, depth: number) => number {
  const stamps = new Uint32Array(offsets.length);
  const queue = new Uint32Array(offsets.length);
  let stamp = 0;
  return (start, depth) => {
    stamp++;
    stamps[start] = stamp;
    queue[0] = start;
    let from = 0;
    let tail = 1;
    for (let level = 0; level < depth; level++) {
      const to = tail;
      for (; from < to; from++) {
        const node = queue[from] as number;
        for (let i = offsets[node] as number, end = offsets[node + 1] as number; i < end; i++) {
          const neighbour = targets[i] as number;
          if (stamps[neighbour] === stamp) continue;
          stamps[neighbour] = stamp;
          queue[tail++] = neighbour;
        }
      }
    }
    return tail;
  };
}

// oxlint-enable typescript/no-unnecessary-type-assertion

/** Milliseconds of each query, the best of some rounds: what the work takes when nothing disturbs it. */
function times(queries: number, ask: (query: number) => void): number[] {
  const best = Array.from({ length: queries }, () => Infinity);
  for (let round = 0; round < ROUNDS; round++) {
    for (let query = 0; query < queries; query++) {
      const start = performance.now();
      ask(query);
      best[query] = Math.min(best[query] ?? Infinity, performance.now() - start);
    }
  }
  return best.sort((a, b) => a - b);
}

function quantile(sorted: readonly number[], p: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN;
}

function build(path: string, list: EdgeList): void {
  const graph = Graph.open({ path });
  function* nodes(): Generator<{ id: string; type: string }> {
    for (let i = 0; i < list.nodes; i++) yield { id: `n${i}`, type: 'node' };
  }
  function* edges(): Generator<{ source: string; target: string; type: string }> {
    for (let i = 0; i < list.sources.length; i++) {
      yield { source: `n${list.sources[i]}`, target: `n${list.targets[i]}`, type: 'edge' };
    }
  }
  graph.putNodes(nodes());
  // In the order of the table; the rate of inserting is the business of another case.
  graph.putEdges(edges());
  graph.close();
}

function startsOf({ sources }: EdgeList, random: () => number): number[] {
  const starts = new Set<number>();
  while (starts.size < QUERIES) starts.add(sources[Math.floor(random() * sources.length)] ?? 0);
  // By node, not by edge: hubs are not more likely than others.
  const distinct = [...new Set(sources)];
  return Array.from(starts, () => distinct[Math.floor(random() * distinct.length)] ?? 0);
}

function measureSearches(graph: Graph, list: EdgeList): Measurement[] {
  const starts = startsOf(list, mulberry32(7));
  const plain = twin(plainCsr(list));
  const found = starts.map((start) => plain(start, 3));
  const plainMs = times(QUERIES, (query) => void plain(starts[query] ?? 0, 3));
  const ourMs = times(QUERIES, (query) => {
    const size = graph.traverse(`n${starts[query]}`, { maxDepth: 3 }).ordinals.length;
    if (size !== found[query]) throw new Error(`${size} nodes within 3 hops instead of ${found[query]}`);
  });
  const [p50, p99] = [quantile(ourMs, 0.5), quantile(ourMs, 0.99)];
  return [
    { name: '3 hops p50', value: p50, unit: 'ms', target: { atMost: 1.5 } },
    { name: '3 hops p99', value: p99, unit: 'ms', target: { atMost: 3 } },
    { name: 'plain CSR twin p50', value: quantile(plainMs, 0.5), unit: 'ms' },
    { name: 'plain CSR twin p99', value: quantile(plainMs, 0.99), unit: 'ms' },
    {
      name: 'speed against the twin p50',
      value: quantile(plainMs, 0.5) / p50,
      unit: 'x',
      target: { atLeast: 2.2 },
    },
    {
      name: 'speed against the twin p99',
      value: quantile(plainMs, 0.99) / p99,
      unit: 'x',
      target: { atLeast: 6 },
    },
  ];
}

function measurePaths(graph: Graph, list: EdgeList): Measurement[] {
  const starts = startsOf(list, mulberry32(8));
  const ends = startsOf(list, mulberry32(9));
  const ms = times(QUERIES, (query) => {
    graph.shortestPath(`n${starts[query]}`, `n${ends[query]}`);
  });
  return [
    { name: 'shortest path p50', value: quantile(ms, 0.5) * 1000, unit: 'us', target: { atMost: 40 } },
    { name: 'shortest path p99', value: quantile(ms, 0.99) * 1000, unit: 'us' },
  ];
}

function measureOpening(path: string, start: string): Measurement[] {
  const ask = (snapshot: boolean): number => {
    const began = performance.now();
    const graph = Graph.open({ path, snapshot });
    const { size } = graph.traverse(start, { maxDepth: 2 });
    const ms = performance.now() - began;
    if (size < 2) throw new Error(`${start} has no neighbours`);
    if (graph.stats().snapshotLoads !== (snapshot ? 1 : 0))
      throw new Error('the snapshot was not used as it should');
    graph.close();
    return ms;
  };
  const fromSnapshot = Math.min(...Array.from({ length: 5 }, () => ask(true)));
  const fromRows = ask(false);
  return [
    { name: 'opened and answered from a snapshot', value: fromSnapshot, unit: 'ms', target: { atMost: 25 } },
    { name: 'opened and answered from rows', value: fromRows, unit: 'ms' },
    { name: 'snapshot against rows', value: fromRows / fromSnapshot, unit: 'x', target: { atLeast: 100 } },
  ];
}

/** The collector, which is a flag away. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

async function measureStream(path: string, hub: string): Promise<Measurement[]> {
  const collect = collector();
  using graph = Graph.open({ path });
  graph.stats();
  await graph.stream(hub, { maxDepth: 1 }).next();
  collect();
  const before = process.memoryUsage().heapUsed;
  let nodes = 0;
  let peak = 0;
  let firstMs = Infinity;
  const start = performance.now();
  for await (const batch of graph.stream(hub, { maxDepth: 64, direction: 'both' })) {
    if (nodes === 0) firstMs = performance.now() - start;
    nodes += batch.length;
    if (nodes % 65_536 < batch.length) {
      collect();
      peak = Math.max(peak, process.memoryUsage().heapUsed - before);
    }
  }
  const seconds = (performance.now() - start) / 1000;
  if (nodes < NODES / 2) throw new Error(`the stream had only ${nodes} nodes`);
  return [
    { name: 'first batch of a stream', value: firstMs, unit: 'ms', target: { atMost: 1 } },
    {
      name: 'heap kept by a stream of the whole graph',
      value: peak / 2 ** 20,
      unit: 'MiB',
      target: { atMost: 16 },
      note: 'after collection',
    },
    { name: 'streamed', value: nodes / seconds, unit: 'nodes/s' },
  ];
}

function rowsOf(path: string): number {
  const db = openDatabase(path, { readonly: true });
  const rows = db.prepare('SELECT count(*) FROM graph_edges').pluck().get() as number;
  db.close();
  return rows;
}

export const cases: readonly MeasureCase[] = [
  measureCase({
    name: 'large-graph',
    about: 'Searches, opening, memory and streaming on an R-MAT graph of 500,000 nodes and 5,000,000 edges.',
    forks: 3,
    async measure(context) {
      const path = join(context.scratchDir, 'rmat.db');
      const list = rmat(NODES, EDGES);
      build(path, list);
      if (rowsOf(path) !== EDGES) throw new Error('edges are missing');
      // A node with edges; nearly all of those reach each other.
      const start = `n${list.sources[0]}`;
      const opening = measureOpening(path, start);
      const graph = Graph.open({ path, cacheBytes: 0 });
      const searches = measureSearches(graph, list);
      const paths = measurePaths(graph, list);
      const { bytesPerEdge } = graph.stats();
      graph.close();
      return [
        ...searches,
        ...paths,
        ...opening,
        {
          name: 'adjacency both ways, types included',
          value: bytesPerEdge,
          unit: 'bytes/edge',
          target: { atMost: 9 },
        },
        ...(await measureStream(path, start)),
      ];
    },
  }),
];
