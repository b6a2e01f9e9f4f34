/**
 * What every match of a regex must contain, read off its syntax tree.
 *
 * The result is an AND of ORs: a match contains at least one literal of every clause, and that literal starts between
 * `minOffset` and `maxOffset` units after the start of the match. A literal is a string in which a unit may stand for a
 * set (unit-sets). Everything here errs on the generous side: a construct that is not understood contributes nothing,
 * and what cannot be kept small is dropped.
 *
 * Each node is summed up by how its matches start: some are exactly one of the `open` literals, the others begin with
 * one of the `closed` ones. Concatenation appends to the open literals and cuts the lot into a clause when none is left
 * open or there are too many; alternation unites; a repetition keeps what its first round must contain. (The idea:
 * prefilters of RE2, and the sequences of exact and inexact literals in Rust's regex-syntax.)
 */
import { RegExpParser, type AST } from '@eslint-community/regexpp';
import { hasCaseVariants } from './case-folding.ts';
import {
  readCharacter,
  readCharacterClass,
  readCharacterSet,
  type Mode,
  type Reading,
} from './class-reading.ts';
import { isSetUnit, isWideSetUnit, type UnitSets } from './unit-sets.ts';

/** One of these is in every match. */
export interface Clause {
  readonly literals: readonly string[];
  /** Least and greatest distance from the start of the match to the literal; may be negative or infinite. */
  readonly minOffset: number;
  readonly maxOffset: number;
}

export interface RegexFactors {
  readonly clauses: readonly Clause[];
  /** A match can only start at the start of the text. */
  readonly anchored: boolean;
  /** Longest match in units, or Infinity. */
  readonly maxLength: number;
  /** How far past the end of a match the regex may look, or Infinity. */
  readonly lookahead: number;
  /** Set when the regex matches this string and nothing else, so that finding it is a match. */
  readonly literal?: string;
}

const NO_FACTORS: RegexFactors = { clauses: [], anchored: false, maxLength: Infinity, lookahead: Infinity };

/** Most literals of a start. */
const MAX_STARTS = 48;
/** Most literals of a clause. */
const MAX_CLAUSE = 256;
/** Longest literal in units. */
const MAX_LITERAL = 64;

/** How the matches of a node start. */
interface Start {
  readonly open: readonly string[];
  readonly closed: readonly string[];
}

/** How a match goes on from a place that lies between these offsets from its start. */
interface Run {
  readonly start: Start;
  readonly min: number;
  readonly max: number;
}

interface Summary {
  /** Absent when nothing is known. */
  readonly start: Start | undefined;
  /** For a node whose start is not all open: a later run, whose open literals end where the match ends. */
  readonly tail: Run | undefined;
  readonly clauses: readonly Clause[];
  /** Lengths in units. */
  readonly min: number;
  readonly max: number;
}

const EMPTY: Start = { open: [''], closed: [] };
const NOTHING: Summary = { start: EMPTY, tail: undefined, clauses: [], min: 0, max: 0 };
/** A string of unknown length: back-references, classes with strings. */
const UNKNOWN: Summary = { start: undefined, tail: undefined, clauses: [], min: 0, max: Infinity };

/** The factors of a valid regex; none when its syntax is newer than the parser. */
export function regexFactors(source: string, flags: string, sets: UnitSets): RegexFactors {
  const plain = plainLiteral(source, flags);
  if (plain !== undefined) return literalFactors(plain);
  const unicodeSets = flags.includes('v');
  const mode: Mode = {
    unicode: unicodeSets || flags.includes('u'),
    ignoreCase: flags.includes('i'),
    dotAll: flags.includes('s'),
  };
  let pattern: AST.Pattern;
  try {
    const parser = new RegExpParser();
    pattern = parser.parsePattern(source, 0, source.length, { unicode: flags.includes('u'), unicodeSets });
  } catch {
    return NO_FACTORS;
  }
  const reader = new FactorReader(sets);
  const summary = reader.alternation(pattern.alternatives, mode);
  if (reader.isUnsure) return NO_FACTORS;
  const sticky = flags.includes('y');
  const literal = sticky ? undefined : wholeLiteral(pattern, mode);
  return {
    clauses: allClauses(summary),
    anchored: sticky || everyStartsAtStart(pattern.alternatives, flags.includes('m')),
    maxLength: summary.max,
    lookahead: reader.lookahead,
    ...(literal === undefined ? undefined : { literal }),
  };
}

