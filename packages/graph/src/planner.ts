// What a traversal is expected to cost, before it runs.

import type { GraphImage } from './graph-image.ts';
import { sidesOf } from './expand.ts';
import type { Walk } from './traverse-options.ts';

export interface PlanAlternative {
  readonly strategy: 'bfs' | 'dfs';
  readonly costNs: number;
  readonly reason: string;
}

export interface TraversePlan {
  readonly strategy: 'bfs' | 'dfs';
  /** Nodes expected within the depth. */
  readonly estimatedNodes: number;
  /** Edges expected to be looked at. */
  readonly estimatedEdges: number;
  readonly costNs: number;
  /** The ways not taken, and why. */
  readonly alternatives: readonly PlanAlternative[];
}

/** Nanoseconds per edge looked at and per node found: orders of magnitude, good enough to compare plans. */
const EDGE_NS = 3;
const NODE_NS = 5;
/** The depth-first order is made from the finished search, with a second look at every edge. */
const DFS_FACTOR = 8;

export function planTraversal(
  image: GraphImage,
  walk: Walk,
  starts: readonly number[],
  maxDepth: number,
  strategy: 'auto' | 'bfs' | 'dfs',
): TraversePlan {
  const sides = sidesOf(image, walk.direction);
  const startEdges = starts.reduce(
    (sum, start) => sum + sides.reduce((s, side) => s + side.degree(start), 0),
    0,
  );
  const meanDegree = image.nodes === 0 ? 0 : (image.edges / image.nodes) * sides.length;
  let nodes = starts.length;
  let edges = 0;
  let frontierEdges = startEdges;
  for (let depth = 0; depth < maxDepth && frontierEdges >= 0.5 && nodes < image.nodes; depth++) {
    edges += frontierEdges;
    // Balls into bins: of the nodes not reached yet, the share that this many random edges hit.
    const fresh = (image.nodes - nodes) * -Math.expm1(-frontierEdges / Math.max(1, image.nodes));
    nodes += fresh;
    frontierEdges = fresh * meanDegree;
  }
  const bfsNs = edges * EDGE_NS + nodes * NODE_NS;
  const dfsNs = bfsNs * DFS_FACTOR;
  const chosen = strategy === 'dfs' ? 'dfs' : 'bfs';
  const alternative: PlanAlternative =
    chosen === 'bfs'
      ? {
          strategy: 'dfs',
          costNs: dfsNs,
          reason: 'depth-first order is made from the finished breadth-first search',
        }
      : { strategy: 'bfs', costNs: bfsNs, reason: 'the caller asked for depth-first order' };
  return {
    strategy: chosen,
    estimatedNodes: Math.round(nodes),
    estimatedEdges: Math.round(edges),
    costNs: chosen === 'bfs' ? bfsNs : dfsNs,
    alternatives: [alternative],
  };
}
