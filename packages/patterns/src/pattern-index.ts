/**
 * Patterns behind candidate filters, in definition order, with cheap growth.
 *
 * Patterns are held in segments, each with a filter of its own, and a short tail that is run on every text. A full tail
 * becomes a segment, and a segment that is not four times as large as the next one is merged with it (the shape of a
 * log-structured merge tree), so that n additions rebuild O(n log n) patterns and a text is scanned O(log n) times.
 * Ordinals ascend through the segments.
 */
import { CandidateFilter } from './candidate-filter.ts';
import { GramStatistics } from './gram-statistics.ts';
import type { Pattern } from './pattern-def.ts';
import type { RegexFactors } from './regex-factors.ts';
import { planFor, type SearchPlan } from './search-plan.ts';
import { chooseTrigger, withoutShortCompany, type TriggerChoice } from './trigger-choice.ts';
import type { UnitSets } from './unit-sets.ts';
import type { Searchable } from './verifier.ts';

/** A pattern with what its index has to know. */
export interface IndexedPattern {
  readonly ordinal: number;
  readonly pattern: Pattern;
  readonly factors: RegexFactors;
}

/** 'auto' leaves the filter out where running the regexes is cheaper. */
export type Prefilter = 'auto' | 'always' | 'never';

const MAX_TAIL = 16;
const GROWTH = 4;
/** Scanning costs about as much as running so many regexes. */
const FEWEST_FILTERED = 5;
/** Texts between two looks at whether the filter pays, and how long it stays off when it does not. */
const TRIAL_TEXTS = 256;
const BYPASSED_TEXTS = 4096;
/** A filter that lets through more than this share of the patterns does not pay. */
const MAX_CANDIDATE_SHARE = 0.5;

class Segment {
  readonly members: readonly Searchable[];
  readonly indexed: readonly IndexedPattern[];
  readonly filter: CandidateFilter;
  readonly #adaptive: boolean;
  #texts = 0;
  #hits = 0;
  /** Texts left for which the filter is not asked. */
  #bypass = 0;

  constructor(indexed: readonly IndexedPattern[], sets: UnitSets, prefilter: Prefilter) {
    this.indexed = indexed;
    this.#adaptive = prefilter === 'auto';
    const statistics = new GramStatistics(sets);
    for (const { factors } of indexed) statistics.count(factors.clauses.flatMap((clause) => clause.literals));
    const choices = chooseTriggers(indexed, statistics, prefilter);
    const plans = indexed.map(({ factors }, slot) => planFor(factors, choices[slot]?.trigger));
    this.filter = new CandidateFilter(
      choices.map((choice, slot) => ({ ...choice, allHits: wantsAllHits(plans[slot] as SearchPlan) })),
      sets,
      statistics,
    );
    this.members = indexed.map(({ ordinal, pattern }, slot) => ({
      ordinal,
      pattern,
      plan: plans[slot] as SearchPlan,
      choice: choices[slot] as TriggerChoice,
      filter: this.filter,
      slot,
      removed: false,
    }));
  }

