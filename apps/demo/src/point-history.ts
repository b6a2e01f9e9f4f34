// The course of the replay for the charts: a point every tick, so that a page opened late still sees all of it. When the
// list is full every other point goes and later ones are taken half as often, so its size is bounded and its course stays.
import type { Snapshot } from './snapshot.ts';

export interface Point {
  readonly seconds: number;
  readonly eventsPerSecond: number;
  readonly hitRate: number | null;
  readonly ceiling: number | null;
  readonly rawBytes: number;
  readonly storedBytes: number;
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
  readonly eventLoopDelayMs: number | null;
  readonly gcPauseMs: number | null;
  /** p99 of the graph queries of 1, 2 and 3 hops. */
  readonly queryMs: readonly (number | null)[];
  readonly hitMs: number | null;
  readonly detectMs: number | null;
}

export class PointHistory {
  readonly #maxPoints: number;
  #points: Point[] = [];
  #stride = 1;
  #skipped = 0;
  #last = { seconds: 0, events: 0 };

  constructor(maxPoints = 2000) {
    this.#maxPoints = maxPoints;
  }

  /** Adds the point of a snapshot, if time has gone on since the last one. */
  add(snapshot: Snapshot): void {
    const { counts, stored, memory } = snapshot;
    const seconds = counts.elapsedMs / 1000;
    if (seconds <= this.#last.seconds) return;
    this.#skipped += 1;
    if (this.#skipped < this.#stride) return;
    this.#skipped = 0;
    const eventsPerSecond = (counts.events - this.#last.events) / (seconds - this.#last.seconds);
    this.#last = { seconds, events: counts.events };
    this.#points.push({
      seconds,
      eventsPerSecond,
      hitRate: ratio(counts.hits, counts.lookups),
      ceiling: ratio(counts.achievable.hits, counts.achievable.lookups),
      rawBytes: stored.rawBytes,
      storedBytes: stored.storedBytes,
      rssBytes: memory.rssBytes,
      heapUsedBytes: memory.heapUsedBytes,
      eventLoopDelayMs: known(snapshot.eventLoopDelayMsP99),
      gcPauseMs: known(snapshot.gcPauseMsP99),
      queryMs: [1, 2, 3].map((hops) => known(snapshot.queries.find((query) => query.hops === hops)?.p99Ms)),
      hitMs: known(snapshot.parts.find(({ name }) => name === 'cache.hit')?.p99Ms),
      detectMs: known(snapshot.parts.find(({ name }) => name === 'patterns.detect')?.p99Ms),
    });
    if (this.#points.length >= this.#maxPoints) {
      this.#points = this.#points.filter((_, index) => index % 2 === 0);
      this.#stride *= 2;
    }
  }

  /** All points so far, oldest first; a copy. */
  points(): readonly Point[] {
    return [...this.#points];
  }
}

const ratio = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null);
const known = (value: number | undefined): number | null =>
  value === undefined || Number.isNaN(value) ? null : value;
