/** `@perf/cache/keyv`: a Keyv storage adapter as a tier, and a TieredCache as the storage of Keyv or cache-manager. */
import { EventEmitter } from 'node:events';
import { systemClock } from './clock.ts';
import { decodeFrame, encodeFrame, endOf } from './entry-frame.ts';
import { CacheError } from './errors.ts';
import { checkFunction, checkObject, checkString } from './option-checks.ts';
import type { Entry, Tier, TierStats } from './tier.ts';
import type { TieredCache } from './tiered-cache.ts';

/** What a Keyv storage adapter (or a Keyv) needs to have to be a tier. */
export interface KeyvStore {
  get(key: string): unknown;
  /** `expiry` is Unix ms where `capabilities.expires` says so, else the time left in ms. */
  set(key: string, value: string, expiry?: number): unknown;
  delete(key: string): unknown;
  clear(): unknown;
  readonly capabilities?: { readonly expires?: boolean };
  disconnect?(): Promise<void>;
}

export interface KeyvTierOptions {
  /** Default `keyv`. */
  readonly name?: string;
}

/** A tier that keeps entries as base64 text in a Keyv store. Closing it disconnects the store. */
export function fromKeyvStore(store: KeyvStore, options: KeyvTierOptions = {}): Tier {
  checkObject('store', store);
  for (const method of ['get', 'set', 'delete', 'clear'] as const) {
    if (store[method] === undefined) throw new TypeError(`store.${method} must be a function`);
    checkFunction(`store.${method}`, store[method]);
  }
  return new KeyvTier(store, checkString('name', options.name ?? 'keyv'));
}

class KeyvTier implements Tier {
  readonly name: string;
  readonly #store: KeyvStore;
  #closed = false;

  constructor(store: KeyvStore, name: string) {
    this.#store = store;
    this.name = name;
  }

  getMany(keys: readonly string[]): Promise<(Entry | undefined)[]> {
    return Promise.all(keys.map((key) => this.#get(key)));
  }

  async setMany(entries: readonly Entry[]): Promise<void> {
    await Promise.all(entries.map((entry) => this.#set(entry)));
  }

  async deleteMany(keys: readonly string[]): Promise<number> {
    this.#throwIfClosed();
    const deleted = await Promise.all(keys.map(async (key) => this.#store.delete(key)));
    return deleted.filter((was) => was === true).length;
  }

  async clear(): Promise<void> {
    this.#throwIfClosed();
    await this.#store.clear();
  }

  stats(): TierStats {
    return {};
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#store.disconnect?.();
  }

  async #get(key: string): Promise<Entry | undefined> {
    this.#throwIfClosed();
    const text = await this.#store.get(key);
    return typeof text === 'string' ? decodeFrame(key, Buffer.from(text, 'base64')) : undefined;
  }

  async #set(entry: Entry): Promise<void> {
    this.#throwIfClosed();
    const ends = endOf(entry);
    const text = encodeFrame(entry).toString('base64');
    if (ends === undefined) await this.#store.set(entry.key, text);
    else if (this.#store.capabilities?.expires === true) await this.#store.set(entry.key, text, ends);
    else await this.#store.set(entry.key, text, Math.max(1, ends - systemClock.now()));
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new CacheError('ERR_PERF_CACHE_CLOSED', `tier ${this.name} is closed`);
  }
}

/** A storage adapter for Keyv 6, which passes the end of an entry as Unix ms. */
export function toKeyvStore(cache: TieredCache<unknown>): TieredKeyvStore {
  return new TieredKeyvStore(cache, 'absolute');
}

/** A store for cache-manager 7 (`createCache({ stores: [new Keyv({ store })] })`) and Keyv 5: they pass the time left. */
export function toCacheManagerStore(cache: TieredCache<unknown>): TieredKeyvStore {
  return new TieredKeyvStore(cache, 'relative');
}

interface StoredEntry {
  readonly key: string;
  readonly value: unknown;
  readonly expires?: number;
  readonly ttl?: number;
}

/** Made by {@link toKeyvStore} and {@link toCacheManagerStore}. Disconnecting closes the cache. */
export class TieredKeyvStore extends EventEmitter {
  /** Set by Keyv; the keys that come in carry it already. */
  namespace: string | undefined;
  readonly opts: Record<string, unknown> = {};
  readonly capabilities: { readonly expires: boolean };
  readonly #cache: TieredCache<unknown>;

  constructor(cache: TieredCache<unknown>, expiry: 'absolute' | 'relative') {
    super();
    checkObject('cache', cache);
    this.#cache = cache;
    this.capabilities = { expires: expiry === 'absolute' };
  }

  get(key: string): Promise<unknown> {
    return this.#cache.get(key);
  }

  async getMany(keys: readonly string[]): Promise<unknown[]> {
    const found = await this.#cache.getMany(keys);
    return keys.map((key) => found.get(key));
  }

  async set(key: string, value: unknown, expiry?: number): Promise<boolean> {
    if (expiry === undefined || expiry === 0) {
      await this.#cache.set(key, value);
      return true;
    }
    const ttlMs = this.capabilities.expires ? expiry - systemClock.now() : expiry;
    if (ttlMs > 0) await this.#cache.set(key, value, { ttlMs });
    else await this.#cache.delete(key);
    return true;
  }

  setMany(entries: readonly StoredEntry[]): Promise<boolean[]> {
    return Promise.all(entries.map(({ key, value, expires, ttl }) => this.set(key, value, expires ?? ttl)));
  }

  delete(key: string): Promise<boolean> {
    return this.#cache.delete(key);
  }

  deleteMany(keys: readonly string[]): Promise<boolean[]> {
    return Promise.all(keys.map((key) => this.#cache.delete(key)));
  }

  async has(key: string): Promise<boolean> {
    return (await this.#cache.get(key)) !== undefined;
  }

  hasMany(keys: readonly string[]): Promise<boolean[]> {
    return Promise.all(keys.map((key) => this.has(key)));
  }

  /** Empties the whole cache, whatever the namespace. */
  clear(): Promise<void> {
    return this.#cache.clear();
  }

  disconnect(): Promise<void> {
    return this.#cache.close();
  }
}
