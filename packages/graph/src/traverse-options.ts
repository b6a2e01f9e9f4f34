import type { GraphNode } from './inputs.ts';
import type { TypeTable } from './type-table.ts';

export type Direction = 'out' | 'in' | 'both';
export type Strategy = 'auto' | 'bfs' | 'dfs';

export interface TraverseOptions {
  /** 0 to 65,535 hops. */
  readonly maxDepth: number;
  /** Default `'out'`. */
  readonly direction?: Direction | undefined;
  /** Edges to walk; default all. */
  readonly edgeTypes?: readonly string[] | undefined;
  /** Nodes to return; the others are walked through all the same. Default all. */
  readonly nodeTypes?: readonly string[] | undefined;
  /** Nodes to return. Default 0. */
  readonly minConfidence?: number | undefined;
  /** Nodes to return. The node it gets reads content, metadata and embedding when they are asked for. */
  readonly filter?: ((node: GraphNode) => boolean) | undefined;
  /** Nodes returned at most, after selection. Default no limit. */
  readonly limit?: number | undefined;
  /** `'dfs'` returns the same nodes in depth-first preorder. Default `'auto'`: breadth-first, the fastest way. */
  readonly strategy?: Strategy | undefined;
  /** Walks only edges valid at this time. Default all edges. */
  readonly validAtMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How edges are walked: options of every search, checked. */
export interface Walk {
  readonly direction: Direction;
  /** Keys of the types to walk, ascending; undefined for all. */
  readonly edgeTypes: Uint32Array | undefined;
  readonly validAtMs: number | undefined;
}

/** Which nodes are returned. */
export interface Selection {
  /** Keys of the types to return; undefined for all. */
  readonly nodeTypes: ReadonlySet<number> | undefined;
  readonly minConfidence: number;
  readonly filter: ((node: GraphNode) => boolean) | undefined;
  readonly limit: number;
}

export const MAX_DEPTH = 65_535;

export function checkDepth(name: string, depth: number): void {
  if (typeof depth !== 'number') throw new TypeError(`${name} must be a number`);
  if (!Number.isInteger(depth) || depth < 0 || depth > MAX_DEPTH) {
    throw new RangeError(`${name} must be an integer from 0 to ${MAX_DEPTH}`);
  }
}

export interface WalkOptions {
  readonly direction?: Direction | undefined;
  readonly edgeTypes?: readonly string[] | undefined;
  readonly validAtMs?: number | undefined;
}

export function walkOf(o: WalkOptions, edgeTypes: TypeTable, fallback: Direction = 'out'): Walk {
  const direction = o.direction ?? fallback;
  if (direction !== 'out' && direction !== 'in' && direction !== 'both') {
    throw new RangeError(`direction must be 'out', 'in' or 'both'`);
  }
  if (o.validAtMs !== undefined) checkNumber('validAtMs', o.validAtMs);
  const keys = typeKeys('edgeTypes', o.edgeTypes, edgeTypes);
  return {
    direction,
    edgeTypes: keys === undefined ? undefined : Uint32Array.from(keys).sort(),
    validAtMs: o.validAtMs,
  };
}

export function selectionOf(o: TraverseOptions, nodeTypes: TypeTable): Selection {
  const minConfidence = o.minConfidence ?? 0;
  checkNumber('minConfidence', minConfidence);
  if (o.filter !== undefined && typeof o.filter !== 'function')
    throw new TypeError('filter must be a function');
  const limit = o.limit ?? Infinity;
  checkNumber('limit', limit);
  if (limit !== Infinity && (!Number.isInteger(limit) || limit < 0)) {
    throw new RangeError('limit must be an integer of at least 0');
  }
  const strategy = o.strategy ?? 'auto';
  if (strategy !== 'auto' && strategy !== 'bfs' && strategy !== 'dfs') {
    throw new RangeError(`strategy must be 'auto', 'bfs' or 'dfs'`);
  }
  return { nodeTypes: typeKeys('nodeTypes', o.nodeTypes, nodeTypes), minConfidence, filter: o.filter, limit };
}

/** Keys of the known names; a name nobody used selects nothing. */
function typeKeys(
  option: string,
  names: readonly string[] | undefined,
  table: TypeTable,
): Set<number> | undefined {
  if (names === undefined) return undefined;
  if (!Array.isArray(names)) throw new TypeError(`${option} must be an array of strings`);
  const keys = new Set<number>();
  for (const name of names as readonly unknown[]) {
    if (typeof name !== 'string') throw new TypeError(`${option} must be an array of strings`);
    const key = table.keyOf(name);
    if (key !== undefined) keys.add(key);
  }
  return keys;
}

function checkNumber(name: string, value: number): void {
  if (typeof value !== 'number' || Number.isNaN(value)) throw new TypeError(`${name} must be a number`);
}
