// The options of a PerformanceSystem, checked once at the door and filled with their defaults.
import path from 'node:path';
import type { Kpi } from '@perf/metrics';
import type { AgentDefinition } from './agent-definitions.ts';
import type { ModelProfile } from './model-choice.ts';

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
}

export interface SystemOptions {
  /** Folder that holds the system's files; made when it is missing. */
  readonly dir: string;
  /**
   * `batched`: a write resolves when it is accepted and survives a killed process after `flush()`. `sync`: a write
   * resolves when it is committed so that it survives a power loss. Default `batched`.
   */
  readonly durability?: 'batched' | 'sync';
  /** Of the cache's memory tier. Default 64 MiB. */
  readonly cacheBytes?: number;
  /** Of the cache's disk tier. Default 256 MiB. */
  readonly diskCacheBytes?: number;
  /** Writes that are accepted and not committed yet; more wait. Default 32 MiB. */
  readonly maxQueuedBytes?: number;
  /** How long a write waits for others to share its transaction. Default 5 ms. */
  readonly lingerMs?: number;
  /** Stored patterns kept in memory. Default 10,000. */
  readonly maxCachedPatterns?: number;
  /** Detect with the starter library of error patterns too. Default true. */
  readonly starterPatterns?: boolean;
  /** Who tasks are routed to. Default: nobody. */
  readonly agents?: readonly AgentDefinition[];
  /** Models to choose from, in order of preference. Default: none. */
  readonly models?: readonly ModelProfile[];
  /** Default: the KPIs of `@perf/metrics`. */
  readonly kpis?: readonly Kpi[];
  /** Folder that stands for `/` where memory limits are read. Default `/`. */
  readonly root?: string;
  /** How often memory pressure is sampled; Infinity: never by itself. Default 1000. */
  readonly pressureIntervalMs?: number;
  /** How often a sample of the measurements is kept; Infinity: never by itself. Default 10,000. */
  readonly metricsIntervalMs?: number;
  /** Samples kept. Default 360: an hour at the default interval. */
  readonly metricsHistory?: number;
  /** How often the system optimizes itself; Infinity: only when asked. Default 300,000. */
  readonly optimizeIntervalMs?: number;
  readonly clock?: Clock;
}

export interface Configuration extends Required<Omit<SystemOptions, 'kpis'>> {
  readonly kpis: readonly Kpi[] | undefined;
  readonly storePath: string;
  readonly cachePath: string;
  readonly graphPath: string;
}

const MIB = 1024 * 1024;

/** @throws {TypeError | RangeError} naming the option. */
export function configure(options: SystemOptions): Configuration {
  if (typeof options !== 'object' || options === null) throw new TypeError('options must be an object');
  const {
    dir,
    durability = 'batched',
    starterPatterns = true,
    agents = [],
    models = [],
    root = '/',
  } = options;
  if (typeof dir !== 'string' || dir === '') throw new TypeError('dir must be a folder path');
  if (durability !== 'batched' && durability !== 'sync')
    throw new RangeError("durability must be 'batched' or 'sync'");
  if (typeof starterPatterns !== 'boolean') throw new TypeError('starterPatterns must be a boolean');
  if (!Array.isArray(agents)) throw new TypeError('agents must be an array');
  if (!Array.isArray(models)) throw new TypeError('models must be an array');
  checkModels(models);
  if (typeof root !== 'string' || root === '') throw new TypeError('root must be a folder path');
  const clock = options.clock ?? { now: () => Date.now() };
  if (typeof clock?.now !== 'function') throw new TypeError('clock must have now()');
  const folder = path.resolve(dir);
  return {
    dir: folder,
    durability,
    cacheBytes: whole('cacheBytes', options.cacheBytes ?? 64 * MIB, 1),
    diskCacheBytes: whole('diskCacheBytes', options.diskCacheBytes ?? 256 * MIB, 1),
    maxQueuedBytes: whole('maxQueuedBytes', options.maxQueuedBytes ?? 32 * MIB, 1),
    lingerMs: duration('lingerMs', options.lingerMs ?? 5),
    maxCachedPatterns: whole('maxCachedPatterns', options.maxCachedPatterns ?? 10_000, 1),
    starterPatterns,
    agents,
    models,
    kpis: options.kpis,
    root,
    pressureIntervalMs: interval('pressureIntervalMs', options.pressureIntervalMs ?? 1000),
    metricsIntervalMs: interval('metricsIntervalMs', options.metricsIntervalMs ?? 10_000),
    metricsHistory: whole('metricsHistory', options.metricsHistory ?? 360, 1),
    optimizeIntervalMs: interval('optimizeIntervalMs', options.optimizeIntervalMs ?? 300_000),
    clock,
    storePath: path.join(folder, 'store.sqlite'),
    cachePath: path.join(folder, 'cache.sqlite'),
    graphPath: path.join(folder, 'graph.sqlite'),
  };
}

function checkModels(models: readonly ModelProfile[]): void {
  const ids = new Set<string>();
  for (const [index, model] of models.entries()) {
    const name = `models[${index}]`;
    if (typeof model !== 'object' || model === null) throw new TypeError(`${name} must be an object`);
    if (typeof model.id !== 'string' || model.id === '')
      throw new TypeError(`${name}.id must be a non-empty string`);
    if (ids.has(model.id)) throw new RangeError(`${name}.id repeats ${model.id}`);
    ids.add(model.id);
    for (const price of ['inputUsdPerMillionTokens', 'outputUsdPerMillionTokens'] as const) {
      if (typeof model[price] !== 'number') throw new TypeError(`${name}.${price} must be a number`);
      if (!(model[price] >= 0 && model[price] < Infinity))
        throw new RangeError(`${name}.${price} must be at least 0`);
    }
    if (model.contextTokens !== undefined) whole(`${name}.contextTokens`, model.contextTokens, 1);
  }
}

function whole(name: string, value: number, least: number): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
  if (!Number.isSafeInteger(value) || value < least)
    throw new RangeError(`${name} must be an integer of at least ${least}`);
  return value;
}

function duration(name: string, value: number): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
  if (!(value >= 0 && value <= 2 ** 31 - 1))
    throw new RangeError(`${name} must be in [0, 2^31) milliseconds`);
  return value;
}

function interval(name: string, value: number): number {
  if (value === Infinity) return value;
  if (duration(name, value) === 0) throw new RangeError(`${name} must be more than 0`);
  return value;
}
