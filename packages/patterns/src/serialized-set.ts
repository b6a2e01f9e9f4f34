/**
 * A pattern set as bytes.
 *
 *   0  4  magic "PPAT"
 *   4  4  version, little-endian
 *   8  4  length of the body in bytes
 *  12  4  CRC-32 of the body
 *  16     body: the definitions as UTF-8 JSON, in order
 */
import { crc32 } from 'node:zlib';
import { PatternsError } from './errors.ts';
import type { Pattern, PatternDef } from './pattern-def.ts';

const MAGIC = 0x54415050; // "PPAT" read as a little-endian word
const VERSION = 1;
const HEADER_BYTES = 16;

export function writeSet(patterns: readonly Pattern[]): Uint8Array {
  const body = new TextEncoder().encode(JSON.stringify(patterns));
  const bytes = new Uint8Array(HEADER_BYTES + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, VERSION, true);
  view.setUint32(8, body.length, true);
  view.setUint32(12, crc32(body), true);
  bytes.set(body, HEADER_BYTES);
  return bytes;
}

/** @throws {PatternsError} ERR_PERF_PATTERNS_NOT_A_SET, _TRUNCATED, _CORRUPT or _VERSION */
export function readSet(bytes: Uint8Array): readonly PatternDef[] {
  if (!(bytes instanceof Uint8Array)) throw new TypeError('bytes must be a Uint8Array');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4 || view.getUint32(0, true) !== MAGIC) {
    throw new PatternsError('ERR_PERF_PATTERNS_NOT_A_SET', 'these bytes are not a serialised pattern set');
  }
  if (bytes.length < HEADER_BYTES) throw truncated();
  const version = view.getUint32(4, true);
  if (version !== VERSION) {
    const message = `the set was serialised in format ${version}; this version reads ${VERSION}`;
    throw new PatternsError('ERR_PERF_PATTERNS_VERSION', message);
  }
  const body = bytes.subarray(HEADER_BYTES);
  const length = view.getUint32(8, true);
  if (body.length < length) throw truncated();
  if (body.length > length || crc32(body) !== view.getUint32(12, true)) {
    throw new PatternsError('ERR_PERF_PATTERNS_CORRUPT', 'the checksum of the serialised set is wrong');
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) as PatternDef[];
  } catch (cause) {
    throw new PatternsError('ERR_PERF_PATTERNS_CORRUPT', 'the body of the serialised set is not readable', {
      cause,
    });
  }
}

function truncated(): PatternsError {
  return new PatternsError('ERR_PERF_PATTERNS_TRUNCATED', 'the serialised set ends early');
}
