import type { Clock } from './clock.ts';
import { MAX_TIMER_MS } from './option-checks.ts';

/** One timer for whatever is due first; asking for a later time than the one it is set for costs a comparison. */
export class DueTimer {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  #timer: NodeJS.Timeout | undefined;
  #dueMs = Infinity;

  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get isArmed(): boolean {
    return this.#timer !== undefined;
  }

  /** Calls back at `dueMs` or before; whoever is called looks at the clock and arms it again for what is not due yet. */
  arm(dueMs: number): void {
    if (dueMs >= this.#dueMs) return;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#dueMs = dueMs;
    // Rounded up: a timer that fires a fraction early would only be set again.
    const delayMs = Math.min(MAX_TIMER_MS, Math.max(1, Math.ceil(dueMs - this.#clock.now())));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#dueMs = Infinity;
      this.#onDue();
    }, delayMs);
  }

  /** Whether it keeps the process alive. */
  hold(alive: boolean): void {
    if (alive) this.#timer?.ref();
    else this.#timer?.unref();
  }

  disarm(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#dueMs = Infinity;
  }
}
