// Stored patterns: read through memory, written through the store's writer, visible to this process at once.
//
//   get ─▶ row (in memory, else SQLite) + overlay (accepted, not committed)
//
// Invariants
// - A definition or a count lies in the overlay from when it is accepted until its write is committed, so a read never
//   goes back in time. An overlay that holds nothing is not there.
// - Counts are written as increments and definitions by themselves, so that of two processes neither overwrites what the
//   other has counted or defined. A definition that is tried again never replaces one that was accepted after it.
// - When another process has committed (`PRAGMA data_version`, looked at once in each millisecond of the clock), rows in
//   memory are dropped, and definitions that are new since are handed out by `takeChanges`. Definitions are numbered
//   inside the transaction, so numbers grow in the order of commits.
// - Outcomes move a pattern's confidence: it is the mean of a Beta distribution that starts at the confidence the
//   definition came with, worth PRIOR_OUTCOMES outcomes, and counts every success and failure after that.
import { MemoryCache } from '@perf/cache';
import { compilePatterns } from '@perf/patterns';
import type { PatternDef } from '@perf/patterns';
import type { Database } from '@perf/sqlite';
import { canonicalJson, copyJson } from './canonical-json.ts';
import type { Json } from './canonical-json.ts';
import type { Clock } from './configuration.ts';
import { SystemError } from './errors.ts';
import type { StoreWriter } from './store-writer.ts';

/** A stored pattern; fields beyond these come back as they were stored. */
export interface Pattern extends PatternDef {
  /** How often it matched. */
  readonly usageCount: number;
  readonly createdAtMs: number;
  /** 0 when it never matched. */
  readonly lastUsedMs: number;
  readonly data?: Json;
}

/** What `storePattern` takes: the counters are the system's, free fields are the caller's and must be JSON. */
export type PatternInput = PatternDef & { readonly data?: Json; readonly [field: string]: unknown };

export type Outcome = 'success' | 'failure';

interface Definition {
  readonly body: Readonly<Record<string, unknown>> & PatternDef;
  /** The body as JSON. */
  readonly text: string;
  readonly priorConfidence: number;
}

interface PatternState extends Counts {
  readonly definition: Definition;
  readonly createdAtMs: number;
}

interface PatternRow {
  readonly id: string;
  readonly body: string;
  readonly definition: number;
  readonly prior_confidence: number;
  readonly successes: number;
  readonly failures: number;
  readonly usage_count: number;
  readonly created_at_ms: number;
  readonly last_used_ms: number;
}

interface Counts {
  readonly successes: number;
  readonly failures: number;
  readonly usageCount: number;
  readonly lastUsedMs: number;
}

interface PendingDefinition {
  readonly definition: Definition;
  readonly createdAtMs: number;
  /** Grows with every `store`. */
  readonly sequence: number;
}

/** What is not committed yet of a pattern. */
interface Overlay {
  readonly id: string;
  /** In the order they were accepted; the last one is what the pattern is. */
  definitions: readonly PendingDefinition[];
  /** Sum of the counts that are queued or will be. */
  counts: Counts;
  /** Writes that are queued. */
  writes: number;
  /** Matches that no write has been queued for yet; part of `counts`. */
  unwrittenHits: number;
  /** Of the newest definition that is committed. */
  committedSequence: number;
}

/** How many outcomes the confidence in the definition is worth. */
const PRIOR_OUTCOMES = 10;
const NO_COUNTS: Counts = { successes: 0, failures: 0, usageCount: 0, lastUsedMs: 0 };
const counters = new Set(['usageCount', 'createdAtMs', 'lastUsedMs']);

export interface PatternRepositoryOptions {
  readonly db: Database;
  readonly writer: StoreWriter;
  readonly clock: Clock;
  readonly maxCachedPatterns: number;
}

export class PatternRepository {
  readonly #writer: StoreWriter;
  readonly #clock: Clock;
  readonly #rows: MemoryCache<string, PatternState>;
  readonly #overlays = new Map<string, Overlay>();
  /** Overlays with matches that no write has been queued for yet. */
  readonly #hits = new Set<Overlay>();
  readonly #statements;
  #dataVersion = 0;
  #lookedAtMs = Number.NaN;
  #sequence = 0;
  /** Newest definition that `takeChanges` has handed out. */
  #lastDefinition = 0;
  #othersCommitted = true;
  /** Patterns stored, uncommitted ones included; undefined when it has to be counted again. */
  #count: number | undefined;

