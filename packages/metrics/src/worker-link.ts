/**
 * Metrics of worker threads, added up in the thread that serves them.
 *
 *   main: monitor.workerLink() -> workerData -> worker: new PerformanceMonitor({ link })
 *
 * A link is a name and a period, so that it can be cloned into any number of workers. Every `flushMs` a linked monitor
 * sends what changed since the last time over a BroadcastChannel: counters and histograms as increments, gauges as they
 * are, executions one by one. The main monitor adds increments to its own series, so that they outlive the worker. A gauge
 * reads as the sum over threads; a worker's share is dropped when it closes, or is silent for ten periods.
 * A worker that dies without `close()` loses at most its last period.
 */
import { randomUUID } from 'node:crypto';
import { BroadcastChannel } from 'node:worker_threads';
import type { LogBucketsSnapshot } from './log-buckets.ts';
import type { Execution } from './execution-tracker.ts';
import { Counter, Gauge } from './metric.ts';
import type { Histogram } from './metric.ts';
import type { Labels } from './series-limit.ts';

/** Plain data; goes to a worker as (part of) its `workerData`. */
export interface WorkerLink {
  readonly channel: string;
  readonly flushMs: number;
}

/** A worker is taken for dead when it was silent this many periods. */
const SILENT_PERIODS = 10;
/** Executions that wait for the next period; more are counted as errors. */
const MAX_WAITING_EXECUTIONS = 10_000;

interface ScalarChange {
  readonly labels: Labels;
  readonly value: number;
}

interface HistogramChange {
  readonly labels: Labels;
  readonly log: LogBucketsSnapshot;
  readonly buckets: readonly number[];
}

interface ChangeOf<Type, Series> {
  readonly type: Type;
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly series: readonly Series[];
}

type MetricChange =
  | ChangeOf<'counter' | 'gauge', ScalarChange>
  | (ChangeOf<'histogram', HistogramChange> & { readonly bounds: readonly number[] });

interface LinkMessage {
  readonly worker: string;
  readonly closing: boolean;
  readonly changes: readonly MetricChange[];
  readonly executions: readonly Execution[];
}

export type AnyMetric = Counter | Gauge | Histogram;

/** @throws {TypeError} when it is not what `workerLink()` returned. */
export function checkLink(link: WorkerLink): WorkerLink {
  if (typeof link?.channel !== 'string' || !(link.flushMs >= 1)) {
    throw new TypeError('link must be what workerLink() of another monitor returned');
  }
  return link;
}

/** The worker's end. */
export class LinkSender {
  readonly #channel: BroadcastChannel;
  readonly #worker = randomUUID();
  readonly #timer: NodeJS.Timeout;
  readonly #metrics: () => Iterable<AnyMetric>;
  readonly #onError: () => void;
  /** Per series, what the other end knows. */
  readonly #sent = new Map<
    string,
    { readonly log?: LogBucketsSnapshot; readonly counts: readonly number[] }
  >();
  #executions: Execution[] = [];

  constructor(link: WorkerLink, metrics: () => Iterable<AnyMetric>, onError: () => void) {
    this.#metrics = metrics;
    this.#onError = onError;
    this.#channel = new BroadcastChannel(link.channel);
    this.#channel.unref();
    this.#timer = setInterval(() => this.send(false), link.flushMs);
    this.#timer.unref();
  }

