/**
 * Chooses which of several named components does the next piece of work.
 *
 * Power of two choices (Mitzenmacher 2001): two components drawn at random by weight, the better one taken. Knowing the
 * load of all would be no better by much and herds everybody onto the same one. What "better" means is the strategy:
 * - `performance`: less expected work ahead, (in flight + 1) times the moving latency, over the weight;
 * - `memory`: the larger share of free memory, as last told by `report`;
 * - `availability`: the larger share of recent successes, then performance.
 *
 * Outliers are ejected: after `maxFailures` failures in a row a component gets no work for a time that doubles with each
 * ejection, but never more than `maxEjectedShare` of them at once: when all look sick the fault is elsewhere.
 */
import { monotonicClock, type Clock } from './clock.ts';
import { BatchError } from './errors.ts';
import { choiceOption, functionOption, integerOption, numberOption } from './option-checks.ts';

export type BalancingStrategy = 'performance' | 'memory' | 'availability';

export interface ComponentOptions {
  readonly name: string;
  /** Its share of the work relative to the others. Default 1. */
  readonly weight?: number;
}

export interface LoadBalancerOptions {
  readonly components: readonly (ComponentOptions | string)[];
  /** Default 'performance'. */
  readonly strategy?: BalancingStrategy;
  /** Failures in a row that eject. Default 5. */
  readonly maxFailures?: number;
  /** First ejection; doubles each time, up to ten times this. Default 10 s. */
  readonly ejectionMs?: number;
  /** Default 0.5. */
  readonly maxEjectedShare?: number;
  readonly clock?: Clock;
  /** Uniform in [0, 1). */
  readonly random?: () => number;
}

/** One piece of work at a component. */
export interface Assignment {
  readonly name: string;
  /** Exactly once, when the work has ended. */
  release(outcome: { readonly ok: boolean; readonly latencyMs?: number }): void;
}

export interface ComponentReport {
  readonly memoryUsedBytes: number;
  readonly memoryTotalBytes: number;
}

export interface ComponentStats {
  readonly name: string;
  readonly weight: number;
  readonly inFlight: number;
  readonly assigned: number;
  readonly failures: number;
  readonly latencyMs: number;
  readonly successShare: number;
  readonly freeMemoryShare: number;
  /** Until it gets work again; 0 when it does. */
  readonly ejectedForMs: number;
}

/** Weight of the newest observation. */
const LATENCY_WEIGHT = 0.1;
const SUCCESS_WEIGHT = 0.05;
const MAX_EJECTION_FACTOR = 10;

class Component {
  readonly name: string;
  weight: number;
  inFlight = 0;
  assigned = 0;
  failures = 0;
  failuresInARow = 0;
  ejections = 0;
  ejectedUntilMs = 0;
  latencyMs = 0;
  successShare = 1;
  freeMemoryShare = 1;

  constructor(options: ComponentOptions | string) {
    const { name, weight = 1 } = typeof options === 'string' ? { name: options } : options;
    if (typeof name !== 'string') throw new TypeError('a component’s name must be a string');
    this.name = name;
    this.weight = numberOption(`weight of ${name}`, weight, Number.MIN_VALUE);
  }
}

export class LoadBalancer {
  readonly #components = new Map<string, Component>();
  readonly #strategy: BalancingStrategy;
  readonly #maxFailures: number;
  readonly #ejectionMs: number;
  readonly #maxEjectedShare: number;
  readonly #clock: Clock;
  readonly #random: () => number;

