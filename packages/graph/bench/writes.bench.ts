/** Writing: one durable edge, big batches, the event loop meanwhile, and what other processes see. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { measureCase } from '@perf/bench';
import type { MeasureCase } from '@perf/bench';
import { Graph } from '@perf/graph';
import { mulberry32, rmat } from './rmat.ts';

const NODES = 100_000;
const SINGLE = 5_000;
const BATCHED = 1_000_000;
/** Edges that one turn of the event loop writes. */
const TURN_EDGES = 250;
const FOREIGN = 1_000;
const OPERATIONS = 10_000;

function middle(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >>> 1] ?? Number.NaN;
}

function edgesOf(count: number): { source: string; target: string; type: string }[] {
  const { sources, targets } = rmat(NODES, count);
  const edges: { source: string; target: string; type: string }[] = [];
  for (let i = 0; i < count; i++)
    edges.push({ source: `n${sources[i]}`, target: `n${targets[i]}`, type: 'edge' });
  return edges;
}

function nodes(): { id: string; type: string }[] {
  return Array.from({ length: NODES }, (_, at) => ({ id: `n${at}`, type: 'node' }));
}

/** Runs bench/edge-writer.ts in a process of its own. */
async function writeElsewhere(path: string, name: string, count: number, batch: number): Promise<void> {
  const script = fileURLToPath(new URL('edge-writer.ts', import.meta.url));
  const args = [script, path, name, String(count), String(batch)];
  const [code] = (await once(spawn(process.execPath, args, { stdio: 'inherit' }), 'exit')) as [number | null];
  if (code !== 0) throw new Error(`the writer ended with ${code}`);
}

export const cases: readonly MeasureCase[] = [
  measureCase({
    name: 'insert-one-edge',
    about: 'putEdge, committed, and a neighbours query that sees it, in a graph of 100,000 nodes.',
    forks: 5,
    measure(context) {
      using graph = Graph.open({ path: join(context.scratchDir, 'one.db') });
      graph.putNodes(nodes());
      const random = mulberry32(1);
      const us: number[] = [];
      for (let i = 0; i < SINGLE; i++) {
        const source = `n${Math.floor(random() * NODES)}`;
        const target = `n${Math.floor(random() * NODES)}`;
        const start = performance.now();
        graph.putEdge({ source, target, type: 'edge' });
        const seen = graph.degree(source);
        us.push((performance.now() - start) * 1000);
        if (seen === 0) throw new Error('the edge is not there');
      }
      return [{ name: 'durable and visible p50', value: middle(us), unit: 'us', target: { atMost: 20 } }];
    },
  }),
  measureCase({
    name: 'insert-in-batches',
    about: 'One putEdges of 1,000,000 random edges between 100,000 nodes that exist.',
    forks: 5,
    measure(context) {
      using graph = Graph.open({ path: join(context.scratchDir, 'batch.db'), snapshot: false });
      graph.putNodes(nodes());
      const edges = edgesOf(BATCHED);
      const start = performance.now();
      graph.putEdges(edges);
      const seconds = (performance.now() - start) / 1000;
      if (graph.stats().edges !== BATCHED) throw new Error('edges are missing');
      return [{ name: 'rate', value: BATCHED / seconds, unit: 'edges/s', target: { atLeast: 500_000 } }];
    },
  }),
  measureCase({
    name: 'event-loop-while-inserting',
    about: `1,000,000 edges, ${TURN_EDGES} in each turn of the event loop, compactions going on.`,
    forks: 3,
    async measure(context) {
      using graph = Graph.open({ path: join(context.scratchDir, 'loop.db') });
      graph.putNodes(nodes());
      const edges = edgesOf(BATCHED);
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      for (let at = 0; at < edges.length; at += TURN_EDGES) {
        graph.putEdges(edges.slice(at, at + TURN_EDGES));
        await new Promise((resolve) => setImmediate(resolve));
      }
      delay.disable();
      const { compactions, edges: count } = graph.stats();
      if (count !== BATCHED) throw new Error('edges are missing');
      if (compactions === 0) throw new Error('there was no compaction');
      return [
        // A timer of 1 ms is at least 1 ms late by this clock even when nothing happens.
        { name: 'delay p99.9', value: delay.percentile(99.9) / 1e6, unit: 'ms', target: { atMost: 5 } },
        { name: 'delay p50', value: delay.percentile(50) / 1e6, unit: 'ms' },
        { name: 'longest delay', value: delay.max / 1e6, unit: 'ms' },
        { name: 'compactions', value: compactions, unit: '' },
      ];
    },
  }),
  measureCase({
    name: 'other-processes',
    about: 'What another process committed, seen by the next read; two processes writing at once.',
    forks: 3,
    async measure(context) {
      const path = join(context.scratchDir, 'shared.db');
      using graph = Graph.open({ path });
      graph.putNodes(nodes());
      const ms: number[] = [];
      for (let round = 0; round < 5; round++) {
        await writeElsewhere(path, `r${round}`, FOREIGN, FOREIGN);
        const start = performance.now();
        const seen = graph.degree(`r${round} 0`);
        ms.push(performance.now() - start);
        if (seen !== 1) throw new Error('the commit is not seen');
      }
      const before = graph.stats().edges;
      await Promise.all(['left', 'right'].map((name) => writeElsewhere(path, name, OPERATIONS, 1)));
      const lost = before + 2 * OPERATIONS - graph.stats().edges;
      return [
        { name: '1,000 edges of another process', value: middle(ms), unit: 'ms', target: { atMost: 1 } },
        { name: 'lost of 20,000 by two writers', value: lost, unit: 'edges', target: { atMost: 0 } },
      ];
    },
  }),
];
