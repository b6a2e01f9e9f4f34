/**
 * One entry as one run of bytes, for tiers that store bytes under a key:
 *
 *     version u8 | stamp 8 bytes | flags u8 | [expires f64] [stale f64] [written f64]
 *     | [mac length u8, mac] | [tags length u32, tags as JSON] | value
 *
 * Numbers are little-endian. The key is not in the frame: it is where the frame is stored, and the MAC binds
 * the two. The stamp is the tier's own: the Redis tier uses it to tell one version of an entry from the next.
 */
import type { Entry } from './tier.ts';

export const STAMP_OFFSET = 1;
export const STAMP_BYTES = 8;

const VERSION = 1;
const FLAGS_OFFSET = STAMP_OFFSET + STAMP_BYTES;
const HEADER_BYTES = FLAGS_OFFSET + 1;
const HAS_EXPIRES = 1;
const HAS_STALE = 2;
const HAS_WRITTEN = 4;
const HAS_MAC = 8;
const HAS_TAGS = 16;
const ALL_FLAGS = HAS_EXPIRES | HAS_STALE | HAS_WRITTEN | HAS_MAC | HAS_TAGS;
const NO_STAMP = new Uint8Array(STAMP_BYTES);

/** @throws {RangeError} when the MAC is longer than 255 bytes. */
export function encodeFrame(entry: Entry, stamp: Uint8Array = NO_STAMP): Buffer {
  const { value, expiresAtMs, staleUntilMs, writtenAtMs, tags, mac } = entry;
  if (mac !== undefined && mac.byteLength > 255) throw new RangeError('mac must have at most 255 bytes');
  const tagBytes = tags === undefined ? undefined : Buffer.from(JSON.stringify(tags));
  const times = [expiresAtMs, staleUntilMs, writtenAtMs];
  let size = HEADER_BYTES + value.byteLength;
  for (const time of times) if (time !== undefined) size += 8;
  if (mac !== undefined) size += 1 + mac.byteLength;
  if (tagBytes !== undefined) size += 4 + tagBytes.byteLength;
  const frame = Buffer.allocUnsafe(size);
  frame[0] = VERSION;
  frame.set(stamp, STAMP_OFFSET);
  let flags = 0;
  let at = HEADER_BYTES;
  for (const [bit, time] of times.entries()) {
    if (time === undefined) continue;
    flags |= 1 << bit;
    at = frame.writeDoubleLE(time, at);
  }
  if (mac !== undefined) {
    flags |= HAS_MAC;
    at = frame.writeUInt8(mac.byteLength, at);
    frame.set(mac, at);
    at += mac.byteLength;
  }
  if (tagBytes !== undefined) {
    flags |= HAS_TAGS;
    at = frame.writeUInt32LE(tagBytes.byteLength, at);
    frame.set(tagBytes, at);
    at += tagBytes.byteLength;
  }
  frame[FLAGS_OFFSET] = flags;
  frame.set(value, at);
  return frame;
}

/** `undefined` when the bytes are not a frame of this version. The entry's `value` is a view of `frame`. */
export function decodeFrame(key: string, frame: Buffer): Entry | undefined {
  if (frame.byteLength < HEADER_BYTES || frame[0] !== VERSION) return undefined;
  const flags = frame[FLAGS_OFFSET]!;
  if ((flags & ~ALL_FLAGS) !== 0) return undefined;
  try {
    let at = HEADER_BYTES;
    const time = (bit: number): number | undefined => {
      if ((flags & bit) === 0) return undefined;
      at += 8;
      return frame.readDoubleLE(at - 8);
    };
    const section = (lengthBytes: 1 | 4): Buffer => {
      const length = lengthBytes === 1 ? frame.readUInt8(at) : frame.readUInt32LE(at);
      const start = at + lengthBytes;
      at = start + length;
      if (at > frame.byteLength) throw new RangeError('a section ends beyond the frame');
      return frame.subarray(start, at);
    };
    const expiresAtMs = time(HAS_EXPIRES);
    const staleUntilMs = time(HAS_STALE);
    const writtenAtMs = time(HAS_WRITTEN);
    const mac = (flags & HAS_MAC) === 0 ? undefined : section(1);
    const tags = (flags & HAS_TAGS) === 0 ? undefined : parseTags(section(4));
    return {
      key,
      value: frame.subarray(at),
      ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
      ...(staleUntilMs === undefined ? {} : { staleUntilMs }),
      ...(writtenAtMs === undefined ? {} : { writtenAtMs }),
      ...(tags === undefined ? {} : { tags }),
      ...(mac === undefined ? {} : { mac }),
    };
  } catch {
    // Reads beyond the end and text that is not JSON: a truncated or foreign value, which its tier reports.
    return undefined;
  }
}

/** When a tier may forget the entry: a whole number of Unix ms; `undefined` means never. */
export function endOf(entry: Entry): number | undefined {
  if (entry.expiresAtMs === undefined) return undefined;
  const end = Math.ceil(Math.max(entry.expiresAtMs, entry.staleUntilMs ?? 0));
  return end > Number.MAX_SAFE_INTEGER ? undefined : Math.max(end, 1);
}

function parseTags(bytes: Buffer): readonly string[] {
  const tags: unknown = JSON.parse(bytes.toString());
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string')) {
    throw new TypeError('tags must be strings');
  }
  return tags;
}
