// Long random lives of a graph next to an oracle of Maps. Used by fuzz.test.ts and, longer, by the bench.

import { copyFileSync, existsSync } from 'node:fs';
import { Graph } from '@perf/graph';

interface Carried {
  readonly weight: number;
  readonly from: number;
  readonly to: number;
}

type Rows = Map<string, Map<string, Carried>>;

interface Walk {
  readonly direction: 'out' | 'in' | 'both';
  readonly edgeTypes?: readonly string[];
  readonly validAtMs?: number;
}

/** Rows by node; an edge is found under `neighbour type`. */
class Oracle {
  readonly nodes = new Map<string, { type: string; confidence: number }>();
  readonly out: Rows = new Map();
  readonly in: Rows = new Map();
  edges = 0;

  node(id: string, type: string, confidence: number): void {
    this.nodes.set(id, { type, confidence });
    for (const rows of [this.out, this.in]) if (!rows.has(id)) rows.set(id, new Map());
  }

  edge(source: string, target: string, type: string, carried: Carried): void {
    for (const id of [source, target]) if (!this.nodes.has(id)) this.node(id, '', 1);
    if (!this.out.get(source)?.has(`${target} ${type}`)) this.edges++;
    this.out.get(source)?.set(`${target} ${type}`, carried);
    this.in.get(target)?.set(`${source} ${type}`, carried);
  }

  cut(source: string, target: string, type: string): boolean {
    this.in.get(target)?.delete(`${source} ${type}`);
    const existed = this.out.get(source)?.delete(`${target} ${type}`) ?? false;
    if (existed) this.edges--;
    return existed;
  }

  gone(id: string): boolean {
    for (const key of this.out.get(id)?.keys() ?? []) this.cut(id, ...split(key));
    for (const key of this.in.get(id)?.keys() ?? []) {
      const [source, type] = split(key);
      this.cut(source, id, type);
    }
    this.out.delete(id);
    this.in.delete(id);
    return this.nodes.delete(id);
  }

  distances(start: string, maxDepth: number, walk: Walk): Map<string, number> {
    const found = new Map<string, number>();
    if (!this.nodes.has(start)) return found;
    found.set(start, 0);
    let frontier = [start];
    for (let depth = 1; depth <= maxDepth && frontier.length > 0; depth++) {
      const next: string[] = [];
      for (const id of frontier) {
        const sides = walk.direction === 'both' ? [this.out, this.in] : [this[walk.direction]];
        for (const side of sides) {
          for (const [key, { from, to }] of side.get(id) ?? []) {
            const [neighbour, type] = split(key);
            if (found.has(neighbour) || walk.edgeTypes?.includes(type) === false) continue;
            const { validAtMs: at } = walk;
            if (at !== undefined && !(from <= at && at < to)) continue;
            found.set(neighbour, depth);
            next.push(neighbour);
          }
        }
      }
      frontier = next;
    }
    return found;
  }
}

function split(key: string): [string, string] {
  const at = key.indexOf(' ');
  return [key.slice(0, at), key.slice(at + 1)];
}

const EDGE_TYPES = ['a', 'b', 'c', 'd'];
const NODE_TYPES = ['', 'x', 'y'];

