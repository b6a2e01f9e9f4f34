/**
 * Chooses the policy of a running cache: small shadow caches, one per candidate, see a sample of the keys; the
 * candidate whose shadow hits most, with recent accesses counting more, is applied to the real cache. A challenger must
 * lead by a margin, so that noise in the sample does not make the cache switch back and forth (a switch costs hits while
 * entries migrate).
 *
 * The shadows are miniature simulations (Waldspurger et al., "Cache modeling and optimization using miniature
 * simulations", USENIX ATC 2017): keys are sampled by hash, and each shadow has the real capacity times the sampling
 * rate. They hold no values and share one table of the sampled keys, in which a key has one slot and a bit per shadow
 * that has it, so that a followed access costs one lookup for all of them.
 */
import { HashSlots } from './hash-slots.ts';
import { SegmentedPolicy } from './policies/segmented-policy.ts';
import type { PolicyMode } from './policies/segmented-policy.ts';
import { FIRST_SLOT, SlotLists } from './policies/slot-lists.ts';

const CANDIDATES: readonly PolicyMode[] = [
  { kind: 'tiny-lfu', window: 0.01 },
  { kind: 'tiny-lfu', window: 0.1 },
  { kind: 'tiny-lfu', window: 0.3 },
  { kind: 'tiny-lfu', window: 0.6 },
  { kind: 'tiny-lfu', window: 1 },
  { kind: 's3-fifo', window: 0.1 },
];

/** Sizes, against the real one, at which the active policy is simulated for the miss-ratio curve. */
const CURVE_FACTORS = [0.5, 2, 4] as const;

/** Applied before anything is known: the best fixed one over the benchmark traces. */
const FIRST = 1;
/** Most entries of one shadow. */
const SHADOW_ENTRIES = 512;
/** The scores are halved after this many followed accesses per shadow entry. */
const HALF_LIFE = 8;
const MIN_HALF_LIFE = 1024;
/** Followed accesses between two decisions. */
const DECISION_INTERVAL = 64;
/** A challenger must lead by this share of the followed accesses that the scores stand for. */
const MARGIN = 0.01;

export interface AdaptiveOptions {
  readonly capacity: number;
  /** Entries that the capacity stands for. */
  readonly expectedEntries: number;
  /** Whether entries are charged other than 1. */
  readonly weighted: boolean;
  random(): number;
  apply(mode: PolicyMode): void;
}

export class AdaptivePolicy {
  readonly #table = new HashSlots();
  /** One per candidate at the scaled capacity, then one per curve factor with the active policy. */
  readonly #shadows: readonly SegmentedPolicy[];
  readonly #sampleMask: number;
  readonly #scores = new Float64Array(CANDIDATES.length);
  /** Hits per curve factor, then at the real size, since the start. */
  readonly #curveHits = new Float64Array(CURVE_FACTORS.length + 1);
  readonly #apply: (mode: PolicyMode) => void;
  readonly #halfLife: number;
  readonly #expectedEntries: number;
  /** Bit i: shadow i has the key of this slot. */
  #holders = new Uint16Array(0);
  #active = FIRST;
  #uses = 0;
  /** Accesses that the scores stand for, halved with them. */
  #weight = 0;

  constructor(options: AdaptiveOptions) {
    let shift = 0;
    while (options.expectedEntries >>> shift > SHADOW_ENTRIES) shift++;
    this.#sampleMask = 2 ** shift - 1;
    const capacity = options.capacity / 2 ** shift;
    const entries = Math.max(1, options.expectedEntries >>> shift);
    this.#expectedEntries = entries;
    const sizes = CURVE_FACTORS.map((factor) =>
      this.#newShadow(CANDIDATES[FIRST]!, factor * capacity, options),
    );
    this.#shadows = [...CANDIDATES.map((mode) => this.#newShadow(mode, capacity, options)), ...sizes];
    this.#apply = options.apply;
    this.#halfLife = Math.max(MIN_HALF_LIFE, entries * HALF_LIFE);
    options.apply(CANDIDATES[FIRST]!);
  }

