/**
 * The face of a cache in tiers: memory, then the given tiers from fast to slow, then the caller's loader. What a slower
 * tier has is promoted to the faster ones with its absolute expiry.
 *
 *     peek / get / getOrLoad -> memory -> tier 1 -> ... -> tier n -> load
 *                                  ^-------- promoted back -------------|
 *
 * Two rules decide every corner. Mutations win: a slow read or load takes a ticket, a mutation voids it, and what comes
 * back on a void ticket is handed to its callers but kept nowhere (read-tickets.ts). Order is kept: writes of one key
 * reach the tiers in the order asked for, and a read of a key waits for its writes (write-order.ts).
 */
import { randomUUID } from 'node:crypto';
import { channel } from 'node:diagnostics_channel';
import { setTimeout as wait } from 'node:timers/promises';
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import { encodeValue, isPrimitive, structuredCloneCodec } from './entry-codec.ts';
import type { Codec } from './entry-codec.ts';
import { CacheError } from './errors.ts';
import { Integrity } from './integrity.ts';
import type { IntegrityOptions } from './integrity.ts';
import { MemoryCache } from './memory-cache.ts';
import type { MemoryCacheOptions } from './memory-cache.ts';
import type { MissRatioPoint } from './memory-store.ts';
import { checkFunction, checkNumber, checkObject, checkString, checkTtlMs } from './option-checks.ts';
import { OperationMemory } from './operation-memory.ts';
import { Prefetcher } from './prefetcher.ts';
import type { PrefetcherStats } from './prefetcher.ts';
import { ReadTickets } from './read-tickets.ts';
import type { Ticket } from './read-tickets.ts';
import { Flight } from './single-flight.ts';
import { estimateEntryBytes } from './size-estimate.ts';
import { TagIndex } from './tag-index.ts';
import type { Entry, InvalidationBus, InvalidationMessage, Leases, Tier, TierStats } from './tier.ts';
import { decodeSnapshot, encodeSnapshot, isWarmKeys, isWarmOperation, isWarmSnapshot } from './warm-start.ts';
import type { WarmOptions, WarmReport, WarmSource } from './warm-start.ts';
import { WriteOrder } from './write-order.ts';

export interface TieredMemoryOptions<V> extends Pick<
  MemoryCacheOptions<string, V>,
  'maxEntries' | 'maxBytes' | 'policy'
> {
  /** Longest stay in memory; an entry that ends earlier ends earlier here too. */
  readonly ttlMs?: number;
  sizeOf?(value: V, key: string): number;
}

export interface TieredCacheOptions<V> {
  readonly memory: TieredMemoryOptions<V>;
  /** From fast to slow. */
  readonly tiers?: readonly Tier[];
  /** Lifetime of entries set without their own. Default: no end. */
  readonly ttlMs?: number;
  /** Longest lifetime per tier, by tier name. */
  readonly tierTtlMs?: Readonly<Record<string, number>>;
  /** After its end, a value is served at once for this long while one load refreshes it. Default 0. */
  readonly staleWhileRevalidateMs?: number;
  /** After its end, a value is served for this long when loading fails or takes too long. Default 0. */
  readonly graceMs?: number;
  /** With a stale value at hand, a load is waited for only this long. Default: as long as it takes. */
  readonly softTimeoutMs?: number;
  /** A load is waited for only this long; then ERR_PERF_CACHE_LOAD_TIMEOUT. Default: as long as it takes. */
  readonly hardTimeoutMs?: number;
  /** A loader's `undefined` is remembered, in memory, for this long. Default: it is not. */
  readonly negativeTtlMs?: number;
  /**
   * How long one process may hold the lease for loading a key, with a tier that can lease; others wait for its value.
   * 0 turns leases off. Default 10,000.
   */
  readonly leaseMs?: number;
  /** Hand out values by reference instead of copies. Only for values that nobody changes. Default false. */
  readonly share?: boolean;
  /** Default: structured clone. */
  readonly codec?: Codec<V>;
  readonly integrity?: IntegrityOptions;
  /**
   * Fetching keys from the tiers ahead of their use, learned from the order of reads and from `recordOperation`; `false`
   * switches it off. Without tiers there is nothing to fetch from.
   */
  readonly prefetch?: PrefetchOptions | false;
  readonly bus?: InvalidationBus;
  readonly clock?: Clock;
  random?(): number;
  /** Failures that no caller gets to see: a tier that cannot be read, a background write, a rejected entry. */
  onError?(error: CacheError): void;
}

export interface PrefetchOptions {
  /** Keys whose successor is remembered; about 150 bytes each. Default 65,536. */
  readonly maxKeys?: number;
  /** Largest share of predictions that may come to nothing before prefetching pauses. Default 0.3. */
  readonly maxWaste?: number;
  /** Operations remembered by `recordOperation`. Default 10,000. */
  readonly maxOperations?: number;
  /** Keys remembered for one operation. Default 32. */
  readonly maxKeysPerOperation?: number;
}

export interface SetOptions {
  readonly ttlMs?: number;
  readonly tags?: readonly string[];
  readonly sizeBytes?: number;
  readonly cost?: number;
  readonly signal?: AbortSignal;
}

export interface ReadOptions {
  readonly signal?: AbortSignal;
}

export interface LoadContext {
  readonly key: string;
  /** Aborted when nobody waits for the load any more. */
  readonly signal: AbortSignal;
  /** Overrides how the loaded value is kept, once it is known. */
  refine(options: Omit<SetOptions, 'signal'>): void;
}

export interface TierCounters extends TierStats {
  readonly hits: number;
  readonly misses: number;
  readonly hitRate: number;
}

export interface TieredCacheStats {
  /** Reads answered without the loader, stale answers included. */
  readonly hits: number;
  readonly misses: number;
  readonly hitRate: number;
  readonly sets: number;
  readonly evictions: number;
  readonly expirations: number;
  /** Of the memory tier. */
  readonly entries: number;
  readonly sizeBytes: number;
  readonly loads: number;
  readonly loadErrors: number;
  /** Callers that waited for a load that another caller had started. */
  readonly coalesced: number;
  readonly staleServed: number;
  readonly integrityFailures: number;
  readonly errors: number;
  readonly prefetch: PrefetcherStats;
  readonly tiers: Readonly<Record<string, TierCounters>>;
}

