import { LRUCache } from 'lru-cache';
import type { Clock } from './clock.ts';
import type { EvictReason, MemoryStore, MissRatioPoint, StoreCounters } from './memory-store.ts';

/** lru-cache refuses null and undefined as key types; at run time it takes any. */
type Key = string | number | bigint | boolean | symbol | object;

type Mutable<T> = { -readonly [P in keyof T]: T[P] };

interface Held<V> {
  value: V;
  expiresAtMs: number;
  sizeBytes: number;
}

/** The `lru` policy: lru-cache, with expiry by our clock (it ends an entry at `now >= expiresAt`). */
export class LruStore<K, V> implements MemoryStore<K, V> {
  readonly counters: Mutable<StoreCounters> = { hits: 0, misses: 0, sets: 0, evictions: 0, expirations: 0 };
  readonly activePolicy = 'lru';
  readonly #cache: LRUCache<Key, Held<V>>;
  readonly #clock: Clock;
  readonly #sizeOf: (value: V, key: K) => number;
  readonly #onEvict: ((key: K, value: V, why: EvictReason) => void) | undefined;
  readonly #maxBytes: number | undefined;
  #sizeBytes = 0;

  constructor(options: {
    maxEntries: number | undefined;
    maxBytes: number | undefined;
    clock: Clock;
    sizeOf(value: V, key: K): number;
    onEvict: ((key: K, value: V, why: EvictReason) => void) | undefined;
  }) {
    this.#clock = options.clock;
    this.#sizeOf = options.sizeOf;
    this.#onEvict = options.onEvict;
    this.#maxBytes = options.maxBytes;
    const disposeAfter = (held: Held<V>, key: Key, reason: LRUCache.DisposeReason): void => {
      this.#sizeBytes -= held.sizeBytes;
      if (reason !== 'evict') return;
      this.counters.evictions++;
      this.#onEvict?.(key as K, held.value, 'capacity');
    };
    const { maxEntries, maxBytes } = options;
    const sizeCalculation = (held: Held<V>): number => Math.max(1, held.sizeBytes);
    if (maxBytes === undefined) this.#cache = new LRUCache({ max: maxEntries!, disposeAfter });
    else if (maxEntries === undefined)
      this.#cache = new LRUCache({ maxSize: maxBytes, sizeCalculation, disposeAfter });
    else this.#cache = new LRUCache({ max: maxEntries, maxSize: maxBytes, sizeCalculation, disposeAfter });
  }

  get size(): number {
    return this.#cache.size;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get(key: K): V | undefined {
    const held = this.#cache.get(key as Key);
    if (held === undefined || this.#endIfExpired(key, held)) {
      this.counters.misses++;
      return undefined;
    }
    this.counters.hits++;
    return held.value;
  }

  use(key: K): V | undefined {
    const held = this.#cache.get(key as Key);
    if (held === undefined || this.#endIfExpired(key, held)) return undefined;
    this.counters.hits++;
    return held.value;
  }

  peek(key: K): V | undefined {
    const held = this.#cache.peek(key as Key);
    return held === undefined || this.#isOver(held) ? undefined : held.value;
  }

  has(key: K): boolean {
    const held = this.#cache.peek(key as Key);
    return held !== undefined && !this.#isOver(held);
  }

  expiresAt(key: K): number | undefined {
    return this.#cache.peek(key as Key)?.expiresAtMs;
  }

  set(key: K, value: V, expiresAtMs: number, sizeBytes: number | undefined): void {
    this.counters.sets++;
    const bytes = Math.max(1, Math.ceil(sizeBytes ?? this.#sizeOf(value, key)));
    if (!(bytes < Infinity)) throw new RangeError(`sizeOf must return a size in bytes from 0, got ${bytes}`);
    if (this.#maxBytes !== undefined && bytes > this.#maxBytes) {
      this.#cache.delete(key as Key);
      this.counters.evictions++;
      this.#onEvict?.(key, value, 'oversized');
      return;
    }
    this.#sizeBytes += bytes;
    this.#cache.set(key as Key, { value, expiresAtMs, sizeBytes: bytes });
  }

  setPlain(key: K, value: V): void {
    this.set(key, value, Infinity, undefined);
  }

  delete(key: K): boolean {
    const held = this.#cache.peek(key as Key);
    if (held === undefined) return false;
    const live = !this.#endIfExpired(key, held);
    return this.#cache.delete(key as Key) && live;
  }

  clear(): void {
    this.#cache.clear();
  }

  trim(targetBytes: number): number {
    const before = this.#sizeBytes;
    while (this.#sizeBytes > targetBytes && this.#cache.size > 0) {
      const [key, held] = this.#oldest();
      this.#cache.delete(key as Key);
      this.counters.evictions++;
      this.#onEvict?.(key, held.value, 'trimmed');
    }
    return before - this.#sizeBytes;
  }

  missRatioCurve(): MissRatioPoint[] {
    const reads = this.counters.hits + this.counters.misses;
    return reads === 0 ? [] : [{ entries: this.size, missRatio: this.counters.misses / reads }];
  }

  keys(): IterableIterator<K> {
    return this.#cache.keys() as IterableIterator<K>;
  }

  hottest(limit: number): K[] {
    return [...this.keys()].slice(0, limit);
  }

  #oldest(): [K, Held<V>] {
    const { value } = this.#cache.rentries().next();
    return value as [K, Held<V>];
  }

  #isOver(held: Held<V>): boolean {
    return held.expiresAtMs !== Infinity && this.#clock.now() >= held.expiresAtMs;
  }

  #endIfExpired(key: K, held: Held<V>): boolean {
    if (!this.#isOver(held)) return false;
    this.#cache.delete(key as Key);
    this.counters.expirations++;
    this.#onEvict?.(key, held.value, 'expired');
    return true;
  }
}
