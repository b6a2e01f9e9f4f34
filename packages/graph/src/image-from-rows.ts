// The image from the tables: two ordered scans, two counting sorts.

import { Adjacency } from './adjacency.ts';
import { bitsFor, DEFAULT_NODE_BITS, GraphImage } from './graph-image.ts';
import { IdTable } from './id-table.ts';
import type { Store } from './store.ts';

const NO_ORDINAL = 0xffff_ffff;

interface NodeColumns {
  readonly ids: IdTable;
  readonly keys: Uint32Array;
  readonly types: Uint16Array;
  readonly confidences: Float64Array | undefined;
  readonly nextKey: number;
}

/** Edges in the order of their rows: by source, type, target. */
interface EdgeColumnsOfRows {
  readonly count: number;
  readonly sources: Uint32Array;
  readonly words: Uint32Array;
  readonly weights: Float64Array | undefined;
  readonly validFrom: Float64Array | undefined;
  readonly validTo: Float64Array | undefined;
}

export function imageFromRows(store: Store, edgeTypeCount: number): GraphImage {
  const nodes = scanNodes(store);
  const nodeBits = Math.max(
    bitsFor(nodes.ids.count + 1),
    Math.min(DEFAULT_NODE_BITS, 32 - bitsFor(edgeTypeCount)),
  );
  const edges = scanEdges(store, nodes, nodeBits);
  const isIdentity = nodes.keys.every((key, at) => key === at);
  return new GraphImage({
    ids: nodes.ids,
    nodeTypes: nodes.types,
    confidences: nodes.confidences,
    keys: isIdentity ? undefined : nodes.keys,
    nextKey: nodes.nextKey,
    nodeBits,
    edgeTypeCount,
    edges: edges.count,
    nodeOrder: 'key',
    out: sideOf(edges, nodes.ids.count, nodeBits, 'out'),
    in: sideOf(edges, nodes.ids.count, nodeBits, 'in'),
  });
}

function scanNodes(store: Store): NodeColumns {
  const ids = new IdTable();
  let keys = new Uint32Array(1024);
  let types = new Uint16Array(1024);
  let confidences: Float64Array | undefined;
  let nextKey = 0;
  for (const [key, id, type, confidence] of store.scanNodes()) {
    const at = ids.append(id);
    if (at === keys.length) {
      keys = grownTo(new Uint32Array(at * 2), keys);
      types = grownTo(new Uint16Array(at * 2), types);
      confidences &&= grownTo(new Float64Array(at * 2).fill(1), confidences);
    }
    keys[at] = key;
    types[at] = type;
    if (confidence !== 1) confidences ??= new Float64Array(keys.length).fill(1);
    if (confidences !== undefined) confidences[at] = confidence;
    nextKey = key + 1;
  }
  return {
    ids,
    keys: keys.slice(0, ids.count),
    types,
    confidences,
    nextKey: Math.max(nextKey, store.nextKey()),
  };
}

function scanEdges(store: Store, nodes: NodeColumns, nodeBits: number): EdgeColumnsOfRows {
  const ordinalOf = new Uint32Array(nodes.nextKey).fill(NO_ORDINAL);
  for (let at = 0; at < nodes.keys.length; at++) ordinalOf[nodes.keys[at]!] = at;
  let sources = new Uint32Array(4096);
  let words = new Uint32Array(4096);
  let weights: Float64Array | undefined;
  let validFrom: Float64Array | undefined;
  let validTo: Float64Array | undefined;
  let count = 0;
  for (const [source, type, target, weight, from, to] of store.scanEdges()) {
    if (count === sources.length) {
      sources = grownTo(new Uint32Array(count * 2), sources);
      words = grownTo(new Uint32Array(count * 2), words);
      weights &&= grownTo(new Float64Array(count * 2).fill(1), weights);
      validFrom &&= grownTo(new Float64Array(count * 2).fill(-Infinity), validFrom);
      validTo &&= grownTo(new Float64Array(count * 2).fill(Infinity), validTo);
    }
    sources[count] = ordinalOf[source]!;
    words[count] = (type << nodeBits) | ordinalOf[target]!;
    if (weight !== null) (weights ??= new Float64Array(words.length).fill(1))[count] = weight;
    if (from !== null || to !== null) {
      validFrom ??= new Float64Array(words.length).fill(-Infinity);
      validTo ??= new Float64Array(words.length).fill(Infinity);
      validFrom[count] = from ?? -Infinity;
      validTo[count] = to ?? Infinity;
    }
    count++;
  }
  return { count, sources, words, weights, validFrom, validTo };
}

/** Counting sort by the end of the edge that owns the row. */
function sideOf(edges: EdgeColumnsOfRows, nodes: number, nodeBits: number, side: 'out' | 'in'): Adjacency {
  const { count, sources, words } = edges;
  const mask = 2 ** nodeBits - 1;
  const offsets = new Uint32Array(nodes + 1);
  for (let i = 0; i < count; i++) offsets[(side === 'out' ? sources[i]! : words[i]! & mask) + 1]!++;
  for (let row = 0; row < nodes; row++) offsets[row + 1]! += offsets[row]!;
  const next = offsets.slice(0, nodes);
  const length = count + (count >>> 2) + 16;
  const placed = new Uint32Array(length);
  const column = (values: Float64Array | undefined): Float64Array | undefined =>
    values && new Float64Array(length);
  const weights = column(edges.weights);
  const validFrom = column(edges.validFrom);
  const validTo = column(edges.validTo);
  for (let i = 0; i < count; i++) {
    const row = side === 'out' ? sources[i]! : words[i]! & mask;
    const at = next[row]!++;
    placed[at] = side === 'out' ? words[i]! : ((words[i]! >>> nodeBits) << nodeBits) | sources[i]!;
    if (weights !== undefined) weights[at] = edges.weights![i]!;
    if (validFrom !== undefined && validTo !== undefined) {
      validFrom[at] = edges.validFrom![i]!;
      validTo[at] = edges.validTo![i]!;
    }
  }
  const adjacency = new Adjacency(offsets, placed, count);
  adjacency.weights = weights;
  adjacency.validFrom = validFrom;
  adjacency.validTo = validTo;
  // Sources come in order, but a row of targets may hold several types.
  adjacency.sortRows();
  return adjacency;
}

function grownTo<T extends Uint32Array | Uint16Array | Float64Array>(larger: T, values: T): T {
  larger.set(values);
  return larger;
}
