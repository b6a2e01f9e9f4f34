/** Reads through TieredCache that memory answers, beside other tiered caches, each with memory alone. */
import { ratioCase } from '@perf/bench';
import type { CaseContext, Contender, RatioCase } from '@perf/bench';
import { MemoryCache, TieredCache } from '@perf/cache';

interface Input {
  readonly keys: readonly string[];
  readonly reads: readonly string[];
}

interface AsyncStore {
  get(key: string): Promise<unknown>;
}

const ENTRIES = 10_000;
const READS = 100_000;
const VALUE = 'the text of an answer';

function setup(context: CaseContext): Input {
  const keys = Array.from({ length: ENTRIES }, (_, i) => `answer:${i}`);
  const reads = Array.from({ length: READS }, () => `answer:${Math.floor(ENTRIES * context.random() ** 2)}`);
  // The same string objects as the stored keys.
  const byText = new Map(keys.map((key) => [key, key]));
  return { keys, reads: reads.map((key) => byText.get(key) ?? key) };
}

async function fill<S extends { set(key: string, value: string): unknown }>(
  store: S,
  input: Input,
): Promise<S> {
  for (const key of input.keys) await store.set(key, VALUE);
  return store;
}

async function readAll(store: AsyncStore, { reads }: Input): Promise<number> {
  let found = 0;
  for (const key of reads) if ((await store.get(key)) !== undefined) found++;
  return found;
}

function validate(found: number): void {
  if (found !== READS) throw new Error(`found ${found} of ${READS}`);
}

interface Bentocache {
  BentoCache: new (options: object) => {
    get(options: { key: string }): Promise<unknown>;
    set(options: { key: string; value: string }): Promise<unknown>;
  };
  bentostore(): { useL1Layer(layer: unknown): unknown };
}

const awaited: readonly Contender<Input, AsyncStore, number>[] = [
  {
    name: 'TieredCache',
    ours: true,
    prepare: (input) => fill(new TieredCache<string>({ memory: { maxEntries: ENTRIES } }), input),
    run: readAll,
  },
  {
    name: 'bentocache',
    peers: ['bentocache'],
    prepare: async (input, context) => {
      const { BentoCache, bentostore } = await context.peer<Bentocache>('bentocache');
      const { memoryDriver } = await context.peer<{ memoryDriver(options: object): unknown }>(
        'bentocache/drivers/memory',
      );
      const layer = memoryDriver({ maxItems: ENTRIES });
      const cache = new BentoCache({ default: 'memory', stores: { memory: bentostore().useL1Layer(layer) } });
      for (const key of input.keys) await cache.set({ key, value: VALUE });
      return { get: (key: string) => cache.get({ key }) };
    },
    run: readAll,
  },
  {
    name: 'cacheable',
    peers: ['cacheable'],
    prepare: async (input, context) => {
      type Cacheable = new () => AsyncStore & { set(key: string, value: string): Promise<unknown> };
      const { Cacheable } = await context.peer<{ Cacheable: Cacheable }>('cacheable');
      return fill(new Cacheable(), input);
    },
    run: readAll,
  },
  {
    name: 'cache-manager',
    peers: ['cache-manager'],
    prepare: async (input, context) => {
      type Create = () => AsyncStore & { set(key: string, value: string): Promise<unknown> };
      const { createCache } = await context.peer<{ createCache: Create }>('cache-manager');
      return fill(createCache(), input);
    },
    run: readAll,
  },
  {
    name: 'lru-cache, awaited',
    peers: ['lru-cache'],
    prepare: async (input, context) => {
      type Lru = { get(key: string): string | undefined; set(key: string, value: string): unknown };
      const { LRUCache } = await context.peer<{ LRUCache: new (options: object) => Lru }>('lru-cache');
      const cache = await fill(new LRUCache({ max: ENTRIES }), input);
      return { get: (key: string) => Promise.resolve(cache.get(key)) };
    },
    run: readAll,
  },
];

interface Peeking {
  read(key: string): string | undefined;
}

function peekAll(store: Peeking, { reads }: Input): number {
  let found = 0;
  for (let round = 0; round < 10; round++) {
    for (const key of reads) if (store.read(key) !== undefined) found++;
  }
  return found / 10;
}

export const cases: readonly RatioCase[] = [
  ratioCase<Input, number>({
    name: 'tiered-get',
    about: `${READS} awaited reads of ${ENTRIES} keys in memory.`,
    setup,
    operations: () => READS,
    contenders: awaited,
    validate,
    goals: [{ versus: 'bentocache', atLeast: 4 }],
  }),
  ratioCase<Input, number>({
    name: 'tiered-peek',
    about: `${10 * READS} synchronous reads of ${ENTRIES} keys, beside MemoryCache alone.`,
    setup,
    operations: () => 10 * READS,
    contenders: [
      {
        name: 'TieredCache.peek',
        ours: true,
        prepare: async (input) => {
          const cache = await fill(new TieredCache<string>({ memory: { maxEntries: ENTRIES } }), input);
          return { read: (key: string) => cache.peek(key) };
        },
        run: peekAll,
      },
      {
        name: 'MemoryCache.get',
        prepare: async (input) => {
          const cache = await fill(new MemoryCache<string, string>({ maxEntries: ENTRIES }), input);
          return { read: (key: string) => cache.get(key) };
        },
        run: peekAll,
      },
    ],
    validate,
    goals: [{ versus: 'MemoryCache.get', atLeast: 0.9 }],
  }),
];
