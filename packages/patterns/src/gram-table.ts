/**
 * Finds literals anywhere in a text by looking at three units at a time.
 *
 * Every literal is filed under one of its grams (three consecutive units, as classes), the one least likely in other
 * text; under several when sets are among the units. A scan tests one bit for the gram
 * that ends at each place; a clear bit, the usual case, ends it. When all literals are long, only every `stride`-th place is looked at:
 * a literal of L units holds L - 2 grams, so with a stride of at most L - 2 one of them ends at a place that is looked
 * at, and the literal is filed once for each phase. (Wu and Manber's block tables, 1994, with sampling in place of
 * shifts, which are a loop-carried dependency.)
 *
 * A literal without a usable gram is filed under two units with every class that may stand before them.
 */
import { MAX_COMBINATIONS, type GramStatistics } from './gram-statistics.ts';
import type { LiteralTable } from './literal-table.ts';
import type { UnitClasses } from './unit-classes.ts';
import type { UnitSets } from './unit-sets.ts';

/** A class has six bits, so a gram is a number of 18 bits, and a rolling one forgets all but three units. */
export const GRAM_SHIFT = 6;
export const GRAM_MASK: number = 2 ** (3 * GRAM_SHIFT) - 1;
const GRAM = 3;
/** How much a literal filed under the same gram adds to the chance of a text to hold it. */
const PER_NEIGHBOUR = 0.004;
const FILTER_WORDS = 2 ** (3 * GRAM_SHIFT - 5);
/** Heads of chains per filed gram. */
const SPARSITY = 2;
/** Sampling reads three units per place, so a stride below 3 saves nothing over a rolling hash. */
const STRIDES = [8, 6, 5, 4, 3];

interface Filed {
  readonly gram: number;
  readonly literal: number;
  readonly end: number;
}

export class GramTable {
  /** Distance of the places looked at. */
  readonly stride: number;
  /** One bit per gram: whether anything is filed under it. */
  readonly filter: Uint32Array;
  /** By `chainOf(gram)`: 1 + the first entry, or 0. */
  readonly heads: Uint32Array;
  readonly headMask: number;
  /** By entry: 1 + the next one of this chain, or 0. */
  readonly next: Uint32Array;
  readonly entryGrams: Uint32Array;
  readonly entryLiterals: Uint32Array;
  /** How far the end of the gram is from the start of its literal. */
  readonly entryEnds: Uint8Array;
  /**
   * A second look before a literal is compared: how far from the end of the gram another unit is, and the classes it
   * may have, as 64 bits in two words.
   */
  readonly entryChecks: Int8Array;
  readonly entryCheckBits: Uint32Array;

  /** @param literals each of them with a commonness below Infinity */
  constructor(literals: LiteralTable, classes: UnitClasses, statistics: GramStatistics) {
    const texts = Array.from({ length: literals.length }, (_, literal) => literals.textOf(literal));
    this.stride = STRIDES.find((stride) => texts.every((text) => fits(text, stride, statistics))) ?? 1;
    if (texts.length === 0) this.stride = 1;
    const filed: Filed[] = [];
    const loads = new Uint16Array(GRAM_MASK + 1);
    texts.forEach((text, literal) => {
      for (let phase = 0; phase < this.stride; phase++) {
        const loadAt = (end: number): number => loads[firstGram(text, end, classes, literals.sets)] as number;
        const end = rarestGram(text, phase, this.stride, statistics, loadAt);
        for (const gram of gramsOf(text, end, classes, literals.sets)) {
          filed.push({ gram, literal, end });
          loads[gram] = (loads[gram] as number) + 1;
        }
      }
    });
    const heads = 2 ** Math.max(4, Math.ceil(Math.log2(filed.length * SPARSITY + 1)));
    this.filter = new Uint32Array(literals.length === 0 ? 0 : FILTER_WORDS);
    this.heads = new Uint32Array(heads);
    this.headMask = heads - 1;
    this.next = new Uint32Array(filed.length);
    this.entryGrams = new Uint32Array(filed.length);
    this.entryLiterals = new Uint32Array(filed.length);
    this.entryEnds = new Uint8Array(filed.length);
    this.entryChecks = new Int8Array(filed.length);
    this.entryCheckBits = new Uint32Array(2 * filed.length);
    filed.forEach(({ gram, literal, end }, entry) => {
      const chain = chainOf(gram, this.headMask);
      this.filter[gram >>> 5] = (this.filter[gram >>> 5] as number) | (1 << (gram & 31));
      this.entryGrams[entry] = gram;
      this.entryLiterals[entry] = literal;
      this.entryEnds[entry] = end;
      this.next[entry] = this.heads[chain] as number;
      this.heads[chain] = entry + 1;
      const check = secondLook(texts[literal] as string, end, classes, literals.sets);
      this.entryChecks[entry] = check.place - end;
      this.entryCheckBits.set(check.bits, 2 * entry);
    });
  }

