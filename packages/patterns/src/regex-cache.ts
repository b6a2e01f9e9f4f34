/**
 * Compiled regexes by number, at most so many of them: V8 keeps machine code for each. Looking one up is an array
 * access; which ones were used lately is only noted for some texts, because exact recency costs more than the regexes.
 */
import { LRUCache } from 'lru-cache';

export class RegexCache {
  readonly #regexes: (RegExp | undefined)[] = [];
  readonly #recency: LRUCache<number, RegExp>;

  constructor(max: number) {
    this.#recency = new LRUCache({
      max,
      dispose: (_regex, key) => {
        this.#regexes[key] = undefined;
      },
    });
  }

  get(key: number): RegExp | undefined {
    return this.#regexes[key];
  }

  set(key: number, regex: RegExp): void {
    // Holes would turn the array into a dictionary.
    while (this.#regexes.length <= key) this.#regexes.push(undefined);
    this.#recency.set(key, regex);
    this.#regexes[key] = regex;
  }

  /** Notes that the regex is in use. */
  touch(key: number): void {
    this.#recency.get(key);
  }

  delete(key: number): void {
    this.#recency.delete(key);
  }

  get size(): number {
    return this.#recency.size;
  }

  get max(): number {
    return this.#recency.max;
  }
}
