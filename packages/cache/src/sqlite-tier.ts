/**
 * `@perf/cache/sqlite`: entries in one SQLite file. Writes are collected in memory and written in batches of one
 * transaction; a crash loses at most the batch that was not written. Reads see the pending writes. Deletions are written
 * at once, so that no other process reads what was deleted. When a limit is exceeded, the least recently used of a few
 * sampled entries go (as Redis does it); times of use are kept in memory and written with the next batch.
 */
import { openDatabase } from '@perf/sqlite';
import type { Database, Migration } from '@perf/sqlite';
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import { CacheError } from './errors.ts';
import { checkInteger, checkString } from './option-checks.ts';
import type { Entry, Leases, Notes, Tier, TierStats } from './tier.ts';

export interface SqliteTierOptions {
  /** A file path, or `:memory:`. */
  readonly path: string;
  /** Default `sqlite`. */
  readonly name?: string;
  readonly maxEntries?: number;
  /** Of keys, values and row overhead; the file can be larger by its free pages. */
  readonly maxBytes?: number;
  /** Longest time a write waits for its batch. Default 50. */
  readonly flushMs?: number;
  /** Writes per batch. Default 512. */
  readonly maxPending?: number;
  /** `power-loss` waits for the disk on every batch. Default `process-crash`. */
  readonly durability?: 'process-crash' | 'power-loss';
  readonly clock?: Clock;
  /** Uniform in [0, 1), for the eviction sample. Default Math.random. */
  random?(): number;
  /** A batch that could not be written in the background; its entries stay pending. */
  onError?(error: CacheError): void;
}

/** Columns of the `get` statement. */
type Row = readonly [
  value: Uint8Array,
  used: number,
  expires: number | null,
  stale: number | null,
  written: number | null,
  tags: string | null,
  mac: Uint8Array | null,
];

type Mutable<T> = { -readonly [P in keyof T]: T[P] };

const MIGRATIONS: readonly Migration[] = [
  {
    version: 1,
    name: 'entries, tags, leases and notes',
    up: `
      CREATE TABLE entries (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        used REAL NOT NULL,
        size INTEGER NOT NULL,
        ends REAL,
        expires REAL,
        stale REAL,
        written REAL,
        tags TEXT,
        mac BLOB,
        value BLOB NOT NULL
      ) STRICT;
      CREATE TABLE tags (tag TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (tag, key)) STRICT, WITHOUT ROWID;
      CREATE TABLE leases (key TEXT PRIMARY KEY, owner TEXT NOT NULL, until REAL NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE notes (name TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT, WITHOUT ROWID;
    `,
  },
];

/** Row header, ids and the key's index entry. */
const ROW_OVERHEAD_BYTES = 64;
const EVICTION_SAMPLE = 16;
/** An entry's time of use is written again when it is older than this. */
const RECENCY_GRANULARITY_MS = 1000;
/** Entries checked for their end per batch. */
const SWEEP_ROWS = 64;
/** Writes that may be pending when batches fail. */
const PENDING_LIMIT_FACTOR = 64;

export class SqliteTier implements Tier {
  readonly name: string;
  readonly leases: Leases;
  readonly notes: Notes;
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #flushMs: number;
  readonly #maxPending: number;
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  readonly #onError: ((error: CacheError) => void) | undefined;
  readonly #statements: Statements;
  readonly #pending = new Map<string, Entry>();
  readonly #used = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #entries: number;
  #sizeBytes: number;
  #sweepAfter = 0;
  readonly #bounded: boolean;
  #closed = false;
  readonly #counters = { batches: 0, evictions: 0, expirations: 0, flushErrors: 0 };

  private constructor(db: Database, options: SqliteTierOptions) {
    this.name = options.name ?? 'sqlite';
    this.#db = db;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random?.bind(options) ?? Math.random;
    this.#flushMs = options.flushMs ?? 50;
    this.#maxPending = options.maxPending ?? 512;
    this.#maxEntries = options.maxEntries ?? Infinity;
    this.#maxBytes = options.maxBytes ?? Infinity;
    this.#bounded = options.maxEntries !== undefined || options.maxBytes !== undefined;
    this.#onError = options.onError?.bind(options);
    this.#statements = prepare(db);
    this.leases = this.#makeLeases();
    this.notes = this.#makeNotes();
    const totals = this.#statements.totals.get() as { entries: number; bytes: number };
    this.#entries = totals.entries;
    this.#sizeBytes = totals.bytes;
  }