/** Most patterns of a word list need no parser: plain characters, some of them escaped punctuation. */
const PLAIN = /^(?:[\w \-:;,<>@#%&~"'`=!]|\\[./\-()[\]{}+*?^$|\\])+$/;

function plainLiteral(source: string, flags: string): string | undefined {
  // An escaped hyphen is an error in unicode mode, letters fold in case-insensitive mode: leave those to the parser.
  if (/[iuvy]/.test(flags) || source.length > MAX_LITERAL || !PLAIN.test(source)) return undefined;
  return source.replace(/\\(.)/g, '$1');
}

function literalFactors(literal: string): RegexFactors {
  const clauses = [{ literals: [literal], minOffset: 0, maxOffset: 0 }];
  return { clauses, anchored: false, maxLength: literal.length, lookahead: 0, literal };
}

/** Reads summaries; remembers the farthest lookahead on the way. */
class FactorReader {
  readonly #sets: UnitSets;
  /** `\b` and `$` look one unit ahead. */
  lookahead = 1;
  /**
   * Set for a group with modifiers. V8 13.6 does not keep to their scope: `(?i:(?m:k))|[k]` matches `K`, and
   * `жукa(?-i:\\D?)` with `i` matches `ЖУКA` when sticky and not otherwise. What V8 does is what counts, so such a
   * regex is run as it is.
   */
  isUnsure = false;

  constructor(sets: UnitSets) {
    this.#sets = sets;
  }

  alternation(alternatives: readonly AST.Alternative[], mode: Mode): Summary {
    const parts = alternatives.map((alternative) => this.#concatenation(alternative.elements, mode));
    return parts.length === 1 ? (parts[0] as Summary) : unite(parts);
  }

  #concatenation(elements: readonly AST.Element[], mode: Mode): Summary {
    if (elements.length === 1) return this.#element(elements[0] as AST.Element, mode);
    const sequence = new Concatenation();
    for (const element of elements) sequence.append(this.#element(element, mode));
    return sequence.finish();
  }

  #element(node: AST.Element, mode: Mode): Summary {
    switch (node.type) {
      case 'Character':
        return this.#oneOf(readCharacter(node.value, mode), mode);
      case 'CharacterClass':
        return this.#class(node, mode);
      case 'CharacterSet':
        return node.kind === 'property' && node.strings
          ? UNKNOWN
          : this.#oneOf(readCharacterSet(node, mode), mode);
      case 'ExpressionCharacterClass':
      case 'Backreference':
        return UNKNOWN;
      case 'CapturingGroup':
        return this.alternation(node.alternatives, mode);
      case 'Group':
        return this.#group(node, mode);
      case 'Quantifier':
        return repeat(this.#element(node.element, mode), node.min, node.max);
      default:
        return this.#assertion(node, mode);
    }
  }

  #group(node: AST.Group, mode: Mode): Summary {
    if (node.modifiers !== null) this.isUnsure = true;
    return this.alternation(node.alternatives, mode);
  }

  #class(node: AST.CharacterClass, mode: Mode): Summary {
    const set = readCharacterClass(node, mode);
    if (set !== undefined) return this.#oneOf(set, mode);
    // Only a class in `v` mode holds strings, and not when negated.
    return node.unicodeSets && !node.negate ? UNKNOWN : this.#oneOf(undefined, mode);
  }

  #oneOf(reading: Reading, { unicode }: Mode): Summary {
    const text = typeof reading === 'object' ? this.#sets.unitFor(reading) : reading;
    if (text === undefined) return { ...UNKNOWN, min: 1, max: unicode ? 2 : 1 };
    return { ...NOTHING, start: { open: [text], closed: [] }, min: text.length, max: text.length };
  }

  #assertion(node: AST.Assertion, mode: Mode): Summary {
    if (node.kind !== 'lookahead' && node.kind !== 'lookbehind') return NOTHING;
    const inner = this.alternation(node.alternatives, mode);
    if (node.kind === 'lookahead') this.lookahead = Math.max(this.lookahead, inner.max + 1);
    if (node.negate) return NOTHING;
    const clauses = allClauses(inner);
    if (node.kind === 'lookahead') return { ...NOTHING, clauses };
    // Its content lies somewhere in the units before this place.
    return {
      ...NOTHING,
      clauses: clauses.map((clause) => ({ ...clause, minOffset: -inner.max, maxOffset: 0 })),
    };
  }
}

