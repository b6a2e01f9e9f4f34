// The face of the package: value -> body (value-body) -> payload (codec-choice, codec) -> frame (frame), and back.
// It owns limits, references and counters; every format lives in the room it calls.
import { crc32 } from 'node:zlib';
import type { Recipe } from './codec.ts';
import { decodeAsync, decodeSync, encodeAsync, encodeSync, zstdTakesDictionary } from './codec.ts';
import type { BodyFacts, Goal } from './codec-choice.ts';
import { everyRecipe, GOALS, RAW, recipesFor } from './codec-choice.ts';
import type { Dictionary } from './dictionary.ts';
import { checkedDictionary } from './dictionary.ts';
import { DictionaryStore } from './dictionary-store.ts';
import { CompressionError, corrupt, unsupported } from './errors.ts';
import type { Frame, Reference } from './frame.ts';
import { BODY, CODEC, readFrame, writeFrame } from './frame.ts';
import { compressionStream, decompressionStream } from './streams.ts';
import type { Body, Kind } from './value-body.ts';
import { bodyOf, checkBodySize, KINDS, valueOf } from './value-body.ts';

export interface CompressorOptions {
  /** Largest body or stream that is decompressed, in bytes. Default 256 MiB. */
  readonly maxOutputBytes?: number;
  /** Where `decompress` finds the dictionary that a frame names. Default: an empty store. */
  readonly dictionaries?: DictionaryStore;
}

export interface CompressOptions {
  /** Default `auto`: string is text, Uint8Array is bytes, Float32Array is vector, other numeric arrays are series. */
  readonly kind?: Kind;
  /** Default `balanced`. */
  readonly goal?: Goal;
  /** Compress against a trained dictionary; the frame names it. */
  readonly dictionary?: Dictionary;
  /** Compress against these bytes, such as the previous version; `decompress` needs the same bytes. */
  readonly base?: Uint8Array;
}

export interface DecompressOptions {
  readonly dictionary?: Dictionary;
  readonly base?: Uint8Array;
}

export interface StreamOptions {
  readonly goal?: Goal;
  readonly dictionary?: Dictionary;
}

export interface Cancellable {
  readonly signal?: AbortSignal;
}

/** One way to store a value, as {@link Compressor.explain} reports it. */
export interface Candidate {
  readonly codec: string;
  /** Of the whole frame. */
  readonly sizeBytes: number;
  /** True for exactly one candidate: the one `compress` with the same options makes. */
  readonly chosen: boolean;
  readonly reason: string;
}

export interface CompressorStats {
  /** Frames made, blocks of streams included, and their bytes before and after. */
  readonly compressed: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** bytesIn / bytesOut; NaN before the first frame. */
  readonly ratio: number;
  /** Frames read, blocks of streams included. */
  readonly decompressed: number;
  /** Frames that could not be read. */
  readonly failures: number;
  /** Frames made, by codec. */
  readonly byCodec: Readonly<Record<string, number>>;
}

interface GivenReference {
  /** `undefined`: a base. */
  readonly dictionaryId: string | undefined;
  readonly bytes: Uint8Array;
}

interface Plan {
  readonly body: Body;
  readonly goal: Goal;
  readonly facts: BodyFacts;
  /** What the codec reads, and how the frame names it. */
  readonly reference: { readonly bytes: Uint8Array; readonly named: Reference } | undefined;
}

interface Attempt {
  readonly recipe: Recipe;
  readonly frame: Uint8Array;
}

interface OpenedFrame {
  readonly frame: Frame;
  readonly reference: Uint8Array | undefined;
}

const DEFAULT_MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

/** Turns values into self-describing, checksummed frames and back. Holds no handle; `dispose` refuses later calls. */
export class Compressor implements Disposable {
  readonly #maxOutputBytes: number;
  readonly #dictionaries: DictionaryStore;
  readonly #zstdTakesReference: boolean;
  readonly #byCodec = new Map<string, number>();
  #closed = false;
  #compressed = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  #decompressed = 0;
  #failures = 0;

