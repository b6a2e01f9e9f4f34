/**
 * The few statistics a report needs. A fork is one observation; forks are few (about nine) and their noise is skewed
 * (something else ran), so the centre is the median and the interval is that of order statistics, which assumes nothing
 * about the distribution and needs no random numbers: the number of observations below the true median is
 * Binomial(n, 1/2), hence [x(k), x(n+1-k)] covers it with probability 1 - 2 P(Binomial(n, 1/2) < k).
 * (H. A. David, H. N. Nagaraja, "Order Statistics", 3rd ed., section 7.1.)
 */

/** The median over forks with its interval. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** Probability that [low, high] covers the true median; below 0.95 when there are fewer than 6 forks. */
  readonly confidence: number;
}

/** @throws {RangeError} when `values` is empty. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('median of no values');
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >>> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/**
 * The median with the narrowest order-statistic interval whose confidence is at least `atLeast`; when there are too few
 * values for that, the whole range with the confidence it has.
 * @throws {RangeError} when `values` is empty.
 */
export function spreadOf(values: readonly number[], atLeast = 0.95): Spread {
  const centre = median(values);
  const sorted = Float64Array.from(values).sort();
  const n = sorted.length;
  // `cut` values are dropped on each side; the tail is P(Binomial(n, 1/2) <= cut).
  let cut = 0;
  let term = 2 ** -n;
  let tail = term;
  while (2 * (cut + 1) < n) {
    const nextTerm = (term * (n - cut)) / (cut + 1);
    if (1 - 2 * (tail + nextTerm) < atLeast) break;
    cut += 1;
    term = nextTerm;
    tail += nextTerm;
  }
  return {
    median: centre,
    low: sorted[cut] as number,
    high: sorted[n - 1 - cut] as number,
    confidence: Math.max(0, 1 - 2 * tail),
  };
}

/**
 * How many times faster `ours` is than `theirs`, from times of the same rounds: the median of the per-round ratios, so
 * that what slows a whole round down cancels. Taken on logarithms, so that swapping the sides gives the reciprocal.
 * @throws {RangeError} when the lengths differ, are 0, or a time is not positive.
 */
export function pairedSpeedRatio(ours: readonly number[], theirs: readonly number[]): number {
  if (ours.length !== theirs.length) throw new RangeError('a ratio needs the same rounds on both sides');
  const logs = ours.map((time, round) => {
    const other = theirs[round] as number;
    if (!(time > 0 && other > 0)) throw new RangeError('times must be positive');
    return Math.log(other) - Math.log(time);
  });
  return Math.exp(median(logs));
}
