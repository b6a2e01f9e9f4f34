// The graph in memory: everything a traversal reads, nothing else. No content, no embeddings.
//
// One image is the state after a prefix of the change log. Local writes, changes of other processes and loading all
// go through the same operations here, so there is one place where memory can be wrong and one place to test.

import { Adjacency } from './adjacency.ts';
import type { EdgeColumns } from './adjacency.ts';
import { GraphError } from './errors.ts';
import { IdTable } from './id-table.ts';

/** Bits of a word that hold the neighbour; the rest hold the edge type. 16.7 million nodes, 256 types to begin with. */
const DEFAULT_NODE_BITS = 24;
const MAX_NODE_BITS = 31;

export const PLAIN_EDGE: EdgeColumns = { weight: 1, validFromMs: -Infinity, validToMs: Infinity };

export class GraphImage {
  readonly ids: IdTable = new IdTable();
  out: Adjacency = Adjacency.empty();
  in: Adjacency = Adjacency.empty();
  /** Type of each node by ordinal. */
  nodeTypes: Uint32Array = new Uint32Array(16);
  /** Confidence by ordinal, from the first node whose confidence is not 1. */
  confidences: Float64Array | undefined;
  nodeBits: number = DEFAULT_NODE_BITS;
  #alive = new Int32Array(1);
  #nodes = 0;
  #edges = 0;
  #typeCount = 1;

  /** Ordinals in use or used: every ordinal is below it. */
  get ordinals(): number {
    return this.ids.count;
  }

  get nodes(): number {
    return this.#nodes;
  }

  get edges(): number {
    return this.#edges;
  }

  get nodeMask(): number {
    return 2 ** this.nodeBits - 1;
  }

  get sizeBytes(): number {
    return (
      this.out.sizeBytes +
      this.in.sizeBytes +
      this.ids.sizeBytes +
      this.ordinals * 4 +
      (this.confidences === undefined ? 0 : this.ordinals * 8) +
      this.ordinals / 8
    );
  }

  /** The key the next node gets; keys are never reused. */
  get nextKey(): number {
    return this.ordinals;
  }

  /** The key under which the database knows an ordinal. */
  keyOf(ordinal: number): number {
    return ordinal;
  }

  /** The ordinal of a key, or -1 when this image has not seen it. */
  ordinalOfKey(key: number): number {
    return key < this.ordinals ? key : -1;
  }

