// Garbage collections of this thread, counted and timed from the `gc` entries of node:perf_hooks. Entries arrive after
// the collection, in a task of their own; stats() takes in what has not been delivered yet.
import { constants, createHistogram, PerformanceObserver } from 'node:perf_hooks';
import type { PerformanceEntry } from 'node:perf_hooks';
import { MemoryError } from './errors.ts';

export type GcKind = 'minor' | 'major' | 'incremental' | 'weak';

export interface GcStats {
  readonly collections: number;
  readonly byKind: Readonly<Record<GcKind, number>>;
  readonly pauseMsTotal: number;
  readonly pauseMsMax: number;
  /** NaN before the first collection; within 0.1 % (a histogram of three digits). */
  readonly pauseMsP50: number;
  readonly pauseMsP99: number;
  /** Since the monitor began. */
  readonly observedMs: number;
  /** pauseMsTotal / observedMs. */
  readonly pauseShare: number;
}

const NS_PER_MS = 1e6;

export class GcMonitor implements Disposable {
  readonly #histogram = createHistogram({ figures: 3 });
  readonly #counts: Record<GcKind, number> = { minor: 0, major: 0, incremental: 0, weak: 0 };
  readonly #startedMs = performance.now();
  readonly #observer: PerformanceObserver;
  #pauseMsTotal = 0;
  #pauseMsMax = 0;
  #closed = false;

  constructor() {
    this.#observer = new PerformanceObserver((list) => this.#take(list.getEntries()));
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  /** @throws {MemoryError} ERR_PERF_MEMORY_CLOSED after close. */
  stats(): GcStats {
    if (this.#closed) throw new MemoryError('ERR_PERF_MEMORY_CLOSED', 'the monitor is closed');
    this.#take(this.#observer.takeRecords());
    const { minor, major, incremental, weak } = this.#counts;
    const collections = minor + major + incremental + weak;
    const observedMs = performance.now() - this.#startedMs;
    return {
      collections,
      byKind: { minor, major, incremental, weak },
      pauseMsTotal: this.#pauseMsTotal,
      pauseMsMax: this.#pauseMsMax,
      pauseMsP50: collections === 0 ? Number.NaN : this.#histogram.percentile(50) / NS_PER_MS,
      pauseMsP99: collections === 0 ? Number.NaN : this.#histogram.percentile(99) / NS_PER_MS,
      observedMs,
      pauseShare: this.#pauseMsTotal / observedMs,
    };
  }

  /** Stops observing. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#observer.disconnect();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #take(entries: readonly PerformanceEntry[]): void {
    for (const entry of entries) {
      this.#counts[kindOf(entry)]++;
      this.#pauseMsTotal += entry.duration;
      this.#pauseMsMax = Math.max(this.#pauseMsMax, entry.duration);
      this.#histogram.record(Math.max(1, Math.round(entry.duration * NS_PER_MS)));
    }
  }
}

function kindOf(entry: PerformanceEntry & { readonly detail?: unknown }): GcKind {
  const kind = (entry.detail as { kind?: number } | undefined)?.kind;
  if (kind === constants.NODE_PERFORMANCE_GC_MINOR) return 'minor';
  if (kind === constants.NODE_PERFORMANCE_GC_INCREMENTAL) return 'incremental';
  if (kind === constants.NODE_PERFORMANCE_GC_WEAKCB) return 'weak';
  return 'major';
}
