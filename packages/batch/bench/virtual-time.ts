/** Timers and clock of a simulation: time jumps from one timer to the next, so an hour takes as long as its events. */
interface Timer {
  readonly id: number;
  readonly atMs: number;
  readonly run: () => void;
}

const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };

export class VirtualTime {
  #nowMs = 0;
  #nextId = 1;
  readonly #timers = new Map<number, Timer>();

  now(): number {
    return this.#nowMs;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#set(resolve, ms);
    });
  }

  /** Runs `main` and every timer it leads to, with the global timers replaced meanwhile. */
  async run<V>(main: () => Promise<V>): Promise<V> {
    globalThis.setTimeout = ((run: () => void, ms?: number) => this.#set(run, ms ?? 0)) as never;
    globalThis.clearTimeout = ((handle: { readonly id: number } | undefined) => {
      if (handle !== undefined) this.#timers.delete(handle.id);
    }) as never;
    try {
      const state = { done: false };
      const result = main().finally(() => {
        state.done = true;
      });
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve));
        if (state.done) return await result;
        this.#fireNext();
      }
    } finally {
      globalThis.setTimeout = real.setTimeout;
      globalThis.clearTimeout = real.clearTimeout;
    }
  }

  #set(run: () => void, ms: number): { readonly id: number; ref(): void; unref(): void } {
    const timer = { id: this.#nextId++, atMs: this.#nowMs + Math.max(0, ms), run };
    this.#timers.set(timer.id, timer);
    return { id: timer.id, ref: () => undefined, unref: () => undefined };
  }

  #fireNext(): void {
    let next: Timer | undefined;
    for (const timer of this.#timers.values()) if (next === undefined || timer.atMs < next.atMs) next = timer;
    if (next === undefined) throw new Error('the simulation waits for something that no timer will bring');
    this.#timers.delete(next.id);
    this.#nowMs = next.atMs;
    next.run();
  }
}
