// A traversal that is never whole in memory: nodes are read and handed over while the search goes on.
//
// The search sees the graph as it is when it gets there: edges written while the stream waits for its consumer may
// be walked, nodes deleted meanwhile are left out, nodes created meanwhile are not visited.

import { setImmediate } from 'node:timers/promises';
import { expandLevel, nextEdge, sidesOf } from './expand.ts';
import type { GraphImage } from './graph-image.ts';
import type { GraphNode } from './inputs.ts';
import type { ScratchPool } from './scratch-pool.ts';
import type { Selection, Walk } from './traverse-options.ts';

export interface StreamSearch {
  readonly image: GraphImage;
  readonly walk: Walk;
  readonly starts: readonly number[];
  readonly maxDepth: number;
  readonly selection: Selection;
  readonly batchSize: number;
  readonly signal: AbortSignal | undefined;
  readonly readNodes: (image: GraphImage, ordinals: readonly number[]) => readonly (GraphNode | undefined)[];
}

/** Work done in one turn of the event loop before others get theirs. */
const TURN_MS = 4;

export async function* streamNodes(
  pool: ScratchPool,
  search: StreamSearch,
): AsyncGenerator<readonly GraphNode[], void, undefined> {
  const { selection, signal } = search;
  let left = selection.limit;
  let batch: GraphNode[] = [];
  let turnEndsAt = performance.now() + TURN_MS;
  for (const ordinals of candidateBatches(pool, search)) {
    signal?.throwIfAborted();
    for (const node of search.readNodes(search.image, ordinals)) {
      if (node === undefined || left === 0) continue;
      if (selection.filter !== undefined && !selection.filter(node)) continue;
      batch.push(node);
      left--;
    }
    if (batch.length >= search.batchSize || (left === 0 && batch.length > 0)) {
      yield batch;
      batch = [];
      signal?.throwIfAborted();
    }
    if (left === 0) return;
    if (performance.now() >= turnEndsAt) {
      await setImmediate();
      signal?.throwIfAborted();
      turnEndsAt = performance.now() + TURN_MS;
    }
  }
  if (batch.length > 0) yield batch;
}

/** Ordinals that pass the cheap part of the selection, in breadth-first order, `batchSize` at a time. */
function* candidateBatches(pool: ScratchPool, search: StreamSearch): Generator<readonly number[]> {
  const { image, walk } = search;
  const scratch = pool.take(image.ordinals);
  const { queue, visited } = scratch;
  // Ordinals that did not exist when the scratch was taken have no bit in it.
  const bound = image.ordinals;
  let tail = 0;
  let batch: number[] = [];
  try {
    for (const start of new Set(search.starts)) {
      visited[start >>> 5]! |= 1 << (start & 31);
      queue[tail++] = start;
    }
    // Nodes are handed over before they are expanded: the first batch does not wait for the rows of its hubs.
    let emitted = 0;
    let levelEnd = tail;
    let depth = 0;
    for (let at = 0; ;) {
      for (; at < tail && tail - emitted < search.batchSize; at++) {
        if (at === levelEnd) {
          depth++;
          levelEnd = tail;
        }
        if (depth === search.maxDepth) break;
        tail = expandRow(image, walk, queue, visited, at, tail, bound);
      }
      if (emitted === tail) break;
      for (const end = Math.min(tail, emitted + search.batchSize); emitted < end; emitted++) {
        const node = queue[emitted]!;
        if (passes(image, search.selection, node)) batch.push(node);
        if (batch.length < search.batchSize) continue;
        yield batch;
        batch = [];
      }
    }
    if (batch.length > 0) yield batch;
  } finally {
    pool.give(scratch, tail);
  }
}

/** Appends the unvisited neighbours of queue[at] that existed when the stream began. */
function expandRow(
  image: GraphImage,
  walk: Walk,
  queue: Uint32Array,
  visited: Int32Array,
  at: number,
  tail: number,
  bound: number,
): number {
  const node = queue[at]!;
  const mask = image.nodeMask;
  for (const side of sidesOf(image, walk.direction)) {
    if (image.ordinals === bound) {
      tail = expandLevel(image, side, walk, queue, visited, at, at + 1, tail, Infinity);
      continue;
    }
    const end = side.ends[node]!;
    for (let i = nextEdge(side, side.starts[node]!, end, image.nodeBits, walk); i < end;) {
      const neighbour = side.words[i]! & mask;
      const bit = 1 << (neighbour & 31);
      if (neighbour < bound && (visited[neighbour >>> 5]! & bit) === 0) {
        visited[neighbour >>> 5]! |= bit;
        queue[tail++] = neighbour;
      }
      i = nextEdge(side, i + 1, end, image.nodeBits, walk);
    }
  }
  return tail;
}

/** The part of a selection that needs no row. */
export function passes(image: GraphImage, selection: Selection, ordinal: number): boolean {
  if (selection.nodeTypes !== undefined && !selection.nodeTypes.has(image.nodeTypes[ordinal]!)) return false;
  return image.confidenceOf(ordinal) >= selection.minConfidence;
}
