/** The SQLite tier beside better-sqlite3 used by hand: batched writes, batched reads, and reads with every MAC checked. */
import { join } from 'node:path';
import { openDatabase } from '@perf/sqlite';
import type { Database } from '@perf/sqlite';
import { measureCase } from '@perf/bench';
import type { CaseContext, MeasureCase, Measurement } from '@perf/bench';
import { TieredCache } from '@perf/cache';
import { SqliteTier } from '@perf/cache/sqlite';

const ENTRIES = 40_000;
const BATCH = 200;
const ROUNDS = 1;

const keyOf = (i: number): string => `entry:${(i * 7919) % ENTRIES}`;
const VALUE = Buffer.alloc(100, 7);

/** Calls `work` with the first index of each batch; entries per second. */
async function perSecond(work: (from: number) => Promise<void> | void): Promise<number> {
  const start = performance.now();
  for (let from = 0; from < ENTRIES; from += BATCH) await work(from);
  return (1000 * ENTRIES) / (performance.now() - start);
}

function keysFrom(from: number): string[] {
  return Array.from({ length: BATCH }, (_, i) => keyOf(from + i));
}

async function byHand(path: string): Promise<{ sets: number; gets: number }> {
  const db: Database = openDatabase(path);
  db.exec('CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID');
  const put = db.prepare('INSERT OR REPLACE INTO entries VALUES (?, ?)');
  const get = db.prepare('SELECT value FROM entries WHERE key = ?');
  const putAll = db.transaction((keys: readonly string[]) => {
    for (const key of keys) put.run(key, VALUE);
  });
  const getAll = db.transaction(
    (keys: readonly string[]) => keys.filter((key) => get.get(key) === undefined).length,
  );
  const sets = await perSecond((from) => {
    putAll(keysFrom(from));
  });
  const gets = await perSecond((from) => {
    if (getAll(keysFrom(from)) > 0) throw new Error('an entry is missing');
  });
  db.close();
  return { sets, gets };
}

async function byTier(path: string): Promise<{ sets: number; gets: number }> {
  const tier = SqliteTier.open({ path, maxPending: BATCH });
  const sets = await perSecond((from) => tier.setMany(keysFrom(from).map((key) => ({ key, value: VALUE }))));
  const gets = await perSecond(async (from) => {
    if ((await tier.getMany(keysFrom(from))).includes(undefined)) throw new Error('an entry is missing');
  });
  await tier.close();
  return { sets, gets };
}

/** Reads through TieredCache, so with decoding, promotion to memory and every MAC verified. */
async function verified(path: string): Promise<number> {
  const integrity = { mode: 'always' as const, key: new Uint8Array(32).fill(7) };
  const tiers = [SqliteTier.open({ path, maxPending: BATCH })];
  const cache = new TieredCache<Uint8Array>({
    memory: { maxEntries: BATCH },
    tiers,
    integrity,
    prefetch: false,
    share: true,
    codec: { encode: (value) => value, decode: (bytes) => bytes },
  });
  await perSecond(async (from) => {
    await Promise.all(keysFrom(from).map((key) => cache.set(key, VALUE)));
  });
  await cache.flush();
  const gets = await perSecond(async (from) => {
    if ((await cache.getMany(keysFrom(from))).size !== BATCH) throw new Error('an entry is missing');
  });
  if (cache.stats().integrityFailures > 0) throw new Error('an entry was rejected');
  await cache.close();
  return gets;
}

async function measure(context: CaseContext): Promise<readonly Measurement[]> {
  const median = (values: readonly number[]): number =>
    values.toSorted((a, b) => a - b).at(values.length >> 1) ?? 0;
  const hand: { sets: number; gets: number }[] = [];
  const tier: { sets: number; gets: number }[] = [];
  const macs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    hand.push(await byHand(join(context.scratchDir, `hand-${round}.db`)));
    tier.push(await byTier(join(context.scratchDir, `tier-${round}.db`)));
    macs.push(await verified(join(context.scratchDir, `verified-${round}.db`)));
  }
  const sets = median(tier.map((one) => one.sets));
  const gets = median(tier.map((one) => one.gets));
  const handSets = median(hand.map((one) => one.sets));
  const handGets = median(hand.map((one) => one.gets));
  return [
    { name: 'better-sqlite3 by hand, sets', value: handSets, unit: '/s' },
    { name: 'better-sqlite3 by hand, gets', value: handGets, unit: '/s' },
    { name: 'tier sets', value: sets, unit: '/s', target: { atLeast: 400_000 } },
    { name: 'tier sets / by hand', value: sets / handSets, unit: '' },
    { name: 'tier gets in getMany', value: gets, unit: '/s', target: { atLeast: 350_000 } },
    { name: 'tier gets / by hand', value: gets / handGets, unit: '' },
    {
      name: 'verified gets through TieredCache',
      value: median(macs),
      unit: '/s',
      target: { atLeast: 150_000 },
    },
  ];
}

export const cases: readonly MeasureCase[] = [
  measureCase({
    name: 'disk',
    about: `${ENTRIES} entries of 100 bytes in batches of ${BATCH}, values as the file has them.`,
    forks: 3,
    measure,
  }),
];
