// Stored patterns: read through memory, written through the store's writer, visible to this process at once. What is
// accepted but not yet committed lies over the database until its transaction is through, so a read never goes back in
// time. Outcomes move a pattern's confidence: it is the mean of a Beta distribution that starts at the confidence the
// definition came with, worth PRIOR_OUTCOMES outcomes, and counts every success and failure after that.
import { MemoryCache } from '@perf/cache';
import { compilePatterns } from '@perf/patterns';
import type { PatternDef } from '@perf/patterns';
import type { Database } from '@perf/sqlite';
import type { Clock } from './configuration.ts';
import { SystemError } from './errors.ts';
import type { StoreWriter } from './store-writer.ts';

/** Anything JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A stored pattern; fields beyond these come back as they were stored. */
export interface Pattern extends PatternDef {
  /** How often it matched. */
  readonly usageCount: number;
  readonly createdAtMs: number;
  /** 0 when it never matched. */
  readonly lastUsedMs: number;
  readonly data?: Json;
}

/** What `storePattern` takes: the counters are the system's, free fields are the caller's. */
export type PatternInput = PatternDef & { readonly data?: Json; readonly [field: string]: unknown };

export type Outcome = 'success' | 'failure';

interface PatternState {
  readonly body: Readonly<Record<string, unknown>> & PatternDef;
  readonly priorConfidence: number;
  readonly successes: number;
  readonly failures: number;
  readonly usageCount: number;
  readonly createdAtMs: number;
  readonly lastUsedMs: number;
}

interface PatternRow {
  readonly id: string;
  readonly body: string;
  readonly prior_confidence: number;
  readonly successes: number;
  readonly failures: number;
  readonly usage_count: number;
  readonly created_at_ms: number;
  readonly last_used_ms: number;
}

/** How many outcomes the confidence in the definition is worth. */
const PRIOR_OUTCOMES = 10;
const counters = new Set(['usageCount', 'createdAtMs', 'lastUsedMs']);

export interface PatternRepositoryOptions {
  readonly db: Database;
  readonly writer: StoreWriter;
  readonly clock: Clock;
  readonly maxCachedPatterns: number;
}

export class PatternRepository {
  readonly #db: Database;
  readonly #writer: StoreWriter;
  readonly #clock: Clock;
  readonly #rows: MemoryCache<string, PatternState>;
  /** Newest state of what is not committed yet, with the number of writes under way; a counted match counts as one. */
  readonly #pending = new Map<string, { state: PatternState; writes: number }>();
  /** Patterns with matches that no write has been queued for yet. */
  readonly #hits = new Set<string>();
  readonly #select;
  readonly #upsert;

