/**
 * The order of a cache's entries, as a struct of arrays indexed by slot number.
 *
 *     slot          1 ........ 2*EPOCHS+1 | entries ...
 *     next, prev    circular doubly linked lists; the low slots are the lists' sentinels
 *     facts         epoch of the last use (16 bits) | frequency (4 bits) | sampled | touched | segment (2 bits)
 *
 * Three segments: WINDOW and PROTECTED are kept in order of last use, PROBATION in order of arrival. A hit does not move
 * anything: it only rewrites the slot's word in `facts`. Order is restored when it matters, on eviction: WINDOW and PROTECTED are
 * rings of EPOCHS lists, one per epoch (1/128 of the capacity in insertions), and an entry found in an older list than
 * its stamp says is moved to the list of its stamp before anything younger can be evicted. So the order is that of LRU
 * up to the order inside one epoch, each use costs at most one later move, and a hit is one load and one store.
 *
 * Invariants: every entry is in exactly one list; `weight[s]` is the summed charge of the entries whose facts say
 * segment s; list e of a ring holds only entries whose stamp is epoch e or later.
 */

export const WINDOW = 0;
export const PROBATION = 1;
export const PROTECTED = 2;

const SEGMENT_BITS = 3;
/** Set by a hit, cleared when the eviction scan has acted on it. */
export const TOUCHED = 4;
/** The key is among those that the shadow caches follow. */
export const SAMPLED = 8;
export const FREQUENCY_SHIFT = 4;
export const MAX_FREQUENCY = 15;
export const FREQUENCY_BITS: number = MAX_FREQUENCY << FREQUENCY_SHIFT;
/** Everything but the stamp. */
export const LOW_BITS = 0xffff;
const STAMP_SHIFT = 16;

/** Lists per ring; twice the number of epochs in one turnover of the cache, so old epochs rarely have to be merged. */
const EPOCHS = 256;
const PROBATION_HEAD = 2 * EPOCHS + 1;
/** First slot that holds an entry. */
export const FIRST_SLOT: number = PROBATION_HEAD + 1;

export class SlotLists {
  next: Uint32Array;
  prev: Uint32Array;
  facts: Int32Array;
  /** Charge of each entry; absent while every entry counts 1. */
  charge: Uint32Array | undefined;
  /** Current epoch, modulo 2^16, and the same where `facts` has the stamp. */
  epoch = 0;
  epochStamp = 0;
  readonly weight: [number, number, number] = [0, 0, 0];
  /** Epoch of the oldest list that may hold entries, per ring (WINDOW, PROTECTED). */
  readonly #oldestEpoch: [number, number] = [0, 0];
  #pushes = 0;
  #epochLength = 1;

  /** `slots` is the number of entries to start with room for. */
  constructor(slots: number, weighted: boolean) {
    const length = FIRST_SLOT + slots;
    this.next = new Uint32Array(length);
    this.prev = new Uint32Array(length);
    this.facts = new Int32Array(length);
    this.charge = weighted ? new Uint32Array(length) : undefined;
    this.#resetSentinels();
  }

  get length(): number {
    return this.next.length;
  }

  get totalWeight(): number {
    return this.weight[0] + this.weight[1] + this.weight[2];
  }

  /** Makes room for `slots` entries in all; the arrays are replaced, so whoever holds them must read them again. */
  grow(slots: number): void {
    const length = FIRST_SLOT + slots;
    this.next = copyInto(new Uint32Array(length), this.next);
    this.prev = copyInto(new Uint32Array(length), this.prev);
    this.facts = copyInto(new Int32Array(length), this.facts);
    if (this.charge !== undefined) this.charge = copyInto(new Uint32Array(length), this.charge);
  }

  /** An epoch is 1/128 of the entries, counted in insertions. */
  setEpochLength(entries: number): void {
    this.#epochLength = Math.max(1, entries >>> 7);
  }

  /** Notes a use: the whole cost of a hit. `SlotStore.get` has this inlined. */
  touch(slot: number): void {
    const low = this.facts[slot]! & LOW_BITS;
    this.facts[slot] =
      this.epochStamp | (low < FREQUENCY_BITS ? low + (1 << FREQUENCY_SHIFT) : low) | TOUCHED;
  }

