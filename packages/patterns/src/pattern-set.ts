/**
 * The face of the package: many patterns, one text, exactly the answers of running each RegExp in turn.
 *
 * Invariants
 * - A pattern has an ordinal, its place in definition order; ordinals only grow, a removed one is not used again.
 * - Flags `g` and `d` are dropped before compiling (they change no single match); `y` stays and pins lastIndex to 0.
 * - Regexes are compiled when they first run and kept in a bounded cache, because V8 keeps code for each of them.
 */
import { LRUCache } from 'lru-cache';
import {
  isPatternError,
  matchOf,
  readDefinition,
  type Pattern,
  type PatternDef,
  type PatternError,
  type PatternMatch,
} from './pattern-def.ts';
import { PatternsError } from './errors.ts';
import { readSet, writeSet } from './serialized-set.ts';

export interface PatternSetOptions {
  /** Compiled regexes kept at a time. Default 4096. */
  readonly maxCompiled?: number;
}

export interface CompileResult {
  readonly set: PatternSet;
  /** One entry for each definition that was left out. */
  readonly errors: readonly PatternError[];
}

/** Why a pattern is, or is not, run on a text. */
export interface Explanation {
  readonly id: string;
  /** A match holds at least one string of every list. No lists: the pattern is run on every text. */
  readonly factors: readonly (readonly string[])[];
  /** With a text: whether the regex is run on it. */
  readonly candidate?: boolean;
  /** With a text: whether it matches. */
  readonly matches?: boolean;
  readonly reason: string;
}

export interface PatternSetStats {
  readonly patterns: number;
  readonly active: number;
  /** Texts matched so far. */
  readonly texts: number;
  /** Regexes run so far, and how many of them found nothing. */
  readonly candidates: number;
  readonly falseCandidates: number;
  /** Regexes compiled now. */
  readonly compiled: number;
}

const DEFAULT_MAX_COMPILED = 4096;

/**
 * Compiles the definitions in order. A definition that is not valid, or repeats an id, becomes an entry of `errors`
 * and stops nothing else.
 * @throws {TypeError | RangeError} when `defs` is not iterable or an option is out of range
 */
export function compilePatterns(defs: Iterable<PatternDef>, options: PatternSetOptions = {}): CompileResult {
  const set = new PatternSet(options);
  const errors: PatternError[] = [];
  for (const def of defs) {
    const error = set.add(def);
    if (error !== undefined) errors.push(error);
  }
  return { set, errors };
}

export class PatternSet {
  readonly #patterns: (Pattern | undefined)[] = [];
  readonly #ordinals = new Map<string, number>();
  readonly #compiled: LRUCache<number, RegExp>;
  /** Active ordinals, best priority first; undefined after a change. */
  #byPriority: readonly number[] | undefined;
  #texts = 0;
  #candidates = 0;
  #falseCandidates = 0;

  /** An empty set; `compilePatterns` is the usual way to a full one. */
  constructor(options: PatternSetOptions = {}) {
    const max = options.maxCompiled ?? DEFAULT_MAX_COMPILED;
    if (!Number.isInteger(max) || max < 1) throw new RangeError('maxCompiled must be a positive integer');
    this.#compiled = new LRUCache({ max });
  }

  /** Patterns held, inactive ones included. */
  get size(): number {
    return this.#ordinals.size;
  }

