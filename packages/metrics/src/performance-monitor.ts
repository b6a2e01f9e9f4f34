/**
 * The face of the package: one object that keeps metrics, learns from parts and worker threads, tracks what agents cost,
 * judges KPIs, and serves it all to Prometheus.
 */
import { Registry } from 'prom-client';
import type { Metric } from 'prom-client';
import { MetricsError } from './errors.ts';
import { CONTENT_TYPES, formatFamilies, negotiate } from './exposition-text.ts';
import { ExecutionTracker } from './execution-tracker.ts';
import type { CostRow, Execution, TrackerOptions } from './execution-tracker.ts';
import { StatsPoller, subscribeChannels } from './instrument.ts';
import type { StatsSource } from './instrument.ts';
import { checkKpis, defaultKpis, evaluateKpis } from './kpi.ts';
import type { Kpi, KpiReport } from './kpi.ts';
import { Counter, Gauge, Histogram } from './metric.ts';
import type { GaugeOptions, HistogramOptions, MetricHost, MetricOptions } from './metric.ts';
import { LinkReceiver, LinkSender, checkLink } from './worker-link.ts';
import type { AnyMetric, WorkerLink } from './worker-link.ts';

export interface Clock {
  now(): number;
}

export interface MonitorOptions {
  /** A prom-client registry to add to, for example one that other code registers in. Default: a new one. */
  readonly registry?: Registry;
  /** Default: {@link defaultKpis}. */
  readonly kpis?: readonly Kpi[];
  readonly tracker?: TrackerOptions;
  /** Series per metric, agents times models in `costs`, and fields per instrumented part. Default 1000. */
  readonly maxSeries?: number;
  /** In a worker thread: what `workerLink()` of the main thread's monitor returned. */
  readonly link?: WorkerLink;
  /** Milliseconds since the epoch. Default: the system's. */
  readonly clock?: Clock;
}

export interface InstrumentOptions {
  /** Events to count, when `component` is a name: the last parts of its channels `perf:<component>:<event>`. */
  readonly events: readonly string[];
}

export class PerformanceMonitor implements AsyncDisposable {
  /** The prom-client registry that holds every metric of this monitor. */
  readonly registry: Registry;
  readonly #kpis: readonly Kpi[];
  readonly #clock: Clock;
  readonly #host: MetricHost;
  readonly #metrics = new Map<string, AnyMetric>();
  readonly #pollers = new Map<string, StatsPoller>();
  /** Whose field each gauge made from a stats() is. */
  readonly #fields = new Map<string, string>();
  readonly #subscriptions: (() => void)[] = [];
  readonly #tracker: ExecutionTracker;
  readonly #sender: LinkSender | undefined;
  #receiver: LinkReceiver | undefined;
  #closed = false;

