/**
 * Message authentication of the entries below memory: HMAC-SHA256 (RFC 2104) over key, tier, times, tags and value, so
 * that an entry can neither be altered nor moved to another key or tier, nor live longer than it was given. A MAC is
 * checked before anything is deserialised.
 *
 * The HMAC is written out as its two hashes over padded keys, because the one-shot `crypto.hash` is several times
 * faster than `createHmac` on entries of this size (bench case `integrity`).
 */
import { createSecretKey, hash, KeyObject, timingSafeEqual } from 'node:crypto';
import { checkNumber, checkObject, checkOneOf } from './option-checks.ts';
import type { Entry } from './tier.ts';

export interface IntegrityOptions {
  /**
   * `always` verifies every entry that is read; `sampling` verifies some, which finds corruption but does not keep an
   * attacker out; `never` neither signs nor verifies.
   */
  readonly mode: 'always' | 'sampling' | 'never';
  /** At least 16 bytes. */
  readonly key: Uint8Array | KeyObject;
  /** Still accepted when verifying; what they signed is signed anew when it is next written. */
  readonly previousKeys?: readonly (Uint8Array | KeyObject)[];
  /** Share of the reads that `sampling` verifies. Default 0.01. */
  readonly sampleRate?: number;
}

const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;
const MIN_KEY_BYTES = 16;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;
const NO_TIME = -1;
/** Larger messages get a buffer of their own instead of growing the one that is kept. */
const KEPT_BUFFER_BYTES = 64 * 1024;

interface PaddedKey {
  readonly inner: Buffer;
  readonly outer: Buffer;
}

export class Integrity {
  readonly #mode: IntegrityOptions['mode'];
  readonly #key: PaddedKey;
  readonly #keys: readonly PaddedKey[];
  readonly #sampleRate: number;
  readonly #random: () => number;
  #buffer = Buffer.alloc(4096);
  readonly #outer = Buffer.alloc(BLOCK_BYTES + DIGEST_BYTES);

  constructor(options: IntegrityOptions, random: () => number) {
    checkObject('integrity', options);
    this.#mode = checkOneOf('integrity.mode', options.mode, ['always', 'sampling', 'never']);
    this.#key = padKey('integrity.key', options.key);
    this.#keys = [
      this.#key,
      ...(options.previousKeys ?? []).map((key) => padKey('integrity.previousKeys', key)),
    ];
    this.#sampleRate = checkNumber('integrity.sampleRate', options.sampleRate ?? 0.01, 0, 1);
    this.#random = random;
  }

  /** The entry with its MAC for this tier. */
  sign(entry: Entry, tier: string): Entry {
    if (this.#mode === 'never') return entry;
    return { ...entry, mac: this.#mac(this.#key, entry, tier) };
  }

  /** Whether the entry may be used. */
  accepts(entry: Entry, tier: string): boolean {
    if (this.#mode === 'never') return true;
    if (this.#mode === 'sampling' && this.#random() >= this.#sampleRate) return true;
    const { mac } = entry;
    if (mac === undefined || mac.byteLength !== DIGEST_BYTES) return false;
    return this.#keys.some((key) => timingSafeEqual(this.#mac(key, entry, tier), mac));
  }

  #mac(key: PaddedKey, entry: Entry, tier: string): Buffer {
    const length = this.#writeMessage(key, entry, tier);
    const message = this.#buffer.subarray(0, length);
    const inner = hash('sha256', message, 'buffer');
    key.outer.copy(this.#outer, 0);
    inner.copy(this.#outer, BLOCK_BYTES);
    if (this.#buffer.length > KEPT_BUFFER_BYTES) this.#buffer = Buffer.alloc(4096);
    return hash('sha256', this.#outer, 'buffer');
  }

  /** Every field is preceded by its length, so that no two entries give the same message. */
  #writeMessage(key: PaddedKey, entry: Entry, tier: string): number {
    const tags = entry.tags ?? [];
    let bound = BLOCK_BYTES + 4 * 8 + 3 * (entry.key.length + tier.length) + 16 + entry.value.byteLength;
    for (const tag of tags) bound += 4 + 3 * tag.length;
    if (this.#buffer.length < bound) this.#buffer = Buffer.alloc(bound * 2);
    const buffer = this.#buffer;
    key.inner.copy(buffer, 0);
    let at = writeText(buffer, BLOCK_BYTES, entry.key);
    at = writeText(buffer, at, tier);
    at = buffer.writeDoubleLE(entry.expiresAtMs ?? NO_TIME, at);
    at = buffer.writeDoubleLE(entry.staleUntilMs ?? NO_TIME, at);
    at = buffer.writeDoubleLE(entry.writtenAtMs ?? NO_TIME, at);
    at = buffer.writeUInt32LE(tags.length, at);
    for (const tag of tags) at = writeText(buffer, at, tag);
    buffer.set(entry.value, at);
    return at + entry.value.byteLength;
  }
}

function writeText(buffer: Buffer, at: number, text: string): number {
  const length = buffer.write(text, at + 4, 'utf8');
  buffer.writeUInt32LE(length, at);
  return at + 4 + length;
}

function padKey(name: string, key: Uint8Array | KeyObject): PaddedKey {
  let bytes: Uint8Array;
  if (key instanceof Uint8Array) bytes = createSecretKey(key).export();
  else if (key instanceof KeyObject && key.type === 'secret') bytes = key.export();
  else throw new TypeError(`${name} must be a Uint8Array or a secret KeyObject`);
  if (bytes.byteLength < MIN_KEY_BYTES) {
    throw new RangeError(`${name} must have at least ${MIN_KEY_BYTES} bytes, got ${bytes.byteLength}`);
  }
  if (bytes.byteLength > BLOCK_BYTES) bytes = hash('sha256', bytes, 'buffer');
  const inner = Buffer.alloc(BLOCK_BYTES, INNER_PAD);
  const outer = Buffer.alloc(BLOCK_BYTES, OUTER_PAD);
  for (let i = 0; i < bytes.byteLength; i++) {
    inner[i] = inner[i]! ^ bytes[i]!;
    outer[i] = outer[i]! ^ bytes[i]!;
  }
  return { inner, outer };
}