  addExecution(execution: Execution): void {
    if (this.#executions.length < MAX_WAITING_EXECUTIONS) this.#executions.push(execution);
    else this.#onError();
  }

  send(closing: boolean): void {
    const changes: MetricChange[] = [];
    for (const metric of this.#metrics()) {
      const change = this.#changeOf(metric);
      if (change.series.length > 0) changes.push(change);
    }
    const message: LinkMessage = { worker: this.#worker, closing, changes, executions: this.#executions };
    this.#executions = [];
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a BroadcastChannel has no origin
    this.#channel.postMessage(message);
  }

  close(): void {
    clearInterval(this.#timer);
    this.send(true);
    this.#channel.close();
  }

  #changeOf(metric: AnyMetric): MetricChange {
    const { name, help, labelNames } = metric;
    if (metric instanceof Counter) {
      const series: ScalarChange[] = [];
      for (const { labels, series: one } of metric.series()) {
        const key = seriesKey(name, labels);
        const before = this.#sent.get(key)?.counts[0];
        if (before !== one.value) series.push({ labels, value: one.value - (before ?? 0) });
        this.#sent.set(key, { counts: [one.value] });
      }
      return { type: 'counter', name, help, labelNames, series };
    }
    if (metric instanceof Gauge) {
      metric.value();
      const series = [...metric.series()].map(({ labels, series: one }) => ({ labels, value: one.value }));
      return { type: 'gauge', name, help, labelNames, series };
    }
    const series: HistogramChange[] = [];
    for (const { labels, series: one } of metric.series()) {
      const key = seriesKey(name, labels);
      const before = this.#sent.get(key);
      const log = one.log.snapshot();
      const counts = Array.from(one.bucketCounts);
      if (before?.log?.count === log.count) continue;
      this.#sent.set(key, { log, counts });
      series.push({
        labels,
        log: before?.log === undefined ? log : since(log, before.log),
        buckets: counts.map((count, i) => count - (before?.counts[i] ?? 0)),
      });
    }
    return { type: 'histogram', name, help, labelNames, bounds: metric.bounds, series };
  }
}

/** What the main monitor does with what arrives. */
export interface LinkTarget {
  counter(o: { name: string; help: string; labelNames: readonly string[] }): Counter;
  gauge(o: { name: string; help: string; labelNames: readonly string[] }): Gauge;
  histogram(o: {
    name: string;
    help: string;
    labelNames: readonly string[];
    buckets: readonly number[];
  }): Histogram;
  addExecution(execution: Execution): void;
  onError(): void;
  now(): number;
}

/** The main thread's end. */
export class LinkReceiver {
  readonly link: WorkerLink;
  readonly #channel: BroadcastChannel;
  readonly #target: LinkTarget;
  /** Per worker, its share of each gauge. */
  readonly #workers = new Map<string, { heardAtMs: number; shares: Map<string, { withdraw(): void }> }>();

  constructor(flushMs: number, target: LinkTarget) {
    this.link = Object.freeze({ channel: `perf-metrics-${randomUUID()}`, flushMs });
    this.#target = target;
    this.#channel = new BroadcastChannel(this.link.channel);
    this.#channel.addEventListener('message', (event) =>
      this.#receive((event as MessageEvent).data as LinkMessage),
    );
    this.#channel.unref();
  }

  /** Drops the gauges of workers that are silent. */
  expire(): void {
    const oldestMs = this.#target.now() - SILENT_PERIODS * this.link.flushMs;
    for (const [id, worker] of this.#workers) {
      if (worker.heardAtMs < oldestMs) this.#forget(id);
    }
  }

  close(): void {
    this.#channel.close();
  }

  #receive(message: LinkMessage): void {
    let worker = this.#workers.get(message.worker);
    if (worker === undefined) {
      worker = { heardAtMs: 0, shares: new Map() };
      this.#workers.set(message.worker, worker);
    }
    worker.heardAtMs = this.#target.now();
    for (const change of message.changes) {
      try {
        this.#apply(change, worker.shares);
      } catch {
        // A metric that two threads declare differently cannot be added up; it is counted, and the rest goes on.
        this.#target.onError();
      }
    }
    for (const execution of message.executions) this.#target.addExecution(execution);
    if (message.closing) this.#forget(message.worker);
  }

  #apply(change: MetricChange, shares: Map<string, { withdraw(): void }>): void {
    const { name, help, labelNames } = change;
    if (change.type === 'histogram') {
      const histogram = this.#target.histogram({ name, help, labelNames, buckets: change.bounds });
      if (histogram.bounds.join() !== change.bounds.join()) throw new TypeError('the buckets differ');
      for (const { labels, log, buckets } of change.series) histogram.labels(labels).absorb(log, buckets);
    } else if (change.type === 'counter') {
      const counter = this.#target.counter({ name, help, labelNames });
      for (const { labels, value } of change.series) counter.inc(value, labels);
    } else {
      const gauge = this.#target.gauge({ name, help, labelNames });
      for (const { labels, value } of change.series) {
        const key = seriesKey(name, labels);
        shares.get(key)?.withdraw();
        gauge.inc(value, labels);
        shares.set(key, { withdraw: () => gauge.dec(value, labels) });
      }
    }
  }

  #forget(id: string): void {
    for (const share of this.#workers.get(id)?.shares.values() ?? []) share.withdraw();
    this.#workers.delete(id);
  }
}

function seriesKey(name: string, labels: Labels): string {
  return JSON.stringify([name, Object.entries(labels)]);
}

function since(now: LogBucketsSnapshot, before: LogBucketsSnapshot): LogBucketsSnapshot {
  return {
    count: now.count - before.count,
    sum: now.sum - before.sum,
    min: now.min,
    max: now.max,
    zeros: now.zeros - before.zeros,
    positive: pairsSince(now.positive, before.positive),
    negative: pairsSince(now.negative, before.negative),
  };
}

function pairsSince(
  now: LogBucketsSnapshot['positive'],
  before: LogBucketsSnapshot['positive'],
): (readonly [number, number])[] {
  const known = new Map(before);
  return now
    .map(([index, count]) => [index, count - (known.get(index) ?? 0)] as const)
    .filter(([, count]) => count !== 0);
}
