/** The contract between `TieredCache` and what stores entries below memory, and the bus between processes. */

/** One stored entry. Everything but `mac` is covered by the `mac`. */
export interface Entry {
  readonly key: string;
  /** The serialised value. */
  readonly value: Uint8Array;
  /** Unix ms from which the value is no longer served as fresh; absent means never. */
  readonly expiresAtMs?: number;
  /** Unix ms until which an expired value may still be served as stale; a tier keeps the entry until then. */
  readonly staleUntilMs?: number;
  /** Unix ms at which the entry was written. */
  readonly writtenAtMs?: number;
  readonly tags?: readonly string[];
  readonly mac?: Uint8Array;
}

/** Numbers a tier knows about itself; `entries` and `sizeBytes` where it can tell. */
export interface TierStats {
  readonly entries?: number;
  readonly sizeBytes?: number;
  readonly [counter: string]: number | undefined;
}

/**
 * A place for entries below memory. Calls may overlap; calls on the same key come in order (the next one when the one
 * before has settled). Reads see all writes that were accepted before.
 */
export interface Tier {
  /** Unique in one `TieredCache`; not `memory`. */
  readonly name: string;
  /** Aligned with `keys`. An entry whose `staleUntilMs ?? expiresAtMs` has come may be missing or not. */
  getMany(keys: readonly string[]): Promise<(Entry | undefined)[]>;
  setMany(entries: readonly Entry[]): Promise<void>;
  /** How many there were. */
  deleteMany(keys: readonly string[]): Promise<number>;
  clear(): Promise<void>;
  stats(): TierStats;
  close(): Promise<void>;
  /** Deletes all entries with the tag; their keys. Without it, tags are remembered by the cache for its lifetime. */
  deleteByTag?(tag: string): Promise<readonly string[]>;
  /** Makes accepted writes durable, and visible to other processes. */
  flush?(): Promise<void>;
  /** Present together: who may load a key, among all processes that use what this tier stores in. */
  readonly leases?: Leases;
  /** Small facts that outlive the process. */
  readonly notes?: Notes;
}

export interface Notes {
  save(name: string, bytes: Uint8Array): Promise<void>;
  load(name: string): Promise<Uint8Array | undefined>;
}

/** A lease ends by `release`, by its time, or because the key is deleted. */
export interface Leases {
  /** Whether `owner` has the lease of `key` now, until `untilMs` (Unix ms). */
  acquire(key: string, owner: string, untilMs: number): Promise<boolean>;
  /** Whether `owner` still has it. */
  holds(key: string, owner: string): Promise<boolean>;
  release(key: string, owner: string): Promise<void>;
}

/** Something changed: entries of these keys, of this tag, or all, are no longer valid in memory. */
export type InvalidationMessage =
  | { readonly kind: 'keys'; readonly keys: readonly string[] }
  | { readonly kind: 'tag'; readonly tag: string }
  | { readonly kind: 'clear' };

/** Carries invalidations between processes. Must not deliver a message to the instance that published it. */
export interface InvalidationBus {
  publish(message: InvalidationMessage): Promise<void>;
  /** The returned function ends the subscription. */
  subscribe(listener: (message: InvalidationMessage) => void): () => void;
  close(): Promise<void>;
}