  constructor({ db, writer, clock, maxCachedPatterns }: PatternRepositoryOptions) {
    this.#writer = writer;
    this.#clock = clock;
    this.#rows = new MemoryCache({ maxEntries: maxCachedPatterns });
    this.#statements = {
      select: db.prepare<[string], PatternRow>('SELECT * FROM patterns WHERE id = ?'),
      changes: db.prepare<[number], PatternRow>(
        'SELECT * FROM patterns WHERE definition > ? ORDER BY definition',
      ),
      size: db.prepare<[], number>('SELECT count(*) FROM patterns').pluck(),
      dataVersion: db.prepare<[], number>('PRAGMA data_version').pluck(),
      define: db.prepare(`
        INSERT INTO patterns (id, body, definition, prior_confidence, created_at_ms, last_used_ms)
        VALUES (@id, @body, (SELECT coalesce(max(definition), 0) + 1 FROM patterns), @priorConfidence, @createdAtMs, 0)
        ON CONFLICT (id) DO UPDATE SET body = excluded.body, prior_confidence = excluded.prior_confidence,
          definition = CASE WHEN body = excluded.body THEN definition ELSE excluded.definition END`),
      count: db.prepare(`
        UPDATE patterns SET successes = successes + @successes, failures = failures + @failures,
          usage_count = usage_count + @usageCount, last_used_ms = max(last_used_ms, @lastUsedMs)
        WHERE id = @id`),
    };
    this.#dataVersion = this.#statements.dataVersion.get() ?? 0;
  }

  get(id: string): Pattern | undefined {
    if (typeof id !== 'string') throw new TypeError('id must be a string');
    this.#seeOthers();
    const state = this.#state(id);
    return state && toPattern(state);
  }

  /** Those that exist, in the order asked for. */
  getMany(ids: readonly string[]): Pattern[] {
    if (!Array.isArray(ids)) throw new TypeError('ids must be an array');
    return ids.map((id: string) => this.get(id)).filter((pattern) => pattern !== undefined);
  }

  /**
   * Stores or replaces; a replaced pattern keeps its age, usage and outcomes. `changed` is whether its definition is
   * another one than before.
   * @throws {SystemError} ERR_PERF_SYSTEM_INVALID_PATTERN when it is not a pattern or its RegExp does not compile.
   * @throws {TypeError} when a free field is not JSON.
   */
  async store(input: PatternInput): Promise<{ readonly pattern: Pattern; readonly changed: boolean }> {
    if (typeof input !== 'object' || input === null) throw new TypeError('pattern must be an object');
    // A set of its own, with room for the one pattern it is to check.
    const [error] = compilePatterns([input], { maxCompiled: 1 }).errors;
    if (error) {
      const message = `pattern ${error.id} is not valid: ${error.message}`;
      throw new SystemError('ERR_PERF_SYSTEM_INVALID_PATTERN', message, { cause: error });
    }
    this.#seeOthers();
    const before = this.#state(input.id);
    const definition = definitionOf(input, before);
    const overlay = this.#overlay(input.id);
    const pending = { definition, createdAtMs: this.#clock.now(), sequence: ++this.#sequence };
    overlay.definitions = [...overlay.definitions, pending];
    if (!before && this.#count !== undefined) this.#count += 1;
    const stored = this.#state(input.id);
    await this.#write(overlay, {
      sizeBytes: 200 + 2 * definition.text.length,
      apply: () => {
        if (pending.sequence < overlay.committedSequence) return;
        const { text: body, priorConfidence } = definition;
        const { createdAtMs } = pending;
        this.#statements.define.run({ id: input.id, body, priorConfidence, createdAtMs });
      },
      committed: () => {
        overlay.committedSequence = Math.max(overlay.committedSequence, pending.sequence);
        overlay.definitions = overlay.definitions.filter(
          ({ sequence }) => sequence > overlay.committedSequence,
        );
      },
      abandoned: () => {
        overlay.definitions = overlay.definitions.filter((one) => one !== pending);
        this.#count = undefined;
      },
    });
    const changed = before?.definition.text !== definition.text;
    return { pattern: toPattern(stored ?? newState(pending)), changed };
  }

  /**
   * Counts an outcome and resolves to the confidence it leads to.
   * @throws {SystemError} ERR_PERF_SYSTEM_UNKNOWN_PATTERN
   */
  async recordOutcome(id: string, outcome: Outcome): Promise<number> {
    if (outcome !== 'success' && outcome !== 'failure')
      throw new TypeError("outcome must be 'success' or 'failure'");
    this.#seeOthers();
    const state = this.#state(id);
    if (!state) throw new SystemError('ERR_PERF_SYSTEM_UNKNOWN_PATTERN', `no pattern ${id} is stored`);
    const counts = { ...NO_COUNTS, [outcome === 'success' ? 'successes' : 'failures']: 1 };
    const overlay = this.#overlay(id);
    overlay.counts = sum(overlay.counts, counts);
    const confidence = confidenceOf(sum(state, counts));
    await this.#writeCounts(overlay, counts);
    return confidence;
  }

  /**
   * Counts a match of a stored pattern, in memory; `writeHits` hands the counts to the writer. Returns the pattern's
   * confidence, `undefined` when it is not stored.
   */
  recordHit(id: string): number | undefined {
    const state = this.#state(id);
    if (!state) return undefined;
    const overlay = this.#overlay(id);
    const lastUsedMs = this.#clock.now();
    overlay.counts = sum(overlay.counts, { ...NO_COUNTS, usageCount: 1, lastUsedMs });
    overlay.unwrittenHits += 1;
    this.#hits.add(overlay);
    return confidenceOf(state);
  }

  /** Matches are counted for this many patterns and not yet queued for writing. */
  get unwrittenHits(): number {
    return this.#hits.size;
  }

  /** Patterns with states that are not committed yet; 0 after a flush. */
  get uncommitted(): number {
    return this.#overlays.size;
  }

  /** Hands the counted matches to the writer, one write a pattern. Counts that are refused stay. */
  async writeHits(): Promise<void> {
    const overlays = [...this.#hits];
    this.#hits.clear();
    const results = await Promise.allSettled(
      overlays.map(async (overlay) => {
        const { unwrittenHits: usageCount } = overlay;
        const counts = { ...NO_COUNTS, usageCount, lastUsedMs: overlay.counts.lastUsedMs };
        overlay.unwrittenHits = 0;
        try {
          await this.#writeCounts(overlay, counts);
        } catch (error) {
          // Counted again, for the next time.
          const same = this.#overlay(overlay.id);
          same.counts = sum(same.counts, counts);
          same.unwrittenHits += usageCount;
          this.#hits.add(same);
          throw error;
        }
      }),
    );
    const refused = results.find((result) => result.status === 'rejected');
    if (refused) throw refused.reason;
  }

  /**
   * Definitions that were committed by another process since the last call, in the order they were; on the first call all
   * there are. Inactive ones are among them. O(changes).
   */
  takeChanges(): PatternDef[] {
    this.#seeOthers();
    if (!this.#othersCommitted) return [];
    this.#othersCommitted = false;
    const changes: PatternDef[] = [];
    for (const row of this.#statements.changes.all(this.#lastDefinition)) {
      this.#lastDefinition = row.definition;
      changes.push(toPattern(this.#state(row.id) ?? fromRow(row)));
    }
    return changes;
  }

  /** Patterns that are stored, uncommitted ones included. O(1), O(patterns) after another process has committed. */
  get size(): number {
    this.#seeOthers();
    if (this.#count === undefined) {
      this.#count = this.#statements.size.get() ?? 0;
      for (const { id, definitions } of this.#overlays.values()) {
        if (definitions.length > 0 && this.#statements.select.get(id) === undefined) this.#count += 1;
      }
    }
    return this.#count;
  }

  /** Once a millisecond: asking SQLite costs as much as reading a row, several times what memory does. */
  #seeOthers(): void {
    const nowMs = Math.floor(this.#clock.now());
    if (nowMs === this.#lookedAtMs) return;
    this.#lookedAtMs = nowMs;
    const version = this.#statements.dataVersion.get() ?? 0;
    if (version === this.#dataVersion) return;
    this.#dataVersion = version;
    this.#othersCommitted = true;
    this.#count = undefined;
    this.#rows.clear();
  }

  #state(id: string): PatternState | undefined {
    const row = this.#row(id);
    const overlay = this.#overlays.get(id);
    if (!overlay) return row;
    const newest = overlay.definitions.at(-1);
    const oldest = overlay.definitions[0];
    const base = row ?? (oldest && newState(oldest));
    return base && { ...sum(base, overlay.counts), definition: newest?.definition ?? base.definition };
  }

  /** What is committed. */
  #row(id: string): PatternState | undefined {
    const held = this.#rows.get(id);
    if (held) return held;
    const row = this.#statements.select.get(id);
    if (!row) return undefined;
    const state = fromRow(row);
    this.#rows.set(id, state);
    return state;
  }

  #overlay(id: string): Overlay {
    let overlay = this.#overlays.get(id);
    if (!overlay) {
      overlay = { id, definitions: [], counts: NO_COUNTS, writes: 0, unwrittenHits: 0, committedSequence: 0 };
      this.#overlays.set(id, overlay);
    }
    return overlay;
  }

  async #writeCounts(overlay: Overlay, counts: Counts): Promise<void> {
    const subtract = (): void => {
      overlay.counts = difference(overlay.counts, counts);
    };
    await this.#write(overlay, {
      sizeBytes: 200,
      apply: () => {
        const { changes } = this.#statements.count.run({ id: overlay.id, ...counts });
        // Its definition failed and is kept: so is this count, for after it.
        if (changes === 0 && overlay.definitions.length > 0)
          throw new Error('the pattern is not written yet');
      },
      committed: subtract,
      abandoned: subtract,
    });
  }

  /** Queues a write that the overlay stands in for until it is committed or abandoned. */
  async #write(
    overlay: Overlay,
    write: { sizeBytes: number; apply(): void; committed(): void; abandoned(): void },
  ): Promise<void> {
    overlay.writes += 1;
    const end = (settle: () => void): void => {
      overlay.writes -= 1;
      settle();
      this.#rows.delete(overlay.id);
      const { writes, unwrittenHits } = overlay;
      if (writes === 0 && unwrittenHits === 0) this.#overlays.delete(overlay.id);
    };
    try {
      await this.#writer.write({
        sizeBytes: write.sizeBytes,
        apply: write.apply,
        committed: () => end(write.committed),
        dropped: () => end(write.abandoned),
      });
    } catch (error) {
      end(write.abandoned);
      throw error;
    }
  }
}

