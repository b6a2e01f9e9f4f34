/**
 * Runs a function over the chunks of a file: several at a time, skipping what a cache has seen, and from 5 MiB on without
 * holding the file in memory.
 *
 *   read -> decode -> cut -> (cache?) -> fn, at most `concurrency` at a time -> results in file order
 *
 * A smaller file is read whole and cut at its syntax. A larger one is read in blocks and cut as plain text; at most one
 * block, one chunk and the chunks in flight are in memory. Bytes are kept: each chunk carries the bytes it was decoded
 * from, and these, joined, are the file, whatever it contains.
 */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { ChunkBuilder, SourceChunk, checkLimits, chunkText, textKind } from './chunk-text.ts';
import type { Chunk, ChunkLimitOptions } from './chunk-text.ts';
import { nextCut } from './chunker.ts';
import type { ChunkLimits } from './chunker.ts';
import { FilesError } from './errors.ts';
import { canonicalLanguage, hasGrammar, languageOfPath, loadLanguage } from './language.ts';
import { byteLengthOf } from './utf8-offsets.ts';

/** A chunk of a file. Text is decoded as UTF-8; what is not UTF-8 reads U+FFFD, and is in `bytes` as it was. */
export interface FileChunk extends Chunk {
  /** Byte offsets in the file; `byteEnd` is exclusive. */
  readonly byteStart: number;
  readonly byteEnd: number;
  /** A view of the bytes as they are in the file. */
  readonly bytes: Uint8Array;
}

/** A `Map`, or anything like it; keys are made from a chunk's kind, name, path and text. */
export interface ChunkResultCache<R> {
  get(key: string): R | undefined | Promise<R | undefined>;
  set(key: string, result: R): unknown;
}

export interface LargeFileOptions<R> extends ChunkLimitOptions {
  /** Default: by the file's extension. */
  readonly language?: string;
  /** Calls of `fn` at a time. Default 4. */
  readonly concurrency?: number;
  /** Results of earlier runs. `fn` is not called for chunks it has; so `fn` must not depend on where a chunk is. */
  readonly cache?: ChunkResultCache<R>;
  /** Files of this size or more are streamed and cut as plain text. Default 5 MiB. */
  readonly streamFromBytes?: number;
  readonly signal?: AbortSignal;
}

export interface LargeFileReport<R> {
  readonly path: string;
  readonly sizeBytes: number;
  readonly language: string;
  readonly streamed: boolean;
  readonly chunks: number;
  /** Chunks that `fn` was called for, and chunks whose result was in the cache. */
  readonly processed: number;
  readonly reused: number;
  /** In file order, one per chunk. */
  readonly results: readonly R[];
}

const STREAM_FROM_BYTES = 5 * 2 ** 20;
const BLOCK_BYTES = 2 ** 20;

/**
 * Calls `fn` with every chunk of the file and collects the results. After a failure or an abort no further call is made,
 * those running are waited for, and then the promise is rejected.
 *
 * @throws {FilesError} ERR_PERF_FILES_CHUNK_FAILED with the cause when `fn` or the cache throws; ERR_PERF_FILES_CHANGED when
 * the file changed while it was read. What the file system throws is passed on.
 */
export async function processLargeFile<R>(
  path: string,
  fn: (chunk: FileChunk) => Promise<R>,
  options: LargeFileOptions<R> = {},
): Promise<LargeFileReport<R>> {
  const { concurrency = 4, streamFromBytes = STREAM_FROM_BYTES, signal, cache } = options;
  if (typeof path !== 'string' || path === '') throw new TypeError('path must be a file name');
  if (typeof fn !== 'function') throw new TypeError('fn must be a function');
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) {
    throw new RangeError('concurrency must be a positive integer');
  }
  if (!(streamFromBytes >= 0)) throw new RangeError('streamFromBytes must be 0 or more');
  const limits = checkLimits(options);
  const language =
    options.language === undefined ? languageOfPath(path) : canonicalLanguage(options.language);
  signal?.throwIfAborted();
  const file = await open(path, 'r');
  try {
    const before = await file.stat();
    const streamed = before.size >= streamFromBytes;
    if (!streamed && hasGrammar(language)) await loadLanguage(language);
    const chunks = streamed
      ? streamChunks(file, limits, textKind(language))
      : wholeChunks(file, language, limits);
    const run = new ChunkRun(fn, cache, concurrency, signal);
    await run.all(chunks);
    const after = await file.stat();
    if (after.size !== before.size || after.mtimeMs !== before.mtimeMs) {
      throw new FilesError('ERR_PERF_FILES_CHANGED', `${path} changed while it was read`);
    }
    const { results, reused } = run;
    const count = results.length;
    const processed = count - reused;
    return { path, sizeBytes: before.size, language, streamed, chunks: count, processed, reused, results };
  } finally {
    await file.close();
  }
}