  frequency(slot: number): number {
    return (this.facts[slot]! >>> FREQUENCY_SHIFT) & MAX_FREQUENCY;
  }

  setFrequency(slot: number, frequency: number): void {
    this.facts[slot] = (this.facts[slot]! & ~FREQUENCY_BITS) | (frequency << FREQUENCY_SHIFT);
  }

  setSampled(slot: number, sampled: boolean): void {
    this.facts[slot] = sampled ? this.facts[slot]! | SAMPLED : this.facts[slot]! & ~SAMPLED;
  }

  isTouched(slot: number): boolean {
    return (this.facts[slot]! & TOUCHED) !== 0;
  }

  chargeOf(slot: number): number {
    return this.charge === undefined ? 1 : this.charge[slot]!;
  }

  /** Adds an entry at the young end of a segment. `flags` are TOUCHED, SAMPLED and the shifted frequency. */
  insert(slot: number, segment: number, flags: number, charge: number): void {
    this.facts[slot] = this.epochStamp | flags | segment;
    if (this.charge !== undefined) this.charge[slot] = charge;
    this.#linkYoungest(slot, segment);
    this.weight[segment as 0 | 1 | 2] += charge;
    if (++this.#pushes >= this.#epochLength) this.#nextEpoch();
  }

  /** Takes an entry out of its list and its segment's sums. */
  remove(slot: number): void {
    this.#unlink(slot);
    this.weight[(this.facts[slot]! & SEGMENT_BITS) as 0 | 1 | 2] -= this.chargeOf(slot);
  }

  /** Changes the charge of an entry in place. */
  recharge(slot: number, charge: number): void {
    const old = this.chargeOf(slot);
    const segment = this.facts[slot]! & SEGMENT_BITS;
    this.weight[segment as 0 | 1 | 2] += charge - old;
    if (this.charge !== undefined) this.charge[slot] = charge;
  }

  /** Moves an entry to the young end of a segment as if it arrived now, untouched; its stamp stays for PROTECTED. */
  move(slot: number, segment: number): void {
    this.#unlink(slot);
    const facts = this.facts[slot]!;
    const charge = this.chargeOf(slot);
    this.weight[(facts & SEGMENT_BITS) as 0 | 1 | 2] -= charge;
    this.weight[segment as 0 | 1 | 2] += charge;
    this.facts[slot] = (facts & ~(SEGMENT_BITS | TOUCHED)) | segment;
    if (segment === PROBATION) this.#linkYoungest(slot, PROBATION);
    else this.#linkByStamp(slot, segment);
  }

  /** Oldest entry of PROBATION by arrival; 0 when empty. */
  oldestArrival(): number {
    const slot = this.next[PROBATION_HEAD]!;
    return slot === PROBATION_HEAD ? 0 : slot;
  }

  /** Entry of WINDOW or PROTECTED that was used least recently (up to one epoch); 0 when empty. */
  leastRecent(segment: number): number {
    const ring = segment === WINDOW ? 0 : 1;
    for (;;) {
      const oldest = this.#oldestEpoch[ring];
      const sentinel = sentinelOf(ring, oldest);
      const slot = this.next[sentinel]!;
      if (slot === sentinel) {
        if (oldest === this.epoch) return 0;
        this.#oldestEpoch[ring] = (oldest + 1) & 0xffff;
        continue;
      }
      const facts = this.facts[slot]!;
      const stamp = facts >>> STAMP_SHIFT;
      if (stamp === oldest || ((this.epoch - stamp) & 0xffff) >= EPOCHS) return slot;
      this.facts[slot] = facts & ~TOUCHED;
      this.#unlink(slot);
      this.#linkByStamp(slot, segment);
    }
  }

  /** Oldest entry of WINDOW by arrival (its uses ignored); 0 when empty. */
  oldestInWindow(): number {
    for (;;) {
      const oldest = this.#oldestEpoch[0];
      const sentinel = sentinelOf(0, oldest);
      const slot = this.next[sentinel]!;
      if (slot !== sentinel) return slot;
      if (oldest === this.epoch) return 0;
      this.#oldestEpoch[0] = (oldest + 1) & 0xffff;
    }
  }

  /** Epochs since the entry was last used. */
  age(slot: number): number {
    return (this.epoch - (this.facts[slot]! >>> STAMP_SHIFT)) & 0xffff;
  }

  /** Halves the frequency of every entry. */
  ageFrequencies(): void {
    const facts = this.facts;
    for (let slot = FIRST_SLOT; slot < facts.length; slot++) {
      const word = facts[slot]!;
      facts[slot] = (word & ~FREQUENCY_BITS) | ((word >>> 1) & ((MAX_FREQUENCY >>> 1) << FREQUENCY_SHIFT));
    }
  }

  clear(): void {
    this.#resetSentinels();
    this.weight.fill(0);
    this.#oldestEpoch[0] = this.epoch;
    this.#oldestEpoch[1] = this.epoch;
  }

  #nextEpoch(): void {
    this.#pushes = 0;
    const epoch = (this.epoch + 1) & 0xffff;
    this.epoch = epoch;
    this.epochStamp = epoch << STAMP_SHIFT;
    for (let ring = 0 as 0 | 1; ring < 2; ring++) {
      const oldest = this.#oldestEpoch[ring];
      if (((epoch - oldest) & 0xffff) < EPOCHS) continue;
      this.#mergeOldest(ring, oldest);
      this.#oldestEpoch[ring] = (oldest + 1) & 0xffff;
    }
  }

