/**
 * When a resource runs out, if it goes on like this.
 *
 * The trend is the median of the slopes between all pairs of points, which a fifth of wild points cannot bend; its range
 * comes from Kendall's distribution (Sen, JASA 1968). It assumes a straight line and independent points: what grows with
 * the day of the week should be given as one point a week, or with a history many weeks long.
 */
import { normalQuantile } from './gate/compare.ts';
import { medianOf, quantileOfSorted } from './gate/quantiles.ts';

export interface LoadPoint {
  readonly atMs: number;
  readonly value: number;
}

export interface CapacityOptions {
  /** What there is of the resource, in the unit of the values. Without it only the trend is told. */
  readonly limit?: number;
  /** How far ahead matters, after the last point. Default 30 days. */
  readonly horizonMs?: number;
  /** Of the trend's range. Default 0.95. */
  readonly confidence?: number;
}

export interface CapacityPlan {
  /**
   * `exhausts`: the trend reaches the limit within the horizon. `at-risk`: the steep end of its range does. `holds`:
   * neither. `no-limit`: none was given. `unknown`: fewer than ten points, or all at one time.
   */
  readonly verdict: 'exhausts' | 'at-risk' | 'holds' | 'no-limit' | 'unknown';
  readonly points: number;
  /** The trend's value at the last point. NaN when unknown. */
  readonly current: number;
  readonly perDay: number;
  readonly perDayRange: readonly [number, number];
  /** The trend's value, and its range, at the end of the horizon. */
  readonly projected: number;
  readonly projectedRange: readonly [number, number];
  /** When the trend reaches the limit; absent when it does not rise, or without a limit. */
  readonly exhaustedAtMs?: number;
  /** When the steep end of the range does. */
  readonly earliestExhaustedAtMs?: number;
}

const DAY_MS = 86_400_000;
const MIN_POINTS = 10;
/** All pairs of this many are two million slopes. More points are taken together, medians of neighbours in time. */
const MAX_POINTS = 2000;

/**
 * Projects a history of load, in any order. O(n^2) up to 2000 points, beyond which neighbours are merged.
 * @throws {TypeError | RangeError} when a point is not finite or an option is out of range.
 */
export function planCapacity(history: readonly LoadPoint[], options: CapacityOptions = {}): CapacityPlan {
  const { limit, horizonMs = 30 * DAY_MS, confidence = 0.95 } = options;
  if (!Array.isArray(history)) throw new TypeError('history must be an array of { atMs, value }');
  if (!(history as readonly LoadPoint[]).every((p) => Number.isFinite(p?.atMs) && Number.isFinite(p.value))) {
    throw new TypeError('history must have finite atMs and value');
  }
  if (limit !== undefined && !Number.isFinite(limit)) throw new RangeError('limit must be finite');
  if (!(horizonMs > 0 && horizonMs < Infinity)) throw new RangeError('horizonMs must be positive');
  if (!(confidence > 0 && confidence < 1)) throw new RangeError('confidence must be in (0, 1)');

  const sorted = [...history].sort((a: LoadPoint, b: LoadPoint) => a.atMs - b.atMs) as LoadPoint[];
  const points = thin(sorted);
  const slopes = pairSlopes(points);
  const last = sorted.at(-1);
  if (points.length < MIN_POINTS || slopes.length === 0 || last === undefined) {
    const none = Number.NaN;
    const nothing = { current: none, perDay: none, perDayRange: [none, none], projected: none } as const;
    return { verdict: 'unknown', points: history.length, ...nothing, projectedRange: [none, none] };
  }
  const slope = quantileOfSorted(slopes, 0.5);
  const range = slopeRange(slopes, points.length, confidence);
  const current = medianOf(points.map(({ atMs, value }) => value + slope * (last.atMs - atMs)));
  const ahead = (rate: number): number => current + rate * horizonMs;
  const reachedAtMs = (rate: number): number | undefined => {
    if (limit === undefined) return undefined;
    if (current >= limit) return last.atMs;
    return rate > 0 ? last.atMs + (limit - current) / rate : undefined;
  };
  const exhaustedAtMs = reachedAtMs(slope);
  const earliestExhaustedAtMs = reachedAtMs(range[1]);
  const endMs = last.atMs + horizonMs;
  const within = (atMs: number | undefined): boolean => atMs !== undefined && atMs <= endMs;
  const verdict = within(exhaustedAtMs) ? 'exhausts' : within(earliestExhaustedAtMs) ? 'at-risk' : 'holds';
  return {
    verdict: limit === undefined ? 'no-limit' : verdict,
    points: history.length,
    current,
    perDay: slope * DAY_MS,
    perDayRange: [range[0] * DAY_MS, range[1] * DAY_MS],
    projected: ahead(slope),
    projectedRange: [ahead(range[0]), ahead(range[1])],
    ...(exhaustedAtMs !== undefined && { exhaustedAtMs }),
    ...(earliestExhaustedAtMs !== undefined && { earliestExhaustedAtMs }),
  };
}

function thin(points: readonly LoadPoint[]): readonly LoadPoint[] {
  if (points.length <= MAX_POINTS) return points;
  const out: LoadPoint[] = [];
  for (let i = 0; i < MAX_POINTS; i++) {
    const from = Math.floor((i * points.length) / MAX_POINTS);
    const group = points.slice(from, Math.floor(((i + 1) * points.length) / MAX_POINTS));
    out.push({ atMs: medianOf(group.map((p) => p.atMs)), value: medianOf(group.map((p) => p.value)) });
  }
  return out;
}

/** Ascending slopes of all pairs of points at different times, per millisecond. */
function pairSlopes(points: readonly LoadPoint[]): Float64Array {
  const slopes = new Float64Array((points.length * (points.length - 1)) / 2);
  let count = 0;
  for (const [i, a] of points.entries()) {
    for (let j = i + 1; j < points.length; j++) {
      const b = points[j] as LoadPoint;
      if (b.atMs > a.atMs) slopes[count++] = (b.value - a.value) / (b.atMs - a.atMs);
    }
  }
  return slopes.subarray(0, count).sort();
}

function slopeRange(slopes: Float64Array, n: number, confidence: number): [number, number] {
  const deviation = Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  const share = (normalQuantile(1 - (1 - confidence) / 2) * deviation) / slopes.length / 2;
  return [
    quantileOfSorted(slopes, Math.max(0, 0.5 - share)),
    quantileOfSorted(slopes, Math.min(1, 0.5 + share)),
  ];
}
