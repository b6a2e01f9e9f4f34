import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MemoryCache } from '@perf/cache';
import type { EvictionPolicy } from '@perf/cache';

type Step =
  | { readonly do: 'set'; readonly key: number; readonly ttlMs: number | undefined; readonly size: number }
  | { readonly do: 'get' | 'delete' | 'peek'; readonly key: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'trim'; readonly bytes: number }
  | { readonly do: 'clear' };

const key = fc.integer({ min: 0, max: 30 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('set' as const),
      key,
      ttlMs: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
      size: fc.integer({ min: 1, max: 40 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom('get' as const, 'delete' as const, 'peek' as const), key }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 20 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('trim' as const), bytes: fc.integer({ min: 0, max: 300 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'clear' as const }) },
);

interface Modelled {
  readonly value: number;
  readonly size: number;
  readonly endsMs: number;
}

interface Limits {
  readonly maxEntries?: number;
  readonly maxBytes?: number;
}

/** The cache beside a plain Map that forgets exactly what the cache says it evicted. */
class Pair {
  now = 0;
  readonly disagreements: string[] = [];
  readonly #model = new Map<number, Modelled>();
  readonly #cache: MemoryCache<number, number>;
  readonly #limits: Limits;
  #serial = 0;

  constructor(policy: EvictionPolicy, limits: Limits) {
    this.#limits = limits;
    this.#cache = new MemoryCache<number, number>({
      ...limits,
      policy,
      clock: { now: () => this.now },
      sizeOf: () => 1,
      random: () => 0.5,
      onEvict: (evicted, value, why) => {
        const known = this.#model.get(evicted);
        if (why === 'expired') this.#agree('expired too early', true, this.now >= known!.endsMs);
        if (known?.value === value) this.#model.delete(evicted);
      },
    });
  }

  step(step: Step): void {
    const cache = this.#cache;
    if (step.do === 'set') this.#set(step.key, step.size, step.ttlMs);
    else if (step.do === 'get') this.#agree('get', this.#live(step.key), cache.get(step.key));
    else if (step.do === 'peek') this.#agree('peek', this.#live(step.key), cache.peek(step.key));
    else if (step.do === 'delete') {
      this.#agree('delete', this.#live(step.key) !== undefined, cache.delete(step.key));
      this.#model.delete(step.key);
    } else if (step.do === 'advance') this.now += step.ms;
    else if (step.do === 'trim') {
      cache.trim(step.bytes);
      this.#agree('trimmed', true, cache.sizeBytes <= step.bytes);
    } else {
      cache.clear();
      this.#model.clear();
    }
    this.#compare();
  }

  #compare(): void {
    const { maxEntries = Infinity, maxBytes = Infinity } = this.#limits;
    const bytes = [...this.#model.values()].reduce((sum, entry) => sum + entry.size, 0);
    this.#agree('size', this.#model.size, this.#cache.size);
    this.#agree('sizeBytes', bytes, this.#cache.sizeBytes);
    this.#agree('limits', true, this.#cache.size <= maxEntries && this.#cache.sizeBytes <= maxBytes);
    for (const key of this.#model.keys()) this.#agree('peek', this.#live(key), this.#cache.peek(key));
  }

  #set(key: number, size: number, ttlMs: number | undefined): void {
    const endsMs = ttlMs === undefined ? Infinity : this.now + ttlMs;
    this.#model.set(key, { value: ++this.#serial, size, endsMs });
    this.#cache.set(key, this.#serial, { sizeBytes: size, ...(ttlMs === undefined ? {} : { ttlMs }) });
  }

  #live(key: number): number | undefined {
    const known = this.#model.get(key);
    return known !== undefined && this.now < known.endsMs ? known.value : undefined;
  }

  #agree(what: string, expected: unknown, actual: unknown): void {
    if (expected !== actual) this.disagreements.push(`${what}: ${String(expected)} but ${String(actual)}`);
  }
}

function disagreements(policy: EvictionPolicy, steps: readonly Step[], limits: Limits): readonly string[] {
  const pair = new Pair(policy, limits);
  for (const step of steps) pair.step(step);
  return pair.disagreements;
}

const steps = fc.array(step, { maxLength: 200 });
const entries = fc.integer({ min: 1, max: 12 });
const bytes = fc.integer({ min: 40, max: 300 });

describe.each(['adaptive', 'lru', 'lfu', 's3fifo'] as const)('policy %s', (policy) => {
  test('agrees with a Map that forgets what it evicts, by entries', () => {
    const property = fc.property(steps, entries, (list, maxEntries) => {
      expect(disagreements(policy, list, { maxEntries })).toEqual([]);
    });
    expect(() => fc.assert(property)).not.toThrow();
  });

  test('agrees with a Map that forgets what it evicts, by bytes and entries', () => {
    const property = fc.property(steps, entries, bytes, (list, maxEntries, maxBytes) => {
      expect(disagreements(policy, list, { maxEntries, maxBytes })).toEqual([]);
    });
    expect(() => fc.assert(property)).not.toThrow();
  });
});
