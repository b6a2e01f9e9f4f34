import { crc32 } from 'node:zlib';
import { CompressionError, Compressor, DictionaryStore } from '@perf/compression';
import { describe, expect, test } from 'vitest';

const text = 'The quick brown fox jumps over the lazy dog. '.repeat(40);

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof CompressionError) return error.code;
    throw error;
  }
  return 'no error';
}

/** Rewrites the checksum after `change`, as a forger would: only the formats inside are left to refuse it. */
function forged(frame: Uint8Array, change: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = Uint8Array.from(frame);
  change(bytes);
  const checksum = crc32(bytes.subarray(0, -4));
  for (let i = 0; i < 4; i++) bytes[bytes.length - 4 + i] = checksum >>> (8 * i);
  return bytes;
}

describe('kinds', () => {
  const compressor = new Compressor();

  test('auto tells text, bytes, vectors, series and JSON apart', () => {
    expect(compressor.decompress(compressor.compress(text))).toBe(text);
    expect(compressor.decompress(compressor.compress(Buffer.from(text)))).toStrictEqual(
      Uint8Array.from(Buffer.from(text)),
    );
    for (const value of [new Float32Array(9), new Float64Array(9), new Int32Array(9), new BigInt64Array(9)]) {
      expect(compressor.decompress(compressor.compress(value))).toStrictEqual(value);
    }
    const message = { role: 'user', content: text, tokens: [1, 2.5, -0], done: true, error: null };
    expect(compressor.decompress(compressor.compress(message))).toStrictEqual(message);
  });

  test('empty values of every kind come back', () => {
    for (const value of [
      '',
      new Uint8Array(0),
      new Float32Array(0),
      new Float64Array(0),
      {},
      [],
      null,
      0,
      false,
    ]) {
      expect(compressor.decompress(compressor.compress(value))).toStrictEqual(value);
    }
  });

  test('bytes come back as a copy that shares nothing with the frame', () => {
    const frame = compressor.compress(Uint8Array.of(1, 2, 3));
    const back = compressor.decompress<Uint8Array>(frame);
    back[0] = 9;
    expect(compressor.decompress(frame)).toStrictEqual(Uint8Array.of(1, 2, 3));
  });

  test.each([
    ['a bigint', 1n],
    ['a function', () => 1],
    ['undefined', undefined],
    ['a symbol', Symbol('s')],
    ['NaN', Number.NaN],
    ['an infinity', Infinity],
    ['a Date', new Date(0)],
    ['a Map', new Map()],
    ['a typed array without a lossless kind', new Uint16Array(2)],
    ['an undefined member', { a: undefined }],
    ['an undefined item', [undefined]],
    ['a NaN inside', { a: [Number.NaN] }],
    ['a symbol key', { [Symbol('s')]: 1 }],
  ])('%s has no exact JSON and is a TypeError', (_name, value) => {
    expect(() => compressor.compress(value)).toThrow(TypeError);
  });

  test('a sparse array, an instance of a class and a cycle are TypeErrors', () => {
    class Point {
      x = 1;
    }
    const cycle: { self?: unknown; list: unknown[] } = { list: [] };
    cycle.list.push(cycle);
    // oxlint-disable-next-line no-sparse-arrays -- the hole is the point
    expect(() => compressor.compress([1, , 3])).toThrow(TypeError);
    expect(() => compressor.compress(new Point())).toThrow(TypeError);
    expect(() => compressor.compress(cycle)).toThrow(TypeError);
  });

  test('the TypeError names the path of what is not exact', () => {
    expect(() => compressor.compress({ messages: [{ cost: Number.NaN }] })).toThrow(
      'value.messages[0].cost: NaN',
    );
  });

  test('an own __proto__ key survives and pollutes nothing', () => {
    const value: unknown = JSON.parse('{"__proto__": {"admin": true}}');
    const back = compressor.decompress<object>(compressor.compress(value));
    expect(Object.keys(back)).toStrictEqual(['__proto__']);
    expect('admin' in {}).toBe(false);
  });

  test('a value of the wrong kind is a TypeError', () => {
    expect(() => compressor.compress(1, { kind: 'text' })).toThrow(TypeError);
    expect(() => compressor.compress('a', { kind: 'bytes' })).toThrow(TypeError);
    expect(() => compressor.compress('a', { kind: 'series' })).toThrow(TypeError);
    expect(() => compressor.compress([1, 'a'], { kind: 'series' })).toThrow(TypeError);
    expect(() => compressor.compress(new Int32Array(1), { kind: 'vector' })).toThrow(TypeError);
  });
});

