import { DONE, FAILED, REFUSED, type Job } from './job.ts';

interface KnownKey<T, R> {
  readonly job: Job<T, R>;
  readonly expiresAtMs: number;
}

/** Idempotency keys of a Batcher without a store: at most `maxKeys`, each for `ttlMs` from when it was first used. */
export class KnownKeys<T, R> {
  readonly #ttlMs: number;
  readonly #maxKeys: number;
  readonly #keys = new Map<string, KnownKey<T, R>>();

  constructor(ttlMs: number, maxKeys: number) {
    this.#ttlMs = ttlMs;
    this.#maxKeys = maxKeys;
  }

  /** The job of this key, unless it failed or the key has expired. */
  find(key: string, nowMs: number): Job<T, R> | undefined {
    const known = this.#keys.get(key);
    if (known === undefined) return undefined;
    const { state } = known.job;
    if (state !== FAILED && state !== REFUSED && !isExpired(known, nowMs)) return known.job;
    this.#keys.delete(key);
    return undefined;
  }

  /** Forgets the expired and, when there are too many, the oldest. Amortised O(1). */
  remember(key: string, job: Job<T, R>, nowMs: number): void {
    for (const [oldest, known] of this.#keys) {
      if (!isExpired(known, nowMs) && this.#keys.size < this.#maxKeys) break;
      this.#keys.delete(oldest);
    }
    this.#keys.set(key, { job, expiresAtMs: nowMs + this.#ttlMs });
  }
}

/** An unfinished job keeps its key, however long it takes. */
function isExpired<T, R>({ job, expiresAtMs }: KnownKey<T, R>, nowMs: number): boolean {
  return job.state === DONE && expiresAtMs <= nowMs;
}
