/**
 * Learns which key follows which, and names the key to fetch ahead (first-order Markov prediction with a confidence
 * counter; Joseph and Grunwald, "Prefetching using Markov predictors", ISCA 1997, and the stride-confidence counters of
 * hardware prefetchers).
 *
 * For every key the table holds one successor and a confidence, which rises when the successor comes true and falls
 * when it does not; at zero the successor is replaced. A prediction is made from a confidence of 2.
 *
 * It bounds its own waste: every prediction of a key that is not in memory is followed until the key is read (useful) or
 * too many reads have passed (wasted). While the wasted share is over the limit, predictions are still made and
 * followed but nothing is fetched, so that it switches itself on again when the reads become predictable.
 */
import { checkInteger, checkNumber } from './option-checks.ts';

export interface PrefetcherOptions {
  /** Keys whose successor is remembered; about 150 bytes each. */
  readonly maxKeys: number;
  /** Largest share of predictions that may be wasted. */
  readonly maxWaste: number;
  /** Reads within which a prediction must come true to count as useful: about what memory holds. */
  readonly horizon: number;
}

export interface PrefetcherStats {
  /** Keys fetched ahead of their use. */
  readonly issued: number;
  /** Of those, read in time. */
  readonly useful: number;
  /** Of those, not read in time. */
  readonly wasted: number;
  /** Whether predictions are acted on now. */
  readonly active: boolean;
}

interface Successor<K> {
  next: K;
  confidence: number;
}

interface Followed {
  readonly at: number;
  readonly confidence: number;
  readonly issued: boolean;
}

const MAX_CONFIDENCE = 6;
/** Outcomes after which the counts behind the waste are halved. */
const WASTE_WINDOW = 512;
/** Outcomes needed before anything is fetched. */
const MIN_OUTCOMES = 16;

export class Prefetcher<K> {
  readonly #maxKeys: number;
  readonly #maxWaste: number;
  readonly #horizon: number;
  readonly #successors = new Map<K, Successor<K>>();
  readonly #followed = new Map<K, Followed>();
  #previous: K | undefined;
  #reads = 0;
  /** Outcomes by confidence. */
  readonly #recentUseful = new Float64Array(MAX_CONFIDENCE + 1);
  readonly #recentWasted = new Float64Array(MAX_CONFIDENCE + 1);
  #issued = 0;
  #useful = 0;
  #wasted = 0;

  constructor(options: PrefetcherOptions) {
    this.#maxKeys = checkInteger('prefetch.maxKeys', options.maxKeys, 1, 2 ** 24);
    this.#maxWaste = checkNumber('prefetch.maxWaste', options.maxWaste, 0, 1);
    this.#horizon = checkInteger('prefetch.horizon', options.horizon, 1, 2 ** 31);
  }

  /** Notes a read. The key to fetch now, if one is expected next, `isPresent` denies it and the waste allows it. */
  observe(key: K, isPresent: (key: K) => boolean): K | undefined {
    this.#reads++;
    this.#resolve(key);
    this.#learn(key);
    const successor = this.#successors.get(key);
    if (successor === undefined) return undefined;
    const { next, confidence } = successor;
    if (next === key || this.#followed.has(next) || isPresent(next)) return undefined;
    const issued = this.#isWorthIt(confidence);
    this.#followed.set(next, { at: this.#reads, confidence, issued });
    if (!issued) return undefined;
    this.#issued++;
    return next;
  }

  /** The key is gone or changed: what was learned of it stays, a prediction under way is no longer judged. */
  forget(key: K): void {
    this.#followed.delete(key);
  }

  clear(): void {
    this.#followed.clear();
    this.#successors.clear();
    this.#previous = undefined;
  }

  stats(): PrefetcherStats {
    let active = false;
    for (let level = 1; level <= MAX_CONFIDENCE; level++) active ||= this.#isWorthIt(level);
    return { issued: this.#issued, useful: this.#useful, wasted: this.#wasted, active };
  }

  #isWorthIt(confidence: number): boolean {
    const wasted = this.#recentWasted[confidence]!;
    const outcomes = this.#recentUseful[confidence]! + wasted;
    return outcomes >= MIN_OUTCOMES && wasted <= this.#maxWaste * outcomes;
  }

  #learn(key: K): void {
    const previous = this.#previous;
    this.#previous = key;
    if (previous === undefined || previous === key) return;
    const known = this.#successors.get(previous);
    if (known === undefined) {
      this.#successors.set(previous, { next: key, confidence: 1 });
      if (this.#successors.size > this.#maxKeys) this.#dropOldest();
    } else if (known.next === key) {
      if (known.confidence < MAX_CONFIDENCE) known.confidence++;
    } else if (--known.confidence <= 0) {
      known.next = key;
      known.confidence = 1;
    }
  }

  #dropOldest(): void {
    for (const oldest of this.#successors.keys()) {
      this.#successors.delete(oldest);
      return;
    }
  }

  /** Judges the prediction of this key, and those whose time is over. */
  #resolve(key: K): void {
    const followed = this.#followed.get(key);
    if (followed !== undefined) {
      this.#followed.delete(key);
      this.#judge(followed, this.#reads - followed.at <= this.#horizon);
    }
    for (const [oldest, prediction] of this.#followed) {
      if (this.#reads - prediction.at <= this.#horizon) return;
      this.#followed.delete(oldest);
      this.#judge(prediction, false);
    }
  }

  #judge({ confidence, issued }: Followed, useful: boolean): void {
    const counts = useful ? this.#recentUseful : this.#recentWasted;
    counts[confidence] = counts[confidence]! + 1;
    if (issued && useful) this.#useful++;
    if (issued && !useful) this.#wasted++;
    if (this.#recentUseful[confidence]! + this.#recentWasted[confidence]! < WASTE_WINDOW) return;
    this.#recentUseful[confidence] = this.#recentUseful[confidence]! / 2;
    this.#recentWasted[confidence] = this.#recentWasted[confidence]! / 2;
  }
}
