/**
 * How common three units in a row are likely to be in the texts a set is made for. The patterns themselves are the best
 * sample at hand: what occurs in many of them (`Build`, `; `) occurs in many texts. Where they say nothing, digits,
 * capitals and punctuation are taken to be rarer than small letters.
 */
import { foldUnit } from './case-folding.ts';
import { isSetUnit, type UnitSets } from './unit-sets.ts';

const BUCKETS = 1 << 16;
/** The units that make up most of English prose, source code and log lines, most frequent first. */
const FREQUENT = ' etaoinsrhldcum0.125/-_fpgwyb3468:79vk,;()=';
/** What is in many texts whatever the patterns are: user agents, log lines, stack traces, prose. */
const ORDINARY =
  'Mozilla/5.0 (Linux; U; Android 4.0.4; en-us; X11; Windows NT 10.0; Win64; x64; Macintosh; Intel Mac OS X; iPhone; CPU ' +
  'iPhone OS 12_1 like Mac OS X) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/98.0.0.0 Mobile Safari/534.30 ' +
  '(compatible; +http://www.google.com/bot.html) https://github.com/ Build/ rv:1.9 Gecko/20100101 Firefox/3.5 ' +
  'Error: at Object.<anonymous> (node:internal/modules/cjs/loader.js:1:10) INFO WARN DEBUG ERROR [main] org.apache. ' +
  'java.lang. Exception in thread failed to connect from to for the and of in is was not with this that file name id= ' +
  'user root port 80 127.0.0.1:8080 2024-01-01T00:00:00.000Z message status code 200 null true false undefined return ' +
  'const function import require export default class string number value type data request response server client';
/** The chance of a gram that is in ordinary text, and the greatest one of one that is not, nor in other patterns. */
const ORDINARY_CHANCE = 0.35;
const PRIOR_CHANCE = 0.03;
/** Patterns a small set is taken to have in addition, so that a few do not make a gram common. */
const MIN_PATTERNS = 20;
/** A gram whose sets stand for more combinations is not used. */
export const MAX_COMBINATIONS = 100;
/** A gram that stands for more is not counted. */
const MAX_COUNTED = 10;
/** The chance of two units in a row. */
const PAIR_CHANCE = 0.7;
const MAX_PAIR_COMBINATIONS = 4;
/** How much rarer a literal is than its rarest gram, per unit beyond it that is no set. */
const PER_UNIT = 0.95;
const GRAM = 3;
/** The chance of a unit where one is looked for, if it is no set, and of any unit of a set that is not spelled out. */
const UNIT_CHANCE = 0.05;
const WIDE_SET_CHANCE = 0.9;

export class GramStatistics {
  readonly #sets: UnitSets;
  readonly #counts = new Uint32Array(BUCKETS);
  /** By bucket: the pattern that was counted last. */
  readonly #owners = new Uint32Array(BUCKETS);
  readonly #ordinary = new Uint8Array(BUCKETS);
  #patterns = 0;
  /** By ASCII unit: 0 for the rarest to 1 for the most frequent. */
  readonly #frequency = new Float64Array(0x80);

  constructor(sets: UnitSets) {
    this.#sets = sets;
    for (let rank = 0; rank < FREQUENT.length; rank++) {
      this.#frequency[FREQUENT.charCodeAt(rank)] = 1 - rank / (FREQUENT.length + 1);
    }
    for (let end = 2; end < ORDINARY.length; end++) {
      this.#ordinary[
        bucketOf(ORDINARY.charCodeAt(end - 2), ORDINARY.charCodeAt(end - 1), ORDINARY.charCodeAt(end))
      ] = 1;
    }
  }

  /** Counts the grams of a pattern's literals, each gram once. */
  count(literals: Iterable<string>): void {
    this.#patterns++;
    for (const literal of literals) {
      for (let end = 2; end < literal.length; end++) {
        this.#forEachGram(literal, end, MAX_COUNTED, (a, b, c) => {
          const bucket = bucketOf(a, b, c);
          if (this.#owners[bucket] === this.#patterns) return;
          this.#owners[bucket] = this.#patterns;
          this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
        });
      }
    }
  }

  /** About the chance that a text holds the gram that ends at `end`; Infinity when it stands for too many. */
  ofGram(literal: string, end: number): number {
    let sum = 0;
    const few = this.#forEachGram(literal, end, MAX_COMBINATIONS, (a, b, c) => {
      sum += this.#chance(a, b, c);
    });
    return few ? sum : Infinity;
  }

  /** Visits what a gram stands for; false, without a visit, when that is more than the limit. */
  #forEachGram(
    literal: string,
    end: number,
    limit: number,
    visit: (a: number, b: number, c: number) => void,
  ): boolean {
    const first = this.#foldedMembers(literal.charCodeAt(end - 2));
    const second = this.#foldedMembers(literal.charCodeAt(end - 1));
    const third = this.#foldedMembers(literal.charCodeAt(end));
    if (first === undefined || second === undefined || third === undefined) return false;
    if (first.length * second.length * third.length > limit) return false;
    for (const a of first) for (const b of second) for (const c of third) visit(a, b, c);
    return true;
  }

  #foldedMembers(unit: number): readonly number[] | undefined {
    return isSetUnit(unit) ? this.#sets.of(unit).foldedMembers : [unit];
  }

  /** The same for the two units that end at `end`. */
  ofPair(literal: string, end: number): number {
    const first = this.#foldedMembers(literal.charCodeAt(end - 1))?.length ?? Infinity;
    const second = this.#foldedMembers(literal.charCodeAt(end))?.length ?? Infinity;
    return first * second <= MAX_PAIR_COMBINATIONS ? PAIR_CHANCE * first * second : Infinity;
  }

  /** The same for a literal; Infinity when it cannot be looked for. */
  ofLiteral(literal: string): number {
    let least = Infinity;
    for (let end = 1; end < literal.length; end++) {
      least = Math.min(least, this.ofPair(literal, end), end >= 2 ? this.ofGram(literal, end) : Infinity);
    }
    return least * PER_UNIT ** Math.max(0, plainUnits(literal) - GRAM);
  }

  /** The chance that a literal stands at a given place. */
  chanceAt(literal: string): number {
    let chance = 1;
    for (let i = 0; i < literal.length; i++) {
      const members = this.#sets.membersOf(literal.charCodeAt(i));
      chance *=
        members === undefined ? WIDE_SET_CHANCE : Math.min(WIDE_SET_CHANCE, UNIT_CHANCE * members.length);
    }
    return chance;
  }

  #chance(a: number, b: number, c: number): number {
    const bucket = bucketOf(a, b, c);
    const others = Math.max(0, (this.#counts[bucket] as number) - 1);
    const frequency = (this.#frequencyOf(a) + this.#frequencyOf(b) + this.#frequencyOf(c)) / GRAM;
    return (
      others / (this.#patterns + MIN_PATTERNS) +
      (this.#ordinary[bucket] as number) * ORDINARY_CHANCE +
      frequency * frequency * PRIOR_CHANCE
    );
  }

  #frequencyOf(unit: number): number {
    return unit < 0x80 ? (this.#frequency[unit] as number) : 0;
  }
}

function plainUnits(literal: string): number {
  let count = 0;
  for (let i = 0; i < literal.length; i++) if (!isSetUnit(literal.charCodeAt(i))) count++;
  return count;
}

function bucketOf(a: number, b: number, c: number): number {
  const first = foldUnit(a);
  return ((first * 0x9e3) ^ (foldUnit(b) * 0x35) ^ foldUnit(c) ^ (first << 11)) & (BUCKETS - 1);
}