/** Feeds chunks to `fn`, and keeps the first failure. */
class ChunkRun<R> {
  readonly results: R[] = [];
  reused = 0;
  readonly #fn: (chunk: FileChunk) => Promise<R>;
  readonly #cache: ChunkResultCache<R> | undefined;
  readonly #concurrency: number;
  readonly #signal: AbortSignal | undefined;
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(
    fn: (chunk: FileChunk) => Promise<R>,
    cache: ChunkResultCache<R> | undefined,
    concurrency: number,
    signal: AbortSignal | undefined,
  ) {
    this.#fn = fn;
    this.#cache = cache;
    this.#concurrency = concurrency;
    this.#signal = signal;
  }

  async all(chunks: AsyncIterable<LocatedChunk>): Promise<void> {
    let index = 0;
    try {
      for await (const chunk of chunks) {
        if (this.#failure !== undefined || this.#signal?.aborted === true) break;
        const running: Promise<void> = this.#one(chunk, index++).finally(() => this.#running.delete(running));
        this.#running.add(running);
        if (this.#running.size >= this.#concurrency) await Promise.race(this.#running);
      }
    } finally {
      await Promise.all(this.#running);
    }
    this.#signal?.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #one({ chunk, key }: LocatedChunk, index: number): Promise<void> {
    try {
      const known = await this.#cache?.get(key);
      if (known !== undefined) {
        this.results[index] = known;
        this.reused++;
        return;
      }
      const result = await this.#fn(chunk);
      this.results[index] = result;
      await this.#cache?.set(key, result);
    } catch (cause) {
      const message = `the chunk at byte ${chunk.byteStart} failed`;
      this.#failure ??= { error: new FilesError('ERR_PERF_FILES_CHUNK_FAILED', message, { cause }) };
    }
  }
}

interface LocatedChunk {
  readonly chunk: FileChunk;
  readonly key: string;
}

/** Gives a chunk its bytes, the first of `bytes` from `from` on. */
function locate(chunk: SourceChunk, bytes: Uint8Array, from: number, byteStart: number): LocatedChunk {
  const length = byteLengthOf(bytes, from, chunk.text);
  const located = Object.assign(chunk, {
    byteStart,
    byteEnd: byteStart + length,
    bytes: bytes.subarray(from, from + length),
  });
  return { chunk: located, key: SourceChunk.contentIdOf(chunk) };
}

async function* wholeChunks(
  file: FileHandle,
  language: string,
  { maxChars, maxTokens }: ChunkLimits,
): AsyncGenerator<LocatedChunk> {
  const bytes = await file.readFile();
  // A byte order mark stays in the text, so that the chunks have every byte of the file.
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  const options = { language, maxChars, ...(maxTokens !== undefined && { maxTokens }) };
  let from = 0;
  for (const chunk of chunkText(text, options)) {
    const located = locate(chunk as SourceChunk, bytes, from, from);
    from = located.chunk.byteEnd;
    yield located;
  }
}

async function* streamChunks(
  file: FileHandle,
  limits: ChunkLimits,
  kind: string,
): AsyncGenerator<LocatedChunk> {
  const builder = new ChunkBuilder(kind, undefined);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  // A cut looks at most two units beyond the largest chunk.
  const needed = limits.maxChars + 2;
  let bytes: Buffer = Buffer.alloc(0);
  let text = '';
  let byteStart = 0;
  for (let ended = false; !ended;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(BLOCK_BYTES), 0, BLOCK_BYTES, null);
    ended = bytesRead === 0;
    text += decoder.decode(buffer.subarray(0, bytesRead), { stream: !ended });
    bytes = Buffer.concat([bytes, buffer.subarray(0, bytesRead)]);
    let at = 0;
    let byteAt = 0;
    // Up to here a chunk may begin: the rest is needed to know where that chunk ends.
    const beginBelow = ended ? text.length : text.length - needed;
    while (at < beginBelow) {
      const cut = nextCut(text, at, limits, undefined);
      const located = locate(builder.next(text.slice(at, cut)), bytes, byteAt, byteStart + byteAt);
      at = cut;
      byteAt += located.chunk.bytes.length;
      yield located;
    }
    text = text.slice(at);
    bytes = bytes.subarray(byteAt);
    byteStart += byteAt;
  }
}
