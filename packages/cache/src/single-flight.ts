/**
 * One call for many waiters. Each waiter may leave by its own signal; when the last one has left, the call's signal is
 * aborted. A flight that a mutation has overtaken is detached: its waiters still get its result, later callers start
 * anew.
 */

export class Flight<T> {
  readonly promise: Promise<T>;
  readonly #controller = new AbortController();
  #waiters = 0;
  #settled = false;
  readonly #onAbandoned: (flight: Flight<T>) => void;

  constructor(run: (signal: AbortSignal) => Promise<T>, onAbandoned: (flight: Flight<T>) => void) {
    this.#onAbandoned = onAbandoned;
    this.promise = run(this.#controller.signal);
    const settle = (): void => {
      this.#settled = true;
    };
    // Also marks a rejection as handled: a call whose waiters have all left must not end the process.
    this.promise.then(settle, settle);
  }

  /** Keeps the call going whether or not anybody waits. */
  hold(): void {
    this.#waiters++;
  }

  /** The result, or a rejection with `signal.reason` as soon as this waiter's signal is aborted. */
  async join(signal: AbortSignal | undefined): Promise<T> {
    this.#waiters++;
    if (signal === undefined) return this.promise;
    let leave: (() => void) | undefined;
    const left = new Promise<never>((_, reject) => {
      leave = () => {
        reject(signal.reason as Error);
        this.#leave(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
    });
    try {
      return await Promise.race([this.promise, left]);
    } finally {
      signal.removeEventListener('abort', leave!);
    }
  }

  #leave(reason: unknown): void {
    if (--this.#waiters > 0 || this.#settled) return;
    this.#onAbandoned(this);
    this.#controller.abort(reason);
  }
}
