/** Remembers which keys an operation used, to bring them into memory when the operation comes again. */
import { LRUCache } from 'lru-cache';
import { checkInteger } from './option-checks.ts';

export interface PrefetchOptions {
  /** Operations remembered. Default 10,000. */
  readonly maxOperations?: number;
  /** Keys remembered for one operation. Default 32. */
  readonly maxKeysPerOperation?: number;
}

export interface PrefetchStats {
  /** Keys asked for ahead of their use. */
  readonly issued: number;
}

/** A key is expected when it was used in this many of the operation's runs. */
const CONFIDENCE = 2;

export class OperationMemory {
  readonly #enabled: boolean;
  readonly #maxKeys: number;
  readonly #operations: LRUCache<string, Map<string, number>>;
  #issued = 0;

  constructor(options: PrefetchOptions | false) {
    this.#enabled = options !== false;
    const { maxOperations = 10_000, maxKeysPerOperation = 32 } = options === false ? {} : options;
    checkInteger('prefetch.maxOperations', maxOperations, 1, 2 ** 20);
    this.#maxKeys = checkInteger('prefetch.maxKeysPerOperation', maxKeysPerOperation, 1, 1024);
    this.#operations = new LRUCache({ max: maxOperations });
  }

  /** Notes one run; the keys that were expected of it from earlier runs. */
  record(operation: string, keys: readonly string[]): readonly string[] {
    const expected = this.#enabled ? this.#confident(operation) : [];
    const counts = this.#operations.get(operation) ?? new Map<string, number>();
    for (const key of keys) {
      const count = counts.get(key) ?? 0;
      counts.delete(key);
      counts.set(key, count + 1);
    }
    for (const key of counts.keys()) {
      if (counts.size <= this.#maxKeys) break;
      counts.delete(key);
    }
    this.#operations.set(operation, counts);
    return expected;
  }

  prefetched(keys: readonly string[]): void {
    this.#issued += keys.length;
  }

  /** Keys that the operation used, latest first. */
  keysOf(operation: string): readonly string[] {
    return [...(this.#operations.peek(operation)?.keys() ?? [])].reverse();
  }

  stats(): PrefetchStats {
    return { issued: this.#issued };
  }

  #confident(operation: string): readonly string[] {
    const counts = this.#operations.peek(operation);
    if (counts === undefined) return [];
    return [...counts].filter(([, count]) => count >= CONFIDENCE).map(([key]) => key);
  }
}
