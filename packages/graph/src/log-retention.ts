// How long the change log is kept: the newest `maxBytes` of it. A process or a snapshot that is further behind reads
// the rows again, which is then the smaller work anyway.

import type { LogRow, Store } from './store.ts';

/** Looks again only when the log may have outgrown its limit by this much, so the cost per commit is nothing. */
const OVERSHOOT = 1.25;
/** Rows deleted at once: a few milliseconds. */
const SLICE_ROWS = 5_000;

export class LogRetention {
  readonly #store: Store;
  readonly #maxBytes: number;
  #oldestTotal: number | undefined;

  constructor(store: Store, maxBytes: number) {
    this.#store = store;
    this.#maxBytes = maxBytes;
  }

  /** Called with the newest row, inside the transaction that wrote it. */
  afterAppend(last: LogRow): void {
    this.#oldestTotal ??= this.#store.changeAt(this.#store.oldestChange())?.total ?? last.total;
    if (last.total - this.#oldestTotal <= this.#maxBytes * OVERSHOOT) return;
    const oldest = this.#store.oldestChange();
    const until = Math.min(this.#firstKept(oldest, last), oldest + SLICE_ROWS);
    this.#store.deleteChangesBefore(until);
    this.#oldestTotal = this.#store.changeAt(until)?.total;
  }

  /** The oldest row that is within `maxBytes` of the newest; the newest is always kept. `total` ascends with `seq`. */
  #firstKept(oldest: number, last: LogRow): number {
    let low = oldest;
    let high = last.seq;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const row = this.#store.changeAt(middle);
      if (row === undefined || last.total - row.total > this.#maxBytes) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
