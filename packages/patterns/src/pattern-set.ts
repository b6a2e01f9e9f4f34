/**
 * The face of the package: many patterns, one text, exactly the answers of running each RegExp in turn.
 *
 *   text -> pattern-index: which patterns may match (candidate-filter)  -> verifier: which do
 *
 * Invariants
 * - A pattern has an ordinal, its place in definition order; ordinals only grow, a removed one is not used again.
 * - The index returns every pattern that matches, and some that do not, in definition order. Nothing it leaves out
 *   can match (regex-factors); nothing it returns is trusted (verifier).
 * - Flags `g` and `d` are dropped before compiling (they change no single match); `y` pins the match to the start.
 */
import { complexityOf } from './complexity.ts';
import { PatternsError } from './errors.ts';
import {
  isPatternError,
  matchOf,
  readDefinition,
  type Pattern,
  type PatternDef,
  type PatternError,
  type PatternMatch,
} from './pattern-def.ts';
import { PatternIndex, type Prefilter } from './pattern-index.ts';
import { regexFactors } from './regex-factors.ts';
import { readSet, writeSet } from './serialized-set.ts';
import { UnitSets } from './unit-sets.ts';
import { Verifier, type Searchable } from './verifier.ts';

export interface PatternSetOptions {
  /** Compiled regexes kept at a time. Default 4096. */
  readonly maxCompiled?: number;
  /**
   * Whether texts are filtered for candidates: 'auto' leaves the filter out where it does not pay, 'always' and 'never'
   * are for measuring. The answers are the same. Default 'auto'.
   */
  readonly prefilter?: 'auto' | 'always' | 'never';
}

export interface CompileResult {
  readonly set: PatternSet;
  /** One entry for each definition that was left out. */
  readonly errors: readonly PatternError[];
}

/** Why a pattern is, or is not, run on a text. */
export interface Explanation {
  readonly id: string;
  /**
   * What a text has to hold for the pattern to be run: one string of every list. In a string `[ab]` is either unit and
   * `.` any of many. No lists: the pattern is run on every text.
   */
  readonly factors: readonly (readonly string[])[];
  /** With a text: whether the regex is run on it. */
  readonly candidate?: boolean;
  /** With a text: whether it matches. */
  readonly matches?: boolean;
  readonly reason: string;
}

/** What a pattern has cost, from the sample of texts whose runs are timed. */
export interface PatternCost {
  readonly id: string;
  readonly runs: number;
  readonly matches: number;
  /** All its timed runs together, in ns. */
  readonly timeNs: number;
}

export interface PatternSetStats {
  readonly patterns: number;
  readonly active: number;
  /** Texts matched so far. */
  readonly texts: number;
  /** Patterns run so far, and how many of those runs found nothing. */
  readonly candidates: number;
  readonly falseCandidates: number;
  /** Patterns that are run on every text. */
  readonly unfiltered: number;
  /** Strings looked for, and the bytes of the filters. */
  readonly literals: number;
  readonly filterBytes: number;
  /** Regexes compiled now. */
  readonly compiled: number;
  /** Ids whose time may grow faster than the text, by analysis; only a ParallelMatcher bounds it. */
  readonly unbounded: readonly string[];
  /** The most expensive patterns first, at most 20, on a sample of one text in 64. */
  readonly costs: readonly PatternCost[];
}

/** Told about every pattern before it is run. */
export interface PatternSetWatch {
  onRun(ordinal: number): void;
}

/** One text in so many is timed, and notes which regexes are in use. */
const SAMPLE_EVERY = 64;
const MAX_COSTS = 20;
const DEFAULT_MAX_COMPILED = 4096;
const PREFILTERS: ReadonlySet<Prefilter> = new Set(['auto', 'always', 'never']);

/**
 * Compiles the definitions in order. A definition that is not valid, or repeats an id, becomes an entry of `errors`
 * and stops nothing else.
 * @throws {TypeError | RangeError} when `defs` is not iterable or an option is out of range
 */
