import { functionOption, integerOption, numberOption } from './option-checks.ts';

/** When and how often a failed item is tried again. */
export interface RetryOptions {
  /** Attempts in all, the first included. 1 to 1000, default 3. */
  readonly maxAttempts?: number;
  /** Ceiling of the first backoff; it doubles per attempt. Default 100 ms. */
  readonly baseDelayMs?: number;
  /** Ceiling of any backoff. Default 30 s. A longer `retryAfterMs` on the error is still honoured. */
  readonly maxDelayMs?: number;
  /** Whether an error is worth another attempt. Default: every error. */
  readonly retryable?: (error: unknown) => boolean;
  /**
   * Retries a system under overload may add: each success earns `ratio` of a retry, up to `burst` saved. Without
   * it, an outage multiplies the load by maxAttempts (Google SRE book, chapter 22). Default: no budget.
   */
  readonly budget?: { readonly ratio: number; readonly burst: number };
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

/**
 * Full jitter (Brooker, "Exponential backoff and jitter", AWS 2015): uniform in [0, ceiling), so retries of jobs that
 * failed together do not come back together. An error that carries `retryAfterMs` is never retried earlier than that;
 * its jitter comes on top.
 */
export class RetryPolicy {
  readonly maxAttempts: number;
  readonly #baseDelayMs: number;
  readonly #maxDelayMs: number;
  readonly #retryable: ((error: unknown) => boolean) | undefined;
  readonly #random: () => number;
  readonly #earnedPerSuccess: number;
  readonly #burst: number;
  #budget: number;

  constructor(options: RetryOptions | undefined) {
    const o = options ?? { maxAttempts: 1 };
    this.maxAttempts = integerOption('retry.maxAttempts', o.maxAttempts ?? 3, 1, 1000);
    this.#baseDelayMs = numberOption('retry.baseDelayMs', o.baseDelayMs ?? 100, 0);
    this.#maxDelayMs = numberOption('retry.maxDelayMs', o.maxDelayMs ?? 30_000, 0);
    this.#retryable = o.retryable === undefined ? undefined : functionOption('retry.retryable', o.retryable);
    this.#random = o.random === undefined ? Math.random : functionOption('retry.random', o.random);
    this.#earnedPerSuccess =
      o.budget === undefined ? 0 : numberOption('retry.budget.ratio', o.budget.ratio, 0, 1);
    this.#burst = o.budget === undefined ? Infinity : numberOption('retry.budget.burst', o.budget.burst, 0);
    this.#budget = this.#burst;
  }

  succeeded(count: number): void {
    if (this.#budget < this.#burst)
      this.#budget = Math.min(this.#burst, this.#budget + count * this.#earnedPerSuccess);
  }

  /**
   * @param attempt attempts made so far, 1 or more.
   * @returns how long to wait before the next one; undefined when there shall be none.
   */
  nextDelayMs(attempt: number, error: unknown): number | undefined {
    if (attempt >= this.maxAttempts) return undefined;
    if (this.#retryable !== undefined && !this.#retryable(error)) return undefined;
    if (this.#budget < 1) return undefined;
    this.#budget -= 1;
    const ceilingMs = Math.min(this.#maxDelayMs, this.#baseDelayMs * 2 ** (attempt - 1));
    return retryAfterMs(error) + this.#random() * ceilingMs;
  }
}

function retryAfterMs(error: unknown): number {
  if (typeof error !== 'object' || error === null || !('retryAfterMs' in error)) return 0;
  const wait = error.retryAfterMs;
  return typeof wait === 'number' && wait > 0 && wait < Infinity ? wait : 0;
}
