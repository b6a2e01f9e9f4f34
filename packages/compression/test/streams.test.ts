import { CompressionError, Compressor } from '@perf/compression';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

const BLOCK = 256 * 1024;

function patterned(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * i + (i >> 7)) & 63);
}

async function through(
  chunks: readonly Uint8Array[],
  stream: TransformStream<Uint8Array, Uint8Array>,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of ReadableStream.from(chunks).pipeThrough(stream)) parts.push(part);
  return Uint8Array.from(Buffer.concat(parts));
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = Math.max(1, sizes[i % Math.max(1, sizes.length)] ?? bytes.length);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

async function codeOf(bytes: Uint8Array, compressor: Compressor = new Compressor()): Promise<string> {
  try {
    await through([bytes], compressor.decompressStream());
  } catch (error) {
    if (error instanceof CompressionError) return error.code;
    throw error;
  }
  return 'no error';
}

describe('streams', () => {
  test('bytes come back whatever the chunks on either side', async () => {
    const compressor = new Compressor();
    const sizes = fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(fc.nat(20_000), sizes, sizes, async (size, inSizes, outSizes) => {
        const input = patterned(size);
        const packed = await through(cut(input, inSizes), compressor.compressStream());
        expect(await through(cut(packed, outSizes), compressor.decompressStream())).toStrictEqual(input);
      }),
      { numRuns: 40 },
    );
  });

  test('inputs around the block size come back', async () => {
    const compressor = new Compressor();
    for (const size of [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5]) {
      const input = patterned(size);
      const packed = await through([input], compressor.compressStream({ goal: 'fast' }));
      expect(Buffer.compare(await through([packed], compressor.decompressStream()), input)).toBe(0);
    }
  });

  test('a stream with a dictionary needs it back', async () => {
    const compressor = new Compressor();
    const dictionary = { id: 'd', bytes: patterned(3000) };
    const packed = await through([patterned(2000)], compressor.compressStream({ dictionary }));
    expect(await codeOf(packed)).toBe('ERR_PERF_COMPRESSION_DICTIONARY_MISSING');
    expect(await through([packed], compressor.decompressStream({ dictionary }))).toStrictEqual(
      patterned(2000),
    );
  });

  test('every truncation of a stream is reported as truncated', async () => {
    const packed = await through([patterned(700)], new Compressor().compressStream());
    for (let length = 0; length < packed.length; length++) {
      expect(await codeOf(packed.subarray(0, length))).toBe('ERR_PERF_COMPRESSION_TRUNCATED');
    }
  });

  test('every flipped bit of a stream is a typed error', async () => {
    const packed = await through([patterned(70)], new Compressor().compressStream());
    for (let bit = 0; bit < packed.length * 8; bit++) {
      const damaged = Uint8Array.from(packed);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(await codeOf(damaged)).toMatch(/^ERR_PERF_COMPRESSION_/);
    }
  });

  test('a lost, repeated or swapped block is corrupt', async () => {
    const compressor = new Compressor();
    const whole = await through([patterned(2 * BLOCK)], compressor.compressStream());
    const first = await through([patterned(BLOCK)], compressor.compressStream());
    const sizeOfEnd = (await through([], compressor.compressStream())).length;
    const a = first.subarray(0, first.length - sizeOfEnd - 2);
    expect(Buffer.compare(whole.subarray(0, a.length), a)).toBe(0);
    const rest = whole.subarray(a.length);
    expect(await codeOf(rest)).toBe('ERR_PERF_COMPRESSION_CORRUPT');
    expect(await codeOf(Uint8Array.from(Buffer.concat([a, a, rest])))).toBe('ERR_PERF_COMPRESSION_CORRUPT');
  });

  test('bytes after the end, and a single frame, are not a stream', async () => {
    const compressor = new Compressor();
    const packed = await through([patterned(70)], compressor.compressStream());
    expect(await codeOf(Uint8Array.from([...packed, 1]))).toBe('ERR_PERF_COMPRESSION_CORRUPT');
    expect(await codeOf(compressor.compress('a'))).toBe('ERR_PERF_COMPRESSION_CORRUPT');
    const end = await through([], compressor.compressStream());
    expect(() => compressor.decompress(end)).toThrow(/decompressStream/);
  });

  test('a stream that would grow past maxOutputBytes is refused', async () => {
    const packed = await through([new Uint8Array(3 * BLOCK)], new Compressor().compressStream());
    expect(await codeOf(packed, new Compressor({ maxOutputBytes: 2 * BLOCK }))).toBe(
      'ERR_PERF_COMPRESSION_TOO_LARGE',
    );
  });

  test('endless bytes that are no frame fail before they pile up', async () => {
    const header = Uint8Array.of(0xd7, 0x50, 0x10, 0x60, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0x7f);
    expect(await codeOf(header)).toBe('ERR_PERF_COMPRESSION_CORRUPT');
  });

  test('chunks that are not bytes error the stream', async () => {
    const chunks = ['text'] as unknown as Uint8Array[];
    await expect(through(chunks, new Compressor().compressStream())).rejects.toThrow(TypeError);
    await expect(through(chunks, new Compressor().decompressStream())).rejects.toThrow(TypeError);
  });
});
