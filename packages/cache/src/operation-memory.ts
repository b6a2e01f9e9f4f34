/** Remembers which keys an operation used, to bring them into memory when the operation comes again. */
import { checkInteger } from './option-checks.ts';

/** A key is expected when it was used in this many of the operation's runs. */
const CONFIDENCE = 2;

export class OperationMemory {
  readonly #maxKeys: number;
  readonly #maxOperations: number;
  readonly #operations = new Map<string, Map<string, number>>();

  constructor(maxOperations: number, maxKeysPerOperation: number) {
    this.#maxOperations = checkInteger('prefetch.maxOperations', maxOperations, 1, 2 ** 20);
    this.#maxKeys = checkInteger('prefetch.maxKeysPerOperation', maxKeysPerOperation, 1, 1024);
  }

  /** Notes one run; the keys that were expected of it from earlier runs. */
  record(operation: string, keys: readonly string[]): readonly string[] {
    const expected = this.#confident(operation);
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
    this.#operations.delete(operation);
    this.#operations.set(operation, counts);
    for (const oldest of this.#operations.keys()) {
      if (this.#operations.size <= this.#maxOperations) break;
      this.#operations.delete(oldest);
    }
    return expected;
  }

  /** Keys that the operation used, latest first. */
  keysOf(operation: string): readonly string[] {
    return [...(this.#operations.get(operation)?.keys() ?? [])].reverse();
  }

  #confident(operation: string): readonly string[] {
    const counts = this.#operations.get(operation);
    if (counts === undefined) return [];
    return [...counts].filter(([, count]) => count >= CONFIDENCE).map(([key]) => key);
  }
}