  constructor(options: CompressorOptions = {}) {
    const { maxOutputBytes = DEFAULT_MAX_OUTPUT_BYTES, dictionaries = new DictionaryStore() } = options;
    if (!Number.isSafeInteger(maxOutputBytes) || maxOutputBytes < 1) {
      throw new RangeError('maxOutputBytes must be a positive integer');
    }
    if (!(dictionaries instanceof DictionaryStore))
      throw new TypeError('dictionaries must be a DictionaryStore');
    this.#maxOutputBytes = maxOutputBytes;
    this.#dictionaries = dictionaries;
    this.#zstdTakesReference = zstdTakesDictionary();
  }

  /**
   * Returns a frame that `decompress` turns back into an equal value.
   * @throws {TypeError} when the value is not of `kind` or has no exact JSON form.
   * @throws {CompressionError} ERR_PERF_COMPRESSION_CLOSED after dispose.
   */
  compress(value: unknown, options: CompressOptions = {}): Uint8Array {
    const plan = this.#plan(bodyOf(value, checkedKind(options)), options);
    const attempts = recipesFor(plan.goal, plan.facts).map((recipe) =>
      attemptOf(plan, recipe, encodeSync(plan.body.bytes, recipe, plan.reference?.bytes)),
    );
    return this.#finish(plan, attempts);
  }

  /**
   * `compress` with the codec's work on the thread pool. Rejects with `signal.reason` when aborted. Bytes passed in must
   * not change until the promise settles.
   */
  async compressAsync(value: unknown, options: CompressOptions & Cancellable = {}): Promise<Uint8Array> {
    options.signal?.throwIfAborted();
    return this.#frameAsync(bodyOf(value, checkedKind(options)), options);
  }