  get sizeBytes(): number {
    const { filter, heads, next, entryGrams, entryLiterals, entryEnds, entryChecks, entryCheckBits } = this;
    const arrays = [filter, heads, next, entryGrams, entryLiterals, entryEnds, entryChecks, entryCheckBits];
    return arrays.reduce((sum, array) => sum + array.byteLength, 0);
  }
}

export function chainOf(gram: number, headMask: number): number {
  return (Math.imul(gram, 0x9e3779b1) >>> 12) & headMask;
}

/** The most telling unit of a literal outside its gram: the one that fewest classes may stand for, and a far one. */
function secondLook(
  text: string,
  end: number,
  classes: UnitClasses,
  sets: UnitSets,
): { place: number; bits: Uint32Array } {
  let place = end;
  let bits = new Uint32Array([0xffffffff, 0xffffffff]);
  let fewest = Infinity;
  for (let at = 0; at < text.length; at++) {
    const members = at > end - GRAM && at <= end ? undefined : sets.membersOf(text.charCodeAt(at));
    if (members === undefined || members.length > fewest) continue;
    if (members.length === fewest && at > end + 2) continue;
    fewest = members.length;
    place = at;
    bits = new Uint32Array(2);
    for (const member of members) {
      const unitClass = classes.of[member] as number;
      bits[unitClass >>> 5] = (bits[unitClass >>> 5] as number) | (1 << (unitClass & 31));
    }
  }
  return { place, bits };
}

/** Whether every phase of the stride has a usable gram. */
function fits(text: string, stride: number, statistics: GramStatistics): boolean {
  if (text.length < stride + 2) return false;
  for (let phase = 0; phase < stride; phase++)
    if (rarestGram(text, phase, stride, statistics) === -1) return false;
  return true;
}

/** Where the least common gram of a phase ends, -1 when there is none; with a stride of 1 it may be a pair. */
function rarestGram(
  text: string,
  phase: number,
  stride: number,
  statistics: GramStatistics,
  loadAt: (end: number) => number = () => 0,
): number {
  let rarest = -1;
  let least = Infinity;
  for (let end = 2 + phase; end < text.length; end += stride) {
    let commonness = statistics.ofGram(text, end);
    if (commonness >= least) continue;
    // A place where many others are filed already makes each of them dearer.
    commonness += PER_NEIGHBOUR * loadAt(end);
    if (commonness < least) [rarest, least] = [end, commonness];
  }
  if (rarest !== -1 || stride > 1) return rarest;
  for (let end = 1; end < text.length; end++) {
    const commonness = statistics.ofPair(text, end);
    if (commonness < least) [rarest, least] = [end, commonness];
  }
  return rarest;
}

function gramsOf(text: string, end: number, classes: UnitClasses, sets: UnitSets): Set<number> {
  const classesAt = (place: number): readonly number[] | undefined => {
    const members = place < 0 ? undefined : sets.membersOf(text.charCodeAt(place));
    return members && [...new Set(members.map((unit) => classes.of[unit] as number))];
  };
  const grams = new Set<number>();
  const second = classesAt(end - 1);
  const third = classesAt(end);
  const first = classesAt(end - 2);
  if (second === undefined || third === undefined)
    throw new RangeError('the gram of a literal is not usable');
  const combinations = (first?.length ?? Infinity) * second.length * third.length;
  const before = combinations <= MAX_COMBINATIONS && first !== undefined ? first : every(classes.count);
  for (const a of before) {
    for (const b of second) for (const c of third) grams.add((a << (2 * GRAM_SHIFT)) ^ (b << GRAM_SHIFT) ^ c);
  }
  return grams;
}

/** One of the grams at a place of a literal. */
function firstGram(text: string, end: number, classes: UnitClasses, sets: UnitSets): number {
  let gram = 0;
  for (let place = end - 2; place <= end; place++) {
    const [member] = sets.membersOf(text.charCodeAt(place)) ?? [];
    gram = (gram << GRAM_SHIFT) | (member === undefined ? 0 : (classes.of[member] as number));
  }
  return gram & GRAM_MASK;
}

/** Every class, and 0 for the units of none. */
function every(count: number): readonly number[] {
  return Array.from({ length: count + 1 }, (_, number) => number);
}
