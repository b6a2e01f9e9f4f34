/** What entries cost in bytes, and whether a byte budget holds against what the process measures. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { measureCase } from '@perf/bench';
import type { CaseContext, MeasureCase } from '@perf/bench';
import { MemoryCache } from '@perf/cache';

const ENTRIES = 1_000_000;

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

function usedBytes(gc: () => void): number {
  for (let i = 0; i < 4; i++) gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

interface Fillable {
  set(key: number, value: number): unknown;
}

/** Bytes that a store takes for small-integer keys and values, which themselves take none. */
function bytesPerEntry(make: () => Fillable, gc: () => void): number {
  const before = usedBytes(gc);
  const store = make();
  for (let i = 0; i < ENTRIES; i++) store.set(i, i);
  const bytes = (usedBytes(gc) - before) / ENTRIES;
  store.set(0, 0);
  return bytes;
}

interface Request {
  readonly id: string;
  readonly bytes: number;
}

function readRequests(context: CaseContext): readonly Request[] {
  const lines = context.data('cache/web-sized-a.txt.gz').toString('utf8').trim().split('\n');
  return lines.map((line) => {
    const [, id = '', bytes = ''] = line.split(/\s+/);
    return { id, bytes: Number(bytes) };
  });
}

function budgetError(context: CaseContext, gc: () => void, make: (bytes: number) => unknown): number {
  const requests = readRequests(context);
  const before = usedBytes(gc);
  const cache = new MemoryCache<string, unknown>({
    maxBytes: 64 * 1024 * 1024,
    random: () => context.random(),
  });
  for (const { id, bytes } of requests) {
    // A key of its own, not a slice of the trace's text.
    const key = Buffer.from(`object/${id}`, 'latin1').toString('latin1');
    if (cache.get(key) === undefined) cache.set(key, make(bytes));
  }
  const measured = usedBytes(gc) - before;
  return (100 * Math.abs(cache.sizeBytes - measured)) / measured;
}

export const cases: readonly MeasureCase[] = [
  measureCase({
    name: 'memory-per-entry',
    about: 'Bytes per entry beyond key and value at one million entries.',
    peers: ['lru-cache'],
    forks: 1,
    measure: async (context) => {
      const gc = collector();
      const { LRUCache } = await context.peer<{ LRUCache: new (options: { max: number }) => Fillable }>(
        'lru-cache',
      );
      const ours = bytesPerEntry(() => new MemoryCache({ maxEntries: ENTRIES }), gc);
      const map = bytesPerEntry(() => new Map<number, number>(), gc);
      const lru = bytesPerEntry(() => new LRUCache({ max: ENTRIES }), gc);
      return [
        { name: 'MemoryCache adaptive', value: ours, unit: 'bytes', target: { atMost: 60 } },
        { name: 'Map', value: map, unit: 'bytes' },
        { name: 'lru-cache', value: lru, unit: 'bytes' },
      ];
    },
  }),
  measureCase({
    name: 'byte-budget',
    about: 'The bytes a cache says it holds against heap and external memory, on the sized web trace.',
    forks: 1,
    measure: (context) => {
      const gc = collector();
      const target = { atMost: 5 };
      return [
        {
          name: 'strings',
          value: budgetError(context, gc, (bytes) => Buffer.alloc(bytes, 'x').toString('latin1')),
          unit: '% off',
          target,
        },
        {
          name: 'buffers',
          value: budgetError(context, gc, (bytes) => new Uint8Array(bytes)),
          unit: '% off',
          target,
        },
      ];
    },
  }),
];
