// Level-by-level breadth-first search, and what it returns.

import { cheapestMode, expandBottomUp, expandDense, isLoaded } from './direction-optimizing.ts';
import type { LevelMode } from './direction-optimizing.ts';
import { GraphError } from './errors.ts';
import { expandLevel, nextEdge, sidesOf } from './expand.ts';
import type { GraphImage } from './graph-image.ts';
import type { GraphNode } from './inputs.ts';
import type { Scratch, ScratchPool } from './scratch-pool.ts';
import type { Walk } from './traverse-options.ts';

/** What a finished traversal needs from the graph it came from. */
export interface TraversalSource {
  /** The node of an ordinal of that image, or undefined when it was deleted since. */
  readNodes(image: GraphImage, ordinals: Uint32Array): readonly (GraphNode | undefined)[];
  /** Whether the ordinals of `image` still mean the same nodes. */
  isCurrent(image: GraphImage): boolean;
}

const NODES_PER_READ = 256;

/**
 * The nodes a traversal reached, in breadth-first order (depth-first preorder for strategy `'dfs'`). Ids and depths
 * are made when they are first asked for, and then belong to this result: later writes do not change them.
 */
export class Traversal implements Disposable {
  readonly #source: TraversalSource;
  readonly #image: GraphImage;
  readonly #ordinals: Uint32Array;
  /** Either where each depth ends in the ordinals, or the depth of each. */
  readonly #levels: readonly number[] | Uint16Array;
  #ids: readonly string[] | undefined;
  #depths: Uint8Array | Uint16Array | undefined;
  #disposed = false;

  /** @internal */
  constructor(
    source: TraversalSource,
    image: GraphImage,
    ordinals: Uint32Array,
    levels: readonly number[] | Uint16Array,
  ) {
    this.#source = source;
    this.#image = image;
    this.#ordinals = ordinals;
    this.#levels = levels;
  }

  /** Number of nodes. */
  get size(): number {
    return this.#ordinals.length;
  }

