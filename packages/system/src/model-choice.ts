// Picks the cheapest model that has proved itself on tasks of a kind. "Proved" is the lower end of Wilson's 95 %
// interval of its success rate (E. B. Wilson, JASA 22, 1927), so three lucky runs do not count as proof; where no model
// is proved yet, the order of preference given by the caller decides.

export interface ModelProfile {
  readonly id: string;
  /** US dollars per million tokens. */
  readonly inputUsdPerMillionTokens: number;
  readonly outputUsdPerMillionTokens: number;
  /** Longest input it takes. Default: no limit known. */
  readonly contextTokens?: number;
}

export interface ModelOutcome {
  readonly successes: number;
  readonly failures: number;
}

export interface ChooseModelOptions {
  /** Success rate a model must be proved to reach, in [0, 1]. Default 0.8. */
  readonly minSuccessRate?: number;
  /** Expected tokens of the request; models with a smaller context are left out. Default 1000. */
  readonly inputTokens?: number;
  readonly outputTokens?: number;
  /** Models that would cost more than this for the request are left out. Default: no limit. */
  readonly maxCostUsd?: number;
}

export interface ModelChoice {
  readonly model: string;
  readonly reason: 'proved' | 'preferred';
  readonly expectedCostUsd: number;
  /** Lower end of the 95 % interval of its success rate on tasks of this kind; 0 without runs. */
  readonly provedSuccessRate: number;
  readonly runs: number;
}

/** Lower end of Wilson's score interval; 0 when there are no trials. O(1). */
export function wilsonLowerBound({ successes, failures }: ModelOutcome, z = 1.96): number {
  const n = successes + failures;
  if (n === 0) return 0;
  const p = successes / n;
  const centre = p + (z * z) / (2 * n);
  const spread = z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  return Math.max(0, (centre - spread) / (1 + (z * z) / n));
}

/**
 * The cheapest proved model that fits, else the first fitting one of `models` (the caller's order of preference);
 * `undefined` when none fits the context and cost limits. O(models).
 */
export function chooseModel(
  models: readonly ModelProfile[],
  outcomeOf: (model: string) => ModelOutcome,
  options: ChooseModelOptions = {},
): ModelChoice | undefined {
  const { minSuccessRate = 0.8, inputTokens = 1000, outputTokens = 500, maxCostUsd = Infinity } = options;
  if (!(minSuccessRate >= 0 && minSuccessRate <= 1)) throw new RangeError('minSuccessRate must be in [0, 1]');
  if (!(inputTokens >= 0)) throw new RangeError('inputTokens must be at least 0');
  if (!(outputTokens >= 0)) throw new RangeError('outputTokens must be at least 0');
  if (!(maxCostUsd >= 0)) throw new RangeError('maxCostUsd must be at least 0');

  let proved: ModelChoice | undefined;
  let preferred: ModelChoice | undefined;
  for (const profile of models) {
    if (profile.contextTokens !== undefined && inputTokens + outputTokens > profile.contextTokens) continue;
    const expectedCostUsd =
      (inputTokens * profile.inputUsdPerMillionTokens + outputTokens * profile.outputUsdPerMillionTokens) /
      1e6;
    if (expectedCostUsd > maxCostUsd) continue;
    const outcome = outcomeOf(profile.id);
    const provedSuccessRate = wilsonLowerBound(outcome);
    const runs = outcome.successes + outcome.failures;
    const choice = { model: profile.id, expectedCostUsd, provedSuccessRate, runs };
    preferred ??= { ...choice, reason: 'preferred' };
    if (
      provedSuccessRate >= minSuccessRate &&
      runs > 0 &&
      !(proved && proved.expectedCostUsd <= expectedCostUsd)
    ) {
      proved = { ...choice, reason: 'proved' };
    }
  }
  return proved ?? preferred;
}
