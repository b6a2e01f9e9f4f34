// Successive versions of a document: a chain of deltas, shared chunks, and each version on its own.
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { BenchCase, CaseContext, Measurement } from '@perf/bench';
import { measureCase, ratioCase } from '@perf/bench';
import { ChunkStore, VersionChain } from '@perf/compression';

const DOCUMENTS = ['lru-cache-src', 'pino-api'];
const LONG = { params: { [constants.ZSTD_d_windowLogMax]: 27 } };

function versions(context: CaseContext, name: string): Uint8Array[] {
  const lines = zstdDecompressSync(context.data(`compression/versions-${name}.jsonl.zst`), LONG)
    .toString()
    .trim();
  return lines
    .split('\n')
    .map((line) => Uint8Array.from(Buffer.from((JSON.parse(line) as { text: string }).text)));
}

function chainOf(documents: readonly Uint8Array[]): VersionChain {
  const chain = new VersionChain();
  for (const document of documents) chain.append(document);
  return chain;
}

function sizes(context: CaseContext, name: string): Measurement[] {
  const documents = versions(context, name);
  const raw = documents.reduce((sum, document) => sum + document.length, 0);
  const chain = chainOf(documents);
  const store = new ChunkStore({ averageChunkBytes: 1024 });
  for (const [i, document] of documents.entries()) {
    store.put(String(i), document);
    if (Buffer.compare(chain.get(i), document) !== 0) throw new Error('the chain gives another version');
    if (Buffer.compare(store.get(String(i)) ?? Buffer.of(), document) !== 0)
      throw new Error('the store differs');
  }
  const each = (pack: (bytes: Uint8Array) => Uint8Array): number =>
    documents.reduce((sum, document) => sum + pack(document).length, 0);
  const stored = {
    VersionChain: chain.sizeBytes,
    ChunkStore: store.stats().storedBytes,
    'zstd-3 each': each((bytes) => zstdCompressSync(bytes)),
    'gzip each': each((bytes) => gzipSync(bytes)),
    'zstd-19 all at once, window 128 MiB': zstdCompressSync(Buffer.concat(documents), {
      params: { [constants.ZSTD_c_compressionLevel]: 19, [constants.ZSTD_c_windowLog]: 27 },
    }).length,
  };
  return Object.entries(stored).map(([peer, size]) => ({
    name: `${name}, ${peer}`,
    value: raw / size,
    unit: 'x',
  }));
}

interface Kept {
  readonly get: (index: number) => Uint8Array;
}

export const cases: BenchCase[] = [
  measureCase({
    name: 'versions-size',
    about: 'Raw size over stored size of 48 and 60 successive versions of a document.',
    forks: 1,
    measure: (context) => DOCUMENTS.flatMap((name) => sizes(context, name)),
  }),
  ratioCase({
    name: 'versions-append',
    about: 'Storing 48 versions of a source file of about 80 KB, one after the other.',
    setup: (context) => versions(context, 'lru-cache-src'),
    operations: (documents) => documents.length,
    contenders: [
      {
        name: 'VersionChain',
        ours: true,
        prepare: () => undefined,
        run: (_state: undefined, documents): Kept => {
          const chain = chainOf(documents);
          return { get: (index) => chain.get(index) };
        },
      },
      {
        name: 'zstd-3 each',
        prepare: () => undefined,
        run: (_state: undefined, documents): Kept => {
          const packed = documents.map((document) => zstdCompressSync(document));
          return { get: (index) => zstdDecompressSync(packed[index] ?? Buffer.of()) };
        },
      },
      {
        name: 'gzip each',
        prepare: () => undefined,
        run: (_state: undefined, documents): Kept => {
          const packed = documents.map((document) => gzipSync(document));
          return { get: (index) => gunzipSync(packed[index] ?? Buffer.of()) };
        },
      },
    ],
    validate(kept, documents) {
      for (const [i, document] of documents.entries()) {
        if (Buffer.compare(kept.get(i), document) !== 0) throw new Error(`version ${i} differs`);
      }
    },
  }),
];
