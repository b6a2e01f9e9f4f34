// A binary min-heap of (distance, node) in two typed arrays; ties go to the smaller node, so results do not depend on
// the order of insertion.

export class DistanceHeap {
  #distances = new Float64Array(64);
  #nodes = new Uint32Array(64);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get topNode(): number {
    return this.#nodes[0]!;
  }

  get topDistance(): number {
    return this.#distances[0]!;
  }

  push(distance: number, node: number): void {
    if (this.#size === this.#nodes.length) this.#grow();
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!this.#before(distance, node, parent)) break;
      this.#distances[at] = this.#distances[parent]!;
      this.#nodes[at] = this.#nodes[parent]!;
      at = parent;
    }
    this.#distances[at] = distance;
    this.#nodes[at] = node;
  }

  /** Removes the top and returns its distance. */
  pop(): number {
    const top = this.#distances[0]!;
    const size = --this.#size;
    const distance = this.#distances[size]!;
    const node = this.#nodes[size]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#before(this.#distances[child + 1]!, this.#nodes[child + 1]!, child))
        child++;
      if (this.#before(distance, node, child)) break;
      this.#distances[at] = this.#distances[child]!;
      this.#nodes[at] = this.#nodes[child]!;
      at = child;
    }
    this.#distances[at] = distance;
    this.#nodes[at] = node;
    return top;
  }

  /** Whether (distance, node) comes before what is at `at`. */
  #before(distance: number, node: number, at: number): boolean {
    const other = this.#distances[at]!;
    return distance < other || (distance === other && node < this.#nodes[at]!);
  }

  #grow(): void {
    const distances = new Float64Array(this.#size * 2);
    const nodes = new Uint32Array(this.#size * 2);
    distances.set(this.#distances);
    nodes.set(this.#nodes);
    this.#distances = distances;
    this.#nodes = nodes;
  }
}
