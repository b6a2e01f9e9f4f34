import { QuantizedVectors } from '@perf/compression';
import type { Bits, Metric } from '@perf/compression';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sift, word2vec } from './recorded-data.ts';

/** The slow obvious search: scores every vector exactly and sorts. */
function exactSearch(
  vectors: Float32Array,
  dims: number,
  query: Float32Array,
  k: number,
  metric: Metric,
): number[] {
  const scores = Array.from({ length: vectors.length / dims }, (_, index) => {
    let dot = 0;
    let squares = 0;
    let apart = 0;
    let querySquares = 0;
    for (let d = 0; d < dims; d++) {
      const x = vectors[index * dims + d] ?? 0;
      const q = query[d] ?? 0;
      dot += q * x;
      squares += x * x;
      querySquares += q * q;
      apart += (q - x) ** 2;
    }
    const score = { dot, l2: -apart, cosine: squares === 0 ? 0 : dot / Math.sqrt(squares * querySquares) }[
      metric
    ];
    return { index, score };
  });
  scores.sort((a, b) => b.score - a.score || a.index - b.index);
  return scores.slice(0, k).map((one) => one.index);
}

function recall(vectors: Float32Array, dims: number, bits: Bits, metric: Metric, rescore: number): number {
  const quantized = QuantizedVectors.fit(vectors, dims, { bits, metric });
  const step = Math.floor(quantized.length / 50);
  let found = 0;
  for (let i = 0; i < 50; i++) {
    const query = vectors.slice(i * step * dims, (i * step + 1) * dims);
    const exact = new Set(exactSearch(vectors, dims, query, 10, metric));
    for (const hit of quantized.search(query, 10, { rescore })) if (exact.has(hit.index)) found++;
  }
  return found / 500;
}

describe('recall at 10 against the exact search', () => {
  // Least recall by data, bits, metric and rescore; the measured values lie 0.01 to 0.05 above.
  const words: [Bits, Metric, number, number][] = [
    [8, 'cosine', 0, 0.98],
    [8, 'dot', 0, 0.98],
    [8, 'l2', 0, 0.98],
    [4, 'cosine', 0, 0.93],
    [4, 'cosine', 4, 0.99],
    [1, 'cosine', 0, 0.74],
    [1, 'cosine', 10, 0.98],
  ];
  const descriptors: [Bits, Metric, number, number][] = [
    [8, 'cosine', 0, 0.97],
    [8, 'l2', 0, 0.97],
    [4, 'l2', 0, 0.87],
    [4, 'l2', 4, 0.99],
    [1, 'l2', 20, 0.85],
  ];

  test.each(words)('word2vec, %d bits, %s, rescore %d: at least %d', (bits, metric, rescore, least) => {
    expect(recall(word2vec(), 300, bits, metric, rescore)).toBeGreaterThanOrEqual(least);
  });

  test.each(descriptors)('SIFT, %d bits, %s, rescore %d: at least %d', (bits, metric, rescore, least) => {
    expect(recall(sift(), 128, bits, metric, rescore)).toBeGreaterThanOrEqual(least);
  });
});

