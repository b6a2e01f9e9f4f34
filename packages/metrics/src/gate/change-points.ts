/**
 * Where a series of benchmark results changed its level.
 *
 * E-divisive (Matteson and James, JASA 2014; used on a benchmark history by Daly et al., ICPE 2020): the point that
 * maximises an energy statistic between what is before and after it is a change when a random order of the same values
 * rarely does as well; then each side is searched in the same way. Nothing is assumed about the distribution. Unlike the
 * paper, a side is tested on its own rather than together with the others, so that the answer for one part of a history
 * does not depend on the rest; the random orders are seeded, so that the same series has the same answer.
 */
import { ranksOf, sortValues, splitEnergies } from './energy-splits.ts';
import type { SortedValues } from './energy-splits.ts';
import { medianOf } from './quantiles.ts';
import { seededRandom } from './random.ts';

export interface ChangePointOptions {
  /** A change is reported when its p-value is at most this. Default 0.01. */
  readonly significance?: number;
  /** Random orders tried; at least 1 / significance - 1. Default 199. */
  readonly permutations?: number;
  /** Points a level has at least, 2 or more. Default 3. */
  readonly minPoints?: number;
  /** Changes smaller than this share are left out. Default 0. */
  readonly minEffect?: number;
  /** Default 1. */
  readonly seed?: number;
}

export interface ChangePoint {
  /** First point of the new level. */
  readonly index: number;
  /** Medians of the levels before and after, up to the neighbouring changes. */
  readonly before: number;
  readonly after: number;
  /** `after / before`. */
  readonly ratio: number;
  readonly pValue: number;
}

/** A search takes n log n steps per random order. */
const MAX_POINTS = 100_000;

/** @throws {TypeError | RangeError} when a value is not finite, there are more than 100 000, or an option is out of range. */
export function changePoints(series: readonly number[], options: ChangePointOptions = {}): ChangePoint[] {
  const { significance = 0.01, permutations = 199, minPoints = 3, minEffect = 0, seed = 1 } = options;
  if (!Array.isArray(series)) throw new TypeError('series must be an array of numbers');
  if (series.length > MAX_POINTS) throw new RangeError(`series has more than ${MAX_POINTS} points`);
  if (!series.every(Number.isFinite)) throw new TypeError('series must be finite numbers');
  if (!(significance > 0 && significance < 1)) throw new RangeError('significance must be in (0, 1)');
  if (!Number.isSafeInteger(permutations) || permutations + 1 < 1 / significance || permutations > 100_000) {
    throw new RangeError('permutations must be an integer between 1 / significance - 1 and 100 000');
  }
  if (!Number.isSafeInteger(minPoints) || minPoints < 2) throw new RangeError('minPoints must be 2 or more');
  if (!(minEffect >= 0)) throw new RangeError('minEffect must be 0 or more');
  if (!Number.isSafeInteger(seed)) throw new RangeError('seed must be an integer');

  const search: Search = { significance, permutations, minPoints, random: seededRandom(seed) };
  const found = splitsOf(Float64Array.from(series), 0, search).sort((a, b) => a.index - b.index);
  return describe(series, found).filter(({ ratio }) => Math.abs(ratio - 1) >= minEffect);
}

interface Search {
  readonly significance: number;
  readonly permutations: number;
  readonly minPoints: number;
  readonly random: () => number;
}

interface Split {
  readonly index: number;
  readonly pValue: number;
}

function splitsOf(series: Float64Array, offset: number, search: Search): Split[] {
  const { minPoints } = search;
  if (series.length < 2 * minPoints) return [];
  const values = sortValues(series);
  const ranks = ranksOf(series);
  const best = bestSplit(ranks, values, minPoints);
  const pValue = permutationPValue(ranks, values, best.energy, search);
  if (pValue > search.significance) return [];
  return [
    ...splitsOf(series.subarray(0, best.index), offset, search),
    { index: offset + best.index, pValue },
    ...splitsOf(series.subarray(best.index), offset + best.index, search),
  ];
}

function bestSplit(
  ranks: Int32Array,
  values: SortedValues,
  minPoints: number,
): { index: number; energy: number } {
  const energies = splitEnergies(ranks, values);
  let index = minPoints;
  for (let i = minPoints; i <= ranks.length - minPoints; i++) {
    if ((energies[i] as number) > (energies[index] as number)) index = i;
  }
  return { index, energy: energies[index] as number };
}

/** Share of random orders that do as well, this one included; stops as soon as it cannot become significant. */
function permutationPValue(ranks: Int32Array, values: SortedValues, energy: number, search: Search): number {
  const { permutations, significance, minPoints, random } = search;
  const shuffled = Int32Array.from(ranks);
  const allowed = significance * (permutations + 1) - 1;
  let asGood = 0;
  for (let round = 0; round < permutations; round++) {
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      const kept = shuffled[i] as number;
      shuffled[i] = shuffled[j] as number;
      shuffled[j] = kept;
    }
    if (bestSplit(shuffled, values, minPoints).energy >= energy && ++asGood > allowed) return 1;
  }
  return (asGood + 1) / (permutations + 1);
}

function describe(series: readonly number[], splits: readonly Split[]): ChangePoint[] {
  return splits.map(({ index, pValue }, i) => {
    const before = medianOf(series.slice(splits[i - 1]?.index ?? 0, index));
    const after = medianOf(series.slice(index, splits[i + 1]?.index ?? series.length));
    return { index, before, after, ratio: after / before, pValue };
  });
}