/**
 * Sums up a sequence from left to right. Two runs are kept: the long one goes on as long as any of its literals is
 * open; the fresh one starts after the last part that was not open throughout, so that a poor closed literal in the
 * long run does not spoil what comes after it.
 */
class Concatenation {
  readonly #clauses: Clause[] = [];
  #long: Run = { start: EMPTY, min: 0, max: 0 };
  #fresh: Run | undefined;
  /** The start of the sequence, once the first run has been cut. */
  #first: Start | undefined;
  #wasCut = false;
  #min = 0;
  #max = 0;

  append(part: Summary): void {
    for (const { literals, minOffset, maxOffset } of part.clauses) {
      this.#clauses.push({ literals, minOffset: minOffset + this.#min, maxOffset: maxOffset + this.#max });
    }
    const { start } = part;
    const tail = part.tail ?? { start: EMPTY, min: part.min, max: part.max };
    const next: Run = { start: tail.start, min: this.#min + tail.min, max: this.#max + tail.max };
    if (start === undefined) this.#cutBoth();
    else this.#extend(start);
    this.#min += part.min;
    this.#max += part.max;
    if (start?.closed.length === 0) return;
    if (start === undefined || this.#long.start.open.length === 0) {
      this.#cutBoth();
      this.#long = next;
    } else {
      this.#emit(this.#fresh);
      this.#fresh = next;
    }
  }

  /** Appends to both runs; a run that grows too large is cut, and another begins here. */
  #extend(start: Start): void {
    const here: Run = { start, min: this.#min, max: this.#max };
    const fresh = this.#fresh && (grown(this.#fresh, start) ?? here);
    if (fresh === here) this.#emit(this.#fresh);
    const long = grown(this.#long, start);
    if (long === undefined) {
      this.#cut(this.#long);
      this.#long = fresh ?? here;
      this.#fresh = undefined;
    } else {
      this.#long = long;
      this.#fresh = fresh;
    }
  }

  #cutBoth(): void {
    this.#cut(this.#long);
    this.#emit(this.#fresh);
    this.#long = { start: NONE, min: 0, max: 0 };
    this.#fresh = undefined;
  }

  /** Turns a run into a clause; the first one is how the sequence starts. */
  #cut(run: Run): void {
    this.#emit(run);
    const literals = [...run.start.open, ...run.start.closed];
    if (!this.#wasCut && literals.length > 0) this.#first = { open: [], closed: literals };
    this.#wasCut = true;
  }

  #emit(run: Run | undefined): void {
    if (run === undefined) return;
    const clause = clauseOf([...run.start.open, ...run.start.closed], run.min, run.max);
    if (clause !== undefined) this.#clauses.push(clause);
  }

