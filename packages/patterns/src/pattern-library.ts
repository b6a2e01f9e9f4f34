/**
 * Patterns that outlive the process: one SQLite file, what each pattern is, how often it hit, and how far it can be
 * trusted.
 *
 * - Definition order is the `ordinal` column; replacing a pattern keeps its place and what was learned about it, so
 *   neither popularity nor an edit changes which pattern is `first`.
 * - Hits are counted in memory and written in one transaction per batch. A crash loses at most one batch of counts,
 *   never a pattern.
 * - Confidence is the mean of a beta distribution: the definition's confidence counts as `PRIOR_WEIGHT` outcomes and
 *   every recorded outcome as one more.
 */
import { migrate, openDatabase, type Database, type Migration } from '@perf/sqlite';
import { PatternsError } from './errors.ts';
import { isPatternError, readDefinition, type PatternDef, type PatternError } from './pattern-def.ts';
import {
  compilePatterns,
  type CompileResult,
  type PatternSet,
  type PatternSetOptions,
} from './pattern-set.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A definition with free data of the caller's, handed back as it was put. */
export interface LibraryPatternDef extends PatternDef {
  readonly data?: Json;
}

/** A pattern as the library knows it. */
export interface StoredPattern {
  readonly id: string;
  readonly source: string;
  readonly flags: string;
  readonly type?: string;
  readonly priority: number;
  /** In [0, 1]: the definition's confidence, moved by the outcomes recorded since. */
  readonly confidence: number;
  readonly active: boolean;
  readonly hits: number;
  readonly successes: number;
  readonly failures: number;
  readonly createdAtMs: number;
  /** Absent until the first hit. */
  readonly lastHitMs?: number;
  readonly data?: Json;
}

export interface LibraryOptions {
  /** A file path, or ':memory:'. */
  readonly path: string;
  /** Passed to `openDatabase`. Default 'process-crash'. */
  readonly durability?: 'process-crash' | 'power-loss';
  /** Distinct ids whose hits are held back before they are written. Default 1,000. */
  readonly maxPendingHits?: number;
  /** Longest time a hit is held back, in ms. Default 1,000. */
  readonly flushIntervalMs?: number;
  readonly clock?: { now(): number };
}

export interface ListOptions {
  readonly type?: string;
  readonly active?: boolean;
  readonly limit?: number;
}

export interface PruneOptions {
  /** Remove what has neither hit nor been created within this time, in ms. */
  readonly unusedForMs?: number;
  /** Remove what is trusted less than this. */
  readonly minConfidence?: number;
  /** Keep at most so many; the least hit, then the longest unused, go first. */
  readonly maxPatterns?: number;
}

const PRIOR_WEIGHT = 4;

const MIGRATIONS: readonly Migration[] = [
  {
    version: 1,
    name: 'patterns',
    up: `
      CREATE TABLE pattern (
        ordinal INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        source TEXT NOT NULL,
        flags TEXT NOT NULL,
        type TEXT,
        priority REAL NOT NULL,
        prior REAL NOT NULL,
        active INTEGER NOT NULL,
        hits INTEGER NOT NULL DEFAULT 0,
        successes INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        created_at_ms INTEGER NOT NULL,
        last_hit_ms INTEGER,
        data TEXT
      ) STRICT;
      CREATE INDEX pattern_rank ON pattern (active, priority DESC, hits DESC);
    `,
  },
];

interface Row {
  readonly id: string;
  readonly source: string;
  readonly flags: string;
  readonly type: string | null;
  readonly priority: number;
  readonly prior: number;
  readonly active: number;
  readonly hits: number;
  readonly successes: number;
  readonly failures: number;
  readonly created_at_ms: number;
  readonly last_hit_ms: number | null;
  readonly data: string | null;
}

