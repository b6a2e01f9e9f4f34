import { ChunkStore, CompressionError, VersionChain } from '@perf/compression';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chunkEnds } from '../src/rolling-hash.ts';
import { versions } from './recorded-data.ts';

function noise(size: number, seed = 1): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length: size }, () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
    return state >>> 24;
  });
}

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof CompressionError) return error.code;
    throw error;
  }
  return 'no error';
}

describe('chunk boundaries', () => {
  test('cover the bytes, in chunks between a quarter and eight times the average', () => {
    const bytes = noise(2_000_000);
    const ends = chunkEnds(bytes, 4096);
    const sizes = ends.map((end, i) => end - (ends[i - 1] ?? 0));
    expect(ends.at(-1)).toBe(bytes.length);
    expect(Math.min(...sizes.slice(0, -1))).toBeGreaterThanOrEqual(1024);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(8 * 4096);
    const average = bytes.length / ends.length;
    expect(average).toBeGreaterThan(2500);
    expect(average).toBeLessThan(7000);
  });

  test('bytes without any variety are cut at the limit, and nothing at nothing', () => {
    expect(chunkEnds(new Uint8Array(0), 4096)).toStrictEqual([]);
    expect(chunkEnds(Uint8Array.of(1), 4096)).toStrictEqual([1]);
    expect(chunkEnds(new Uint8Array(100_000), 4096).at(-1)).toBe(100_000);
  });

  test('an insertion changes only the chunks around it', () => {
    const before = noise(500_000);
    const after = Uint8Array.from([...before.subarray(0, 250_000), 1, 2, 3, ...before.subarray(250_000)]);
    const kept = new Set(chunkEnds(before, 4096).map((end) => (end > 250_000 ? end + 3 : end)));
    const changed = chunkEnds(after, 4096).filter((end) => !kept.has(end));
    expect(changed.length).toBeLessThan(8);
  });
});

describe('ChunkStore', () => {
  test('versions of a document share their chunks', () => {
    const store = new ChunkStore({ averageChunkBytes: 1024 });
    const documents = versions('lru-cache-src');
    for (const [i, document] of documents.entries()) store.put(String(i), document);
    for (const [i, document] of documents.entries()) {
      expect(Buffer.compare(store.get(String(i)) ?? Buffer.of(), document)).toBe(0);
    }
    const { rawBytes, storedBytes, entries } = store.stats();
    expect(entries).toBe(documents.length);
    expect(rawBytes / storedBytes).toBeGreaterThan(12);
  });

  test('behaves like a map of byte strings, and is empty when everything is deleted', () => {
    const parts = [noise(3000, 1), noise(3000, 2), noise(700, 3), new Uint8Array(0)];
    const value = fc
      .array(fc.nat(parts.length - 1), { maxLength: 4 })
      .map((picks) => Uint8Array.from(Buffer.concat(picks.map((pick) => parts[pick] ?? Buffer.of()))));
    const step = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.option(value));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 15 }), (steps) => {
        const store = new ChunkStore({ averageChunkBytes: 256 });
        const model = new Map<string, Uint8Array>();
        for (const [key, bytes] of steps) {
          if (bytes === null) store.delete(key);
          else store.put(key, bytes);
          if (bytes === null) model.delete(key);
          else model.set(key, bytes);
          for (const name of ['a', 'b', 'c', 'd']) expect(store.get(name)).toStrictEqual(model.get(name));
          expect(store.size).toBe(model.size);
          expect(store.stats().rawBytes).toBe([...model.values()].reduce((sum, one) => sum + one.length, 0));
        }
        for (const key of model.keys()) expect(store.delete(key)).toBe(true);
        expect(store.stats()).toStrictEqual({ entries: 0, chunks: 0, rawBytes: 0, storedBytes: 0 });
        expect(store.delete('a')).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  test('what repeats costs nothing, within an entry and between entries', () => {
    const store = new ChunkStore();
    const bytes = noise(200_000);
    const first = store.put('a', bytes);
    expect(first.newChunks).toBe(first.chunks);
    expect(store.put('b', bytes)).toStrictEqual({ chunks: first.chunks, newChunks: 0, storedBytes: 0 });
    expect(store.has('b')).toBe(true);
    store.delete('a');
    expect(store.get('b')).toStrictEqual(bytes);
  });

  test('a put past the limit is refused and changes nothing', () => {
    const store = new ChunkStore({ maxStoredBytes: 20_000 });
    store.put('a', noise(10_000));
    const before = store.stats();
    expect(code(() => store.put('a', noise(30_000, 5)))).toBe('ERR_PERF_COMPRESSION_TOO_LARGE');
    expect(store.stats()).toStrictEqual(before);
    expect(store.get('a')).toStrictEqual(noise(10_000));
  });

  test('wrong arguments are refused by name', () => {
    expect(() => new ChunkStore({ averageChunkBytes: 1000 })).toThrow(/averageChunkBytes/);
    expect(() => new ChunkStore({ maxStoredBytes: 0 })).toThrow(/maxStoredBytes/);
    expect(() => new ChunkStore({ goal: 'best' as 'small' })).toThrow(/goal/);
    expect(() => new ChunkStore().put(1 as unknown as string, noise(1))).toThrow(/key/);
    expect(() => new ChunkStore().put('a', 'b' as unknown as Uint8Array)).toThrow(/bytes/);
  });
});