  isAlive(ordinal: number): boolean {
    return ((this.#alive[ordinal >>> 5] ?? 0) & (1 << (ordinal & 31))) !== 0;
  }

  confidenceOf(ordinal: number): number {
    return this.confidences === undefined ? 1 : this.confidences[ordinal]!;
  }

  word(type: number, ordinal: number): number {
    return ((type << this.nodeBits) | ordinal) >>> 0;
  }

  /** Makes sure that words can hold this many ordinals and edge types. */
  reserve(ordinals: number, edgeTypes: number): void {
    this.#typeCount = Math.max(this.#typeCount, edgeTypes);
    const nodeBits = Math.max(1, bitsFor(ordinals));
    const typeBits = bitsFor(this.#typeCount);
    if (nodeBits <= this.nodeBits && typeBits <= 32 - this.nodeBits) return;
    if (nodeBits + typeBits > 32 || nodeBits > MAX_NODE_BITS) {
      throw new GraphError(
        'ERR_PERF_GRAPH_TOO_LARGE',
        `${ordinals} nodes with ${this.#typeCount} edge types do not fit: their bits must sum to at most 32`,
      );
    }
    const toBits = Math.min(MAX_NODE_BITS, Math.max(nodeBits, Math.min(DEFAULT_NODE_BITS, 32 - typeBits)));
    this.out.reencode(this.nodeBits, toBits);
    this.in.reencode(this.nodeBits, toBits);
    this.nodeBits = toBits;
  }

  /** Gives the next ordinal to a node. */
  addNode(id: string, type: number, confidence: number): number {
    this.reserve(this.ordinals + 1, 0);
    const ordinal = this.ids.append(id);
    this.#ensureNodeArrays(ordinal + 1);
    this.#setAlive(ordinal);
    this.setNode(ordinal, type, confidence);
    this.#nodes++;
    return ordinal;
  }

  /** Gives the next ordinal to nobody. */
  addHole(): void {
    this.reserve(this.ordinals + 1, 0);
    this.#ensureNodeArrays(this.ids.appendHole() + 1);
  }

  setNode(ordinal: number, type: number, confidence: number): void {
    this.nodeTypes[ordinal] = type;
    if (this.confidences === undefined && confidence !== 1) {
      this.confidences = new Float64Array(this.nodeTypes.length).fill(1);
    }
    if (this.confidences !== undefined) this.confidences[ordinal] = confidence;
  }

  /** Takes the last `addNode` back. The node must have no edges. */
  removeLastNode(): void {
    const ordinal = this.ordinals - 1;
    this.#clearAlive(ordinal);
    this.ids.removeLast();
    this.out.truncateRows(ordinal);
    this.in.truncateRows(ordinal);
    this.#nodes--;
  }

  /** Removes a node whose edges are gone already. */
  removeNode(ordinal: number): void {
    this.#clearAlive(ordinal);
    this.ids.remove(ordinal);
    this.#nodes--;
  }

  /** Takes `removeNode` back. */
  restoreNode(ordinal: number): void {
    this.#setAlive(ordinal);
    this.ids.restore(ordinal);
    this.#nodes++;
  }

  /** Inserts or updates; true when the edge is new. */
  putEdge(source: number, type: number, target: number, columns: EdgeColumns): boolean {
    const isNew = this.out.put(source, this.word(type, target), columns);
    this.in.put(target, this.word(type, source), columns);
    if (isNew) this.#edges++;
    return isNew;
  }

  /** False when there is no such edge. */
  removeEdge(source: number, type: number, target: number): boolean {
    if (!this.out.remove(source, this.word(type, target))) return false;
    this.in.remove(target, this.word(type, source));
    this.#edges--;
    return true;
  }

  /** What the edge carries, or undefined when there is none. */
  edgeColumns(source: number, type: number, target: number): EdgeColumns | undefined {
    const at = this.out.find(source, this.word(type, target));
    return at === -1 ? undefined : this.out.columnsAt(at);
  }

  /** The edges of one row as [type, neighbour], copied. */
  rowOf(adjacency: Adjacency, ordinal: number): readonly (readonly [type: number, neighbour: number])[] {
    const row: [number, number][] = [];
    const mask = this.nodeMask;
    for (let i = adjacency.starts[ordinal]!, end = adjacency.ends[ordinal]!; i < end; i++) {
      const word = adjacency.words[i]!;
      row.push([word >>> this.nodeBits, word & mask]);
    }
    return row;
  }

  /** Gives back the space of rows that moved. */
  compact(): void {
    this.out = this.out.compacted();
    this.in = this.in.compacted();
  }

  #setAlive(ordinal: number): void {
    this.#alive[ordinal >>> 5]! |= 1 << (ordinal & 31);
  }

  #clearAlive(ordinal: number): void {
    this.#alive[ordinal >>> 5]! &= ~(1 << (ordinal & 31));
  }

  #ensureNodeArrays(count: number): void {
    this.out.ensureRows(count);
    this.in.ensureRows(count);
    if (count <= this.nodeTypes.length) {
      if (count > this.#alive.length * 32) this.#growAlive();
      return;
    }
    const types = new Uint32Array(Math.ceil(count * 1.5));
    types.set(this.nodeTypes);
    this.nodeTypes = types;
    if (this.confidences !== undefined) {
      const confidences = new Float64Array(types.length).fill(1);
      confidences.set(this.confidences);
      this.confidences = confidences;
    }
    if (count > this.#alive.length * 32) this.#growAlive();
  }

  #growAlive(): void {
    const alive = new Int32Array(this.#alive.length * 2);
    alive.set(this.#alive);
    this.#alive = alive;
  }
}

/** Bits that hold every value below `count`. */
function bitsFor(count: number): number {
  return count <= 1 ? 0 : 32 - Math.clz32(count - 1);
}
