// The frame: what `compress` returns and `decompress` takes. Self-describing and checksummed.
//
//   magic      2 bytes  D7 50
//   version    high nibble of byte 2 (now 1); low nibble: reference (0 none, 1 dictionary, 2 base)
//   kind       high nibble of byte 3;         low nibble: codec
//   bodySize   varint   bytes of the body before the codec
//   payload    varint   bytes of the payload
//   reference  none: nothing
//              dictionary: u8 length and UTF-8 of its id, u32 CRC-32 of its bytes
//              base: varint length and u32 CRC-32 of its bytes, u32 CRC-32 of the body
//   payload
//   checksum   u32 CRC-32 of everything before it
//
// Invariants: the checksum is verified before any codec sees the payload, so a damaged frame never reaches a
// decompressor. CRC-32 finds every error burst of up to 32 bits (Koopman and Chakravarty, DSN 2004), so every single
// flipped bit is found; other damage passes with probability 2^-32. A proper prefix of a frame is always TRUNCATED.
// Without a reference, decoding a verified payload has one outcome, so the body needs no checksum of its own. Against a
// wrong reference it decodes to something else: a dictionary is told by its id and CRC, and is short because messages
// are; a base has no id, so its length and the body's CRC are kept too.
import { crc32 } from 'node:zlib';
import { ByteReader, ByteWriter } from './byte-sequence.ts';
import { corrupt, truncated, unsupported } from './errors.ts';

const MAGIC_0 = 0xd7;
const MAGIC_1 = 0x50;
const VERSION = 1;
const CHECKSUM_BYTES = 4;

/** What the body is, as stored in the frame. */
export const BODY = {
  json: 1,
  utf8: 2,
  utf16: 3,
  bytes: 4,
  numbers: 5,
  streamBlock: 6,
  streamEnd: 7,
} as const;

/** How the payload was made from the body, as stored in the frame. */
export const CODEC = { raw: 0, zstd: 1, deflate: 2, brotli: 3 } as const;

const REFERENCE = { none: 0, dictionary: 1, base: 2 } as const;

/** Identifies the bytes that a payload was compressed against. */
export type Reference =
  | { readonly dictionaryId: string; readonly crc: number }
  | {
      readonly dictionaryId: undefined;
      readonly crc: number;
      readonly sizeBytes: number;
      /** Of the body that must come out. */
      readonly bodyCrc: number;
    };

export interface Frame {
  readonly body: number;
  readonly codec: number;
  readonly bodySize: number;
  readonly payload: Uint8Array;
  readonly reference: Reference | undefined;
}

export function writeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  const { reference } = frame;
  const header = new ByteWriter();
  const referenceCode =
    reference === undefined
      ? REFERENCE.none
      : reference.dictionaryId === undefined
        ? REFERENCE.base
        : REFERENCE.dictionary;
  header
    .u8(MAGIC_0)
    .u8(MAGIC_1)
    .u8((VERSION << 4) | referenceCode)
    .u8((frame.body << 4) | frame.codec)
    .varint(frame.bodySize)
    .varint(frame.payload.length);
  if (reference?.dictionaryId !== undefined) {
    const id = Buffer.from(reference.dictionaryId);
    header.u8(id.length).bytes(id).u32(reference.crc);
  } else if (reference !== undefined) {
    header.varint(reference.sizeBytes).u32(reference.crc).u32(reference.bodyCrc);
  }
  const head = header.finish();
  const bytes = new Uint8Array(head.length + frame.payload.length + CHECKSUM_BYTES);
  bytes.set(head);
  bytes.set(frame.payload, head.length);
  const end = bytes.length - CHECKSUM_BYTES;
  const checksum = crc32(bytes.subarray(0, end));
  for (let i = 0; i < CHECKSUM_BYTES; i++) bytes[end + i] = checksum >>> (8 * i);
  return bytes;
}

/**
 * Reads the frame that `bytes` holds from its first to its last byte. The payload is a view.
 * @throws {CompressionError} ERR_PERF_COMPRESSION_TRUNCATED, _CORRUPT or _UNSUPPORTED.
 */
export function readFrame(bytes: Uint8Array): Frame {
  const { frame, sizeBytes } = readFramePrefix(bytes);
  if (sizeBytes !== bytes.length) throw corrupt(`${bytes.length - sizeBytes} bytes follow the frame`);
  return frame;
}

/**
 * Reads the frame that `bytes` begins with, and its size.
 * @throws {CompressionError} ERR_PERF_COMPRESSION_TRUNCATED when more bytes are needed, _CORRUPT, _UNSUPPORTED.
 */
export function readFramePrefix(
  bytes: Uint8Array,
  maxPayloadBytes: number = Number.MAX_SAFE_INTEGER,
): { frame: Frame; sizeBytes: number } {
  const reader = new ByteReader(bytes);
  if (reader.u8() !== MAGIC_0) throw corrupt('not a compression frame');
  if (reader.u8() !== MAGIC_1) throw corrupt('not a compression frame');
  const versionAndReference = reader.u8();
  const version = versionAndReference >> 4;
  if (version !== VERSION)
    throw unsupported(`frame version ${version}; this release reads version ${VERSION}`);
  const bodyAndCodec = reader.u8();
  const bodySize = reader.varint();
  const payloadSize = reader.varint();
  if (payloadSize > maxPayloadBytes) throw corrupt(`a payload of ${payloadSize} bytes is not possible here`);
  const reference = readReference(reader, versionAndReference & 15);
  if (payloadSize + CHECKSUM_BYTES > reader.remaining) throw truncated('the frame is cut off');
  const payload = reader.bytes(payloadSize);
  const checked = bytes.subarray(0, reader.at);
  if (crc32(checked) !== reader.u32()) throw corrupt('the checksum of the frame does not match');
  const frame = { body: bodyAndCodec >> 4, codec: bodyAndCodec & 15, bodySize, payload, reference };
  return { frame, sizeBytes: reader.at };
}

function readReference(reader: ByteReader, code: number): Reference | undefined {
  if (code === REFERENCE.none) return undefined;
  if (code === REFERENCE.dictionary) {
    return { dictionaryId: Buffer.from(reader.bytes(reader.u8())).toString(), crc: reader.u32() };
  }
  if (code !== REFERENCE.base) throw corrupt('unknown kind of reference');
  return { dictionaryId: undefined, sizeBytes: reader.varint(), crc: reader.u32(), bodyCrc: reader.u32() };
}
