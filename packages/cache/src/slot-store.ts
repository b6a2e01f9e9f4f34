/**
 * The entries of a `MemoryCache`: a Map from key to slot number, and the key, value, expiry and size of each slot in
 * arrays of their own. Slots are handed out in order and reused; the arrays double when they run out, so an empty cache
 * is small whatever its limit. A hit reads the Map, writes two bytes-sized facts about the slot and returns the value;
 * everything else is left to eviction (see slot-lists.ts).
 */
import { AdaptivePolicy } from './adaptive-policy.ts';
import type { Clock } from './clock.ts';
import { KeyHash } from './key-hash.ts';
import type { EvictReason, MemoryStore, MissRatioPoint, StoreCounters } from './memory-store.ts';
import { SegmentedPolicy } from './policies/segmented-policy.ts';
import type { PolicyMode } from './policies/segmented-policy.ts';
import {
  FIRST_SLOT,
  FREQUENCY_BITS,
  FREQUENCY_SHIFT,
  LOW_BITS,
  SAMPLED,
  SlotLists,
  TOUCHED,
} from './policies/slot-lists.ts';

export interface SlotStoreOptions<K, V> {
  readonly maxEntries: number | undefined;
  readonly maxBytes: number | undefined;
  /** `undefined` chooses by shadow caches. */
  readonly mode: PolicyMode | undefined;
  readonly clock: Clock;
  random(): number;
  sizeOf(value: V, key: K): number;
  /** Whether sizes are kept per entry even without a byte budget. */
  readonly trackSizes: boolean;
  readonly onEvict: ((key: K, value: V, why: EvictReason) => void) | undefined;
}

/** Slots to start with; doubled as needed. */
const INITIAL_SLOTS = 16;
/** Expired slots are looked for in this many slots per insertion. */
const SWEEP_SLOTS = 2;
/** Hits written down before they are applied. */
const LOG_SLOTS = 512;
/** Entries measured to estimate the bytes of a cache that does not track sizes. */
const ESTIMATE_ENTRIES = 1024;
/** Size of an entry assumed before any was seen, to scale the sketch and the shadows of a byte-limited cache. */
const ASSUMED_ENTRY_BYTES = 1024;
const COUNT_LIMIT = 2 ** 24;
/** A charge is kept in 32 bits. */
const MAX_CHARGE = 2 ** 32 - 1;
/**
 * Hits of followed keys shown to the shadows per insertion. While nothing is inserted nothing is evicted, so which
 * policy runs does not matter, and a cache that only hits need not pay for the shadows.
 */
const FOLLOWED_HITS = 64;

export class SlotStore<K, V> implements MemoryStore<K, V> {
  #hits = 0;
  #misses = 0;
  #sets = 0;
  #evictions = 0;
  #expirations = 0;
  readonly #slots = new Map<K, number>();
  #keys: (K | undefined)[] = new Array<K | undefined>(INITIAL_SLOTS);
  #values: (V | undefined)[] = new Array<V | undefined>(INITIAL_SLOTS);
  readonly #lists: SlotLists;
  readonly #policy: SegmentedPolicy;
  readonly #adaptive: AdaptivePolicy | undefined;
  readonly #hash: KeyHash;
  /** Expiry per slot; absent until an entry has one. */
  #expires: Float64Array | undefined;
  /** Bytes per slot when they are tracked apart from the policy's charge. */
  #sizes: Float64Array | undefined;
  #costs: Float64Array | undefined;
  readonly #log = new Uint32Array(LOG_SLOTS);
  #logged = 0;
  #hitsToFollow = 0;
  #trackedBytes = 0;
  #freeSlot = 0;
  #nextSlot: number = FIRST_SLOT;
  #sweepAt: number = FIRST_SLOT;
  /** No entry has an end, a size or a cost of its own. */
  #plain: boolean;
  readonly #maxEntries: number;
  readonly #maxBytes: number | undefined;
  readonly #clock: Clock;
  readonly #sizeOf: (value: V, key: K) => number;
  readonly #onEvict: ((key: K, value: V, why: EvictReason) => void) | undefined;