  /**
   * Opens the file, making it if there is none.
   *
   * @throws {RangeError} when an option is out of range; {SqliteError} when the file cannot be used (never overwritten).
   */
  static open(options: SqliteTierOptions): SqliteTier {
    checkString('path', options.path);
    if (options.name !== undefined) checkString('name', options.name);
    if (options.maxEntries !== undefined)
      checkInteger('maxEntries', options.maxEntries, 1, Number.MAX_SAFE_INTEGER);
    if (options.maxBytes !== undefined)
      checkInteger('maxBytes', options.maxBytes, 1, Number.MAX_SAFE_INTEGER);
    if (options.flushMs !== undefined) checkInteger('flushMs', options.flushMs, 1, 60_000);
    if (options.maxPending !== undefined) checkInteger('maxPending', options.maxPending, 1, 65_536);
    const db = openDatabase(options.path, {
      migrations: MIGRATIONS,
      durability: options.durability ?? 'process-crash',
    });
    try {
      return new SqliteTier(db, options);
    } catch (error) {
      db.close();
      throw error;
    }
  }

  // oxlint-disable-next-line require-await -- async so that every failure is a rejection
  async getMany(keys: readonly string[]): Promise<(Entry | undefined)[]> {
    this.#throwIfClosed();
    if (keys.length === 1) return [this.#read(keys[0]!)];
    // One read transaction: the page cache is locked once, and all entries are of one moment.
    return this.#transaction(() => keys.map((key) => this.#read(key)));
  }

  // oxlint-disable-next-line require-await
  async setMany(entries: readonly Entry[]): Promise<void> {
    this.#throwIfClosed();
    for (const entry of entries) this.#pending.set(entry.key, entry);
    if (this.#pending.size >= this.#maxPending) this.#writeBatch();
    else this.#schedule();
  }

  // oxlint-disable-next-line require-await
  async deleteMany(keys: readonly string[]): Promise<number> {
    this.#throwIfClosed();
    return this.#transaction(() => {
      let deleted = 0;
      for (const key of new Set(keys)) {
        const wasPending = this.#pending.delete(key);
        if (this.#deleteRow(key) || wasPending) deleted++;
        this.#statements.endLease.run(key);
      }
      return deleted;
    });
  }

  // oxlint-disable-next-line require-await
  async deleteByTag(tag: string): Promise<readonly string[]> {
    this.#throwIfClosed();
    const keys = new Set<string>();
    for (const entry of this.#pending.values()) if (entry.tags?.includes(tag) === true) keys.add(entry.key);
    return this.#transaction(() => {
      for (const { key } of this.#statements.keysOfTag.iterate(tag) as Iterable<{ key: string }>) {
        if (this.#pending.get(key)?.tags?.includes(tag) !== false) keys.add(key);
      }
      for (const key of keys) {
        this.#pending.delete(key);
        this.#deleteRow(key);
        this.#statements.endLease.run(key);
      }
      return [...keys];
    });
  }

  // oxlint-disable-next-line require-await
  async clear(): Promise<void> {
    this.#throwIfClosed();
    this.#pending.clear();
    this.#used.clear();
    this.#transaction(() => {
      this.#statements.clearEntries.run();
      this.#statements.clearTags.run();
      this.#statements.clearLeases.run();
    });
    this.#entries = 0;
    this.#sizeBytes = 0;
  }

  stats(): TierStats {
    return {
      entries: this.#entries,
      sizeBytes: this.#sizeBytes,
      pending: this.#pending.size,
      ...this.#counters,
    };
  }

  /** Writes the pending batch. */
  // oxlint-disable-next-line require-await
  async flush(): Promise<void> {
    this.#throwIfClosed();
    this.#writeBatch();
  }

  /** Writes what is pending and closes the file. */
  // oxlint-disable-next-line require-await
  async close(): Promise<void> {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    try {
      this.#writeBatch();
    } finally {
      this.#closed = true;
      this.#db.close();
    }
  }

  /** Written at once: a lease is worth nothing while no other process sees it. */
  #makeLeases(): Leases {
    const { acquireLease, holdsLease, releaseLease } = this.#statements;
    const open = async (): Promise<void> => this.#throwIfClosed();
    return {
      acquire: async (key, owner, until) => {
        await open();
        return acquireLease.run({ key, owner, until, now: this.#clock.now() }).changes === 1;
      },
      holds: async (key, owner) => {
        await open();
        return holdsLease.get(key, owner, this.#clock.now()) !== undefined;
      },
      release: async (key, owner) => {
        await open();
        releaseLease.run(key, owner);
      },
    };
  }

  #makeNotes(): Notes {
    const { putNote, getNote } = this.#statements;
    const open = async (): Promise<void> => this.#throwIfClosed();
    return {
      save: async (name, bytes) => {
        await open();
        putNote.run(name, bytes);
      },
      load: async (name) => {
        await open();
        return (getNote.get(name) as { bytes: Uint8Array } | undefined)?.bytes;
      },
    };
  }

  #read(key: string): Entry | undefined {
    const pending = this.#pending.get(key);
    if (pending !== undefined) return pending;
    const row = this.#statements.get.get(key) as Row | undefined;
    if (row === undefined) return undefined;
    const [value, used, expires, stale, written, tags, mac] = row;
    if (this.#bounded) this.#noteUse(key, used);
    const entry: Mutable<Entry> = { key, value };
    if (expires !== null) entry.expiresAtMs = expires;
    if (stale !== null) entry.staleUntilMs = stale;
    if (written !== null) entry.writtenAtMs = written;
    if (tags !== null) entry.tags = parseTags(tags);
    if (mac !== null) entry.mac = mac;
    return entry;
  }

  /** Recency matters only where something may have to go, and only coarsely. */
  #noteUse(key: string, used: number): void {
    const now = this.#clock.now();
    if (now - used < RECENCY_GRANULARITY_MS) return;
    this.#used.set(key, now);
    if (this.#used.size >= this.#maxPending) this.#schedule();
  }

  #schedule(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      try {
        this.#writeBatch();
      } catch (error) {
        this.#onError?.(error as CacheError);
        this.#schedule();
      }
    }, this.#flushMs);
    this.#timer.unref();
  }

  /** @throws {CacheError} ERR_PERF_CACHE_TIER; what is pending stays so, up to a bound. */
  #writeBatch(): void {
    if (this.#pending.size === 0 && this.#used.size === 0) return;
    try {
      this.#transaction(() => {
        for (const entry of this.#pending.values()) this.#write(entry);
        for (const [key, used] of this.#used) this.#statements.touch.run(used, key);
        this.#sweep();
        this.#evictOverflow();
      });
    } catch (cause) {
      this.#counters.flushErrors++;
      this.#dropBeyondBound();
      throw new CacheError('ERR_PERF_CACHE_TIER', `tier ${this.name}: a batch could not be written`, {
        cause,
      });
    }
    this.#pending.clear();
    this.#used.clear();
    this.#counters.batches++;
  }

  #write(entry: Entry): void {
    const { key, value, expiresAtMs, staleUntilMs, writtenAtMs, tags, mac } = entry;
    this.#deleteRow(key);
    const size = ROW_OVERHEAD_BYTES + 2 * key.length + value.byteLength + (mac?.byteLength ?? 0);
    const ends = expiresAtMs === undefined ? null : Math.max(expiresAtMs, staleUntilMs ?? 0);
    this.#statements.put.run(
      key,
      this.#clock.now(),
      size,
      ends,
      expiresAtMs ?? null,
      staleUntilMs ?? null,
      writtenAtMs ?? null,
      tags === undefined ? null : JSON.stringify(tags),
      mac ?? null,
      value,
    );
    if (tags !== undefined) for (const tag of tags) this.#statements.putTag.run(tag, key);
    this.#entries++;
    this.#sizeBytes += size;
  }

  #deleteRow(key: string): boolean {
    const row = this.#statements.remove.get(key) as { size: number; tags: string | null } | undefined;
    if (row === undefined) return false;
    if (row.tags !== null) for (const tag of parseTags(row.tags)) this.#statements.removeTag.run(tag, key);
    this.#entries--;
    this.#sizeBytes -= row.size;
    return true;
  }

  /** Looks at the next few rows for entries whose time is over. */
  #sweep(): void {
    const rows = this.#statements.sweep.all(this.#sweepAfter, SWEEP_ROWS) as {
      id: number;
      key: string;
      ends: number | null;
    }[];
    const now = this.#clock.now();
    for (const { key, ends } of rows) {
      if (ends === null || now < ends) continue;
      this.#deleteRow(key);
      this.#counters.expirations++;
    }
    this.#sweepAfter = rows.length < SWEEP_ROWS ? 0 : rows.at(-1)!.id;
  }

  #evictOverflow(): void {
    while (this.#entries > 0 && (this.#entries > this.#maxEntries || this.#sizeBytes > this.#maxBytes)) {
      const { highest } = this.#statements.highestId.get() as { highest: number };
      const from = Math.floor(this.#random() * (highest + 1));
      let sample = this.#statements.sample.all(from, EVICTION_SAMPLE) as { key: string; used: number }[];
      if (sample.length === 0) sample = this.#statements.sample.all(0, EVICTION_SAMPLE) as typeof sample;
      let oldest = sample[0]!;
      for (const row of sample) if (row.used < oldest.used) oldest = row;
      this.#deleteRow(oldest.key);
      this.#counters.evictions++;
    }
  }

  #dropBeyondBound(): void {
    const bound = this.#maxPending * PENDING_LIMIT_FACTOR;
    for (const key of this.#pending.keys()) {
      if (this.#pending.size <= bound) break;
      this.#pending.delete(key);
    }
    this.#used.clear();
  }

  #transaction<T>(work: () => T): T {
    const { entries, bytes } = { entries: this.#entries, bytes: this.#sizeBytes };
    try {
      return this.#db.transaction(work)();
    } catch (error) {
      this.#entries = entries;
      this.#sizeBytes = bytes;
      throw error;
    }
  }

  #throwIfClosed(): void {
    if (this.#closed) throw new CacheError('ERR_PERF_CACHE_CLOSED', `tier ${this.name} is closed`);
  }
}

