// Working memory of searches, kept between them.
//
// A visited set is a bitset: n/8 bytes stay in the second-level cache where a stamp per node (4n bytes) would not.
// It is handed out clean and comes back clean: whoever used it clears the bits it set, by walking its own queue when
// that is short, so that a small query on a big graph costs what it visited and never O(n).
//
// Every search takes scratch of its own, so nested and interleaved searches cannot meet.

/** Beyond this share of the ordinals, filling with zeros is cheaper than clearing bit by bit. */
const FILL_SHARE = 1 / 32;
const MAX_IDLE = 4;

export class Scratch {
  /** One bit per ordinal; Int32 so that words are small integers for V8. */
  readonly visited: Int32Array;
  /** Room for every ordinal once, and one more: the inner loop stores before it knows whether it may. */
  readonly queue: Uint32Array;
  /** Allocated by the first search that records predecessors. */
  #parents: Uint32Array | undefined;
  /** Allocated by the first level that needs it. */
  #frontier: Int32Array | undefined;

  constructor(capacity: number) {
    this.visited = new Int32Array((capacity + 31) >>> 5);
    this.queue = new Uint32Array(capacity + 1);
  }

  get capacity(): number {
    return this.queue.length - 1;
  }

  get sizeBytes(): number {
    const { visited, queue } = this;
    return (
      visited.byteLength +
      queue.byteLength +
      (this.#parents?.byteLength ?? 0) +
      (this.#frontier?.byteLength ?? 0)
    );
  }

  /** Not cleared between uses: meaningful only where `visited` is set. */
  get parents(): Uint32Array {
    this.#parents ??= new Uint32Array(this.capacity);
    return this.#parents;
  }

  /** A second bitset, of any content. */
  get frontier(): Int32Array {
    this.#frontier ??= new Int32Array(this.visited.length);
    return this.#frontier;
  }

  /** Unsets the bits of the first `count` ordinals of the queue. */
  clean(count: number): void {
    const { visited, queue } = this;
    if (count > this.capacity * FILL_SHARE) {
      visited.fill(0);
      return;
    }
    for (let i = 0; i < count; i++) visited[queue[i]! >>> 5] = 0;
  }
}

export class ScratchPool {
  #idle: Scratch[] = [];
  #created = 0;

  get created(): number {
    return this.#created;
  }

  get sizeBytes(): number {
    return this.#idle.reduce((sum, scratch) => sum + scratch.sizeBytes, 0);
  }

  /** Clean scratch for at least `ordinals` nodes. */
  take(ordinals: number): Scratch {
    const scratch = this.#idle.pop();
    if (scratch !== undefined && scratch.capacity >= ordinals) return scratch;
    this.#created++;
    return new Scratch(Math.max(1024, Math.ceil(ordinals * 1.25)));
  }

  /** Gives scratch back; the first `used` entries of its queue name the bits that are set. */
  give(scratch: Scratch, used: number): void {
    scratch.clean(used);
    if (this.#idle.length < MAX_IDLE) this.#idle.push(scratch);
  }
}