  /** Puts the oldest list in front of the next one, so that its slot in the ring can serve the new epoch. */
  #mergeOldest(ring: 0 | 1, oldest: number): void {
    const from = sentinelOf(ring, oldest);
    const into = sentinelOf(ring, oldest + 1);
    const first = this.next[from]!;
    if (first === from) return;
    const last = this.prev[from]!;
    const follower = this.next[into]!;
    this.next[into] = first;
    this.prev[first] = into;
    this.next[last] = follower;
    this.prev[follower] = last;
    this.next[from] = from;
    this.prev[from] = from;
  }

  #linkYoungest(slot: number, segment: number): void {
    if (segment === PROBATION) this.#linkBefore(slot, PROBATION_HEAD);
    else this.#linkBefore(slot, sentinelOf(segment === WINDOW ? 0 : 1, this.epoch));
  }

  /** Links at the young end of the list of the entry's stamp, or of the oldest list when that is gone. */
  #linkByStamp(slot: number, segment: number): void {
    const ring = segment === WINDOW ? 0 : 1;
    const stamp = this.facts[slot]! >>> STAMP_SHIFT;
    const age = (this.epoch - stamp) & 0xffff;
    const oldest = this.#oldestEpoch[ring];
    if (age < EPOCHS) {
      if (((this.epoch - oldest) & 0xffff) < age) this.#oldestEpoch[ring] = stamp;
      this.#linkBefore(slot, sentinelOf(ring, stamp));
    } else {
      const list = (this.epoch - EPOCHS + 1) & 0xffff;
      this.#oldestEpoch[ring] = list;
      this.facts[slot] = (list << STAMP_SHIFT) | (this.facts[slot]! & LOW_BITS);
      this.#linkBefore(slot, sentinelOf(ring, list));
    }
  }

  #linkBefore(slot: number, sentinel: number): void {
    const last = this.prev[sentinel]!;
    this.next[last] = slot;
    this.prev[slot] = last;
    this.next[slot] = sentinel;
    this.prev[sentinel] = slot;
  }

  #unlink(slot: number): void {
    const before = this.prev[slot]!;
    const after = this.next[slot]!;
    this.next[before] = after;
    this.prev[after] = before;
  }

  #resetSentinels(): void {
    for (let sentinel = 1; sentinel < FIRST_SLOT; sentinel++) {
      this.next[sentinel] = sentinel;
      this.prev[sentinel] = sentinel;
    }
  }
}

function sentinelOf(ring: 0 | 1, epoch: number): number {
  return 1 + ring * EPOCHS + (epoch & (EPOCHS - 1));
}

function copyInto<T extends Uint32Array | Int32Array>(target: T, source: T): T {
  target.set(source);
  return target;
}
