import fc from 'fast-check';
import { expect, test } from 'vitest';

import { seededRandom, shuffled } from '../src/random.ts';
import { median, pairedSpeedRatio, spreadOf } from '../src/statistics.ts';

const values = fc.array(fc.double({ min: 1e-3, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 60 });

test('the median has at most half of the values on either side', () => {
  fc.assert(
    fc.property(values, (list) => {
      const centre = median(list);
      expect(list.filter((value) => value < centre).length * 2).toBeLessThanOrEqual(list.length);
      expect(list.filter((value) => value > centre).length * 2).toBeLessThanOrEqual(list.length);
    }),
  );
});

test('the interval holds the median, its ends are observations, and order does not matter', () => {
  fc.assert(
    fc.property(values, fc.integer(), (list, seed) => {
      const spread = spreadOf(list);
      expect(spread.low).toBeLessThanOrEqual(spread.median);
      expect(spread.high).toBeGreaterThanOrEqual(spread.median);
      expect(list).toContain(spread.low);
      expect(list).toContain(spread.high);
      expect(spreadOf(shuffled(list, seededRandom(seed)))).toEqual(spread);
    }),
  );
});

test('the confidence is at least 95 % from six values on, and dropping one value more would go below', () => {
  const binomialTail = (n: number, cut: number): number => {
    // P(Binomial(n, 1/2) <= cut), with exact integers.
    let count = 0n;
    let choose = 1n;
    for (let k = 0n; k <= BigInt(cut); k += 1n) {
      count += choose;
      choose = (choose * (BigInt(n) - k)) / (k + 1n);
    }
    return Number((count * 10n ** 18n) / 2n ** BigInt(n)) / 1e18;
  };
  for (let n = 1; n <= 100; n += 1) {
    const spread = spreadOf(Array.from({ length: n }, (_, index) => index));
    const cut = spread.low;
    expect(spread.high).toBe(n - 1 - cut);
    expect(spread.confidence).toBeCloseTo(Math.max(0, 1 - 2 * binomialTail(n, cut)), 9);
    const couldDropMore = 2 * (cut + 1) < n;
    expect(n < 6 || spread.confidence >= 0.95).toBe(true);
    expect(couldDropMore && 1 - 2 * binomialTail(n, cut + 1) >= 0.95).toBe(false);
  }
});

test('the interval covers the true median about as often as it says', () => {
  const random = seededRandom(1);
  let covered = 0;
  const trials = 4000;
  for (let trial = 0; trial < trials; trial += 1) {
    // Skewed like timings: exponential, whose median is ln 2.
    const { low, high } = spreadOf(Array.from({ length: 9 }, () => -Math.log(1 - random())));
    if (low <= Math.LN2 && Math.LN2 <= high) covered += 1;
  }
  expect(covered / trials).toBeGreaterThan(0.95);
  expect(covered / trials).toBeLessThan(0.975);
});

test('swapping the sides of a ratio gives its reciprocal, and a common factor cancels', () => {
  const rounds = fc.array(
    fc.tuple(
      fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
      fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
    ),
    { minLength: 1, maxLength: 30 },
  );
  fc.assert(
    fc.property(rounds, fc.double({ min: 0.1, max: 10, noNaN: true }), (pairs, factor) => {
      const ours = pairs.map(([time]) => time);
      const theirs = pairs.map(([, time]) => time);
      const ratio = pairedSpeedRatio(ours, theirs);
      expect(pairedSpeedRatio(theirs, ours) * ratio).toBeCloseTo(1, 9);
      const slowed = (list: readonly number[]): number[] => list.map((time) => time * factor);
      expect(pairedSpeedRatio(slowed(ours), slowed(theirs)) / ratio).toBeCloseTo(1, 9);
    }),
  );
});
