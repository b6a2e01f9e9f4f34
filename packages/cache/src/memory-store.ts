/** What `MemoryCache` asks of the structure that holds its entries and decides which one goes. */

/**
 * Why an entry left without being asked to: the capacity was reached, its time was over, `trim` was called, or it was
 * larger than the whole byte budget.
 */
export type EvictReason = 'capacity' | 'expired' | 'trimmed' | 'oversized';

export interface MissRatioPoint {
  readonly entries: number;
  readonly missRatio: number;
}

/** Counters since construction. */
export interface StoreCounters {
  readonly hits: number;
  readonly misses: number;
  readonly sets: number;
  readonly evictions: number;
  readonly expirations: number;
}

export interface MemoryStore<K, V> {
  readonly counters: StoreCounters;
  readonly size: number;
  readonly sizeBytes: number;
  /** Name of the policy that decides now. */
  readonly activePolicy: string;
  get(key: K): V | undefined;
  /** `get` whose misses are not counted. */
  use(key: K): V | undefined;
  peek(key: K): V | undefined;
  has(key: K): boolean;
  /** Unix time at which the entry ends; `undefined` when absent. */
  expiresAt(key: K): number | undefined;
  set(key: K, value: V, expiresAtMs: number, sizeBytes: number | undefined, cost: number): void;
  /** The same for an entry without end, size or cost of its own. */
  setPlain(key: K, value: V): void;
  delete(key: K): boolean;
  clear(): void;
  trim(targetBytes: number): number;
  missRatioCurve(): MissRatioPoint[];
  keys(): IterableIterator<K>;
  /** Up to `limit` keys, those to keep longest first. */
  hottest(limit: number): K[];
}
