import { FIRST_SLOT } from './policies/slot-lists.ts';

/**
 * A table from 32-bit hash to slot number, open addressing with linear probing and backward-shift deletion (Knuth,
 * TAOCP 3, 6.4). Slots are numbered from FIRST_SLOT and reused. Different keys of equal hash are one key here.
 */
export class HashSlots {
  /** Slot at each position; 0 is empty. */
  #positions = new Uint32Array(64);
  #hashes = new Uint32Array(FIRST_SLOT + 32);
  #free: number[] = [];
  #nextSlot: number = FIRST_SLOT;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Slot numbers stay below this. */
  get slots(): number {
    return this.#hashes.length;
  }

  hashOf(slot: number): number {
    return this.#hashes[slot]!;
  }

  /** The slot of the hash; 0 when absent. */
  find(hash: number): number {
    return this.#positions[this.#positionOf(hash)]!;
  }

  findOrAdd(hash: number): number {
    const position = this.#positionOf(hash);
    const found = this.#positions[position]!;
    if (found !== 0) return found;
    const slot = this.#free.pop() ?? this.#newSlot();
    this.#hashes[slot] = hash;
    this.#positions[position] = slot;
    if (++this.#size * 2 > this.#positions.length) this.#rehash();
    return slot;
  }

  remove(slot: number): void {
    const positions = this.#positions;
    const mask = positions.length - 1;
    let hole = this.#positionOf(this.#hashes[slot]!);
    for (let at = (hole + 1) & mask; positions[at] !== 0; at = (at + 1) & mask) {
      const home = this.#homeOf(this.#hashes[positions[at]!]!);
      // An entry may fill the hole unless its home lies cyclically after the hole, up to where it is.
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      positions[hole] = positions[at]!;
      hole = at;
    }
    positions[hole] = 0;
    this.#free.push(slot);
    this.#size--;
  }

  clear(): void {
    this.#positions.fill(0);
    this.#free = [];
    this.#nextSlot = FIRST_SLOT;
    this.#size = 0;
  }

  #homeOf(hash: number): number {
    return (Math.imul(hash, 0x9e3779b1) >>> 7) & (this.#positions.length - 1);
  }

  /** Where the hash is, or where it would go. */
  #positionOf(hash: number): number {
    const mask = this.#positions.length - 1;
    let at = this.#homeOf(hash);
    while (this.#positions[at] !== 0 && this.#hashes[this.#positions[at]!] !== hash) at = (at + 1) & mask;
    return at;
  }

  #newSlot(): number {
    const slot = this.#nextSlot++;
    if (slot >= this.#hashes.length) {
      const hashes = new Uint32Array(FIRST_SLOT + (slot - FIRST_SLOT) * 2);
      hashes.set(this.#hashes);
      this.#hashes = hashes;
    }
    return slot;
  }

  #rehash(): void {
    const old = this.#positions;
    this.#positions = new Uint32Array(old.length * 2);
    for (const slot of old) if (slot !== 0) this.#positions[this.#positionOf(this.#hashes[slot]!)] = slot;
  }
}
