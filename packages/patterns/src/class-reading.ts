/** Characters and classes of a regex as sets of units. */
import type { AST } from '@eslint-community/regexpp';
import { foldUnit, hasCaseVariants } from './case-folding.ts';
import { BEYOND_ALL, BEYOND_FOLDED, isSetUnit, UnitSet } from './unit-sets.ts';

export interface Mode {
  readonly unicode: boolean;
  readonly ignoreCase: boolean;
  readonly dotAll: boolean;
}

/** What a single character of a regex can be: a string of one or two units, a set of units, or unknown. */
export type Reading = string | UnitSet | undefined;

/** Units beyond ASCII that fold into it. */
const FOLDS_INTO_ASCII: readonly (readonly [number, number])[] = [
  [0x017f, 0x73],
  [0x0130, 0x69],
  [0x0131, 0x69],
  [0x212a, 0x6b],
];

export function readCharacter(codePoint: number, { ignoreCase }: Mode): Reading {
  if (codePoint > 0xffff) {
    const text = String.fromCodePoint(codePoint);
    // Letters beyond the basic plane fold as pairs of units, which units cannot express.
    const cased = ignoreCase && (text.toUpperCase() !== text || text.toLowerCase() !== text);
    return cased ? undefined : text;
  }
  if (ignoreCase && hasCaseVariants(codePoint)) return foldedSet(foldUnit(codePoint));
  if (isSetUnit(codePoint)) return new UnitSet().addRange(codePoint, codePoint);
  return String.fromCharCode(codePoint);
}

/** Everything that folds to a representative. */
function foldedSet(representative: number): UnitSet {
  const set = new UnitSet();
  if (representative < 0x80) set.add(representative).add(representative - 0x20);
  set.beyond = BEYOND_FOLDED;
  set.representative = representative;
  return set;
}

/** `.`, `\d`, `\s`, `\w` and their complements; unknown where one may be a pair of units. */
export function readCharacterSet(node: AST.CharacterSet, mode: Mode): UnitSet | undefined {
  if (node.kind === 'property') return undefined;
  if (node.kind === 'any') {
    if (mode.unicode) return undefined;
    const all = new UnitSet().addRange(0, 0xffff);
    return mode.dotAll ? all : all.removeAscii(new UnitSet().add(0x0a).add(0x0d));
  }
  const set = escapeSet(node.kind, mode);
  if (!node.negate) return set;
  return mode.unicode ? undefined : new UnitSet().addRange(0, 0xffff).removeAscii(set);
}

function escapeSet(kind: 'digit' | 'space' | 'word', { ignoreCase }: Mode): UnitSet {
  const set = new UnitSet();
  if (kind === 'digit') return set.addRange(0x30, 0x39);
  if (kind === 'space') {
    set.addRange(0x09, 0x0d).add(0x20);
    set.beyond = BEYOND_ALL;
    return set;
  }
  set.addRange(0x30, 0x39).addRange(0x41, 0x5a).add(0x5f).addRange(0x61, 0x7a);
  // With `iu` the Kelvin sign and the long s are word characters.
  if (ignoreCase) set.beyond = BEYOND_ALL;
  return set;
}

/** A class as a set of units; unknown where a member may be a pair of units or a string. */
export function readCharacterClass(node: AST.CharacterClass, mode: Mode): UnitSet | undefined {
  if (node.negate && mode.unicode) return undefined;
  const set = new UnitSet();
  for (const element of node.elements) {
    if (element.type === 'Character') {
      if (!addSpan(set, element.value, element.value, mode, node.negate)) return undefined;
    } else if (element.type === 'CharacterClassRange') {
      if (!addSpan(set, element.min.value, element.max.value, mode, node.negate)) return undefined;
    } else if (element.type === 'CharacterSet') {
      const members = readCharacterSet(element, mode);
      if (members === undefined) return undefined;
      for (let word = 0; word < set.ascii.length; word++) {
        set.ascii[word] = (set.ascii[word] as number) | (members.ascii[word] as number);
      }
      if (members.beyond !== 0) set.beyond = BEYOND_ALL;
    } else return undefined;
  }
  if (node.elements.length === 0 && !node.negate) return undefined;
  return node.negate ? new UnitSet().addRange(0, 0xffff).removeAscii(set) : set;
}

/**
 * Adds a range. In a negated class, where too much in the set would be too little in its complement, only ASCII
 * members and their ASCII case count.
 */
function addSpan(set: UnitSet, first: number, last: number, mode: Mode, negated: boolean): boolean {
  if (mode.unicode && last >= 0xd800 && !(first >= 0xe000 && last <= 0xffff)) return false;
  set.addRange(first, last);
  if (!mode.ignoreCase) return true;
  for (let unit = Math.max(first, 0x41); unit <= Math.min(last, 0x7a); unit++) {
    const folded = foldUnit(unit);
    if (folded < 0x61 || folded > 0x7a) continue;
    set.add(folded).add(folded - 0x20);
    if (!negated) set.beyond = BEYOND_ALL;
  }
  if (negated) return true;
  for (const [unit, ascii] of FOLDS_INTO_ASCII) {
    if (unit >= first && unit <= last) set.add(ascii).add(ascii - 0x20);
  }
  return true;
}
