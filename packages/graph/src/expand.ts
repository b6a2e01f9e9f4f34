// The inner loops of every search: append the unvisited neighbours of queue[from .. to) to the queue.
//
// Three loops, so that the usual one has nothing in it but loads, a bit test and a store: all edges; edges of some
// types (a type is one run of a sorted row, found by binary search); edges valid at a time. Nodes are marked when they
// are enqueued, never when they are dequeued, so each enters the queue once.

import { lowerBound } from './adjacency.ts';
import type { Adjacency } from './adjacency.ts';
import type { GraphImage } from './graph-image.ts';
import type { Direction, Walk } from './traverse-options.ts';

/** Rows shorter than this are scanned; longer ones are searched for the runs of the wanted types. */
const SCAN_BELOW = 16;

/** The sides of the graph that a direction reads. */
export function sidesOf(image: GraphImage, direction: Direction): readonly Adjacency[] {
  if (direction === 'both') return [image.out, image.in];
  return [direction === 'out' ? image.out : image.in];
}

export function oppositeOf(direction: Direction): Direction {
  if (direction === 'both') return 'both';
  return direction === 'out' ? 'in' : 'out';
}

/** Expands one level; returns the new tail. Stops soon after the tail has reached `stopAt`. */
export function expandLevel(
  image: GraphImage,
  side: Adjacency,
  walk: Walk,
  queue: Uint32Array,
  visited: Int32Array,
  from: number,
  to: number,
  tail: number,
  stopAt: number,
): number {
  const mask = image.nodeMask;
  const filtered = walk.validAtMs !== undefined && side.validFrom !== undefined;
  if (filtered || walk.edgeTypes !== undefined) {
    for (let at = from; at < to && tail < stopAt; at++) {
      tail = filtered
        ? expandValid(side, queue[at]!, walk, image.nodeBits, queue, visited, tail)
        : expandTypes(side, queue[at]!, walk.edgeTypes!, image.nodeBits, queue, visited, tail);
    }
    return tail;
  }
  return expandAll(side, mask, queue, visited, from, to, tail, stopAt);
}

function expandAll(
  side: Adjacency,
  mask: number,
  queue: Uint32Array,
  visited: Int32Array,
  from: number,
  to: number,
  tail: number,
  stopAt: number,
): number {
  const { starts, ends, words } = side;
  for (let at = from; at < to && tail < stopAt; at++) {
    const node = queue[at]!;
    for (let i = starts[node]!, end = ends[node]!; i < end; i++) {
      // Stores first and moves on only if the bit was not set: on a big frontier half of the tests go either way, and
      // a wrong guess of the processor costs more than a store. The queue has room for the one store too many.
      const neighbour = words[i]! & mask;
      const bits = visited[neighbour >>> 5]!;
      queue[tail] = neighbour;
      tail += ((bits >>> (neighbour & 31)) & 1) ^ 1;
      visited[neighbour >>> 5] = bits | (1 << (neighbour & 31));
    }
  }
  return tail;
}

function expandTypes(
  side: Adjacency,
  node: number,
  types: Uint32Array,
  nodeBits: number,
  queue: Uint32Array,
  visited: Int32Array,
  tail: number,
): number {
  const { words } = side;
  const mask = 2 ** nodeBits - 1;
  const end = side.ends[node]!;
  let i = side.starts[node]!;
  for (let t = 0; t < types.length && i < end; t++) {
    const type = types[t]!;
    const first = (type << nodeBits) >>> 0;
    if (end - i < SCAN_BELOW) {
      while (i < end && words[i]! < first) i++;
    } else {
      i = lowerBound(words, i, end, first);
    }
    for (; i < end; i++) {
      const word = words[i]!;
      if (word >>> nodeBits !== type) break;
      const neighbour = word & mask;
      const bits = visited[neighbour >>> 5]!;
      const bit = 1 << (neighbour & 31);
      if ((bits & bit) === 0) {
        visited[neighbour >>> 5] = bits | bit;
        queue[tail++] = neighbour;
      }
    }
  }
  return tail;
}

function expandValid(
  side: Adjacency,
  node: number,
  walk: Walk,
  nodeBits: number,
  queue: Uint32Array,
  visited: Int32Array,
  tail: number,
): number {
  const mask = 2 ** nodeBits - 1;
  const end = side.ends[node]!;
  for (let i = nextEdge(side, side.starts[node]!, end, nodeBits, walk); i < end;) {
    const neighbour = side.words[i]! & mask;
    const bits = visited[neighbour >>> 5]!;
    const bit = 1 << (neighbour & 31);
    if ((bits & bit) === 0) {
      visited[neighbour >>> 5] = bits | bit;
      queue[tail++] = neighbour;
    }
    i = nextEdge(side, i + 1, end, nodeBits, walk);
  }
  return tail;
}

/** Index of the first edge at or after `i` that the walk takes, or `end`. The slow, general way through a row. */
export function nextEdge(side: Adjacency, i: number, end: number, nodeBits: number, walk: Walk): number {
  const { words, validFrom, validTo } = side;
  const { edgeTypes, validAtMs } = walk;
  for (; i < end; i++) {
    if (edgeTypes !== undefined && !edgeTypes.includes(words[i]! >>> nodeBits)) continue;
    if (validAtMs !== undefined && validFrom !== undefined) {
      if (!(validFrom[i]! <= validAtMs && validAtMs < validTo![i]!)) continue;
    }
    return i;
  }
  return end;
}
