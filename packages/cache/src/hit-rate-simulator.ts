/** Replays key traces (get, then set on a miss, starting cold) and computes what no policy can exceed. */
import { MemoryCache } from './memory-cache.ts';
import type { EvictionPolicy } from './memory-cache.ts';

export interface SimulatedCell {
  readonly capacity: number;
  /** Hits per policy. */
  readonly hits: Readonly<Record<EvictionPolicy, number>>;
  /** Hits of Belady's optimum with bypass: whoever is used furthest in the future goes, or is not kept at all. */
  readonly optimum: number;
}

const POLICIES: readonly EvictionPolicy[] = ['adaptive', 'lru', 'lfu', 's3fifo'];

/** One cell per capacity. O(accesses) per policy, O(accesses log capacity) for the optimum. */
export function simulate(
  keys: Uint32Array,
  capacities: readonly number[],
  random: () => number,
): SimulatedCell[] {
  return capacities.map((capacity) => {
    const hits: Record<EvictionPolicy, number> = { adaptive: 0, lru: 0, lfu: 0, s3fifo: 0 };
    for (const policy of POLICIES) {
      hits[policy] = replay(keys, new MemoryCache<number, true>({ maxEntries: capacity, policy, random }));
    }
    return { capacity, hits, optimum: optimalHits(keys, capacity) };
  });
}

/** Hits of a read-through replay. */
export function replay(keys: Uint32Array, cache: MemoryCache<number, true>): number {
  let hits = 0;
  for (const key of keys) {
    if (cache.get(key) === undefined) cache.set(key, true);
    else hits++;
  }
  return hits;
}

/**
 * Belady's MIN with bypass (L. Belady, "A study of replacement algorithms for virtual-storage computers", IBM Systems
 * Journal 5, 1966). The resident keys are in a heap by next use; entries that a later use has overtaken are skipped.
 */
export function optimalHits(keys: Uint32Array, capacity: number): number {
  const nextUse = nextUses(keys);
  const resident = new Map<number, number>();
  const heap = new FurthestFirst();
  let hits = 0;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    const next = nextUse[i]!;
    if (resident.has(key)) hits++;
    else if (next === NEVER) continue;
    resident.set(key, next);
    heap.push(next, key);
    while (resident.size > capacity) {
      const { use, key: furthest } = heap.pop();
      if (resident.get(furthest) === use) resident.delete(furthest);
    }
  }
  return hits;
}

const NEVER = 0xffffffff;

function nextUses(keys: Uint32Array): Uint32Array {
  const next = new Uint32Array(keys.length);
  const seen = new Map<number, number>();
  for (let i = keys.length - 1; i >= 0; i--) {
    next[i] = seen.get(keys[i]!) ?? NEVER;
    seen.set(keys[i]!, i);
  }
  return next;
}

/** A binary max-heap of (next use, key) in two parallel arrays. */
class FurthestFirst {
  readonly #uses: number[] = [];
  readonly #keys: number[] = [];

  push(use: number, key: number): void {
    let at = this.#uses.push(use) - 1;
    this.#keys.push(key);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#uses[parent]! >= this.#uses[at]!) break;
      this.#swap(parent, at);
      at = parent;
    }
  }

  pop(): { readonly use: number; readonly key: number } {
    const last = this.#uses.length - 1;
    this.#swap(0, last);
    const use = this.#uses.pop()!;
    const key = this.#keys.pop()!;
    for (let at = 0; ;) {
      let child = 2 * at + 1;
      if (child >= last) break;
      if (child + 1 < last && this.#uses[child + 1]! > this.#uses[child]!) child++;
      if (this.#uses[at]! >= this.#uses[child]!) break;
      this.#swap(at, child);
      at = child;
    }
    return { use, key };
  }

  #swap(a: number, b: number): void {
    const use = this.#uses[a]!;
    const key = this.#keys[a]!;
    this.#uses[a] = this.#uses[b]!;
    this.#keys[a] = this.#keys[b]!;
    this.#uses[b] = use;
    this.#keys[b] = key;
  }
}
