// Shortest paths from both ends at once.
//
// Unweighted: level-synchronous bidirectional breadth-first search, always growing the side whose frontier is
// smaller. When a node of the level being made is in the other side's visited set, the path through it is shortest:
// were it in an older level there, the two sides would have met before.
//
// Weighted: bidirectional Dijkstra. It ends when the sum of the two smallest keys is at least the best meeting
// (Nicholson 1966; Goldberg and Harrelson, SODA 2005, section 3).

import type { Adjacency } from './adjacency.ts';
import { nextEdge, oppositeOf, sidesOf } from './expand.ts';
import type { GraphImage } from './graph-image.ts';
import { DistanceHeap } from './distance-heap.ts';
import type { Scratch, ScratchPool } from './scratch-pool.ts';
import type { Walk } from './traverse-options.ts';

export interface PathStep {
  readonly source: number;
  readonly target: number;
  readonly type: number;
  readonly weight: number;
}

export interface OrdinalPath {
  readonly ordinals: readonly number[];
  readonly steps: readonly PathStep[];
  readonly cost: number;
}

export interface PathSearch {
  readonly image: GraphImage;
  readonly walk: Walk;
  readonly from: number;
  readonly to: number;
  readonly maxDepth: number;
  readonly signal: AbortSignal | undefined;
}

/** One end of a bidirectional breadth-first search. */
interface End {
  readonly scratch: Scratch;
  readonly sides: readonly Adjacency[];
  from: number;
  tail: number;
}

export function fewestHops(pool: ScratchPool, search: PathSearch): OrdinalPath | undefined {
  const { image, walk } = search;
  if (search.from === search.to) return { ordinals: [search.from], steps: [], cost: 0 };
  const near: End = {
    scratch: pool.take(image.ordinals),
    sides: sidesOf(image, walk.direction),
    from: 0,
    tail: 0,
  };
  const opposite = oppositeOf(walk.direction);
  const far: End = { scratch: pool.take(image.ordinals), sides: sidesOf(image, opposite), from: 0, tail: 0 };
  try {
    begin(near, search.from);
    begin(far, search.to);
    for (let hops = 0; hops < search.maxDepth; hops++) {
      search.signal?.throwIfAborted();
      const nearSize = near.tail - near.from;
      const farSize = far.tail - far.from;
      if (nearSize === 0 || farSize === 0) return undefined;
      const [grow, other] = nearSize <= farSize ? [near, far] : [far, near];
      const meeting = growLevel(image, walk, grow, other);
      if (meeting !== -1) return hopsThrough(search, near, far, meeting);
    }
    return undefined;
  } finally {
    pool.give(near.scratch, near.tail);
    pool.give(far.scratch, far.tail);
  }
}

function begin(end: End, node: number): void {
  end.scratch.queue[0] = node;
  end.scratch.visited[node >>> 5]! |= 1 << (node & 31);
  end.scratch.parents[node] = node;
  end.tail = 1;
}

/** Makes the next level of one end; returns a node where the two ends meet, or -1. */
function growLevel(image: GraphImage, walk: Walk, grow: End, other: End): number {
  const plain = walk.edgeTypes === undefined && walk.validAtMs === undefined;
  const to = grow.tail;
  for (const side of grow.sides) {
    for (let at = grow.from; at < to; at++) {
      const node = grow.scratch.queue[at]!;
      const meeting = plain
        ? growPlain(side, image.nodeMask, node, grow, other.scratch.visited)
        : growWalk(image, side, walk, node, grow, other.scratch.visited);
      if (meeting !== -1) return meeting;
    }
  }
  grow.from = to;
  return -1;
}

function growPlain(side: Adjacency, mask: number, node: number, grow: End, others: Int32Array): number {
  const { words } = side;
  const { visited, queue, parents } = grow.scratch;
  let tail = grow.tail;
  for (let i = side.starts[node]!, end = side.ends[node]!; i < end; i++) {
    const neighbour = words[i]! & mask;
    const bit = 1 << (neighbour & 31);
    const bits = visited[neighbour >>> 5]!;
    if ((bits & bit) !== 0) continue;
    visited[neighbour >>> 5] = bits | bit;
    queue[tail++] = neighbour;
    parents[neighbour] = node;
    if ((others[neighbour >>> 5]! & bit) !== 0) {
      grow.tail = tail;
      return neighbour;
    }
  }
  grow.tail = tail;
  return -1;
}

function growWalk(
  image: GraphImage,
  side: Adjacency,
  walk: Walk,
  node: number,
  grow: End,
  others: Int32Array,
): number {
  const { visited, queue, parents } = grow.scratch;
  const mask = image.nodeMask;
  const end = side.ends[node]!;
  for (let i = nextEdge(side, side.starts[node]!, end, image.nodeBits, walk); i < end;) {
    const neighbour = side.words[i]! & mask;
    const bit = 1 << (neighbour & 31);
    if ((visited[neighbour >>> 5]! & bit) === 0) {
      visited[neighbour >>> 5]! |= bit;
      queue[grow.tail++] = neighbour;
      parents[neighbour] = node;
      if ((others[neighbour >>> 5]! & bit) !== 0) return neighbour;
    }
    i = nextEdge(side, i + 1, end, image.nodeBits, walk);
  }
  return -1;
}

