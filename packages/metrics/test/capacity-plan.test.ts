import fc from 'fast-check';
import { expect, it } from 'vitest';
import { planCapacity } from '@perf/metrics';
import { seededRandom } from '../src/gate/random.ts';

const DAY = 86_400_000;
const line = (days: number, from: number, perDay: number, noise = 0): { atMs: number; value: number }[] => {
  const random = seededRandom(5);
  return Array.from({ length: days }, (_, i) => ({
    atMs: i * DAY,
    value: from + perDay * i + noise * (random() - 0.5),
  }));
};

it('finds when a steady growth reaches the limit', () => {
  const plan = planCapacity(line(30, 100, 2), { limit: 200 });
  expect(plan.verdict).toBe('exhausts');
  expect(plan.perDay).toBeCloseTo(2, 9);
  expect(plan.current).toBeCloseTo(158, 9);
  expect((plan.exhaustedAtMs ?? 0) / DAY).toBeCloseTo(50, 6);
  expect(plan.projected).toBeCloseTo(218, 6);
});

it('holds when the limit is beyond the horizon, or the load falls', () => {
  expect(planCapacity(line(30, 100, 2), { limit: 1000 }).verdict).toBe('holds');
  const falling = planCapacity(line(30, 100, -1), { limit: 110 });
  expect(falling.verdict).toBe('holds');
  expect(falling.exhaustedAtMs).toBeUndefined();
});

it('is at risk when only the steep end of the range reaches the limit', () => {
  const history = line(20, 100, 1, 20);
  const { projected, projectedRange } = planCapacity(history);
  const between = (projected + projectedRange[1]) / 2;
  const plan = planCapacity(history, { limit: between });
  expect(plan.verdict).toBe('at-risk');
  expect(plan.earliestExhaustedAtMs).toBeLessThan(plan.exhaustedAtMs ?? Infinity);
});

it('is not bent by a fifth of wild points', () => {
  const history = line(50, 100, 2).map((point, i) => (i % 5 === 0 ? { ...point, value: 9999 } : point));
  expect(planCapacity(history).perDay).toBeCloseTo(2, 0);
});

it('says so when the limit is reached already, when there is none, and when there is too little to go by', () => {
  const full = planCapacity(line(20, 100, 1), { limit: 50 });
  expect(full).toMatchObject({ verdict: 'exhausts', exhaustedAtMs: 19 * DAY });
  expect(planCapacity(line(20, 100, 1)).verdict).toBe('no-limit');
  expect(planCapacity(line(9, 100, 1), { limit: 1 }).verdict).toBe('unknown');
  expect(planCapacity([], { limit: 1 })).toMatchObject({ verdict: 'unknown', points: 0, perDay: Number.NaN });
  expect(planCapacity(Array.from({ length: 20 }, () => ({ atMs: 1, value: 1 }))).verdict).toBe('unknown');
});

it('does not depend on the order of the points', () => {
  const history = line(40, 10, 3, 5);
  fc.assert(
    fc.property(fc.shuffledSubarray(history, { minLength: 40 }), (shuffled) => {
      expect(planCapacity(shuffled, { limit: 500 })).toEqual(planCapacity(history, { limit: 500 }));
    }),
    { numRuns: 20 },
  );
});

it('takes long histories together without losing the trend', () => {
  const long = Array.from({ length: 50_000 }, (_, i) => ({ atMs: i * 60_000, value: i + (i % 7) }));
  expect(planCapacity(long).perDay).toBeCloseTo(1440, 0);
});

it('refuses what makes no sense', () => {
  const history = line(20, 1, 1);
  expect(() => planCapacity('x' as never)).toThrow(TypeError);
  expect(() => planCapacity([{ atMs: 0, value: Number.NaN }])).toThrow(TypeError);
  expect(() => planCapacity([null as never])).toThrow(TypeError);
  expect(() => planCapacity(history, { limit: Infinity })).toThrow(RangeError);
  expect(() => planCapacity(history, { horizonMs: 0 })).toThrow(RangeError);
  expect(() => planCapacity(history, { confidence: 1 })).toThrow(RangeError);
});
