// What has been opened, closed in reverse order. One that fails does not keep the others from being closed. Node 22 has no
// AsyncDisposableStack; this is the part of it that the system needs.

export class ClosingStack implements AsyncDisposable {
  #closers: (() => void | Promise<void>)[] = [];

  /** Runs when the stack is closed, before everything deferred earlier. */
  defer(close: () => void | Promise<void>): void {
    this.#closers.push(close);
  }

  /** Forgets what was deferred: it has an owner now. */
  release(): void {
    this.#closers = [];
  }

  /** @throws what a closer threw; an AggregateError when several did. */
  async close(): Promise<void> {
    const closers = this.#closers.toReversed();
    this.#closers = [];
    const failures: unknown[] = [];
    for (const close of closers) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, 'several parts could not be closed');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