describe('VersionChain', () => {
  test.each(['lru-cache-src', 'pino-api'])('the versions of %s take less than a fortieth', (name) => {
    const documents = versions(name);
    const chain = new VersionChain();
    for (const [i, document] of documents.entries()) expect(chain.append(document)).toBe(i);
    expect(chain.length).toBe(documents.length);
    const read = VersionChain.deserialize(chain.serialize());
    for (const [i, document] of documents.entries()) {
      expect(Buffer.compare(chain.get(i), document)).toBe(0);
      expect(Buffer.compare(read.get(i), document)).toBe(0);
    }
    const raw = documents.reduce((sum, document) => sum + document.length, 0);
    expect(raw / chain.sizeBytes).toBeGreaterThan(40);
    expect(read.sizeBytes).toBe(chain.sizeBytes);
  });

  test('any versions come back, also after more were appended to a chain that was read', () => {
    const version = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(
        fc.array(version, { maxLength: 12 }),
        fc.array(version, { maxLength: 5 }),
        fc.integer({ min: 1, max: 5 }),
        (first, second, keyframeEvery) => {
          const chain = new VersionChain({ keyframeEvery });
          for (const bytes of first) chain.append(bytes);
          const read = VersionChain.deserialize(chain.serialize());
          for (const bytes of second) read.append(bytes);
          expect(Array.from({ length: read.length }, (_, i) => read.get(i))).toStrictEqual([
            ...first,
            ...second,
          ]);
        },
      ),
    );
  });

  test('versions are copies', () => {
    const chain = new VersionChain();
    const bytes = Uint8Array.of(1, 2, 3);
    chain.append(bytes);
    bytes[0] = 9;
    chain.get(0)[0] = 8;
    expect(chain.get(0)).toStrictEqual(Uint8Array.of(1, 2, 3));
  });

  test('every truncation and every flipped bit of a serialised chain is refused', () => {
    const chain = new VersionChain({ keyframeEvery: 2 });
    for (const text of ['one line of text, and another', 'one line of text, or another', 'short']) {
      chain.append(Buffer.from(text));
    }
    const whole = chain.serialize();
    for (let length = 0; length < whole.length; length++) {
      expect(code(() => VersionChain.deserialize(whole.subarray(0, length)))).toMatch(/TRUNCATED/);
    }
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const damaged = Uint8Array.from(whole);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(code(() => VersionChain.deserialize(damaged))).toMatch(/CORRUPT|TRUNCATED/);
    }
    expect(code(() => VersionChain.deserialize(Uint8Array.from([...whole, 0])))).toMatch(/CORRUPT/);
  });

  test('wrong arguments are refused by name', () => {
    const chain = new VersionChain();
    expect(() => new VersionChain({ keyframeEvery: 0 })).toThrow(/keyframeEvery/);
    expect(() => new VersionChain({ maxOutputBytes: 0 })).toThrow(/maxOutputBytes/);
    expect(() => chain.append('text' as unknown as Uint8Array)).toThrow(/bytes/);
    expect(() => chain.get(0)).toThrow(/index/);
    expect(() => VersionChain.deserialize('x' as unknown as Uint8Array)).toThrow(TypeError);
  });
});