export function compilePatterns(defs: Iterable<PatternDef>, options: PatternSetOptions = {}): CompileResult {
  const { set, errors } = PatternSet.from(defs, options);
  return { set, errors };
}

export class PatternSet {
  readonly #patterns: (Pattern | undefined)[] = [];
  readonly #ordinals = new Map<string, number>();
  readonly #sets = new UnitSets();
  readonly #index: PatternIndex;
  readonly #verifier: Verifier;
  /** By ordinal its rank for `first`, and by rank the ordinal; undefined after a change. */
  #ranks: Ranks | undefined;
  /** The candidates of the text at hand; kept to be filled again. */
  readonly #candidates: Searchable[] = [];
  /** Whether the text at hand is timed. */
  #sampled = false;
  readonly #costs = new Map<number, PatternCost>();
  readonly #degrees = new WeakMap<Pattern, number>();
  #watch: PatternSetWatch | undefined;
  #textCount = 0;
  #runCount = 0;
  #missCount = 0;

  /** An empty set; `compilePatterns` is the usual way to a full one. */
  constructor(options: PatternSetOptions = {}) {
    const { maxCompiled = DEFAULT_MAX_COMPILED, prefilter = 'auto' } = options;
    if (!Number.isInteger(maxCompiled) || maxCompiled < 1) {
      throw new RangeError('maxCompiled must be a positive integer');
    }
    if (!PREFILTERS.has(prefilter)) throw new RangeError(`prefilter must be 'auto', 'always' or 'never'`);
    this.#index = new PatternIndex(this.#sets, prefilter);
    this.#verifier = new Verifier(maxCompiled);
  }

