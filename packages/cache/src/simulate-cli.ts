#!/usr/bin/env node
/** `perf-cache-simulate <trace> [--entries 100,1000] [--share 1,5,10,20]`: hit rates of every policy beside the optimum. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { simulate } from './hit-rate-simulator.ts';
import type { SimulatedCell } from './hit-rate-simulator.ts';
import { parseKeyTrace } from './key-trace.ts';

const USAGE = `perf-cache-simulate <trace> [--entries 100,1000] [--share 1,5,10,20] [--seed 1]

Replays a trace of keys (get, then set on a miss, starting cold) against every policy and prints hit rates beside those of
Belady's optimum. <trace> is a file of one key per line or in CTR1 format, also gzipped; - reads standard input.

  --entries  capacities in entries
  --share    capacities in percent of the different keys (default 1,5,10,20)
  --seed     seed of the cache's random numbers (default 1)
`;

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      entries: { type: 'string' },
      share: { type: 'string', default: '1,5,10,20' },
      seed: { type: 'string', default: '1' },
      help: { type: 'boolean', default: false },
    },
  });
  const [path] = positionals;
  if (values.help || path === undefined) {
    process.stdout.write(USAGE);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const keys = parseKeyTrace(readTrace(path));
  const different = new Set(keys).size;
  const capacities =
    values.entries === undefined
      ? numbers('--share', values.share).map((share) => Math.max(1, Math.floor((different * share) / 100)))
      : numbers('--entries', values.entries);
  const cells = simulate(keys, capacities, seededRandom(Number(values.seed)));
  process.stdout.write(`${path}: ${keys.length} accesses, ${different} keys\n\n${table(cells, keys.length)}`);
}

function readTrace(path: string): Uint8Array {
  const bytes = readFileSync(path === '-' ? 0 : path);
  return bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes;
}

function numbers(option: string, list: string): number[] {
  return list.split(',').map((text) => {
    const value = Number(text);
    if (!(value > 0)) throw new RangeError(`${option} takes numbers above 0, got ${text}`);
    return value;
  });
}

function table(cells: readonly SimulatedCell[], accesses: number): string {
  const head = ['entries', 'adaptive', 'lru', 'lfu', 's3fifo', 'optimum', 'adaptive/optimum'];
  const rows = cells.map(({ capacity, hits, optimum }) => [
    String(capacity),
    ...[hits.adaptive, hits.lru, hits.lfu, hits.s3fifo, optimum].map(
      (n) => `${((100 * n) / accesses).toFixed(2)} %`,
    ),
    optimum === 0 ? '-' : (hits.adaptive / optimum).toFixed(3),
  ]);
  const widths = head.map((text, i) => Math.max(text.length, ...rows.map((row) => row[i]!.length)));
  return [head, ...rows]
    .map((row) => `${row.map((text, i) => text.padStart(widths[i]!)).join('  ')}\n`)
    .join('');
}

/** Mulberry32. */
function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

try {
  main();
} catch (error) {
  process.stderr.write(`perf-cache-simulate: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
