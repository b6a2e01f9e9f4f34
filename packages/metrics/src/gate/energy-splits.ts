/**
 * The energy statistic of every split of a series in O(n log n): for every i, how much farther values are from the other
 * side's than from their own side's, between `values[0, i)` and `values[i, n)`.
 *
 * Moving one value across needs the sum of its distances to the values on the left: with these in a Fenwick tree by rank,
 * as counts and sums, that is two prefix queries. Its distances to the right are its distances to all, less those.
 */

/** What does not depend on the order: made once for a multiset of values, used for every order of them. */
export interface SortedValues {
  readonly sorted: Float64Array;
  /** Per rank, the sum of distances to all values. */
  readonly toAll: Float64Array;
  /** Sum of the distances of all pairs. */
  readonly allPairs: number;
}

export function sortValues(values: Float64Array): SortedValues {
  const sorted = Float64Array.from(values).sort();
  const n = sorted.length;
  const total = sorted.reduce((sum, value) => sum + value, 0);
  const toAll = new Float64Array(n);
  let below = 0;
  let allPairs = 0;
  for (let i = 0; i < n; i++) {
    const value = sorted[i] as number;
    const above = total - below - value;
    toAll[i] = value * i - below + (above - value * (n - 1 - i));
    allPairs += toAll[i] as number;
    below += value;
  }
  return { sorted, toAll, allPairs: allPairs / 2 };
}

/** Ranks of a series in {@link SortedValues}, equal values in order of appearance. */
export function ranksOf(values: Float64Array): Int32Array {
  const order = Array.from(values.keys()).sort(
    (a, b) => (values[a] as number) - (values[b] as number) || a - b,
  );
  const ranks = new Int32Array(values.length);
  for (const [rank, index] of order.entries()) ranks[index] = rank;
  return ranks;
}

/** The energies of one order, given as ranks; 0 where a side has fewer than two values. */
export function splitEnergies(ranks: Int32Array, values: SortedValues): Float64Array {
  const { sorted, toAll, allPairs } = values;
  const n = ranks.length;
  const counts = new Float64Array(n + 1);
  const sums = new Float64Array(n + 1);
  const energies = new Float64Array(n);
  let sumLeft = 0;
  let between = 0;
  let left = 0;
  let right = allPairs;
  for (let i = 1; i < n; i++) {
    const rank = ranks[i - 1] as number;
    const value = sorted[rank] as number;
    let below = 0;
    let sumBelow = 0;
    for (let at = rank + 1; at > 0; at -= at & -at) {
      below += counts[at] as number;
      sumBelow += sums[at] as number;
    }
    const above = i - 1 - below;
    const toLeft = value * below - sumBelow + (sumLeft - sumBelow - value * above);
    const toRight = (toAll[rank] as number) - toLeft;
    for (let at = rank + 1; at <= n; at += at & -at) {
      counts[at] = (counts[at] as number) + 1;
      sums[at] = (sums[at] as number) + value;
    }
    sumLeft += value;
    left += toLeft;
    right -= toRight;
    between += toRight - toLeft;
    const rest = n - i;
    if (i < 2 || rest < 2) continue;
    const apart = (2 * between) / (i * rest) - (2 * left) / (i * (i - 1)) - (2 * right) / (rest * (rest - 1));
    energies[i] = ((i * rest) / n) * apart;
  }
  return energies;
}
