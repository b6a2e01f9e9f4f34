// Byte strings by key, with what they share stored once: each is cut at content-defined boundaries (rolling-hash), and
// a chunk is kept under its SHA-256 as a compressed frame with a count of its uses. Everything is in memory.
import { createHash } from 'node:crypto';
import type { Goal } from './codec-choice.ts';
import { Compressor } from './compressor.ts';
import { corrupt, tooLarge } from './errors.ts';
import { chunkEnds } from './rolling-hash.ts';

export interface ChunkStoreOptions {
  /** A power of two from 256 bytes to 1 MiB. Default 4096. Smaller finds more in common and costs more. */
  readonly averageChunkBytes?: number;
  /** How chunks are compressed. Default `balanced`. */
  readonly goal?: Goal;
  /** Limit of the stored chunks. Default 1 GiB. */
  readonly maxStoredBytes?: number;
}

export interface PutReport {
  readonly chunks: number;
  /** Chunks that no entry had yet. */
  readonly newChunks: number;
  /** What the entry added to the store, in bytes. */
  readonly storedBytes: number;
}

export interface ChunkStoreStats {
  readonly entries: number;
  readonly chunks: number;
  /** Sum of the entries' lengths. */
  readonly rawBytes: number;
  /** Sum of the frames' lengths; keys and indexes are not in it. */
  readonly storedBytes: number;
}

interface Chunk {
  readonly frame: Uint8Array;
  uses: number;
}

interface Entry {
  readonly sizeBytes: number;
  readonly hashes: readonly string[];
}

export class ChunkStore {
  readonly #averageChunkBytes: number;
  readonly #goal: Goal;
  readonly #maxStoredBytes: number;
  readonly #compressor = new Compressor();
  readonly #chunks = new Map<string, Chunk>();
  readonly #entries = new Map<string, Entry>();
  #rawBytes = 0;
  #storedBytes = 0;

  constructor(options: ChunkStoreOptions = {}) {
    const { averageChunkBytes = 4096, goal = 'balanced', maxStoredBytes = 2 ** 30 } = options;
    const isPower = Number.isSafeInteger(averageChunkBytes) && Number.isInteger(Math.log2(averageChunkBytes));
    if (!isPower || averageChunkBytes < 256 || averageChunkBytes > 2 ** 20) {
      throw new RangeError('averageChunkBytes must be a power of two from 256 to 1048576');
    }
    if (!Number.isSafeInteger(maxStoredBytes) || maxStoredBytes < 1) {
      throw new RangeError('maxStoredBytes must be a positive integer');
    }
    this.#averageChunkBytes = averageChunkBytes;
    this.#goal = goal;
    this.#maxStoredBytes = maxStoredBytes;
    // An unknown goal is refused here, not at the first put.
    this.#compressor.compress('', { goal });
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * Stores a copy of the bytes; an entry of that key is replaced.
   * @throws {CompressionError} ERR_PERF_COMPRESSION_TOO_LARGE past `maxStoredBytes`; the store is then as before.
   */
  put(key: string, bytes: Uint8Array): PutReport {
    if (typeof key !== 'string') throw new TypeError('key must be a string');
    if (!(bytes instanceof Uint8Array)) throw new TypeError('bytes must be a Uint8Array');
    const hashes: string[] = [];
    const fresh = new Map<string, Uint8Array>();
    let start = 0;
    for (const end of chunkEnds(bytes, this.#averageChunkBytes)) {
      const chunk = bytes.subarray(start, end);
      start = end;
      const hash = createHash('sha256').update(chunk).digest('base64');
      hashes.push(hash);
      if (this.#chunks.has(hash) || fresh.has(hash)) continue;
      fresh.set(hash, this.#compressor.compress(chunk, { kind: 'bytes', goal: this.#goal }));
    }
    let storedBytes = 0;
    for (const frame of fresh.values()) storedBytes += frame.length;
    if (this.#storedBytes + storedBytes > this.#maxStoredBytes) {
      throw tooLarge(`the store would hold more than maxStoredBytes (${this.#maxStoredBytes})`);
    }
    for (const [hash, frame] of fresh) this.#chunks.set(hash, { frame, uses: 0 });
    for (const hash of hashes) this.#chunk(hash).uses++;
    this.#storedBytes += storedBytes;
    this.delete(key);
    this.#entries.set(key, { sizeBytes: bytes.length, hashes });
    this.#rawBytes += bytes.length;
    return { chunks: hashes.length, newChunks: fresh.size, storedBytes };
  }

  /** The bytes of that key, or `undefined`. */
  get(key: string): Uint8Array | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const bytes = new Uint8Array(entry.sizeBytes);
    let at = 0;
    for (const hash of entry.hashes) {
      const chunk = this.#compressor.decompress<Uint8Array>(this.#chunk(hash).frame);
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** Removes the entry, and the chunks that no other entry uses. */
  delete(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#entries.delete(key);
    this.#rawBytes -= entry.sizeBytes;
    for (const hash of entry.hashes) {
      const chunk = this.#chunk(hash);
      if (--chunk.uses > 0) continue;
      this.#chunks.delete(hash);
      this.#storedBytes -= chunk.frame.length;
    }
    return true;
  }

  stats(): ChunkStoreStats {
    return {
      entries: this.#entries.size,
      chunks: this.#chunks.size,
      rawBytes: this.#rawBytes,
      storedBytes: this.#storedBytes,
    };
  }

  #chunk(hash: string): Chunk {
    const chunk = this.#chunks.get(hash);
    if (chunk === undefined) throw corrupt('a chunk of the store is missing');
    return chunk;
  }
}
