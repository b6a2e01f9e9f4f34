// Three ways to make one level of a breadth-first search, and the choice between them.
//
//   sparse      follow the frontier's edges, enqueue what was not visited (expand.ts). Small frontiers.
//   dense       follow the frontier's edges and only set bits; then read the new bits off the bitset. No branch and no
//               queue in the inner loop, and the next frontier is in order of ordinals, so its rows are read in the
//               order they lie in memory. Frontiers with more edges than the bitset has words.
//   bottom-up   ask every unvisited node whether one of its edges comes from the frontier, and stop at the first that
//               does (Beamer, Asanovic, Patterson: Direction-Optimizing Breadth-First Search, SC 2012). Frontiers with
//               a large part of all edges, as after two hops from a hub.
//
// Nodes in order of in-degree help both: hubs share few words of the bitset; the likeliest member of the frontier comes
// first in a row; and the nodes that nobody leads to are all at the end and not asked at all.
// Bench: traverse-rmat-3-hops.

import type { Adjacency } from './adjacency.ts';
import { oppositeOf, sidesOf } from './expand.ts';
import type { GraphImage } from './graph-image.ts';
import type { Scratch } from './scratch-pool.ts';
import type { Walk } from './traverse-options.ts';

export type LevelMode = 'sparse' | 'dense' | 'bottom-up';

/** Bottom-up when the frontier has more than one edge in this many (Beamer's alpha; measured, see DESIGN.md). */
export const ALPHA = 3;
/** Dense when the frontier has more edges than this times the words of the bitset. */
const DENSE_FACTOR = 1;
/** Smaller frontiers are not even summed up. */
const MIN_FRONTIER = 64;
export const MIN_DENSE_EDGES = 4_096;

export interface Level {
  readonly image: GraphImage;
  readonly walk: Walk;
  readonly scratch: Scratch;
  /** The frontier is queue[from .. to). */
  readonly from: number;
  readonly to: number;
}

/**
 * The cheapest mode for the next level. A filter on edges leaves only the sparse one. Bottom-up may be answered while
 * the side it reads is still in the snapshot: `isLoaded` tells.
 */
export function cheapestMode({ image, walk, scratch, from, to }: Level): LevelMode {
  if (to - from < MIN_FRONTIER || walk.edgeTypes !== undefined || walk.validAtMs !== undefined)
    return 'sparse';
  const sides = sidesOf(image, walk.direction);
  let edges = 0;
  for (const { starts, ends } of sides) {
    for (let at = from; at < to; at++) {
      const node = scratch.queue[at]!;
      edges += ends[node]! - starts[node]!;
    }
  }
  if (edges < MIN_DENSE_EDGES) return 'sparse';
  if (edges * ALPHA > image.edges * sides.length) return 'bottom-up';
  return edges > image.ordinals * (DENSE_FACTOR / 32) ? 'dense' : 'sparse';
}

/** Whether the side that bottom-up reads is in memory. */
export function isLoaded(image: GraphImage, walk: Walk): boolean {
  const opposite = oppositeOf(walk.direction);
  return (opposite === 'out' || image.has('in')) && (opposite === 'in' || image.has('out'));
}

/** Appends the next level to the queue in order of ordinals; returns the new tail. */
export function expandDense({ image, walk, scratch, from, to }: Level): number {
  const { visited, frontier } = scratch;
  frontier.set(visited);
  for (const side of sidesOf(image, walk.direction)) {
    markNeighbours(side, image.nodeMask, scratch.queue, visited, from, to);
  }
  return enqueueDifference(visited, frontier, scratch.queue, to);
}

/** The same from the other end. */
export function expandBottomUp({ image, walk, scratch, from, to }: Level): number {
  const { queue, visited, frontier } = scratch;
  frontier.fill(0);
  for (let at = from; at < to; at++) {
    const node = queue[at]!;
    frontier[node >>> 5]! |= 1 << (node & 31);
  }
  let tail = to;
  for (const side of sidesOf(image, oppositeOf(walk.direction))) {
    tail = askUnvisited(side, image.nodeMask, queue, visited, frontier, tail);
  }
  return tail;
}

function markNeighbours(
  { starts, ends, words }: Adjacency,
  mask: number,
  queue: Uint32Array,
  visited: Int32Array,
  from: number,
  to: number,
): void {
  for (let at = from; at < to; at++) {
    const node = queue[at]!;
    for (let i = starts[node]!, end = ends[node]!; i < end; i++) {
      const neighbour = words[i]! & mask;
      visited[neighbour >>> 5]! |= 1 << (neighbour & 31);
    }
  }
}

function enqueueDifference(
  visited: Int32Array,
  before: Int32Array,
  queue: Uint32Array,
  tail: number,
): number {
  for (let word = 0; word < visited.length; word++) {
    let added = visited[word]! & ~before[word]!;
    while (added !== 0) {
      const bit = added & -added;
      added ^= bit;
      queue[tail++] = (word << 5) + 31 - Math.clz32(bit);
    }
  }
  return tail;
}

function askUnvisited(
  side: Adjacency,
  mask: number,
  queue: Uint32Array,
  visited: Int32Array,
  frontier: Int32Array,
  tail: number,
): number {
  const { starts, ends, words } = side;
  const rows = side.occupiedRows;
  const lastWord = (rows - 1) >>> 5;
  for (let word = 0; word <= lastWord; word++) {
    let unvisited = ~visited[word]!;
    if (word === lastWord && (rows & 31) !== 0) unvisited &= (1 << (rows & 31)) - 1;
    let found = 0;
    while (unvisited !== 0) {
      const bit = unvisited & -unvisited;
      unvisited ^= bit;
      const node = (word << 5) + 31 - Math.clz32(bit);
      for (let i = starts[node]!, end = ends[node]!; i < end; i++) {
        const neighbour = words[i]! & mask;
        if ((frontier[neighbour >>> 5]! & (1 << (neighbour & 31))) !== 0) {
          found |= bit;
          queue[tail++] = node;
          break;
        }
      }
    }
    visited[word]! |= found;
  }
  return tail;
}
