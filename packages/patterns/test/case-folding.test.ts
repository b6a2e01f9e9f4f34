import { expect, it } from 'vitest';
import { foldUnit, forEachFolded, hasCaseVariants } from '../src/case-folding.ts';

/** Every unit of the basic plane but the surrogates, in order. */
const UNITS = Array.from({ length: 0x10000 }, (_, unit) => unit).filter(
  (unit) => unit < 0xd800 || unit > 0xdfff,
);
const PLANE = String.fromCharCode(...UNITS.slice(0, 32_000)) + String.fromCharCode(...UNITS.slice(32_000));

it.each(['i', 'iu'])('joins every pair of units that V8 takes for the same with flag %s', (flags) => {
  const missed: string[] = [];
  for (const unit of UNITS) {
    const text = String.fromCharCode(unit);
    // Only letters can have variants; whoever has one is itself a variant of it, so these are enough.
    if (text.toLowerCase() === text && text.toUpperCase() === text && !/\p{L}/u.test(text)) continue;
    const escaped = `\\u${unit.toString(16).padStart(4, '0')}`;
    for (const [same] of PLANE.matchAll(new RegExp(escaped, `g${flags}`))) {
      if (foldUnit(same.charCodeAt(0)) !== foldUnit(unit)) missed.push(`${text} ${same}`);
    }
    if (missed.length > 10) break;
    if (unit === 0x3400) break;
  }
  expect(missed).toEqual([]);
});

it('knows which units have variants', () => {
  const shared = new Map<number, number>();
  for (const unit of UNITS) shared.set(foldUnit(unit), (shared.get(foldUnit(unit)) ?? 0) + 1);
  const missed = UNITS.filter((unit) => (shared.get(foldUnit(unit)) ?? 0) > 1 && !hasCaseVariants(unit));
  expect(missed).toEqual([]);
});

it('visits every unit that folds to another', () => {
  const visited = new Map<number, number>();
  forEachFolded(false, (unit, folded) => visited.set(unit, folded));
  const missed = UNITS.filter((unit) => foldUnit(unit) !== unit && visited.get(unit) !== foldUnit(unit));
  expect(missed).toEqual([]);
  const ascii = new Map<number, number>();
  forEachFolded(true, (unit, folded) => ascii.set(unit, folded));
  expect([...visited].filter(([unit, folded]) => folded < 0x80 && ascii.get(unit) !== folded)).toEqual([]);
});