  /** Whether any pattern matches. */
  test(text: string): boolean {
    this.#countText(text);
    return this.#patterns.some(
      (pattern, ordinal) => pattern?.active === true && this.#exec(ordinal, text) !== null,
    );
  }

  /** The ids of the patterns that match, in definition order. */
  ids(text: string): string[] {
    this.#countText(text);
    const found: string[] = [];
    this.#patterns.forEach((pattern, ordinal) => {
      if (pattern?.active === true && this.#exec(ordinal, text) !== null) found.push(pattern.id);
    });
    return found;
  }

  /** The first match of each pattern that matches, in definition order. */
  all(text: string): PatternMatch[] {
    this.#countText(text);
    const found: PatternMatch[] = [];
    this.#patterns.forEach((pattern, ordinal) => {
      const match = pattern?.active === true ? this.#exec(ordinal, text) : null;
      if (match !== null) found.push(matchOf(pattern as Pattern, match));
    });
    return found;
  }

  /** The match of the pattern with the highest priority; definition order breaks ties. */
  first(text: string): PatternMatch | undefined {
    this.#countText(text);
    for (const ordinal of this.#priorityOrder()) {
      const match = this.#exec(ordinal, text);
      if (match !== null) return matchOf(this.#patterns[ordinal] as Pattern, match);
    }
    return undefined;
  }

  /**
   * What has to be in a text for the pattern to be run on it, and, given a text, what came of it.
   * @throws {PatternsError} ERR_PERF_PATTERNS_UNKNOWN_ID when the set has no such pattern
   */
  explain(id: string, text?: string): Explanation {
    const ordinal = this.#ordinals.get(id);
    const pattern = ordinal === undefined ? undefined : this.#patterns[ordinal];
    if (ordinal === undefined || pattern === undefined) {
      throw new PatternsError('ERR_PERF_PATTERNS_UNKNOWN_ID', `no pattern ${JSON.stringify(id)}`);
    }
    if (!pattern.active) return { id, factors: [], reason: 'inactive: never run', ...inactive(text) };
    const reason = 'run on every text';
    if (text === undefined) return { id, factors: [], reason };
    checkText(text);
    return { id, factors: [], candidate: true, matches: this.#exec(ordinal, text) !== null, reason };
  }

  /** Appends one pattern; the error, if any, says why it was not taken. */
  add(def: PatternDef): PatternError | undefined {
    const pattern = readDefinition(def);
    if (isPatternError(pattern)) return pattern;
    if (this.#ordinals.has(pattern.id)) {
      const message = `the id ${JSON.stringify(pattern.id)} is taken by an earlier pattern`;
      return { id: pattern.id, code: 'ERR_PERF_PATTERNS_DUPLICATE_ID', message };
    }
    this.#ordinals.set(pattern.id, this.#patterns.length);
    this.#patterns.push(pattern);
    this.#byPriority = undefined;
    return undefined;
  }

  /** Whether the pattern was there to be removed. */
  remove(id: string): boolean {
    const ordinal = this.#ordinals.get(id);
    if (ordinal === undefined) return false;
    this.#ordinals.delete(id);
    this.#patterns[ordinal] = undefined;
    this.#compiled.delete(ordinal);
    this.#byPriority = undefined;
    return true;
  }

  /** Compiles the regexes of these patterns now, as far as the cache holds them. Returns how many. */
  warm(ids: Iterable<string>): number {
    let compiled = 0;
    for (const id of ids) {
      const ordinal = this.#ordinals.get(id);
      if (ordinal === undefined || compiled === this.#compiled.max) continue;
      // V8 compiles when a regex first runs, so it is run once.
      this.#regex(ordinal).test('');
      compiled++;
    }
    return compiled;
  }

  stats(): PatternSetStats {
    return {
      patterns: this.#ordinals.size,
      active: this.#priorityOrder().length,
      texts: this.#texts,
      candidates: this.#candidates,
      falseCandidates: this.#falseCandidates,
      compiled: this.#compiled.size,
    };
  }

  /** The set as bytes, versioned and checksummed, for `PatternSet.deserialize`. */
  serialize(): Uint8Array {
    return writeSet(this.#patterns.filter((pattern) => pattern !== undefined));
  }

  /**
   * @throws {PatternsError} ERR_PERF_PATTERNS_NOT_A_SET, _TRUNCATED, _CORRUPT or _VERSION
   */
  static deserialize(bytes: Uint8Array, options: PatternSetOptions = {}): PatternSet {
    return compilePatterns(readSet(bytes), options).set;
  }

  #countText(text: string): void {
    checkText(text);
    this.#texts++;
  }

  #exec(ordinal: number, text: string): RegExpExecArray | null {
    const regex = this.#regex(ordinal);
    regex.lastIndex = 0;
    const found = regex.exec(text);
    this.#candidates++;
    if (found === null) this.#falseCandidates++;
    return found;
  }

  #regex(ordinal: number): RegExp {
    let regex = this.#compiled.get(ordinal);
    if (regex === undefined) {
      const { source, flags } = this.#patterns[ordinal] as Pattern;
      regex = new RegExp(source, flags.replace(/[dg]/g, ''));
      this.#compiled.set(ordinal, regex);
    }
    return regex;
  }

  #priorityOrder(): readonly number[] {
    this.#byPriority ??= this.#patterns
      .map((pattern, ordinal) => ({
        priority: pattern?.priority ?? 0,
        ordinal,
        active: pattern?.active === true,
      }))
      .filter((entry) => entry.active)
      .sort((a, b) => b.priority - a.priority || a.ordinal - b.ordinal)
      .map((entry) => entry.ordinal);
    return this.#byPriority;
  }
}

function checkText(text: string): void {
  if (typeof text !== 'string') throw new TypeError('text must be a string');
}

function inactive(text: string | undefined): { candidate?: boolean; matches?: boolean } {
  return text === undefined ? {} : { candidate: false, matches: false };
}