function hopsThrough(search: PathSearch, near: End, far: End, meeting: number): OrdinalPath {
  const ordinals = joinedPath(near.scratch.parents, far.scratch.parents, meeting);
  const steps = stepsAlong(search, ordinals, false);
  return { ordinals, steps, cost: steps.length };
}

function joinedPath(nearParents: Uint32Array, farParents: Uint32Array, meeting: number): number[] {
  const ordinals = [meeting];
  for (let node = meeting; nearParents[node] !== node;) {
    node = nearParents[node]!;
    ordinals.push(node);
  }
  ordinals.reverse();
  for (let node = meeting; farParents[node] !== node;) {
    node = farParents[node]!;
    ordinals.push(node);
  }
  return ordinals;
}

/** The edge of each hop: the first of the row, or the lightest one. */
function stepsAlong({ image, walk }: PathSearch, ordinals: readonly number[], lightest: boolean): PathStep[] {
  const steps: PathStep[] = [];
  const mask = image.nodeMask;
  for (let hop = 1; hop < ordinals.length; hop++) {
    const here = ordinals[hop - 1]!;
    const next = ordinals[hop]!;
    let best: PathStep | undefined;
    for (const side of sidesOf(image, walk.direction)) {
      const end = side.ends[here]!;
      for (let i = nextEdge(side, side.starts[here]!, end, image.nodeBits, walk); i < end;) {
        if ((side.words[i]! & mask) === next) {
          const weight = side.weights === undefined ? 1 : side.weights[i]!;
          const type = side.words[i]! >>> image.nodeBits;
          if (best === undefined || (lightest && weight < best.weight)) {
            best =
              side === image.out
                ? { source: here, target: next, type, weight }
                : { source: next, target: here, type, weight };
            if (!lightest) break;
          }
        }
        i = nextEdge(side, i + 1, end, image.nodeBits, walk);
      }
      if (best !== undefined && !lightest) break;
    }
    steps.push(best!);
  }
  return steps;
}

/** One end of a bidirectional Dijkstra search. */
class WeightedEnd {
  readonly sides: readonly Adjacency[];
  readonly heap = new DistanceHeap();
  /** Best distance known, and the node before. */
  readonly distance = new Map<number, number>();
  readonly parent = new Map<number, number>();
  readonly settled = new Set<number>();

  constructor(sides: readonly Adjacency[], start: number) {
    this.sides = sides;
    this.reach(start, start, 0);
  }

  reach(node: number, parent: number, distance: number): void {
    const known = this.distance.get(node);
    if (known !== undefined && known <= distance) return;
    this.distance.set(node, distance);
    this.parent.set(node, parent);
    this.heap.push(distance, node);
  }

  /** Drops entries that a shorter way has overtaken; the smallest key left, or Infinity. */
  minimum(): number {
    while (this.heap.size > 0 && this.settled.has(this.heap.topNode)) this.heap.pop();
    return this.heap.size === 0 ? Infinity : this.heap.topDistance;
  }
}

export function leastWeight(search: PathSearch): OrdinalPath | undefined {
  const { image, walk } = search;
  if (search.from === search.to) return { ordinals: [search.from], steps: [], cost: 0 };
  const near = new WeightedEnd(sidesOf(image, walk.direction), search.from);
  const far = new WeightedEnd(sidesOf(image, oppositeOf(walk.direction)), search.to);
  let best = Infinity;
  let meeting = -1;
  for (let settled = 0; ; settled++) {
    if ((settled & 1023) === 0) search.signal?.throwIfAborted();
    const nearest = near.minimum();
    const farthest = far.minimum();
    if (nearest + farthest >= best || nearest === Infinity || farthest === Infinity) break;
    const [grow, other] = nearest <= farthest ? [near, far] : [far, near];
    const node = grow.heap.topNode;
    const distance = grow.heap.pop();
    grow.settled.add(node);
    for (const side of grow.sides) {
      const end = side.ends[node]!;
      for (let i = nextEdge(side, side.starts[node]!, end, image.nodeBits, walk); i < end;) {
        const neighbour = side.words[i]! & image.nodeMask;
        const there = distance + (side.weights === undefined ? 1 : side.weights[i]!);
        grow.reach(neighbour, node, there);
        const onward = other.distance.get(neighbour);
        if (onward !== undefined && there + onward < best) {
          best = there + onward;
          meeting = neighbour;
        }
        i = nextEdge(side, i + 1, end, image.nodeBits, walk);
      }
    }
  }
  if (meeting === -1) return undefined;
  const ordinals = weightedPath(near.parent, far.parent, meeting);
  const steps = stepsAlong(search, ordinals, true);
  return { ordinals, steps, cost: steps.reduce((sum, step) => sum + step.weight, 0) };
}

function weightedPath(near: Map<number, number>, far: Map<number, number>, meeting: number): number[] {
  const ordinals = [meeting];
  for (let node = meeting; near.get(node) !== node; ordinals.push(node)) node = near.get(node)!;
  ordinals.reverse();
  for (let node = meeting; far.get(node) !== node; ordinals.push(node)) node = far.get(node)!;
  return ordinals;
}
