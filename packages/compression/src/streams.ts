// A compressed stream is a sequence of frames: blocks (body kind streamBlock, up to 256 KiB each), then one streamEnd
// frame that seals how many bytes came before and their running CRC-32. So every block is checked on its own before it
// is passed on, and a stream that lost, repeated or reordered blocks, or its end, cannot finish without an error.
//
// Blocks are gathered until full: output follows input by at most one block, and memory stays at a few blocks.
import { crc32 } from 'node:zlib';
import { ByteReader, ByteWriter } from './byte-sequence.ts';
import { CompressionError, corrupt, tooLarge, truncated } from './errors.ts';
import { BODY, CODEC, readFramePrefix, writeFrame } from './frame.ts';

export const STREAM_BLOCK_BYTES: number = 256 * 1024;
/** A payload is never larger than its block: what does not shrink is stored raw. */
const MAX_PAYLOAD_BYTES = STREAM_BLOCK_BYTES;
/** Magic, sizes, a dictionary id of 255 bytes, fingerprints and checksum, rounded up. */
const MAX_OVERHEAD_BYTES = 512;

export function compressionStream(
  encodeBlock: (block: Uint8Array) => Promise<Uint8Array>,
): TransformStream<Uint8Array, Uint8Array> {
  const block = new Uint8Array(STREAM_BLOCK_BYTES);
  let filled = 0;
  let total = 0;
  let crc = 0;
  const emit = async (controller: TransformStreamDefaultController<Uint8Array>): Promise<void> => {
    if (filled === 0) return;
    const bytes = block.subarray(0, filled);
    total += filled;
    crc = crc32(bytes, crc);
    controller.enqueue(await encodeBlock(bytes));
    filled = 0;
  };
  return new TransformStream<Uint8Array, Uint8Array>({
    async transform(chunk, controller) {
      checkChunk(chunk);
      let at = 0;
      while (at < chunk.length) {
        const taken = Math.min(chunk.length - at, STREAM_BLOCK_BYTES - filled);
        block.set(chunk.subarray(at, at + taken), filled);
        filled += taken;
        at += taken;
        if (filled === STREAM_BLOCK_BYTES) await emit(controller);
      }
    },
    async flush(controller) {
      await emit(controller);
      controller.enqueue(endFrame(total, crc));
    },
  });
}

export function decompressionStream(
  decodeBlock: (frame: Uint8Array) => Promise<Uint8Array>,
  maxOutputBytes: number,
): TransformStream<Uint8Array, Uint8Array> {
  // Received and not yet decoded: received[start, end). A frame that is still incomplete is shorter than the largest one,
  // and input is taken in pieces of at most a block, so this never runs over.
  const received = new Uint8Array(MAX_PAYLOAD_BYTES + MAX_OVERHEAD_BYTES + STREAM_BLOCK_BYTES);
  let start = 0;
  let end = 0;
  let total = 0;
  let crc = 0;
  let ended = false;

  /** Handles the first received frame; false when more bytes are needed for that. */
  const takeFrame = async (controller: TransformStreamDefaultController<Uint8Array>): Promise<boolean> => {
    if (start === end) return false;
    if (ended) throw corrupt('bytes follow the end of the stream');
    const read = frameOrUndefined(received.subarray(start, end));
    if (read === undefined) return false;
    const { frame, sizeBytes } = read;
    const bytes = received.subarray(start, start + sizeBytes);
    start += sizeBytes;
    if (frame.body === BODY.streamEnd) {
      const seal = new ByteReader(frame.payload);
      if (seal.varint() !== total || seal.u32() !== crc) throw corrupt('the stream lost or changed blocks');
      ended = true;
      return true;
    }
    if (frame.body !== BODY.streamBlock)
      throw corrupt('not a compressed stream; a single frame needs decompress()');
    if (frame.bodySize > STREAM_BLOCK_BYTES) throw corrupt('a block of the stream is too large');
    total += frame.bodySize;
    if (total > maxOutputBytes)
      throw tooLarge(`the stream holds more than maxOutputBytes (${maxOutputBytes})`);
    const block = await decodeBlock(bytes);
    crc = crc32(block, crc);
    controller.enqueue(new Uint8Array(block));
    return true;
  };

  return new TransformStream<Uint8Array, Uint8Array>({
    async transform(chunk, controller) {
      checkChunk(chunk);
      let at = 0;
      while (at < chunk.length) {
        const piece = chunk.subarray(at, at + STREAM_BLOCK_BYTES);
        at += piece.length;
        received.copyWithin(0, start, end);
        received.set(piece, end - start);
        end += piece.length - start;
        start = 0;
        while (await takeFrame(controller));
      }
    },
    flush() {
      if (!ended) throw truncated('the stream is cut off');
    },
  });
}

function frameOrUndefined(bytes: Uint8Array): ReturnType<typeof readFramePrefix> | undefined {
  try {
    return readFramePrefix(bytes, MAX_PAYLOAD_BYTES);
  } catch (error) {
    const short = error instanceof CompressionError && error.code === 'ERR_PERF_COMPRESSION_TRUNCATED';
    if (short && bytes.length < MAX_PAYLOAD_BYTES + MAX_OVERHEAD_BYTES) return undefined;
    throw error;
  }
}

function endFrame(total: number, crc: number): Uint8Array {
  const payload = new ByteWriter().varint(total).u32(crc).finish();
  return writeFrame({
    body: BODY.streamEnd,
    codec: CODEC.raw,
    bodySize: payload.length,
    payload,
    reference: undefined,
  });
}

function checkChunk(chunk: unknown): asserts chunk is Uint8Array {
  if (!(chunk instanceof Uint8Array)) throw new TypeError('the stream takes Uint8Array chunks');
}