  constructor(options: SlotStoreOptions<K, V>) {
    this.#maxEntries = options.maxEntries ?? COUNT_LIMIT;
    this.#maxBytes = options.maxBytes;
    this.#clock = options.clock;
    this.#sizeOf = options.sizeOf;
    this.#onEvict = options.onEvict;
    this.#hash = new KeyHash(options.random);
    const weighted = options.maxBytes !== undefined;
    const expectedEntries = Math.min(
      this.#maxEntries,
      options.maxBytes === undefined
        ? Infinity
        : Math.max(1, Math.ceil(options.maxBytes / ASSUMED_ENTRY_BYTES)),
    );
    this.#plain = !weighted && !options.trackSizes;
    this.#lists = new SlotLists(INITIAL_SLOTS, weighted);
    this.#lists.setEpochLength(expectedEntries);
    if (options.trackSizes && !weighted) this.#sizes = new Float64Array(INITIAL_SLOTS);
    this.#policy = new SegmentedPolicy(this.#lists, {
      capacity: options.maxBytes ?? this.#maxEntries,
      mode: options.mode ?? { kind: 'tiny-lfu', window: 0.1 },
      hashOf: (slot) => this.#hash.of(this.#keys[slot - FIRST_SLOT]),
      random: options.random,
      // Grown with the arrays: nothing is written to the sketch before the cache is full.
      expectedEntries: INITIAL_SLOTS,
    });
    if (options.mode === undefined) {
      this.#adaptive = new AdaptivePolicy({
        capacity: options.maxBytes ?? this.#maxEntries,
        expectedEntries,
        weighted,
        random: options.random,
        apply: (mode) => this.#policy.setMode(mode),
      });
    }
  }

  get counters(): StoreCounters {
    return {
      hits: this.#hits + this.#logged,
      misses: this.#misses,
      sets: this.#sets,
      evictions: this.#evictions,
      expirations: this.#expirations,
    };
  }

  get size(): number {
    return this.#slots.size;
  }

  get activePolicy(): string {
    const { kind, window } = this.#policy.mode;
    return kind === 's3-fifo' ? kind : `${kind}(window=${window})`;
  }

  get sizeBytes(): number {
    if (this.#maxBytes !== undefined) return this.#lists.totalWeight;
    return this.#sizes === undefined ? this.#estimateBytes() : this.#trackedBytes;
  }

  get(key: K): V | undefined {
    const slot = this.#slots.get(key);
    if (slot === undefined || (this.#expires !== undefined && this.#endIfExpired(slot))) {
      this.#misses++;
      return undefined;
    }
    const logged = this.#logged;
    this.#log[logged] = slot;
    this.#logged = logged + 1;
    if (logged === LOG_SLOTS - 1) this.#drain();
    return this.#values[slot - FIRST_SLOT];
  }

  use(key: K): V | undefined {
    const slot = this.#slots.get(key);
    if (slot === undefined || (this.#expires !== undefined && this.#endIfExpired(slot))) return undefined;
    const logged = this.#logged;
    this.#log[logged] = slot;
    this.#logged = logged + 1;
    if (logged === LOG_SLOTS - 1) this.#drain();
    return this.#values[slot - FIRST_SLOT];
  }

  peek(key: K): V | undefined {
    const slot = this.#slots.get(key);
    return slot === undefined || this.#isOver(slot) ? undefined : this.#values[slot - FIRST_SLOT];
  }

  has(key: K): boolean {
    const slot = this.#slots.get(key);
    return slot !== undefined && !this.#isOver(slot);
  }

  expiresAt(key: K): number | undefined {
    const slot = this.#slots.get(key);
    if (slot === undefined) return undefined;
    return this.#expires === undefined ? Infinity : this.#expires[slot - FIRST_SLOT]!;
  }

  /** `set` of an entry without end, size or cost, kept short for the case that nothing else was ever set. */
  setPlain(key: K, value: V): void {
    if (this.#plain) {
      this.#sets++;
      if (this.#logged > 0) this.#drain();
      const present = this.#slots.get(key);
      if (present === undefined) {
        // Not in one expression: inserting may replace the array.
        const slot = this.#insert(key, 1);
        this.#values[slot - FIRST_SLOT] = value;
        if (this.#slots.size > this.#maxEntries) this.#evict('capacity');
        this.#policy.rebalance();
        this.#policy.maybeAge(this.#hits + this.#sets, this.#slots.size);
      } else {
        this.#lists.touch(present);
        this.#values[present - FIRST_SLOT] = value;
      }
    } else this.set(key, value, Infinity, undefined, 1);
  }

  set(key: K, value: V, expiresAtMs: number, sizeBytes: number | undefined, cost: number): void {
    this.#sets++;
    this.#drain();
    const bytes = this.#bytesToCharge(key, value, sizeBytes);
    const present = this.#slots.get(key);
    if (this.#maxBytes !== undefined && bytes > Math.min(this.#maxBytes, MAX_CHARGE)) {
      if (present !== undefined) this.#release(present);
      this.#evictions++;
      this.#onEvict?.(key, value, 'oversized');
      return;
    }
    const slot = present ?? this.#insert(key, bytes);
    if (present !== undefined) this.#replace(present, bytes);
    this.#values[slot - FIRST_SLOT] = value;
    if (expiresAtMs !== Infinity || this.#expires !== undefined) this.#setExpiry(slot, expiresAtMs);
    if (cost !== 1 || this.#costs !== undefined) this.#setCost(slot, cost);
    if (this.#sizes !== undefined) {
      this.#trackedBytes += bytes - (present === undefined ? 0 : this.#sizes[slot - FIRST_SLOT]!);
      this.#sizes[slot - FIRST_SLOT] = bytes;
    }
    this.#settle();
    if (this.#expires !== undefined) this.#sweep(SWEEP_SLOTS);
  }

  delete(key: K): boolean {
    this.#drain();
    const slot = this.#slots.get(key);
    if (slot === undefined) return false;
    if (this.#adaptive !== undefined) this.#adaptive.delete(this.#hash.of(key));
    if (this.#endIfExpired(slot)) return false;
    this.#release(slot);
    return true;
  }

  clear(): void {
    this.#drain();
    this.#slots.clear();
    this.#keys.fill(undefined);
    this.#values.fill(undefined);
    this.#policy.clear();
    this.#adaptive?.clear();
    this.#trackedBytes = 0;
    this.#freeSlot = 0;
    this.#nextSlot = FIRST_SLOT;
    this.#sweepAt = FIRST_SLOT;
  }

  trim(targetBytes: number): number {
    this.#drain();
    const before = this.sizeBytes;
    let bytes = before;
    while (bytes > targetBytes && this.#slots.size > 0) {
      // Without tracked sizes each look at the size is an estimate over many entries: evict in steps.
      const exact = this.#maxBytes !== undefined || this.#sizes !== undefined;
      const steps = exact ? 1 : Math.max(1, Math.floor((this.#slots.size * (1 - targetBytes / bytes)) / 2));
      for (let step = 0; step < steps; step++) this.#evict('trimmed');
      bytes = this.sizeBytes;
    }
    return before - bytes;
  }

  missRatioCurve(): MissRatioPoint[] {
    this.#drain();
    const reads = this.#hits + this.#misses;
    if (reads === 0) return [];
    const missRatio = this.#misses / reads;
    const full = this.#maxBytes === undefined ? this.#maxEntries : this.size;
    const points = [{ entries: full, missRatio }];
    for (const { factor, difference } of this.#adaptive?.curve(this.#hits + this.#sets) ?? []) {
      const entries = Math.max(1, Math.round(full * factor));
      points.push({ entries, missRatio: Math.min(1, Math.max(0, missRatio + difference)) });
    }
    return points.sort((a, b) => a.entries - b.entries);
  }

  keys(): IterableIterator<K> {
    return this.#slots.keys();
  }

  hottest(limit: number): K[] {
    this.#drain();
    const rank = (slot: number): number => this.#lists.frequency(slot) * 0x1_0000 - this.#lists.age(slot);
    const ranked = [...this.#slots].map(([key, slot]) => ({ key, rank: rank(slot) }));
    return ranked
      .sort((a, b) => b.rank - a.rank)
      .slice(0, limit)
      .map(({ key }) => key);
  }

  #bytesToCharge(key: K, value: V, sizeBytes: number | undefined): number {
    if (this.#maxBytes === undefined && this.#sizes === undefined) {
      if (sizeBytes === undefined) return 1;
      this.#startTracking();
    }
    const bytes = sizeBytes ?? this.#sizeOf(value, key);
    if (!(bytes >= 0 && bytes < Infinity)) {
      throw new RangeError(`sizeOf must return a size in bytes from 0, got ${bytes}`);
    }
    return Math.max(1, Math.ceil(bytes));
  }

  #insert(key: K, bytes: number): number {
    const slot = this.#takeSlot();
    const hash = this.#hash.of(key);
    this.#keys[slot - FIRST_SLOT] = key;
    this.#slots.set(key, slot);
    const charge = this.#maxBytes === undefined ? 1 : bytes;
    const followers = this.#adaptive?.follows(hash) === true ? this.#adaptive : undefined;
    this.#policy.insert(slot, hash, followers !== undefined, charge);
    followers?.access(hash, charge);
    this.#hitsToFollow = FOLLOWED_HITS;
    return slot;
  }

  #replace(slot: number, bytes: number): void {
    this.#lists.touch(slot);
    if (this.#maxBytes !== undefined) this.#lists.recharge(slot, bytes);
  }

  /**
   * Applies the hits that were only written down. Done before anything else changes, so the log holds live slots; in one
   * go because the slots' words are far apart in memory and a loop of independent accesses waits for them together
   * instead of one per hit (bench case `hit-path-200k`).
   */
  #drain(): void {
    const log = this.#log;
    const facts = this.#lists.facts;
    const stamp = this.#lists.epochStamp;
    const logged = this.#logged;
    for (let i = 0; i < logged; i++) {
      const slot = log[i]!;
      // SlotLists.touch, inlined.
      const word = facts[slot]!;
      const low = word & LOW_BITS;
      facts[slot] = stamp | (low < FREQUENCY_BITS ? low + (1 << FREQUENCY_SHIFT) : low) | TOUCHED;
      if ((word & SAMPLED) !== 0 && this.#hitsToFollow > 0) this.#follow(slot);
    }
    this.#hits += logged;
    this.#logged = 0;
  }

  #follow(slot: number): void {
    this.#hitsToFollow--;
    this.#adaptive!.access(this.#hash.of(this.#keys[slot - FIRST_SLOT]), this.#lists.chargeOf(slot));
  }

  /** Evicts until the limits hold. */
  #settle(): void {
    while (this.#isOverLimit()) this.#evict('capacity');
    this.#policy.rebalance();
    this.#policy.maybeAge(this.#hits + this.#sets, this.#slots.size);
  }

  #isOverLimit(): boolean {
    if (this.#slots.size > this.#maxEntries) return true;
    return this.#maxBytes !== undefined && this.#lists.totalWeight > this.#maxBytes;
  }

  #evict(why: EvictReason): void {
    const slot = this.#policy.victim();
    const key = this.#keys[slot - FIRST_SLOT] as K;
    const value = this.#values[slot - FIRST_SLOT] as V;
    this.#forget(slot);
    this.#evictions++;
    this.#onEvict?.(key, value, why);
  }

  #isOver(slot: number): boolean {
    return this.#expires !== undefined && this.#clockReached(this.#expires[slot - FIRST_SLOT]!);
  }

  #clockReached(expiresAtMs: number): boolean {
    return expiresAtMs !== Infinity && this.#clock.now() >= expiresAtMs;
  }

  #endIfExpired(slot: number): boolean {
    if (!this.#isOver(slot)) return false;
    this.#drain();
    const key = this.#keys[slot - FIRST_SLOT] as K;
    const value = this.#values[slot - FIRST_SLOT] as V;
    this.#adaptive?.delete(this.#hash.of(key));
    this.#release(slot);
    this.#expirations++;
    this.#onEvict?.(key, value, 'expired');
    return true;
  }

  /** Looks at a few slots for entries whose time is over, so that unread ones do not stay. */
  #sweep(slots: number): void {
    const expires = this.#expires!;
    for (let i = 0; i < slots; i++) {
      if (this.#sweepAt >= this.#nextSlot) this.#sweepAt = FIRST_SLOT;
      const slot = this.#sweepAt++;
      const expiresAtMs = expires[slot - FIRST_SLOT]!;
      if (expiresAtMs !== 0 && expiresAtMs !== Infinity) this.#endIfExpired(slot);
    }
  }

  /** Unlinks a slot that the policy still holds, and forgets it. */
  #release(slot: number): void {
    this.#policy.remove(slot);
    this.#forget(slot);
  }

  #forget(slot: number): void {
    const index = slot - FIRST_SLOT;
    this.#slots.delete(this.#keys[index] as K);
    this.#keys[index] = undefined;
    this.#values[index] = undefined;
    if (this.#sizes !== undefined) {
      this.#trackedBytes -= this.#sizes[index]!;
      this.#sizes[index] = 0;
    }
    if (this.#expires !== undefined) this.#expires[index] = 0;
    this.#lists.next[slot] = this.#freeSlot;
    this.#freeSlot = slot;
  }

  #takeSlot(): number {
    const free = this.#freeSlot;
    if (free !== 0) {
      this.#freeSlot = this.#lists.next[free]!;
      return free;
    }
    const slot = this.#nextSlot++;
    if (slot >= this.#lists.length) this.#grow();
    return slot;
  }

  #grow(): void {
    const slots = Math.min(2 * this.#keys.length, this.#maxEntries + 2);
    this.#lists.grow(slots);
    this.#keys = grown(this.#keys, slots);
    this.#values = grown(this.#values, slots);
    if (this.#expires !== undefined) this.#expires = grownNumbers(this.#expires, slots);
    if (this.#sizes !== undefined) this.#sizes = grownNumbers(this.#sizes, slots);
    if (this.#costs !== undefined) this.#costs = grownNumbers(this.#costs, slots);
    this.#policy.expect(Math.min(slots, this.#maxEntries));
  }

  #setExpiry(slot: number, expiresAtMs: number): void {
    this.#plain = false;
    if (this.#expires === undefined) this.#expires = new Float64Array(this.#keys.length).fill(Infinity);
    this.#expires[slot - FIRST_SLOT] = expiresAtMs;
  }

  #setCost(slot: number, cost: number): void {
    this.#plain = false;
    if (this.#costs === undefined) {
      this.#costs = new Float64Array(this.#keys.length).fill(1);
      this.#policy.worth = (slot) => this.#costs![slot - FIRST_SLOT]!;
    }
    this.#costs[slot - FIRST_SLOT] = cost;
  }

  #startTracking(): void {
    this.#plain = false;
    this.#sizes = new Float64Array(this.#keys.length);
    for (const [key, slot] of this.#slots) {
      const bytes = Math.ceil(this.#sizeOf(this.#values[slot - FIRST_SLOT] as V, key));
      this.#sizes[slot - FIRST_SLOT] = bytes;
      this.#trackedBytes += bytes;
    }
  }

  /** Measures up to ESTIMATE_ENTRIES entries, evenly spread over the slots, and scales up. */
  #estimateBytes(): number {
    const held = this.#nextSlot - FIRST_SLOT;
    const stride = Math.max(1, Math.floor(held / ESTIMATE_ENTRIES));
    let measured = 0;
    let bytes = 0;
    for (let index = 0; index < held; index += stride) {
      const key = this.#keys[index];
      if (this.#slots.get(key as K) !== index + FIRST_SLOT) continue;
      bytes += this.#sizeOf(this.#values[index] as V, key as K);
      measured++;
    }
    return measured === 0 ? 0 : Math.round((bytes / measured) * this.#slots.size);
  }
}

function grown<T>(source: readonly (T | undefined)[], length: number): (T | undefined)[] {
  // A new array of the exact length: pushing would leave up to half of it unused.
  const target = new Array<T | undefined>(length);
  for (let i = 0; i < source.length; i++) target[i] = source[i];
  return target;
}

function grownNumbers(source: Float64Array, length: number): Float64Array {
  const target = new Float64Array(length);
  target.set(source);
  return target;
}
