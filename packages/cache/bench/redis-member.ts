/**
 * The other process of the Redis cases. It holds entries in memory, says when an invalidation has taken
 * effect, and on demand reads without pause, noting how long the longest read took, what failed, and when it
 * last got an old value.
 */
import { TieredCache } from '@perf/cache';
import { RedisBus, RedisTier } from '@perf/cache/redis';

export interface LoadReport {
  readonly reads: number;
  readonly errors: number;
  readonly longestMs: number;
  /** When each key was last read with the value it had before, on the clock that all processes share. */
  readonly lastStaleNs: string;
}

const redis = { path: process.argv[2] ?? '' };
const key = new Uint8Array(32).fill(5);
const bus = new RedisBus({ redis, key });
const cache = new TieredCache<string>({
  memory: { maxEntries: 10_000 },
  tiers: [new RedisTier({ redis })],
  bus,
  integrity: { mode: 'always', key },
});
// After the cache's own listener: by then the entry is gone from memory.
bus.subscribe((message) => {
  if (message.kind === 'clear') process.send?.({ kind: 'cleared', atNs: String(process.hrtime.bigint()) });
  if (message.kind !== 'keys') return;
  const gone = message.keys.every((name) => cache.peek(name) === undefined);
  process.send?.({ kind: 'seen', atNs: String(process.hrtime.bigint()), gone });
});

const load = { running: false };

/** Reads until told to stop: `local` entries that nobody changes, and `changing` ones. */
async function readAll(local: readonly string[], changing: readonly string[]): Promise<void> {
  let [reads, errors, longestMs, lastStaleNs] = [0, 0, 0, 0n];
  load.running = true;
  while (load.running) {
    for (const name of [...local, ...changing]) {
      const started = performance.now();
      try {
        const value = await cache.get(name);
        if (value === 'old') lastStaleNs = process.hrtime.bigint();
      } catch {
        errors++;
      }
      reads++;
      longestMs = Math.max(longestMs, performance.now() - started);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  process.send?.({ kind: 'load', report: { reads, errors, longestMs, lastStaleNs: String(lastStaleNs) } });
}

process.on('message', (call: { kind: string; names: string[]; changing?: string[] }) => {
  if (call.kind === 'read') {
    void cache.getMany(call.names).then((found) => process.send?.({ kind: 'read', found: found.size }));
  } else if (call.kind === 'load') void readAll(call.names, call.changing ?? []);
  else load.running = false;
});
process.on('disconnect', () => process.exit());
await bus.ready();
process.send?.({ kind: 'ready' });
