/**
 * A queue of few priority levels: one growable ring per level and one bitmask of the levels that hold something, so
 * that the most urgent level is one count-trailing-zeros away and a push or a pop is O(1) whatever the backlog.
 *
 * Aging needs no moving: within a level the head is the oldest, so the job with the best effective priority
 * (level minus waited time over agingMs) is one of at most 32 heads.
 *
 * Removal from the middle is the owner's business: it marks the value dead, skips it when popped and calls `compact`
 * when the dead outnumber the living.
 */

/** One bit per level in a 32-bit mask. */
export const MAX_PRIORITIES = 32;

const INITIAL_SLOTS = 16;

export interface Queued {
  readonly enqueuedAtMs: number;
}

/** Double-ended ring; slots are a power of two so that an index is a mask away. */
class Ring<V> {
  slots: (V | undefined)[] = new Array<V | undefined>(INITIAL_SLOTS).fill(undefined);
  head = 0;
  count = 0;

  pushBack(value: V): void {
    if (this.count === this.slots.length) this.#grow();
    this.slots[(this.head + this.count) & (this.slots.length - 1)] = value;
    this.count++;
  }

  pushFront(value: V): void {
    if (this.count === this.slots.length) this.#grow();
    this.head = (this.head - 1) & (this.slots.length - 1);
    this.slots[this.head] = value;
    this.count++;
  }

  popFront(): V {
    const value = this.slots[this.head] as V;
    this.slots[this.head] = undefined;
    this.head = (this.head + 1) & (this.slots.length - 1);
    this.count--;
    return value;
  }

  popBack(): V {
    this.count--;
    const index = (this.head + this.count) & (this.slots.length - 1);
    const value = this.slots[index] as V;
    this.slots[index] = undefined;
    return value;
  }

  keep(isLive: (value: V) => boolean): void {
    const living: V[] = [];
    for (let i = 0; i < this.count; i++) {
      const value = this.slots[(this.head + i) & (this.slots.length - 1)] as V;
      if (isLive(value)) living.push(value);
    }
    let size = INITIAL_SLOTS;
    while (size < living.length) size *= 2;
    const slots = new Array<V | undefined>(size).fill(undefined);
    for (let i = 0; i < living.length; i++) slots[i] = living[i];
    this.slots = slots;
    this.head = 0;
    this.count = living.length;
  }

  #grow(): void {
    const { slots, head, count } = this;
    const grown = new Array<V | undefined>(slots.length * 2).fill(undefined);
    for (let i = 0; i < count; i++) grown[i] = slots[(head + i) & (slots.length - 1)];
    this.slots = grown;
    this.head = 0;
  }
}

export class PriorityRing<V extends Queued> {
  readonly #levels: Ring<V>[];
  #occupied = 0;
  #size = 0;

  /** @param levels 1 to 32; level 0 is the most urgent. */
  constructor(levels: number) {
    this.#levels = Array.from({ length: levels }, () => new Ring<V>());
  }

  /** Values held, dead ones included. */
  get size(): number {
    return this.#size;
  }

  push(level: number, value: V): void {
    (this.#levels[level] as Ring<V>).pushBack(value);
    this.#occupied |= 1 << level;
    this.#size++;
  }

  /** Back to the head of its level: for a job that has already waited its turn once. */
  pushFront(level: number, value: V): void {
    (this.#levels[level] as Ring<V>).pushFront(value);
    this.#occupied |= 1 << level;
    this.#size++;
  }

  /** The oldest value of the most urgent level. */
  pop(): V | undefined {
    if (this.#occupied === 0) return undefined;
    return this.#popLevel(31 - Math.clz32(this.#occupied & -this.#occupied));
  }

  /** The head of the best effective level; among equals the one that waited longest. */
  popAged(nowMs: number, agingMs: number): V | undefined {
    const level = this.#agedLevel(nowMs, agingMs);
    return level === -1 ? undefined : this.#popLevel(level);
  }

  /** What `pop` or, with an agingMs, `popAged` would return. */
  peek(nowMs: number, agingMs: number | undefined): V | undefined {
    if (this.#occupied === 0) return undefined;
    const level =
      agingMs === undefined
        ? 31 - Math.clz32(this.#occupied & -this.#occupied)
        : this.#agedLevel(nowMs, agingMs);
    const ring = this.#levels[level] as Ring<V>;
    return ring.slots[ring.head];
  }

  /** The newest value of the least urgent level, if that level is less urgent than `level`. */
  popLessUrgentThan(level: number): V | undefined {
    if (this.#occupied === 0) return undefined;
    const last = 31 - Math.clz32(this.#occupied);
    if (last <= level) return undefined;
    const ring = this.#levels[last] as Ring<V>;
    const value = ring.popBack();
    this.#size--;
    if (ring.count === 0) this.#occupied &= ~(1 << last);
    return value;
  }

  /** When the longest waiting value came; Infinity when empty. O(levels). */
  oldestAtMs(): number {
    let oldest = Infinity;
    for (let mask = this.#occupied; mask !== 0; mask &= mask - 1) {
      const ring = this.#levels[31 - Math.clz32(mask & -mask)] as Ring<V>;
      const at = (ring.slots[ring.head] as V).enqueuedAtMs;
      if (at < oldest) oldest = at;
    }
    return oldest;
  }

  /** Drops dead values and returns memory. O(size). */
  compact(isLive: (value: V) => boolean): void {
    this.#size = 0;
    this.#occupied = 0;
    for (let level = 0; level < this.#levels.length; level++) {
      const ring = this.#levels[level] as Ring<V>;
      if (ring.count === 0 && ring.slots.length === INITIAL_SLOTS) continue;
      ring.keep(isLive);
      this.#size += ring.count;
      if (ring.count > 0) this.#occupied |= 1 << level;
    }
  }

  #popLevel(level: number): V {
    const ring = this.#levels[level] as Ring<V>;
    const value = ring.popFront();
    this.#size--;
    if (ring.count === 0) this.#occupied &= ~(1 << level);
    return value;
  }

  #agedLevel(nowMs: number, agingMs: number): number {
    let best = -1;
    let bestLevel = Infinity;
    let bestAt = Infinity;
    for (let mask = this.#occupied; mask !== 0; mask &= mask - 1) {
      const level = 31 - Math.clz32(mask & -mask);
      const ring = this.#levels[level] as Ring<V>;
      const at = (ring.slots[ring.head] as V).enqueuedAtMs;
      const effective = level - Math.floor((nowMs - at) / agingMs);
      if (effective < bestLevel || (effective === bestLevel && at < bestAt)) {
        best = level;
        bestLevel = effective;
        bestAt = at;
      }
    }
    return best;
  }
}
