/** Quantile of ascending values, interpolated linearly between the two nearest (type 7 of Hyndman and Fan). */
export function quantileOfSorted(sorted: ArrayLike<number>, p: number): number {
  const at = p * (sorted.length - 1);
  const low = Math.floor(at);
  const below = sorted[low] ?? Number.NaN;
  const above = sorted[Math.min(low + 1, sorted.length - 1)] ?? Number.NaN;
  return below + (above - below) * (at - low);
}

export function quantileOf(values: ArrayLike<number>, p: number): number {
  return quantileOfSorted(Float64Array.from(values).sort(), p);
}

export function medianOf(values: ArrayLike<number>): number {
  return quantileOf(values, 0.5);
}
