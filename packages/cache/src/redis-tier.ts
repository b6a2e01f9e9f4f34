/**
 * Entries in Redis. A lost connection must cost neither errors nor stale values: without one, reads find nothing, and
 * writes and deletions are owed. What is owed is deleted in Redis when the connection is back, before anything is read
 * from it again; a write whose outcome is unknown (it timed out) is owed too. Deleting more than needed only costs hits.
 *
 *     prefix + "e:" + key    one entry (entry-frame.ts), with its end as PXAT
 *     prefix + "t:" + tag    set of the keys that were written with the tag
 */
import type { Redis } from 'ioredis';
import { decodeFrame, encodeFrame, endOf } from './entry-frame.ts';
import { CacheError } from './errors.ts';
import { checkFunction, checkInteger, checkObject, checkString } from './option-checks.ts';
import type { Entry, Tier, TierStats } from './tier.ts';

export interface RedisTierOptions {
  /** An ioredis client; it stays the caller's and is not closed with the tier. */
  readonly client: Redis;
  /** Default `redis`. */
  readonly name?: string;
  /** Before every key in Redis. Default `perf-cache:`. */
  readonly prefix?: string;
  /** A command is waited for only this long. Default 100. */
  readonly timeoutMs?: number;
  /** Keys whose deletion may be owed; beyond, everything under the prefix is deleted on return. Default 100,000. */
  readonly maxOwed?: number;
  /** Failures that were turned into misses. */
  onError?(error: CacheError): void;
}

/** Adds a key to a tag's set, which then lives as long as the longest-lived entry in it. */
const TAG_SCRIPT = `
local existed = redis.call('EXISTS', KEYS[1])
redis.call('SADD', KEYS[1], ARGV[1])
if ARGV[2] == '' then redis.call('PERSIST', KEYS[1])
elseif existed == 0 then redis.call('PEXPIREAT', KEYS[1], ARGV[2])
else redis.call('PEXPIREAT', KEYS[1], ARGV[2], 'GT') end
return 0`;
const SCAN_COUNT = 1000;

export class RedisTier implements Tier {
  readonly name: string;
  readonly #client: Redis;
  readonly #prefix: string;
  readonly #timeoutMs: number;
  readonly #maxOwed: number;
  readonly #onError: ((error: CacheError) => void) | undefined;
  readonly #owed = new Set<string>();
  readonly #owedTags = new Set<string>();
  #owesClear = false;
  #repaying: Promise<boolean> | undefined;
  #closed = false;
  readonly #counters = { degraded: 0, timeouts: 0, repaid: 0 };
  readonly #onReady = (): void => void this.#repay();

  constructor(options: RedisTierOptions) {
    checkObject('client', options.client);
    this.#client = options.client;
    this.name = checkString('name', options.name ?? 'redis');
    this.#prefix = checkString('prefix', options.prefix ?? 'perf-cache:');
    this.#timeoutMs = checkInteger('timeoutMs', options.timeoutMs ?? 100, 1, 60_000);
    this.#maxOwed = checkInteger('maxOwed', options.maxOwed ?? 100_000, 1, 2 ** 24);
    checkFunction('onError', options.onError);
    this.#onError = options.onError?.bind(options);
    this.#client.on('ready', this.#onReady);
  }

