/**
 * Random regexes, biased to literals, and texts that nearly match them. Seeded: the same seed makes the same cases.
 * Shared by the property tests and the long fuzz run of the benches.
 */
export interface RandomSource {
  /** Uniform in [0, 1). */
  next(): number;
}

/** Mulberry32. */
export function seeded(seed: number): RandomSource {
  let state = seed >>> 0;
  return {
    next: () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x100000000;
    },
  };
}

export interface RandomPattern {
  readonly source: string;
  readonly flags: string;
}

const WORDS = [
  'foo',
  'bar',
  'Error',
  'abc',
  'ab',
  'k',
  'Kelvin',
  's',
  'Sss',
  'aaa',
  'x1',
  'Build',
  'a-b',
  'iI',
  'straße',
  '\u212a',
  '\u017f',
  'µ',
  'ÅB',
  'Σς',
  '😀',
  '𐐀x',
  '\ue000',
  'жук',
  'ΩMEGA',
  'ﬅ',
];
const CLASSES = [
  '[ab]',
  '[a-c]',
  '[^a]',
  '[^k]',
  '[Ss]',
  '[k]',
  '[\\dx]',
  '[^\\d]',
  '\\d',
  '\\w',
  '\\W',
  '\\s',
  '\\S',
  '.',
  '[a-zA-Z]',
  '[\u212a]',
  '[^\u212a]',
  '[^\u017f]',
  '[^K]',
  '[\u00e5-\u00e6]',
  '[\ud83d]',
  '[^]',
  '[ſt]',
  '[j-l]',
  '[R-T]',
  '[\\W]',
  '[^\\W]',
  '\\D',
  '[µ]',
  '[😀]',
];
const ANCHORS = ['^', '$', '\\b', '\\B'];
const FLAGS = [
  '',
  '',
  '',
  'i',
  'i',
  'm',
  's',
  'u',
  'iu',
  'v',
  'iv',
  'y',
  'g',
  'im',
  'ims',
  'd',
  'gi',
  'iy',
  'imu',
  'su',
];

export class PatternGenerator {
  readonly #random: RandomSource;
  #openRepetitions = 0;

  constructor(random: RandomSource) {
    this.#random = random;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.#random.next() * items.length)];
    if (item === undefined) throw new RangeError('nothing to pick from');
    return item;
  }

  chance(probability: number): boolean {
    return this.#random.next() < probability;
  }

  below(limit: number): number {
    return Math.floor(this.#random.next() * limit);
  }

  /** A valid regex of this engine. */
  pattern(): RandomPattern {
    for (;;) {
      const flags = this.pick(FLAGS);
      this.#openRepetitions = 0;
      const candidate = { source: this.#alternation(3), flags };
      if (isValid(candidate)) return candidate;
    }
  }

  /** A real regex with some characters taken out, doubled or swapped, still valid. */
  mutant(real: RandomPattern): RandomPattern {
    for (let attempt = 0; attempt < 20; attempt++) {
      let { source } = real;
      for (let edits = 1 + this.below(3); edits > 0; edits--) {
        const at = this.below(source.length);
        const piece = this.pick(['', source.charAt(at).repeat(2), this.pick(CLASSES), '?', '|', '.', '(?:)']);
        source = source.slice(0, at) + piece + source.slice(at + 1);
      }
      const mutated = { source, flags: this.chance(0.3) ? this.pick(FLAGS) : real.flags };
      if (isValid(mutated)) return mutated;
    }
    return real;
  }

  /** A text made of what the patterns are made of. */
  text(patterns: readonly RandomPattern[]): string {
    let text = '';
    for (let pieces = 1 + this.below(8); pieces > 0; pieces--) {
      const roll = this.#random.next();
      if (roll < 0.45) text += this.#fromPattern(this.pick(patterns).source);
      else if (roll < 0.8) text += this.pick(WORDS);
      else
        text += this.pick([
          ' ',
          '\n',
          '1',
          '23',
          'a',
          'K',
          'ſ',
          '\ud83d',
          '\ude00',
          '-',
          '\u2028',
          'É',
          'xyz',
          'SSS',
          'КЖУК',
        ]);
    }
    return this.chance(0.25) ? this.#swapCase(text) : text;
  }

  /** The plain characters of a regex, or some of them. */
  #fromPattern(source: string): string {
    const plain = source
      .replace(/\\[dwsbBDWS]|\{[\d,]*\}|\(\?(?:[:=!]|<[=!]?|[a-z]*:)|[()[\]?*+^$|]/g, '')
      .replace(/\\(.)/g, '$1');
    const from = this.chance(0.7) ? 0 : this.below(plain.length + 1);
    return plain.slice(from, this.chance(0.7) ? plain.length : from + this.below(8));
  }

  #swapCase(text: string): string {
    return this.chance(0.5) ? text.toUpperCase() : text.toLowerCase();
  }

  #alternation(depth: number): string {
    const count = this.chance(0.9) ? 1 : 2 + this.below(3);
    const branches = Array.from({ length: count }, () => (this.chance(0.03) ? '' : this.#sequence(depth)));
    return branches.join('|');
  }

  #sequence(depth: number): string {
    let source = '';
    for (let pieces = 2 + this.below(4); pieces > 0; pieces--) source += this.#piece(depth);
    return source;
  }

  #piece(depth: number): string {
    const roll = this.#random.next();
    if (roll < 0.5 || depth === 0) return this.#quantified(this.#escape(this.pick(WORDS)), false);
    if (roll < 0.68) return this.#quantified(this.pick(CLASSES), true);
    if (roll < 0.75) return this.pick(ANCHORS);
    if (roll < 0.9)
      return this.#quantified(
        `${this.chance(0.05) ? this.pick(['(?i:', '(?-i:', '(?s:', '(?m:']) : this.pick(['(', '(?:'])}${this.#alternation(depth - 1)})`,
        true,
      );
    if (roll < 0.97) return `${this.pick(['(?=', '(?!', '(?<=', '(?<!'])}${this.#alternation(depth - 1)})`;
    return `(${this.#escape(this.pick(WORDS))})\\1`;
  }

  #quantified(atom: string, whole: boolean): string {
    if (!this.chance(whole ? 0.35 : 0.12)) return atom;
    // Nested or many open repetitions would make the sequential runs, not the filter, the subject.
    const open = !atom.startsWith('(') && this.#openRepetitions < 2 && this.chance(0.5);
    if (!open) return atom + this.pick(['?', '{2}', '{0,2}', '??', '{0}', '{3}', '{1,2}']);
    this.#openRepetitions++;
    return atom + this.pick(['*', '+', '{2,}', '+?', '*?']);
  }

  #escape(word: string): string {
    return word.replace(/-/g, '-');
  }
}

export function isValid({ source, flags }: RandomPattern): boolean {
  try {
    // oxlint-disable-next-line no-new -- built only to see whether it throws
    new RegExp(source, flags);
    return true;
  } catch {
    return false;
  }
}
