/** Runs candidates: the least that decides whether, and where, a pattern matches. */
import type { CandidateFilter } from './candidate-filter.ts';
import type { Pattern } from './pattern-def.ts';
import { RegexCache } from './regex-cache.ts';
import type { SearchPlan } from './search-plan.ts';
import type { TriggerChoice } from './trigger-choice.ts';

/** Shorter texts are run through; cutting them up costs more. */
const SHORTEST_WINDOWED_TEXT = 512;

/** A pattern with its plan, and its place in the filter that found it. */
export interface Searchable {
  readonly ordinal: number;
  readonly pattern: Pattern;
  readonly plan: SearchPlan;
  readonly choice: TriggerChoice;
  readonly filter: CandidateFilter | undefined;
  readonly slot: number;
  removed: boolean;
}

export class Verifier {
  readonly #cache: RegexCache;
  /** Whether the match is wanted, or only that there is one. */
  #capture = false;
  #found: RegExpExecArray | null = null;

  constructor(maxCompiled: number) {
    this.#cache = new RegexCache(maxCompiled);
  }

  get compiled(): number {
    return this.#cache.size;
  }

  get maxCompiled(): number {
    return this.#cache.max;
  }

  forget(ordinal: number): void {
    this.#cache.delete(2 * ordinal);
    this.#cache.delete(2 * ordinal + 1);
  }

  /** Notes that a pattern is in use; see RegexCache. */
  touch(ordinal: number): void {
    this.#cache.touch(2 * ordinal);
  }

  /** Compiles the regex of a pattern as its plan wants it. */
  warm(target: Searchable): void {
    if (target.plan.kind !== 'literal') this.#regex(target, target.plan.kind === 'fixed').test('');
  }

  test(target: Searchable, text: string): boolean {
    this.#capture = false;
    return this.#search(target, text);
  }

  exec(target: Searchable, text: string): RegExpExecArray | null {
    this.#capture = true;
    this.#found = null;
    return this.#search(target, text) ? this.#found : null;
  }

  #search(target: Searchable, text: string): boolean {
    const { plan, filter, slot } = target;
    if (plan.kind === 'start') return this.#attempt(this.#regex(target, false), 0, text);
    if (filter === undefined || !filter.isHit(slot)) return this.#searchWithoutHit(target, text);
    switch (plan.kind) {
      case 'literal':
        return this.#literalAt(plan.literal, filter.firstPlace(slot), text);
      case 'fixed':
        return this.#searchFixed(target, filter, text);
      case 'window':
        return text.length >= SHORTEST_WINDOWED_TEXT && filter.hitsAreComplete(slot)
          ? this.#searchWindows(target, filter, text)
          : this.#searchFrom(target, filter, text);
      case 'from':
        return this.#searchFrom(target, filter, text);
      default:
        return this.#attempt(this.#regex(target, false), 0, text);
    }
  }

  #searchFrom(target: Searchable, filter: CandidateFilter, text: string): boolean {
    const from = Math.max(0, filter.firstPlace(target.slot) - target.plan.maxOffset);
    return this.#attempt(this.#regex(target, false), from, text);
  }

  /** The filter did not look for this pattern. */
  #searchWithoutHit(target: Searchable, text: string): boolean {
    const { plan } = target;
    if (plan.kind !== 'literal') return this.#attempt(this.#regex(target, false), 0, text);
    const place = text.indexOf(plan.literal);
    return place !== -1 && this.#literalAt(plan.literal, place, text);
  }

  #literalAt(literal: string, index: number, text: string): boolean {
    if (this.#capture) {
      this.#found = Object.assign([literal] as [string], { index, input: text });
    }
    return true;
  }

  #searchFixed(target: Searchable, filter: CandidateFilter, text: string): boolean {
    const { slot, plan } = target;
    if (!filter.hitsAreComplete(slot)) return this.#searchFrom(target, filter, text);
    const regex = this.#regex(target, true);
    const first = filter.firstPlace(slot) - plan.maxOffset;
    if (first >= 0 && this.#attempt(regex, first, text)) return true;
    if (filter.hitCount(slot) === 1) return false;
    for (const place of filter.places(slot)) {
      const start = place - plan.maxOffset;
      if (start > first && start >= 0 && this.#attempt(regex, start, text)) return true;
    }
    return false;
  }

  /**
   * Looks where a match can start, with the text cut off beyond what such a match can reach. What starts later in the
   * stretch than any hit allows may owe its match to the cut, and is left to the hit it belongs to.
   */
  #searchWindows(target: Searchable, filter: CandidateFilter, text: string): boolean {
    const { minOffset, maxOffset, reach } = target.plan;
    const regex = this.#regex(target, false);
    let tried = -1;
    for (const place of filter.places(target.slot)) {
      const from = Math.max(tried + 1, place - maxOffset);
      const last = place - minOffset;
      if (last < from) continue;
      tried = last;
      regex.lastIndex = from;
      const found = regex.exec(text.slice(0, last + reach));
      if (found === null || found.index > last) continue;
      this.#found = found;
      return true;
    }
    return false;
  }

  #attempt(regex: RegExp, from: number, text: string): boolean {
    regex.lastIndex = from;
    if (!this.#capture) return regex.test(text);
    this.#found = regex.exec(text);
    return this.#found !== null;
  }

  /** Anchored regexes keep their flags; others are made global, or sticky, to start at a given place. */
  #regex({ ordinal, pattern, plan }: Searchable, sticky: boolean): RegExp {
    const key = 2 * ordinal + (sticky ? 1 : 0);
    let regex = this.#cache.get(key);
    if (regex === undefined) {
      const flags = pattern.flags.replace(/[dg]/g, '');
      const place = plan.kind === 'start' ? '' : sticky ? 'y' : 'g';
      regex = new RegExp(pattern.source, flags + place);
      this.#cache.set(key, regex);
    }
    return regex;
  }
}
