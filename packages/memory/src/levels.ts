// Pressure levels, and the judgement of one source: a value rises into a level as soon as it reaches its threshold and
// leaves it only below the threshold less the margin, so a value that trembles around a threshold changes level once.

export type PressureLevel = 'optimal' | 'moderate' | 'high' | 'critical' | 'emergency';

/** From calm to worst. */
export const LEVELS: readonly PressureLevel[] = ['optimal', 'moderate', 'high', 'critical', 'emergency'];

/** Where each level begins; `optimal` is everything below `moderate`. */
export interface LevelThresholds {
  readonly moderate: number;
  readonly high: number;
  readonly critical: number;
  readonly emergency: number;
}

/** For used bytes over the limit. */
export const DEFAULT_THRESHOLDS: LevelThresholds = {
  moderate: 0.7,
  high: 0.85,
  critical: 0.93,
  emergency: 0.98,
};

export function rankOf(level: PressureLevel): number {
  return LEVELS.indexOf(level);
}

/** @throws {RangeError} when the thresholds do not rise, {TypeError} when they are not numbers. */
export function checkedThresholds(thresholds: LevelThresholds, name: string): LevelThresholds {
  const { moderate, high, critical, emergency } = thresholds;
  let previous = 0;
  for (const [level, value] of Object.entries({ moderate, high, critical, emergency })) {
    if (typeof value !== 'number') throw new TypeError(`${name}.${level} must be a number`);
    if (!(value > previous)) throw new RangeError(`${name} must rise from moderate to emergency, above 0`);
    previous = value;
  }
  return { moderate, high, critical, emergency };
}

/** The level of one source over time. */
export class LevelJudge {
  #rank = 0;
  readonly #rises: readonly number[];
  readonly #margin: number;

  /** `margin` is the fraction of a threshold that a value must fall below it. */
  constructor(thresholds: LevelThresholds, margin: number) {
    const { moderate, high, critical, emergency } = thresholds;
    this.#rises = [-Infinity, moderate, high, critical, emergency];
    this.#margin = margin;
  }

  judge(value: number): PressureLevel {
    let rank = 0;
    for (let candidate = 1; candidate < this.#rises.length; candidate++) {
      const rise = this.#rises[candidate] ?? Infinity;
      const threshold = candidate <= this.#rank ? rise * (1 - this.#margin) : rise;
      if (value >= threshold) rank = candidate;
    }
    this.#rank = rank;
    return LEVELS[rank] ?? 'optimal';
  }
}
