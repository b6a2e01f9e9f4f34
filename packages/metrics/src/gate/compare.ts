/**
 * Did it get slower? A verdict on two sets of benchmark runs that knows its own noise.
 *
 * Samples of one process share its memory layout, its JIT decisions and its moment on the machine, so they are not
 * independent; processes are (Kalibera and Jones, "Rigorous benchmarking in reasonable time", ISMM 2013). The fork is the
 * unit: each is summarised by its median, the sides by the median over forks, and the interval of their ratio comes from
 * resampling forks (percentile bootstrap; Efron and Tibshirani 1993). When the contenders ran interleaved in the same
 * forks (`paired`), the ratio is taken in each fork first, and what the machine did to both cancels out.
 *
 * Four verdicts, because "not proven slower" is not "the same": the interval of `same` lies inside the threshold; when
 * it neither does nor shows a change of at least the threshold, there were too few forks for the noise: `inconclusive`.
 */
import { medianOf, quantileOf, quantileOfSorted } from './quantiles.ts';
import { seededRandom } from './random.ts';

/** Forks, each with its samples. */
export type ForkSamples = readonly (readonly number[])[];

export interface CompareOptions {
  /** The smallest change that matters, as a share of the base. Default 0.03. */
  readonly threshold?: number;
  /** Of the interval. Default 0.99: identical code is called changed in at most about one of a hundred comparisons. */
  readonly confidence?: number;
  /** Fork i of both sides ran interleaved in one process. Default false. */
  readonly paired?: boolean;
  /** The samples are rates, not times. Default false. */
  readonly higherIsBetter?: boolean;
  /** Of the samples within a fork, for `tail`. Default 0.9. */
  readonly tailQuantile?: number;
  /** Default 2000. */
  readonly resamples?: number;
  /** Default 1. */
  readonly seed?: number;
}

export interface Estimate {
  /** Head over base. */
  readonly ratio: number;
  readonly ci: readonly [number, number];
}

export interface Verdict extends Estimate {
  readonly verdict: 'regression' | 'improvement' | 'same' | 'inconclusive';
  /** The change, as a share of the base, that these forks would show in four of five comparisons; Infinity below five forks. */
  readonly minimumDetectableEffect: number;
  /** The same for a high quantile of each fork; reported, not judged. */
  readonly tail: Estimate & { readonly quantile: number };
}

/** With fewer forks than this on a side there is no interval to speak of. */
const MIN_FORKS = 5;
const MAX_FORKS = 10_000;
/** Standard normal quantile of 0.8, the power behind `minimumDetectableEffect`. */
const Z_POWER = 0.8416;

/**
 * Compares two sets of forks. O(resamples x forks x log forks).
 * @throws {TypeError | RangeError} when a side has no samples, a sample is not a positive finite number, or an option is
 * out of range.
 */
export function compare(base: ForkSamples, head: ForkSamples, options: CompareOptions = {}): Verdict {
  const { threshold = 0.03, confidence = 0.99, paired = false, higherIsBetter = false } = options;
  const { tailQuantile = 0.9, resamples = 2000, seed = 1 } = options;
  checkSide(base, 'base');
  checkSide(head, 'head');
  if (!(threshold > 0 && threshold < 10)) throw new RangeError('threshold must be in (0, 10)');
  if (!(confidence > 0.5 && confidence < 1)) throw new RangeError('confidence must be in (0.5, 1)');
  if (!(tailQuantile > 0.5 && tailQuantile <= 1)) throw new RangeError('tailQuantile must be in (0.5, 1]');
  if (!Number.isSafeInteger(resamples) || resamples < 100 || resamples > 1_000_000) {
    throw new RangeError('resamples must be an integer between 100 and 1 000 000');
  }
  if (!Number.isSafeInteger(seed)) throw new RangeError('seed must be an integer');
  if (paired && base.length !== head.length)
    throw new RangeError('paired sides must have the same number of forks');

  const estimate = (p: number): Estimate & { logError: number } => {
    const summary = (forks: ForkSamples): Float64Array =>
      Float64Array.from(forks, (fork) => quantileOf(fork, p));
    return ratioInterval(summary(base), summary(head), {
      paired,
      confidence,
      resamples,
      random: seededRandom(seed),
    });
  };
  const { ratio, ci, logError } = estimate(0.5);
  const enough = Math.min(base.length, head.length) >= MIN_FORKS;
  const { ratio: tailRatio, ci: tailCi } = estimate(tailQuantile);
  const z = normalQuantile(1 - (1 - confidence) / 2) + Z_POWER;
  return {
    verdict: enough ? judge(ratio, ci, threshold, higherIsBetter) : 'inconclusive',
    ratio,
    ci,
    minimumDetectableEffect: enough ? Math.expm1(z * logError) : Infinity,
    tail: { quantile: tailQuantile, ratio: tailRatio, ci: tailCi },
  };
}

