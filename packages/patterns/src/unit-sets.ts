/**
 * Sets of UTF-16 units, numbered, so that a string can stand for many: in a literal, a unit of the private use area
 * means "one unit of this set". (Private use characters of a pattern itself become sets, too.)
 *
 * A set is exact over ASCII. Beyond ASCII it holds everything, nothing, or what folds to one representative; where that
 * is not the truth it holds too much, never too little.
 */
import { foldUnit } from './case-folding.ts';

export const FIRST_SET_UNIT = 0xe000;
export const LAST_SET_UNIT = 0xf8ff;
/** Sets with too many members to spell out are numbered from here on. */
const FIRST_WIDE_UNIT = 0xf000;
const WORDS = 4;
/** A set of more members is not spelled out. */
const MAX_SPELLED = 10;
const TOO_MANY: readonly number[] = Array.from({ length: MAX_SPELLED + 1 }, () => 0);

export const BEYOND_NONE = 0;
export const BEYOND_ALL = 1;
export const BEYOND_FOLDED = 2;

/** Beyond ASCII: nothing, everything, or what folds to `representative`. */
export type Beyond = typeof BEYOND_NONE | typeof BEYOND_ALL | typeof BEYOND_FOLDED;

export function isSetUnit(unit: number): boolean {
  return unit >= FIRST_SET_UNIT && unit <= LAST_SET_UNIT;
}

/** Whether a unit stands for a set with too many members to spell out. */
export function isWideSetUnit(unit: number): boolean {
  return unit >= FIRST_WIDE_UNIT && unit <= LAST_SET_UNIT;
}

/** A set under construction: which ASCII units, and what beyond. */
export class UnitSet {
  readonly ascii: Uint32Array = new Uint32Array(WORDS);
  beyond: Beyond = BEYOND_NONE;
  representative = 0;
  #members: readonly number[] | undefined;
  #foldedMembers: readonly number[] | undefined;

  add(unit: number): this {
    this.ascii[unit >>> 5] = (this.ascii[unit >>> 5] as number) | (1 << (unit & 31));
    return this;
  }

  addRange(first: number, last: number): this {
    for (let unit = first; unit <= Math.min(last, 0x7f); unit++) this.add(unit);
    if (last >= 0x80) this.beyond = BEYOND_ALL;
    return this;
  }

  /** Takes out ASCII units. */
  removeAscii(other: UnitSet): this {
    for (let word = 0; word < WORDS; word++) {
      this.ascii[word] = (this.ascii[word] as number) & ~(other.ascii[word] as number);
    }
    return this;
  }

  /** The members, with the representative for what is beyond ASCII; undefined when they are more than MAX_SPELLED. */
  get members(): readonly number[] | undefined {
    this.#members ??= this.#spell();
    return this.#members.length > MAX_SPELLED ? undefined : this.#members;
  }

  /** One member for each that differ by more than case. */
  get foldedMembers(): readonly number[] | undefined {
    const { members } = this;
    if (members === undefined) return undefined;
    this.#foldedMembers ??= [...new Set(members.map(foldUnit))];
    return this.#foldedMembers;
  }

  #spell(): readonly number[] {
    if (this.beyond === BEYOND_ALL) return TOO_MANY;
    const members: number[] = [];
    for (let unit = 0; unit < 0x80; unit++) if (this.has(unit)) members.push(unit);
    if (this.beyond === BEYOND_FOLDED && this.representative >= 0x80) members.push(this.representative);
    return members;
  }

  has(unit: number): boolean {
    if (unit >= 0x80) {
      return (
        this.beyond === BEYOND_ALL ||
        (this.beyond === BEYOND_FOLDED && foldUnit(unit) === this.representative)
      );
    }
    return (((this.ascii[unit >>> 5] as number) >>> (unit & 31)) & 1) !== 0;
  }
}

/** The sets that the literals of one index refer to. */
export class UnitSets {
  /** By unit, from FIRST_SET_UNIT on; narrow sets from there, wide ones from FIRST_WIDE_UNIT. */
  readonly #sets: (UnitSet | undefined)[] = [];
  readonly #units = new Map<string, number>();
  #nextNarrow = FIRST_SET_UNIT;
  #nextWide = FIRST_WIDE_UNIT;

  /** The unit that stands for the set; undefined when there are too many sets. */
  unitFor(set: UnitSet): string | undefined {
    const key = `${set.ascii.join(' ')} ${set.beyond} ${set.representative}`;
    let unit = this.#units.get(key);
    if (unit === undefined) {
      const wide = set.members === undefined;
      unit = wide ? this.#nextWide : this.#nextNarrow;
      if (unit > (wide ? LAST_SET_UNIT : FIRST_WIDE_UNIT - 1)) return undefined;
      if (wide) this.#nextWide++;
      else this.#nextNarrow++;
      this.#units.set(key, unit);
      this.#sets[unit - FIRST_SET_UNIT] = set;
    }
    return String.fromCharCode(unit);
  }

  /** The set a unit stands for. */
  of(unit: number): UnitSet {
    const set = this.#sets[unit - FIRST_SET_UNIT];
    if (set === undefined) throw new RangeError(`no unit set ${unit}`);
    return set;
  }

  /** The units that a unit of a literal stands for; undefined when they are too many. */
  membersOf(unit: number): readonly number[] | undefined {
    return isSetUnit(unit) ? this.of(unit).members : [unit];
  }

  /** A literal for people: sets as classes, wide ones as a dot. */
  describe(literal: string): string {
    let text = '';
    for (let i = 0; i < literal.length; i++) {
      const unit = literal.charCodeAt(i);
      const members = this.membersOf(unit);
      if (!isSetUnit(unit)) text += literal.charAt(i);
      else text += members === undefined ? '.' : `[${String.fromCharCode(...members)}]`;
    }
    return text;
  }
}
