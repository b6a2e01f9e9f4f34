// What a traversal is expected to cost, before it runs: an estimate of each level and of how it will be made.
//
// The plan that runs decides level by level from the true number of edges (direction-optimizing.ts); this one has
// only degrees to go by. The next level's new nodes are estimated as balls thrown into bins, its edges by the mean
// degree of nodes that edges lead to, which in a graph with hubs is far above the mean degree.

import { ALPHA, MIN_DENSE_EDGES } from './direction-optimizing.ts';
import type { LevelMode } from './direction-optimizing.ts';
import { sidesOf } from './expand.ts';
import type { GraphImage, NodeOrder } from './graph-image.ts';
import type { Walk } from './traverse-options.ts';

export interface PlanAlternative {
  readonly plan: 'breadth-first, every level sparse' | 'breadth-first' | 'depth-first' | 'from the cache';
  readonly costNs: number;
  readonly reason: string;
}

export interface TraversePlan {
  readonly strategy: 'bfs' | 'dfs';
  /** How each level is expected to be made. */
  readonly levels: readonly LevelMode[];
  /** Order in which memory holds the nodes. */
  readonly layout: NodeOrder;
  /** Whether the answer is in the cache. */
  readonly cached: boolean;
  /** Nodes expected within the depth. */
  readonly estimatedNodes: number;
  /** Edges expected to be looked at. */
  readonly estimatedEdges: number;
  readonly costNs: number;
  /** The ways not taken, and why. */
  readonly alternatives: readonly PlanAlternative[];
}

/** Nanoseconds on the machine of DESIGN.md; only their proportions matter. */
const COST_NS = {
  query: 400,
  sparseEdge: 1.6,
  denseEdge: 0.9,
  bitsetWord: 0.7,
  askedNode: 5,
  cachedNode: 0.2,
};
/** The depth-first order is made from the finished search, with a second look at every edge. */
const DFS_FACTOR = 8;

export interface PlanInput {
  readonly image: GraphImage;
  readonly walk: Walk;
  readonly starts: readonly number[];
  readonly maxDepth: number;
  readonly strategy: 'auto' | 'bfs' | 'dfs';
  readonly cached: boolean;
}

export function planTraversal({ image, walk, starts, maxDepth, strategy, cached }: PlanInput): TraversePlan {
  const sides = sidesOf(image, walk.direction);
  const allEdges = image.edges * sides.length;
  const meanDegree = meanDegreeOfReached(image, walk);
  const levels: LevelMode[] = [];
  let frontier = starts.reduce((sum, start) => sum + sides.reduce((s, side) => s + side.degree(start), 0), 0);
  let nodes = starts.length;
  let edges = 0;
  let costNs = COST_NS.query;
  let sparseNs = COST_NS.query;
  for (let depth = 0; depth < maxDepth && frontier >= 0.5 && nodes < image.nodes; depth++) {
    const mode = expectedMode(image, walk, frontier, allEdges);
    levels.push(mode);
    costNs += levelNs(mode, frontier, image.ordinals);
    sparseNs += levelNs('sparse', frontier, image.ordinals);
    edges += frontier;
    const fresh = (image.nodes - nodes) * -Math.expm1(-frontier / Math.max(1, image.nodes));
    nodes += fresh;
    frontier = Math.min(allEdges, fresh * meanDegree);
  }
  const isDfs = strategy === 'dfs';
  const dfsNs = costNs * DFS_FACTOR;
  const alternatives: PlanAlternative[] = [
    isDfs
      ? { plan: 'breadth-first', costNs, reason: 'the caller asked for depth-first order' }
      : {
          plan: 'depth-first',
          costNs: dfsNs,
          reason: 'its order is made from the finished breadth-first search',
        },
  ];
  if (levels.some((mode) => mode !== 'sparse')) {
    const plan = 'breadth-first, every level sparse';
    alternatives.push({
      plan,
      costNs: sparseNs,
      reason: 'a frontier has so many edges that bits are cheaper',
    });
  }
  if (!cached) {
    const reason = 'not asked before, or something it depends on has changed';
    alternatives.push({ plan: 'from the cache', costNs: nodes * COST_NS.cachedNode, reason });
  }
  return {
    strategy: isDfs ? 'dfs' : 'bfs',
    levels,
    layout: image.nodeOrder,
    cached,
    estimatedNodes: Math.round(nodes),
    estimatedEdges: Math.round(edges),
    costNs: cached ? nodes * COST_NS.cachedNode : isDfs ? dfsNs : costNs,
    alternatives,
  };
}

function expectedMode(image: GraphImage, walk: Walk, edges: number, allEdges: number): LevelMode {
  if (walk.edgeTypes !== undefined || walk.validAtMs !== undefined || edges < MIN_DENSE_EDGES)
    return 'sparse';
  if (edges * ALPHA > allEdges) return 'bottom-up';
  return edges > image.ordinals / 32 ? 'dense' : 'sparse';
}

function levelNs(mode: LevelMode, edges: number, ordinals: number): number {
  if (mode === 'bottom-up') return ordinals * COST_NS.askedNode;
  if (mode === 'dense') return edges * COST_NS.denseEdge + (ordinals / 32) * COST_NS.bitsetWord;
  return edges * COST_NS.sparseEdge;
}

/** Mean degree of the nodes at the end of a random edge, from a sample: hubs are met as often as they have edges. */
function meanDegreeOfReached(image: GraphImage, walk: Walk): number {
  const sides = sidesOf(image, walk.direction);
  let met = 0;
  let degrees = 0;
  for (const side of sides) {
    const step = Math.max(1, Math.floor(side.rows / SAMPLED_ROWS));
    for (let row = 0; row < side.rows; row += step) {
      const start = side.starts[row]!;
      if (side.ends[row] === start) continue;
      const neighbour = side.words[start]! & image.nodeMask;
      met++;
      for (const other of sides) degrees += other.degree(neighbour);
    }
  }
  return met === 0 ? 0 : degrees / met;
}

const SAMPLED_ROWS = 512;
