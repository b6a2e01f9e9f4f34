// The graph in memory: everything a traversal reads, nothing else. No content, no embeddings.
//
// One image is the state after a prefix of the change log. Local writes, changes of other processes and loading all
// go through the same operations here, so there is one place where memory can be wrong and one place to test.
//
// Keys and ordinals. The database knows a node by its key, which is never used again. Memory knows it by its ordinal,
// an index into arrays. A compaction makes ordinals dense and may reorder them; the image then has a base of
// `baseOrdinals` nodes for the keys below `baseKeys`, with `keys` to translate. Nodes added later continue both counts,
// so no table grows with them: ordinal = key - baseKeys + baseOrdinals.

import { Adjacency } from './adjacency.ts';
import type { EdgeColumns } from './adjacency.ts';
import { GraphError } from './errors.ts';
import { IdTable } from './id-table.ts';

/** Bits of a word that hold the neighbour; the rest hold the edge type. 16.7 million nodes, 256 types to begin with. */
export const DEFAULT_NODE_BITS = 24;
const MAX_NODE_BITS = 31;
const MAX_NODE_TYPES = 65_536;
const NO_ORDINAL = 0xffff_ffff;

/** `'in-degree'` gives the lowest ordinals to the nodes most edges lead to; `'key'` is the order of creation. */
export type NodeOrder = 'key' | 'in-degree';

/** A dense graph: every ordinal is a node. */
export interface ImageParts {
  /** A function is called when the side is first needed. */
  readonly out: Adjacency | (() => Adjacency);
  readonly in: Adjacency | (() => Adjacency);
  readonly ids: IdTable;
  readonly nodeTypes: Uint16Array;
  readonly confidences: Float64Array | undefined;
  /** Key of each ordinal; undefined when they are equal. */
  readonly keys: Uint32Array | undefined;
  readonly nextKey: number;
  readonly nodeBits: number;
  readonly edgeTypeCount: number;
  readonly edges: number;
  readonly nodeOrder: NodeOrder;
}

export class GraphImage {
  readonly ids: IdTable;
  /** Type of each node by ordinal. */
  nodeTypes: Uint16Array;
  /** Confidence by ordinal, from the first node whose confidence is not 1. */
  confidences: Float64Array | undefined;
  nodeBits: number;
  /** How the base ordinals were given. */
  readonly nodeOrder: NodeOrder;
  readonly #keys: Uint32Array | undefined;
  readonly #baseKeys: number;
  readonly #baseOrdinals: number;
  #out: Adjacency | (() => Adjacency);
  #in: Adjacency | (() => Adjacency);
  #ordinalOfKey: Uint32Array | undefined;
  #alive: Int32Array;
  #nodes: number;
  #edges: number;
  #edgeTypeCount: number;
  /** Moves with every change of what a selection reads. */
  nodeVersion = 0;
  /** Changes of edges, by type and in all. */
  #typeVersions: number[] = [];
  #allVersion = 0;

  constructor(parts?: ImageParts) {
    this.ids = parts?.ids ?? new IdTable();
    this.#out = parts?.out ?? Adjacency.empty();
    this.#in = parts?.in ?? Adjacency.empty();
    this.nodeTypes = parts?.nodeTypes ?? new Uint16Array(16);
    this.confidences = parts?.confidences;
    this.nodeBits = parts?.nodeBits ?? DEFAULT_NODE_BITS;
    this.nodeOrder = parts?.nodeOrder ?? 'key';
    this.#keys = parts?.keys;
    this.#baseKeys = parts?.nextKey ?? 0;
    this.#baseOrdinals = this.ids.count;
    this.#alive = allSet(this.#baseOrdinals);
    this.#nodes = this.#baseOrdinals;
    this.#edges = parts?.edges ?? 0;
    this.#edgeTypeCount = parts?.edgeTypeCount ?? 0;
  }

  /** Rows by source. */
  get out(): Adjacency {
    return typeof this.#out === 'function' ? (this.#out = this.#out()) : this.#out;
  }

  /** Rows by target. */
  get in(): Adjacency {
    return typeof this.#in === 'function' ? (this.#in = this.#in()) : this.#in;
  }

