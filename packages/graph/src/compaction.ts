// Building a second, dense image while the first stays in use.
//
// The copy is made in slices, and the old image may change between them. What the new image is at the end is "fuzzy":
// nodes are those alive at the first slice, each row is as it was when it was copied. Applying every change logged
// since the first slice makes it exact, because a change says what an edge or a node now is, not what was done to it,
// and so can be applied to a state that has it already. (Fuzzy checkpoints with redo: Mohan et al., ARIES, TODS 1992.)

import { MISSING } from './adjacency.ts';
import type { RowCopy } from './adjacency.ts';
import { bitsFor, DEFAULT_NODE_BITS, GraphImage } from './graph-image.ts';
import type { NodeOrder } from './graph-image.ts';

/** Runs to the end when nobody waits in between; otherwise slice by slice. */
export function* compactionSteps(old: GraphImage, nodeOrder: NodeOrder): Generator<void, GraphImage> {
  const count = old.ordinals;
  const typeCount = old.edgeTypeCount;
  const order = nodeOrder === 'in-degree' ? byInDegree(old, count) : byKey(old, count);
  yield;
  const newOf = new Uint32Array(count).fill(MISSING);
  for (let at = 0; at < order.length; at++) newOf[order[at]!] = at;
  yield;
  const nodeBits = Math.max(bitsFor(order.length + 1), Math.min(DEFAULT_NODE_BITS, 32 - bitsFor(typeCount)));
  const copy: RowCopy = {
    order,
    newOf,
    fromBits: () => old.nodeBits,
    toBits: nodeBits,
    typeCount,
    expectedWords: old.edges,
  };
  const out = yield* old.out.reordered(copy);
  const into = yield* old.in.reordered(copy);
  const ids = yield* old.ids.reordered(order);
  const nodeTypes = new Uint16Array(order.length);
  const confidences = old.confidences === undefined ? undefined : new Float64Array(order.length);
  const keys = new Uint32Array(order.length);
  let isIdentity = true;
  for (let at = 0; at < order.length; at++) {
    nodeTypes[at] = old.nodeTypes[order[at]!]!;
    if (confidences !== undefined) confidences[at] = old.confidenceOf(order[at]!);
    keys[at] = old.keyOf(order[at]!);
    if (keys[at] !== at) isIdentity = false;
  }
  return new GraphImage({
    out,
    in: into,
    ids,
    nodeTypes,
    confidences,
    keys: isIdentity ? undefined : keys,
    // Keys are never reused: the next one continues after those that this copy left out.
    nextKey: old.keyOf(count),
    nodeBits,
    edgeTypeCount: typeCount,
    edges: out.usedWords,
    nodeOrder,
  });
}

function byKey(image: GraphImage, count: number): Uint32Array {
  const order = new Uint32Array(image.nodes);
  let at = 0;
  const lastKey = count === 0 ? 0 : image.keyOf(count);
  for (let key = 0; key < lastKey; key++) {
    const ordinal = image.ordinalOfKey(key);
    if (ordinal !== -1 && ordinal < count && image.isAlive(ordinal)) order[at++] = ordinal;
  }
  return order;
}

/** Counting sort, descending; nodes of one degree keep their order. */
function byInDegree(image: GraphImage, count: number): Uint32Array {
  let largest = 0;
  for (let ordinal = 0; ordinal < count; ordinal++) largest = Math.max(largest, image.in.degree(ordinal));
  const places = new Uint32Array(largest + 2);
  for (let ordinal = 0; ordinal < count; ordinal++) {
    if (image.isAlive(ordinal)) places[largest - image.in.degree(ordinal) + 1]!++;
  }
  for (let at = 1; at < places.length; at++) places[at]! += places[at - 1]!;
  const order = new Uint32Array(image.nodes);
  for (let ordinal = 0; ordinal < count; ordinal++) {
    if (image.isAlive(ordinal)) order[places[largest - image.in.degree(ordinal)]!++] = ordinal;
  }
  return order;
}
