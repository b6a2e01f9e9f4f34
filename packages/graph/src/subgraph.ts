// The best part of a neighbourhood that fits a budget: what an agent puts into a prompt.
//
// Best first: the reached node with the highest score is taken next and its neighbours are reached through it. Ties go
// to the node reached with fewer hops, then to the older one.

import { DistanceHeap } from './distance-heap.ts';
import { nextEdge, sidesOf } from './expand.ts';
import type { GraphImage } from './graph-image.ts';
import type { GraphNode } from './inputs.ts';
import { checkDepth } from './traverse-options.ts';
import type { Direction, Walk } from './traverse-options.ts';

export interface SubgraphOptions {
  /** At most this many nodes. Default 256. */
  readonly maxNodes?: number | undefined;
  /** At most this many tokens over all nodes. Default no limit. */
  readonly maxTokens?: number | undefined;
  /** Higher is better; NaN leaves the node out. Default confidence / (1 + depth). */
  readonly score?: ((node: GraphNode, depth: number) => number) | undefined;
  /** Default: a quarter of the characters of id, type and content, rounded up. */
  readonly tokensOf?: ((node: GraphNode) => number) | undefined;
  /** Hops from a seed at most. Default 65,535. */
  readonly maxDepth?: number | undefined;
  /** Default `'both'`. */
  readonly direction?: Direction | undefined;
  readonly edgeTypes?: readonly string[] | undefined;
  readonly validAtMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface SubgraphBudget {
  readonly maxNodes: number;
  readonly maxTokens: number;
  readonly maxDepth: number;
  readonly score: (node: GraphNode, depth: number) => number;
  readonly tokensOf: (node: GraphNode) => number;
}

export interface ChosenNodes {
  readonly nodes: readonly { readonly ordinal: number; readonly node: GraphNode; readonly depth: number }[];
  readonly tokens: number;
  /** Whether something was reached that did not fit. */
  readonly truncated: boolean;
}

export function budgetOf(o: SubgraphOptions): SubgraphBudget {
  const {
    maxNodes = 256,
    maxTokens = Infinity,
    maxDepth = 65_535,
    score = defaultScore,
    tokensOf = roughTokens,
  } = o;
  checkBudget('maxNodes', maxNodes);
  checkBudget('maxTokens', maxTokens);
  checkDepth('maxDepth', maxDepth);
  if (typeof score !== 'function') throw new TypeError('score must be a function');
  if (typeof tokensOf !== 'function') throw new TypeError('tokensOf must be a function');
  return { maxNodes, maxTokens, maxDepth, score, tokensOf };
}

export function chooseNodes(
  image: GraphImage,
  walk: Walk,
  seeds: readonly number[],
  budget: SubgraphBudget,
  nodeAt: (ordinal: number) => GraphNode | undefined,
  signal: AbortSignal | undefined,
): ChosenNodes {
  const reached = new Map<number, { node: GraphNode; depth: number }>();
  const heap = new DistanceHeap();
  const reach = (ordinal: number, depth: number): void => {
    if (reached.has(ordinal)) return;
    const node = nodeAt(ordinal);
    if (node === undefined) return;
    const score = budget.score(node, depth);
    if (typeof score !== 'number') throw new TypeError('score must return a number');
    reached.set(ordinal, { node, depth });
    if (!Number.isNaN(score)) heap.push(-score, ordinal);
  };
  const chosen: { ordinal: number; node: GraphNode; depth: number }[] = [];
  let tokens = 0;
  let truncated = false;
  for (const seed of seeds) reach(seed, 0);
  while (heap.size > 0) {
    signal?.throwIfAborted();
    if (chosen.length >= budget.maxNodes) {
      truncated = true;
      break;
    }
    const ordinal = heap.topNode;
    heap.pop();
    const { node, depth } = reached.get(ordinal)!;
    const cost = budget.tokensOf(node);
    if (tokens + cost > budget.maxTokens) {
      truncated = true;
      continue;
    }
    tokens += cost;
    chosen.push({ ordinal, node, depth });
    if (depth < budget.maxDepth)
      eachNeighbour(image, walk, ordinal, (neighbour) => reach(neighbour, depth + 1));
  }
  return { nodes: chosen, tokens, truncated };
}

export function eachNeighbour(
  image: GraphImage,
  walk: Walk,
  ordinal: number,
  visit: (neighbour: number, type: number, side: 'out' | 'in', index: number) => void,
): void {
  const mask = image.nodeMask;
  for (const side of sidesOf(image, walk.direction)) {
    const end = side.ends[ordinal]!;
    for (let i = nextEdge(side, side.starts[ordinal]!, end, image.nodeBits, walk); i < end;) {
      visit(side.words[i]! & mask, side.words[i]! >>> image.nodeBits, side === image.out ? 'out' : 'in', i);
      i = nextEdge(side, i + 1, end, image.nodeBits, walk);
    }
  }
}

function defaultScore(node: GraphNode, depth: number): number {
  return node.confidence / (1 + depth);
}

function roughTokens(node: GraphNode): number {
  return Math.ceil((node.id.length + node.type.length + (node.content?.length ?? 0)) / 4);
}

function checkBudget(name: string, value: number): void {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
  if (value !== Infinity && (!Number.isInteger(value) || value < 0)) {
    throw new RangeError(`${name} must be an integer of at least 0`);
  }
}
