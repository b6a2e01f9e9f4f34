/**
 * A count-min sketch of 4-bit counters (Cormode and Muthukrishnan 2005; its use for admission: Einziger, Friedman and
 * Manes, "TinyLFU", ACM ToS 2017). It remembers how often keys were used that are no longer resident; the frequency of a
 * resident entry lives in its slot, so a hit never touches the sketch.
 *
 * Eight counters per 32-bit word, 16 words per block of one cache line; a key has one counter in each of three words of
 * its block, so that a miss costs one line of memory. An estimate never falls below the true (aged) count and overshoots
 * by collisions.
 */
export class FrequencySketch {
  readonly #words: Uint32Array;
  readonly #blockMask: number;

  /** `entries` is the number of keys the cache can hold; the table takes 2 to 4 bytes for each. */
  constructor(entries: number) {
    let words = MIN_WORDS;
    while (2 * words < entries) words *= 2;
    this.#words = new Uint32Array(words);
    this.#blockMask = words - BLOCK_WORDS;
  }

  /** Counts a use; how many there were before it, 0 to 15. Only the smallest counters grow (conservative update). */
  add(hash: number): number {
    const words = this.#words;
    const block = Math.imul(hash, 0x9e3779b1) & this.#blockMask;
    const a = block | (hash & 15);
    const b = block | ((hash >>> 4) & 15);
    const c = block | ((hash >>> 8) & 15);
    const shiftA = (hash >>> 10) & 28;
    const shiftB = (hash >>> 13) & 28;
    const shiftC = (hash >>> 16) & 28;
    const countA = (words[a]! >>> shiftA) & 15;
    const countB = (words[b]! >>> shiftB) & 15;
    const countC = (words[c]! >>> shiftC) & 15;
    let least = countA < countB ? countA : countB;
    if (countC < least) least = countC;
    if (least === 15) return 15;
    if (countA === least) words[a] = words[a]! + (1 << shiftA);
    if (countB === least && (b !== a || shiftB !== shiftA)) words[b] = words[b]! + (1 << shiftB);
    if (countC === least && (c !== a || shiftC !== shiftA) && (c !== b || shiftC !== shiftB)) {
      words[c] = words[c]! + (1 << shiftC);
    }
    return least;
  }

  /** Raises the key's counters to at least `count`. */
  raise(hash: number, count: number): void {
    const block = Math.imul(hash, 0x9e3779b1) & this.#blockMask;
    this.#raiseWord(block | (hash & 15), (hash >>> 10) & 28, count);
    this.#raiseWord(block | ((hash >>> 4) & 15), (hash >>> 13) & 28, count);
    this.#raiseWord(block | ((hash >>> 8) & 15), (hash >>> 16) & 28, count);
  }

  /** 0 to 15. */
  estimate(hash: number): number {
    const words = this.#words;
    const block = Math.imul(hash, 0x9e3779b1) & this.#blockMask;
    const a = (words[block | (hash & 15)]! >>> ((hash >>> 10) & 28)) & 15;
    const b = (words[block | ((hash >>> 4) & 15)]! >>> ((hash >>> 13) & 28)) & 15;
    const c = (words[block | ((hash >>> 8) & 15)]! >>> ((hash >>> 16) & 28)) & 15;
    return Math.min(a, b, c);
  }

  /** Halves every counter. */
  age(): void {
    const words = this.#words;
    for (let i = 0; i < words.length; i++) words[i] = (words[i]! >>> 1) & 0x77777777;
  }

  clear(): void {
    this.#words.fill(0);
  }

  #raiseWord(index: number, shift: number, count: number): void {
    const word = this.#words[index]!;
    if (((word >>> shift) & 15) < count) this.#words[index] = (word & ~(15 << shift)) | (count << shift);
  }
}

const BLOCK_WORDS = 16;
/** 8 KB: a small cache remembers far more keys than it holds, which loops need. */
const MIN_WORDS = 2048;