/** What memory holds for a key. */
interface Held<V> {
  /** `undefined` for a remembered absence. */
  readonly value: V | undefined;
  /** May be handed out without a copy. */
  readonly direct: boolean;
  readonly freshUntilMs: number;
  readonly staleUntilMs: number;
  readonly tags: readonly string[];
  readonly present: boolean;
}

interface Found<V> {
  readonly held: Held<V>;
  readonly fresh: boolean;
}

/** What a flight brings: from a tier or from the loader. */
interface Loaded<V> {
  readonly value: V;
  readonly fromTier: boolean;
}

interface Counters {
  hits: number;
  misses: number;
  sets: number;
  loads: number;
  loadErrors: number;
  coalesced: number;
  staleServed: number;
  integrityFailures: number;
  errors: number;
}

const NO_TAGS: readonly string[] = [];
const SNAPSHOT_NOTE = 'hot-keys';
const SNAPSHOT_KEYS = 10_000;
/** How often a process asks whether the one with the lease is done; doubled up to the second. */
const LEASE_POLL_MS = 5;
const MAX_LEASE_POLL_MS = 100;
/** Deleted tags remembered for tiers that cannot delete by tag. */
const MAX_DEAD_TAGS = 10_000;
const errorChannel = channel('perf:cache:error');

