// How late the event loop runs its timers, from node:perf_hooks. Its histogram holds the time between two ticks of a
// timer of `resolutionMs`; what exceeds that is the delay, so the resolution is taken off.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { EventLoopUtilization } from 'node:perf_hooks';
import { MemoryError } from './errors.ts';
import { checkedCount } from './option-checks.ts';

export interface EventLoopStats {
  /** Ticks measured since the start or the last reset. The figures below are NaN before the first. */
  readonly samples: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Share of time in which the loop was busy, in [0, 1]. */
  readonly utilization: number;
}

export interface EventLoopMonitorOptions {
  /** Default 10. */
  readonly resolutionMs?: number;
}

const NS_PER_MS = 1e6;

export class EventLoopMonitor implements Disposable {
  readonly #resolutionMs: number;
  readonly #histogram: ReturnType<typeof monitorEventLoopDelay>;
  #utilizationAtReset: EventLoopUtilization;
  #closed = false;

  constructor(options: EventLoopMonitorOptions = {}) {
    this.#resolutionMs = checkedCount('resolutionMs', options.resolutionMs ?? 10);
    this.#histogram = monitorEventLoopDelay({ resolution: this.#resolutionMs });
    this.#histogram.enable();
    this.#utilizationAtReset = performance.eventLoopUtilization();
  }

  /** @throws {MemoryError} ERR_PERF_MEMORY_CLOSED after close. */
  stats(): EventLoopStats {
    this.#assertOpen();
    const samples = this.#histogram.count;
    return {
      samples,
      meanMs: this.#delayMs(this.#histogram.mean, samples),
      p50Ms: this.#delayMs(this.#histogram.percentile(50), samples),
      p99Ms: this.#delayMs(this.#histogram.percentile(99), samples),
      maxMs: this.#delayMs(this.#histogram.max, samples),
      utilization: performance.eventLoopUtilization(this.#utilizationAtReset).utilization,
    };
  }

  /** Forgets what was measured. */
  reset(): void {
    this.#assertOpen();
    this.#histogram.reset();
    this.#utilizationAtReset = performance.eventLoopUtilization();
  }

  /** Stops measuring. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#histogram.disable();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #delayMs(ns: number, samples: number): number {
    return samples === 0 ? Number.NaN : Math.max(0, ns / NS_PER_MS - this.#resolutionMs);
  }

  #assertOpen(): void {
    if (this.#closed) throw new MemoryError('ERR_PERF_MEMORY_CLOSED', 'the monitor is closed');
  }
}
