interface FlushWaiter {
  remaining: number;
  readonly upToSequence: number;
  readonly resolve: () => void;
}

/** Who waits for everything up to some item to have ended. Each counts down what it waits for. */
export class FlushWaiters {
  #waiters: FlushWaiter[] = [];

  get count(): number {
    return this.#waiters.length;
  }

  /** Resolves after `remaining` items with sequence numbers up to `upToSequence` have been reported. */
  wait(remaining: number, upToSequence: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push({ remaining, upToSequence, resolve });
    });
  }

  ended(sequence: number): void {
    let finished = false;
    for (const waiter of this.#waiters) {
      if (sequence <= waiter.upToSequence && --waiter.remaining === 0) finished = true;
    }
    if (!finished) return;
    const done = this.#waiters.filter((waiter) => waiter.remaining === 0);
    this.#waiters = this.#waiters.filter((waiter) => waiter.remaining > 0);
    for (const waiter of done) waiter.resolve();
  }
}
