/**
 * Chooses the policy of a running cache: small shadow caches, one per candidate, see a sample of the keys; the
 * candidate whose shadow hits most, with recent accesses counting more, is applied to the real cache. A challenger must
 * lead by a margin, so that noise in the sample does not make the cache switch back and forth (a switch costs hits while
 * entries migrate).
 */
import { ShadowCache } from './shadow-cache.ts';
import type { PolicyMode } from './policies/segmented-policy.ts';

export const CANDIDATES: readonly PolicyMode[] = [
  { kind: 'tiny-lfu', window: 0.01 },
  { kind: 'tiny-lfu', window: 0.1 },
  { kind: 'tiny-lfu', window: 0.3 },
  { kind: 'tiny-lfu', window: 0.6 },
  { kind: 'tiny-lfu', window: 1 },
  { kind: 's3-fifo', window: 0.1 },
];

/** Mode before anything is known: the best fixed one over the benchmark traces. */
const FIRST = 1;
/** Entries of one shadow when the cache is larger than that. */
const SHADOW_ENTRIES = 512;
/** The scores are halved after this many sampled accesses per shadow entry. */
const HALF_LIFE = 8;
/** Sampled accesses between two decisions. */
const DECISION_INTERVAL = 128;
/** A challenger must lead by this share of the sampled accesses in the score window. */
const MARGIN = 0.01;

export class AdaptivePolicy {
  readonly #shadows: readonly ShadowCache[];
  readonly #scores: Float64Array;
  readonly #mask: number;
  readonly #apply: (mode: PolicyMode) => void;
  readonly #halfLife: number;
  #active = FIRST;
  #seen = 0;
  #total = 0;
  switches = 0;

  constructor(options: {
    capacity: number;
    expectedEntries: number;
    weighted: boolean;
    random(): number;
    apply(mode: PolicyMode): void;
  }) {
    let shift = 0;
    while (options.expectedEntries >>> shift > SHADOW_ENTRIES) shift++;
    this.#mask = 2 ** shift - 1;
    const entries = Math.max(1, options.expectedEntries >>> shift);
    this.#shadows = CANDIDATES.map(
      (mode) =>
        new ShadowCache({
          capacity: Math.max(1, Math.round(options.capacity / 2 ** shift)),
          mode,
          weighted: options.weighted,
          expectedEntries: entries,
          random: options.random,
        }),
    );
    this.#scores = new Float64Array(CANDIDATES.length);
    this.#apply = options.apply;
    this.#halfLife = Math.max(1024, entries * HALF_LIFE);
    options.apply(CANDIDATES[FIRST]!);
  }

  get active(): PolicyMode {
    return CANDIDATES[this.#active]!;
  }

  /** Whether the shadows follow the key with this hash. */
  follows(hash: number): boolean {
    return ((hash >>> 8) & this.#mask) === 0;
  }

  /** One use of a followed key. */
  access(hash: number, charge: number): void {
    for (let i = 0; i < this.#shadows.length; i++) {
      if (this.#shadows[i]!.access(hash, charge)) this.#scores[i] = this.#scores[i]! + 1;
    }
    this.#total++;
    if (++this.#seen % DECISION_INTERVAL === 0) this.#decide();
  }

  delete(hash: number): void {
    for (const shadow of this.#shadows) shadow.delete(hash);
  }

  clear(): void {
    for (const shadow of this.#shadows) shadow.clear();
  }

  #decide(): void {
    let best = this.#active;
    for (let i = 0; i < this.#scores.length; i++) if (this.#scores[i]! > this.#scores[best]!) best = i;
    if (best !== this.#active && this.#scores[best]! - this.#scores[this.#active]! > MARGIN * this.#total) {
      this.#active = best;
      this.switches++;
      this.#apply(CANDIDATES[best]!);
    }
    if (this.#total < this.#halfLife) return;
    this.#total /= 2;
    for (let i = 0; i < this.#scores.length; i++) this.#scores[i] = this.#scores[i]! / 2;
  }
}
