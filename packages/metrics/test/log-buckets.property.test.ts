import { readFileSync } from 'node:fs';
import { inflateSync, gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LogBuckets, QUANTILE_RELATIVE_ERROR } from '../src/log-buckets.ts';

/** The slow obvious twin: sort, and take the value at the nearest rank. */
function exactQuantile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN;
}

function filled(values: readonly number[]): LogBuckets {
  const buckets = new LogBuckets();
  for (const value of values) buckets.add(value);
  return buckets;
}

function expectClose(actual: number, exact: number): void {
  expect(Math.abs(actual - exact)).toBeLessThanOrEqual(
    Math.abs(exact) * QUANTILE_RELATIVE_ERROR * (1 + 1e-12),
  );
}

/** Within 2^64 of each other, where the error bound holds. */
const magnitude = fc.tuple(fc.double({ min: 1, max: 2, noNaN: true }), fc.integer({ min: -30, max: 32 }));
const finite = fc.oneof(
  magnitude.map(([mantissa, exponent]) => mantissa * 2 ** exponent),
  magnitude.map(([mantissa, exponent]) => -mantissa * 2 ** exponent),
  fc.constantFrom(0, 1, 2, 1024, 0.5, -1, 1 - 2 ** -53),
);

it('answers any quantile within its relative error', () => {
  fc.assert(
    fc.property(
      fc.array(finite, { minLength: 1, maxLength: 200 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, p) => {
        const buckets = filled(values);
        expectClose(buckets.quantile(p), exactQuantile(values, p));
        expect(buckets.quantile(0)).toBe(exactQuantile(values, 0));
        expect(buckets.quantile(1)).toBe(exactQuantile(values, 1));
      },
    ),
    { numRuns: 500 },
  );
});

it('adds up: merging equals counting everything in one', () => {
  fc.assert(
    fc.property(fc.array(finite), fc.array(finite), (left, right) => {
      const merged = filled(left);
      merged.merge(filled(right));
      const { sum, ...whole } = filled([...left, ...right]).snapshot();
      const { sum: mergedSum, ...parts } = merged.snapshot();
      expect(parts).toEqual(whole);
      expect(mergedSum).toBeCloseTo(sum, -Math.log10(Math.abs(sum) + 1) + 3);
    }),
  );
});

it('keeps its count, its extremes and the error at the top when values span more than its window', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 100 }),
      (values) => {
        const buckets = filled(values);
        expect(buckets.count).toBe(values.length);
        expect(buckets.quantile(1)).toBe(Math.max(...values));
        expect(buckets.quantile(0)).toBe(Math.min(...values));
        const counted = buckets.snapshot();
        const total = [...counted.positive, ...counted.negative].reduce((sum, [, count]) => sum + count, 0);
        expect(total + counted.zeros).toBe(values.length);
      },
    ),
    { numRuns: 300 },
  );
});

it('stays bounded when values span every power of two', () => {
  const buckets = new LogBuckets();
  for (let exponent = -1022; exponent <= 1023; exponent++) buckets.add(2 ** exponent);
  for (let exponent = -1022; exponent <= 1023; exponent++) buckets.add(2 ** exponent);
  expect(buckets.snapshot().positive.length).toBeLessThanOrEqual(65);
  expectClose(buckets.quantile(0.99), 2 ** 1003);
});

it('is NaN when empty', () => {
  expect(new LogBuckets().quantile(0.5)).toBeNaN();
});

/** Values and counts of a HdrHistogram V2 payload (compressed, ZigZag LEB128), as its log format describes them. */
function decodeHdr(base64: string): [value: number, count: number][] {
  const outer = Buffer.from(base64, 'base64');
  const payload = inflateSync(outer.subarray(8));
  const digits = payload.readInt32BE(12);
  const lowest = Number(payload.readBigInt64BE(16));
  const unitMagnitude = Math.floor(Math.log2(lowest));
  const subBucketMagnitude = Math.ceil(Math.log2(2 * 10 ** digits));
  const half = 2 ** (subBucketMagnitude - 1);
  const out: [number, number][] = [];
  let index = 0;
  for (let at = 40; at < payload.length;) {
    let raw = 0n;
    for (let shift = 0n, byte = 0x80; (byte & 0x80) !== 0; shift += 7n) {
      byte = payload[at++] ?? 0;
      raw |= BigInt(byte & 0x7f) << shift;
    }
    const number = Number((raw >> 1n) ^ -(raw & 1n));
    if (number < 0) {
      index -= number;
      continue;
    }
    const bucket = Math.floor(index / half) - 1;
    const value =
      bucket < 0 ? index * 2 ** unitMagnitude : ((index % half) + half) * 2 ** (bucket + unitMagnitude);
    if (number > 0) out.push([value, number]);
    index++;
  }
  return out;
}

it('reads the percentiles of a recorded latency log', () => {
  const log = new URL('../../../bench/data/metrics/latency-jhiccup-2.0.7S.v2.hlog.gz', import.meta.url);
  const values: number[] = [];
  for (const line of gunzipSync(readFileSync(log)).toString().split('\n')) {
    const payload = line.split(',')[3];
    if (!payload?.startsWith('HIST')) continue;
    for (const [value, count] of decodeHdr(payload)) {
      for (let i = 0; i < count; i++) values.push(value / 1e9);
    }
  }
  expect(values).toHaveLength(48_761);
  const buckets = filled(values);
  for (const p of [0.5, 0.9, 0.95, 0.99, 0.999, 0.9999])
    expectClose(buckets.quantile(p), exactQuantile(values, p));
});
