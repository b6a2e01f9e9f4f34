// The last `capacity` items, oldest first. Storage is a power of two so that an index is masked, not divided; a slot
// that is given up is cleared, so that the ring holds on to nothing it does not contain.
import { checkedCount } from './option-checks.ts';

const MAX_CAPACITY = 2 ** 24;

export class RingBuffer<T> implements Iterable<T> {
  readonly #capacity: number;
  readonly #mask: number;
  readonly #slots: (T | undefined)[];
  #head = 0;
  #length = 0;

  /** `capacity`: 1 to 2^24 items. */
  constructor(capacity: number) {
    checkedCount('capacity', capacity);
    if (capacity > MAX_CAPACITY) throw new RangeError(`capacity must be at most ${MAX_CAPACITY}`);
    const size = capacity === 1 ? 1 : 2 ** (32 - Math.clz32(capacity - 1));
    this.#capacity = capacity;
    this.#mask = size - 1;
    this.#slots = new Array<T | undefined>(size).fill(undefined);
  }

  get capacity(): number {
    return this.#capacity;
  }

  get length(): number {
    return this.#length;
  }

  /** Adds an item; when the ring is full, the oldest makes room and is returned. O(1). */
  push(item: T): T | undefined {
    const oldest = this.#length === this.#capacity ? this.shift() : undefined;
    this.#slots[(this.#head + this.#length) & this.#mask] = item;
    this.#length++;
    return oldest;
  }

  /** Takes the oldest item, or `undefined` when there is none. O(1). */
  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & this.#mask;
    this.#length--;
    return item;
  }

  /** The item at `index`, 0 being the oldest and -1 the newest, or `undefined`. O(1). */
  at(index: number): T | undefined {
    const place = index < 0 ? this.#length + index : index;
    if (!(place >= 0 && place < this.#length)) return undefined;
    return this.#slots[(this.#head + place) & this.#mask];
  }

  clear(): void {
    this.#slots.fill(undefined);
    this.#head = 0;
    this.#length = 0;
  }

  toArray(): T[] {
    return Array.from(this);
  }

  /** Oldest to newest; items added meanwhile are seen, as with an array. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (let i = 0; i < this.#length; i++) yield this.#slots[(this.#head + i) & this.#mask] as T;
  }
}
