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
