/**
 * Finds the literals that a text starts with. A literal is filed under the hash of its first 1, 2, 4, 8 or 16 units,
 * the longest of these whose units have one class each; a text is hashed once, with a look at each of those lengths. A
 * literal that starts with a unit of several classes is looked at for every text.
 */
import type { LiteralTable } from './literal-table.ts';
import type { UnitClasses } from './unit-classes.ts';

const STEPS = [0, 1, 2, 4, 8, 16];
const SPARSITY = 8;

export class PrefixTable {
  readonly mask: number;
  /** By hash: 1 + the first literal filed there, or 0. */
  readonly heads: Uint32Array;
  /** By literal: 1 + the next one of its chain, or 0. */
  readonly next: Uint32Array;
  /** By literal: the hash of the units it is filed under, and its length. */
  readonly hashes: Int32Array;
  readonly lengths: Uint8Array;
  /** Bit n is set when something is filed under n units. */
  readonly steps: number;
  /** The longest step in use. */
  readonly longest: number;

  constructor(literals: LiteralTable, classes: UnitClasses) {
    const size = 2 ** Math.max(6, Math.ceil(Math.log2(literals.length * SPARSITY + 1)));
    this.mask = size - 1;
    this.heads = new Uint32Array(size);
    this.next = new Uint32Array(literals.length);
    this.hashes = new Int32Array(literals.length);
    this.lengths = new Uint8Array(literals.length);
    let steps = 0;
    for (let literal = 0; literal < literals.length; literal++) {
      const text = literals.textOf(literal);
      const leading = leadingClasses(text, classes);
      const step = STEPS.findLast((length) => length <= leading.length) as number;
      const hash = leading.slice(0, step).reduce(prefixHash, 0);
      steps |= 1 << step;
      this.hashes[literal] = hash;
      this.lengths[literal] = text.length;
      this.next[literal] = this.heads[hash & this.mask] as number;
      this.heads[hash & this.mask] = literal + 1;
    }
    this.steps = steps;
    this.longest = STEPS.findLast((length) => (steps & (1 << length)) !== 0) ?? 0;
  }

  get sizeBytes(): number {
    return this.heads.byteLength + this.next.byteLength + this.hashes.byteLength + this.lengths.byteLength;
  }
}

/** The classes of a literal's units up to the first that may have several. */
function leadingClasses(text: string, classes: UnitClasses): number[] {
  const leading: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const unitClass = classes.classOf(text.charCodeAt(i));
    if (unitClass === undefined) break;
    leading.push(unitClass);
  }
  return leading;
}

export function prefixHash(hash: number, unitClass: number): number {
  return (Math.imul(hash, 0x9e3779b1) + unitClass + (hash >>> 15)) | 0;
}