function judge(
  ratio: number,
  [low, high]: readonly [number, number],
  threshold: number,
  higherIsBetter: boolean,
): Verdict['verdict'] {
  const most = 1 + threshold;
  if (low > 1 && ratio >= most) return higherIsBetter ? 'improvement' : 'regression';
  if (high < 1 && ratio <= 1 / most) return higherIsBetter ? 'regression' : 'improvement';
  return low >= 1 / most && high <= most ? 'same' : 'inconclusive';
}

function ratioInterval(
  base: Float64Array,
  head: Float64Array,
  o: { paired: boolean; confidence: number; resamples: number; random: () => number },
): Estimate & { logError: number } {
  const ratios = o.paired ? head.map((value, i) => value / (base[i] as number)) : undefined;
  const ratio = ratios === undefined ? medianOf(head) / medianOf(base) : medianOf(ratios);
  const drawn = new Float64Array(o.resamples);
  const buffers = [new Float64Array(base.length), new Float64Array(head.length)] as const;
  for (let i = 0; i < o.resamples; i++) {
    drawn[i] =
      ratios === undefined
        ? resampledMedian(head, buffers[1], o.random) / resampledMedian(base, buffers[0], o.random)
        : resampledMedian(ratios, buffers[0], o.random);
  }
  drawn.sort();
  const tail = (1 - o.confidence) / 2;
  const logs = drawn.map(Math.log);
  const mean = logs.reduce((sum, value) => sum + value, 0) / logs.length;
  const variance = logs.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (logs.length - 1);
  return {
    ratio,
    ci: [quantileOfSorted(drawn, tail), quantileOfSorted(drawn, 1 - tail)],
    logError: Math.sqrt(variance),
  };
}

function resampledMedian(values: Float64Array, buffer: Float64Array, random: () => number): number {
  for (let i = 0; i < values.length; i++) buffer[i] = values[Math.floor(random() * values.length)] as number;
  buffer.sort();
  return quantileOfSorted(buffer, 0.5);
}

/** Inverse of the standard normal distribution by bisection of its error function (Abramowitz and Stegun 7.1.26). */
export function normalQuantile(p: number): number {
  let low = -10;
  let high = 10;
  for (let i = 0; i < 80; i++) {
    const middle = (low + high) / 2;
    if (normalCdf(middle) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

function normalCdf(x: number): number {
  const t = 1 / (1 + 0.3275911 * (Math.abs(x) / Math.SQRT2));
  const series =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const erf = 1 - series * Math.exp((-x * x) / 2);
  return x < 0 ? (1 - erf) / 2 : (1 + erf) / 2;
}

function checkSide(side: ForkSamples, name: string): void {
  if (!Array.isArray(side) || side.length === 0 || side.length > MAX_FORKS) {
    throw new TypeError(`${name} must be 1 to ${MAX_FORKS} forks, each an array of samples`);
  }
  for (const fork of side as ForkSamples) {
    if (!Array.isArray(fork) || fork.length === 0) throw new TypeError(`a fork of ${name} has no samples`);
    for (const sample of fork as readonly number[]) {
      if (!(typeof sample === 'number' && sample > 0 && sample < Infinity)) {
        throw new RangeError(`samples of ${name} must be positive and finite`);
      }
    }
  }
}
