/**
 * A Keyv store as a tier: each entry is one text, the base64 of its frame (entry-frame.ts), because text is
 * what every Keyv store can hold. Keyv 5 stores are given lifetimes, Keyv 6 stores (`capabilities.expires`)
 * ends in Unix time.
 */
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import { decodeFrame, encodeFrame, endOf } from './entry-frame.ts';
import { CacheError } from './errors.ts';
import { checkFunction, checkObject, checkString } from './option-checks.ts';
import type { Entry, Tier, TierStats } from './tier.ts';

/** What a tier needs of a Keyv instance, a Keyv storage adapter or a Map. */
export interface KeyvLike {
  get(key: string): unknown;
  /** The third argument is a lifetime in ms; with `capabilities.expires`, an end in Unix ms. */
  set(key: string, value: string, ttlMs?: number): unknown;
  delete(key: string): unknown;
  clear(): unknown;
  getMany?(keys: string[]): unknown;
  disconnect?(): unknown;
  readonly capabilities?: unknown;
}

export interface KeyvTierOptions {
  /** Default `keyv`. */
  readonly name?: string;
  /** Whether all members of the cache's bus see the same store. Default false. */
  readonly shared?: boolean;
  /**
   * Whether closing the tier disconnects the store, which is otherwise the caller's to close. Default false.
   */
  readonly disconnect?: boolean;
  readonly clock?: Clock;
}

/** Before every key: Keyv refuses empty ones. */
const PREFIX = 'perf:';
/** Calls to the store at the same time, for stores that cannot take many keys in one. */
const CONCURRENCY = 32;

/**
 * A tier over a Keyv instance, a Keyv storage adapter or a Map. `clear` clears all that the store calls its
 * own: give it a namespace if it holds other things. Tags are deleted by the cache, which remembers them for
 * its lifetime.
 *
 * @throws {TypeError} that names what is missing.
 */
export function fromKeyvStore(store: KeyvLike, options: KeyvTierOptions = {}): Tier {
  checkObject('store', store);
  for (const method of ['get', 'set', 'delete', 'clear'] as const) {
    if (store[method] === undefined) throw new TypeError(`store must have a method ${method}`);
    checkFunction(`store.${method}`, store[method]);
  }
  checkObject('options', options);
  return new KeyvTier(store, options);
}

class KeyvTier implements Tier {
  readonly name: string;
  readonly shared: boolean;
  readonly #store: KeyvLike;
  readonly #disconnect: boolean;
  readonly #clock: Clock;
  readonly #takesEnds: boolean;
  readonly #counters = { unreadable: 0 };
  #closed = false;

  constructor(store: KeyvLike, options: KeyvTierOptions) {
    this.name = checkString('name', options.name ?? 'keyv');
    this.shared = options.shared ?? false;
    this.#store = store;
    this.#disconnect = options.disconnect ?? false;
    this.#clock = options.clock ?? systemClock;
    // A Keyv instance has a store of its own, whose capabilities are not those of `set` here.
    const { capabilities } = store;
    this.#takesEnds =
      !('store' in store) &&
      typeof capabilities === 'object' &&
      capabilities !== null &&
      'expires' in capabilities &&
      capabilities.expires === true;
  }

  async getMany(keys: readonly string[]): Promise<(Entry | undefined)[]> {
    this.#throwIfClosed();
    const texts = await this.#read(keys);
    return keys.map((key, index) => this.#decode(key, texts[index]));
  }

  async setMany(entries: readonly Entry[]): Promise<void> {
    this.#throwIfClosed();
    const newest = [...new Map(entries.map((entry) => [entry.key, entry])).values()];
    await inParts(newest, (entry) => this.#write(entry));
  }

  async deleteMany(keys: readonly string[]): Promise<number> {
    this.#throwIfClosed();
    const deleted = await inParts([...new Set(keys)], async (key) => this.#store.delete(PREFIX + key));
    return deleted.filter((was) => was === true).length;
  }

  async clear(): Promise<void> {
    this.#throwIfClosed();
    await this.#store.clear();
  }

  stats(): TierStats {
    return { ...this.#counters };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#disconnect) await this.#store.disconnect?.();
  }

  async #read(keys: readonly string[]): Promise<readonly unknown[]> {
    if (keys.length > 1 && this.#store.getMany !== undefined) {
      const found = await this.#store.getMany(keys.map((key) => PREFIX + key));
      if (Array.isArray(found) && found.length === keys.length) return found;
    }
    return inParts(keys, async (key) => this.#store.get(PREFIX + key));
  }

  async #write(entry: Entry): Promise<void> {
    const text = encodeFrame(entry).toString('base64');
    const end = endOf(entry);
    const now = this.#clock.now();
    if (end !== undefined && end <= now) {
      await this.#store.delete(PREFIX + entry.key);
      return;
    }
    const limit = end === undefined || this.#takesEnds ? end : Math.ceil(end - now);
    const done = await this.#store.set(PREFIX + entry.key, text, limit);
    // Keyv says so when it could not, and emits the error instead of throwing it.
    if (done === false) {
      const key = JSON.stringify(entry.key);
      throw new CacheError('ERR_PERF_CACHE_TIER', `tier ${this.name}: the entry of ${key} was not stored`);
    }
  }

  #decode(key: string, text: unknown): Entry | undefined {
    if (text === undefined || text === null) return undefined;
    const entry = typeof text === 'string' ? decodeFrame(key, Buffer.from(text, 'base64')) : undefined;
    if (entry === undefined) this.#counters.unreadable++;
    return entry;
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new CacheError('ERR_PERF_CACHE_CLOSED', `tier ${this.name} is closed`);
  }
}

/** Results aligned with the items; so many calls at a time. */
async function inParts<T, R>(items: readonly T[], run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += CONCURRENCY) {
    results.push(...(await Promise.all(items.slice(start, start + CONCURRENCY).map((item) => run(item)))));
  }
  return results;
}
