/**
 * What is due next: an indexed 4-ary min-heap over typed arrays. A push returns a handle by which the entry can be
 * taken out again in O(log n), so a job that finishes early leaves nothing behind until its deadline. Four children per
 * node halve the depth and share a cache line (LaMarca & Ladner 1996).
 *
 * Structure: `due` and `values` by slot; `heap` holds slots; `position` is the inverse of `heap`; freed slots are
 * chained through `position`. Invariant: due[heap[parent(i)]] <= due[heap[i]].
 */
const ARITY_SHIFT = 2;
const INITIAL_SLOTS = 16;

export class DeadlineHeap<V> {
  #due = new Float64Array(INITIAL_SLOTS);
  #values: (V | undefined)[] = new Array<V | undefined>(INITIAL_SLOTS).fill(undefined);
  #heap = new Int32Array(INITIAL_SLOTS);
  #position = new Int32Array(INITIAL_SLOTS);
  #size = 0;
  #slotsUsed = 0;
  #freeHead = -1;

  get size(): number {
    return this.#size;
  }

  /** Time of the earliest entry; Infinity when empty. */
  get nextDueMs(): number {
    return this.#size === 0 ? Infinity : (this.#due[this.#heap[0] as number] as number);
  }

  dueMsOf(handle: number): number {
    return this.#due[handle] as number;
  }

  /** @returns a handle for `remove`, valid until the entry leaves. */
  push(dueMs: number, value: V): number {
    const slot = this.#takeSlot();
    this.#due[slot] = dueMs;
    this.#values[slot] = value;
    this.#siftUp(this.#size++, slot);
    return slot;
  }

  /** Takes the earliest entry out if it is due at `nowMs`. */
  popDue(nowMs: number): V | undefined {
    if (this.#size === 0) return undefined;
    const slot = this.#heap[0] as number;
    if ((this.#due[slot] as number) > nowMs) return undefined;
    const value = this.#values[slot];
    this.remove(slot);
    return value;
  }

  remove(handle: number): void {
    const index = this.#position[handle] as number;
    const last = this.#heap[--this.#size] as number;
    if (last !== handle) {
      if ((this.#due[last] as number) < (this.#due[handle] as number)) this.#siftUp(index, last);
      else this.#siftDown(index, last);
    }
    this.#values[handle] = undefined;
    this.#position[handle] = this.#freeHead;
    this.#freeHead = handle;
  }

  #takeSlot(): number {
    if (this.#freeHead !== -1) {
      const slot = this.#freeHead;
      this.#freeHead = this.#position[slot] as number;
      return slot;
    }
    if (this.#slotsUsed === this.#due.length) this.#grow();
    return this.#slotsUsed++;
  }

  #siftUp(index: number, slot: number): void {
    const due = this.#due[slot] as number;
    let at = index;
    while (at > 0) {
      const parent = (at - 1) >> ARITY_SHIFT;
      const other = this.#heap[parent] as number;
      if ((this.#due[other] as number) <= due) break;
      this.#place(at, other);
      at = parent;
    }
    this.#place(at, slot);
  }

  #siftDown(index: number, slot: number): void {
    const due = this.#due[slot] as number;
    let at = index;
    for (;;) {
      const first = (at << ARITY_SHIFT) + 1;
      if (first >= this.#size) break;
      const end = Math.min(first + (1 << ARITY_SHIFT), this.#size);
      let least = first;
      let leastDue = this.#due[this.#heap[first] as number] as number;
      for (let child = first + 1; child < end; child++) {
        const childDue = this.#due[this.#heap[child] as number] as number;
        if (childDue < leastDue) {
          least = child;
          leastDue = childDue;
        }
      }
      if (leastDue >= due) break;
      this.#place(at, this.#heap[least] as number);
      at = least;
    }
    this.#place(at, slot);
  }

  #place(index: number, slot: number): void {
    this.#heap[index] = slot;
    this.#position[slot] = index;
  }

  #grow(): void {
    const slots = this.#due.length * 2;
    const due = new Float64Array(slots);
    due.set(this.#due);
    this.#due = due;
    const heap = new Int32Array(slots);
    heap.set(this.#heap);
    this.#heap = heap;
    const position = new Int32Array(slots);
    position.set(this.#position);
    this.#position = position;
    for (let i = this.#values.length; i < slots; i++) this.#values.push(undefined);
  }
}
