import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compare } from '@perf/metrics';
import type { CompareOptions, Verdict } from '@perf/metrics';
import { normalQuantile } from '../src/gate/compare.ts';
import { seededRandom } from '../src/gate/random.ts';

/** Real runs: per fork, ten interleaved samples of identical code (A, A2) and of 2, 5, 10 and 20 % more work. */
const recorded = gunzipSync(
  readFileSync(new URL('../../../bench/data/metrics/gate-samples-json-quiet.jsonl.gz', import.meta.url)),
)
  .toString()
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as { variants: string[]; ms: number[][] });

/** Verdicts of comparing A with a variant on randomly drawn forks. */
function verdicts(
  variant: string,
  forks: number,
  trials: number,
  paired: boolean,
  more: CompareOptions = {},
): Verdict[] {
  const random = seededRandom(variant.length + forks);
  const at = recorded[0]?.variants.indexOf(variant) ?? -1;
  const draw = (): typeof recorded =>
    Array.from(
      { length: forks },
      () => recorded.at(Math.floor(random() * recorded.length)) ?? { variants: [], ms: [] },
    );
  return Array.from({ length: trials }, () => {
    const base = draw();
    const head = paired ? base : draw();
    const side = (fork: (typeof recorded)[0], column: number): number[] => fork.ms[column] ?? [];
    return compare(
      base.map((fork) => side(fork, 0)),
      head.map((fork) => side(fork, at)),
      { resamples: 300, paired, ...more },
    );
  });
}

const share = (all: readonly Verdict[], verdict: Verdict['verdict']): number =>
  all.filter((one) => one.verdict === verdict).length / all.length;

describe('on recorded runs', () => {
  it.each([true, false])('seldom calls identical code changed (paired: %s)', (paired) => {
    const all = verdicts('A2', 30, 150, paired);
    expect(share(all, 'regression') + share(all, 'improvement')).toBeLessThanOrEqual(0.02);
  });

  it('finds 5 % more work in nearly every comparison of 30 forks', () => {
    expect(share(verdicts('+5%', 30, 100, false), 'regression')).toBeGreaterThan(0.85);
    expect(share(verdicts('+5%', 30, 100, true), 'regression')).toBeGreaterThan(0.97);
  });

  it('calls less work an improvement when rates are compared the other way round', () => {
    const all = verdicts('+10%', 30, 40, true, { higherIsBetter: true });
    expect(share(all, 'improvement')).toBeGreaterThan(0.97);
  });

  it('says inconclusive, with a large detectable effect, when there are few forks', () => {
    const all = verdicts('A2', 6, 60, false);
    expect(share(all, 'inconclusive')).toBeGreaterThan(0.8);
  });

  it('says same for identical code when there are enough paired forks', () => {
    expect(share(verdicts('A2', 60, 40, true), 'same')).toBeGreaterThan(0.9);
  });
});

const side = fc.array(
  fc.array(fc.double({ min: 0.5, max: 2, noNaN: true }), { minLength: 1, maxLength: 4 }),
  {
    minLength: 5,
    maxLength: 12,
  },
);

it('mirrors: swapping the sides turns a regression into an improvement', () => {
  fc.assert(
    fc.property(side, fc.double({ min: 1.2, max: 3, noNaN: true }), (base, factor) => {
      const head = base.map((fork) => fork.map((sample) => sample * factor));
      const forth = compare(base, head, { paired: true, resamples: 200 });
      const back = compare(head, base, { paired: true, resamples: 200 });
      expect([forth.verdict, back.verdict]).toEqual(['regression', 'improvement']);
      expect(forth.ratio).toBeCloseTo(factor, 9);
      expect(forth.ratio * back.ratio).toBeCloseTo(1, 9);
    }),
    { numRuns: 50 },
  );
});

it('has its ratio inside its interval, gives the same verdict for the same data, and does not depend on the unit', () => {
  fc.assert(
    fc.property(side, side, (base, head) => {
      const verdict = compare(base, head, { resamples: 200 });
      expect(compare(base, head, { resamples: 200 })).toEqual(verdict);
      expect(verdict.ci[0]).toBeLessThanOrEqual(verdict.ci[1]);
      const scaled = compare(
        base.map((fork) => fork.map((s) => s * 1024)),
        head.map((fork) => fork.map((s) => s * 1024)),
        { resamples: 200 },
      );
      expect(scaled.ratio).toBeCloseTo(verdict.ratio, 9);
    }),
    { numRuns: 50 },
  );
});

it('is inconclusive below five forks whatever the samples say', () => {
  const fast = [[1], [1], [1], [1]];
  expect(compare(fast, [[9], [9], [9], [9]])).toMatchObject({
    verdict: 'inconclusive',
    minimumDetectableEffect: Infinity,
  });
});

it('reports the tail apart from the verdict', () => {
  const base = Array.from({ length: 20 }, () => [1, 1, 1, 1, 1, 1, 1, 1, 1, 1.1]);
  const head = Array.from({ length: 20 }, () => [1, 1, 1, 1, 1, 1, 1, 1, 1, 5]);
  const verdict = compare(base, head, { tailQuantile: 1 });
  expect(verdict.verdict).toBe('same');
  expect(verdict.tail.ratio).toBeCloseTo(5 / 1.1, 9);
});

it('refuses samples and options that make no sense', () => {
  const good = [[1], [1]];
  for (const [base, head, options] of [
    [[], good, {}],
    [good, [[]], {}],
    [good, [[0]], {}],
    [good, [[Number.NaN]], {}],
    [good, [['1']], {}],
    ['x', good, {}],
    [good, [[1]], { paired: true }],
    [good, good, { threshold: 0 }],
    [good, good, { confidence: 1 }],
    [good, good, { tailQuantile: 2 }],
    [good, good, { resamples: 10 }],
    [good, good, { seed: 0.5 }],
  ]) {
    expect(() => compare(base as never, head as never, options as never)).toThrow(/TypeError|must|has no/);
  }
});

it('inverts the normal distribution', () => {
  expect(normalQuantile(0.975)).toBeCloseTo(1.96, 3);
  expect(normalQuantile(0.5)).toBeCloseTo(0, 5);
});