  async getMany(keys: readonly string[]): Promise<(Entry | undefined)[]> {
    this.#throwIfClosed();
    const frames = await this.#attempt(() =>
      this.#withinTime(this.#client.mgetBuffer(keys.map((key) => this.#entryKey(key)))),
    );
    if (frames === undefined) return keys.map(() => undefined);
    return keys.map((key, i) => {
      const frame = frames[i];
      return frame === null || frame === undefined ? undefined : decodeFrame(key, frame);
    });
  }

  async setMany(entries: readonly Entry[]): Promise<void> {
    this.#throwIfClosed();
    const done = await this.#attempt(() => this.#withinTime(this.#sendEntries(entries)));
    if (done === undefined) this.#owe(entries.map((entry) => entry.key));
  }

  async deleteMany(keys: readonly string[]): Promise<number> {
    this.#throwIfClosed();
    if (keys.length === 0) return 0;
    const deleted = await this.#attempt(() =>
      this.#withinTime(this.#client.unlink(keys.map((key) => this.#entryKey(key)))),
    );
    if (deleted === undefined) this.#owe(keys);
    return deleted ?? 0;
  }

  async deleteByTag(tag: string): Promise<readonly string[]> {
    this.#throwIfClosed();
    const deleted = await this.#attempt(() => this.#withinTime(this.#sendTagDeletion(tag)));
    if (deleted === undefined) this.#owedTags.add(tag);
    return deleted ?? [];
  }

  async clear(): Promise<void> {
    this.#throwIfClosed();
    const done = await this.#attempt(() => this.#sendClear());
    if (done === undefined) this.#owesClear = true;
  }

  stats(): TierStats {
    return { owed: this.#owed.size + this.#owedTags.size, ...this.#counters };
  }

  /** Stops using the client; it stays open. What is owed is tried once more. */
  async close(): Promise<void> {
    if (this.#closed) return;
    if (this.#client.status === 'ready') await this.#repay();
    this.#closed = true;
    this.#client.off('ready', this.#onReady);
  }

  /** The result, or `undefined` when Redis cannot be asked, fails, or does not answer in time. */
  async #attempt<T>(send: () => Promise<T>): Promise<T | undefined> {
    if (this.#client.status !== 'ready' || !(await this.#repay())) {
      this.#counters.degraded++;
      return undefined;
    }
    try {
      return await send();
    } catch (cause) {
      this.#counters.degraded++;
      this.#onError?.(
        new CacheError('ERR_PERF_CACHE_TIER', `tier ${this.name}: Redis did not answer`, { cause }),
      );
      return undefined;
    }
  }

  async #withinTime<T>(answer: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#counters.timeouts++;
        reject(new CacheError('ERR_PERF_CACHE_TIER', `no answer within ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #owe(keys: readonly string[]): void {
    if (this.#owesClear) return;
    for (const key of keys) this.#owed.add(key);
    if (this.#owed.size <= this.#maxOwed) return;
    this.#owesClear = true;
    this.#owed.clear();
    this.#owedTags.clear();
  }

  /** Deletes what is owed; whether nothing is owed any more. */
  #repay(): Promise<boolean> {
    // First of all: what is owed has left the sets while it is being repaid.
    if (this.#repaying !== undefined) return this.#repaying;
    if (!this.#owesAnything()) return Promise.resolve(true);
    this.#repaying = this.#repayAll();
    return this.#repaying;
  }

  #owesAnything(): boolean {
    return this.#owesClear || this.#owed.size > 0 || this.#owedTags.size > 0;
  }

  async #repayAll(): Promise<boolean> {
    const keys = [...this.#owed];
    const tags = [...this.#owedTags];
    const clear = this.#owesClear;
    // What comes to be owed meanwhile is owed anew.
    this.#owed.clear();
    this.#owedTags.clear();
    this.#owesClear = false;
    try {
      if (clear) await this.#sendClear();
      if (keys.length > 0)
        await this.#withinTime(this.#client.unlink(keys.map((key) => this.#entryKey(key))));
      for (const tag of tags) await this.#withinTime(this.#sendTagDeletion(tag));
      this.#counters.repaid += keys.length;
      return !this.#owesAnything();
    } catch (cause) {
      this.#owesClear ||= clear;
      this.#owe(keys);
      for (const tag of tags) this.#owedTags.add(tag);
      this.#onError?.(
        new CacheError('ERR_PERF_CACHE_TIER', `tier ${this.name}: still owes deletions`, { cause }),
      );
      return false;
    } finally {
      this.#repaying = undefined;
    }
  }

  async #sendEntries(entries: readonly Entry[]): Promise<true> {
    const pipeline = this.#client.pipeline();
    for (const entry of entries) {
      const ends = endOf(entry);
      const name = this.#entryKey(entry.key);
      const frame = encodeFrame(entry);
      if (ends === undefined) pipeline.set(name, frame);
      else pipeline.set(name, frame, 'PXAT', Math.ceil(ends));
      for (const tag of entry.tags ?? []) {
        pipeline.eval(
          TAG_SCRIPT,
          1,
          this.#tagKey(tag),
          entry.key,
          ends === undefined ? '' : String(Math.ceil(ends)),
        );
      }
    }
    for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error;
    return true;
  }

  async #sendTagDeletion(tag: string): Promise<readonly string[]> {
    const keys = await this.#client.smembers(this.#tagKey(tag));
    const frames =
      keys.length === 0 ? [] : await this.#client.mgetBuffer(keys.map((key) => this.#entryKey(key)));
    // A key in the set may have been written again without the tag.
    const tagged = keys.filter((key, i) => {
      const frame = frames[i];
      return frame !== null && frame !== undefined && decodeFrame(key, frame)?.tags?.includes(tag) === true;
    });
    const names = [this.#tagKey(tag), ...tagged.map((key) => this.#entryKey(key))];
    await this.#client.unlink(names);
    return tagged;
  }

  async #sendClear(): Promise<true> {
    const pattern = `${this.#prefix.replace(/[\\*?[\]]/g, String.raw`\$&`)}*`;
    let cursor = '0';
    do {
      const [next, names] = await this.#withinTime(
        this.#client.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT),
      );
      if (names.length > 0) await this.#withinTime(this.#client.unlink(names));
      cursor = next;
    } while (cursor !== '0');
    return true;
  }

  #entryKey(key: string): string {
    return `${this.#prefix}e:${key}`;
  }

  #tagKey(tag: string): string {
    return `${this.#prefix}t:${tag}`;
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new CacheError('ERR_PERF_CACHE_CLOSED', `tier ${this.name} is closed`);
  }
}
