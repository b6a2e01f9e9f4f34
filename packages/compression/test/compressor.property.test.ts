// Round trips over arbitrary values, and what damage does to a frame. Every property compares with the plain value.
import { CompressionError, Compressor } from '@perf/compression';
import type { CompressOptions } from '@perf/compression';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

const compressor = new Compressor();
const goals = fc.constantFrom<'fast' | 'balanced' | 'small'>('fast', 'balanced', 'small');

function roundTrip(value: unknown, options: CompressOptions): unknown {
  const reading = options.base === undefined ? {} : { base: options.base };
  return compressor.decompress(compressor.compress(value, options), reading);
}

/** JSON values, negative zero included. */
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.string({ unit: 'binary' }),
    fc.array(tie('value'), { maxLength: 6 }),
    fc.dictionary(fc.string(), tie('value'), { maxKeys: 6, noNullPrototype: true }),
  ),
})).value;

describe('round trips', () => {
  test('any JSON value comes back deeply equal, signs of zero included', () => {
    fc.assert(
      fc.property(json, goals, (value, goal) => {
        expect(roundTrip(value, { kind: 'json', goal })).toStrictEqual(value);
      }),
      { numRuns: 300 },
    );
  });

  test('any string comes back equal, lone surrogates included', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(0xffff), { maxLength: 300 }), goals, (units, goal) => {
        const text = String.fromCharCode(...units);
        expect(roundTrip(text, { goal }) === text).toBe(true);
      }),
    );
  });

  test('any bytes come back equal, with and without a base', () => {
    const bytes = fc.uint8Array({ maxLength: 3000 });
    fc.assert(
      fc.property(bytes, bytes, goals, fc.boolean(), (value, base, goal, related) => {
        const input = related ? Uint8Array.from([...base, ...value, ...base]) : value;
        expect(roundTrip(input, { goal })).toStrictEqual(input);
        expect(roundTrip(input, { goal, base })).toStrictEqual(input);
      }),
    );
  });

  test('any doubles come back bit for bit, NaN, infinities and subnormals included', () => {
    const decimal = fc.integer({ min: -1e6, max: 1e6 }).map((n) => n / 100);
    for (const element of [fc.double(), decimal, fc.maxSafeInteger(), fc.oneof(decimal, fc.double())]) {
      fc.assert(
        fc.property(fc.array(element, { maxLength: 200 }), goals, (list, goal) => {
          const doubles = Float64Array.from(list);
          const back = roundTrip(doubles, { goal }) as Float64Array;
          expect(back).toBeInstanceOf(Float64Array);
          expect(new BigUint64Array(back.buffer)).toStrictEqual(new BigUint64Array(doubles.buffer));
          expect(roundTrip(list, { kind: 'series', goal })).toStrictEqual(list);
        }),
      );
    }
  });

  test('any bit pattern of a Float64Array and a Float32Array comes back bit for bit', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const buffer = Uint8Array.from(bytes.subarray(0, bytes.length - (bytes.length % 8))).buffer;
        const doubles = roundTrip(new Float64Array(buffer), {}) as Float64Array;
        expect(new Uint8Array(doubles.buffer)).toStrictEqual(new Uint8Array(buffer));
        const floats = roundTrip(new Float32Array(buffer), {}) as Float32Array;
        expect(new Uint8Array(floats.buffer)).toStrictEqual(new Uint8Array(buffer));
      }),
    );
  });

  test('decimals with a few odd values among them come back bit for bit', () => {
    const oddWords = [
      0x80000000_00000000n,
      0x7ff00000_00000000n,
      0x7ff80000_00000001n,
      0xfff12345_6789abcdn,
      1n,
    ];
    fc.assert(
      fc.property(
        fc.array(fc.nat(9999), { minLength: 70, maxLength: 300 }),
        fc.nat(69),
        fc.nat(4),
        (list, at, odd) => {
          const doubles = Float64Array.from(list, (n) => n / 100);
          new BigUint64Array(doubles.buffer)[at] = oddWords[odd] ?? 0n;
          const back = roundTrip(doubles, {}) as Float64Array;
          expect(new BigUint64Array(back.buffer)).toStrictEqual(new BigUint64Array(doubles.buffer));
          const floats = Float32Array.from(list, (n) => n / 100);
          new Uint32Array(floats.buffer)[at] = Number((oddWords[odd] ?? 0n) >> 32n) | odd;
          const single = roundTrip(floats, {}) as Float32Array;
          expect(new Uint32Array(single.buffer)).toStrictEqual(new Uint32Array(floats.buffer));
        },
      ),
    );
  });

  test('any integers come back equal in the array type they went in', () => {
    fc.assert(
      fc.property(fc.int32Array(), fc.uint32Array(), fc.bigInt64Array(), (int32, uint32, int64) => {
        for (const value of [int32, uint32, int64]) {
          expect(roundTrip(value, {})).toStrictEqual(value);
          const climbing = value.slice().sort();
          expect(roundTrip(climbing, {})).toStrictEqual(climbing);
        }
      }),
    );
  });

  test('any float32 vector comes back bit for bit', () => {
    const short = fc.integer({ min: -1_000_000, max: 1_000_000 }).map((n) => Math.fround(n / 1e6));
    fc.assert(
      fc.property(fc.array(fc.oneof(short, fc.float()), { maxLength: 300 }), (list) => {
        const vector = Float32Array.from(list);
        const back = roundTrip(vector, { kind: 'vector' }) as Float32Array;
        expect(new Uint32Array(back.buffer)).toStrictEqual(new Uint32Array(vector.buffer));
      }),
    );
  });
});

