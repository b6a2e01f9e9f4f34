/**
 * How a candidate is checked, given where its literals were found. Each plan gives the same answer as running the regex
 * over the whole text:
 *
 *   literal  the hit is the match
 *   start    the regex is anchored: run it as it is
 *   fixed    a match starts a known distance before a hit: try just there (sticky)
 *   window   a match starts at most so far before a hit and is at most so long: run it over that stretch
 *   from     a match starts at most so far before a hit: run it from there on
 *   whole    run it from the start
 */
import type { Clause, RegexFactors } from './regex-factors.ts';

export type PlanKind = 'literal' | 'start' | 'fixed' | 'window' | 'from' | 'whole';

export interface SearchPlan {
  readonly kind: PlanKind;
  /** A match starts from maxOffset to minOffset units before a hit. */
  readonly minOffset: number;
  readonly maxOffset: number;
  /** A match and what it looks at end at most this far after its start. */
  readonly reach: number;
  readonly literal: string;
}

/** Beyond this a window saves nothing over running on. */
const MAX_REACH = 4096;

export function planFor(factors: RegexFactors, trigger: Clause | undefined): SearchPlan {
  const { minOffset = 0, maxOffset = Infinity } = trigger ?? {};
  const reach = factors.maxLength + factors.lookahead + 1;
  const plan = (kind: PlanKind): SearchPlan => ({
    kind,
    minOffset,
    maxOffset,
    reach,
    literal: factors.literal ?? '',
  });
  if (factors.literal !== undefined) return plan('literal');
  if (factors.anchored) return plan('start');
  if (!Number.isFinite(maxOffset)) return plan('whole');
  if (minOffset === maxOffset) return plan('fixed');
  return plan(reach <= MAX_REACH && Number.isFinite(minOffset) ? 'window' : 'from');
}
