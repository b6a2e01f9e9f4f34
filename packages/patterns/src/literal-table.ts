/**
 * The literals of a filter in typed arrays: their units one after the other, and what each of them speaks for. Every
 * literal is stored once.
 */
import { foldUnit } from './case-folding.ts';
import { BEYOND_ALL, BEYOND_FOLDED, FIRST_SET_UNIT, isSetUnit, type UnitSets } from './unit-sets.ts';

/** Words per set: four of ASCII bits, one for what is beyond (`beyond << 16 | representative`). */
const SET_WORDS = 5;
/** Units compared by `endsAt`. */
const TELLING_END = 4;

export class LiteralTable {
  readonly sets: UnitSets;
  /** Where the units of a literal start; one more entry than literals. */
  readonly starts: Uint32Array;
  /** Units, some of which stand for sets. */
  readonly units: Uint16Array;
  /** By unit: the place of its set's words. Units of sets that no literal here uses stay 0. */
  readonly #setPlaces: Uint16Array;
  readonly #setWords: Uint32Array;
  /** Owners of a literal: `owners[ownerStarts[l]]` up to the next start. */
  readonly ownerStarts: Uint32Array;
  readonly owners: Uint32Array;

  /** @param own for each owner, by number, the literals it is told about */
  constructor(own: readonly (readonly string[])[], sets: UnitSets) {
    const { literals, owners } = distinct(own);
    this.sets = sets;
    this.starts = new Uint32Array(literals.length + 1);
    this.units = new Uint16Array(literals.reduce((sum, literal) => sum + literal.length, 0));
    this.ownerStarts = new Uint32Array(literals.length + 1);
    this.owners = new Uint32Array(owners.reduce((sum, list) => sum + list.length, 0));
    let unit = 0;
    let owner = 0;
    literals.forEach((literal, index) => {
      for (let i = 0; i < literal.length; i++) this.units[unit++] = literal.charCodeAt(i);
      for (const number of owners[index] as number[]) this.owners[owner++] = number;
      this.starts[index + 1] = unit;
      this.ownerStarts[index + 1] = owner;
    });
    const used = [...new Set(this.units)].filter(isSetUnit);
    this.#setPlaces = new Uint16Array(
      used.reduce((most, set) => Math.max(most, set), FIRST_SET_UNIT) + 1 - FIRST_SET_UNIT,
    );
    this.#setWords = new Uint32Array(used.length * SET_WORDS);
    used.forEach((set, index) => {
      const { ascii, beyond, representative } = sets.of(set);
      this.#setPlaces[set - FIRST_SET_UNIT] = index * SET_WORDS;
      this.#setWords.set(ascii, index * SET_WORDS);
      this.#setWords[index * SET_WORDS + SET_WORDS - 1] = (beyond << 16) | representative;
    });
  }

  get length(): number {
    return this.starts.length - 1;
  }

  textOf(literal: number): string {
    return String.fromCharCode(...this.units.subarray(this.starts[literal], this.starts[literal + 1]));
  }

  /** Whether the literal is in the text at this place. */
  isAt(literal: number, text: string, place: number): boolean {
    const start = this.starts[literal] as number;
    const length = (this.starts[literal + 1] as number) - start;
    if (place < 0 || place + length > text.length) return false;
    const units = this.units;
    for (let i = 0; i < length; i++) {
      const wanted = units[start + i] as number;
      const unit = text.charCodeAt(place + i);
      if (unit !== wanted && (!isSetUnit(wanted) || !this.#setHas(wanted - FIRST_SET_UNIT, unit)))
        return false;
    }
    return true;
  }

  /** Whether the last units of the literal are where they would be if it started the text. */
  endsAt(literal: number, text: string, length: number): boolean {
    const stop = this.starts[literal + 1] as number;
    for (let back = 1; back <= Math.min(TELLING_END, length); back++) {
      const wanted = this.units[stop - back] as number;
      const unit = text.charCodeAt(length - back);
      if (unit !== wanted && (!isSetUnit(wanted) || !this.#setHas(wanted - FIRST_SET_UNIT, unit)))
        return false;
    }
    return true;
  }

  #setHas(set: number, unit: number): boolean {
    const words = this.#setWords;
    const at = this.#setPlaces[set] as number;
    if (unit < 0x80) return (((words[at + (unit >>> 5)] as number) >>> (unit & 31)) & 1) !== 0;
    const beyond = words[at + SET_WORDS - 1] as number;
    if (beyond >>> 16 === BEYOND_ALL) return true;
    return beyond >>> 16 === BEYOND_FOLDED && foldUnit(unit) === (beyond & 0xffff);
  }

  get sizeBytes(): number {
    const { starts, units, ownerStarts, owners } = this;
    return [starts, units, ownerStarts, owners, this.#setPlaces, this.#setWords].reduce(
      (sum, array) => sum + array.byteLength,
      0,
    );
  }
}

function distinct(own: readonly (readonly string[])[]): { literals: string[]; owners: number[][] } {
  const numbers = new Map<string, number>();
  const literals: string[] = [];
  const owners: number[][] = [];
  own.forEach((list, owner) => {
    for (const literal of list) {
      let number = numbers.get(literal);
      if (number === undefined) {
        number = literals.length;
        numbers.set(literal, number);
        literals.push(literal);
        owners.push([]);
      }
      const known = owners[number] as number[];
      if (known.at(-1) !== owner) known.push(owner);
    }
  });
  return { literals, owners };
}