  /** @throws {RangeError | TypeError} naming the option. */
  constructor(options: LoadBalancerOptions) {
    if (!Array.isArray(options?.components)) throw new TypeError('components must be an array');
    for (const component of options.components as readonly (ComponentOptions | string)[]) this.add(component);
    this.#strategy = choiceOption('strategy', options.strategy ?? 'performance', [
      'performance',
      'memory',
      'availability',
    ]);
    this.#maxFailures = integerOption('maxFailures', options.maxFailures ?? 5, 1);
    this.#ejectionMs = numberOption('ejectionMs', options.ejectionMs ?? 10_000, 0);
    this.#maxEjectedShare = numberOption('maxEjectedShare', options.maxEjectedShare ?? 0.5, 0, 1);
    this.#clock = options.clock ?? monotonicClock;
    this.#random = options.random === undefined ? Math.random : functionOption('random', options.random);
  }

  /** @throws {RangeError} when there is one of that name. */
  add(component: ComponentOptions | string): void {
    const added = new Component(component);
    if (this.#components.has(added.name)) throw new RangeError(`there is a component ${added.name} already`);
    this.#components.set(added.name, added);
  }

  /** Gives it no more work; what it has ends as it ends. */
  remove(name: string): boolean {
    return this.#components.delete(name);
  }

  /**
   * Takes a component for one piece of work, other than those excluded if possible. O(components).
   *
   * @throws {BatchError} ERR_PERF_BATCH_NO_COMPONENT when there is none.
   */
  pick(options: { readonly exclude?: readonly string[] } = {}): Assignment {
    const chosen = this.#choose(options.exclude ?? []);
    chosen.inFlight++;
    chosen.assigned++;
    let released = false;
    return {
      name: chosen.name,
      release: (outcome) => {
        if (released) throw new TypeError('an assignment is released once');
        released = true;
        this.#ended(chosen, outcome.ok, outcome.latencyMs);
      },
    };
  }

  /** Picks, runs, times and releases; a rejection of `fn` is a failure of the component. */
  async run<V>(
    fn: (name: string) => Promise<V>,
    options?: { readonly exclude?: readonly string[]; readonly signal?: AbortSignal },
  ): Promise<V> {
    options?.signal?.throwIfAborted();
    const assignment = this.pick(options);
    const startedAtMs = this.#clock.now();
    try {
      const value = await fn(assignment.name);
      assignment.release({ ok: true, latencyMs: this.#clock.now() - startedAtMs });
      return value;
    } catch (error) {
      // The caller changed its mind: that says nothing about the component.
      const ok = options?.signal?.aborted === true;
      assignment.release({ ok });
      throw error;
    }
  }

  /** Tells the memory of a component; unknown names are ignored, they may have been removed. */
  report(name: string, { memoryUsedBytes, memoryTotalBytes }: ComponentReport): void {
    numberOption('memoryTotalBytes', memoryTotalBytes, Number.MIN_VALUE);
    numberOption('memoryUsedBytes', memoryUsedBytes, 0);
    const component = this.#components.get(name);
    if (component !== undefined)
      component.freeMemoryShare = Math.max(0, 1 - memoryUsedBytes / memoryTotalBytes);
  }

  stats(): readonly ComponentStats[] {
    const nowMs = this.#clock.now();
    return [...this.#components.values()].map((c) => ({
      name: c.name,
      weight: c.weight,
      inFlight: c.inFlight,
      assigned: c.assigned,
      failures: c.failures,
      latencyMs: c.latencyMs,
      successShare: c.successShare,
      freeMemoryShare: c.freeMemoryShare,
      ejectedForMs: Math.max(0, c.ejectedUntilMs - nowMs),
    }));
  }

  #choose(exclude: readonly string[]): Component {
    const nowMs = this.#clock.now();
    const all = [...this.#components.values()];
    const wanted = all.filter((component) => !exclude.includes(component.name));
    const candidates = wanted.length > 0 ? wanted : all;
    const healthy = candidates.filter((component) => component.ejectedUntilMs <= nowMs);
    const pool = healthy.length > 0 ? healthy : candidates;
    const first = this.#draw(pool, undefined);
    if (first === undefined)
      throw new BatchError('ERR_PERF_BATCH_NO_COMPONENT', 'there is no component to choose');
    const second = this.#draw(pool, first);
    return second === undefined || !this.#isBetter(second, first) ? first : second;
  }

  /** At random by weight, other than `not`. */
  #draw(pool: readonly Component[], not: Component | undefined): Component | undefined {
    let total = 0;
    for (const component of pool) if (component !== not) total += component.weight;
    let at = this.#random() * total;
    let last: Component | undefined;
    for (const component of pool) {
      if (component === not) continue;
      last = component;
      at -= component.weight;
      if (at < 0) return component;
    }
    return last;
  }

  #isBetter(a: Component, b: Component): boolean {
    if (this.#strategy === 'memory' && a.freeMemoryShare !== b.freeMemoryShare) {
      return a.freeMemoryShare > b.freeMemoryShare;
    }
    if (this.#strategy === 'availability' && a.successShare !== b.successShare) {
      return a.successShare > b.successShare;
    }
    return workAhead(a) < workAhead(b);
  }

  #ended(component: Component, ok: boolean, latencyMs: number | undefined): void {
    component.inFlight--;
    component.successShare += SUCCESS_WEIGHT * ((ok ? 1 : 0) - component.successShare);
    if (latencyMs !== undefined) {
      numberOption('latencyMs', latencyMs, 0);
      component.latencyMs =
        component.latencyMs === 0
          ? latencyMs
          : component.latencyMs + LATENCY_WEIGHT * (latencyMs - component.latencyMs);
    }
    if (ok) {
      component.failuresInARow = 0;
      component.ejections = Math.max(0, component.ejections - SUCCESS_WEIGHT);
      return;
    }
    component.failures++;
    if (++component.failuresInARow >= this.#maxFailures) this.#eject(component);
  }

  #eject(component: Component): void {
    const nowMs = this.#clock.now();
    let ejected = 1;
    for (const other of this.#components.values()) {
      if (other !== component && other.ejectedUntilMs > nowMs) ejected++;
    }
    if (component.ejectedUntilMs > nowMs || ejected > this.#maxEjectedShare * this.#components.size) return;
    const factor = Math.min(MAX_EJECTION_FACTOR, 2 ** Math.floor(component.ejections));
    component.ejectedUntilMs = nowMs + this.#ejectionMs * factor;
    component.ejections++;
    component.failuresInARow = 0;
  }
}

function workAhead(component: Component): number {
  return ((component.inFlight + 1) * Math.max(component.latencyMs, 1)) / component.weight;
}
