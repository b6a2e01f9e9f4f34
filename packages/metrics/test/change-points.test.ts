import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { changePoints } from '@perf/metrics';
import { ranksOf, sortValues, splitEnergies } from '../src/gate/energy-splits.ts';
import { seededRandom } from '../src/gate/random.ts';

function read(name: string): string {
  return gunzipSync(
    readFileSync(new URL(`../../../bench/data/metrics/${name}.gz`, import.meta.url)),
  ).toString();
}

/** The definition, pair by pair. */
function slowEnergies(values: readonly number[]): number[] {
  const n = values.length;
  const mean = (as: readonly number[], bs: readonly number[], pairs: number): number =>
    as.reduce((sum, a) => sum + bs.reduce((s, b) => s + Math.abs(a - b), 0), 0) / pairs;
  return values.map((_, i) => {
    const [left, right] = [values.slice(0, i), values.slice(i)];
    const [l, r] = [left.length, right.length];
    if (l < 2 || r < 2) return 0;
    const apart =
      2 * mean(left, right, l * r) - mean(left, left, l * (l - 1)) - mean(right, right, r * (r - 1));
    return ((l * r) / n) * apart;
  });
}

it('computes the energy of every split as the definition does', () => {
  const value = fc.oneof(fc.double({ min: -1e3, max: 1e3, noNaN: true }), fc.constantFrom(0, 1, 2));
  fc.assert(
    fc.property(fc.array(value, { maxLength: 40 }), (series) => {
      const values = Float64Array.from(series);
      const energies = splitEnergies(ranksOf(values), sortValues(values));
      for (const [i, slow] of slowEnergies(series).entries()) expect(energies[i]).toBeCloseTo(slow, 6);
    }),
  );
});

it('finds one step exactly, and says how large it is', () => {
  const random = seededRandom(3);
  const series = Array.from({ length: 80 }, (_, i) => (i < 50 ? 100 : 130) + random());
  const [change, ...more] = changePoints(series);
  expect(more).toEqual([]);
  expect(change?.index).toBe(50);
  expect(change?.ratio).toBeCloseTo(1.3, 1);
  expect(change?.pValue).toBeLessThanOrEqual(0.01);
});

it('finds nothing in noise, nearly always', () => {
  let found = 0;
  for (let seed = 0; seed < 100; seed++) {
    const random = seededRandom(seed);
    if (changePoints(Array.from({ length: 60 }, random)).length > 0) found++;
  }
  expect(found).toBeLessThanOrEqual(4);
});

it('finds nothing in a constant series, in a short one, and in none', () => {
  expect(changePoints(new Array<number>(50).fill(0.1))).toEqual([]);
  expect(changePoints([1, 2, 3, 4, 5])).toEqual([]);
  expect(changePoints([])).toEqual([]);
});

it('finds the known changes of a MongoDB benchmark history', () => {
  const { series, expected } = JSON.parse(read('mongodb-profiling-large.json')) as {
    series: number[];
    expected: number;
  };
  expect(changePoints(series)).toHaveLength(expected);
  const steady = JSON.parse(read('mongodb-real_series.json')) as number[];
  expect(changePoints(steady)).toEqual([]);
});

it('finds the large steps of a noisy public history', () => {
  const series = read('history-rune.csv')
    .trim()
    .split('\n')
    .map((line) => line.split(','))
    .filter((fields) => fields[5] === 'aoc_2020_11a')
    .map((fields) => Number(fields[6]));
  const large = changePoints(series, { minEffect: 0.5 });
  expect(large.map(({ ratio }) => ratio > 1)).toEqual([false, true]);
  expect(large.map(({ ratio }) => Math.round((ratio > 1 ? ratio : 1 / ratio) * 10) / 10)).toEqual([3.1, 3.2]);
});

it('gives the same answer for the same series, and leaves the series alone', () => {
  const random = seededRandom(9);
  const series = Array.from({ length: 100 }, (_, i) => Math.floor(i / 25) + random());
  const copy = [...series];
  expect(changePoints(series)).toEqual(changePoints(series));
  expect(series).toEqual(copy);
});

it('refuses series and options that make no sense', () => {
  expect(() => changePoints([1, Number.NaN])).toThrow(TypeError);
  expect(() => changePoints('1' as never)).toThrow(TypeError);
  expect(() => changePoints(new Array<number>(100_001).fill(1))).toThrow(RangeError);
  for (const options of [
    { significance: 0 },
    { permutations: 10 },
    { minPoints: 1 },
    { minEffect: -1 },
    { seed: 0.1 },
  ]) {
    expect(() => changePoints([1], options)).toThrow(RangeError);
  }
});
