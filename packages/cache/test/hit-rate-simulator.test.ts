import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { optimalHits, parseKeyTrace, simulate } from '@perf/cache/simulator';
import type { SimulatedCell } from '@perf/cache/simulator';

const DATA = fileURLToPath(new URL('../../../bench/data/cache/', import.meta.url));
const readTrace = (name: string): Uint32Array =>
  parseKeyTrace(gunzipSync(readFileSync(`${DATA}${name}.ctr.gz`)));

interface Baseline {
  readonly trace: string;
  readonly accesses: number;
  readonly unique: number;
  readonly capacity: number;
  readonly hits: { readonly lru: number; readonly opt: number };
}

/** Tries every choice of what to keep. */
function bestByTrying(keys: readonly number[], capacity: number): number {
  const known = new Map<string, number>();
  const best = (at: number, held: readonly number[]): number => {
    if (at === keys.length) return 0;
    const state = `${at}:${held.join(',')}`;
    const found = known.get(state);
    if (found !== undefined) return found;
    const key = keys.at(at) ?? 0;
    let result = 0;
    if (held.includes(key)) result = 1 + best(at + 1, held);
    else {
      result = best(at + 1, held);
      const more = [...held, key].toSorted((a, b) => a - b);
      if (more.length <= capacity) result = Math.max(result, best(at + 1, more));
      else
        for (const gone of held)
          result = Math.max(
            result,
            best(
              at + 1,
              more.filter((k) => k !== gone),
            ),
          );
    }
    known.set(state, result);
    return result;
  };
  return best(0, []);
}

function simulateOne(keys: Uint32Array, capacity: number): SimulatedCell {
  const [cell] = simulate(keys, [capacity], () => 0.5);
  if (cell === undefined) throw new Error('no cell');
  return cell;
}

describe('the optimum', () => {
  test('is what trying every choice finds', () => {
    const keys = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 16 });
    const property = fc.property(keys, fc.integer({ min: 1, max: 3 }), (list, capacity) => {
      expect(optimalHits(Uint32Array.from(list), capacity)).toBe(bestByTrying(list, capacity));
    });
    expect(() => fc.assert(property)).not.toThrow();
  });

  test('and the LRU hits are those recorded with the traces', () => {
    const baselines = JSON.parse(readFileSync(`${DATA}baselines.json`, 'utf8')) as Baseline[];
    const cells = baselines.filter(({ trace }) => trace === 'lirs_multi1' || trace === 'lirs_cpp');
    expect(cells).toHaveLength(8);
    for (const { trace, capacity, accesses, unique, hits } of cells) {
      const keys = readTrace(trace);
      const cell = simulateOne(keys, capacity);
      expect([keys.length, new Set(keys).size]).toEqual([accesses, unique]);
      expect([cell.optimum, cell.hits.lru]).toEqual([hits.opt, hits.lru]);
    }
  });
});

describe('the adaptive policy', () => {
  // Small traces only, to be quick; the bench measures all of them.
  test.each([
    ['lirs_multi1', 130, 0.85],
    ['lirs_cpp', 61, 0.85],
    ['lirs_gli', 506, 0.85],
    ['lirs_loop', 202, 0.8],
    ['mooncake_syn', 4392, 0.48],
  ])('reaches on %s with %i entries the share %f of the optimum', (name, entries, share) => {
    const cell = simulateOne(readTrace(name), entries);
    expect(cell.hits.adaptive / cell.optimum).toBeGreaterThan(share);
  });

  test('follows a workload from recency to a loop and back', () => {
    const [vault, loop] = [readTrace('corda_vault'), readTrace('lirs_loop')];
    const keys = Uint32Array.from([...vault, ...loop.map((key) => key + 1_000_000), ...vault]);
    const cell = simulateOne(keys, 512);
    expect(cell.hits.adaptive / cell.optimum).toBeGreaterThan(0.95);
  });
});

describe('traces', () => {
  test('may be text, one key per line', () => {
    expect([...parseKeyTrace(Buffer.from('b x\n\na\r\nb\n  c\n'))]).toEqual([0, 1, 0, 2]);
  });

  test('that end early are refused', () => {
    const whole = gunzipSync(readFileSync(`${DATA}lirs_cpp.ctr.gz`));
    expect(() => parseKeyTrace(whole.subarray(0, 8))).toThrow(/header/);
    expect(() => parseKeyTrace(whole.subarray(0, 500))).toThrow(/accesses/);
    const long = Buffer.from([...whole.subarray(0, 4), 3, 0, 0, 0, 3, 0, 0, 0, 128, 128, 128, 128]);
    expect(() => parseKeyTrace(long)).toThrow(RangeError);
  });

  test('the command prints a table with the optimum', () => {
    const dir = mkdtempSync(join(tmpdir(), 'perf-cache-'));
    try {
      const path = join(dir, 'trace.txt');
      writeFileSync(path, 'a\nb\na\nc\na\nb\n');
      const cli = fileURLToPath(new URL('../src/simulate-cli.ts', import.meta.url));
      const run = (...args: string[]): string =>
        execFileSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
      const printed = run(path, '--entries', '1,2');
      expect(printed).toContain('6 accesses, 3 keys');
      expect(printed).toMatch(/ {6}2 .* 50\.00 % +\d\.\d{3}\n$/);
      expect(() => run(path, '--entries', '0')).toThrow(/--entries/);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
