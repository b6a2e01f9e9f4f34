/**
 * Many small updates of few things become few writes: updates of one key are merged until its write begins, and keys
 * are written in batches. At most one write of a key is under way; what arrives meanwhile is merged for the next one, so
 * writes of a key never overtake each other.
 */
import { Batcher } from './batcher.ts';
import type { BatcherStats, DrainReport } from './batcher-options.ts';
import type { Clock } from './clock.ts';
import { BatchError } from './errors.ts';
import { functionOption, integerOption } from './option-checks.ts';
import type { RetryOptions } from './retry.ts';

export interface CoalescingUpdaterOptions<K, U> {
  /** What two updates of one key come to, `first` before `second`. */
  readonly merge: (first: U, second: U, key: K) => U;
  /** Writes a batch of keys with one merged update each. Throwing fails the batch. */
  readonly apply: (entries: readonly (readonly [K, U])[]) => Promise<void> | void;
  /** Keys of a write at most. Default 500. */
  readonly maxItems?: number;
  /** How long the first key of a write waits for company, and for more of its own updates. Default 10 ms. */
  readonly lingerMs?: number;
  /** Keys with updates not yet written, at most; updates of further keys are rejected. Default 100,000. */
  readonly maxKeys?: number;
  readonly retry?: RetryOptions;
  readonly clock?: Clock;
}

export interface CoalescingUpdaterStats extends BatcherStats {
  readonly updates: number;
  /** Updates that needed no write of their own. */
  readonly merged: number;
  readonly pendingKeys: number;
}

/** The updates of one key that one write will carry. */
class Entry<K, U> {
  readonly key: K;
  update: U;
  underWay = false;
  /** Updates that came while this one was being written. */
  next: Entry<K, U> | undefined = undefined;
  readonly written: Promise<void>;
  resolve!: () => void;
  reject!: (reason: unknown) => void;

  constructor(key: K, update: U) {
    this.key = key;
    this.update = update;
    this.written = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // `update` may be called without looking at the outcome; failures show in stats and in whoever looks.
    this.written.catch(() => undefined);
  }
}

export class CoalescingUpdater<K, U> implements AsyncDisposable {
  readonly #merge: (first: U, second: U, key: K) => U;
  readonly #apply: CoalescingUpdaterOptions<K, U>['apply'];
  readonly #maxKeys: number;
  readonly #entries = new Map<K, Entry<K, U>>();
  readonly #batcher: Batcher<Entry<K, U>>;
  #closed = false;
  #updates = 0;
  #merged = 0;

  /** @throws {RangeError | TypeError} naming the option. */
  constructor(options: CoalescingUpdaterOptions<K, U>) {
    this.#merge = functionOption('merge', options.merge);
    this.#apply = functionOption('apply', options.apply);
    this.#maxKeys = integerOption('maxKeys', options.maxKeys ?? 100_000, 1);
    this.#batcher = new Batcher<Entry<K, U>>({
      process: (entries) => this.#write(entries),
      maxItems: options.maxItems ?? 500,
      lingerMs: options.lingerMs ?? 10,
      capacity: { items: this.#maxKeys },
      ...(options.retry === undefined ? {} : { retry: options.retry }),
      ...(options.clock === undefined ? {} : { clock: options.clock }),
      maxDeadLetters: 0,
    });
  }

  /**
   * Merges an update into what is waiting for its key. Resolves when a write that carries it has succeeded; rejects with
   * the write's error, ERR_PERF_BATCH_FULL or ERR_PERF_BATCH_CLOSED. It may be left unawaited. What `merge` throws is
   * thrown here and leaves the earlier update as it was. O(1).
   */
  update(key: K, update: U): Promise<void> {
    if (this.#closed) return quiet(new BatchError('ERR_PERF_BATCH_CLOSED', 'the updater is closed'));
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      if (this.#entries.size >= this.#maxKeys) {
        return quiet(new BatchError('ERR_PERF_BATCH_FULL', `updates of ${this.#maxKeys} keys are waiting`));
      }
      this.#updates++;
      return this.#enqueue(new Entry(key, update)).written;
    }
    const target = entry.underWay ? entry.next : entry;
    if (target === undefined) {
      this.#updates++;
      entry.next = new Entry(key, update);
      return entry.next.written;
    }
    target.update = this.#merge(target.update, update, key);
    this.#updates++;
    this.#merged++;
    return target.written;
  }

  /** Resolves when every update made before is written or has failed. */
  async flush(): Promise<void> {
    const pending: Promise<void>[] = [];
    for (const entry of this.#entries.values()) {
      pending.push(entry.written);
      if (entry.next !== undefined) pending.push(entry.next.written);
    }
    // The second round is for what waited behind a write.
    await this.#batcher.flush();
    await this.#batcher.flush();
    await Promise.allSettled(pending);
  }

  drain(options?: { readonly timeoutMs?: number }): Promise<DrainReport> {
    return this.#batcher.drain(options);
  }

  /** Refuses new updates and writes those that are waiting. */
  async close(options?: { readonly timeoutMs?: number }): Promise<DrainReport> {
    this.#closed = true;
    const report = await this.#batcher.drain(options);
    await this.#batcher.close({ timeoutMs: 0 });
    return report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  stats(): CoalescingUpdaterStats {
    return {
      ...this.#batcher.stats(),
      updates: this.#updates,
      merged: this.#merged,
      pendingKeys: this.#entries.size,
    };
  }

  #enqueue(entry: Entry<K, U>): Entry<K, U> {
    this.#entries.set(entry.key, entry);
    const { result } = this.#batcher.add(entry);
    result.then(
      () => this.#ended(entry, undefined),
      (error: unknown) => this.#ended(entry, { error }),
    );
    return entry;
  }

  async #write(entries: readonly Entry<K, U>[]): Promise<void> {
    const batch = entries.map((entry) => {
      entry.underWay = true;
      return [entry.key, entry.update] as const;
    });
    await this.#apply(batch);
  }

  #ended(entry: Entry<K, U>, failure: { readonly error: unknown } | undefined): void {
    this.#entries.delete(entry.key);
    if (entry.next !== undefined) this.#enqueue(entry.next);
    if (failure === undefined) entry.resolve();
    else entry.reject(failure.error);
  }
}

function quiet(reason: BatchError): Promise<never> {
  const rejection = Promise.reject(reason);
  rejection.catch(() => undefined);
  return rejection;
}
