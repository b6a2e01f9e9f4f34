export { CompressionError } from './errors.ts';
export type { CompressionErrorCode } from './errors.ts';
export { Compressor } from './compressor.ts';
export type {
  Cancellable,
  Candidate,
  CompressOptions,
  CompressorOptions,
  CompressorStats,
  DecompressOptions,
  StreamOptions,
} from './compressor.ts';
export type { Goal } from './codec-choice.ts';
export type { Kind } from './value-body.ts';
export type { NumberArray } from './numbers.ts';
export type { Dictionary } from './dictionary.ts';
export { DictionaryStore } from './dictionary-store.ts';
export { trainDictionary } from './dictionary-training.ts';
export type { TrainOptions } from './dictionary-training.ts';
export { QuantizedVectors } from './quantized-vectors.ts';
export type { Bits, FitOptions, Hit, Metric, SearchOptions } from './quantized-vectors.ts';
export { ChunkStore } from './chunk-store.ts';
export type { ChunkStoreOptions, ChunkStoreStats, PutReport } from './chunk-store.ts';
export { VersionChain } from './version-chain.ts';
export type { VersionChainOptions } from './version-chain.ts';