  /** A set of these definitions, indexed at once, and what is wrong with the others. */
  static from(defs: Iterable<PatternDef>, options: PatternSetOptions = {}): CompileResult {
    const set = new PatternSet(options);
    const errors: PatternError[] = [];
    for (const def of defs) {
      const pattern = set.#accept(def);
      if (isPatternError(pattern)) errors.push(pattern);
    }
    set.#index.build(
      set.#patterns.flatMap((pattern, ordinal) =>
        pattern?.active === true
          ? [{ ordinal, pattern, factors: regexFactors(pattern.source, pattern.flags, set.#sets) }]
          : [],
      ),
    );
    return { set, errors };
  }

  /** Patterns held, inactive ones included. */
  get size(): number {
    return this.#ordinals.size;
  }

  /** Whether any pattern matches. */
  test(text: string): boolean {
    for (const candidate of this.#collect(text)) if (this.#matches(candidate, text)) return true;
    return false;
  }

  /** The ids of the patterns that match, in definition order. */
  ids(text: string): string[] {
    const found: string[] = [];
    for (const candidate of this.#collect(text)) {
      if (this.#matches(candidate, text)) found.push(candidate.pattern.id);
    }
    return found;
  }

  /** The first match of each pattern that matches, in definition order. */
  all(text: string): PatternMatch[] {
    const found: PatternMatch[] = [];
    for (const candidate of this.#collect(text)) {
      const match = this.#exec(candidate, text);
      if (match !== null) found.push(matchOf(candidate.pattern, match));
    }
    return found;
  }

  /** The match of the pattern with the highest priority; definition order breaks ties. */
  first(text: string): PatternMatch | undefined {
    const { ranks } = (this.#ranks ??= rank(this.#patterns));
    const candidates = this.#collect(text);
    if (ranks !== undefined) {
      candidates.sort((a, b) => (ranks[a.ordinal] as number) - (ranks[b.ordinal] as number));
    }
    for (const candidate of candidates) {
      const match = this.#exec(candidate, text);
      if (match !== null) return matchOf(candidate.pattern, match);
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
    const member = this.#index.member(ordinal);
    if (member === undefined) return { id, factors: [], reason: 'inactive: never run', ...inactive(text) };
    const { trigger, also } = member.choice;
    const clauses = trigger === undefined ? [] : [trigger, ...also];
    const factors = clauses.map(({ literals }) => literals.map((literal) => this.#sets.describe(literal)));
    const required = factors.map((strings) => strings.map((string) => JSON.stringify(string)).join(' or '));
    const reason =
      required.length === 0 ? 'run on every text' : `run when the text holds ${required.join(', and ')}`;
    if (text === undefined) return { id, factors, reason };
    const candidate = this.#collect(text).includes(member);
    return { id, factors, candidate, matches: candidate && this.#matches(member, text), reason };
  }

  /** Appends one pattern; the error, if any, says why it was not taken. */
  add(def: PatternDef): PatternError | undefined {
    const pattern = this.#accept(def);
    if (isPatternError(pattern)) return pattern;
    if (pattern.active) {
      const factors = regexFactors(pattern.source, pattern.flags, this.#sets);
      this.#index.add({ ordinal: this.#patterns.length - 1, pattern, factors });
    }
    return undefined;
  }

  /** Whether the pattern was there to be removed. */
  remove(id: string): boolean {
    const ordinal = this.#ordinals.get(id);
    if (ordinal === undefined) return false;
    this.#ordinals.delete(id);
    this.#patterns[ordinal] = undefined;
    this.#index.remove(ordinal);
    this.#verifier.forget(ordinal);
    this.#costs.delete(ordinal);
    this.#ranks = undefined;
    return true;
  }

  /** Compiles the regexes of these patterns now, as far as the cache holds them. Returns how many. */
  warm(ids: Iterable<string>): number {
    let compiled = 0;
    for (const id of ids) {
      const ordinal = this.#ordinals.get(id);
      const member = ordinal === undefined ? undefined : this.#index.member(ordinal);
      if (member === undefined || compiled === this.#verifier.maxCompiled) continue;
      this.#verifier.warm(member);
      compiled++;
    }
    return compiled;
  }

  /** Everything here is a snapshot. O(patterns). */
  stats(): PatternSetStats {
    const { literals, sizeBytes, unfiltered } = this.#index.stats();
    const active = this.#patterns.filter((pattern) => pattern?.active === true) as Pattern[];
    return {
      patterns: this.#ordinals.size,
      active: active.length,
      texts: this.#textCount,
      candidates: this.#runCount,
      falseCandidates: this.#missCount,
      unfiltered,
      literals,
      filterBytes: sizeBytes,
      compiled: this.#verifier.compiled,
      unbounded: active.filter((pattern) => this.#degreeOf(pattern) > 1).map((pattern) => pattern.id),
      costs: [...this.#costs.values()]
        .sort((a, b) => b.timeNs - a.timeNs)
        .slice(0, MAX_COSTS)
        .map((cost) => ({ ...cost })),
    };
  }

  /** The patterns in definition order, inactive ones included. */
  definitions(): PatternDef[] {
    return this.#patterns.flatMap((pattern) => {
      if (pattern === undefined) return [];
      const { type, ...definition } = pattern;
      return [type === undefined ? definition : { ...definition, type }];
    });
  }

  /** The steps, by analysis, that the worst pattern may take on a text of this length. */
  worstSteps(textLength: number): number {
    let degree = 0;
    for (const pattern of this.#patterns) {
      if (pattern?.active !== true) continue;
      degree = Math.max(degree, this.#degreeOf(pattern));
    }
    return textLength <= 1 ? 1 : textLength ** degree;
  }

  /** Has every run of a pattern announced, or no longer. */
  watch(watch: PatternSetWatch | undefined): void {
    this.#watch = watch;
  }

  /** The set as bytes, versioned and checksummed, for `PatternSet.deserialize`. */
  serialize(): Uint8Array {
    return writeSet(this.#patterns.filter((pattern) => pattern !== undefined));
  }

  /**
   * @throws {PatternsError} ERR_PERF_PATTERNS_NOT_A_SET, _TRUNCATED, _CORRUPT or _VERSION
   */
  static deserialize(bytes: Uint8Array, options: PatternSetOptions = {}): PatternSet {
    return PatternSet.from(readSet(bytes), options).set;
  }

  #accept(def: PatternDef): Pattern | PatternError {
    const pattern = readDefinition(def);
    if (isPatternError(pattern)) return pattern;
    if (this.#ordinals.has(pattern.id)) {
      const message = `the id ${JSON.stringify(pattern.id)} is taken by an earlier pattern`;
      return { id: pattern.id, code: 'ERR_PERF_PATTERNS_DUPLICATE_ID', message };
    }
    this.#ordinals.set(pattern.id, this.#patterns.length);
    this.#patterns.push(pattern);
    this.#ranks = undefined;
    return pattern;
  }

  #collect(text: string): Searchable[] {
    if (typeof text !== 'string') throw new TypeError('text must be a string');
    this.#sampled = this.#textCount++ % SAMPLE_EVERY === 0;
    const candidates = this.#candidates;
    candidates.length = 0;
    this.#index.collect(text, candidates);
    return candidates;
  }

  #matches(candidate: Searchable, text: string): boolean {
    if (candidate.removed) return false;
    this.#runCount++;
    this.#watch?.onRun(candidate.ordinal);
    const startedMs = this.#sampled ? performance.now() : 0;
    const found = this.#verifier.test(candidate, text);
    if (this.#sampled) this.#note(candidate, startedMs, found);
    if (!found) this.#missCount++;
    return found;
  }

  #exec(candidate: Searchable, text: string): RegExpExecArray | null {
    if (candidate.removed) return null;
    this.#runCount++;
    this.#watch?.onRun(candidate.ordinal);
    const startedMs = this.#sampled ? performance.now() : 0;
    const found = this.#verifier.exec(candidate, text);
    if (this.#sampled) this.#note(candidate, startedMs, found !== null);
    if (found === null) this.#missCount++;
    return found;
  }

  #note({ ordinal, pattern }: Searchable, startedMs: number, found: boolean): void {
    const timeNs = (performance.now() - startedMs) * 1e6;
    this.#verifier.touch(ordinal);
    const cost = this.#costs.get(ordinal) ?? { id: pattern.id, runs: 0, matches: 0, timeNs: 0 };
    this.#costs.set(ordinal, {
      id: pattern.id,
      runs: cost.runs + 1,
      matches: cost.matches + (found ? 1 : 0),
      timeNs: cost.timeNs + timeNs,
    });
  }

  #degreeOf(pattern: Pattern): number {
    let degree = this.#degrees.get(pattern);
    if (degree === undefined) {
      degree = complexityOf(pattern.source, pattern.flags).degree;
      this.#degrees.set(pattern, degree);
    }
    return degree;
  }
}

interface Ranks {
  /** By ordinal; absent when definition order is the order of ranks. */
  readonly ranks: Float64Array | undefined;
}

function rank(patterns: readonly (Pattern | undefined)[]): Ranks {
  const active = [...patterns.keys()].filter((ordinal) => patterns[ordinal]?.active === true);
  const priority = (ordinal: number): number => patterns[ordinal]?.priority ?? 0;
  if (active.every((ordinal) => priority(ordinal) === priority(active[0] as number)))
    return { ranks: undefined };
  const ranks = new Float64Array(patterns.length);
  active
    .sort((a, b) => priority(b) - priority(a) || a - b)
    .forEach((ordinal, place) => {
      ranks[ordinal] = place;
    });
  return { ranks };
}

function inactive(text: string | undefined): { candidate?: boolean; matches?: boolean } {
  return text === undefined ? {} : { candidate: false, matches: false };
}