describe('QuantizedVectors', () => {
  test('codes take bits * dims / 8 bytes a vector, and a norm', () => {
    const vectors = word2vec();
    for (const bits of [8, 4, 1] as const) {
      const quantized = QuantizedVectors.fit(vectors, 300, { bits });
      expect(quantized.sizeBytes).toBe(1000 * (Math.ceil((300 * bits) / 8) + 4) + 2 * 300 * 4);
      expect(quantized.originalBytes).toBe(vectors.byteLength);
    }
    expect(QuantizedVectors.fit(vectors, 300, { keepOriginals: false }).originalBytes).toBe(0);
  });

  test('a reconstructed value is within half a step of the original', () => {
    const values = fc.float({ noNaN: true, min: -100, max: 100 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.array(values, { maxLength: 90 }), (dims, list) => {
        const vectors = Float32Array.from(list.slice(0, list.length - (list.length % dims)));
        for (const bits of [8, 4] as const) {
          const quantized = QuantizedVectors.fit(vectors, dims, { bits });
          for (let i = 0; i < quantized.length; i++) {
            const restored = quantized.reconstruct(i);
            for (let d = 0; d < dims; d++) {
              const column = vectors.filter((_, at) => at % dims === d);
              const step = (Math.max(...column) - Math.min(...column)) / (2 ** bits - 1);
              const error = Math.abs((restored[d] ?? 0) - (vectors[i * dims + d] ?? 0));
              expect(error).toBeLessThanOrEqual(step / 2 + 1e-3);
            }
          }
        }
      }),
    );
  });

  test('the scores are those of the reconstructed vectors', () => {
    const vectors = Float32Array.from({ length: 37 * 13 }, (_, i) => Math.sin(i * i));
    const query = Float32Array.from({ length: 13 }, (_, i) => Math.cos(i));
    for (const bits of [8, 4, 1] as const) {
      for (const metric of ['cosine', 'dot', 'l2'] as const) {
        const quantized = QuantizedVectors.fit(vectors, 13, { bits, metric });
        const restored = Float32Array.from(
          Array.from({ length: quantized.length }, (_, i) => [...quantized.reconstruct(i)]).flat(),
        );
        const hits = quantized.search(query, 37);
        const expected = exactSearch(restored, 13, query, 37, metric);
        // One bit makes ties; those may be ordered by rounding.
        expect(new Set(hits.map((hit) => hit.index))).toStrictEqual(new Set(expected));
        const first = quantized.reconstruct(hits[0]?.index ?? 0);
        const dot = first.reduce((sum, x, d) => sum + x * (query[d] ?? 0), 0);
        const apart = Math.hypot(...first.map((x, d) => x - (query[d] ?? 0)));
        const score = { dot, l2: apart, cosine: dot / (Math.hypot(...first) * Math.hypot(...query)) }[metric];
        expect(hits[0]?.score).toBeCloseTo(score, 4);
      }
    }
  });

  test('rescoring everything is the exact search', () => {
    const vectors = Float32Array.from({ length: 60 * 8 }, (_, i) => Math.sin(i * 7919));
    const query = Float32Array.from({ length: 8 }, (_, i) => Math.cos(i));
    for (const metric of ['cosine', 'dot', 'l2'] as const) {
      const quantized = QuantizedVectors.fit(vectors, 8, { bits: 1, metric });
      const hits = quantized.search(query, 6, { rescore: 10 });
      expect(hits.map((hit) => hit.index)).toStrictEqual(exactSearch(vectors, 8, query, 6, metric));
    }
  });

  test('hits come best first: similarities fall, distances rise', () => {
    const vectors = sift().subarray(0, 128 * 100);
    const query = vectors.slice(0, 128);
    const near = QuantizedVectors.fit(vectors, 128, { metric: 'l2' }).search(query, 20);
    expect(near[0]).toMatchObject({ index: 0 });
    expect(near.every((hit, i) => i === 0 || hit.score >= (near[i - 1]?.score ?? 0))).toBe(true);
    const alike = QuantizedVectors.fit(vectors, 128).search(query, 20);
    expect(alike[0]?.score).toBeCloseTo(1, 2);
    expect(alike.every((hit, i) => i === 0 || hit.score <= (alike[i - 1]?.score ?? 1))).toBe(true);
  });

  test('constant, zero and no vectors are fine', () => {
    const zero = QuantizedVectors.fit(new Float32Array(12), 4);
    expect(zero.search(new Float32Array(4), 2)).toStrictEqual([
      { index: 0, score: 0 },
      { index: 1, score: 0 },
    ]);
    const same = QuantizedVectors.fit(Float32Array.of(5, 7, 5, 7), 2, { bits: 1 });
    expect(same.reconstruct(1)).toStrictEqual(Float32Array.of(5, 7));
    expect(QuantizedVectors.fit(new Float32Array(0), 4).search(new Float32Array(4), 3)).toStrictEqual([]);
  });

  test('later changes of the input change nothing', () => {
    const vectors = Float32Array.of(1, 0, 0, 1);
    const quantized = QuantizedVectors.fit(vectors, 2);
    vectors.fill(0);
    expect(quantized.search(Float32Array.of(1, 0), 1, { rescore: 2 })).toStrictEqual([
      { index: 0, score: 1 },
    ]);
  });

  test('wrong arguments are refused by name', () => {
    const vectors = new Float32Array(8);
    const quantized = QuantizedVectors.fit(vectors, 4, { keepOriginals: false });
    const query = new Float32Array(4);
    expect(() => QuantizedVectors.fit([1, 2] as unknown as Float32Array, 2)).toThrow(TypeError);
    expect(() => QuantizedVectors.fit(vectors, 0)).toThrow(/dims/);
    expect(() => QuantizedVectors.fit(vectors, 3)).toThrow(/multiple of dims/);
    expect(() => QuantizedVectors.fit(vectors, 4, { bits: 2 as 1 })).toThrow(/bits/);
    expect(() => QuantizedVectors.fit(vectors, 4, { metric: 'l1' as 'l2' })).toThrow(/metric/);
    expect(() => QuantizedVectors.fit(Float32Array.of(Number.NaN), 1)).toThrow(/finite/);
    expect(() => quantized.search(new Float32Array(3), 1)).toThrow(/query/);
    expect(() => quantized.search(query.fill(Infinity), 1)).toThrow(/finite/);
    expect(() => quantized.search(new Float32Array(4), 0)).toThrow(/k must/);
    expect(() => quantized.search(new Float32Array(4), 1, { rescore: 2 })).toThrow(/keepOriginals/);
    expect(() => quantized.search(new Float32Array(4), 1, { rescore: 0.5 })).toThrow(/rescore/);
    expect(() => quantized.reconstruct(2)).toThrow(/index/);
  });
});
