import type { DeadLetter } from './job-store.ts';

/** The last `maxItems` jobs that ended without success, oldest first. */
export class DeadLetters<T> {
  readonly #maxItems: number;
  readonly #letters = new Map<string, DeadLetter<T>>();

  constructor(maxItems: number) {
    this.#maxItems = maxItems;
  }

  get size(): number {
    return this.#letters.size;
  }

  put(letter: DeadLetter<T>): void {
    if (this.#maxItems === 0) return;
    if (this.#letters.size >= this.#maxItems) {
      for (const oldest of this.#letters.keys()) {
        this.#letters.delete(oldest);
        break;
      }
    }
    this.#letters.set(letter.id, letter);
  }

  list(): readonly DeadLetter<T>[] {
    return [...this.#letters.values()];
  }

  get(id: string): DeadLetter<T> | undefined {
    return this.#letters.get(id);
  }

  delete(id: string): void {
    this.#letters.delete(id);
  }
}

/** One line that says what went wrong, for a record that outlives the error object. */
export function describeError(error: unknown): string {
  if (error instanceof Error) {
    const code = 'code' in error && typeof error.code === 'string' ? ` [${error.code}]` : '';
    return `${error.name}${code}: ${error.message}`;
  }
  return String(error);
}
