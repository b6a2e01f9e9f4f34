// Nearest neighbours among quantised vectors, against the exact scan of the float32 vectors.
import type { BenchCase, CaseContext, Measurement } from '@perf/bench';
import { measureCase, ratioCase } from '@perf/bench';
import type { Bits, Metric } from '@perf/compression';
import { QuantizedVectors } from '@perf/compression';

const K = 10;
const QUERIES = 50;

interface Vectors {
  readonly values: Float32Array;
  readonly dims: number;
}

function word2vec(context: CaseContext): Vectors {
  const bytes = Uint8Array.from(context.data('compression/word2vec-1000x300.f32.gz'));
  return { values: new Float32Array(bytes.buffer), dims: 300 };
}

function sift(context: CaseContext): Vectors {
  return { values: Float32Array.from(context.data('compression/sift-5000x128.u8.gz')), dims: 128 };
}

function queriesOf({ values, dims }: Vectors): Float32Array[] {
  const step = Math.floor(values.length / dims / QUERIES);
  return Array.from({ length: QUERIES }, (_, i) => values.slice(i * step * dims, (i * step + 1) * dims));
}

// The compiler does check indexes here, and a default would slow down the peer.
/* oxlint-disable typescript/no-unnecessary-type-assertion */
/** The exact scan: every vector scored in float32, the k best kept by a sort. */
function exactScan({ values, dims }: Vectors, query: Float32Array, metric: Metric): number[] {
  const count = values.length / dims;
  const scores = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let dot = 0;
    let squares = 0;
    let apart = 0;
    for (let d = 0; d < dims; d++) {
      const x = values[i * dims + d] as number;
      const q = query[d] as number;
      dot += x * q;
      squares += x * x;
      apart += (x - q) * (x - q);
    }
    scores[i] = metric === 'l2' ? -apart : metric === 'dot' ? dot : dot / Math.sqrt(squares);
  }
  const order = Array.from({ length: count }, (_, i) => i);
  order.sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
  return order.slice(0, K);
}

function recallOf(vectors: Vectors, found: readonly (readonly number[])[], metric: Metric): number {
  let hits = 0;
  for (const [i, query] of queriesOf(vectors).entries()) {
    const exact = new Set(exactScan(vectors, query, metric));
    for (const index of found[i] ?? []) if (exact.has(index)) hits++;
  }
  return hits / (QUERIES * K);
}

function searchAll(quantized: QuantizedVectors, vectors: Vectors, rescore: number): number[][] {
  return queriesOf(vectors).map((query) => quantized.search(query, K, { rescore }).map((hit) => hit.index));
}

const SETTINGS: readonly { bits: Bits; rescore: number }[] = [
  { bits: 8, rescore: 0 },
  { bits: 4, rescore: 0 },
  { bits: 4, rescore: 4 },
  { bits: 1, rescore: 0 },
  { bits: 1, rescore: 10 },
];

function recalls(name: string, vectors: Vectors, metric: Metric): Measurement[] {
  return SETTINGS.flatMap(({ bits, rescore }) => {
    const quantized = QuantizedVectors.fit(vectors.values, vectors.dims, { bits, metric });
    const recall = recallOf(vectors, searchAll(quantized, vectors, rescore), metric);
    const label = `${name} ${metric}, ${bits} bits, rescore ${rescore}`;
    return [
      { name: `${label}: recall at 10`, value: recall, unit: '' },
      { name: `${label}: size`, value: vectors.values.byteLength / quantized.sizeBytes, unit: 'x' },
    ];
  });
}

export const cases: BenchCase[] = [
  measureCase({
    name: 'vector-recall',
    about: 'Recall at 10 against the exact scan, and float32 size over the size of codes and parameters.',
    forks: 1,
    measure: (context) => [
      ...recalls('word2vec', word2vec(context), 'cosine'),
      ...recalls('SIFT', sift(context), 'l2'),
    ],
  }),
  ratioCase({
    name: 'vector-search',
    about: 'The 10 nearest of 5000 SIFT descriptors by l2, for 50 queries.',
    setup: sift,
    operations: () => QUERIES,
    contenders: [
      {
        name: 'QuantizedVectors, 8 bits',
        ours: true,
        prepare: ({ values, dims }) =>
          QuantizedVectors.fit(values, dims, { metric: 'l2', keepOriginals: false }),
        run: (quantized: QuantizedVectors, vectors) => searchAll(quantized, vectors, 0),
      },
      {
        name: 'exact float32 scan',
        prepare: () => undefined,
        run: (_state: undefined, vectors) =>
          queriesOf(vectors).map((query) => exactScan(vectors, query, 'l2')),
      },
    ],
    validate(found, vectors) {
      if (recallOf(vectors, found, 'l2') < 0.97) throw new Error('recall at 10 is below 0.97');
    },
  }),
];
