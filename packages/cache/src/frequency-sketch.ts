/**
 * A count-min sketch of 4-bit counters (Cormode and Muthukrishnan 2005; its use for admission: Einziger, Friedman and
 * Manes, "TinyLFU", ACM ToS 2017). It remembers how often keys that are no longer resident were used; the frequency of
 * a resident entry lives in its slot, so a hit never touches the sketch.
 *
 * Eight counters per 32-bit word; a key has one counter in each of three words. An estimate never falls below the true
 * (aged) count and overshoots by collisions.
 */
export class FrequencySketch {
  readonly #words: Uint32Array;
  readonly #mask: number;

  /** `entries` is the number of keys the cache can hold; the table takes 4 to 8 bytes for each. */
  constructor(entries: number) {
    let words = 64;
    while (words < entries) words *= 2;
    this.#words = new Uint32Array(words);
    this.#mask = words - 1;
  }

  /** 0 to 15. */
  estimate(hash: number): number {
    const words = this.#words;
    const mask = this.#mask;
    const step = Math.imul(hash, 0x9e3779b1) | 1;
    const a = (words[hash & mask]! >>> ((hash >>> 27) & 28)) & 15;
    const second = (hash + step) | 0;
    const b = (words[(second >>> 5) & mask]! >>> ((second >>> 24) & 28)) & 15;
    const third = (second + step) | 0;
    const c = (words[(third >>> 3) & mask]! >>> ((third >>> 22) & 28)) & 15;
    return a < b ? (a < c ? a : c) : b < c ? b : c;
  }

  /** Raises the key's counters to at least `count` (conservative update: larger counters stay). */
  raise(hash: number, count: number): void {
    const mask = this.#mask;
    const step = Math.imul(hash, 0x9e3779b1) | 1;
    this.#raiseWord(hash & mask, (hash >>> 27) & 28, count);
    const second = (hash + step) | 0;
    this.#raiseWord((second >>> 5) & mask, (second >>> 24) & 28, count);
    const third = (second + step) | 0;
    this.#raiseWord((third >>> 3) & mask, (third >>> 22) & 28, count);
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
