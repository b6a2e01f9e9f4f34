// Edges of one big put, waiting to be written in the order of their rows.
//
// The table is clustered by (source, type, target). Edges in random order touch a page each; sorted, neighbours share
// pages, and one statement takes many of them. An edge is one number, exact below 2^53:
//
//   (source * types + type) * nodes + target
//
// Plain edges are nothing but that number; the others keep the rest in a map. Later edges replace equal ones.

import type { EdgeColumns } from './adjacency.ts';

/** Edges collected before they are written; more share more pages. */
export const BATCH_EDGES: number = 1 << 17;

export interface EdgeExtras {
  readonly columns: EdgeColumns;
  readonly metadata: string | null;
}

export class EdgeBatch {
  #codes = new Float64Array(256);
  readonly #extras = new Map<number, EdgeExtras>();
  #count = 0;
  #nodeSpan = 0;
  #typeSpan = 0;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  get isFull(): boolean {
    return this.#count === BATCH_EDGES;
  }

  /** Whether edges between keys and of types below these bounds fit the numbers used since the batch was empty. */
  fits(nodes: number, types: number): boolean {
    if (nodes <= this.#nodeSpan && types <= this.#typeSpan) return true;
    if (this.#count > 0) return false;
    // Room for what the next edges create, so that a batch is not cut at every new node.
    this.#nodeSpan = nodes + 2 * BATCH_EDGES;
    this.#typeSpan = types + 64;
    return this.#nodeSpan * this.#nodeSpan * this.#typeSpan <= Number.MAX_SAFE_INTEGER;
  }

  add(source: number, type: number, target: number, extras: EdgeExtras | undefined): void {
    const code = (source * this.#typeSpan + type) * this.#nodeSpan + target;
    if (this.#count === this.#codes.length) this.#grow();
    this.#codes[this.#count++] = code;
    if (extras !== undefined) this.#extras.set(code, extras);
    else if (this.#extras.size > 0) this.#extras.delete(code);
  }

  /** Hands over every edge once, by ascending source, type and target, and is empty afterwards. */
  drain(take: (source: number, type: number, target: number, extras: EdgeExtras | undefined) => void): void {
    const codes = this.#codes.subarray(0, this.#count).sort();
    this.#count = 0;
    let last = -1;
    for (const code of codes) {
      if (code === last) continue;
      last = code;
      const rest = Math.floor(code / this.#nodeSpan);
      const source = Math.floor(rest / this.#typeSpan);
      const extras = this.#extras.size === 0 ? undefined : this.#extras.get(code);
      take(source, rest - source * this.#typeSpan, code - rest * this.#nodeSpan, extras);
    }
    this.clear();
  }

  #grow(): void {
    const larger = new Float64Array(this.#codes.length * 2);
    larger.set(this.#codes);
    this.#codes = larger;
  }

  clear(): void {
    this.#count = 0;
    this.#nodeSpan = 0;
    this.#typeSpan = 0;
    this.#extras.clear();
  }
}