  /** Appends the members that may match, in order. */
  collect(text: string, into: Searchable[]): void {
    const { filter, members } = this;
    if (this.#bypass > 0) {
      this.#bypass--;
      filter.skip();
      for (const member of members) into.push(member);
      return;
    }
    filter.scan(text);
    const { always, candidates } = filter;
    const count = sortDistinct(candidates, filter.count);
    let next = 0;
    for (const slot of always) {
      while (next < count && (candidates[next] as number) < slot) {
        into.push(members[candidates[next++] as number] as Searchable);
      }
      into.push(members[slot] as Searchable);
    }
    while (next < count) into.push(members[candidates[next++] as number] as Searchable);
    if (this.#adaptive) this.#judge(count);
  }

  #judge(hits: number): void {
    this.#hits += hits;
    if (++this.#texts < TRIAL_TEXTS) return;
    const filtered = this.members.length - this.filter.always.length;
    if (this.#hits > MAX_CANDIDATE_SHARE * filtered * TRIAL_TEXTS) this.#bypass = BYPASSED_TEXTS;
    this.#texts = 0;
    this.#hits = 0;
  }
}

export class PatternIndex {
  readonly #prefilter: Prefilter;
  readonly #sets: UnitSets;
  #segments: Segment[] = [];
  #tail: IndexedPattern[] = [];
  /** By ordinal. */
  readonly #members: (Searchable | undefined)[] = [];
  #removed = 0;

  constructor(sets: UnitSets, prefilter: Prefilter) {
    this.#sets = sets;
    this.#prefilter = prefilter;
  }

  /** Builds one segment of everything at once. The index must be empty. */
  build(indexed: readonly IndexedPattern[]): void {
    if (indexed.length > 0) this.#push(indexed);
  }

  /** Appends a pattern with the greatest ordinal so far. */
  add(indexed: IndexedPattern): void {
    this.#tail.push(indexed);
    this.#remember(runAlways(indexed));
    if (this.#tail.length < MAX_TAIL) return;
    const parts = [this.#tail];
    let size = this.#tail.length;
    this.#tail = [];
    for (
      let last = this.#segments.at(-1);
      last !== undefined && last.indexed.length < GROWTH * size;
      last = this.#segments.at(-1)
    ) {
      parts.unshift([...last.indexed]);
      size += last.indexed.length;
      this.#segments.pop();
    }
    this.#push(parts.flat().filter(({ ordinal }) => this.#members[ordinal] !== undefined));
  }

  /** Takes a pattern out; filters are rebuilt when half of what they look for is gone. */
  remove(ordinal: number): void {
    const member = this.#members[ordinal];
    if (member === undefined) return;
    member.removed = true;
    this.#members[ordinal] = undefined;
    this.#tail = this.#tail.filter((indexed) => indexed.ordinal !== ordinal);
    const indexed = this.#segments.flatMap((segment) => segment.indexed);
    if (++this.#removed * 2 <= indexed.length) return;
    this.#removed = 0;
    this.#segments = [];
    this.build(indexed.filter((kept) => this.#members[kept.ordinal] !== undefined));
  }

  member(ordinal: number): Searchable | undefined {
    return this.#members[ordinal];
  }

  /** The patterns that may match, in definition order; some may have been removed. Valid until the next call. */
  collect(text: string, into: Searchable[]): void {
    for (const segment of this.#segments) segment.collect(text, into);
    for (const { ordinal } of this.#tail) into.push(this.#members[ordinal] as Searchable);
  }

  /** Literals, bytes and unfiltered patterns over all segments. */
  stats(): { literals: number; sizeBytes: number; unfiltered: number } {
    const filters = this.#segments.map((segment) => segment.filter);
    return {
      literals: filters.reduce((sum, filter) => sum + filter.literalCount, 0),
      sizeBytes: filters.reduce((sum, filter) => sum + filter.sizeBytes, 0),
      unfiltered: filters.reduce((sum, filter) => sum + filter.always.length, this.#tail.length),
    };
  }

  #push(indexed: readonly IndexedPattern[]): void {
    const segment = new Segment(indexed, this.#sets, this.#prefilter);
    this.#segments.push(segment);
    for (const member of segment.members) this.#remember(member);
  }

  #remember(member: Searchable): void {
    while (this.#members.length <= member.ordinal) this.#members.push(undefined);
    this.#members[member.ordinal] = member;
  }
}

function runAlways({ ordinal, pattern, factors }: IndexedPattern): Searchable {
  const plan = planFor(factors, undefined);
  return { ordinal, pattern, plan, choice: UNFILTERED, filter: undefined, slot: 0, removed: false };
}

function chooseTriggers(
  indexed: readonly IndexedPattern[],
  statistics: GramStatistics,
  prefilter: Prefilter,
): readonly TriggerChoice[] {
  if (prefilter === 'never') return indexed.map(() => UNFILTERED);
  const choices = withoutShortCompany(indexed.map(({ factors }) => chooseTrigger(factors, statistics)));
  if (prefilter === 'always') return choices;
  const scanned = choices.filter(({ trigger, atStart }) => trigger !== undefined && !atStart);
  if (scanned.length >= FEWEST_FILTERED) return choices;
  return choices.map((choice) => (choice.atStart ? { ...choice, also: [] } : UNFILTERED));
}

const UNFILTERED: TriggerChoice = { trigger: undefined, atStart: false, also: [] };

function wantsAllHits({ kind }: SearchPlan): boolean {
  return kind === 'fixed' || kind === 'window';
}

/** Sorts the first values, drops repeated ones and returns how many are left. Few, and nearly in order as a rule. */
function sortDistinct(values: Uint32Array, count: number): number {
  if (count > 64) values.subarray(0, count).sort();
  else insertionSort(values, count);
  let kept = 0;
  for (let i = 0; i < count; i++) {
    if (i > 0 && values[i] === values[kept - 1]) continue;
    values[kept++] = values[i] as number;
  }
  return kept;
}

function insertionSort(values: Uint32Array, count: number): void {
  for (let i = 1; i < count; i++) {
    const value = values[i] as number;
    let j = i - 1;
    for (; j >= 0 && (values[j] as number) > value; j--) values[j + 1] = values[j] as number;
    values[j + 1] = value;
  }
}
