import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createContext } from '../src/context.ts';
import { skipReason } from '../src/errors.ts';

let shared = '';
beforeAll(() => {
  const results = path.join(import.meta.dirname, '../.results');
  mkdirSync(results, { recursive: true });
  shared = mkdtempSync(path.join(results, 'shared-'));
  writeFileSync(path.join(shared, 'plain.txt'), 'plain');
  writeFileSync(path.join(shared, 'packed.txt.gz'), gzipSync('packed'));
});
afterAll(() => rmSync(shared, { recursive: true, force: true }));

const context = (sharedDataDir?: string, seed = 1): ReturnType<typeof createContext> =>
  createContext({ seed, scratchDir: '/nowhere', sharedDataDir });

describe('data', () => {
  test('comes from bench/data, gunzipped when its name says so', () => {
    expect(context().data('README.md').toString()).toContain('# Real data');
    const rows = context().data('graph/wn18rr.tsv.gz').toString().split('\n');
    expect(rows[0]?.split('\t')).toHaveLength(3);
  });

  test('outside of the folder is refused', () => {
    expect(() => context().data('../package.json')).toThrow(RangeError);
    expect(() => context().data('/etc/hosts')).toThrow(RangeError);
    expect(() => context(shared).sharedData('../x')).toThrow(RangeError);
  });

  test('a file that is not there is an error that names it', () => {
    expect(() => context().data('graph/nothing.tsv')).toThrow(/nothing\.tsv/);
  });
});

describe('sharedData', () => {
  test('reads the optional folder, and is undefined when the folder or the file is not there', () => {
    expect(context(shared).sharedData('plain.txt')?.toString()).toBe('plain');
    expect(context(shared).sharedData('packed.txt.gz')?.toString()).toBe('packed');
    expect(context(shared).sharedData('absent.txt')).toBeUndefined();
    expect(context().sharedData('plain.txt')).toBeUndefined();
    expect(context('').sharedData('plain.txt')).toBeUndefined();
  });
});

describe('peer and skip', () => {
  test('a peer that is not installed is a reason to skip, by name', async () => {
    const error: unknown = await context()
      .peer('perf-peer-that-does-not-exist')
      .catch((caught: unknown) => caught);
    expect(skipReason(error)).toBe("peer 'perf-peer-that-does-not-exist' is not installed in bench/peers");
  });

  test('skip throws its reason; any other error is not a reason to skip', () => {
    let caught: unknown;
    try {
      context().skip('not here');
    } catch (error) {
      caught = error;
    }
    expect(skipReason(caught)).toBe('not here');
    expect(skipReason(new Error('broken'))).toBeUndefined();
    expect(skipReason('broken')).toBeUndefined();
  });
});

test('random is uniform, repeats with the seed and differs between seeds', () => {
  const draw = (seed: number, count: number): number[] => {
    const { random } = context(undefined, seed);
    return Array.from({ length: count }, () => random());
  };
  expect(draw(1, 5)).toEqual(draw(1, 5));
  expect(draw(1, 5)).not.toEqual(draw(2, 5));
  const many = draw(3, 20_000);
  expect(Math.min(...many)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...many)).toBeLessThan(1);
  const buckets = Array.from({ length: 10 }, () => 0);
  for (const value of many) buckets[Math.floor(value * 10)] = (buckets[Math.floor(value * 10)] ?? 0) + 1;
  for (const count of buckets) expect(Math.abs(count - 2000)).toBeLessThan(200);
});