type Statements = ReturnType<typeof prepare>;

function prepare(db: Database) {
  return {
    get: db
      .prepare('SELECT value, used, expires, stale, written, tags, mac FROM entries WHERE key = ?')
      .raw(),
    put: db.prepare(
      'INSERT INTO entries (key, used, size, ends, expires, stale, written, tags, mac, value) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    ),
    remove: db.prepare('DELETE FROM entries WHERE key = ? RETURNING size, tags'),
    touch: db.prepare('UPDATE entries SET used = ? WHERE key = ?'),
    totals: db.prepare('SELECT count(*) AS entries, coalesce(sum(size), 0) AS bytes FROM entries'),
    sweep: db.prepare('SELECT id, key, ends FROM entries WHERE id > ? ORDER BY id LIMIT ?'),
    sample: db.prepare('SELECT key, used FROM entries WHERE id >= ? ORDER BY id LIMIT ?'),
    highestId: db.prepare('SELECT coalesce(max(id), 0) AS highest FROM entries'),
    putTag: db.prepare('INSERT OR IGNORE INTO tags (tag, key) VALUES (?, ?)'),
    removeTag: db.prepare('DELETE FROM tags WHERE tag = ? AND key = ?'),
    keysOfTag: db.prepare('SELECT key FROM tags WHERE tag = ?'),
    clearEntries: db.prepare('DELETE FROM entries'),
    clearTags: db.prepare('DELETE FROM tags'),
    putNote: db.prepare('INSERT OR REPLACE INTO notes (name, bytes) VALUES (?, ?)'),
    getNote: db.prepare('SELECT bytes FROM notes WHERE name = ?'),
    acquireLease: db.prepare(`
      INSERT INTO leases (key, owner, until) VALUES (@key, @owner, @until)
      ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, until = excluded.until
      WHERE leases.until <= @now OR leases.owner = excluded.owner
    `),
    holdsLease: db.prepare('SELECT 1 FROM leases WHERE key = ? AND owner = ? AND until > ?'),
    releaseLease: db.prepare('DELETE FROM leases WHERE key = ? AND owner = ?'),
    endLease: db.prepare('DELETE FROM leases WHERE key = ?'),
    clearLeases: db.prepare('DELETE FROM leases'),
  };
}

function parseTags(text: string): readonly string[] {
  return JSON.parse(text) as string[];
}