describe('options', () => {
  test('options out of range or of the wrong type are refused by name', () => {
    const compressor = new Compressor();
    expect(() => new Compressor({ maxOutputBytes: 0 })).toThrow(/maxOutputBytes/);
    expect(() => new Compressor({ maxOutputBytes: 1.5 })).toThrow(RangeError);
    expect(() => new Compressor({ dictionaries: {} as DictionaryStore })).toThrow(/dictionaries/);
    expect(() => compressor.compress('a', { kind: 'video' as 'text' })).toThrow(/kind must be one of/);
    expect(() => compressor.compress('a', { goal: 'tiny' as 'small' })).toThrow(/goal must be one of/);
    expect(() => compressor.compress('a', { base: 'a' as unknown as Uint8Array })).toThrow(/base/);
    const dictionary = { id: 'd', bytes: Buffer.from('d') };
    expect(() => compressor.compress('a', { base: Buffer.from('b'), dictionary })).toThrow(/not both/);
    expect(() => compressor.compress('a', { dictionary: { ...dictionary, id: '' } })).toThrow(RangeError);
    expect(() => compressor.compress('a', { dictionary: { id: 'd', bytes: new Uint8Array(0) } })).toThrow(
      RangeError,
    );
    expect(() => compressor.decompress('frame' as unknown as Uint8Array)).toThrow(TypeError);
  });

  test('a disposed compressor refuses work', () => {
    const compressor = new Compressor();
    compressor[Symbol.dispose]();
    compressor[Symbol.dispose]();
    expect(code(() => compressor.compress('a'))).toBe('ERR_PERF_COMPRESSION_CLOSED');
    expect(code(() => compressor.decompress(new Uint8Array(9)))).toBe('ERR_PERF_COMPRESSION_CLOSED');
    expect(code(() => compressor.compressStream())).toBe('ERR_PERF_COMPRESSION_CLOSED');
  });
});

describe('choice', () => {
  const compressor = new Compressor();
  const noise = Uint8Array.from({ length: 500 }, (_, i) => Math.imul(i + 1, 2654435761) >>> 24);

  test.each(['fast', 'balanced', 'small'] as const)(
    'explain names what compress makes for goal %s',
    (goal) => {
      for (const value of [
        'tiny',
        text,
        noise,
        text.repeat(20),
        Float64Array.from({ length: 500 }, (_, i) => i / 4),
      ]) {
        for (const base of [undefined, Buffer.from(text)]) {
          const options = base === undefined ? { goal } : { goal, base };
          const chosen = compressor.explain(value, options).filter((candidate) => candidate.chosen);
          expect(chosen).toHaveLength(1);
          expect(chosen[0]?.sizeBytes).toBe(compressor.compress(value, options).length);
        }
      }
    },
  );

  test('what does not shrink is stored raw with a few bytes of frame', () => {
    const frame = compressor.compress(noise, { goal: 'small' });
    expect(frame.length).toBeLessThanOrEqual(noise.length + 12);
    expect(compressor.explain(noise).find((candidate) => candidate.chosen)?.codec).toBe('raw');
  });

  test('goal small is never larger than goal balanced here', () => {
    for (const value of [
      text,
      text.repeat(50),
      Array.from({ length: 300 }, (_, i) => ({ i, even: i % 2 === 0 })),
    ]) {
      const small = compressor.compress(value, { goal: 'small' }).length;
      expect(small).toBeLessThanOrEqual(compressor.compress(value, { goal: 'balanced' }).length);
    }
  });

  test('numbers that change their nature after the first thousands come back', () => {
    const decimals = Float64Array.from({ length: 9000 }, (_, i) => (i < 6000 ? i / 100 : Math.sin(i)));
    const integers = Array.from({ length: 9000 }, (_, i) => (i < 6000 ? i : i * 2 ** 40));
    expect(compressor.decompress(compressor.compress(decimals))).toStrictEqual(decimals);
    expect(compressor.decompress(compressor.compress(integers, { kind: 'series' }))).toStrictEqual(integers);
  });

  test('short decimals and slow integers take far less than their bytes', () => {
    const temperatures = Float64Array.from(
      { length: 4000 },
      (_, i) => Math.round(200 + 50 * Math.sin(i / 100)) / 10,
    );
    expect(compressor.compress(temperatures).length).toBeLessThan(temperatures.byteLength / 20);
    const clock = BigInt64Array.from(
      { length: 4000 },
      (_, i) => 1_700_000_000_000n + BigInt(i * 250 + (i % 3)),
    );
    expect(compressor.compress(clock).length).toBeLessThan(clock.byteLength / 50);
  });
});