  /**
   * Reads a frame back. Bytes and numbers come back as a fresh Uint8Array or the typed array that went in.
   * @throws {CompressionError} ERR_PERF_COMPRESSION_CORRUPT, _TRUNCATED, _UNSUPPORTED (a newer format, or a stream),
   * _TOO_LARGE (more than `maxOutputBytes`), _DICTIONARY_MISSING, _DICTIONARY_MISMATCH, _CLOSED.
   */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller knows what went in
  decompress<T = unknown>(frame: Uint8Array, options: DecompressOptions = {}): T {
    const opened = this.#open(frame, options);
    return this.#counted(() => {
      const { body, codec, bodySize, payload } = opened.frame;
      const bytes = verified(decodeSync(payload, codec, bodySize, opened.reference), opened.frame);
      return valueOf(body, bytes, this.#maxOutputBytes) as T;
    });
  }

  /** `decompress` with the codec's work on the thread pool. Rejects with `signal.reason` when aborted. */
  async decompressAsync<T = unknown>(
    frame: Uint8Array,
    options: DecompressOptions & Cancellable = {},
  ): Promise<T> {
    options.signal?.throwIfAborted();
    const opened = this.#open(frame, options);
    const bytes = await this.#bodyAsync(opened, options.signal);
    return this.#counted(() => valueOf(opened.frame.body, bytes, this.#maxOutputBytes) as T);
  }

  /** Tries everything that could store the value and says what `compress` would take, and why. Slow: it does try. */
  explain(value: unknown, options: CompressOptions = {}): readonly Candidate[] {
    const plan = this.#plan(bodyOf(value, checkedKind(options)), options);
    const allowed = recipesFor(plan.goal, plan.facts);
    const attempts = everyRecipe(plan.facts).map((recipe) =>
      attemptOf(plan, recipe, encodeSync(plan.body.bytes, recipe, plan.reference?.bytes)),
    );
    const best = smallest(
      plan,
      allowed.flatMap((recipe) => attempts.filter((attempt) => attempt.recipe === recipe)),
    );
    return [attemptOf(plan, RAW, plan.body.bytes), ...attempts].map(({ recipe, frame }) => {
      const chosen = recipe === best.recipe;
      const reason = reasonFor(recipe, chosen, allowed, plan.goal);
      return { codec: recipe.label, sizeBytes: frame.length, chosen, reason };
    });
  }

  /** Bytes in, frames of up to 256 KiB of them out, ended by a frame that seals length and content. */
  compressStream(options: StreamOptions = {}): TransformStream<Uint8Array, Uint8Array> {
    this.#assertOpen();
    checkOption('goal', options.goal ?? 'balanced', GOALS);
    givenReference(options);
    return compressionStream(async (bytes) => this.#frameAsync({ body: BODY.streamBlock, bytes }, options));
  }

  /**
   * Reads what `compressStream` wrote. Errors the stream with _TRUNCATED when the end is missing, _CORRUPT, and
   * _TOO_LARGE past `maxOutputBytes` in all.
   */
  decompressStream(
    options: { readonly dictionary?: Dictionary } = {},
  ): TransformStream<Uint8Array, Uint8Array> {
    this.#assertOpen();
    givenReference(options);
    const decode = async (frame: Uint8Array): Promise<Uint8Array> => {
      const bytes = await this.#bodyAsync(this.#open(frame, options), undefined);
      this.#decompressed++;
      return bytes;
    };
    return decompressionStream(decode, this.#maxOutputBytes);
  }

  stats(): CompressorStats {
    return {
      compressed: this.#compressed,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      ratio: this.#bytesIn / this.#bytesOut,
      decompressed: this.#decompressed,
      failures: this.#failures,
      byCodec: Object.fromEntries(this.#byCodec),
    };
  }

  [Symbol.dispose](): void {
    this.#closed = true;
  }

  async #frameAsync(body: Body, options: CompressOptions & Cancellable): Promise<Uint8Array> {
    const plan = this.#plan(body, options);
    const attempts: Attempt[] = [];
    for (const recipe of recipesFor(plan.goal, plan.facts)) {
      const work = encodeAsync(body.bytes, recipe, plan.reference?.bytes);
      attempts.push(attemptOf(plan, recipe, await unlessAborted(work, options.signal)));
    }
    return this.#finish(plan, attempts);
  }

  async #bodyAsync(opened: OpenedFrame, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const { codec, bodySize, payload } = opened.frame;
    try {
      const work = decodeAsync(payload, codec, bodySize, opened.reference);
      return verified(await unlessAborted(work, signal), opened.frame);
    } catch (error) {
      if (error instanceof CompressionError) this.#failures++;
      throw error;
    }
  }

  #plan(body: Body, options: CompressOptions): Plan {
    this.#assertOpen();
    const { goal = 'balanced' } = options;
    checkOption('goal', goal, GOALS);
    const given = givenReference(options);
    const facts = {
      sizeBytes: body.bytes.length,
      referenceBytes: given?.bytes.length,
      zstdTakesReference: this.#zstdTakesReference,
    };
    const reference =
      given === undefined ? undefined : { bytes: given.bytes, named: namedReference(given, body.bytes) };
    return { body, goal, facts, reference };
  }

  #finish(plan: Plan, attempts: readonly Attempt[]): Uint8Array {
    const { recipe, frame } = smallest(plan, attempts);
    this.#compressed++;
    this.#bytesIn += plan.body.bytes.length;
    this.#bytesOut += frame.length;
    this.#byCodec.set(recipe.label, (this.#byCodec.get(recipe.label) ?? 0) + 1);
    return frame;
  }

  #open(bytes: Uint8Array, options: DecompressOptions): OpenedFrame {
    this.#assertOpen();
    if (!(bytes instanceof Uint8Array)) throw new TypeError('frame must be a Uint8Array');
    const given = givenReference(options);
    try {
      const frame = readFrame(bytes);
      checkBodySize(frame.bodySize, this.#maxOutputBytes);
      if (frame.reference !== undefined && frame.codec === CODEC.zstd && !this.#zstdTakesReference) {
        throw unsupported(
          'the frame needs zstd with a dictionary, which node:zlib has from 22.19 and 24.6 on',
        );
      }
      return { frame, reference: this.#resolve(frame.reference, given) };
    } catch (error) {
      this.#failures++;
      throw error;
    }
  }

  #resolve(wanted: Reference | undefined, given: GivenReference | undefined): Uint8Array | undefined {
    if (wanted === undefined) return undefined;
    const matching = given?.dictionaryId === wanted.dictionaryId ? given : undefined;
    const bytes =
      matching?.bytes ??
      (wanted.dictionaryId === undefined ? undefined : this.#dictionaries.get(wanted.dictionaryId)?.bytes);
    const what = wanted.dictionaryId === undefined ? 'a base' : `dictionary ${wanted.dictionaryId}`;
    if (bytes === undefined) {
      const code =
        given === undefined
          ? 'ERR_PERF_COMPRESSION_DICTIONARY_MISSING'
          : 'ERR_PERF_COMPRESSION_DICTIONARY_MISMATCH';
      throw new CompressionError(code, `the frame needs ${what}, which was not given`);
    }
    const sizeDiffers = wanted.dictionaryId === undefined && bytes.length !== wanted.sizeBytes;
    if (sizeDiffers || crc32(bytes) !== wanted.crc) {
      throw new CompressionError(
        'ERR_PERF_COMPRESSION_DICTIONARY_MISMATCH',
        `the frame was made against ${what} of other bytes`,
      );
    }
    return bytes;
  }

  #counted<T>(read: () => T): T {
    try {
      const value = read();
      this.#decompressed++;
      return value;
    } catch (error) {
      this.#failures++;
      throw error;
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new CompressionError('ERR_PERF_COMPRESSION_CLOSED', 'the compressor is disposed');
  }
}