export class PatternLibrary implements Disposable {
  readonly #db: Database;
  readonly #clock: { now(): number };
  readonly #maxPendingHits: number;
  readonly #flushIntervalMs: number;
  /** Hits not written yet: id to count and time of the last one. */
  #pending = new Map<string, { count: number; lastMs: number }>();
  #timer: NodeJS.Timeout | undefined;
  /** SQLite's counter of commits by other connections. */
  #dataVersion: number;

  private constructor(db: Database, options: Required<Omit<LibraryOptions, 'path' | 'durability'>>) {
    this.#db = db;
    this.#dataVersion = dataVersion(db);
    this.#clock = options.clock;
    this.#maxPendingHits = options.maxPendingHits;
    this.#flushIntervalMs = options.flushIntervalMs;
  }

  /**
   * Opens the file, making it when there is none.
   * @throws {TypeError | RangeError} for an option out of range; errors of `@perf/sqlite` for an unusable file
   */
  static open(options: LibraryOptions): PatternLibrary {
    const {
      path,
      durability = 'process-crash',
      maxPendingHits = 1_000,
      flushIntervalMs = 1_000,
      clock = Date,
    } = options;
    if (typeof path !== 'string' || path === '') throw new TypeError('path must be a non-empty string');
    checkPositive('maxPendingHits', maxPendingHits);
    checkPositive('flushIntervalMs', flushIntervalMs);
    const db = openDatabase(path, { durability });
    try {
      migrate(db, MIGRATIONS);
    } catch (error) {
      db.close();
      throw error;
    }
    return new PatternLibrary(db, { maxPendingHits, flushIntervalMs, clock });
  }

  /** Stores a pattern, or replaces the one of that id, which keeps its place, hits and outcomes. */
  put(def: LibraryPatternDef): PatternError | undefined {
    return this.putAll([def])[0];
  }