  /**
   * @throws {MetricsError} ERR_PERF_METRICS_SQLITE_MISSING or ERR_PERF_METRICS_TRACKER when `tracker.path` cannot be used.
   */
  constructor(options: MonitorOptions = {}) {
    const { registry = new Registry(), kpis = defaultKpis, maxSeries = 1000, tracker = {} } = options;
    if (!Number.isSafeInteger(maxSeries) || maxSeries < 1) {
      throw new RangeError('maxSeries must be a positive integer');
    }
    checkKpis(kpis);
    if (typeof registry.registerMetric !== 'function') {
      throw new TypeError('registry must be a prom-client Registry');
    }
    this.registry = registry;
    this.#kpis = [...kpis];
    this.#clock = options.clock ?? { now: () => Date.now() };
    const counted: MetricHost = { maxSeries, onOverflow: () => undefined, onCollectError: () => undefined };
    const overflows = new Counter(
      {
        name: 'perf_metrics_series_overflow_total',
        help: 'Measurements that went to the overflow series because a metric had maxSeries series.',
        labelNames: ['metric'],
      },
      counted,
    );
    const errors = new Counter(
      {
        name: 'perf_metrics_errors_total',
        help: 'Measurements that failed or were lost, by what failed.',
        labelNames: ['source'],
      },
      counted,
    );
    this.#host = {
      maxSeries,
      onOverflow: (metric) => overflows.inc(1, { metric }),
      onCollectError: (metric) => errors.inc(1, { source: metric }),
    };
    this.#register(overflows);
    this.#register(errors);
    this.#tracker = new ExecutionTracker(tracker, maxSeries, () => errors.inc(1, { source: 'tracker' }));
    if (options.link !== undefined) {
      this.#sender = new LinkSender(
        checkLink(options.link),
        () => this.#metrics.values(),
        () => errors.inc(1, { source: 'link' }),
      );
    }
  }

  /**
   * A counter; the same one when it was made before.
   * @throws {MetricsError} ERR_PERF_METRICS_DUPLICATE when the name is taken by a metric of another kind or other labels.
   */
  counter(options: MetricOptions): Counter {
    return this.#obtain(options, Counter, () => new Counter(options, this.#host));
  }

  /** A gauge; as {@link PerformanceMonitor.counter}. */
  gauge(options: GaugeOptions): Gauge {
    return this.#obtain(options, Gauge, () => new Gauge(options, this.#host));
  }

  /**
   * A histogram; as {@link PerformanceMonitor.counter}. Targets of KPIs on its quantiles become bucket bounds, so that
   * Prometheus can tell which side of the target an observation fell on.
   */
  histogram(options: HistogramOptions): Histogram {
    const targets = this.#kpis
      .filter(({ measure }) => measure.kind === 'quantile' && measure.metric === options.name)
      .map(({ target }) => target);
    return this.#obtain(options, Histogram, () => new Histogram(options, this.#host, targets));
  }

  /**
   * Watches a part without its help. Given an object with `stats()`, every number in what it returns is a gauge
   * `perf_<name>_<field>`, read anew at each scrape and evaluation. Given a component's name and its events, messages on
   * the diagnostics channels `perf:<component>:<event>` are counted in `perf_events_total{component,event}`, and their
   * `durationMs`, where they have one, is observed in `perf_event_duration_seconds{component,event}`.
   *
   * @param name lower case, digits and underscores; part of the metrics' names, or the label `component`.
   * @throws {MetricsError} ERR_PERF_METRICS_DUPLICATE when the name is in use, ERR_PERF_METRICS_CLOSED after `close`.
   */
  instrument(component: StatsSource | string, name: string, options?: InstrumentOptions): void {
    this.#open();
    if (typeof name !== 'string' || !/^[a-z][a-z0-9_]*$/.test(name)) {
      throw new TypeError('name must be lower case letters, digits and underscores');
    }
    if (typeof component === 'string') {
      this.#instrumentChannels(component, name, options?.events);
      return;
    }
    if (typeof component?.stats !== 'function') {
      throw new TypeError('component must have stats(), or be the name of a component with events');
    }
    if (this.#pollers.has(name)) {
      throw new MetricsError('ERR_PERF_METRICS_DUPLICATE', `${name} is instrumented already`);
    }
    const poller = new StatsPoller(component, `perf_${name}`, this.#host.maxSeries);
    this.#pollers.set(name, poller);
    this.#discover(name, poller);
  }

  /**
   * Records one execution: its cost in `costs`, and in the metrics `perf_executions_total{agent,model,ok}`,
   * `perf_execution_duration_seconds{agent,model}`, `perf_execution_tokens_total{agent,model,kind}` and
   * `perf_execution_cost_usd_total{agent,model}`.
   *
   * @throws {TypeError | RangeError} when a field is missing or out of range.
   * @throws {MetricsError} ERR_PERF_METRICS_CLOSED after `close`.
   */
  track(execution: Execution): void {
    this.#open();
    this.#tracker.add(execution);
    this.#sender?.addExecution({ ...execution });
    const { agent, model = '', ok, durationMs, costUsd } = execution;
    const labels = { agent, model };
    const labelNames = ['agent', 'model'];
    this.counter({ name: 'perf_executions_total', labelNames: [...labelNames, 'ok'] }).inc(1, {
      ...labels,
      ok: String(ok),
    });
    this.histogram({ name: 'perf_execution_duration_seconds', labelNames }).observe(
      durationMs / 1000,
      labels,
    );
    const tokens = this.counter({ name: 'perf_execution_tokens_total', labelNames: [...labelNames, 'kind'] });
    for (const kind of ['input', 'output', 'cached'] as const) {
      const count = execution[`${kind}Tokens`];
      if (count !== undefined) tokens.inc(count, { ...labels, kind });
    }
    if (costUsd !== undefined) {
      this.counter({ name: 'perf_execution_cost_usd_total', labelNames }).inc(costUsd, labels);
    }
  }

  /** What executions cost, per agent or per model, dearest first; with a tracker file since that file was made. */
  costs(by: 'agent' | 'model'): CostRow[] {
    return this.#tracker.costs(by);
  }

  /** The latest executions, at most `tracker.capacity`, oldest first. */
  executions(): readonly Execution[] {
    return this.#tracker.recent();
  }

  /** Judges the monitor's KPIs on everything measured so far. What was not measured is `skip`. */
  evaluate(): KpiReport {
    this.#refresh();
    const labelled = <M extends AnyMetric>(
      name: string,
      kind: new (...args: never[]) => M,
    ): M | undefined => {
      const metric = this.#metrics.get(name);
      return metric instanceof kind ? metric : undefined;
    };
    return evaluateKpis(
      this.#kpis,
      {
        quantile: (metric, p, labels) => labelled(metric, Histogram)?.quantile(p, labels) ?? Number.NaN,
        count: (metric, labels) => labelled(metric, Histogram)?.count(labels) ?? 0,
        value: (metric, labels) => (labelled(metric, Counter) ?? labelled(metric, Gauge))?.value(labels),
      },
      this.#clock.now(),
    );
  }

  /** Everything in the registry, in the format the `Accept` header asks for: OpenMetrics 1.0 or Prometheus 0.0.4. */
  async metrics(accept?: string): Promise<{ contentType: string; body: Uint8Array }> {
    this.#refresh();
    const format = negotiate(accept);
    const families = await this.registry.getMetricsAsJSON();
    return { contentType: CONTENT_TYPES[format], body: Buffer.from(formatFamilies(families, format)) };
  }

  /**
   * For worker threads: pass it as `workerData` and give it to `new PerformanceMonitor({ link })` there. One link serves
   * any number of workers. What they measure is added to this monitor's metrics every `flushMs` (default 1000).
   */
  workerLink(options: { readonly flushMs?: number } = {}): WorkerLink {
    this.#open();
    const { flushMs = 1000 } = options;
    if (!(flushMs >= 1 && flushMs <= 2 ** 31 - 1))
      throw new RangeError('flushMs must be between 1 and 2^31 - 1');
    this.#receiver ??= new LinkReceiver(flushMs, {
      counter: (o) => this.counter(o),
      gauge: (o) => {
        const gauge = this.gauge(o);
        if (gauge.collected) throw new TypeError('the gauge is collected here');
        return gauge;
      },
      histogram: (o) => this.histogram(o),
      addExecution: (execution) => this.#tracker.add(execution),
      onError: () => this.#host.onCollectError('link'),
      now: () => this.#clock.now(),
    });
    return this.#receiver.link;
  }

  /**
   * Writes and sends what waits, ends subscriptions and timers. What was measured stays readable. Idempotent.
   * @throws {MetricsError} ERR_PERF_METRICS_TRACKER when the tracker file refuses the last executions.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const end of this.#subscriptions) end();
    this.#sender?.close();
    this.#receiver?.close();
    this.#tracker.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #open(): void {
    if (this.#closed) throw new MetricsError('ERR_PERF_METRICS_CLOSED', 'the monitor is closed');
  }

  #register(metric: AnyMetric): void {
    if (this.registry.getSingleMetric(metric.name) !== undefined) {
      throw new MetricsError(
        'ERR_PERF_METRICS_DUPLICATE',
        `the registry has another metric called ${metric.name}`,
      );
    }
    this.registry.registerMetric(metric as unknown as Metric);
    this.#metrics.set(metric.name, metric);
  }

  #obtain<M extends AnyMetric>(options: MetricOptions, kind: new (...args: never[]) => M, make: () => M): M {
    const found = this.#metrics.get(options.name);
    if (found === undefined) {
      const made = make();
      this.#register(made);
      return made;
    }
    const labelNames = options.labelNames ?? [];
    const same =
      labelNames.length === found.labelNames.length && labelNames.every((n) => found.labelNames.includes(n));
    if (!(found instanceof kind) || !same) {
      throw new MetricsError(
        'ERR_PERF_METRICS_DUPLICATE',
        `${options.name} is a ${found.type} with other labels`,
      );
    }
    return found;
  }

  #instrumentChannels(component: string, name: string, events: readonly string[] | undefined): void {
    if (!Array.isArray(events) || events.length === 0 || events.some((event) => typeof event !== 'string')) {
      throw new TypeError('events must list the events of the component');
    }
    const labelNames = ['component', 'event'];
    const count = this.counter({ name: 'perf_events_total', labelNames });
    const duration = this.histogram({ name: 'perf_event_duration_seconds', labelNames });
    this.#subscriptions.push(
      subscribeChannels(component, events as readonly string[], (event, durationMs) => {
        count.inc(1, { component: name, event });
        if (durationMs !== undefined) duration.observe(durationMs / 1000, { component: name, event });
      }),
    );
  }

  /** Makes gauges for the fields that a part's stats() has by now. */
  #discover(name: string, poller: StatsPoller): void {
    let fields: readonly string[];
    try {
      fields = poller.names();
    } catch {
      this.#host.onCollectError(name);
      return;
    }
    for (const field of fields) {
      if (this.#fields.has(field)) {
        if (this.#fields.get(field) !== name) this.#host.onCollectError(name);
      } else if (this.registry.getSingleMetric(field) === undefined) {
        this.#fields.set(field, name);
        this.gauge({
          name: field,
          help: `${field}, from stats() of ${name}`,
          collect: () => poller.value(field),
        });
      } else {
        // Another metric has this name. Adding the two up would be wrong, so the field is left out, and counted as that.
        this.#host.onCollectError(name);
      }
    }
  }

  #refresh(): void {
    this.#receiver?.expire();
    for (const [name, poller] of this.#pollers) this.#discover(name, poller);
  }
}