describe('references', () => {
  const base = Buffer.from(
    Array.from({ length: 400 }, (_, i) => `line ${i * 7919} of the document`).join('\n'),
  );
  const next = Buffer.from(base.toString().replace('line 7919 ', 'line changed '));

  test('a base makes the next version small, and only the same base reads it', () => {
    const compressor = new Compressor();
    const frame = compressor.compress(next, { base });
    expect(frame.length).toBeLessThan(100);
    expect(compressor.decompress(frame, { base })).toStrictEqual(Uint8Array.from(next));
    expect(code(() => compressor.decompress(frame))).toBe('ERR_PERF_COMPRESSION_DICTIONARY_MISSING');
    expect(code(() => compressor.decompress(frame, { base: next }))).toBe(
      'ERR_PERF_COMPRESSION_DICTIONARY_MISMATCH',
    );
    const dictionary = { id: 'd', bytes: base };
    expect(code(() => compressor.decompress(frame, { dictionary }))).toBe(
      'ERR_PERF_COMPRESSION_DICTIONARY_MISMATCH',
    );
  });

  test('a base of several MiB is reached to its beginning', () => {
    const compressor = new Compressor();
    let state = 1;
    const large = Uint8Array.from(
      { length: 3_000_000 },
      () => (state = Math.imul(state, 48271) >>> 1) >>> 15,
    );
    const frame = compressor.compress(Uint8Array.from([7, ...large.subarray(0, 500_000)]), { base: large });
    expect(frame.length).toBeLessThan(1000);
  });

  test('a base that begins like a formatted zstd dictionary works as plain content', () => {
    const compressor = new Compressor();
    const odd = Buffer.concat([Buffer.from([0x37, 0xa4, 0x30, 0xec]), base]);
    const value = Buffer.concat([odd, Buffer.from('more')]);
    const frame = compressor.compress(value, { base: odd });
    expect(frame.length).toBeLessThan(100);
    expect(compressor.decompress(frame, { base: odd })).toStrictEqual(Uint8Array.from(value));
  });

  test('a dictionary is found in the store, or taken from the call', () => {
    const dictionary = { id: 'document', bytes: base };
    const writer = new Compressor();
    const message = 'line 15838 of the document and line 23757 of the document';
    const frame = writer.compress(message, { dictionary });
    expect(frame.length).toBeLessThan(writer.compress(message).length);
    expect(new Compressor({ dictionaries: new DictionaryStore().add(dictionary) }).decompress(frame)).toBe(
      message,
    );
    expect(writer.decompress(frame, { dictionary })).toBe(message);
    expect(code(() => writer.decompress(frame))).toBe('ERR_PERF_COMPRESSION_DICTIONARY_MISSING');
    const other = { id: 'other', bytes: base };
    expect(code(() => writer.decompress(frame, { dictionary: other }))).toBe(
      'ERR_PERF_COMPRESSION_DICTIONARY_MISMATCH',
    );
    const changed = { id: 'document', bytes: next };
    expect(code(() => writer.decompress(frame, { dictionary: changed }))).toBe(
      'ERR_PERF_COMPRESSION_DICTIONARY_MISMATCH',
    );
  });

  test('dictionaries and bases of a few bytes work', () => {
    const compressor = new Compressor();
    for (const size of [1, 2, 7, 8, 9]) {
      for (const value of ['abc', text, text.repeat(10)]) {
        const tiny = Buffer.from('abcdefghi'.slice(0, size));
        expect(compressor.decompress(compressor.compress(value, { base: tiny }), { base: tiny })).toBe(value);
      }
    }
  });
});