  finish(): Summary {
    const lengths = { min: this.#min, max: this.#max };
    const { start } = this.#long;
    this.#emit(this.#fresh);
    const tail = this.#fresh ?? this.#long;
    if (!this.#wasCut) return { start, tail, clauses: this.#clauses, ...lengths };
    this.#emit(this.#long);
    return { start: this.#first, tail, clauses: this.#clauses, ...lengths };
  }
}

const NONE: Start = { open: [], closed: [] };

function grown(run: Run, start: Start): Run | undefined {
  const joined = join(run.start, start);
  return joined && { ...run, start: joined };
}

/** `a|b|...` */
function unite(parts: readonly Summary[]): Summary {
  const lengths = {
    min: Math.min(...parts.map((part) => part.min)),
    max: Math.max(...parts.map((part) => part.max)),
  };
  const start = uniteStarts(parts);
  // An open start says it all; what a lookahead requires in one alternative is not required by the others.
  if (start?.closed.length === 0) return { start, tail: undefined, clauses: [], ...lengths };
  const clause = uniteClauses(parts);
  return { start, tail: uniteTails(parts), clauses: clause === undefined ? [] : [clause], ...lengths };
}

function uniteStarts(parts: readonly Summary[]): Start | undefined {
  const open = new Set<string>();
  const closed = new Set<string>();
  for (const { start } of parts) {
    if (start === undefined) return undefined;
    for (const literal of start.open) open.add(literal);
    for (const literal of start.closed) closed.add(literal);
  }
  return open.size + closed.size > MAX_STARTS ? undefined : { open: [...open], closed: [...closed] };
}

function uniteTails(parts: readonly Summary[]): Run | undefined {
  const open = new Set<string>();
  const closed = new Set<string>();
  let min = Infinity;
  let max = -Infinity;
  for (const { start, tail } of parts) {
    if (start === undefined) return undefined;
    // An alternative whose end is not known is known by its start, if that says anything.
    const own = tail?.start.open.includes('') === false ? tail : { start: whole(start), min: 0, max: 0 };
    if (own.start.closed.some((literal) => commonness(literal) > TELLING)) return undefined;
    for (const literal of own.start.open) open.add(literal);
    for (const literal of own.start.closed) closed.add(literal);
    min = Math.min(min, own.min);
    max = Math.max(max, own.max);
  }
  if (open.size + closed.size > MAX_STARTS) return undefined;
  return { start: { open: [...open], closed: [...closed] }, min, max };
}

/** A literal more common than this says too little to be carried along. */
const TELLING = 0.002;

/** A start as a tail: what is open still is when there is nothing but the start. */
function whole(start: Start): Start {
  return start.closed.length === 0 ? start : { open: [], closed: [...start.open, ...start.closed] };
}

/** The rarest clause of each alternative, joined; none when an alternative has none. */
function uniteClauses(parts: readonly Summary[]): Clause | undefined {
  const literals = new Set<string>();
  let minOffset = Infinity;
  let maxOffset = -Infinity;
  for (const part of parts) {
    const best = rarest(allClauses(part));
    if (best === undefined) return undefined;
    for (const literal of best.literals) literals.add(literal);
    minOffset = Math.min(minOffset, best.minOffset);
    maxOffset = Math.max(maxOffset, best.maxOffset);
  }
  return literals.size > MAX_CLAUSE ? undefined : { literals: [...literals], minOffset, maxOffset };
}

/** The clauses of a node, and its start as one more. */
function allClauses({ start, clauses }: Summary): readonly Clause[] {
  const clause = start && clauseOf([...start.open, ...start.closed], 0, 0);
  return clause === undefined ? clauses : [...clauses, clause];
}

/** A clause of these literals, without the wide sets at their ends; none when a literal is empty. */
function clauseOf(literals: readonly string[], minOffset: number, maxOffset: number): Clause | undefined {
  let kept = literals.map(withoutTrailingSets);
  let leading = 0;
  while (kept.every((literal) => literal.length > 1 && isWideSetUnit(literal.charCodeAt(0)))) {
    kept = kept.map((literal) => literal.slice(1));
    leading++;
    if (kept.length === 0) return undefined;
  }
  if (kept.length === 0 || kept.includes('')) return undefined;
  return { literals: kept, minOffset: minOffset + leading, maxOffset: maxOffset + leading };
}

/** Wide sets at the end of a literal say little and keep equal clauses apart. */
function withoutTrailingSets(literal: string): string {
  let length = literal.length;
  while (length > 1 && isWideSetUnit(literal.charCodeAt(length - 1))) length--;
  return literal.slice(0, length);
}

function rarest(clauses: readonly Clause[]): Clause | undefined {
  let best: Clause | undefined;
  let least = Infinity;
  for (const clause of clauses) {
    const cost = clause.literals.reduce((sum, literal) => sum + commonness(literal), 0);
    if (cost < least) [best, least] = [clause, cost];
  }
  return best;
}

/** A rough chance of a literal at a place of an ordinary text: one in ten for a unit, one in two for a set. */
function commonness(literal: string): number {
  let chance = 1;
  for (let i = 0; i < literal.length; i++) chance *= isSetUnit(literal.charCodeAt(i)) ? 0.5 : 0.1;
  return Math.max(chance, 1e-9);
}

/** `e{min,max}`. */
function repeat(element: Summary, min: number, max: number): Summary {
  if (max === 0) return NOTHING;
  if (min === 1 && max === 1) return element;
  const lengths = { min: times(element.min, min), max: times(element.max, max) };
  const clauses = min === 0 ? [] : element.clauses;
  const rounds = element.start === undefined ? undefined : spellOut(element.start, min, max);
  if (rounds !== undefined) return { start: rounds, tail: undefined, clauses, ...lengths };
  if (min === 0) return { ...UNKNOWN, ...lengths };
  const { start, tail } = element;
  if (start === undefined || start.closed.length > 0) {
    const literals = start === undefined ? undefined : [...start.open, ...start.closed];
    const last = tail && { ...tail, min: tail.min, max: times(element.max, max - 1) + tail.max };
    return { start: literals && { open: [], closed: literals }, tail: last, clauses, ...lengths };
  }
  const required = requiredRounds(start.open, min);
  const last: Run = {
    start: { open: required, closed: [] },
    min: lengths.min - longest(required),
    max: lengths.max - shortest(required),
  };
  return { start: { open: [], closed: required }, tail: last, clauses, ...lengths };
}

/** 0 x Infinity is 0: no rounds, no length. */
function times(length: number, rounds: number): number {
  return length === 0 || rounds === 0 ? 0 : length * rounds;
}

/** Most rounds that are spelled out when their number varies. */
const MAX_VARYING_ROUNDS = 3;

/** All starts of min to max rounds, if they are few. A varying number of sets is not worth its length. */
function spellOut(element: Start, min: number, max: number): Start | undefined {
  if (max > MAX_LITERAL) return undefined;
  if (min !== max && max > MAX_VARYING_ROUNDS) return undefined;
  if (min !== max && max > 1 && element.open.some(hasSet)) return undefined;
  let power = EMPTY;
  const open = new Set<string>(min === 0 ? [''] : []);
  const closed = new Set<string>();
  for (let round = 1; round <= max; round++) {
    const next = join(power, element);
    if (next === undefined) return undefined;
    power = next;
    for (const literal of power.closed) closed.add(literal);
    if (round >= min) for (const literal of power.open) open.add(literal);
  }
  return open.size + closed.size > MAX_STARTS ? undefined : { open: [...open], closed: [...closed] };
}

/** The strings of as many of the required rounds as stay few. */
function requiredRounds(element: readonly string[], min: number): readonly string[] {
  let power: Start = { open: element, closed: [] };
  for (let round = 2; round <= min; round++) {
    const next = join(power, { open: element, closed: [] });
    if (next === undefined) break;
    power = next;
  }
  return power.open;
}

/** What starts with `left` and goes on with `right`; undefined when that is too much to keep. */
function join(left: Start, right: Start): Start | undefined {
  const { open: lefts } = left;
  if (lefts.length * (right.open.length + right.closed.length) + left.closed.length > MAX_STARTS)
    return undefined;
  const open = new Set<string>();
  const closed = new Set(left.closed);
  for (const a of lefts) {
    for (const b of right.open) open.add(a + b);
    for (const b of right.closed) closed.add(a + b);
  }
  for (const literal of open) if (literal.length > MAX_LITERAL) return undefined;
  for (const literal of closed) if (literal.length > MAX_LITERAL) return undefined;
  return { open: [...open], closed: [...closed] };
}

function hasSet(literal: string): boolean {
  for (let i = 0; i < literal.length; i++) if (isSetUnit(literal.charCodeAt(i))) return true;
  return false;
}

function longest(literals: readonly string[]): number {
  return literals.reduce((length, literal) => Math.max(length, literal.length), 0);
}

function shortest(literals: readonly string[]): number {
  return literals.reduce((length, literal) => Math.min(length, literal.length), Infinity);
}

/** Whether every alternative begins with a `^` that only the start of the text satisfies. */
function everyStartsAtStart(alternatives: readonly AST.Alternative[], multiline: boolean): boolean {
  return alternatives.every(({ elements: [first] }) => {
    if (first?.type === 'Assertion') return first.kind === 'start' && !multiline;
    if (first?.type === 'CapturingGroup') return everyStartsAtStart(first.alternatives, multiline);
    return first?.type === 'Group' && everyStartsAtStart(first.alternatives, multiline);
  });
}

/** The string of a regex that is a sequence of characters compared as they are. */
function wholeLiteral({ alternatives }: AST.Pattern, { unicode, ignoreCase }: Mode): string | undefined {
  const [only] = alternatives;
  if (alternatives.length !== 1 || only === undefined || only.elements.length === 0) return undefined;
  let text = '';
  for (const element of only.elements) {
    if (element.type !== 'Character') return undefined;
    text += String.fromCodePoint(element.value);
  }
  if (text.length > MAX_LITERAL) return undefined;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // In unicode mode half a pair does not match inside a pair; private use units stand for sets.
    if (isSetUnit(unit) || (unicode && unit >= 0xd800 && unit <= 0xdfff)) return undefined;
    if (ignoreCase && hasCaseVariants(unit)) return undefined;
  }
  return text;
}