  get ids(): readonly string[] {
    if (this.#ids === undefined) {
      const { ids } = this.#image;
      const all = new Array<string>(this.#ordinals.length);
      for (let i = 0; i < all.length; i++) all[i] = ids.idOf(this.#ordinals[i]!);
      this.#ids = all;
    }
    return this.#ids;
  }

  /** Shortest distance of each node from a start, aligned with `ids`. */
  get depths(): Uint8Array | Uint16Array {
    this.#depths ??= depthsOf(this.#levels, this.#ordinals.length);
    return this.#depths;
  }

  /**
   * The graph's own small integers for the nodes, aligned with `ids`; not a copy.
   * @throws {GraphError} ERR_PERF_GRAPH_STALE after `dispose`, and when a compaction gave the nodes new ordinals.
   */
  get ordinals(): Uint32Array {
    if (this.#disposed || !this.#source.isCurrent(this.#image)) {
      throw new GraphError('ERR_PERF_GRAPH_STALE', 'the ordinals of this traversal are no longer valid');
    }
    return this.#ordinals;
  }

  /** The nodes whole, read in batches as they are asked for; nodes deleted since the traversal are left out. */
  *nodes(): IterableIterator<GraphNode> {
    for (let from = 0; from < this.#ordinals.length; from += NODES_PER_READ) {
      const batch = this.#ordinals.subarray(from, from + NODES_PER_READ);
      for (const node of this.#source.readNodes(this.#image, batch)) if (node !== undefined) yield node;
    }
  }

  /** Gives up `ordinals`; ids and depths stay. */
  dispose(): void {
    this.#disposed = true;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

interface Selected {
  readonly ordinals: Uint32Array;
  readonly levels: readonly number[] | Uint16Array;
}

export interface Found extends Selected {
  /** Nodes reached, selected or not. */
  readonly visited: number;
  /** Levels made in each mode. */
  readonly modes: Readonly<Record<LevelMode, number>>;
  /** Whether a level would have been cheaper with the side that is not in memory yet. */
  readonly missedSide: boolean;
}

/** Decides about nodes one by one. */
export type Select = (ordinal: number) => boolean;

export interface BreadthFirst {
  readonly image: GraphImage;
  readonly walk: Walk;
  readonly starts: readonly number[];
  readonly maxDepth: number;
  readonly select: Select | undefined;
  readonly limit: number;
  readonly signal: AbortSignal | undefined;
  /** How levels are made; `'auto'` takes the cheapest for each. */
  readonly mode: LevelMode | 'auto';
}

interface Progress {
  /** End of the queue. */
  tail: number;
  readonly modes: Record<LevelMode, number>;
  missedSide: boolean;
}

/** Runs a whole traversal. */
export function breadthFirst(pool: ScratchPool, search: BreadthFirst): Found {
  const scratch = pool.take(search.image.ordinals);
  const progress = { tail: 0, modes: { sparse: 0, dense: 0, 'bottom-up': 0 }, missedSide: false };
  try {
    const found =
      search.select === undefined
        ? unselected(search, scratch, progress)
        : selected(search, search.select, scratch, progress);
    return { ...found, visited: progress.tail, modes: progress.modes, missedSide: progress.missedSide };
  } finally {
    pool.give(scratch, progress.tail);
  }
}

/** Same nodes as `breadthFirst`, in depth-first preorder: rows in order, each node when it is first met. */
export function depthFirst(pool: ScratchPool, search: BreadthFirst): Found {
  const all = breadthFirst(pool, { ...search, select: undefined, limit: Infinity });
  const scratch = pool.take(search.image.ordinals);
  const found: number[] = [];
  const depths: number[] = [];
  try {
    // Depth by ordinal, and at the same time the set of nodes that belong to the answer.
    const depthOf = scratch.parents;
    const byDepth = depthsOf(all.levels, all.ordinals.length);
    all.ordinals.forEach((ordinal, at) => {
      depthOf[ordinal] = byDepth[at]!;
      scratch.visited[ordinal >>> 5]! |= 1 << (ordinal & 31);
    });
    scratch.queue.set(all.ordinals);
    for (const ordinal of preorder(search, scratch.visited)) {
      if (found.length >= search.limit) break;
      if (search.select !== undefined && !search.select(ordinal)) continue;
      found.push(ordinal);
      depths.push(depthOf[ordinal]!);
    }
  } finally {
    pool.give(scratch, all.ordinals.length);
  }
  return { ...all, ordinals: Uint32Array.from(found), levels: Uint16Array.from(depths) };
}

/** Walks the nodes whose bit is set, unsetting it. */
function* preorder(search: BreadthFirst, pending: Int32Array): Generator<number> {
  const { image, walk } = search;
  const sides = sidesOf(image, walk.direction);
  const mask = image.nodeMask;
  for (const start of search.starts) {
    const stack: { node: number; side: number; at: number }[] = [];
    const enter = (node: number): boolean => {
      const bit = 1 << (node & 31);
      if ((pending[node >>> 5]! & bit) === 0) return false;
      pending[node >>> 5]! &= ~bit;
      stack.push({ node, side: 0, at: sides[0]!.starts[node]! });
      return true;
    };
    if (enter(start)) yield start;
    while (stack.length > 0) {
      const top = stack.at(-1)!;
      const side = sides[top.side]!;
      const end = side.ends[top.node]!;
      const at = nextEdge(side, top.at, end, image.nodeBits, walk);
      top.at = at + 1;
      if (at < end) {
        const neighbour = side.words[at]! & mask;
        if (enter(neighbour)) yield neighbour;
      } else if (top.side + 1 < sides.length) {
        top.side++;
        top.at = sides[top.side]!.starts[top.node]!;
      } else {
        stack.pop();
      }
    }
  }
}

function unselected(search: BreadthFirst, scratch: Scratch, progress: Progress): Selected {
  const { limit } = search;
  const { queue } = scratch;
  const levels: number[] = [];
  let from = 0;
  let to = (progress.tail = enqueueStarts(search.starts, scratch));
  levels.push(to);
  for (let depth = 0; depth < search.maxDepth && from < to && to < limit; depth++) {
    search.signal?.throwIfAborted();
    expand(search, scratch, progress, from, to, limit);
    from = to;
    to = progress.tail;
    levels.push(to);
  }
  const count = Math.min(to, limit);
  return { ordinals: queue.slice(0, count), levels: levels.map((end) => Math.min(end, count)) };
}

function selected(search: BreadthFirst, select: Select, scratch: Scratch, progress: Progress): Selected {
  const { limit } = search;
  const { queue } = scratch;
  const found: number[] = [];
  const levels: number[] = [];
  let from = 0;
  let to = (progress.tail = enqueueStarts(search.starts, scratch));
  for (let depth = 0; ; depth++) {
    search.signal?.throwIfAborted();
    for (let at = from; at < to && found.length < limit; at++) if (select(queue[at]!)) found.push(queue[at]!);
    levels.push(found.length);
    if (depth === search.maxDepth || from === to || found.length >= limit) break;
    expand(search, scratch, progress, from, to, Infinity);
    from = to;
    to = progress.tail;
  }
  return { ordinals: Uint32Array.from(found), levels };
}

/** Appends the level after queue[from .. to). */
function expand(
  { image, walk, mode }: BreadthFirst,
  scratch: Scratch,
  progress: Progress,
  from: number,
  to: number,
  stopAt: number,
): void {
  const { queue, visited } = scratch;
  const level = { image, walk, scratch, from, to };
  // A limit is soon reached: only the sparse way can stop in the middle of a level.
  let chosen = stopAt !== Infinity ? 'sparse' : mode === 'auto' ? cheapestMode(level) : mode;
  if (chosen === 'bottom-up' && !isLoaded(image, walk)) {
    progress.missedSide = true;
    chosen = 'dense';
  }
  progress.modes[chosen]++;
  if (chosen === 'bottom-up') {
    progress.tail = expandBottomUp(level);
  } else if (chosen === 'dense') {
    progress.tail = expandDense(level);
  } else {
    for (const side of sidesOf(image, walk.direction)) {
      progress.tail = expandLevel(image, side, walk, queue, visited, from, to, progress.tail, stopAt);
    }
  }
}

function enqueueStarts(starts: readonly number[], { queue, visited }: Scratch): number {
  let tail = 0;
  for (const start of starts) {
    const bit = 1 << (start & 31);
    if ((visited[start >>> 5]! & bit) !== 0) continue;
    visited[start >>> 5]! |= bit;
    queue[tail++] = start;
  }
  return tail;
}

function depthsOf(levels: readonly number[] | Uint16Array, count: number): Uint8Array | Uint16Array {
  if (levels instanceof Uint16Array) return levels;
  const depths = levels.length <= 256 ? new Uint8Array(count) : new Uint16Array(count);
  for (let depth = 1; depth < levels.length; depth++) depths.fill(depth, levels[depth - 1], levels[depth]);
  return depths;
}