  /** Whether the shadows follow the key with this hash. */
  follows(hash: number): boolean {
    return ((hash >>> 8) & this.#sampleMask) === 0;
  }

  /** One use of a followed key: a hit in the shadows that have it, an insertion in the others. */
  access(hash: number, charge: number): void {
    this.#uses++;
    this.#weight++;
    const slot = this.#slotOf(hash);
    for (let i = 0; i < this.#shadows.length; i++) {
      const shadow = this.#shadows[i]!;
      if ((this.#holders[slot]! & (1 << i)) !== 0) {
        shadow.lists.touch(slot);
        this.#countHit(i);
      } else if (charge <= shadow.capacity) {
        this.#insert(shadow, i, slot, hash, charge);
      }
    }
    if (this.#holders[slot] === 0) this.#table.remove(slot);
    if (this.#uses % DECISION_INTERVAL === 0) this.#decide();
  }

  delete(hash: number): void {
    if (!this.follows(hash)) return;
    const slot = this.#table.find(hash);
    if (slot === 0) return;
    for (let i = 0; i < this.#shadows.length; i++) {
      if ((this.#holders[slot]! & (1 << i)) !== 0) this.#shadows[i]!.remove(slot);
    }
    this.#holders[slot] = 0;
    this.#table.remove(slot);
  }

  /**
   * By how much the miss ratio would differ at other sizes (factor of the capacity) under the policy that runs now, by
   * the followed keys. Differences between shadows that saw the same keys are more certain than what one of them says;
   * they are related to the accesses that the sample should have (`uses` of the cache times the sampling rate), which
   * corrects for very popular keys being in the sample or not (SHARDS-adj: Waldspurger et al., FAST 2015).
   */
  curve(uses: number): readonly { readonly factor: number; readonly difference: number }[] {
    if (this.#uses === 0) return [];
    const expected = uses / (this.#sampleMask + 1);
    const same = this.#curveHits[CURVE_FACTORS.length]!;
    return CURVE_FACTORS.map((factor, i) => ({
      factor,
      difference: (same - this.#curveHits[i]!) / expected,
    }));
  }

  clear(): void {
    for (const shadow of this.#shadows) shadow.clear();
    this.#holders.fill(0);
    this.#table.clear();
  }

  #newShadow(mode: PolicyMode, capacity: number, options: AdaptiveOptions): SegmentedPolicy {
    const expectedEntries = this.#expectedEntries;
    const lists = new SlotLists(0, options.weighted);
    lists.setEpochLength(expectedEntries);
    return new SegmentedPolicy(lists, {
      capacity: Math.max(1, Math.round(capacity)),
      mode,
      hashOf: (slot) => this.#table.hashOf(slot),
      random: options.random,
      expectedEntries,
    });
  }

  #slotOf(hash: number): number {
    const slot = this.#table.findOrAdd(hash);
    if (slot < this.#holders.length) return slot;
    const slots = this.#table.slots;
    for (const { lists } of this.#shadows) lists.grow(slots - FIRST_SLOT);
    const holders = new Uint16Array(slots);
    holders.set(this.#holders);
    this.#holders = holders;
    return slot;
  }

  #insert(shadow: SegmentedPolicy, index: number, slot: number, hash: number, charge: number): void {
    shadow.insert(slot, hash, false, charge);
    this.#holders[slot] = this.#holders[slot]! | (1 << index);
    while (shadow.lists.totalWeight > shadow.capacity) {
      const victim = shadow.victim();
      const left = this.#holders[victim]! & ~(1 << index);
      this.#holders[victim] = left;
      if (left === 0 && victim !== slot) this.#table.remove(victim);
    }
    shadow.rebalance();
    shadow.maybeAge(this.#uses, this.#expectedEntries);
  }

  #countHit(shadow: number): void {
    if (shadow < CANDIDATES.length) {
      this.#scores[shadow] = this.#scores[shadow]! + 1;
      if (shadow !== this.#active) return;
    }
    const point = shadow < CANDIDATES.length ? CURVE_FACTORS.length : shadow - CANDIDATES.length;
    this.#curveHits[point] = this.#curveHits[point]! + 1;
  }

  #decide(): void {
    const scores = this.#scores;
    let best = this.#active;
    for (let i = 0; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i;
    if (best !== this.#active && scores[best]! - scores[this.#active]! > MARGIN * this.#weight) {
      this.#active = best;
      this.#apply(CANDIDATES[best]!);
      for (let i = CANDIDATES.length; i < this.#shadows.length; i++)
        this.#shadows[i]!.setMode(CANDIDATES[best]!);
    }
    if (this.#weight < this.#halfLife) return;
    this.#weight /= 2;
    for (let i = 0; i < scores.length; i++) scores[i] = scores[i]! / 2;
  }
}