function attemptOf(plan: Plan, recipe: Recipe, payload: Uint8Array): Attempt {
  const { body, reference } = plan;
  const frame = writeFrame({
    body: body.body,
    codec: recipe.codec,
    bodySize: body.bytes.length,
    payload,
    reference: recipe === RAW ? undefined : reference?.named,
  });
  return { recipe, frame };
}

/** The smallest attempt, or the raw frame when none is smaller than that. */
function smallest(plan: Plan, attempts: readonly Attempt[]): Attempt {
  let best: Attempt | undefined;
  for (const attempt of attempts) {
    if (best === undefined || attempt.frame.length < best.frame.length) best = attempt;
  }
  // A raw frame is always larger than its body, so only then is it worth making one to compare.
  if (best !== undefined && best.frame.length <= plan.body.bytes.length) return best;
  const raw = attemptOf(plan, RAW, plan.body.bytes);
  return best !== undefined && best.frame.length < raw.frame.length ? best : raw;
}

function reasonFor(recipe: Recipe, chosen: boolean, allowed: readonly Recipe[], goal: Goal): string {
  if (recipe === RAW) return chosen ? 'nothing the goal allows is smaller' : 'larger than the chosen codec';
  if (allowed.includes(recipe))
    return chosen ? `smallest that goal "${goal}" allows` : 'larger than the chosen codec';
  return allowed.length === 0
    ? 'too small a value to try'
    : `goal "${goal}" does not pay for it at this size`;
}

function verified(bytes: Uint8Array, frame: Frame): Uint8Array {
  const { reference } = frame;
  if (reference === undefined || reference.dictionaryId !== undefined) return bytes;
  if (crc32(bytes) !== reference.bodyCrc) throw corrupt('the body does not match its checksum');
  return bytes;
}

function namedReference({ dictionaryId, bytes }: GivenReference, body: Uint8Array): Reference {
  const crc = crc32(bytes);
  if (dictionaryId !== undefined) return { dictionaryId, crc };
  return { dictionaryId, sizeBytes: bytes.length, crc, bodyCrc: crc32(body) };
}

function givenReference(options: DecompressOptions): GivenReference | undefined {
  const { dictionary, base } = options;
  if (dictionary !== undefined && base !== undefined)
    throw new TypeError('give dictionary or base, not both');
  if (dictionary !== undefined) {
    const { id, bytes } = checkedDictionary(dictionary, 'dictionary');
    return { dictionaryId: id, bytes };
  }
  if (base === undefined) return undefined;
  if (!(base instanceof Uint8Array)) throw new TypeError('base must be a Uint8Array');
  return base.length === 0 ? undefined : { dictionaryId: undefined, bytes: base };
}

function checkedKind(options: CompressOptions): Kind {
  const { kind = 'auto' } = options;
  checkOption('kind', kind, KINDS);
  return kind;
}

function checkOption(name: string, value: string, allowed: readonly string[]): void {
  if (typeof value !== 'string') throw new TypeError(`${name} must be a string`);
  if (!allowed.includes(value)) throw new RangeError(`${name} must be one of ${allowed.join(', ')}`);
}

/** Settles like `work`, or rejects with the signal's reason first; the codec's own work cannot be interrupted. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
