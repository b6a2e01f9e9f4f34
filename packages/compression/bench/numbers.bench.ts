// Doubles and float32 vectors: size and speed against general codecs on the plain bytes.
import { brotliCompressSync, constants, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { BenchCase, CaseContext, Measurement } from '@perf/bench';
import { measureCase, ratioCase } from '@perf/bench';
import { Compressor } from '@perf/compression';

const SERIES = ['city_temperature_f', 'bitcoin_transactions_f'];

function doubles(context: CaseContext, name: string): Float64Array {
  return new Float64Array(Uint8Array.from(context.data(`compression/${name}-65536.f64.gz`)).buffer);
}

function vectors(context: CaseContext): Float32Array {
  return new Float32Array(Uint8Array.from(context.data('compression/word2vec-1000x300.f32.gz')).buffer);
}

function bytesOf(values: Float64Array | Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function assertSame(back: Float64Array | Float32Array, values: Float64Array | Float32Array): void {
  if (Buffer.compare(bytesOf(back), bytesOf(values)) !== 0) throw new Error('the numbers differ');
}

function sizes(name: string, values: Float64Array | Float32Array): Measurement[] {
  const compressor = new Compressor();
  const frame = compressor.compress(values);
  assertSame(compressor.decompress(frame), values);
  const bytes = bytesOf(values);
  const brotli = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } };
  const stored = {
    '@perf/compression': frame.length,
    'zstd-3': zstdCompressSync(bytes).length,
    'zstd-19': zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 19 } }).length,
    gzip: gzipSync(bytes).length,
    'brotli-9': brotliCompressSync(bytes, brotli).length,
  };
  return Object.entries(stored).map(([peer, size]) => ({
    name: `${name}, ${peer}`,
    value: values.byteLength / size,
    unit: 'x',
  }));
}

export const cases: BenchCase[] = [
  measureCase({
    name: 'numbers-size',
    about: 'Raw size over stored size of 65,536 doubles (two series) and 1000 word vectors of 300 float32.',
    forks: 1,
    measure: (context) => [
      ...SERIES.flatMap((name) => sizes(name, doubles(context, name))),
      ...sizes('word2vec', vectors(context)),
    ],
  }),
  ratioCase({
    name: 'series-round-trip',
    about: 'Compressing and decompressing 65,536 temperatures.',
    setup: (context) => doubles(context, 'city_temperature_f'),
    operations: (values) => values.length,
    contenders: [
      {
        name: '@perf/compression',
        ours: true,
        prepare: () => new Compressor(),
        run: (compressor: Compressor, values) =>
          compressor.decompress<Float64Array>(compressor.compress(values)),
      },
      {
        name: 'zstd-3',
        prepare: () => undefined,
        run: (_state: undefined, values) => {
          const back = zstdDecompressSync(zstdCompressSync(bytesOf(values)));
          return new Float64Array(back.buffer.slice(back.byteOffset, back.byteOffset + back.byteLength));
        },
      },
      {
        name: 'zstd-19',
        prepare: () => undefined,
        run: (_state: undefined, values) => {
          const params = { [constants.ZSTD_c_compressionLevel]: 19 };
          const back = zstdDecompressSync(zstdCompressSync(bytesOf(values), { params }));
          return new Float64Array(back.buffer.slice(back.byteOffset, back.byteOffset + back.byteLength));
        },
      },
    ],
    validate: assertSame,
  }),
];