function confidenceOf({ definition, successes, failures }: PatternState): number {
  return (definition.priorConfidence * PRIOR_OUTCOMES + successes) / (PRIOR_OUTCOMES + successes + failures);
}

function newState({ definition, createdAtMs }: PendingDefinition): PatternState {
  return { ...NO_COUNTS, definition, createdAtMs };
}

function sum<T extends Counts>(base: T, counts: Counts): T {
  return {
    ...base,
    successes: base.successes + counts.successes,
    failures: base.failures + counts.failures,
    usageCount: base.usageCount + counts.usageCount,
    lastUsedMs: Math.max(base.lastUsedMs, counts.lastUsedMs),
  };
}

/** The time of the last use stays: nothing tells what it was before. */
function difference(base: Counts, counts: Counts): Counts {
  return {
    successes: base.successes - counts.successes,
    failures: base.failures - counts.failures,
    usageCount: base.usageCount - counts.usageCount,
    lastUsedMs: base.lastUsedMs,
  };
}

/** A copy: what the caller gets never changes later, whatever it does to nested data. */
function toPattern(state: PatternState): Pattern {
  return {
    ...copyJson(state.definition.body),
    confidence: confidenceOf(state),
    usageCount: state.usageCount,
    createdAtMs: state.createdAtMs,
    lastUsedMs: state.lastUsedMs,
  };
}

/** What the input says, without the counters that are the system's. */
function definitionOf(input: PatternInput, before: PatternState | undefined): Definition {
  // Who reads a pattern, changes it and stores it hands in a confidence that outcomes have moved: it stays as it is.
  const kept = before && (input.confidence ?? 1) === confidenceOf(before) ? before.definition : undefined;
  const fields = Object.entries(input).filter(([key]) => !counters.has(key));
  const declared = fields.map(([key, value]) => [
    key,
    kept && key === 'confidence' ? kept.priorConfidence : value,
  ]);
  const text = canonicalJson(Object.fromEntries(declared), 'pattern');
  return {
    body: JSON.parse(text) as Definition['body'],
    text,
    priorConfidence: kept?.priorConfidence ?? input.confidence ?? 1,
  };
}

function fromRow(row: PatternRow): PatternState {
  return {
    definition: {
      body: JSON.parse(row.body) as Definition['body'],
      text: row.body,
      priorConfidence: row.prior_confidence,
    },
    successes: row.successes,
    failures: row.failures,
    usageCount: row.usage_count,
    createdAtMs: row.created_at_ms,
    lastUsedMs: row.last_used_ms,
  };
}
