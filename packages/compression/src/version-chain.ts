// Successive versions of one document. Each is compressed against the one before it; every `keyframeEvery`-th stands
// alone, so that reading any version decodes at most that many frames. Serialised form:
//
//   "PVC1"  varint keyframeEvery  varint count  count * (varint size, frame)  u32 CRC-32 of everything before
import { crc32 } from 'node:zlib';
import { ByteReader, ByteWriter } from './byte-sequence.ts';
import { Compressor } from './compressor.ts';
import { corrupt, truncated } from './errors.ts';

export interface VersionChainOptions {
  /** A version that stands alone comes every so many, 1 to 1024. Default 32. */
  readonly keyframeEvery?: number;
  /** Largest version, in bytes. Default 256 MiB. */
  readonly maxOutputBytes?: number;
}

const MAGIC = Buffer.from('PVC1');
const CHECKSUM_BYTES = 4;
const MAX_KEYFRAME_EVERY = 1024;

export class VersionChain {
  readonly #keyframeEvery: number;
  readonly #compressor: Compressor;
  readonly #frames: Uint8Array[] = [];
  /** The newest version, which the next one is compressed against. */
  #newest: Uint8Array | undefined;
  #sizeBytes = 0;

  constructor(options: VersionChainOptions = {}) {
    const { keyframeEvery = 32, maxOutputBytes } = options;
    if (!Number.isSafeInteger(keyframeEvery) || keyframeEvery < 1 || keyframeEvery > MAX_KEYFRAME_EVERY) {
      throw new RangeError(`keyframeEvery must be an integer from 1 to ${MAX_KEYFRAME_EVERY}`);
    }
    this.#keyframeEvery = keyframeEvery;
    this.#compressor = new Compressor(maxOutputBytes === undefined ? {} : { maxOutputBytes });
  }

  /**
   * Reads what `serialize` wrote, and checks every version.
   * @throws {CompressionError} ERR_PERF_COMPRESSION_TRUNCATED or _CORRUPT.
   */
  static deserialize(bytes: Uint8Array, options: { readonly maxOutputBytes?: number } = {}): VersionChain {
    if (!(bytes instanceof Uint8Array)) throw new TypeError('bytes must be a Uint8Array');
    const reader = new ByteReader(bytes);
    for (const byte of MAGIC) if (reader.u8() !== byte) throw corrupt('not a version chain');
    const keyframeEvery = reader.varint();
    const count = reader.varint();
    if (keyframeEvery < 1 || keyframeEvery > MAX_KEYFRAME_EVERY) throw corrupt('not a version chain');
    const frames: Uint8Array[] = [];
    for (let i = 0; i < count; i++) frames.push(new Uint8Array(reader.bytes(reader.varint())));
    const end = reader.at;
    if (reader.remaining < CHECKSUM_BYTES) throw truncated('the version chain is cut off');
    if (reader.u32() !== crc32(bytes.subarray(0, end)))
      throw corrupt('the checksum of the chain does not match');
    if (reader.remaining > 0) throw corrupt('bytes follow the version chain');
    const chain = new VersionChain({ keyframeEvery, ...options });
    for (const frame of frames) chain.#adopt(frame);
    return chain;
  }

  get length(): number {
    return this.#frames.length;
  }

  /** Of all frames, in bytes. The newest version, kept whole for the next append, is not in it. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Adds a version and returns its index. */
  append(bytes: Uint8Array): number {
    if (!(bytes instanceof Uint8Array)) throw new TypeError('bytes must be a Uint8Array');
    const base = this.#baseOfNext();
    const frame = this.#compressor.compress(bytes, {
      kind: 'bytes',
      ...(base === undefined ? {} : { base }),
    });
    this.#newest = new Uint8Array(bytes);
    this.#sizeBytes += frame.length;
    return this.#frames.push(frame) - 1;
  }

  /** A copy of the version of that index. */
  get(index: number): Uint8Array {
    if (!Number.isSafeInteger(index) || index < 0 || index >= this.#frames.length) {
      throw new RangeError(`index must be an integer from 0 to ${this.#frames.length - 1}`);
    }
    if (index === this.#frames.length - 1 && this.#newest !== undefined) return new Uint8Array(this.#newest);
    let version: Uint8Array | undefined;
    for (let i = index - (index % this.#keyframeEvery); i <= index; i++) version = this.#decode(i, version);
    return version ?? new Uint8Array(0);
  }

  serialize(): Uint8Array {
    const writer = new ByteWriter().bytes(MAGIC).varint(this.#keyframeEvery).varint(this.#frames.length);
    for (const frame of this.#frames) writer.varint(frame.length).bytes(frame);
    writer.u32(crc32(writer.finish()));
    return new Uint8Array(writer.finish());
  }

  #baseOfNext(): Uint8Array | undefined {
    return this.#frames.length % this.#keyframeEvery === 0 ? undefined : this.#newest;
  }

  #decode(index: number, previous: Uint8Array | undefined): Uint8Array {
    const frame = this.#frames[index] ?? new Uint8Array(0);
    const base = index % this.#keyframeEvery === 0 ? undefined : previous;
    return this.#compressor.decompress<Uint8Array>(frame, base === undefined ? {} : { base });
  }

  #adopt(frame: Uint8Array): void {
    const index = this.#frames.push(frame) - 1;
    this.#newest = this.#decode(index, this.#newest);
    if (!(this.#newest instanceof Uint8Array)) throw corrupt('a version of the chain is not bytes');
    this.#sizeBytes += frame.length;
  }
}