  constructor({ db, writer, clock, maxCachedPatterns }: PatternRepositoryOptions) {
    this.#db = db;
    this.#writer = writer;
    this.#clock = clock;
    this.#rows = new MemoryCache({ maxEntries: maxCachedPatterns });
    this.#select = db.prepare<[string], PatternRow>('SELECT * FROM patterns WHERE id = ?');
    this.#upsert = db.prepare(`
      INSERT INTO patterns (id, body, active, prior_confidence, successes, failures, usage_count, created_at_ms, last_used_ms)
      VALUES (@id, @body, @active, @priorConfidence, @successes, @failures, @usageCount, @createdAtMs, @lastUsedMs)
      ON CONFLICT (id) DO UPDATE SET body = excluded.body, active = excluded.active,
        prior_confidence = excluded.prior_confidence, successes = excluded.successes, failures = excluded.failures,
        usage_count = excluded.usage_count, last_used_ms = excluded.last_used_ms`);
  }

  get(id: string): Pattern | undefined {
    const state = this.#state(id);
    return state && toPattern(state);
  }

  /** Those that exist, in the order asked for. */
  getMany(ids: readonly string[]): Pattern[] {
    const found: Pattern[] = [];
    for (const id of ids) {
      const pattern = this.get(id);
      if (pattern) found.push(pattern);
    }
    return found;
  }

  /**
   * Stores or replaces; a replaced pattern keeps its age, usage and outcomes.
   * @throws {SystemError} ERR_PERF_SYSTEM_INVALID_PATTERN when it is not a pattern or its RegExp does not compile.
   */
  async store(input: PatternInput): Promise<Pattern> {
    const { errors } = compilePatterns([input]);
    const [error] = errors;
    if (error) {
      const message = `pattern ${error.id} is not valid: ${error.message}`;
      throw new SystemError('ERR_PERF_SYSTEM_INVALID_PATTERN', message, { cause: error });
    }
    const body = bodyOf(input);
    const before = this.#state(input.id);
    const now = this.#clock.now();
    const state: PatternState = {
      body,
      priorConfidence: input.confidence ?? 1,
      successes: before?.successes ?? 0,
      failures: before?.failures ?? 0,
      usageCount: before?.usageCount ?? 0,
      createdAtMs: before?.createdAtMs ?? now,
      lastUsedMs: before?.lastUsedMs ?? 0,
    };
    await this.#write(state);
    return toPattern(state);
  }

  /**
   * Counts an outcome and resolves to the confidence it leads to.
   * @throws {SystemError} ERR_PERF_SYSTEM_UNKNOWN_PATTERN
   */
  async recordOutcome(id: string, outcome: Outcome): Promise<number> {
    if (outcome !== 'success' && outcome !== 'failure')
      throw new TypeError("outcome must be 'success' or 'failure'");
    const state = this.#state(id);
    if (!state) throw new SystemError('ERR_PERF_SYSTEM_UNKNOWN_PATTERN', `no pattern ${id} is stored`);
    const after =
      outcome === 'success'
        ? { ...state, successes: state.successes + 1 }
        : { ...state, failures: state.failures + 1 };
    await this.#write(after);
    return confidenceOf(after);
  }

  /** Counts a match of a stored pattern, in memory; `writeHits` hands the counts to the writer. */
  recordHit(id: string): void {
    const state = this.#state(id);
    if (!state) return;
    const after = { ...state, usageCount: state.usageCount + 1, lastUsedMs: this.#clock.now() };
    if (this.#hits.has(id)) this.#replace(id, after);
    else {
      this.#hits.add(id);
      this.#hold(id, after);
    }
  }

  /** Matches are counted for this many patterns and not yet queued for writing. */
  get unwrittenHits(): number {
    return this.#hits.size;
  }

  /** Hands the counted matches to the writer, one write a pattern. */
  async writeHits(): Promise<void> {
    const ids = [...this.#hits];
    this.#hits.clear();
    for (const id of ids) await this.#enqueue(id);
  }

  /** Definitions of all active patterns, committed and pending, in order of age. O(patterns). */
  active(): PatternDef[] {
    const states = new Map<string, PatternState>();
    for (const row of this.#db.prepare<[], PatternRow>('SELECT * FROM patterns').iterate()) {
      states.set(row.id, fromRow(row));
    }
    for (const [id, { state }] of this.#pending) states.set(id, state);
    return [...states.values()]
      .filter(({ body }) => body.active !== false)
      .toSorted((a, b) => a.createdAtMs - b.createdAtMs)
      .map(toPattern);
  }

  /** Patterns that are stored, pending ones included. */
  get size(): number {
    const count = this.#db.prepare<[], number>('SELECT count(*) FROM patterns').pluck().get() ?? 0;
    let fresh = 0;
    for (const id of this.#pending.keys()) if (this.#select.get(id) === undefined) fresh += 1;
    return count + fresh;
  }

  #state(id: string): PatternState | undefined {
    const held = this.#pending.get(id)?.state ?? this.#rows.get(id);
    if (held) return held;
    const row = this.#select.get(id);
    if (!row) return undefined;
    const state = fromRow(row);
    this.#rows.set(id, state);
    return state;
  }

  /** Makes the state visible, then queues it; when it is not accepted, what was visible before is so again. */
  async #write(state: PatternState): Promise<void> {
    const { id } = state.body;
    const before = this.#state(id);
    this.#hold(id, state);
    try {
      await this.#enqueue(id);
    } catch (error) {
      const held = this.#pending.get(id);
      if (held?.state === state && before) this.#replace(id, before);
      if (held?.state === state && !before) this.#rows.delete(id);
      this.#release(id);
      throw error;
    }
  }

  #enqueue(id: string): Promise<void> {
    const held = this.#pending.get(id);
    return this.#writer.write({
      sizeBytes: 200 + 2 * JSON.stringify(held?.state.body ?? null).length,
      // The newest state is written, so a write that is tried again never brings an older one back.
      apply: () => {
        const newest = this.#pending.get(id)?.state;
        if (newest) this.#upsert.run(toRow(newest));
      },
      committed: () => this.#release(id),
    });
  }

  #hold(id: string, state: PatternState): void {
    const held = this.#pending.get(id);
    if (held) held.writes += 1;
    else this.#pending.set(id, { state, writes: 1 });
    this.#replace(id, state);
  }

  #replace(id: string, state: PatternState): void {
    const held = this.#pending.get(id);
    if (held) held.state = state;
    this.#rows.set(id, state);
  }

  #release(id: string): void {
    const held = this.#pending.get(id);
    if (!held) return;
    held.writes -= 1;
    if (held.writes === 0) this.#pending.delete(id);
  }
}

function confidenceOf({ priorConfidence, successes, failures }: PatternState): number {
  return (priorConfidence * PRIOR_OUTCOMES + successes) / (PRIOR_OUTCOMES + successes + failures);
}

/** A copy: what the caller gets never changes later, whatever it does to nested data. */
function toPattern(state: PatternState): Pattern {
  return {
    ...structuredClone(state.body),
    confidence: confidenceOf(state),
    usageCount: state.usageCount,
    createdAtMs: state.createdAtMs,
    lastUsedMs: state.lastUsedMs,
  };
}

/** What the definition says, as JSON keeps it, without the counters that are the system's. */
function bodyOf(input: PatternInput): PatternState['body'] {
  const fields = Object.entries(input).filter(([key]) => !counters.has(key));
  return JSON.parse(JSON.stringify(Object.fromEntries(fields))) as PatternState['body'];
}

function toRow({ body, ...numbers }: PatternState): Record<string, unknown> {
  return { id: body.id, body: JSON.stringify(body), active: body.active === false ? 0 : 1, ...numbers };
}

function fromRow(row: PatternRow): PatternState {
  return {
    body: JSON.parse(row.body) as PatternState['body'],
    priorConfidence: row.prior_confidence,
    successes: row.successes,
    failures: row.failures,
    usageCount: row.usage_count,
    createdAtMs: row.created_at_ms,
    lastUsedMs: row.last_used_ms,
  };
}