export class TieredCache<V> implements AsyncDisposable {
  readonly #memory: MemoryCache<string, Held<V>>;
  readonly #tiers: readonly Tier[];
  readonly #options: TieredCacheOptions<V>;
  readonly #clock: Clock;
  readonly #codec: Codec<V>;
  readonly #integrity: Integrity | undefined;
  readonly #operations: OperationMemory;
  readonly #prefetcher: Prefetcher<string> | undefined;
  /** Keys to fetch ahead at the end of this turn. */
  readonly #ahead = new Set<string>();
  readonly #isInMemory = (key: string): boolean => this.#memory.has(key);
  readonly #ttlMs: number;
  readonly #memoryTtlMs: number;
  readonly #share: boolean;
  readonly #staleMs: number;
  readonly #tickets = new ReadTickets();
  readonly #writes = new WriteOrder();
  readonly #tags = new TagIndex();
  readonly #flights = new Map<string, Flight<Loaded<V>>>();
  readonly #reads = new Map<string, Promise<Found<V> | undefined>>();
  readonly #background = new Set<Promise<unknown>>();
  readonly #deadTags = new Map<string, number>();
  readonly #tierCounts = new Map<string, { hits: number; misses: number; errors: number }>();
  readonly #memoryCounts = { hits: 0, misses: 0 };
  readonly #unsubscribe: (() => void) | undefined;
  readonly #counters: Counters = {
    hits: 0,
    misses: 0,
    sets: 0,
    loads: 0,
    loadErrors: 0,
    coalesced: 0,
    staleServed: 0,
    integrityFailures: 0,
    errors: 0,
  };
  readonly #owner: string = randomUUID();
  readonly #leaseMs: number;
  #closing: Promise<void> | undefined;

  constructor(options: TieredCacheOptions<V>) {
    checkObject('options', options);
    checkObject('memory', options.memory);
    this.#tiers = [...(options.tiers ?? [])];
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#codec = options.codec ?? structuredCloneCodec<V>();
    this.#share = options.share ?? false;
    this.#ttlMs = options.ttlMs === undefined ? Infinity : checkTtlMs('ttlMs', options.ttlMs);
    this.#memoryTtlMs =
      options.memory.ttlMs === undefined ? Infinity : checkTtlMs('memory.ttlMs', options.memory.ttlMs);
    checkTimes(options);
    checkTiers(this.#tiers, options.tierTtlMs);
    this.#leaseMs = checkNumber('leaseMs', options.leaseMs ?? 10_000, 0, 2 ** 31 - 1);
    checkFunction('onError', options.onError);
    this.#staleMs = Math.max(options.staleWhileRevalidateMs ?? 0, options.graceMs ?? 0);
    const random = options.random?.bind(options) ?? Math.random;
    if (options.integrity !== undefined) this.#integrity = new Integrity(options.integrity, random);
    const prefetch = options.prefetch === false ? {} : (options.prefetch ?? {});
    this.#operations = new OperationMemory(
      prefetch.maxOperations ?? 10_000,
      prefetch.maxKeysPerOperation ?? 32,
    );
    const prefetcher = new Prefetcher<string>({
      maxKeys: prefetch.maxKeys ?? 65_536,
      maxWaste: prefetch.maxWaste ?? 0.3,
      horizon: options.memory.maxEntries ?? 10_000,
    });
    if (options.prefetch !== false && this.#tiers.length > 0) this.#prefetcher = prefetcher;
    const sizeOf = options.memory.sizeOf?.bind(options.memory);
    this.#memory = new MemoryCache<string, Held<V>>({
      ...pickMemory(options.memory),
      sizeOf: (held, key) =>
        sizeOf === undefined || !held.present
          ? estimateEntryBytes(held.value, key) + 96
          : sizeOf(held.value as V, key),
      clock: this.#clock,
      random,
      onEvict: (key, held) => this.#tags.remove(key, held.tags),
    });
    for (const tier of this.#tiers) this.#tierCounts.set(tier.name, { hits: 0, misses: 0, errors: 0 });
    this.#unsubscribe = options.bus?.subscribe((message) => this.#onMessage(message));
  }

  /**
   * The value if it is fresh in memory, synchronously. A hit counts as a use and as a hit; a miss counts as nothing, so
   * that `cache.peek(key) ?? (await cache.get(key))` counts one read.
   */
  peek(key: string): V | undefined {
    const held = this.#memory.use(key);
    if (held === undefined || (held.freshUntilMs !== Infinity && !this.#isFresh(held))) return undefined;
    this.#counters.hits++;
    this.#memoryCounts.hits++;
    return held.direct ? held.value : this.#handOut(held);
  }

  /** The value from the fastest tier that has it fresh. Resolves to `undefined` when none has. */
  get(key: string, options?: ReadOptions): Promise<V | undefined> {
    const refusal = this.#refusal(key, options?.signal);
    if (refusal !== undefined) return Promise.reject(refusal.error);
    const held = this.#fromMemory(key);
    if (held !== undefined) return this.#handOutLater(held);
    if (this.#tiers.length === 0) {
      this.#counters.misses++;
      return Promise.resolve(undefined);
    }
    return abortable(this.#getFromTiers(key), options?.signal);
  }

  /** The values of those keys that are fresh somewhere; each tier is asked once for all that the faster ones lack. */
  async getMany(keys: readonly string[], options?: ReadOptions): Promise<Map<string, V>> {
    const result = new Map<string, V>();
    const missing = new Set<string>();
    for (const key of keys) {
      const refusal = this.#refusal(key, options?.signal);
      if (refusal !== undefined) throw refusal.error;
      if (result.has(key) || missing.has(key)) continue;
      const held = this.#fromMemory(key);
      if (held === undefined) missing.add(key);
      else if (held.present) result.set(key, this.#handOut(held) as V);
    }
    if (missing.size === 0 || this.#tiers.length === 0) {
      this.#counters.misses += missing.size;
      return result;
    }
    const found = await abortable(this.#readTiers([...missing]), options?.signal);
    for (const key of missing) {
      const entry = found.get(key);
      if (entry?.fresh === true) {
        this.#counters.hits++;
        result.set(key, this.#handOut(entry.held) as V);
      } else {
        this.#counters.misses++;
      }
    }
    return result;
  }

  /**
   * The value, loaded when no tier has it fresh. Concurrent calls for a key share one load: one value or one error for
   * all. The load is aborted when all its callers have aborted.
   *
   * @throws what `load` threw; {CacheError} ERR_PERF_CACHE_LOAD_TIMEOUT after `hardTimeoutMs`.
   */
  getOrLoad(key: string, load: (context: LoadContext) => Promise<V>, options: SetOptions = {}): Promise<V> {
    const refusal = this.#refusal(key, options.signal) ?? refusedSetOptions(options);
    if (refusal !== undefined) return Promise.reject(refusal.error);
    const held = this.#fromMemory(key);
    if (held !== undefined) return this.#handOutLater(held) as Promise<V>;
    return this.#loadOrWait(key, load, options);
  }

  /**
   * Stores a value in all tiers; memory has it when the call returns, the tiers when the promise resolves.
   *
   * @throws {CacheError} ERR_PERF_CACHE_TIER when a tier could not take it (the others have).
   */
  async set(key: string, value: V, options: SetOptions = {}): Promise<void> {
    const refusal = this.#refusal(key, options.signal) ?? refusedSetOptions(options);
    if (refusal !== undefined) throw refusal.error;
    const bytes = this.#tiers.length === 0 ? undefined : encodeValue(this.#codec, key, value);
    const copy = this.#copy(key, value);
    this.#overtake(key);
    this.#counters.sets++;
    const held = this.#hold(copy, options);
    this.#remember(key, held, options);
    await Promise.all([
      bytes === undefined ? undefined : this.#writeEntry(key, bytes, held),
      this.#publish({ kind: 'keys', keys: [key] }),
    ]);
  }

  /** Whether any tier had it. @throws {CacheError} ERR_PERF_CACHE_TIER when a tier may still have it. */
  async delete(key: string): Promise<boolean> {
    const refusal = this.#refusal(key, undefined);
    if (refusal !== undefined) throw refusal.error;
    this.#overtake(key);
    const inMemory = this.#dropFromMemory(key);
    const [counts] = await Promise.all([
      this.#tiers.length === 0
        ? [0]
        : this.#writes.run([key], () => this.#onEachTier('delete', (tier) => tier.deleteMany([key]))),
      this.#publish({ kind: 'keys', keys: [key] }),
    ]);
    return inMemory || counts.some((count) => count > 0);
  }

  /** Deletes every entry with the tag from all tiers; how many distinct keys that were known to have it. */
  async deleteByTag(tag: string): Promise<number> {
    this.#throwIfClosed();
    checkString('tag', tag);
    this.#tickets.voidTag(tag);
    const deleted = new Set(this.#dropTagFromMemory(tag));
    if (this.#tiers.length > 0) {
      this.#rememberDeadTag(tag);
      const inMemory = [...deleted];
      const lists = await this.#writes.runAlone(() =>
        this.#onEachTier('deleteByTag', async (tier) => {
          if (tier.deleteByTag !== undefined) return tier.deleteByTag(tag);
          await tier.deleteMany(inMemory);
          return NO_TAGS;
        }),
      );
      for (const keys of lists) for (const key of keys) deleted.add(key);
    }
    await this.#publish({ kind: 'tag', tag });
    return deleted.size;
  }

  /** Empties all tiers, or the one named; `memory` is the first. */
  async clear(options: { readonly tier?: string } = {}): Promise<void> {
    this.#throwIfClosed();
    const { tier: name } = options;
    if (name !== undefined && name !== 'memory' && !this.#tierCounts.has(name)) {
      throw new RangeError(
        `tier must be memory or one of ${[...this.#tierCounts.keys()].join(', ')}, got ${name}`,
      );
    }
    this.#tickets.voidAll();
    this.#flights.clear();
    this.#reads.clear();
    if (name === undefined || name === 'memory') this.#clearMemory();
    if (name === 'memory') return;
    const targets = this.#tiers.filter((tier) => name === undefined || tier.name === name);
    if (targets.length > 0)
      await this.#writes.runAlone(() => this.#onEachTier('clear', (tier) => tier.clear(), targets));
    if (name === undefined) await this.#publish({ kind: 'clear' });
  }

  /**
   * Tells the cache that an operation ran and which keys it used. When an operation comes again, the keys that it used
   * before are brought into memory ahead of their use.
   */
  recordOperation(operation: string, relatedKeys: readonly string[]): void {
    this.#throwIfClosed();
    checkString('operation', operation);
    for (const key of relatedKeys) checkString('relatedKeys', key);
    const expected = this.#operations.record(operation, relatedKeys);
    if (this.#prefetcher === undefined) return;
    for (const key of expected) if (!this.#memory.has(key)) this.#fetchAhead(key);
  }

  /** Fills memory from values, from keys that the tiers have, or with what an operation used before. */
  async warm(source: WarmSource<V>, options: WarmOptions = {}): Promise<WarmReport> {
    this.#throwIfClosed();
    const limit = checkNumber('limit', options.limit ?? Infinity, 1, Infinity);
    options.signal?.throwIfAborted();
    if (isWarmKeys(source)) return this.#warmKeys([...source.keys].slice(0, limit), options.signal);
    if (isWarmOperation(source)) {
      return this.#warmKeys(this.#operations.keysOf(source.operation).slice(0, limit), options.signal);
    }
    if (isWarmSnapshot(source)) {
      return this.#warmKeys((await this.#readSnapshot()).slice(0, limit), options.signal);
    }
    let loaded = 0;
    let present = 0;
    for await (const [key, value] of source) {
      options.signal?.throwIfAborted();
      if (loaded + present >= limit) break;
      if (this.#memory.has(key)) present++;
      else {
        await this.set(key, value, options.set ?? {});
        loaded++;
      }
    }
    return { loaded, present, missing: 0 };
  }

  /** Shrinks memory to at most `targetBytes`; the bytes freed. The other tiers keep what they have. */
  trim(targetBytes: number): number {
    return this.#memory.trim(targetBytes);
  }

  stats(): TieredCacheStats {
    const memory = this.#memory.stats();
    const tiers: Record<string, TierCounters> = {
      memory: {
        ...withRate(this.#memoryCounts),
        entries: memory.entries,
        sizeBytes: memory.sizeBytes,
        evictions: memory.evictions,
        expirations: memory.expirations,
      },
    };
    for (const tier of this.#tiers) {
      const counts = this.#tierCounts.get(tier.name)!;
      tiers[tier.name] = { ...tier.stats(), ...withRate(counts), errors: counts.errors };
    }
    const { entries, sizeBytes, evictions, expirations } = memory;
    const prefetch = this.#prefetcher?.stats() ?? { issued: 0, useful: 0, wasted: 0, active: false };
    return {
      ...this.#counters,
      ...withRate(this.#counters),
      entries,
      sizeBytes,
      evictions,
      expirations,
      prefetch,
      tiers,
    };
  }

  /** Of the memory tier. */
  missRatioCurve(): readonly MissRatioPoint[] {
    return this.#memory.missRatioCurve();
  }

  /** Resolves when all writes accepted so far are in the tiers, durably where the tier can. */
  async flush(): Promise<void> {
    this.#throwIfClosed();
    await this.#drain();
  }

  /** Flushes, notes the hottest keys for `warm({ snapshot: true })`, then closes the tiers and the bus. Loads under way still answer their callers but are not kept. */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #shutDown(): Promise<void> {
    this.#tickets.voidAll();
    this.#unsubscribe?.();
    await this.#drain();
    await this.#writeSnapshot();
    this.#clearMemory();
    for (const tier of this.#tiers) await tier.close();
    await this.#options.bus?.close();
  }

  async #drain(): Promise<void> {
    while (this.#background.size > 0) await Promise.allSettled(this.#background);
    await this.#writes.idle();
    await this.#onEachTier('flush', async (tier) => tier.flush?.());
  }

  // Reading

  #isFresh(held: Held<V>): boolean {
    return held.freshUntilMs === Infinity || this.#clock.now() < held.freshUntilMs;
  }

  /** A fresh value or remembered absence from memory, counted. */
  #fromMemory(key: string): Held<V> | undefined {
    if (this.#prefetcher !== undefined) {
      const next = this.#prefetcher.observe(key, this.#isInMemory);
      if (next !== undefined) this.#fetchAhead(next);
    }
    const held = this.#memory.get(key);
    if (held === undefined || !this.#isFresh(held)) {
      this.#memoryCounts.misses++;
      return undefined;
    }
    this.#memoryCounts.hits++;
    this.#counters.hits++;
    return held;
  }

  /** Collects what one turn of the event loop asks for into one read of the tiers. */
  #fetchAhead(key: string): void {
    this.#ahead.add(key);
    if (this.#ahead.size === 1) this.#inBackground(this.#fetchCollected());
  }

  async #fetchCollected(): Promise<void> {
    await Promise.resolve();
    const keys = [...this.#ahead].filter((key) => !this.#memory.has(key));
    this.#ahead.clear();
    if (keys.length > 0) await this.#readTiers(keys, true);
  }

  async #getFromTiers(key: string): Promise<V | undefined> {
    const found = await this.#readTiersOnce(key);
    if (found?.fresh !== true) {
      this.#counters.misses++;
      return undefined;
    }
    this.#counters.hits++;
    return this.#handOut(found.held);
  }

  /** Concurrent reads of a key share one pass through the tiers. */
  #readTiersOnce(key: string): Promise<Found<V> | undefined> {
    const running = this.#reads.get(key);
    if (running !== undefined) return running;
    const read = this.#readTiers([key]).then((found) => found.get(key));
    this.#reads.set(key, read);
    const forget = (): void => {
      if (this.#reads.get(key) === read) this.#reads.delete(key);
    };
    read.then(forget, forget);
    return read;
  }

  /** Fresh entries where there are any, else stale ones; fresh ones are promoted to memory and the faster tiers. */
  async #readTiers(keys: readonly string[], ahead = false): Promise<Map<string, Found<V>>> {
    const tickets = new Map(keys.map((key) => [key, this.#tickets.take(key)]));
    try {
      const waits = keys.map((key) => this.#writes.pending(key)).filter((wait) => wait !== undefined);
      if (waits.length > 0) await Promise.all(waits);
      const found = new Map<string, Found<V>>();
      let missing = keys;
      for (const [index, tier] of this.#tiers.entries()) {
        const entries = await this.#readTier(tier, missing, ahead);
        const promoted: { entry: Entry; ticket: Ticket }[] = [];
        for (const entry of entries.values()) {
          const read = this.#accept(entry, tier);
          if (read === undefined) continue;
          if (read.fresh || !found.has(entry.key)) found.set(entry.key, read);
          const ticket = tickets.get(entry.key)!;
          if (!this.#tickets.allows(ticket, entry.tags)) continue;
          this.#remember(entry.key, read.held, {});
          if (read.fresh && index > 0) promoted.push({ entry, ticket });
        }
        this.#promote(promoted, index);
        missing = missing.filter((key) => found.get(key)?.fresh !== true);
        if (missing.length === 0) break;
      }
      return found;
    } finally {
      for (const ticket of tickets.values()) this.#tickets.giveBack(ticket);
    }
  }

  async #readTier(tier: Tier, keys: readonly string[], ahead: boolean): Promise<Map<string, Entry>> {
    const counts = this.#tierCounts.get(tier.name)!;
    const result = new Map<string, Entry>();
    const rejected: string[] = [];
    try {
      const entries = await tier.getMany(keys);
      for (const entry of entries) {
        if (entry === undefined) continue;
        if (this.#integrity !== undefined && !this.#integrity.accepts(entry, tier.name))
          rejected.push(entry.key);
        else if (!this.#isDead(entry)) result.set(entry.key, entry);
      }
    } catch (cause) {
      counts.errors++;
      this.#report(new CacheError('ERR_PERF_CACHE_TIER', `tier ${tier.name} could not be read`, { cause }));
    }
    if (rejected.length > 0) this.#dropRejected(tier, rejected);
    if (!ahead) {
      counts.hits += result.size;
      counts.misses += keys.length - result.size;
    }
    return result;
  }

  /** The entry as memory would hold it; `undefined` when its time is over or it cannot be decoded. */
  #accept(entry: Entry, tier: Tier): Found<V> | undefined {
    const now = this.#clock.now();
    const freshUntilMs = entry.expiresAtMs ?? Infinity;
    const staleUntilMs = Math.max(freshUntilMs, entry.staleUntilMs ?? 0);
    if (now >= staleUntilMs) return undefined;
    try {
      const value = this.#codec.decode(entry.value);
      const direct = this.#share || isPrimitive(value);
      const held: Held<V> = {
        value,
        direct,
        freshUntilMs,
        staleUntilMs,
        tags: entry.tags ?? NO_TAGS,
        present: true,
      };
      return { held, fresh: now < freshUntilMs };
    } catch (cause) {
      this.#counters.errors++;
      this.#report(
        new CacheError(
          'ERR_PERF_CACHE_CODEC',
          `the value of ${JSON.stringify(entry.key)} cannot be decoded`,
          { cause },
        ),
      );
      this.#dropUnreadable(tier, [entry.key]);
      return undefined;
    }
  }

  #promote(promoted: readonly { entry: Entry; ticket: Ticket }[], from: number): void {
    if (promoted.length === 0) return;
    const entries = promoted.map(({ entry }) => entry);
    const keys = entries.map((entry) => entry.key);
    const targets = this.#tiers.slice(0, from);
    this.#inBackground(
      this.#writes.run(keys, () =>
        this.#onEachTier(
          'promote',
          (tier) => tier.setMany(entries.map((entry) => this.#entryFor(tier, entry))),
          targets,
        ),
      ),
    );
  }

  // Loading

  async #loadOrWait(
    key: string,
    load: (context: LoadContext) => Promise<V>,
    options: SetOptions,
  ): Promise<V> {
    const stale = this.#staleFromMemory(key);
    const running = this.#flights.get(key);
    const flight = running ?? this.#startFlight(key, load, options);
    if (running !== undefined) this.#counters.coalesced++;
    if (stale !== undefined && this.#isRevalidating(stale)) {
      flight.hold();
      if (running === undefined) this.#inBackground(this.#refreshed(key, flight));
      return this.#serveStale(stale);
    }
    return this.#await(key, flight, stale, options.signal);
  }

  /** Nobody waits for a refresh behind a stale value, so its failure is reported. */
  async #refreshed(key: string, flight: Flight<Loaded<V>>): Promise<void> {
    try {
      await flight.promise;
    } catch (cause) {
      throw new CacheError('ERR_PERF_CACHE_REFRESH', `refreshing ${JSON.stringify(key)} failed`, { cause });
    }
  }

  #startFlight(
    key: string,
    load: (context: LoadContext) => Promise<V>,
    options: SetOptions,
  ): Flight<Loaded<V>> {
    const forget = (flight: Flight<Loaded<V>>): void => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    const flight = new Flight<Loaded<V>>((signal) => this.#fly(key, load, options, signal), forget);
    this.#flights.set(key, flight);
    const settled = (): void => forget(flight);
    flight.promise.then(settled, settled);
    return flight;
  }

  /** The tiers, then the loader, then back up. */
  async #fly(
    key: string,
    load: (context: LoadContext) => Promise<V>,
    options: SetOptions,
    signal: AbortSignal,
  ): Promise<Loaded<V>> {
    const ticket = this.#tickets.take(key);
    let lease: Leases | undefined;
    try {
      if (this.#tiers.length > 0) {
        const found = await this.#readTiersOnce(key);
        if (found?.fresh === true) return { value: found.held.value as V, fromTier: true };
        lease =
          this.#leaseMs === 0 ? undefined : this.#tiers.find((tier) => tier.leases !== undefined)?.leases;
        const loadedElsewhere =
          lease === undefined ? undefined : await this.#waitForLease(key, lease, signal);
        if (loadedElsewhere !== undefined) {
          lease = undefined;
          return { value: loadedElsewhere.held.value as V, fromTier: true };
        }
      }
      signal.throwIfAborted();
      let refined: SetOptions = options;
      const refine = (more: Omit<SetOptions, 'signal'>): void => {
        const refusal = refusedSetOptions(more);
        if (refusal !== undefined) throw refusal.error;
        refined = { ...refined, ...more };
      };
      const value = await this.#load(load, { key, signal, refine });
      const held = lease === undefined || (await lease.holds(key, this.#owner));
      if (held && !signal.aborted && this.#tickets.allows(ticket, refined.tags)) {
        const written = this.#keepLoaded(key, value, refined);
        if (lease !== undefined) this.#inBackground(this.#releaseAfter(written, key, lease));
        lease = undefined;
      }
      return { value, fromTier: false };
    } finally {
      this.#tickets.giveBack(ticket);
      if (lease !== undefined) this.#inBackground(lease.release(key, this.#owner));
    }
  }

  /** Settles with the lease, or with the value that the process which had it has stored meanwhile. */
  async #waitForLease(key: string, leases: Leases, signal: AbortSignal): Promise<Found<V> | undefined> {
    for (let delayMs = LEASE_POLL_MS; ; delayMs = Math.min(2 * delayMs, MAX_LEASE_POLL_MS)) {
      signal.throwIfAborted();
      const ours = await leases.acquire(key, this.#owner, this.#clock.now() + this.#leaseMs);
      // Also with the lease in hand: it may have been released, with a value stored, since the tiers were read.
      const found = (await this.#readTiers([key], true)).get(key);
      if (found?.fresh === true) {
        if (ours) await leases.release(key, this.#owner);
        return found;
      }
      if (ours) return undefined;
      await wait(delayMs, undefined, { signal });
    }
  }

  /** The value must be visible to other processes before one of them can get the lease. */
  async #releaseAfter(written: Promise<unknown> | undefined, key: string, leases: Leases): Promise<void> {
    try {
      await written;
      await this.#onEachTier('flush', async (tier) => tier.flush?.());
    } finally {
      await leases.release(key, this.#owner);
    }
  }

  async #load(load: (context: LoadContext) => Promise<V>, context: LoadContext): Promise<V> {
    this.#counters.loads++;
    try {
      return await load(context);
    } catch (error) {
      this.#counters.loadErrors++;
      throw error;
    }
  }

  #keepLoaded(key: string, value: V, options: SetOptions): Promise<unknown> | undefined {
    // A slow read of the tiers from before the load would bring back what the load replaced.
    this.#tickets.voidKey(key);
    this.#reads.delete(key);
    if (value === undefined) {
      const { negativeTtlMs } = this.#options;
      if (negativeTtlMs === undefined) return undefined;
      const until = this.#clock.now() + negativeTtlMs;
      const tags = options.tags ?? NO_TAGS;
      this.#remember(
        key,
        { value, direct: true, freshUntilMs: until, staleUntilMs: until, tags, present: false },
        {},
      );
      return undefined;
    }
    const bytes = this.#tiers.length === 0 ? undefined : encodeValue(this.#codec, key, value);
    const held = this.#hold(this.#copy(key, value), options);
    this.#remember(key, held, options);
    if (bytes === undefined) return undefined;
    const written = this.#writeEntry(key, bytes, held);
    this.#inBackground(written);
    return written;
  }

  /** Waits for a load as long as the timeouts and the caller's signal allow, and falls back on a stale value. */
  async #await(
    key: string,
    flight: Flight<Loaded<V>>,
    stale: Held<V> | undefined,
    signal: AbortSignal | undefined,
  ): Promise<V> {
    const { softTimeoutMs, hardTimeoutMs, graceMs } = this.#options;
    const fallback = stale !== undefined && (graceMs ?? 0) > 0 ? stale : undefined;
    const limit = fallback !== undefined && softTimeoutMs !== undefined ? softTimeoutMs : hardTimeoutMs;
    const result = flight.join(signal);
    try {
      const loaded = limit === undefined ? await result : await withTimeout(result, limit);
      if (loaded === TIMED_OUT) {
        flight.hold();
        if (fallback !== undefined) return this.#serveStale(fallback);
        throw new CacheError(
          'ERR_PERF_CACHE_LOAD_TIMEOUT',
          `loading ${JSON.stringify(key)} took over ${limit} ms`,
        );
      }
      if (loaded.fromTier) this.#counters.hits++;
      else this.#counters.misses++;
      return this.#copy(key, loaded.value);
    } catch (error) {
      const late = stale ?? this.#staleFromMemory(key);
      const inGrace = late !== undefined && this.#clock.now() < late.freshUntilMs + (graceMs ?? 0);
      if (inGrace && signal?.aborted !== true) return this.#serveStale(late);
      this.#counters.misses++;
      throw error;
    }
  }

  #serveStale(held: Held<V>): V {
    this.#counters.staleServed++;
    this.#counters.hits++;
    return this.#handOut(held) as V;
  }

  #staleFromMemory(key: string): Held<V> | undefined {
    const held = this.#memory.peek(key);
    return held !== undefined && held.present && this.#clock.now() < held.staleUntilMs ? held : undefined;
  }

  #isRevalidating(held: Held<V>): boolean {
    return this.#clock.now() < held.freshUntilMs + (this.#options.staleWhileRevalidateMs ?? 0);
  }

  // Memory

  #hold(value: V, options: SetOptions): Held<V> {
    const ttlMs = options.ttlMs ?? this.#ttlMs;
    const freshUntilMs = ttlMs === Infinity ? Infinity : this.#clock.now() + ttlMs;
    return {
      value,
      direct: this.#share || isPrimitive(value),
      freshUntilMs,
      staleUntilMs: freshUntilMs + this.#staleMs,
      tags: options.tags === undefined ? NO_TAGS : [...new Set(options.tags)],
      present: true,
    };
  }

  /** Puts an entry into memory for what is left of its time, at most for memory's own limit. */
  #remember(key: string, held: Held<V>, options: SetOptions): void {
    const previous = this.#memory.peek(key);
    if (previous !== undefined) this.#tags.remove(key, previous.tags);
    const now = this.#clock.now();
    const capped = Math.min(held.freshUntilMs, now + this.#memoryTtlMs);
    const stale = capped === held.freshUntilMs ? held.staleUntilMs : Math.min(held.staleUntilMs, capped);
    const kept = capped === held.freshUntilMs ? held : { ...held, freshUntilMs: capped, staleUntilMs: stale };
    this.#tags.add(key, kept.tags);
    const ttlMs = stale === Infinity ? Infinity : Math.max(stale - now, Number.MIN_VALUE);
    this.#memory.set(key, kept, {
      ttlMs,
      ...(options.sizeBytes === undefined ? {} : { sizeBytes: options.sizeBytes }),
      ...(options.cost === undefined ? {} : { cost: options.cost }),
    });
  }

  #dropFromMemory(key: string): boolean {
    const held = this.#memory.peek(key);
    if (held === undefined) return false;
    this.#tags.remove(key, held.tags);
    this.#memory.delete(key);
    return held.present && this.#isFresh(held);
  }

  #dropTagFromMemory(tag: string): readonly string[] {
    const keys = this.#tags.keysOf(tag);
    for (const key of keys) {
      this.#overtake(key);
      this.#dropFromMemory(key);
    }
    return keys;
  }

  #clearMemory(): void {
    this.#memory.clear();
    this.#tags.clear();
  }

  #copy(key: string, value: V): V {
    if (this.#share || isPrimitive(value)) return value;
    try {
      return this.#options.codec === undefined
        ? structuredClone(value)
        : this.#codec.decode(this.#codec.encode(value));
    } catch (cause) {
      throw new CacheError('ERR_PERF_CACHE_CODEC', `the value of ${JSON.stringify(key)} cannot be copied`, {
        cause,
      });
    }
  }

  #handOut(held: Held<V>): V | undefined {
    return held.direct ? held.value : this.#copy('', held.value as V);
  }

  #handOutLater(held: Held<V>): Promise<V | undefined> {
    if (held.direct) return Promise.resolve(held.value);
    try {
      return Promise.resolve(this.#copy('', held.value as V));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  // Tiers

  /** Slow reads and loads of this key that are under way will not be kept, and later callers do not join them. */
  #overtake(key: string): void {
    this.#tickets.voidKey(key);
    this.#flights.delete(key);
    this.#reads.delete(key);
  }

  #writeEntry(key: string, value: Uint8Array, held: Held<V>): Promise<unknown> {
    const entry: Entry = {
      key,
      value,
      ...(held.freshUntilMs === Infinity ? {} : { expiresAtMs: held.freshUntilMs }),
      ...(held.staleUntilMs === held.freshUntilMs ? {} : { staleUntilMs: held.staleUntilMs }),
      writtenAtMs: this.#clock.now(),
      ...(held.tags.length === 0 ? {} : { tags: held.tags }),
    };
    return this.#writes.run([key], () =>
      this.#onEachTier('set', (tier) => tier.setMany([this.#entryFor(tier, entry)])),
    );
  }

  /** The entry with this tier's lifetime and MAC. */
  #entryFor(tier: Tier, entry: Entry): Entry {
    const capMs = this.#options.tierTtlMs?.[tier.name];
    let own = entry;
    if (capMs !== undefined) {
      const latest = this.#clock.now() + capMs;
      if (latest < (entry.expiresAtMs ?? Infinity)) {
        const staleUntilMs =
          entry.staleUntilMs === undefined ? {} : { staleUntilMs: Math.min(entry.staleUntilMs, latest) };
        own = { ...entry, expiresAtMs: latest, ...staleUntilMs };
      }
    }
    return this.#integrity === undefined ? own : this.#integrity.sign(own, tier.name);
  }

  /** Runs on every tier even when one fails; then rejects if any did. */
  async #onEachTier<R>(what: string, run: (tier: Tier) => Promise<R>, tiers = this.#tiers): Promise<R[]> {
    const results = await Promise.allSettled(tiers.map((tier) => run(tier)));
    const values: R[] = [];
    const failures: unknown[] = [];
    const names: string[] = [];
    for (const [index, result] of results.entries()) {
      if (result.status === 'fulfilled') {
        values.push(result.value);
        continue;
      }
      const { name } = tiers[index]!;
      this.#tierCounts.get(name)!.errors++;
      names.push(name);
      failures.push(result.reason);
    }
    if (failures.length === 0) return values;
    const cause = failures.length === 1 ? failures[0] : new AggregateError(failures);
    throw new CacheError('ERR_PERF_CACHE_TIER', `${what} failed on tier ${names.join(', ')}`, { cause });
  }

  #dropRejected(tier: Tier, keys: readonly string[]): void {
    this.#counters.integrityFailures += keys.length;
    const list = keys.map((key) => JSON.stringify(key)).join(', ');
    this.#report(
      new CacheError('ERR_PERF_CACHE_TIER', `tier ${tier.name} returned entries with a wrong MAC: ${list}`),
    );
    this.#dropUnreadable(tier, keys);
  }

  #dropUnreadable(tier: Tier, keys: readonly string[]): void {
    this.#inBackground(
      this.#writes.run(keys, () => this.#onEachTier('delete', (t) => t.deleteMany(keys), [tier])),
    );
  }

  /** For tiers that cannot delete by tag: entries written before the tag was deleted are not served. */
  #rememberDeadTag(tag: string): void {
    if (this.#tiers.every((tier) => tier.deleteByTag !== undefined)) return;
    this.#deadTags.delete(tag);
    this.#deadTags.set(tag, this.#clock.now());
    if (this.#deadTags.size > MAX_DEAD_TAGS) {
      for (const oldest of this.#deadTags.keys()) {
        this.#deadTags.delete(oldest);
        break;
      }
    }
  }

  #isDead(entry: Entry): boolean {
    if (this.#deadTags.size === 0 || entry.tags === undefined) return false;
    return entry.tags.some((tag) => (this.#deadTags.get(tag) ?? -Infinity) >= (entry.writtenAtMs ?? 0));
  }

  /** The hottest keys of memory, for the next start. */
  async #writeSnapshot(): Promise<void> {
    const tier = this.#tiers.find(({ notes }) => notes !== undefined);
    if (tier?.notes === undefined) return;
    try {
      await tier.notes.save(SNAPSHOT_NOTE, encodeSnapshot(this.#memory.hottest(SNAPSHOT_KEYS)));
    } catch (cause) {
      this.#report(
        new CacheError('ERR_PERF_CACHE_TIER', `tier ${tier.name}: no snapshot was written`, { cause }),
      );
    }
  }

  async #readSnapshot(): Promise<readonly string[]> {
    const tier = this.#tiers.find(({ notes }) => notes !== undefined);
    const bytes = await tier?.notes?.load(SNAPSHOT_NOTE);
    return bytes === undefined ? [] : decodeSnapshot(bytes);
  }

  async #warmKeys(keys: readonly string[], signal: AbortSignal | undefined): Promise<WarmReport> {
    const missing = keys.filter((key) => !this.#memory.has(key));
    const found = await abortable(this.#readTiers(missing, true), signal);
    let loaded = 0;
    for (const { fresh } of found.values()) if (fresh) loaded++;
    return { loaded, present: keys.length - missing.length, missing: missing.length - loaded };
  }

  // Messages and errors

  async #publish(message: InvalidationMessage): Promise<void> {
    const { bus } = this.#options;
    if (bus === undefined) return;
    try {
      await bus.publish(message);
    } catch (cause) {
      this.#counters.errors++;
      this.#report(
        new CacheError('ERR_PERF_CACHE_TIER', 'an invalidation could not be published', { cause }),
      );
    }
  }

  #onMessage(message: InvalidationMessage): void {
    if (message.kind === 'keys') {
      for (const key of message.keys) {
        this.#overtake(key);
        this.#dropFromMemory(key);
      }
    } else if (message.kind === 'tag') {
      this.#tickets.voidTag(message.tag);
      this.#dropTagFromMemory(message.tag);
    } else {
      this.#tickets.voidAll();
      this.#flights.clear();
      this.#reads.clear();
      this.#clearMemory();
    }
  }

  #inBackground(work: Promise<unknown>): void {
    const run = async (): Promise<void> => {
      try {
        await work;
      } catch (error) {
        this.#counters.errors++;
        const message = 'work in the background failed';
        const known = error instanceof CacheError;
        this.#report(known ? error : new CacheError('ERR_PERF_CACHE_TIER', message, { cause: error }));
      } finally {
        this.#background.delete(done);
      }
    };
    const done = run();
    this.#background.add(done);
  }

  #report(error: CacheError): void {
    if (errorChannel.hasSubscribers) errorChannel.publish({ error });
    this.#options.onError?.(error);
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) throw closed();
  }

  /** Why a call cannot start, if so; wrapped, since a signal's reason may be anything. */
  #refusal(key: unknown, signal: AbortSignal | undefined): { readonly error: unknown } | undefined {
    if (typeof key !== 'string') return { error: new TypeError(`key must be a string, got ${typeof key}`) };
    if (this.#closing !== undefined) return { error: closed() };
    if (signal?.aborted === true) return { error: signal.reason };
    return undefined;
  }
}

