// The general codecs behind a frame, each with an optional reference (a dictionary or a base): the bytes that matches
// may reach back into. One entry point per direction and mode; output is bounded by the size the frame declares.
//
// zstd takes a reference only where node:zlib has its `dictionary` option (24.6, 22.19); older releases ignore the
// option, so its effect is probed. deflate takes one everywhere, but its window is 32 KiB.
import {
  brotliCompress,
  brotliCompressSync,
  brotliDecompress,
  brotliDecompressSync,
  constants,
  deflateRaw,
  deflateRawSync,
  inflateRaw,
  inflateRawSync,
  zstdCompress,
  zstdCompressSync,
  zstdDecompress,
  zstdDecompressSync,
} from 'node:zlib';
import { promisify } from 'node:util';
import type { BrotliOptions, ZlibOptions, ZstdOptions } from 'node:zlib';
import { corrupt, unsupported } from './errors.ts';
import { CODEC } from './frame.ts';

/** One way to make a payload. `level` is the codec's own scale; `label` is how explain() names it. */
export interface Recipe {
  readonly label: string;
  readonly codec: number;
  readonly level: number;
}

export const DEFLATE_WINDOW_BYTES: number = 32 * 1024;
/** Decoders of node:zlib refuse larger windows unless told otherwise. */
const MAX_WINDOW_LOG = 27;
const MIN_WINDOW_LOG = 10;
/** Output is gathered in pieces of at most this size, so that a forged size cannot make one huge allocation. */
const MAX_PIECE_BYTES = 1024 * 1024;
/** A dictionary that begins like this is read by zstd as one with entropy tables. */
const ZSTD_DICTIONARY_MAGIC = [0x37, 0xa4, 0x30, 0xec];

const async_ = {
  brotliCompress: promisify<Uint8Array, BrotliOptions, Buffer>(brotliCompress),
  brotliDecompress: promisify<Uint8Array, BrotliOptions, Buffer>(brotliDecompress),
  deflateRaw: promisify<Uint8Array, ZlibOptions, Buffer>(deflateRaw),
  inflateRaw: promisify<Uint8Array, ZlibOptions, Buffer>(inflateRaw),
  zstdCompress: promisify<Uint8Array, ZstdOptions, Buffer>(zstdCompress),
  zstdDecompress: promisify<Uint8Array, ZstdOptions, Buffer>(zstdDecompress),
};

/**
 * Whether this Node's zstd takes a dictionary: without one, the probe's 64 bytes would not shrink. Costs one compression;
 * callers keep the answer, and neither encode nor decode with zstd and a reference where it is false.
 */
export function zstdTakesDictionary(): boolean {
  const probe = Uint8Array.from({ length: 64 }, (_, i) => (i * 151) & 255);
  return zstdCompressSync(probe, { dictionary: probe }).length < probe.length / 2;
}

export function encodeSync(body: Uint8Array, recipe: Recipe, reference: Uint8Array | undefined): Uint8Array {
  if (recipe.codec === CODEC.zstd) return zstdCompressSync(body, zstdEncoding(body, recipe, reference));
  if (recipe.codec === CODEC.deflate) return deflateRawSync(body, deflateEncoding(body, recipe, reference));
  if (recipe.codec === CODEC.brotli) return brotliCompressSync(body, brotliEncoding(body, recipe));
  return body;
}

export async function encodeAsync(
  body: Uint8Array,
  recipe: Recipe,
  reference: Uint8Array | undefined,
): Promise<Uint8Array> {
  if (recipe.codec === CODEC.zstd) return async_.zstdCompress(body, zstdEncoding(body, recipe, reference));
  if (recipe.codec === CODEC.deflate)
    return async_.deflateRaw(body, deflateEncoding(body, recipe, reference));
  if (recipe.codec === CODEC.brotli) return async_.brotliCompress(body, brotliEncoding(body, recipe));
  return body;
}

/** @throws {CompressionError} _CORRUPT when the payload does not hold exactly `bodySize` bytes, _UNSUPPORTED. */
export function decodeSync(
  payload: Uint8Array,
  codec: number,
  bodySize: number,
  reference: Uint8Array | undefined,
): Uint8Array {
  try {
    if (codec === CODEC.raw) return exactSize(payload, bodySize);
    const options = decoding(codec, bodySize, reference);
    if (codec === CODEC.zstd) return exactSize(zstdDecompressSync(payload, options), bodySize);
    if (codec === CODEC.deflate) return exactSize(inflateRawSync(payload, options), bodySize);
    return exactSize(brotliDecompressSync(payload, options), bodySize);
  } catch (error) {
    throw translated(error);
  }
}