  /** The same for many, in one transaction. Definitions that are not valid are returned and stop nothing else. */
  putAll(defs: Iterable<LibraryPatternDef>): readonly PatternError[] {
    const db = this.#open();
    const errors: PatternError[] = [];
    const upsert = db.prepare(`
      INSERT INTO pattern (id, source, flags, type, priority, prior, active, created_at_ms, data)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET source = excluded.source, flags = excluded.flags, type = excluded.type,
        priority = excluded.priority, prior = excluded.prior, active = excluded.active, data = excluded.data`);
    db.transaction(() => {
      for (const def of defs) {
        const read = readDefinition(def);
        if (isPatternError(read)) {
          errors.push(read);
          continue;
        }
        const { id, source, flags, type, priority, confidence, active } = read;
        const data = def.data === undefined ? null : JSON.stringify(def.data);
        const now = Math.trunc(this.#clock.now());
        upsert.run(id, source, flags, type ?? null, priority, confidence, active ? 1 : 0, now, data);
      }
    })();
    return errors;
  }

  get(id: string): StoredPattern | undefined {
    this.flush();
    const row = this.#open().prepare('SELECT * FROM pattern WHERE id = ?').get(id) as Row | undefined;
    return row === undefined ? undefined : storedPattern(row);
  }

  /** Best first: priority, then hits. Served by an index on (active, priority, hits) when `active` is given. */
  list(options: ListOptions = {}): StoredPattern[] {
    this.flush();
    const { type, active, limit } = options;
    const where: string[] = [];
    const values: unknown[] = [];
    if (active !== undefined) {
      where.push('active = ?');
      values.push(active ? 1 : 0);
    }
    if (type !== undefined) {
      where.push('type = ?');
      values.push(type);
    }
    if (limit !== undefined) checkPositive('limit', limit);
    values.push(limit ?? -1);
    const filter = where.length === 0 ? '' : `WHERE ${where.join(' AND ')}`;
    const rows = this.#open()
      .prepare(`SELECT * FROM pattern ${filter} ORDER BY priority DESC, hits DESC, ordinal LIMIT ?`)
      .all(...values) as Row[];
    return rows.map(storedPattern);
  }

  /** Whether the pattern was there to be deleted. */
  delete(id: string): boolean {
    const db = this.#open();
    this.#pending.delete(id);
    return db.prepare('DELETE FROM pattern WHERE id = ?').run(id).changes > 0;
  }

  get size(): number {
    return this.#open().prepare('SELECT count(*) FROM pattern').pluck().get() as number;
  }

  /** The active patterns as a set, in definition order, with their present confidence. */
  load(options: PatternSetOptions = {}): CompileResult {
    const rows = this.#open()
      .prepare('SELECT * FROM pattern WHERE active = 1 ORDER BY ordinal')
      .all() as Row[];
    return compilePatterns(rows.map(definitionOf), options);
  }

  /**
   * Whether another connection, usually of another process, has changed the file since the last call (or since the
   * library was opened). Costs one read of the database header; what this library writes does not count.
   */
  changedElsewhere(): boolean {
    const version = dataVersion(this.#open());
    const changed = version !== this.#dataVersion;
    this.#dataVersion = version;
    return changed;
  }

  /**
   * Brings a set that was loaded from here up to date: what is gone or inactive is removed, what is new or different is
   * added at the end. Returns whether anything changed. Where the order of ids matters, load again instead.
   */
  refresh(set: PatternSet): boolean {
    const wanted = new Map(
      this.#active()
        .map(definitionOf)
        .map((def) => [def.id, def]),
    );
    let changed = false;
    for (const def of set.definitions()) {
      const now = wanted.get(def.id);
      if (now !== undefined && isSame(def, now)) wanted.delete(def.id);
      else changed = set.remove(def.id) || changed;
    }
    for (const def of wanted.values()) changed = set.add(def) === undefined || changed;
    return changed;
  }

  #active(): Row[] {
    return this.#open().prepare('SELECT * FROM pattern WHERE active = 1 ORDER BY ordinal').all() as Row[];
  }

  /** Compiles the regexes of the patterns that hit most, so that the first texts do not wait. Returns how many. */
  warm(set: PatternSet, limit = 256): number {
    checkPositive('limit', limit);
    this.flush();
    const ids = this.#open()
      .prepare('SELECT id FROM pattern WHERE active = 1 AND hits > 0 ORDER BY hits DESC, ordinal LIMIT ?')
      .pluck()
      .all(limit) as string[];
    return set.warm(ids);
  }

  /** Counts one hit for each id. Ids the library does not have are dropped when the batch is written. */
  recordHits(ids: Iterable<string>): void {
    this.#open();
    const nowMs = Math.trunc(this.#clock.now());
    for (const id of ids) {
      const entry = this.#pending.get(id);
      if (entry === undefined) this.#pending.set(id, { count: 1, lastMs: nowMs });
      else {
        entry.count++;
        entry.lastMs = nowMs;
      }
    }
    if (this.#pending.size >= this.#maxPendingHits) this.flush();
    else if (this.#pending.size > 0)
      this.#timer ??= setTimeout(() => this.flush(), this.#flushIntervalMs).unref();
  }

  /**
   * Moves the confidence of a pattern and returns the new one.
   * @throws {PatternsError} ERR_PERF_PATTERNS_UNKNOWN_ID
   */
  recordOutcome(id: string, outcome: 'success' | 'failure'): number {
    if (outcome !== 'success' && outcome !== 'failure')
      throw new RangeError(`outcome must be 'success' or 'failure'`);
    const column = outcome === 'success' ? 'successes' : 'failures';
    const row = this.#open()
      .prepare(`UPDATE pattern SET ${column} = ${column} + 1 WHERE id = ? RETURNING *`)
      .get(id) as Row | undefined;
    if (row === undefined)
      throw new PatternsError('ERR_PERF_PATTERNS_UNKNOWN_ID', `no pattern ${JSON.stringify(id)}`);
    return confidenceOf(row);
  }

  /** Writes the hits held back. Returns how many patterns were updated. */
  flush(): number {
    const db = this.#open();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending.size === 0) return 0;
    const update = db.prepare(
      'UPDATE pattern SET hits = hits + ?, last_hit_ms = max(?, ifnull(last_hit_ms, 0)) WHERE id = ?',
    );
    let updated = 0;
    db.transaction(() => {
      for (const [id, { count, lastMs }] of this.#pending) updated += update.run(count, lastMs, id).changes;
    })();
    this.#pending = new Map();
    return updated;
  }

  /** Deletes what is no longer worth its place and returns the ids. Without a limit nothing is deleted. */
  prune(options: PruneOptions): string[] {
    const { unusedForMs, minConfidence, maxPatterns } = options;
    if (unusedForMs !== undefined) checkPositive('unusedForMs', unusedForMs);
    if (minConfidence !== undefined && !(minConfidence >= 0 && minConfidence <= 1)) {
      throw new RangeError('minConfidence must be a number from 0 to 1');
    }
    if (maxPatterns !== undefined && !(Number.isInteger(maxPatterns) && maxPatterns >= 0)) {
      throw new RangeError('maxPatterns must be an integer of at least 0');
    }
    this.flush();
    const db = this.#open();
    const usedMs = (row: Row): number => Math.max(row.created_at_ms, row.last_hit_ms ?? 0);
    const cutMs = unusedForMs === undefined ? -Infinity : this.#clock.now() - unusedForMs;
    return db.transaction(() => {
      const rows = db.prepare('SELECT * FROM pattern ORDER BY ordinal').all() as Row[];
      const doomed = (row: Row): boolean => usedMs(row) < cutMs || confidenceOf(row) < (minConfidence ?? 0);
      const kept = rows
        .filter((row) => !doomed(row))
        .sort((a, b) => b.hits - a.hits || usedMs(b) - usedMs(a));
      const gone = [...rows.filter(doomed), ...kept.slice(maxPatterns ?? kept.length)].map((row) => row.id);
      const remove = db.prepare('DELETE FROM pattern WHERE id = ?');
      for (const id of gone) remove.run(id);
      return gone;
    })();
  }

  /** Writes the hits held back and closes the file. Calling it again does nothing. */
  close(): void {
    if (!this.#db.open) return;
    this.flush();
    this.#db.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(): Database {
    if (!this.#db.open) throw new PatternsError('ERR_PERF_PATTERNS_CLOSED', 'the pattern library is closed');
    return this.#db;
  }
}

function dataVersion(db: Database): number {
  return Number(db.pragma('data_version', { simple: true }));
}

function isSame(one: PatternDef, other: PatternDef): boolean {
  return (
    one.source === other.source &&
    one.flags === other.flags &&
    one.type === other.type &&
    one.priority === other.priority &&
    one.confidence === other.confidence
  );
}

function confidenceOf({ prior, successes, failures }: Row): number {
  return (prior * PRIOR_WEIGHT + successes) / (PRIOR_WEIGHT + successes + failures);
}

function definitionOf(row: Row): Pick<StoredPattern, keyof PatternDef> {
  return {
    id: row.id,
    source: row.source,
    flags: row.flags,
    ...(row.type === null ? undefined : { type: row.type }),
    priority: row.priority,
    confidence: confidenceOf(row),
    active: row.active === 1,
  };
}

function storedPattern(row: Row): StoredPattern {
  return {
    ...definitionOf(row),
    hits: row.hits,
    successes: row.successes,
    failures: row.failures,
    createdAtMs: row.created_at_ms,
    ...(row.last_hit_ms === null ? undefined : { lastHitMs: row.last_hit_ms }),
    ...(row.data === null ? undefined : { data: JSON.parse(row.data) as Json }),
  };
}

function checkPositive(name: string, value: number): void {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
  if (!Number.isInteger(value) || value < 1) throw new RangeError(`${name} must be a positive integer`);
}