const TIMED_OUT = Symbol('timed out');

function closed(): CacheError {
  return new CacheError('ERR_PERF_CACHE_CLOSED', 'the cache is closed');
}

function withRate(counts: { readonly hits: number; readonly misses: number }): {
  hits: number;
  misses: number;
  hitRate: number;
} {
  const { hits, misses } = counts;
  return { hits, misses, hitRate: hits + misses === 0 ? 0 : hits / (hits + misses) };
}

/** Undefined options must be absent, not `undefined`. */
function pickMemory<V>(memory: TieredMemoryOptions<V>): MemoryCacheOptions<string, never> {
  const { maxEntries, maxBytes, policy } = memory;
  return {
    ...(maxEntries === undefined ? {} : { maxEntries }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
    ...(policy === undefined ? {} : { policy }),
  };
}

function checkTimes<V>(options: TieredCacheOptions<V>): void {
  for (const name of ['staleWhileRevalidateMs', 'graceMs'] as const) {
    if (options[name] !== undefined) checkNumber(name, options[name], 0, Infinity);
  }
  for (const name of ['softTimeoutMs', 'hardTimeoutMs'] as const) {
    if (options[name] !== undefined) checkNumber(name, options[name], 1, 2 ** 31 - 1);
  }
  if (options.negativeTtlMs !== undefined) checkTtlMs('negativeTtlMs', options.negativeTtlMs);
}

function checkTiers(tiers: readonly Tier[], ttls: Readonly<Record<string, number>> | undefined): void {
  const names = new Set(['memory']);
  for (const tier of tiers) {
    checkObject('tiers', tier);
    checkString('tiers[].name', tier.name);
    if (names.has(tier.name)) throw new RangeError(`tiers: the name ${tier.name} is taken`);
    names.add(tier.name);
  }
  for (const [name, ttlMs] of Object.entries(ttls ?? {})) {
    if (!names.has(name) || name === 'memory') throw new RangeError(`tierTtlMs names no tier: ${name}`);
    checkTtlMs(`tierTtlMs.${name}`, ttlMs);
  }
}

function refusedSetOptions(options: SetOptions): { readonly error: unknown } | undefined {
  try {
    if (options.ttlMs !== undefined) checkTtlMs('ttlMs', options.ttlMs);
    if (options.cost !== undefined) checkNumber('cost', options.cost, 0, Number.MAX_VALUE);
    if (options.sizeBytes !== undefined) checkNumber('sizeBytes', options.sizeBytes, 0, 2 ** 32 - 1);
    if (options.tags !== undefined) for (const tag of options.tags) checkString('tags', tag);
    return undefined;
  } catch (error) {
    return { error };
  }
}

/** Rejects with `signal.reason` when it is aborted first; the work itself goes on for its other users. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort!);
  }
}

async function withTimeout<T>(work: Promise<T>, limitMs: number): Promise<T | typeof TIMED_OUT> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<typeof TIMED_OUT>((resolve) => {
    timer = setTimeout(() => resolve(TIMED_OUT), limitMs);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