  /** Whether a side is in memory yet. */
  has(side: 'out' | 'in'): boolean {
    return typeof (side === 'out' ? this.#out : this.#in) !== 'function';
  }

  /** Every ordinal is below it; some may be of deleted nodes. */
  get ordinals(): number {
    return this.ids.count;
  }

  get nodes(): number {
    return this.#nodes;
  }

  get edges(): number {
    return this.#edges;
  }

  get edgeTypeCount(): number {
    return this.#edgeTypeCount;
  }

  /** Nodes that were there when the image was built. */
  get baseOrdinals(): number {
    return this.#baseOrdinals;
  }

  /** Key of each base ordinal; undefined when they are equal. */
  get keys(): Uint32Array | undefined {
    return this.#keys;
  }

  get nodeMask(): number {
    return 2 ** this.nodeBits - 1;
  }

  get sizeBytes(): number {
    return (
      this.out.sizeBytes +
      this.in.sizeBytes +
      this.ids.sizeBytes +
      this.nodeTypes.byteLength +
      (this.confidences?.byteLength ?? 0) +
      (this.#keys?.byteLength ?? 0) +
      (this.#ordinalOfKey?.byteLength ?? 0) +
      this.#alive.byteLength
    );
  }

  /** The key the next node gets; keys are never reused. */
  get nextKey(): number {
    return this.keyOf(this.ordinals);
  }

  /** The key under which the database knows an ordinal. */
  keyOf(ordinal: number): number {
    if (ordinal >= this.#baseOrdinals) return ordinal - this.#baseOrdinals + this.#baseKeys;
    return this.#keys === undefined ? ordinal : this.#keys[ordinal]!;
  }

  /** The ordinal of a key, or -1 when this image does not have it. */
  ordinalOfKey(key: number): number {
    if (key >= this.#baseKeys) {
      const ordinal = key - this.#baseKeys + this.#baseOrdinals;
      return ordinal < this.ordinals ? ordinal : -1;
    }
    if (this.#keys === undefined) return key < this.#baseOrdinals ? key : -1;
    this.#ordinalOfKey ??= inverse(this.#keys, this.#baseKeys);
    const ordinal = this.#ordinalOfKey[key]!;
    return ordinal === NO_ORDINAL ? -1 : ordinal;
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
    const typeCount = Math.max(this.#edgeTypeCount, edgeTypes);
    const nodeBits = Math.max(1, bitsFor(ordinals));
    const typeBits = bitsFor(typeCount);
    if (nodeBits > this.nodeBits || typeBits > 32 - this.nodeBits) {
      if (nodeBits + typeBits > 32 || nodeBits > MAX_NODE_BITS) {
        throw new GraphError(
          'ERR_PERF_GRAPH_TOO_LARGE',
          `${ordinals} nodes with ${typeCount} edge types do not fit: their bits must sum to at most 32`,
        );
      }
      const toBits = Math.min(MAX_NODE_BITS, Math.max(nodeBits, Math.min(DEFAULT_NODE_BITS, 32 - typeBits)));
      this.out.reencode(this.nodeBits, toBits);
      this.in.reencode(this.nodeBits, toBits);
      this.nodeBits = toBits;
    }
    this.#edgeTypeCount = typeCount;
  }

  /** @throws {GraphError} ERR_PERF_GRAPH_TOO_LARGE when there are more than 65,536 node types. */
  static checkNodeTypes(count: number): void {
    if (count > MAX_NODE_TYPES) {
      throw new GraphError('ERR_PERF_GRAPH_TOO_LARGE', `a graph has at most ${MAX_NODE_TYPES} node types`);
    }
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
    this.nodeVersion++;
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

  /** Inserts or updates; returns what the edge carried before, undefined when it is new. */
  putEdge(source: number, type: number, target: number, columns: EdgeColumns): EdgeColumns | undefined {
    const before = this.out.put(source, this.word(type, target), columns);
    this.in.put(target, this.word(type, source), columns);
    if (before === undefined) this.#edges++;
    if (before === undefined || !sameColumns(before, columns)) this.#edgeChanged(type);
    return before;
  }

  /** False when there is no such edge. A fuzzy copy may have it on one side only, so both are looked at. */
  removeEdge(source: number, type: number, target: number): boolean {
    const removed = this.out.remove(source, this.word(type, target));
    this.in.remove(target, this.word(type, source));
    if (removed) this.#edges--;
    if (removed) this.#edgeChanged(type);
    return removed;
  }

  /** A number that differs from an earlier one exactly when an edge of these types, or of any, has changed since. */
  edgeVersion(types: Uint32Array | undefined): number {
    if (types === undefined) return this.#allVersion;
    let sum = 0;
    for (const type of types) sum += this.#typeVersions[type] ?? 0;
    return sum;
  }

  #edgeChanged(type: number): void {
    this.#allVersion++;
    this.#typeVersions[type] = (this.#typeVersions[type] ?? 0) + 1;
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

  #setAlive(ordinal: number): void {
    this.#alive[ordinal >>> 5]! |= 1 << (ordinal & 31);
  }

  #clearAlive(ordinal: number): void {
    this.#alive[ordinal >>> 5]! &= ~(1 << (ordinal & 31));
  }

  #ensureNodeArrays(count: number): void {
    this.out.ensureRows(count);
    this.in.ensureRows(count);
    if (count > this.#alive.length * 32) {
      const alive = new Int32Array(this.#alive.length * 2 + 1);
      alive.set(this.#alive);
      this.#alive = alive;
    }
    if (count <= this.nodeTypes.length) return;
    const types = new Uint16Array(Math.ceil(count * 1.5));
    types.set(this.nodeTypes);
    this.nodeTypes = types;
    if (this.confidences === undefined) return;
    const confidences = new Float64Array(types.length).fill(1);
    confidences.set(this.confidences);
    this.confidences = confidences;
  }
}

function sameColumns(a: EdgeColumns, b: EdgeColumns): boolean {
  return a.weight === b.weight && a.validFromMs === b.validFromMs && a.validToMs === b.validToMs;
}

/** Bits that hold every value below `count`. */
export function bitsFor(count: number): number {
  return count <= 1 ? 0 : 32 - Math.clz32(count - 1);
}

function allSet(count: number): Int32Array {
  const bits = new Int32Array((count >>> 5) + 1).fill(-1);
  bits[count >>> 5] = (1 << (count & 31)) - 1;
  return bits;
}

function inverse(keys: Uint32Array, count: number): Uint32Array {
  const ordinals = new Uint32Array(count).fill(NO_ORDINAL);
  for (let ordinal = 0; ordinal < keys.length; ordinal++) ordinals[keys[ordinal]!] = ordinal;
  return ordinals;
}
