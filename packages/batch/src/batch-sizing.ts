/** Weight of the newest batch in the moving average. */
const COST_WEIGHT = 0.2;

/** How many items the next full batch has: all it may, or as many as take about `targetBatchMs`. */
export class BatchSizing {
  readonly #maxItems: number;
  readonly #targetBatchMs: number | undefined;
  #msPerItem = 0;
  items: number;

  constructor(maxItems: number, targetBatchMs: number | undefined) {
    this.#maxItems = maxItems;
    this.#targetBatchMs = targetBatchMs;
    this.items = targetBatchMs === undefined ? maxItems : 1;
  }

  get isTimed(): boolean {
    return this.#targetBatchMs !== undefined;
  }

  observe(items: number, latencyMs: number): void {
    if (this.#targetBatchMs === undefined) return;
    const msPerItem = latencyMs / items;
    if (this.#msPerItem === 0) this.#msPerItem = msPerItem;
    else this.#msPerItem += COST_WEIGHT * (msPerItem - this.#msPerItem);
    // At most doubled per batch: one lucky small batch must not send a huge one.
    const wanted = this.#msPerItem === 0 ? this.#maxItems : Math.floor(this.#targetBatchMs / this.#msPerItem);
    this.items = Math.max(1, Math.min(wanted, this.items * 2, this.#maxItems));
  }
}
