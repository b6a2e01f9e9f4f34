/**
 * How a monitor learns from a part that knows nothing of it: by polling its `stats()`, or by subscribing to its
 * diagnostics channels `perf:<component>:<event>`.
 */
import diagnosticsChannel from 'node:diagnostics_channel';

/** Anything with a `stats()`; every kernel's main class is one. */
export interface StatsSource {
  stats(): unknown;
}

/** Nesting below this depth is left out. */
const MAX_DEPTH = 4;

/** A numeric field of a `stats()`, under the name and in the unit of a metric. */
interface Field {
  readonly name: string;
  readonly value: number;
}

/**
 * Polls one `stats()`. Numbers and booleans become `<prefix>_<path in snake case>`; a field that ends in `Ms` is
 * converted to `_seconds`; strings, arrays and the rest are left out. At most `maxFields` fields.
 */
export class StatsPoller {
  readonly #source: StatsSource;
  readonly #prefix: string;
  readonly #maxFields: number;
  #latest: Map<string, number> | undefined;
  #failure: unknown;

  constructor(source: StatsSource, prefix: string, maxFields: number) {
    this.#source = source;
    this.#prefix = prefix;
    this.#maxFields = maxFields;
  }

  /** Names of the metrics that the fields of now have. Throws what `stats()` throws. */
  names(): readonly string[] {
    return [...this.#snapshot().keys()];
  }

  /** The field's value, `undefined` when it is gone. Throws what `stats()` throws. */
  value(name: string): number | undefined {
    return this.#snapshot().get(name);
  }

  /** One `stats()` call serves all fields of one scrape: the answer, or the failure, is kept until the next microtask. */
  #snapshot(): Map<string, number> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#latest !== undefined) return this.#latest;
    queueMicrotask(() => {
      this.#latest = undefined;
      this.#failure = undefined;
    });
    try {
      const fields = flatten(this.#source.stats(), this.#prefix, 0);
      this.#latest = new Map(fields.slice(0, this.#maxFields).map(({ name, value }) => [name, value]));
      return this.#latest;
    } catch (error) {
      this.#failure = error ?? new Error('stats() threw nothing');
      throw this.#failure;
    }
  }
}

function flatten(stats: unknown, prefix: string, depth: number): Field[] {
  if (typeof stats !== 'object' || stats === null || Array.isArray(stats) || depth >= MAX_DEPTH) return [];
  const fields: Field[] = [];
  for (const [key, raw] of Object.entries(stats)) {
    const name = `${prefix}_${snakeCase(key)}`;
    const value = typeof raw === 'bigint' || typeof raw === 'boolean' ? Number(raw) : (raw as unknown);
    if (typeof value !== 'number') fields.push(...flatten(value, name, depth + 1));
    else if (name.endsWith('_ms'))
      fields.push({ name: name.replace(/_ms$/, '_seconds'), value: value / 1000 });
    else fields.push({ name, value });
  }
  return fields;
}

function snakeCase(key: string): string {
  return key
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_');
}

/** Calls `onEvent` for every message on `perf:<component>:<event>`; returns what ends that. */
export function subscribeChannels(
  component: string,
  events: readonly string[],
  onEvent: (event: string, durationMs: number | undefined) => void,
): () => void {
  const endings = events.map((event) => {
    const channel = `perf:${component}:${event}`;
    const listener = (message: unknown): void => {
      const durationMs = (message as { durationMs?: unknown } | null)?.durationMs;
      onEvent(event, typeof durationMs === 'number' && durationMs >= 0 ? durationMs : undefined);
    };
    diagnosticsChannel.subscribe(channel, listener);
    return () => diagnosticsChannel.unsubscribe(channel, listener);
  });
  return () => endings.forEach((end) => end());
}