export async function decodeAsync(
  payload: Uint8Array,
  codec: number,
  bodySize: number,
  reference: Uint8Array | undefined,
): Promise<Uint8Array> {
  try {
    if (codec === CODEC.raw) return exactSize(payload, bodySize);
    const options = decoding(codec, bodySize, reference);
    if (codec === CODEC.zstd) return exactSize(await async_.zstdDecompress(payload, options), bodySize);
    if (codec === CODEC.deflate) return exactSize(await async_.inflateRaw(payload, options), bodySize);
    return exactSize(await async_.brotliDecompress(payload, options), bodySize);
  } catch (error) {
    throw translated(error);
  }
}

function zstdEncoding(body: Uint8Array, recipe: Recipe, reference: Uint8Array | undefined): ZstdOptions {
  const params: Record<number, number> = { [constants.ZSTD_c_compressionLevel]: recipe.level };
  if (reference === undefined) return { params, chunkSize: pieceSize(body.length) };
  // The window must span the reference and the body, or matches into the reference run out half way.
  params[constants.ZSTD_c_windowLog] = windowLog(reference.length + body.length);
  return { params, chunkSize: pieceSize(body.length), dictionary: zstdReference(reference) };
}

/** Content that happens to look like a formatted dictionary gets a byte in front, on both sides. */
function zstdReference(reference: Uint8Array): Uint8Array {
  if (!ZSTD_DICTIONARY_MAGIC.every((byte, i) => reference[i] === byte)) return reference;
  const prefixed = new Uint8Array(reference.length + 1);
  prefixed.set(reference, 1);
  return prefixed;
}

function windowLog(sizeBytes: number): number {
  return Math.min(MAX_WINDOW_LOG, Math.max(MIN_WINDOW_LOG, Math.ceil(Math.log2(sizeBytes))));
}

function deflateEncoding(body: Uint8Array, recipe: Recipe, reference: Uint8Array | undefined): ZlibOptions {
  const options = { level: recipe.level, chunkSize: pieceSize(body.length) };
  return reference === undefined ? options : { ...options, dictionary: deflateReference(reference) };
}

function deflateReference(reference: Uint8Array): Uint8Array {
  return reference.subarray(-DEFLATE_WINDOW_BYTES);
}

function brotliEncoding(body: Uint8Array, recipe: Recipe): BrotliOptions {
  return {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: recipe.level,
      [constants.BROTLI_PARAM_LGWIN]: Math.min(24, windowLog(body.length)),
      [constants.BROTLI_PARAM_SIZE_HINT]: body.length,
    },
    chunkSize: pieceSize(body.length),
  };
}

function decoding(
  codec: number,
  bodySize: number,
  reference: Uint8Array | undefined,
): { maxOutputLength: number; chunkSize: number; dictionary?: Uint8Array } {
  const bounds = { maxOutputLength: Math.max(1, bodySize), chunkSize: pieceSize(bodySize) };
  if (codec === CODEC.brotli && reference === undefined) return bounds;
  if (codec !== CODEC.zstd && codec !== CODEC.deflate) throw unsupported(`codec ${codec} is not known`);
  if (reference === undefined) return bounds;
  const dictionary = codec === CODEC.deflate ? deflateReference(reference) : zstdReference(reference);
  return { ...bounds, dictionary };
}

function pieceSize(sizeBytes: number): number {
  return Math.min(MAX_PIECE_BYTES, Math.max(64, sizeBytes));
}

function exactSize(body: Uint8Array, bodySize: number): Uint8Array {
  if (body.length !== bodySize) throw corrupt('the payload is not of the size that the frame declares');
  return body;
}

/** node:zlib reports bad data with its own codes; a programmer's mistake must not be hidden among them. */
function translated(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = 'code' in error ? error.code : undefined;
  const ofData =
    typeof code === 'string' &&
    (code === 'ERR_BUFFER_TOO_LARGE' ||
      code.startsWith('Z_') ||
      code.startsWith('ZSTD_') ||
      code.includes('BROTLI'));
  return ofData ? corrupt('the payload cannot be decoded', error) : error;
}
