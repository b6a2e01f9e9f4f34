// The large graph of the benchmarks: R-MAT (Chakrabarti, Zhan, Faloutsos, SDM 2004), the usual model of graphs with a
// few hubs and many leaves. Seeded, so every run has the same one.

export interface EdgeList {
  readonly nodes: number;
  readonly sources: Uint32Array;
  readonly targets: Uint32Array;
}

const A = 0.57;
const B = 0.19;
const C = 0.19;

/** Distinct directed edges without loops between `nodes` nodes, ids permuted. */
export function rmat(nodes: number, edges: number, seed = 42): EdgeList {
  const random = mulberry32(seed);
  const levels = Math.ceil(Math.log2(nodes));
  const label = permutation(nodes, random);
  const seen = new PairSet(edges);
  const sources = new Uint32Array(edges);
  const targets = new Uint32Array(edges);
  for (let count = 0; count < edges;) {
    let source = 0;
    let target = 0;
    for (let level = 0; level < levels; level++) {
      const at = random();
      source = source * 2 + (at >= A + B ? 1 : 0);
      target = target * 2 + ((at >= A && at < A + B) || at >= A + B + C ? 1 : 0);
    }
    if (source >= nodes || target >= nodes || source === target || !seen.add(source, target)) continue;
    sources[count] = label[source] ?? 0;
    targets[count] = label[target] ?? 0;
    count++;
  }
  return { nodes, sources, targets };
}

export function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function permutation(count: number, random: () => number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, at) => at);
  for (let at = count - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    const held = order[at] ?? 0;
    order[at] = order[other] ?? 0;
    order[other] = held;
  }
  return order;
}

/** A set of pairs of integers, open addressing. */
class PairSet {
  readonly #firsts: Uint32Array;
  readonly #seconds: Uint32Array;

  constructor(capacity: number) {
    const slots = 2 ** Math.ceil(Math.log2(capacity * 2));
    this.#firsts = new Uint32Array(slots);
    this.#seconds = new Uint32Array(slots);
  }

  /** False when the pair was there. */
  add(first: number, second: number): boolean {
    const mask = this.#firsts.length - 1;
    let slot = (Math.imul(first, 0x9e3779b1) ^ Math.imul(second, 0x85ebca6b)) >>> 0;
    for (slot = (slot ^ (slot >>> 15)) & mask; this.#firsts[slot] !== 0; slot = (slot + 1) & mask) {
      if (this.#firsts[slot] === first + 1 && this.#seconds[slot] === second) return false;
    }
    this.#firsts[slot] = first + 1;
    this.#seconds[slot] = second;
    return true;
  }
}
