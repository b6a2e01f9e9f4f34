/**
 * One entry as bytes, for tiers that store only bytes:
 *
 *     "PC1" | flags u8 | expires f64 | stale f64 | written f64 | mac 32? | tags length u32, JSON? | value
 *
 * Little endian; a time that is absent is NaN. Flags: 1 mac, 2 tags.
 */
import type { Entry } from './tier.ts';

const MAGIC = 0x314350;
const HEADER_BYTES = 28;
const MAC_BYTES = 32;
const HAS_MAC = 1;
const HAS_TAGS = 2;

export function encodeFrame(entry: Entry): Buffer {
  const { value, mac, tags } = entry;
  const tagBytes = tags === undefined ? undefined : Buffer.from(JSON.stringify(tags));
  const frame = Buffer.allocUnsafe(
    HEADER_BYTES +
      (mac === undefined ? 0 : MAC_BYTES) +
      (tagBytes === undefined ? 0 : 4 + tagBytes.length) +
      value.byteLength,
  );
  frame.writeUIntLE(MAGIC, 0, 3);
  frame[3] = (mac === undefined ? 0 : HAS_MAC) | (tagBytes === undefined ? 0 : HAS_TAGS);
  frame.writeDoubleLE(entry.expiresAtMs ?? Number.NaN, 4);
  frame.writeDoubleLE(entry.staleUntilMs ?? Number.NaN, 12);
  frame.writeDoubleLE(entry.writtenAtMs ?? Number.NaN, 20);
  let at = HEADER_BYTES;
  if (mac !== undefined) {
    frame.set(mac, at);
    at += MAC_BYTES;
  }
  if (tagBytes !== undefined) {
    at = frame.writeUInt32LE(tagBytes.length, at);
    frame.set(tagBytes, at);
    at += tagBytes.length;
  }
  frame.set(value, at);
  return frame;
}

/** `undefined` when the bytes are not a frame. Whether they are the right one is for the MAC to say. */
export function decodeFrame(key: string, frame: Buffer): Entry | undefined {
  if (frame.length < HEADER_BYTES || frame.readUIntLE(0, 3) !== MAGIC) return undefined;
  const flags = frame[3] ?? 0;
  let at = HEADER_BYTES;
  let mac: Uint8Array | undefined;
  let tags: readonly string[] | undefined;
  if ((flags & HAS_MAC) !== 0) {
    mac = frame.subarray(at, at + MAC_BYTES);
    at += MAC_BYTES;
  }
  if ((flags & HAS_TAGS) !== 0) {
    if (frame.length < at + 4) return undefined;
    const end = at + 4 + frame.readUInt32LE(at);
    tags = parseTags(frame.toString('utf8', at + 4, end));
    if (tags === undefined) return undefined;
    at = end;
  }
  if (at > frame.length) return undefined;
  const [expiresAtMs, staleUntilMs, writtenAtMs] = [4, 12, 20].map((offset) => frame.readDoubleLE(offset));
  return {
    key,
    value: frame.subarray(at),
    ...time('expiresAtMs', expiresAtMs),
    ...time('staleUntilMs', staleUntilMs),
    ...time('writtenAtMs', writtenAtMs),
    ...(tags === undefined ? {} : { tags }),
    ...(mac === undefined ? {} : { mac }),
  };
}

/** Unix ms at which nobody may use the entry any more; `undefined` for never. */
export function endOf(entry: Entry): number | undefined {
  const { expiresAtMs, staleUntilMs } = entry;
  return expiresAtMs === undefined ? undefined : Math.max(expiresAtMs, staleUntilMs ?? 0);
}

function time(name: string, value: number | undefined): Record<string, number> {
  return value === undefined || Number.isNaN(value) ? {} : { [name]: value };
}

function parseTags(text: string): readonly string[] | undefined {
  try {
    const tags: unknown = JSON.parse(text);
    return Array.isArray(tags) && tags.every((tag) => typeof tag === 'string') ? tags : undefined;
  } catch {
    return undefined;
  }
}
