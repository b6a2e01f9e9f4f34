/** The speed of MemoryCache beside Map, lru-cache and mnemonist, all driven by the same loop. */
import { ratioCase } from '@perf/bench';
import type { CaseContext, Contender, RatioCase } from '@perf/bench';
import { MemoryCache } from '@perf/cache';

interface Store {
  get(key: string): { readonly n: number } | undefined;
  set(key: string, value: { readonly n: number }): unknown;
}

interface Reads {
  readonly entries: number;
  readonly keys: readonly string[];
  readonly reads: readonly string[];
  readonly expected: number;
}

const READS = 1_000_000;

/** Keys as agents have them; reads favour some (the square of a uniform number) and all hit. */
function makeReads(entries: number, context: CaseContext): Reads {
  const keys = Array.from({ length: entries }, (_, i) => `session:${i % 997}:tool:${i}`);
  const reads: string[] = [];
  let expected = 0;
  while (reads.length < READS) {
    const at = Math.floor(entries * context.random() ** 2);
    reads.push(keys.at(at) ?? '');
    expected += at;
  }
  return { entries, keys, reads, expected };
}

/** The loop that all contenders share. */
function readAll(store: Store, { reads }: Reads): number {
  let sum = 0;
  for (const key of reads) sum += store.get(key)?.n ?? 0;
  return sum;
}

function fill(store: Store, { keys }: Reads): Store {
  for (const [n, key] of keys.entries()) store.set(key, { n });
  return store;
}

type LruClass = new (options: { max: number }) => Store;
type MnemonistClass = new (capacity: number) => Store;

function readers(): readonly Contender<Reads, Store, number>[] {
  const run = (store: Store, input: Reads): number => readAll(store, input);
  return [
    {
      name: 'MemoryCache adaptive',
      ours: true,
      prepare: (input) => fill(new MemoryCache({ maxEntries: input.entries }), input),
      run,
    },
    { name: 'Map', prepare: (input) => fill(new Map(), input), run },
    {
      name: 'lru-cache',
      peers: ['lru-cache'],
      prepare: async (input, context) => {
        const { LRUCache } = await context.peer<{ LRUCache: LruClass }>('lru-cache');
        return fill(new LRUCache({ max: input.entries }), input);
      },
      run,
    },
    {
      name: 'mnemonist LRUMap',
      peers: ['mnemonist'],
      prepare: async (input, context) => {
        const { LRUMap } = await context.peer<{ LRUMap: MnemonistClass }>('mnemonist');
        return fill(new LRUMap(input.entries), input);
      },
      run,
    },
  ];
}

function hitPath(entries: number, label: string): RatioCase {
  return ratioCase<Reads, number>({
    name: `hit-path-${label}`,
    about: `One million hits on ${entries} string keys, some read more than others, in one loop for all contenders.`,
    setup: (context) => makeReads(entries, context),
    operations: () => READS,
    contenders: readers(),
    validate: (answer, input) => {
      if (answer !== input.expected) throw new Error(`sum ${answer} instead of ${input.expected}`);
    },
    goals: [
      { versus: 'Map', atLeast: 0.75 },
      { versus: 'lru-cache', atLeast: 1.5 },
    ],
  });
}

interface Writes {
  readonly entries: number;
  readonly keys: readonly string[];
}

const WRITES = 500_000;

function writeAll(store: Store, { keys }: Writes): number {
  const value = { n: 1 };
  for (const key of keys) store.set(key, value);
  return 0;
}

/** What a read-through cache does on a trace of mostly new keys: a miss, then a set that evicts. */
function readThrough(store: Store, { keys }: Writes): number {
  const value = { n: 1 };
  for (const key of keys) if (store.get(key) === undefined) store.set(key, value);
  return 0;
}

function evicting(name: string, about: string, run: (store: Store, input: Writes) => number): RatioCase {
  return ratioCase<Writes, number>({
    name,
    about,
    setup: () => ({ entries: 100_000, keys: Array.from({ length: WRITES }, (_, i) => `user:${i}:profile`) }),
    operations: () => WRITES,
    contenders: [
      {
        name: 'MemoryCache adaptive',
        ours: true,
        prepare: (input) => new MemoryCache({ maxEntries: input.entries }),
        run,
      },
      {
        name: 'lru-cache',
        peers: ['lru-cache'],
        prepare: async (input, context) => {
          const { LRUCache } = await context.peer<{ LRUCache: LruClass }>('lru-cache');
          return new LRUCache({ max: input.entries });
        },
        run,
      },
    ],
    validate: (answer) => {
      if (answer !== 0) throw new Error('the loop did not end');
    },
    goals: [{ versus: 'lru-cache', atLeast: 1.2 }],
  });
}

export const cases: readonly RatioCase[] = [
  hitPath(10_000, '10k'),
  hitPath(200_000, '200k'),
  evicting('evicting-set', 'Sets of 500,000 new string keys into 100,000 entries.', writeAll),
  evicting(
    'evicting-miss',
    'A miss and then a set for each of 500,000 new string keys, 100,000 entries.',
    readThrough,
  ),
];