describe('limits', () => {
  test('a zip bomb is refused before it is inflated', () => {
    const bomb = new Compressor().compress(new Uint8Array(10_000_000));
    expect(bomb.length).toBeLessThan(2000);
    const careful = new Compressor({ maxOutputBytes: 1_000_000 });
    expect(code(() => careful.decompress(bomb))).toBe('ERR_PERF_COMPRESSION_TOO_LARGE');
  });

  test('numbers that would grow past the limit are refused', () => {
    const values = new Float64Array(100_000);
    const careful = new Compressor({ maxOutputBytes: 700_000 });
    expect(code(() => careful.decompress(careful.compress(values)))).toBe('ERR_PERF_COMPRESSION_TOO_LARGE');
  });

  test('a forged frame that holds more than it declares is corrupt', () => {
    const compressor = new Compressor();
    for (const goal of ['fast', 'balanced', 'small'] as const) {
      for (const value of [text, text.repeat(10)]) {
        const frame = compressor.compress(value, { goal });
        const lying = forged(frame, (bytes) => (bytes[4] = ((bytes[4] ?? 0) & 0x80) | 0x01));
        expect(code(() => compressor.decompress(lying))).toBe('ERR_PERF_COMPRESSION_CORRUPT');
      }
    }
  });

  test('a forged frame that holds less than it declares is corrupt', () => {
    const compressor = new Compressor();
    for (const value of ['short', text, text.repeat(10)]) {
      for (const goal of ['fast', 'small'] as const) {
        const frame = compressor.compress(value, { goal });
        const lying = forged(frame, (bytes) => (bytes[4] = (bytes[4] ?? 0) | 0x7f));
        expect(code(() => compressor.decompress(lying))).toBe('ERR_PERF_COMPRESSION_CORRUPT');
      }
    }
  });

  test('a newer version, an unknown codec and an unknown kind are unsupported', () => {
    const compressor = new Compressor();
    const frame = compressor.compress(text);
    const version = forged(frame, (bytes) => (bytes[2] = 0x20));
    const codec = forged(frame, (bytes) => (bytes[3] = ((bytes[3] ?? 0) & 0xf0) | 15));
    const kind = forged(compressor.compress('a'), (bytes) => (bytes[3] = 0xf0));
    for (const bytes of [version, codec, kind]) {
      expect(code(() => compressor.decompress(bytes))).toBe('ERR_PERF_COMPRESSION_UNSUPPORTED');
    }
  });

  test('a valid frame around broken JSON is corrupt', () => {
    const compressor = new Compressor();
    const frame = compressor.compress([1, 2]);
    const broken = forged(frame, (bytes) => (bytes[6] = 0x7b));
    expect(code(() => compressor.decompress(broken))).toBe('ERR_PERF_COMPRESSION_CORRUPT');
  });
});

describe('async', () => {
  const compressor = new Compressor();

  test('compressAsync makes the same frame and decompressAsync the same value', async () => {
    const base = Buffer.from(text);
    for (const value of [text, { a: [1, 2, 3], text }, new Float64Array(100)]) {
      for (const goal of ['fast', 'balanced', 'small'] as const) {
        const frame = await compressor.compressAsync(value, { goal, base });
        expect(frame).toStrictEqual(compressor.compress(value, { goal, base }));
        expect(await compressor.decompressAsync(frame, { base })).toStrictEqual(value);
      }
    }
  });

  test('an aborted signal rejects with its reason, before and during the work', async () => {
    const reason = new Error('enough');
    const before = AbortSignal.abort(reason);
    await expect(compressor.compressAsync(text, { signal: before })).rejects.toBe(reason);
    await expect(compressor.decompressAsync(compressor.compress(text), { signal: before })).rejects.toBe(
      reason,
    );
    const controller = new AbortController();
    const work = compressor.compressAsync(text.repeat(1000), { goal: 'small', signal: controller.signal });
    controller.abort(reason);
    await expect(work).rejects.toBe(reason);
  });

  test('damage rejects with the same codes', async () => {
    const frame = compressor.compress(text);
    await expect(compressor.decompressAsync(frame.subarray(0, 9))).rejects.toMatchObject({
      code: 'ERR_PERF_COMPRESSION_TRUNCATED',
    });
    const lying = forged(frame, (bytes) => (bytes[4] = ((bytes[4] ?? 0) & 0x80) | 0x01));
    await expect(compressor.decompressAsync(lying)).rejects.toMatchObject({
      code: 'ERR_PERF_COMPRESSION_CORRUPT',
    });
  });
});

test('stats count frames, bytes, codecs and failures, as a snapshot', () => {
  const compressor = new Compressor();
  const before = compressor.stats();
  expect(before).toMatchObject({ compressed: 0, decompressed: 0, failures: 0, byCodec: {} });
  const frame = compressor.compress(text);
  compressor.compress('x');
  compressor.decompress(frame);
  expect(code(() => compressor.decompress(frame.subarray(1)))).toBe('ERR_PERF_COMPRESSION_CORRUPT');
  const after = compressor.stats();
  expect(after).toMatchObject({ compressed: 2, decompressed: 1, failures: 1, bytesIn: text.length + 1 });
  expect(after.byCodec).toStrictEqual({ 'deflate-6': 1, raw: 1 });
  expect(after.ratio).toBe(after.bytesIn / after.bytesOut);
  expect(before.compressed).toBe(0);
});