/** Throws at the first difference. Returns what was done and compared. */
export async function liveRandomly(
  operations: number,
  random: () => number,
  path: (name: string) => string,
  { ids = 900, writesPerQuery = 3 } = {},
): Promise<{
  readonly queries: number;
  readonly reopened: number;
  readonly crashed: number;
  readonly compacted: number;
}> {
  const oracle = new Oracle();
  const count = { queries: 0, reopened: 0, crashed: 0, compacted: 0 };
  let file = path('fuzz-0.db');
  let graph = Graph.open({ path: file, maxStalenessMs: 0 });
  let other = Graph.open({ path: file, snapshot: false, cacheBytes: 0 });
  const pick = <T>(list: readonly T[]): T => {
    const [chosen] = list.slice(Math.floor(random() * list.length));
    if (chosen === undefined) throw new RangeError('nothing to pick from');
    return chosen;
  };
  const anId = (): string => `n${Math.floor(random() ** 2 * ids)}`;

  const putEdge = (to: Graph): void => {
    const [source, target, type] = [anId(), anId(), pick(EDGE_TYPES)];
    if (random() < 0.8) {
      to.putEdge({ source, target, type });
      oracle.edge(source, target, type, { weight: 1, from: -Infinity, to: Infinity });
      return;
    }
    const carried = {
      weight: Math.floor(random() * 5),
      from: Math.floor(random() * 9),
      to: Math.floor(random() * 9),
    };
    to.putEdge({
      source,
      target,
      type,
      weight: carried.weight,
      validFromMs: carried.from,
      validToMs: carried.to,
    });
    oracle.edge(source, target, type, carried);
  };

  const write = (): void => {
    const to = random() < 0.8 ? graph : other;
    const dice = random();
    if (dice < 0.62) {
      putEdge(to);
    } else if (dice < 0.74) {
      const [id, type, confidence] = [anId(), pick(NODE_TYPES), pick([0.2, 0.8, 1])];
      to.putNode({ id, type, confidence, content: `node ${id}` });
      oracle.node(id, type, confidence);
    } else if (dice < 0.9) {
      const [source, target, type] = [anId(), anId(), pick(EDGE_TYPES)];
      same('deleteEdge', to.deleteEdge(source, target, type), oracle.cut(source, target, type));
    } else if (dice < 0.93) {
      const id = anId();
      same('deleteNode', to.deleteNode(id), oracle.gone(id));
    } else if (dice < 0.96) {
      const edges = Array.from({ length: Math.floor(random() * 40) }, () => ({
        source: anId(),
        target: anId(),
        type: pick(EDGE_TYPES),
      }));
      to.putEdges(edges);
      for (const { source, target, type } of edges) {
        oracle.edge(source, target, type, { weight: 1, from: -Infinity, to: Infinity });
      }
    } else {
      rolledBack(to, () => {
        to.putEdge({ source: anId(), target: 'never', type: pick(EDGE_TYPES) });
        to.deleteNode(anId());
        to.putNode({ id: anId(), type: 'never', confidence: 0 });
      });
    }
  };

  const compare = (): void => {
    count.queries++;
    const start = anId();
    const depth = Math.floor(random() * 5);
    const walk: Walk = {
      direction: pick(['out', 'in', 'both'] as const),
      ...(random() < 0.3 && { edgeTypes: [pick(EDGE_TYPES), pick(EDGE_TYPES)] }),
      ...(random() < 0.2 && { validAtMs: Math.floor(random() * 9) }),
    };
    const expected = oracle.distances(start, depth, walk);
    for (const reader of [graph, other]) {
      const found = reader.traverse(start, { maxDepth: depth, ...walk });
      same('size', found.size, expected.size);
      found.ids.forEach((id, at) => same(`distance of ${id}`, found.depths[at], expected.get(id)));
      const [limit, minConfidence] = [Math.floor(random() * 50), pick([0, 0.5])];
      const nodeTypes = random() < 0.5 ? [pick(NODE_TYPES)] : undefined;
      const selected = [...expected.keys()].filter((id) => {
        const node = oracle.nodes.get(id);
        return (
          node !== undefined && node.confidence >= minConfidence && (nodeTypes?.includes(node.type) ?? true)
        );
      });
      const options = {
        maxDepth: depth,
        ...walk,
        minConfidence,
        ...(nodeTypes !== undefined && { nodeTypes }),
      };
      same(
        'selected',
        [...reader.traverse(start, options).ids].toSorted().join(),
        selected.toSorted().join(),
      );
      same('limited', reader.traverse(start, { ...options, limit }).size, Math.min(limit, selected.length));
    }
    same('type', graph.getNode(start)?.type, oracle.nodes.get(start)?.type);
    const end = anId();
    const hops = oracle.distances(start, 99, walk).get(end);
    same('path', graph.shortestPath(start, end, walk)?.cost, hops);
  };

  const reopen = (): void => {
    graph.close();
    other.close();
    graph = Graph.open({ path: file, maxStalenessMs: 0 });
    other = Graph.open({ path: file, snapshot: random() < 0.5, cacheBytes: 0 });
    count.reopened++;
  };

  for (let done = 0; done < operations; done++) {
    write();
    if (done % writesPerQuery === 0) compare();
    const dice = random();
    if (dice < 0.001) {
      await graph.compact();
      count.compacted++;
    } else if (dice < 0.0015) {
      reopen();
    } else if (dice < 0.002) {
      // What a killed process leaves: the files as they are now.
      const next = path(`fuzz-${count.crashed + 1}.db`);
      for (const suffix of ['', '-wal', '.csr'])
        if (existsSync(file + suffix)) copyFileSync(file + suffix, next + suffix);
      graph.close();
      other.close();
      file = next;
      graph = Graph.open({ path: file, maxStalenessMs: 0 });
      other = Graph.open({ path: file, snapshot: false, cacheBytes: 0 });
      count.crashed++;
    }
  }
  same('edges', graph.stats().edges, oracle.edges);
  same('nodes', graph.stats().nodes, oracle.nodes.size);
  graph.close();
  other.close();
  return count;
}

function rolledBack(graph: Graph, f: () => void): void {
  try {
    graph.transaction(() => {
      f();
      throw new Error('rolled back');
    });
  } catch (failure) {
    if ((failure as Error).message !== 'rolled back') throw failure;
  }
}

function same(what: string, found: unknown, expected: unknown): void {
  if (!Object.is(found, expected))
    throw new Error(`${what}: ${String(found)} instead of ${String(expected)}`);
}
