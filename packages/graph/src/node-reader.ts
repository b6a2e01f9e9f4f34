// Whole nodes, from rows.

import type { GraphImage } from './graph-image.ts';
import type { GraphNode, Json } from './inputs.ts';
import type { NodeRow, Store } from './store.ts';
import type { TypeTable } from './type-table.ts';

export class NodeReader {
  readonly #store: Store;
  readonly #nodeTypes: TypeTable;

  constructor(store: Store, nodeTypes: TypeTable) {
    this.#store = store;
    this.#nodeTypes = nodeTypes;
  }

  /** The node with this key, or undefined. */
  one(key: number): GraphNode | undefined {
    const row = this.#store.node(key);
    return row === undefined ? undefined : this.#nodeOf(row);
  }

  /** The nodes with these keys, aligned with them. One statement. */
  many(keys: readonly number[]): (GraphNode | undefined)[] {
    const places = new Map(keys.map((key, at) => [key, at]));
    const nodes = new Array<GraphNode | undefined>(keys.length).fill(undefined);
    for (const row of this.#store.nodes(keys)) nodes[places.get(row.key)!] = this.#nodeOf(row);
    return nodes;
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

/** Copies, because SQLite's buffer may not be aligned. */
function floatsOf(bytes: Buffer): Float32Array {
  const floats = new Float32Array(bytes.length >>> 2);
  Buffer.from(floats.buffer).set(bytes.subarray(0, floats.byteLength));
  return floats;
}
