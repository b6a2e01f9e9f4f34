/**
 * A small number for every UTF-16 unit: 0 for units in no literal, else 1 to 63. Units that a literal takes for the same
 * by folding have the same number; the least used of more than 63 units share the last one, which costs probes and
 * loses nothing.
 */
import { foldUnit, forEachFolded } from './case-folding.ts';
import type { LiteralTable } from './literal-table.ts';
import { BEYOND_FOLDED, isSetUnit, type UnitSets } from './unit-sets.ts';

export const MAX_CLASS = 63;

export class UnitClasses {
  /** By unit. */
  readonly of: Uint8Array = new Uint8Array(0x10000);
  /** Greatest number in use. */
  readonly count: number;

  readonly #sets: UnitSets;

  constructor(tables: readonly LiteralTable[], sets: UnitSets) {
    this.#sets = sets;
    const uses = new Map<number, number>();
    for (const { units } of tables) for (const unit of units) uses.set(unit, (uses.get(unit) ?? 0) + 1);
    const fold = [...uses.keys()].some((unit) => isSetUnit(unit) && sets.of(unit).beyond === BEYOND_FOLDED);
    const useOfKeys = new Map<number, number>();
    const keyOf = (unit: number): number => (fold ? foldUnit(unit) : unit);
    for (const [unit, count] of uses) {
      for (const member of sets.membersOf(unit) ?? []) {
        useOfKeys.set(keyOf(member), (useOfKeys.get(keyOf(member)) ?? 0) + count);
      }
    }
    const keys = [...useOfKeys.keys()].sort((a, b) => (useOfKeys.get(b) ?? 0) - (useOfKeys.get(a) ?? 0));
    keys.forEach((key, rank) => {
      this.of[key] = Math.min(rank + 1, MAX_CLASS);
    });
    this.count = Math.min(keys.length, MAX_CLASS);
    const asciiOnly = keys.every((key) => key < 0x80);
    // One table serves folded and unfolded literals, so with one folded literal every unit is read folded.
    if (fold) {
      forEachFolded(asciiOnly, (unit, folded) => {
        this.of[unit] = this.of[folded] as number;
      });
    }
  }

  /** The number of all units that a unit of a literal stands for; undefined when they have several. */
  classOf(unit: number): number | undefined {
    const members = this.#sets.membersOf(unit);
    if (members === undefined) return undefined;
    const [first, ...others] = members.map((member) => this.of[member] as number);
    return others.every((other) => other === first) ? first : undefined;
  }
}
