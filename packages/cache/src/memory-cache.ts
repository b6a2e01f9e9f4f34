import { channel } from 'node:diagnostics_channel';
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import { LruStore } from './lru-store.ts';
import type { EvictReason, MemoryStore, MissRatioPoint } from './memory-store.ts';
import {
  checkFunction,
  checkInteger,
  checkNumber,
  checkObject,
  checkOneOf,
  checkTtlMs,
} from './option-checks.ts';
import type { PolicyMode } from './policies/segmented-policy.ts';
import { estimateEntryBytes } from './size-estimate.ts';
import { SlotStore } from './slot-store.ts';

export type EvictionPolicy = 'adaptive' | 'lru' | 'lfu' | 's3fifo';

export interface MemoryCacheOptions<K, V> {
  /** Most entries held; 1 to 2^24. At least one of `maxEntries` and `maxBytes` is required. */
  readonly maxEntries?: number;
  /** Most bytes held, as `sizeOf` counts them. */
  readonly maxBytes?: number;
  /** Lifetime of an entry that is set without its own. Default: no end. */
  readonly ttlMs?: number;
  /** The whole charge of an entry in bytes. Default: an estimate of value, key and overhead. */
  sizeOf?(value: V, key: K): number;
  /** Default `adaptive`: the one that would hit most, judged continuously on a sample of the keys. */
  readonly policy?: EvictionPolicy;
  readonly clock?: Clock;
  /** Uniform in [0, 1): seeds the key hash and breaks ties against crafted keys. Default Math.random. */
  random?(): number;
  /** Called after an entry left without being asked to; not for `delete`, `clear` or a replaced value. */
  onEvict?(key: K, value: V, why: EvictReason): void;
}

export interface MemorySetOptions {
  /** Lifetime of this entry; above 0, `Infinity` for no end. */
  readonly ttlMs?: number;
  /** The whole charge of this entry, instead of `sizeOf`. */
  readonly sizeBytes?: number;
  /** What a hit saves (tokens, ms, money), against other entries. Default 1. */
  readonly cost?: number;
}

export interface MemoryCacheStats {
  readonly hits: number;
  readonly misses: number;
  /** hits / (hits + misses); 0 before the first read. */
  readonly hitRate: number;
  readonly sets: number;
  readonly evictions: number;
  readonly expirations: number;
  readonly entries: number;
  readonly sizeBytes: number;
  /** The policy that decides now, for example `tiny-lfu(window=0.1)`. */
  readonly activePolicy: string;
}

const POLICIES: readonly EvictionPolicy[] = ['adaptive', 'lru', 'lfu', 's3fifo'];
const MODES: Record<'lfu' | 's3fifo', PolicyMode> = {
  lfu: { kind: 'tiny-lfu', window: 0.01 },
  s3fifo: { kind: 's3-fifo', window: 0.1 },
};
const MAX_ENTRIES = 2 ** 24;
/** An entry's charge is kept in 32 bits, and so is the largest budget for one entry. */
const MAX_ENTRY_BYTES = 2 ** 32 - 1;

const evictChannel = channel('perf:cache:evict');

/**
 * A cache in memory, bounded by entries, bytes or both, that chooses its eviction policy by itself.
 *
 * Reads and writes are O(1) amortised. Keys compare as in a Map. Values are kept by reference.
 *
 * @throws {RangeError} when a limit, a ttl or the policy is out of range; {TypeError} when an option has the wrong type.
 */
export class MemoryCache<K, V> {
  readonly #store: MemoryStore<K, V>;
  readonly #clock: Clock;
  readonly #ttlMs: number;

