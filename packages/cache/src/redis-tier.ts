/**
 * Entries in Redis, one string per entry and one hash per tag, all below one namespace:
 *
 *     <namespace>:e:<key>   the entry's frame (entry-frame.ts), with Redis's own expiry
 *     <namespace>:t:<tag>   entry name -> stamp of the version that was written with the tag
 *     <namespace>:l:<key>   who may load the key; writing or deleting the entry ends it
 *
 * A tag's hash may name entries that have expired or were rewritten since: a member counts only while its
 * stamp is in the entry. Every tagged write looks at two random members and removes the dead ones, so that at
 * most about half of a hash is dead in the long run (each write adds at most one member and removes 2 x the
 * dead share); the hash itself ends with its last entry. Scripts make each step atomic between processes.
 *
 * While Redis cannot be reached, reads are misses and writes are not kept; the keys are owed, and are deleted
 * in Redis before anything is read from it again. So this process never reads what it has overwritten or
 * deleted.
 */
import { randomFillSync } from 'node:crypto';
import type { Redis } from 'ioredis';
import { decodeFrame, encodeFrame, endOf, STAMP_BYTES, STAMP_OFFSET } from './entry-frame.ts';
import { CacheError } from './errors.ts';
import { checkFunction, checkInteger, checkObject, checkOneOf, checkString } from './option-checks.ts';
import { OwedDeletions } from './owed-deletions.ts';
import { checkRedis, isReplyError, RedisLink, RedisUnavailable } from './redis-link.ts';
import type { RedisConnection, Send } from './redis-link.ts';
import type { Entry, InvalidationMessage, Leases, Tier, TierStats } from './tier.ts';

export interface RedisTierOptions {
  /**
   * A client of ioredis, which stays the caller's to close; or options or a URL, for a client of the tier's
   * own.
   */
  readonly redis: RedisConnection;
  /** Default `redis`. */
  readonly name?: string;
  /** The part of Redis's keys that is this cache's own; without `:`. Default `perf-cache`. */
  readonly namespace?: string;
  /** Longest wait for a reply; after one such wait, nothing waits until Redis answers again. Default 100. */
  readonly timeoutMs?: number;
  /**
   * What a write or deletion does that Redis did not confirm: `defer` resolves, `reject` rejects with
   * ERR_PERF_CACHE_TIER. In both cases its keys are deleted in Redis on return. Default `defer`.
   */
  readonly onUnavailable?: 'defer' | 'reject';
  /**
   * Keys and tags remembered for deletion; beyond, the whole namespace is cleared on return. Default 100,000.
   */
  readonly maxOwed?: number;
  /** Outages (once each), refused writes and unreadable entries. */
  onError?(error: CacheError): void;
}

/** Per round trip. */
const KEYS_PER_COMMAND = 1000;
/** Letters of entries, tags and leases; the second one of each pair is for names that are JSON. */
const KINDS = { entry: ['e', 'j'], tag: ['t', 'u'], lease: ['l', 'm'] } as const;
const ENTRIES_PER_WRITE = 256;
const BYTES_PER_WRITE = 1024 * 1024;
const SCAN_COUNT = 1000;

/** ARGV per entry: name, frame, end ('' for none), stamp, number of tags, the tags' hashes. */
const WRITE_SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local i = 1
while ARGV[i] do
  local name, frame, ends, stamp, tags = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], tonumber(ARGV[i + 4])
  i = i + 5
  if ends == '' then redis.call('SET', name, frame) else redis.call('SET', name, frame, 'PXAT', ends) end
  for _ = 1, tags do
    local tag = ARGV[i]
    i = i + 1
    local left = redis.call('PTTL', tag)
    redis.call('HSET', tag, name, stamp)
    if ends == '' then
      if left >= 0 then redis.call('PERSIST', tag) end
    elseif left == -2 or (left >= 0 and now + left < tonumber(ends)) then
      redis.call('PEXPIREAT', tag, ends)
    end
    local sample = redis.call('HRANDFIELD', tag, 2, 'WITHVALUES')
    for s = 1, #sample, 2 do
      if redis.call('GETRANGE', sample[s], ${STAMP_OFFSET}, ${STAMP_OFFSET + STAMP_BYTES - 1}) ~= sample[s + 1] then
        redis.call('HDEL', tag, sample[s])
      end
    end
  end
