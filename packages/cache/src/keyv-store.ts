/**
 * A cache as a Keyv storage adapter. It takes lifetimes (Keyv's older contract), which Keyv 5 gives and Keyv
 * 6 bridges to, so that one adapter serves both. Everything written through it carries a tag of its
 * namespace, so that `clear` deletes that and nothing else of the cache.
 */
import { checkObject } from './option-checks.ts';
import type { TieredCache } from './tiered-cache.ts';

/** For `new Keyv({ store })`, and through it for cache-manager 6 and later. */
export interface KeyvStore {
  /** Set by Keyv. */
  namespace: string | undefined;
  /** Keyv 5 reads and writes it. */
  opts: Record<string, unknown>;
  get<Value>(key: string): Promise<Value | undefined>;
  getMany<Value>(keys: string[]): Promise<(Value | undefined)[]>;
  set(key: string, value: unknown, ttlMs?: number): Promise<boolean>;
  setMany(entries: readonly { key: string; value: unknown; ttl?: number }[]): Promise<boolean[]>;
  delete(key: string): Promise<boolean>;
  deleteMany(keys: string[]): Promise<boolean[]>;
  has(key: string): Promise<boolean>;
  hasMany(keys: string[]): Promise<boolean[]>;
  clear(): Promise<void>;
  /** Does nothing: the cache is its owner's to close. */
  disconnect(): Promise<void>;
  /** Keyv listens for `error`; nothing is emitted, calls reject instead. */
  on(event: string, listener: (...args: unknown[]) => void): KeyvStore;
}

/** @throws {TypeError} unless it is given a cache. */
export function toKeyvStore(cache: TieredCache<unknown>): KeyvStore {
  checkObject('cache', cache);
  return new CacheStore(cache);
}

class CacheStore implements KeyvStore {
  namespace: string | undefined;
  opts: Record<string, unknown> = {};
  readonly #cache: TieredCache<unknown>;

  constructor(cache: TieredCache<unknown>) {
    this.#cache = cache;
  }

  async get<Value>(key: string): Promise<Value | undefined> {
    return (await this.#cache.get(this.#nameOf(key))) as Value | undefined;
  }

  async getMany<Value>(keys: string[]): Promise<(Value | undefined)[]> {
    const names = keys.map((key) => this.#nameOf(key));
    const found = await this.#cache.getMany(names);
    return names.map((name) => found.get(name) as Value | undefined);
  }

  async set(key: string, value: unknown, ttlMs?: number): Promise<boolean> {
    if (value === undefined) return false;
    // To Keyv, 0 means no end.
    const ttl = ttlMs === undefined || ttlMs === 0 ? {} : { ttlMs };
    await this.#cache.set(this.#nameOf(key), value, { tags: [this.#tag()], ...ttl });
    return true;
  }

  setMany(entries: readonly { key: string; value: unknown; ttl?: number }[]): Promise<boolean[]> {
    return Promise.all(entries.map(({ key, value, ttl }) => this.set(key, value, ttl)));
  }

  delete(key: string): Promise<boolean> {
    return this.#cache.delete(this.#nameOf(key));
  }

  deleteMany(keys: string[]): Promise<boolean[]> {
    return Promise.all(keys.map((key) => this.delete(key)));
  }

  async has(key: string): Promise<boolean> {
    return (await this.get(key)) !== undefined;
  }

  async hasMany(keys: string[]): Promise<boolean[]> {
    return (await this.getMany(keys)).map((value) => value !== undefined);
  }

  async clear(): Promise<void> {
    await this.#cache.deleteByTag(this.#tag());
  }

  disconnect(): Promise<void> {
    return Promise.resolve();
  }

  on(): this {
    return this;
  }

  #nameOf(key: string): string {
    return this.namespace === undefined ? key : `${this.namespace}:${key}`;
  }

  #tag(): string {
    return `keyv:${this.namespace ?? ''}`;
  }
}
