import { describe, expect, test } from 'vitest';

import { median, pairedSpeedRatio, spreadOf } from '../src/statistics.ts';

describe('median', () => {
  test('is the middle of an odd number and the mean of the two middles of an even number', () => {
    expect(median([5])).toBe(5);
    expect(median([9, 1, 4])).toBe(4);
    expect(median([10, 1, 4, 2])).toBe(3);
    expect(median([10, 9, 100])).toBe(10);
  });

  test('refuses no values', () => {
    expect(() => median([])).toThrow(RangeError);
  });
});

describe('spreadOf', () => {
  // n, values cut on each side, confidence: the table of order-statistic intervals for the median at 95 %
  // (W. J. Conover, "Practical Nonparametric Statistics"; R: 1 - 2 * pbinom(cut, n, 0.5)).
  test.each([
    [6, 0, 0.96875],
    [7, 0, 0.984375],
    [8, 0, 0.9921875],
    [9, 1, 0.9609375],
    [10, 1, 0.978515625],
    [15, 3, 0.96484375],
    [20, 5, 0.9586105],
    [25, 7, 0.9567147],
    [30, 9, 0.957226],
  ])('takes the tabled interval for %i values', (n, cut, confidence) => {
    const spread = spreadOf(Array.from({ length: n }, (_, index) => index));
    expect(spread.low).toBe(cut);
    expect(spread.high).toBe(n - 1 - cut);
    expect(spread.confidence).toBeCloseTo(confidence, 6);
  });

  test('says how little the whole range of few values is worth', () => {
    expect(spreadOf([3])).toEqual({ median: 3, low: 3, high: 3, confidence: 0 });
    expect(spreadOf([3, 1])).toEqual({ median: 2, low: 1, high: 3, confidence: 0.5 });
    expect(spreadOf([1, 2, 3, 4, 5])).toEqual({ median: 3, low: 1, high: 5, confidence: 0.9375 });
  });
});

describe('pairedSpeedRatio', () => {
  test('is above one when ours took less time', () => {
    expect(pairedSpeedRatio([1, 1, 1], [2, 3, 4])).toBeCloseTo(3, 12);
  });

  test('is not moved by a round that was slow for everybody', () => {
    expect(pairedSpeedRatio([1, 100, 1, 50, 1], [2, 200, 2, 100, 2])).toBeCloseTo(2, 12);
  });

  test('refuses rounds that do not match and times that are not positive', () => {
    expect(() => pairedSpeedRatio([1], [1, 2])).toThrow(RangeError);
    expect(() => pairedSpeedRatio([], [])).toThrow(RangeError);
    expect(() => pairedSpeedRatio([0], [1])).toThrow(RangeError);
    expect(() => pairedSpeedRatio([1], [Number.NaN])).toThrow(RangeError);
  });
});
