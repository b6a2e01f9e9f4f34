/**
 * Keeps writes to the tiers in the order in which they were asked for: per key one after the other, different keys at
 * the same time, and a `clear` or tag deletion after all that came before and before all that comes after.
 */
export class WriteOrder {
  readonly #last = new Map<string, Promise<unknown>>();
  #barrier: Promise<unknown> | undefined;

  /** Runs `write` when the earlier writes of these keys have settled; at once when there are none. */
  run<T>(keys: readonly string[], write: () => Promise<T>): Promise<T> {
    const earlier: Promise<unknown>[] = this.#barrier === undefined ? [] : [this.#barrier];
    for (const key of keys) {
      const last = this.#last.get(key);
      if (last !== undefined) earlier.push(last);
    }
    const run = earlier.length === 0 ? write() : Promise.allSettled(earlier).then(write);
    for (const key of keys) this.#last.set(key, run);
    const forget = (): void => {
      for (const key of keys) if (this.#last.get(key) === run) this.#last.delete(key);
    };
    run.then(forget, forget);
    return run;
  }

  /** Runs `write` between everything before and everything after. */
  runAlone<T>(write: () => Promise<T>): Promise<T> {
    const run = this.idle().then(write);
    this.#barrier = run;
    const forget = (): void => {
      if (this.#barrier === run) this.#barrier = undefined;
    };
    run.then(forget, forget);
    return run;
  }

  /** Settles when the writes of the key that were asked for so far have settled; `undefined` when there are none. */
  pending(key: string): Promise<unknown> | undefined {
    const waits = [this.#last.get(key), this.#barrier].filter((wait) => wait !== undefined);
    return waits.length === 0 ? undefined : Promise.allSettled(waits);
  }

  /** Settles when all writes that were asked for so far have settled. */
  async idle(): Promise<void> {
    await Promise.allSettled([...this.#last.values(), this.#barrier]);
  }
}
