// Whole nodes, from rows; rows from a cache of bounded size.
//
// Rows are cached, not nodes: what a caller gets is made for it and is its own to change.

import { LRUCache } from 'lru-cache';
import type { GraphImage } from './graph-image.ts';
import type { GraphNode, Json } from './inputs.ts';
import type { NodeRow, Store } from './store.ts';
import type { TypeTable } from './type-table.ts';

/** What an entry costs beyond its strings and bytes, roughly: the row, its key, the links of the cache. */
const ROW_OVERHEAD_BYTES = 256;
const PAGE_ROWS = 512;

export interface CacheStats {
  readonly hits: number;
  readonly misses: number;
  readonly entries: number;
  readonly sizeBytes: number;
}

export class NodeReader {
  readonly #store: Store;
  readonly #nodeTypes: TypeTable;
  readonly #rows: LRUCache<number, NodeRow> | undefined;
  #hits = 0;
  #misses = 0;

  /** `cacheBytes` 0 turns the cache off. */
  constructor(store: Store, nodeTypes: TypeTable, cacheBytes: number) {
    this.#store = store;
    this.#nodeTypes = nodeTypes;
    if (cacheBytes > 0) this.#rows = new LRUCache({ maxSize: cacheBytes, sizeCalculation: bytesOf });
  }

  get stats(): CacheStats {
    return {
      hits: this.#hits,
      misses: this.#misses,
      entries: this.#rows?.size ?? 0,
      sizeBytes: this.#rows?.calculatedSize ?? 0,
    };
  }

  /** The row of this key may have changed. */
  forget(key: number): void {
    this.#rows?.delete(key);
  }

  forgetAll(): void {
    this.#rows?.clear();
  }

  /** The node with this key, or undefined. */
  one(key: number): GraphNode | undefined {
    const row = this.#cached(key) ?? this.#remember(key, this.#store.node(key));
    return row === undefined ? undefined : this.#nodeOf(row);
  }

  /** The nodes with these keys, aligned with them. One statement for those that are not cached. */
  many(keys: readonly number[]): (GraphNode | undefined)[] {
    const rows = keys.map((key) => this.#cached(key));
    const missing = keys.filter((_, at) => rows[at] === undefined);
    if (missing.length > 0) {
      const found = new Map(this.#store.nodes(missing).map((row) => [row.key, row]));
      keys.forEach((key, at) => {
        rows[at] ??= this.#remember(key, found.get(key));
      });
    }
    return rows.map((row) => (row === undefined ? undefined : this.#nodeOf(row)));
  }

  /** The same without filling the cache: for streams, which would only push everything else out. */
  manyUncached(keys: readonly number[]): (GraphNode | undefined)[] {
    const found = new Map(this.#store.nodes(keys).map((row) => [row.key, row]));
    return keys.map((key) => {
      const row = found.get(key);
      return row === undefined ? undefined : this.#nodeOf(row);
    });
  }

  /** Every node, by ascending key, a page at a time. */
  *all(): Generator<GraphNode> {
    for (let after = -1; ;) {
      const rows = this.#store.scanWholeNodes(after, PAGE_ROWS);
      for (const row of rows) yield this.#nodeOf(row);
      if (rows.length < PAGE_ROWS) return;
      after = rows.at(-1)?.key ?? after;
    }
  }

  /** What a filter gets: the row is read when content, metadata, embedding or time is asked for. */
  lazy(image: GraphImage, ordinal: number): GraphNode {
    const type = this.#nodeTypes.nameOf(image.nodeTypes[ordinal]!);
    const read = (): GraphNode | undefined => this.one(image.keyOf(ordinal));
    return new LazyNode(
      image.ids.idOf(ordinal),
      type,
      image.confidenceOf(ordinal),
      read,
    ) as unknown as GraphNode;
  }

  #cached(key: number): NodeRow | undefined {
    const row = this.#rows?.get(key);
    if (row === undefined) this.#misses++;
    else this.#hits++;
    return row;
  }

  #remember(key: number, row: NodeRow | undefined): NodeRow | undefined {
    if (row !== undefined) this.#rows?.set(key, row);
    return row;
  }

  #nodeOf(row: NodeRow): GraphNode {
    return {
      id: row.id,
      type: this.#nodeTypes.nameOf(row.type),
      confidence: row.confidence,
      createdAtMs: row.createdAtMs,
      ...(row.content !== null && { content: row.content }),
      ...(row.metadata !== null && { metadata: JSON.parse(row.metadata) as Json }),
      ...(row.embedding !== null && { embedding: floatsOf(row.embedding) }),
    };
  }
}

class LazyNode {
  readonly id: string;
  readonly type: string;
  readonly confidence: number;
  readonly #read: () => GraphNode | undefined;
  #whole: GraphNode | undefined;

  constructor(id: string, type: string, confidence: number, read: () => GraphNode | undefined) {
    this.id = id;
    this.type = type;
    this.confidence = confidence;
    this.#read = read;
  }

  get createdAtMs(): number | undefined {
    return this.#row?.createdAtMs;
  }

  get content(): string | undefined {
    return this.#row?.content;
  }

  get metadata(): Json | undefined {
    return this.#row?.metadata;
  }

  get embedding(): Float32Array | undefined {
    return this.#row?.embedding;
  }

  get #row(): GraphNode | undefined {
    this.#whole ??= this.#read();
    return this.#whole;
  }
}

function bytesOf(row: NodeRow): number {
  const characters = row.id.length + (row.content?.length ?? 0) + (row.metadata?.length ?? 0);
  return ROW_OVERHEAD_BYTES + 2 * characters + (row.embedding?.length ?? 0);
}

/** Copies, because SQLite's buffer may not be aligned and belongs to the cache. */
function floatsOf(bytes: Buffer): Float32Array {
  const floats = new Float32Array(bytes.length >>> 2);
  Buffer.from(floats.buffer).set(bytes.subarray(0, floats.byteLength));
  return floats;
}
