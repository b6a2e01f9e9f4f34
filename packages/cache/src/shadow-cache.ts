import { FIRST_SLOT, SlotLists } from './policies/slot-lists.ts';
import { SegmentedPolicy } from './policies/segmented-policy.ts';
import type { PolicyMode } from './policies/segmented-policy.ts';

/**
 * A cache of key hashes without values: a small copy of the real cache under one policy, fed with a sample of the keys
 * chosen by hash (miniature simulation: Waldspurger et al., "Cache modeling and optimization using miniature
 * simulations", USENIX ATC 2017). Its hit count tells how the policy would do at its scaled capacity.
 */
export class ShadowCache {
  readonly #policy: SegmentedPolicy;
  readonly #lists: SlotLists;
  readonly #slots = new Map<number, number>();
  #hashes: Uint32Array;
  readonly #free: number[] = [];
  #nextSlot: number = FIRST_SLOT;
  #capacity: number;
  #uses = 0;

  constructor(options: {
    capacity: number;
    mode: PolicyMode;
    weighted: boolean;
    expectedEntries: number;
    random(): number;
  }) {
    this.#capacity = options.capacity;
    this.#lists = new SlotLists(16, options.weighted);
    this.#lists.setEpochLength(options.expectedEntries);
    this.#hashes = new Uint32Array(this.#lists.length);
    this.#policy = new SegmentedPolicy(this.#lists, {
      capacity: options.capacity,
      mode: options.mode,
      hashOf: (slot) => this.#hashes[slot]!,
      random: options.random,
      expectedEntries: options.expectedEntries,
    });
  }

  get size(): number {
    return this.#slots.size;
  }

  /** A use of the key: `true` when it was present; otherwise it is inserted. */
  access(hash: number, charge: number): boolean {
    this.#uses++;
    const slot = this.#slots.get(hash);
    if (slot !== undefined) {
      this.#lists.touch(slot);
      return true;
    }
    if (charge <= this.#capacity) this.#insert(hash, charge);
    return false;
  }

  delete(hash: number): void {
    const slot = this.#slots.get(hash);
    if (slot === undefined) return;
    this.#policy.remove(slot);
    this.#slots.delete(hash);
    this.#free.push(slot);
  }

  clear(): void {
    this.#policy.clear();
    this.#slots.clear();
    this.#free.length = 0;
    this.#nextSlot = FIRST_SLOT;
  }

  #insert(hash: number, charge: number): void {
    const slot = this.#free.pop() ?? this.#newSlot();
    this.#hashes[slot] = hash;
    this.#slots.set(hash, slot);
    this.#policy.insert(slot, hash, false, charge);
    for (;;) {
      const over = this.#lists.totalWeight > this.#capacity;
      const victim = this.#policy.victim(over);
      if (victim === 0) break;
      this.#slots.delete(this.#hashes[victim]!);
      this.#free.push(victim);
    }
    this.#policy.maybeAge(this.#uses);
  }

  #newSlot(): number {
    const slot = this.#nextSlot++;
    if (slot >= this.#lists.length) {
      this.#lists.grow((slot - FIRST_SLOT) * 2);
      const hashes = new Uint32Array(this.#lists.length);
      hashes.set(this.#hashes);
      this.#hashes = hashes;
    }
    return slot;
  }
}