describe('damage', () => {
  const dictionary = {
    id: 'greetings',
    bytes: Buffer.from('hello, dear user, how can I help you today? '.repeat(4)),
  };
  const base = Buffer.from('the previous version of this text, long enough to be worth a reference');
  const frames: [string, Uint8Array][] = [
    ['a raw frame', compressor.compress('short')],
    ['a deflate frame', compressor.compress('hello hello hello hello hello hello hello hello')],
    ['a zstd frame', compressor.compress(Array.from({ length: 1200 }, (_, i) => i % 7))],
    [
      'a brotli frame',
      compressor.compress('hello hello hello hello hello hello hello hello', { goal: 'small' }),
    ],
    ['a frame of numbers', compressor.compress(Float64Array.from({ length: 64 }, (_, i) => i / 10))],
    [
      'a frame with a dictionary',
      compressor.compress('hello, dear user, how are you today?', { dictionary }),
    ],
    ['a frame with a base', compressor.compress('the previous version of that text, changed', { base })],
  ];

  function errorOf(frame: Uint8Array): string {
    for (const reading of [{}, { dictionary }, { base }]) {
      try {
        compressor.decompress(frame, reading);
        return 'no error';
      } catch (error) {
        if (!(error instanceof CompressionError)) throw error;
        if (!error.code.includes('DICTIONARY')) return error.code;
      }
    }
    return 'ERR_PERF_COMPRESSION_DICTIONARY';
  }

  test.each(frames)('every flipped bit of %s is a typed error', (_name, frame) => {
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const damaged = Uint8Array.from(frame);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(errorOf(damaged)).toMatch(/^ERR_PERF_COMPRESSION_(CORRUPT|TRUNCATED|UNSUPPORTED|TOO_LARGE)$/);
    }
  });

  test.each(frames)('every truncation of %s is reported as truncated', (_name, frame) => {
    for (let length = 0; length < frame.length; length++) {
      expect(errorOf(frame.subarray(0, length))).toBe('ERR_PERF_COMPRESSION_TRUNCATED');
    }
  });

  test.each(frames)('%s followed by another byte is corrupt', (_name, frame) => {
    expect(errorOf(Uint8Array.from([...frame, 0]))).toBe('ERR_PERF_COMPRESSION_CORRUPT');
  });

  test('arbitrary bytes never decode', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, withMagic) => {
        const frame = withMagic ? Uint8Array.from([0xd7, 0x50, 0x10, ...bytes]) : bytes;
        expect(errorOf(frame)).toMatch(/^ERR_PERF_COMPRESSION_/);
      }),
    );
  });
});