  constructor(options: MemoryCacheOptions<K, V>) {
    checkObject('options', options);
    const { maxEntries, maxBytes } = options;
    if (maxEntries === undefined && maxBytes === undefined) {
      throw new TypeError('maxEntries or maxBytes is required: a cache without a limit is a leak');
    }
    if (maxEntries !== undefined) checkInteger('maxEntries', maxEntries, 1, MAX_ENTRIES);
    if (maxBytes !== undefined) checkInteger('maxBytes', maxBytes, 1, Number.MAX_SAFE_INTEGER);
    this.#ttlMs = options.ttlMs === undefined ? Infinity : checkTtlMs('ttlMs', options.ttlMs);
    const policy = checkOneOf('policy', options.policy ?? 'adaptive', POLICIES);
    checkFunction('sizeOf', options.sizeOf);
    checkFunction('random', options.random);
    checkFunction('onEvict', options.onEvict);
    if (options.clock !== undefined) checkObject('clock', options.clock);
    this.#clock = options.clock ?? systemClock;
    const sizeOf = options.sizeOf === undefined ? estimateEntryBytes : options.sizeOf.bind(options);
    const listener = options.onEvict?.bind(options);
    const onEvict = (key: K, value: V, why: EvictReason): void => {
      if (evictChannel.hasSubscribers) evictChannel.publish({ key, why });
      if (listener !== undefined) listener(key, value, why);
    };
    const clock = this.#clock;
    this.#store =
      policy === 'lru'
        ? new LruStore({ maxEntries, maxBytes, clock, sizeOf, onEvict })
        : new SlotStore({
            maxEntries,
            maxBytes,
            mode: policy === 'adaptive' ? undefined : MODES[policy],
            clock,
            random: options.random?.bind(options) ?? Math.random,
            sizeOf,
            trackSizes: options.sizeOf !== undefined,
            onEvict,
          });
  }

  /** Entries held, including any whose time is over but that were not looked at since. */
  get size(): number {
    return this.#store.size;
  }

  /**
   * Bytes held. Exact sums of the charges when there is a byte budget, a `sizeOf` or an entry set with `sizeBytes`;
   * otherwise an estimate from up to 1024 entries, made when asked.
   */
  get sizeBytes(): number {
    return this.#store.sizeBytes;
  }

  /** The value, or `undefined`; counts as a use. */
  get(key: K): V | undefined {
    return this.#store.get(key);
  }

  /** `get` whose misses are not counted, for a caller that asks elsewhere and then comes back with `get`. */
  use(key: K): V | undefined {
    return this.#store.use(key);
  }

  /** The value, or `undefined`, without counting as a use. */
  peek(key: K): V | undefined {
    return this.#store.peek(key);
  }

  /** Whether a live entry is there; does not count as a use. */
  has(key: K): boolean {
    return this.#store.has(key);
  }

  /**
   * Adds or replaces an entry. One larger than `maxBytes` is not kept (and ends the entry it would have replaced).
   *
   * @throws {RangeError} when an option is out of range.
   */
  set(key: K, value: V, options?: MemorySetOptions): this {
    if (options === undefined && this.#ttlMs === Infinity) {
      this.#store.setPlain(key, value);
      return this;
    }
    const ttlMs = options?.ttlMs === undefined ? this.#ttlMs : checkTtlMs('ttlMs', options.ttlMs);
    const sizeBytes =
      options?.sizeBytes === undefined
        ? undefined
        : checkNumber('sizeBytes', options.sizeBytes, 0, MAX_ENTRY_BYTES);
    const cost = options?.cost === undefined ? 1 : checkNumber('cost', options.cost, 0, Number.MAX_VALUE);
    const expiresAtMs = ttlMs === Infinity ? Infinity : this.#clock.now() + ttlMs;
    this.#store.set(key, value, expiresAtMs, sizeBytes, cost);
    return this;
  }

  /** Whether a live entry was there. */
  delete(key: K): boolean {
    return this.#store.delete(key);
  }

  clear(): void {
    this.#store.clear();
  }

  /** Keys held, in no order that means anything. */
  keys(): IterableIterator<K> {
    return this.#store.keys();
  }

  /** Up to `limit` keys, the most used (or with `lru` the last used) first. O(n log n). */
  hottest(limit: number): K[] {
    return this.#store.hottest(checkInteger('limit', limit, 1, Number.MAX_SAFE_INTEGER));
  }

  /** Evicts until at most `targetBytes` are held; the bytes freed. */
  trim(targetBytes: number): number {
    return this.#store.trim(checkNumber('targetBytes', targetBytes, 0, Number.MAX_VALUE));
  }

  stats(): MemoryCacheStats {
    const store = this.#store;
    const { hits, misses, sets, evictions, expirations } = store.counters;
    return {
      hits,
      misses,
      hitRate: hits + misses === 0 ? 0 : hits / (hits + misses),
      sets,
      evictions,
      expirations,
      entries: store.size,
      sizeBytes: store.sizeBytes,
      activePolicy: store.activePolicy,
    };
  }

  /** What the miss ratio is at this size, and would be at others; empty before the first read. */
  missRatioCurve(): readonly MissRatioPoint[] {
    return this.#store.missRatioCurve();
  }
}
