/**
 * One representative for every set of UTF-16 units that some case-insensitive RegExp takes for the same.
 *
 * JavaScript has two notions: without `u` a unit is compared by its upper case (but never a non-ASCII one with an ASCII
 * one), with `u` by simple case folding, where the Kelvin sign is a `k` and the long s an `s`. The filter must never
 * lose a match, so the representative joins what either notion joins: the lower case of the upper case, where those are
 * single units, and the three pairs that only simple folding knows. Being too generous costs a regex run, no more.
 * A test compares it with V8 over the whole basic plane.
 */
const ONLY_BY_FOLDING = new Map([
  [0x1fd3, 0x0390],
  [0x1fe3, 0x03b0],
  [0xfb05, 0xfb06],
]);

/** The representative of a UTF-16 unit. Surrogates stand for themselves. */
export function foldUnit(unit: number): number {
  if (unit < 0x80) return unit >= 0x41 && unit <= 0x5a ? unit + 0x20 : unit;
  const special = ONLY_BY_FOLDING.get(unit);
  if (special !== undefined) return special;
  const upper = singleUnit(String.fromCharCode(unit).toUpperCase(), unit);
  return singleUnit(String.fromCharCode(upper).toLowerCase(), upper);
}

export function foldText(text: string): string {
  let folded = '';
  for (let i = 0; i < text.length; i++) folded += String.fromCharCode(foldUnit(text.charCodeAt(i)));
  return folded;
}

/** Whether some other unit is folded to the same as this one, or this one is not its own representative. */
export function hasCaseVariants(unit: number): boolean {
  if (unit < 0x80) return (unit | 0x20) >= 0x61 && (unit | 0x20) <= 0x7a;
  const text = String.fromCharCode(unit);
  return foldUnit(unit) !== unit || text.toUpperCase() !== text || text.toLowerCase() !== text;
}

/** The other units of ASCII representatives; everything else that folds to ASCII is in upper case. */
const FOLDED_TO_ASCII: readonly (readonly [number, number])[] = [
  [0x017f, 0x73], // long s
  [0x0131, 0x69], // dotless i
  [0x212a, 0x6b], // Kelvin sign
];

/** Calls back for every unit that folds to another one; `asciiOnly` leaves out representatives beyond ASCII. */
export function forEachFolded(asciiOnly: boolean, visit: (unit: number, folded: number) => void): void {
  for (let unit = 0x41; unit <= 0x5a; unit++) visit(unit, unit + 0x20);
  for (const [unit, folded] of FOLDED_TO_ASCII) visit(unit, folded);
  if (asciiOnly) return;
  for (let unit = 0x80; unit < 0xd800; unit++) visitIfFolded(unit, visit);
  for (let unit = 0xe000; unit <= 0xffff; unit++) visitIfFolded(unit, visit);
}

function visitIfFolded(unit: number, visit: (unit: number, folded: number) => void): void {
  const folded = foldUnit(unit);
  if (folded !== unit) visit(unit, folded);
}

function singleUnit(text: string, otherwise: number): number {
  return text.length === 1 ? text.charCodeAt(0) : otherwise;
}
