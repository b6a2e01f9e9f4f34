/**
 * Which of a pattern's clauses makes it a candidate: the one whose literals are least likely to be in a text for
 * another reason, judged by what the whole set looks for. When even that one is common, a few others have to be there,
 * too.
 */
import type { GramStatistics } from './gram-statistics.ts';
import type { Clause, RegexFactors } from './regex-factors.ts';

export interface TriggerChoice {
  readonly trigger: Clause | undefined;
  readonly atStart: boolean;
  readonly also: readonly Clause[];
}

/** A trigger with a smaller chance needs no company. */
const RARE = 0.02;
/** What has a greater chance is in most texts anyway. */
const COMMON = 0.8;
const MAX_ALSO = 3;
/** Where all triggers are this long the filter samples, and shorter literals would keep it from that. */
const SAMPLED = 5;
const LONG = 8;
/** Clauses of more literals cost more to look for than they save. */
const MAX_ALSO_LITERALS = 64;
/** Variants of one thing: how much the chances of all but the most common literal are worth. */
const VARIANTS = 4;
/** What it costs not to know where a match starts. */
const UNBOUNDED = 0.02;

export function chooseTrigger(factors: RegexFactors, statistics: GramStatistics): TriggerChoice {
  const { clauses, anchored } = factors;
  const costs = clauses
    .map((clause) => ({ clause, cost: costOf(clause, anchored, statistics) }))
    .filter(({ cost }) => cost < Infinity)
    .sort((a, b) => a.cost - b.cost);
  const [best] = costs;
  if (best === undefined) return { trigger: undefined, atStart: false, also: [] };
  const atStart = isAtStart(best.clause, anchored);
  const also: Clause[] = [];
  for (const { clause, cost } of costs.slice(1)) {
    if (also.length === MAX_ALSO || best.cost < RARE || cost > COMMON || factors.literal !== undefined) break;
    if (clause.literals.length > MAX_ALSO_LITERALS || isAtStart(clause, anchored)) continue;
    if (![best.clause, ...also].some((other) => implies(other, clause))) also.push(clause);
  }
  return { trigger: best.clause, atStart, also };
}

/** Whether the literals of the clause can only stand at the start of the text. */
function isAtStart({ minOffset, maxOffset }: Clause, anchored: boolean): boolean {
  return anchored && minOffset === 0 && maxOffset === 0;
}

/** Drops the company that would keep the filter from sampling. */
export function withoutShortCompany(choices: readonly TriggerChoice[]): readonly TriggerChoice[] {
  let least = Infinity;
  for (const { trigger, atStart } of choices) {
    if (trigger !== undefined && !atStart) least = Math.min(least, shortest(trigger));
  }
  if (least < SAMPLED) return choices;
  const enough = Math.min(LONG, least);
  return choices.map((choice) => ({
    ...choice,
    also: choice.also.filter((clause) => shortest(clause) >= enough),
  }));
}

function shortest({ literals }: Clause): number {
  return literals.reduce((length, literal) => Math.min(length, literal.length), Infinity);
}

/** Whether seeing the one is seeing the other. */
function implies(one: Clause, other: Clause): boolean {
  return one.literals.every((literal) => other.literals.some((part) => literal.includes(part)));
}

/** About the chance that a text holds a literal of the clause. */
function costOf(clause: Clause, anchored: boolean, statistics: GramStatistics): number {
  const { literals } = clause;
  // The start of a text is one place among many, and looking there costs next to nothing.
  if (isAtStart(clause, anchored))
    return literals.reduce((sum, literal) => sum + statistics.chanceAt(literal), 0);
  let worst = 0;
  let sum = 0;
  for (const literal of literals) {
    const chance = statistics.ofLiteral(literal);
    if (chance === Infinity) return Infinity;
    worst = Math.max(worst, chance);
    sum += chance;
  }
  // Literals of one clause are often variants of one thing, so their chances do not add up.
  return (
    worst +
    (sum - worst) / (VARIANTS * Math.sqrt(literals.length)) +
    (Number.isFinite(clause.maxOffset) ? 0 : UNBOUNDED)
  );
}
