import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { LeakDetector } from '@perf/memory';
import type { MemorySample } from '@perf/memory';
import { describe, expect, test } from 'vitest';
import { risingConfidence, theilSenSlope } from '../src/leak-detector.ts';

const folder = join(import.meta.dirname, '../../../bench/data/batch-memory/memory-series');

function series(name: string): MemorySample[] {
  const [, ...rows] = gunzipSync(readFileSync(join(folder, `${name}.csv.gz`)))
    .toString()
    .trim()
    .split('\n');
  return rows.map((row) => {
    const [atMs = 0, rssBytes = 0, , heapUsedBytes = 0, externalBytes = 0] = row.split(',').map(Number);
    return { atMs, rssBytes, heapUsedBytes, externalBytes };
  });
}

function detectorOf(samples: Iterable<MemorySample>): LeakDetector {
  const detector = new LeakDetector();
  for (const sample of samples) detector.add(sample);
  return detector;
}

describe('recorded series', () => {
  test('a heap leak of 8 MB a minute is found, with its rate and source', () => {
    const verdict = detectorOf(series('leak-heap-8')).verdict();
    expect(verdict).toMatchObject({ leak: true, source: 'heap' });
    expect(verdict.bytesPerMinute / 1e6).toBeGreaterThan(7);
    expect(verdict.bytesPerMinute / 1e6).toBeLessThan(9);
    expect(verdict.confidence).toBeGreaterThan(0.99);
  });

  test('a leak of 12 MB of buffers a minute is found outside the heap', () => {
    const verdict = detectorOf(series('leak-buffers-12')).verdict();
    expect(verdict).toMatchObject({ leak: true, source: 'external' });
    expect(verdict.bytesPerMinute / 1e6).toBeGreaterThan(11);
    expect(verdict.bytesPerMinute / 1e6).toBeLessThan(13.5);
  });

  test.each(['noleak-noise', 'warmup-40'])('%s raises no alarm at any time', (name) => {
    const detector = new LeakDetector();
    for (const sample of series(name)) {
      detector.add(sample);
      expect(detector.verdict().leak).toBe(false);
    }
  });

  test.each(['leak-heap-8', 'leak-buffers-12'])('%s is found after two minutes and stays found', (name) => {
    const detector = new LeakDetector();
    for (const sample of series(name)) {
      detector.add(sample);
      expect(detector.verdict().leak).toBe(sample.atMs >= 121_000);
      if (sample.atMs < 121_000 && sample.atMs > 119_000) break;
    }
    for (const sample of series(name).filter((one) => one.atMs > 122_000)) {
      detector.add(sample);
      expect(detector.verdict().leak).toBe(true);
    }
  });
});

describe('verdicts', () => {
  const minutes = (count: number, bytesAt: (minute: number, i: number) => number): MemorySample[] =>
    Array.from({ length: count * 60 }, (_, i) => ({ atMs: i * 1000, heapUsedBytes: bytesAt(i / 60, i) }));

  test('nothing is called a leak before there is enough to judge', () => {
    const empty = { leak: false, bytesPerMinute: 0, confidence: 0, source: 'heap' };
    expect(new LeakDetector().verdict()).toStrictEqual(empty);
    expect(detectorOf(minutes(1, (minute) => minute * 1e9)).verdict()).toMatchObject({ leak: false });
    expect(detectorOf([{ atMs: 5, heapUsedBytes: 1 }]).verdict()).toStrictEqual(empty);
  });

  test('garbage above a flat floor is no leak, whatever the saw', () => {
    const saw = minutes(5, (_, i) => 5e7 + (i % 9) * 2e7);
    expect(detectorOf(saw).verdict().leak).toBe(false);
  });

  test('a leak under a saw of garbage is found by its troughs', () => {
    const saw = minutes(5, (minute, i) => 5e7 + minute * 8e6 + (i % 9) * 2e7);
    const verdict = detectorOf(saw).verdict();
    expect(verdict.leak).toBe(true);
    expect(Math.abs(verdict.bytesPerMinute - 8e6)).toBeLessThan(2e6);
  });

  test('a climb without a collection is a leak only when no young generation could hold it', () => {
    expect(detectorOf(minutes(3, (minute) => 5e7 + minute * 5.2e6)).verdict().leak).toBe(false);
    expect(detectorOf(minutes(3, (minute) => 5e7 + minute * 9e6)).verdict()).toMatchObject({ leak: true });
  });

  test('one jump is no leak', () => {
    expect(detectorOf(minutes(5, (minute) => (minute < 2 ? 5e7 : 2e8))).verdict().leak).toBe(false);
  });

  test('growth in resident memory alone is called after four minutes', () => {
    const rss = minutes(5, () => 5e7).map((one) => ({ ...one, rssBytes: 1e8 + one.atMs * 200 }));
    expect(detectorOf(rss.filter((one) => one.atMs < 230_000)).verdict().leak).toBe(false);
    expect(detectorOf(rss).verdict()).toMatchObject({ leak: true, source: 'rss' });
  });

  test('memory stays bounded over a long run', () => {
    const detector = new LeakDetector({ maxSamples: 100, windowMs: 1e9, minObservedMs: 1 });
    for (let i = 0; i < 10_000; i++) detector.add({ atMs: i, heapUsedBytes: i < 9_900 ? 0 : 1e9 });
    expect(detector.verdict().bytesPerMinute).toBe(0);
  });

  test('wrong samples and options are refused by name', () => {
    const detector = detectorOf([{ atMs: 10, heapUsedBytes: 1 }]);
    expect(() => detector.add({ atMs: 9, heapUsedBytes: 1 })).toThrow(/atMs/);
    expect(() => detector.add({ atMs: 11, heapUsedBytes: Number.NaN })).toThrow(/heapUsedBytes/);
    expect(() => detector.add({ atMs: 11 } as MemorySample)).toThrow(TypeError);
    expect(() => new LeakDetector({ windowMs: 0 })).toThrow(/windowMs/);
    expect(() => new LeakDetector({ windowMs: 10, minObservedMs: 20 })).toThrow(/minObservedMs/);
    expect(() => new LeakDetector({ maxSamples: 3 })).toThrow(/maxSamples/);
  });
});

describe('statistics', () => {
  test('the Theil-Sen slope is that of the line, whatever a quarter of outliers says', () => {
    const times = Array.from({ length: 20 }, (_, i) => i);
    const values = times.map((t) => (t % 5 === 0 ? -1000 * t : 3 * t + 2));
    expect(
      theilSenSlope(
        times,
        times.map((t) => 3 * t + 2),
      ),
    ).toBe(3);
    expect(theilSenSlope(times, values)).toBe(3);
    expect(theilSenSlope([], [])).toBe(0);
  });

  test('the Mann-Kendall confidence agrees with the normal table', () => {
    expect(risingConfidence([1, 1, 1, 1])).toBe(0.5);
    // n = 10, S = 45: z = 44 / sqrt(125) = 3.9355, upper tail 4.15e-5.
    const rising = Array.from({ length: 10 }, (_, i) => i);
    expect(1 - risingConfidence(rising)).toBeCloseTo(4.15e-5, 6);
    expect(risingConfidence(rising.toReversed())).toBeCloseTo(4.15e-5, 6);
  });
});
