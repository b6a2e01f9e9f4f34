// Which recipes compete for a body, by goal, size and reference. The smallest payload wins; what does not beat storing
// the body as it is, is stored as it is. DESIGN.md has the measurements behind the thresholds.
import type { Recipe } from './codec.ts';
import { CODEC } from './frame.ts';

export type Goal = 'fast' | 'balanced' | 'small';

export const GOALS: readonly Goal[] = ['fast', 'balanced', 'small'];

export const RAW: Recipe = { label: 'raw', codec: CODEC.raw, level: 0 };

const DEFLATE_1: Recipe = { label: 'deflate-1', codec: CODEC.deflate, level: 1 };
const DEFLATE_6: Recipe = { label: 'deflate-6', codec: CODEC.deflate, level: 6 };
const DEFLATE_9: Recipe = { label: 'deflate-9', codec: CODEC.deflate, level: 9 };
const ZSTD_1: Recipe = { label: 'zstd-1', codec: CODEC.zstd, level: 1 };
const ZSTD_3: Recipe = { label: 'zstd-3', codec: CODEC.zstd, level: 3 };
const ZSTD_9: Recipe = { label: 'zstd-9', codec: CODEC.zstd, level: 9 };
const ZSTD_19: Recipe = { label: 'zstd-19', codec: CODEC.zstd, level: 19 };
const BROTLI_11: Recipe = { label: 'brotli-11', codec: CODEC.brotli, level: 11 };

/** Below this, a codec's own overhead eats what it saves, unless it has a reference. */
const MIN_BYTES = 32;
const MIN_BYTES_WITH_REFERENCE = 8;
/** Up to here deflate is smaller and faster than zstd (bench case agent-messages). */
const SMALL_BODY_BYTES = 4 * 1024;
/** brotli-11 takes about a second a megabyte; above this size zstd-19 stands alone. */
const MAX_BROTLI_BYTES = 1024 * 1024;

/** What is known about a body before it is compressed. */
export interface BodyFacts {
  readonly sizeBytes: number;
  readonly referenceBytes: number | undefined;
  readonly zstdTakesReference: boolean;
}

/** Everything that could be tried, for explain(). */
export function everyRecipe(facts: BodyFacts): readonly Recipe[] {
  const deflates = [DEFLATE_1, DEFLATE_6, DEFLATE_9];
  const zstds = [ZSTD_1, ZSTD_3, ZSTD_9, ZSTD_19];
  if (facts.referenceBytes === undefined) return [...deflates, ...zstds, BROTLI_11];
  return facts.zstdTakesReference ? [...deflates, ...zstds] : deflates;
}

/** What `goal` pays for. Empty when the body is too small to try. */
export function recipesFor(goal: Goal, facts: BodyFacts): readonly Recipe[] {
  if (facts.referenceBytes !== undefined) return withReference(goal, facts);
  if (facts.sizeBytes < MIN_BYTES) return [];
  if (goal === 'fast') return [facts.sizeBytes <= SMALL_BODY_BYTES ? DEFLATE_1 : ZSTD_1];
  if (goal === 'balanced') return [facts.sizeBytes <= SMALL_BODY_BYTES ? DEFLATE_6 : ZSTD_3];
  return facts.sizeBytes <= MAX_BROTLI_BYTES ? [BROTLI_11, ZSTD_19] : [ZSTD_19];
}

function withReference(goal: Goal, facts: BodyFacts): readonly Recipe[] {
  if (facts.sizeBytes < MIN_BYTES_WITH_REFERENCE) return [];
  const small = facts.sizeBytes <= SMALL_BODY_BYTES;
  if (goal === 'fast') return [small || !facts.zstdTakesReference ? DEFLATE_1 : ZSTD_3];
  if (goal === 'balanced') return [small || !facts.zstdTakesReference ? DEFLATE_6 : ZSTD_9];
  return facts.zstdTakesReference ? [DEFLATE_9, ZSTD_19] : [DEFLATE_9];
}