end`;

/**
 * ARGV: a tag's hash, how many members to look at, where in a name its kind stands. Returns how many are
 * left, then the names deleted.
 */
const DELETE_TAG_SCRIPT = `
local members = redis.call('HRANDFIELD', ARGV[1], ARGV[2], 'WITHVALUES')
local deleted = {0}
for m = 1, #members, 2 do
  if redis.call('GETRANGE', members[m], ${STAMP_OFFSET}, ${STAMP_OFFSET + STAMP_BYTES - 1}) == members[m + 1] then
    local kind = tonumber(ARGV[3])
    local lease = string.sub(members[m], kind, kind) == 'e' and 'l' or 'm'
    redis.call('UNLINK', members[m], string.sub(members[m], 1, kind - 1) .. lease .. string.sub(members[m], kind + 1))
    deleted[#deleted + 1] = members[m]
  end
  redis.call('HDEL', ARGV[1], members[m])
end
deleted[1] = redis.call('HLEN', ARGV[1])
return deleted`;

/** ARGV: the lease's name, the owner, the end. */
const ACQUIRE_SCRIPT = `
local holder = redis.call('GET', ARGV[1])
if holder and holder ~= ARGV[2] then return 0 end
redis.call('SET', ARGV[1], ARGV[2], 'PXAT', ARGV[3])
return 1`;

/** ARGV: the lease's name, the owner. */
const RELEASE_SCRIPT = `
if redis.call('GET', ARGV[1]) == ARGV[2] then redis.call('DEL', ARGV[1]) end`;

export class RedisTier implements Tier {
  readonly name: string;
  /** All processes see the same entries. */
  readonly shared = true;
  /** While Redis cannot be reached, everybody may load. */
  readonly leases: Leases = {
    acquire: (key, owner, untilMs) => this.#acquire(key, owner, untilMs),
    holds: async (key, owner) =>
      (await this.#ask((client) => client.get(this.#leaseName(key)), owner)) === owner,
    release: async (key, owner) => {
      await this.#ask((client) => client.eval(RELEASE_SCRIPT, 0, this.#leaseName(key), owner), undefined);
    },
  };
  readonly #namespace: string;
  readonly #link: RedisLink;
  readonly #defer: boolean;
  readonly #owed: OwedDeletions;
  readonly #onError: ((error: CacheError) => void) | undefined;
  readonly #watchers = new Set<(message: InvalidationMessage) => void>();
  readonly #counters = { deferred: 0, unreadable: 0, refusedWrites: 0 };
  #closed = false;

  /** @throws {TypeError} or {RangeError} that names the option. Connecting happens in the background. */
  constructor(options: RedisTierOptions) {
    checkObject('options', options);
    checkRedis(options.redis);
    this.name = checkString('name', options.name ?? 'redis');
    this.#namespace = checkNamespace(options.namespace ?? 'perf-cache');
    const timeoutMs = checkInteger('timeoutMs', options.timeoutMs ?? 100, 1, 60_000);
    this.#defer =
      checkOneOf('onUnavailable', options.onUnavailable ?? 'defer', ['defer', 'reject']) === 'defer';
    this.#owed = new OwedDeletions(checkInteger('maxOwed', options.maxOwed ?? 100_000, 0, 10_000_000));
    checkFunction('onError', options.onError);
    this.#onError = options.onError?.bind(options);
    this.#link = new RedisLink({
      redis: options.redis,
      timeoutMs,
      onReturn: (send) => this.#catchUp(send),
      owes: () => this.#owed.size > 0,
      onError: (error) => this.#onError?.(error),
    });
  }

  /** One round trip per 1,000 keys. Misses while Redis cannot be reached. */
  async getMany(keys: readonly string[]): Promise<(Entry | undefined)[]> {
    this.#throwIfClosed();
    const entries: (Entry | undefined)[] = Array.from({ length: keys.length });
    for (let start = 0; start < keys.length; start += KEYS_PER_COMMAND) {
      const part = keys.slice(start, start + KEYS_PER_COMMAND);
      try {
        const names = part.map((key) => this.#entryName(key));
        const frames = await this.#link.run((client) => client.mgetBuffer(names));
        for (const [index, frame] of frames.entries()) {
          if (frame !== null) entries[start + index] = this.#decode(part[index]!, frame);
        }
      } catch (error) {
        if (error instanceof RedisUnavailable) break;
        throw this.#failed('read', error);
      }
    }
    return entries;
  }

  /**
   * @throws {CacheError} ERR_PERF_CACHE_TIER with `onUnavailable: 'reject'`, when Redis did not confirm all.
   */
  async setMany(entries: readonly Entry[]): Promise<void> {
    this.#throwIfClosed();
    let start = 0;
    while (start < entries.length) {
      const part = partOf(entries, start);
      start += part.length;
      const keys = part.map((entry) => entry.key);
      await this.#change('write', { kind: 'keys', keys }, undefined, () =>
        this.#link.run((client) => this.#write(client, part)),
      );
    }
  }

  async deleteMany(keys: readonly string[]): Promise<number> {
    this.#throwIfClosed();
    const distinct = [...new Set(keys)];
    let deleted = 0;
    for (let start = 0; start < distinct.length; start += KEYS_PER_COMMAND) {
      const part = distinct.slice(start, start + KEYS_PER_COMMAND);
      deleted += await this.#change('delete', { kind: 'keys', keys: part }, 0, () =>
        this.#link.run((client) => this.#unlink(client, part)),
      );
    }
    return deleted;
  }

  deleteByTag(tag: string): Promise<readonly string[]> {
    return this.#changeAll('deleteByTag', { kind: 'tag', tag }, [], (send) => this.#deleteTag(send, tag));
  }

  /** Deletes what is in this tier's namespace, and nothing else. What is written meanwhile may stay or go. */
  clear(): Promise<void> {
    return this.#changeAll('clear', { kind: 'clear' }, undefined, (send) => this.#clear(send));
  }

  /**
   * Tells which deletions were made late, when Redis came back; others may have read the old entries until
   * then. The returned function ends it.
   */
  watch(listener: (message: InvalidationMessage) => void): () => void {
    this.#watchers.add(listener);
    return () => void this.#watchers.delete(listener);
  }

  stats(): TierStats {
    return {
      available: this.#link.available ? 1 : 0,
      owed: this.#owed.size,
      ...this.#counters,
      ...this.#link.counters,
    };
  }

  /** Closes the connection if it is the tier's own. What is still owed is reported and lost. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#link.close();
    if (this.#owed.size === 0) return;
    this.#onError?.(
      new CacheError(
        'ERR_PERF_CACHE_TIER',
        `tier ${this.name} was closed while ${this.#owed.size} keys were still to be deleted in Redis`,
      ),
    );
  }

  #decode(key: string, frame: Buffer): Entry | undefined {
    const entry = decodeFrame(key, frame);
    if (entry !== undefined) return entry;
    this.#counters.unreadable++;
    this.#onError?.(
      new CacheError(
        'ERR_PERF_CACHE_TIER',
        `tier ${this.name}: the entry of ${JSON.stringify(key)} cannot be read`,
      ),
    );
    return undefined;
  }

  async #write(client: Redis, part: readonly Entry[]): Promise<void> {
    // Of several versions of a key the last one counts.
    const entries = [...new Map(part.map((entry) => [entry.key, entry])).values()];
    const pipeline = client.pipeline();
    const tagged: (string | number | Buffer)[] = [];
    const stamps = Buffer.allocUnsafe(entries.length * STAMP_BYTES);
    randomFillSync(stamps);
    for (const [index, entry] of entries.entries()) {
      const name = this.#entryName(entry.key);
      const stamp = stamps.subarray(index * STAMP_BYTES, (index + 1) * STAMP_BYTES);
      const frame = encodeFrame(entry, stamp);
      const end = endOf(entry);
      if (entry.tags !== undefined && entry.tags.length > 0) {
        const tags = entry.tags.map((tag) => this.#tagName(tag));
        tagged.push(name, frame, end ?? '', stamp, tags.length, ...tags);
      } else if (end === undefined) pipeline.set(name, frame);
      else pipeline.set(name, frame, 'PXAT', end);
    }
    if (tagged.length > 0) pipeline.eval(WRITE_SCRIPT, 0, ...tagged);
    pipeline.unlink(entries.map((entry) => this.#leaseName(entry.key)));
    for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error;
  }

  async #unlink(client: Redis, keys: readonly string[]): Promise<number> {
    const [deleted] = await Promise.all([
      client.unlink(keys.map((key) => this.#entryName(key))),
      client.unlink(keys.map((key) => this.#leaseName(key))),
    ]);
    return deleted;
  }

  async #acquire(key: string, owner: string, untilMs: number): Promise<boolean> {
    const end = Math.ceil(untilMs);
    return (
      (await this.#ask((client) => client.eval(ACQUIRE_SCRIPT, 0, this.#leaseName(key), owner, end), 1)) === 1
    );
  }

  /** What Redis says; `otherwise` when it says nothing or refuses. */
  async #ask<T>(command: (client: Redis) => Promise<T>, otherwise: T): Promise<T> {
    this.#throwIfClosed();
    try {
      return await this.#link.run(command);
    } catch (error) {
      // Refused, out of memory for one: a lease saves a load, but must not be the reason that one fails.
      if (isReplyError(error)) this.#onError?.(this.#failed('lease', error));
      else if (!(error instanceof RedisUnavailable)) throw this.#failed('lease', error);
      return otherwise;
    }
  }

  async #deleteTag(send: Send, tag: string): Promise<readonly string[]> {
    const name = this.#tagName(tag);
    const kindAt = Buffer.byteLength(this.#namespace) + 2;
    const keys: string[] = [];
    // What others write meanwhile may stay; the number of steps is fixed by what there was.
    let steps = Math.ceil((await send((client) => client.hlen(name))) / KEYS_PER_COMMAND);
    for (let left = 1; left > 0 && steps > 0; steps--) {
      const reply = await send((client) => client.eval(DELETE_TAG_SCRIPT, 0, name, KEYS_PER_COMMAND, kindAt));
      const [rest, ...names] = reply as [number, ...string[]];
      left = rest;
      for (const entryName of names) keys.push(this.#keyOf(entryName));
    }
    return keys;
  }

  async #clear(send: Send): Promise<void> {
    const pattern = `${escapeGlob(this.#namespace)}:[${Object.values(KINDS).flat().join('')}]:*`;
    let cursor = '0';
    do {
      const [next, names] = await send((client) =>
        client.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT),
      );
      cursor = next;
      if (names.length > 0) await send((client) => client.unlink(names));
    } while (cursor !== '0');
  }

  #changeAll<T>(
    what: string,
    message: InvalidationMessage,
    none: T,
    run: (send: Send) => Promise<T>,
  ): Promise<T> {
    return this.#change(what, message, none, () => run((command) => this.#link.run(command)));
  }

  /** Runs a write or deletion; what Redis did not confirm is owed. */
  async #change<T>(what: string, message: InvalidationMessage, none: T, run: () => Promise<T>): Promise<T> {
    this.#throwIfClosed();
    try {
      return await run();
    } catch (error) {
      this.#owed.add(message);
      this.#counters.deferred++;
      if (isReplyError(error)) {
        // Out of memory, read-only, no permission: what is stored is no longer what it should be.
        this.#counters.refusedWrites++;
        this.#link.distrust(error);
      } else if (!(error instanceof RedisUnavailable)) throw this.#failed(what, error);
      // The connection may have come back before this was noted.
      if (this.#link.available) this.#link.distrust(error);
      if (this.#defer) return none;
      throw this.#failed(what, error);
    }
  }

  /** Does what is owed, and tells the watchers. What fails stays owed. */
  async #catchUp(send: Send): Promise<void> {
    while (this.#owed.size > 0) {
      const messages = this.#owed.take();
      let done = 0;
      try {
        for (const message of messages) {
          if (message.kind === 'clear') await this.#clear(send);
          else if (message.kind === 'tag') await this.#deleteTag(send, message.tag);
          else await send((client) => this.#unlink(client, message.keys));
          done++;
          for (const watcher of this.#watchers) watcher(message);
        }
      } finally {
        for (const message of messages.slice(done)) this.#owed.add(message);
      }
    }
  }

  #entryName(key: string): string {
    return this.#nameOf(KINDS.entry, key);
  }

  #tagName(tag: string): string {
    return this.#nameOf(KINDS.tag, tag);
  }

  #leaseName(key: string): string {
    return this.#nameOf(KINDS.lease, key);
  }

  /**
   * Names are UTF-8, which has no lone surrogates: text with any is named by its JSON, which escapes them.
   */
  #nameOf(kinds: readonly [string, string], text: string): string {
    const prefix = this.#namespace;
    return text.isWellFormed()
      ? `${prefix}:${kinds[0]}:${text}`
      : `${prefix}:${kinds[1]}:${JSON.stringify(text)}`;
  }

  #keyOf(entryName: string): string {
    const kind = entryName[this.#namespace.length + 1];
    const rest = entryName.slice(this.#namespace.length + 3);
    return kind === KINDS.entry[0] ? rest : (JSON.parse(rest) as string);
  }

  #failed(what: string, cause: unknown): CacheError {
    return new CacheError('ERR_PERF_CACHE_TIER', `tier ${this.name}: ${what} failed`, { cause });
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new CacheError('ERR_PERF_CACHE_CLOSED', `tier ${this.name} is closed`);
  }
}

/** @throws {RangeError} when it is empty or has a `:`, which ends it in Redis's keys. */
export function checkNamespace(namespace: unknown): string {
  const name = checkString('namespace', namespace);
  if (name === '' || name.includes(':') || !name.isWellFormed()) {
    throw new RangeError(`namespace must be well-formed text without ":", got ${JSON.stringify(name)}`);
  }
  return name;
}

function partOf(entries: readonly Entry[], start: number): readonly Entry[] {
  let end = start;
  let bytes = 0;
  while (end < entries.length && end - start < ENTRIES_PER_WRITE) {
    bytes += entries[end]!.value.byteLength;
    if (bytes > BYTES_PER_WRITE && end > start) break;
    end++;
  }
  return entries.slice(start, end);
}

function escapeGlob(text: string): string {
  return text.replaceAll(/[*?[\]\\^-]/g, String.raw`\$&`);
}
