// Finished traversals, kept while they are certainly still right.
//
// An entry remembers the versions it was made from: of the edge types it walked (all edges when it walked all), and of
// the nodes when it selected by what a node is. Every change of the image moves exactly the versions it touches, so
// an edge of one type leaves traversals along others alone. Nothing expires by time, nothing is ever guessed.
//
// Starts are in the key as ordinals: a start that is created, or deleted and made anew, is another key.

import { LRUCache } from 'lru-cache';
import type { GraphImage } from './graph-image.ts';
import type { CacheStats } from './node-reader.ts';
import type { Found } from './traversal.ts';
import type { Selection, TraverseOptions, Walk } from './traverse-options.ts';

/** Cheaper traversals are not worth an entry: looking one up costs as much as reaching so many nodes. */
export const MIN_CACHED_VISITS = 512;
const ENTRY_OVERHEAD_BYTES = 512;

interface Entry {
  readonly found: Found;
  readonly image: GraphImage;
  readonly edgeVersion: number;
  readonly nodeVersion: number;
}

/** What a traversal depends on. */
export interface Dependencies {
  readonly image: GraphImage;
  readonly edgeTypes: Uint32Array | undefined;
  /** Whether nodes are selected by type or confidence. */
  readonly readsNodes: boolean;
}

export class TraversalCache {
  readonly #entries: LRUCache<string, Entry>;
  #hits = 0;
  #misses = 0;

  constructor(maxBytes: number) {
    this.#entries = new LRUCache({ maxSize: maxBytes, sizeCalculation: bytesOf });
  }

  get stats(): CacheStats {
    const { size, calculatedSize } = this.#entries;
    return { hits: this.#hits, misses: this.#misses, entries: size, sizeBytes: calculatedSize };
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** Whether `get` would answer. */
  has(key: string, on: Dependencies): boolean {
    const entry = this.#entries.peek(key);
    return entry !== undefined && isCurrent(entry, on);
  }

  /** A copy of the finished traversal, if nothing that it depends on has changed. */
  get(key: string, on: Dependencies): Found | undefined {
    const entry = this.#entries.get(key);
    if (entry !== undefined && isCurrent(entry, on)) {
      this.#hits++;
      return copyOf(entry.found);
    }
    if (entry !== undefined) this.#entries.delete(key);
    this.#misses++;
    return undefined;
  }

  set(key: string, found: Found, on: Dependencies): void {
    this.#entries.set(key, {
      found: copyOf(found),
      image: on.image,
      edgeVersion: on.image.edgeVersion(on.edgeTypes),
      nodeVersion: on.image.nodeVersion,
    });
  }
}

/** Everything that tells one traversal from another, versions apart. */
export function cacheKey(
  walk: Walk,
  selection: Selection,
  starts: readonly number[],
  o: TraverseOptions,
): string {
  const nodeTypes = selection.nodeTypes === undefined ? '*' : [...selection.nodeTypes].join();
  const edgeTypes = walk.edgeTypes === undefined ? '*' : walk.edgeTypes.join();
  const { minConfidence, limit } = selection;
  const order = o.strategy === 'dfs' ? 'dfs' : 'bfs';
  return `${walk.direction} ${o.maxDepth} ${order} ${limit} ${minConfidence} ${edgeTypes} ${nodeTypes} ${walk.validAtMs} ${starts.join()}`;
}

function isCurrent(entry: Entry, { image, edgeTypes, readsNodes }: Dependencies): boolean {
  if (entry.image !== image || entry.edgeVersion !== image.edgeVersion(edgeTypes)) return false;
  return !readsNodes || entry.nodeVersion === image.nodeVersion;
}

/** Callers get the array itself and may write to it. */
function copyOf(found: Found): Found {
  return { ...found, ordinals: found.ordinals.slice() };
}

function bytesOf({ found }: Entry): number {
  const levels = found.levels instanceof Uint16Array ? found.levels.byteLength : 0;
  return ENTRY_OVERHEAD_BYTES + found.ordinals.byteLength + levels;
}
