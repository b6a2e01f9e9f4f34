import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CompressionError, Compressor, DictionaryStore, trainDictionary } from '@perf/compression';
import { afterAll, describe, expect, test } from 'vitest';
import { lines } from './recorded-data.ts';

const scratch = mkdtempSync(join(tmpdir(), 'perf-dictionaries-'));
afterAll(() => rmSync(scratch, { recursive: true }));

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof CompressionError) return error.code;
    throw error;
  }
  return 'no error';
}

describe('trainDictionary', () => {
  const messages = lines('tau-airline-messages');
  const training = messages.slice(0, Math.floor(messages.length * 0.8));
  const later = messages.slice(training.length);
  const trained = trainDictionary(training, { maxBytes: 32 * 1024 });
  const sizeOf = (options: Parameters<Compressor['compress']>[1]): number => {
    const compressor = new Compressor();
    return later.reduce((sum, message) => sum + compressor.compress(message, options).length, 0);
  };

  test('messages of later sessions take less than a third of their size without it', () => {
    const without = sizeOf({});
    const withIt = sizeOf({ dictionary: trained });
    expect(without / withIt).toBeGreaterThan(2.5);
  });

  test('beats the newest messages taken as a dictionary of the same size', () => {
    const tail = { id: 'tail', bytes: Buffer.concat(training).subarray(-32 * 1024) };
    expect(sizeOf({ dictionary: trained })).toBeLessThan(sizeOf({ dictionary: tail }));
  });

  test('is named by its content and depends on the samples alone', () => {
    const again = trainDictionary(training, { maxBytes: 32 * 1024 });
    expect(again).toStrictEqual(trained);
    expect(trained.bytes.length).toBeLessThanOrEqual(32 * 1024);
    expect(createHash('sha256').update(trained.bytes).digest('base64url').startsWith(trained.id)).toBe(true);
  });

  test('auto takes a small dictionary when a larger one gains nothing', () => {
    const greeting = Array.from({ length: 200 }, (_, i) =>
      Buffer.from(`{"greeting":"hello, user ${i * 7}","ok":true}`),
    );
    const { bytes } = trainDictionary(greeting);
    expect(bytes.length).toBeLessThanOrEqual(4096);
    const compressor = new Compressor();
    const message = '{"greeting":"hello, user 12345","ok":true}';
    const dictionary = { id: 'g', bytes };
    expect(compressor.compress(message, { dictionary }).length).toBeLessThan(
      compressor.compress(message).length,
    );
  });

  test('samples without anything in common still give a dictionary that works', () => {
    const noise = Array.from({ length: 20 }, (_, i) => createHash('sha512').update(String(i)).digest());
    expect(code(() => new Compressor().compress('x', { dictionary: trainDictionary(noise) }))).toBe(
      'no error',
    );
  });

  test('too few samples, wrong samples and sizes out of range are refused', () => {
    expect(() => trainDictionary([])).toThrow(RangeError);
    expect(() => trainDictionary([Buffer.alloc(1000)])).toThrow(/samples/);
    expect(() => trainDictionary(['text' as unknown as Uint8Array])).toThrow(TypeError);
    expect(() => trainDictionary(training, { maxBytes: 1 })).toThrow(/maxBytes/);
    expect(() => trainDictionary(training, { maxBytes: '1k' as 'auto' })).toThrow(TypeError);
  });
});

describe('DictionaryStore', () => {
  const one = { id: 'one', bytes: Uint8Array.of(1, 2, 3) };
  const two = { id: 'zwei ä', bytes: Uint8Array.from({ length: 3000 }, (_, i) => i) };

  test('gives back what was added, as a copy', () => {
    const store = new DictionaryStore();
    const bytes = Uint8Array.of(1, 2, 3);
    store.add({ id: 'one', bytes });
    bytes[0] = 9;
    expect(store.get('one')).toStrictEqual(one);
    expect(store.get('two')).toBeUndefined();
    expect(store.add(one).size).toBe(1);
    expect(code(() => store.add({ id: 'one', bytes }))).toBe('ERR_PERF_COMPRESSION_DICTIONARY_MISMATCH');
    expect(store.ids()).toStrictEqual(['one']);
  });

  test('a file keeps them over openings', () => {
    const path = join(scratch, 'kept');
    DictionaryStore.open({ path }).add(one).add(two);
    const store = DictionaryStore.open({ path });
    expect(store.ids()).toStrictEqual(['one', 'zwei ä']);
    expect(store.get('zwei ä')).toStrictEqual(two);
    expect(readdirSync(scratch)).not.toContainEqual(expect.stringContaining('.tmp'));
  });

  test('opening a file that is not there creates nothing', () => {
    const path = join(scratch, 'absent');
    expect(DictionaryStore.open({ path }).size).toBe(0);
    expect(readdirSync(scratch)).not.toContain('absent');
  });

  test('every truncation and every flipped bit of a file is refused, and the file left as it is', () => {
    const path = join(scratch, 'damaged');
    rmSync(path, { force: true });
    DictionaryStore.open({ path })
      .add(one)
      .add({ id: 'b', bytes: Uint8Array.of(4) });
    const whole = readFileSync(path);
    const record = whole.length - 'perf-dictionaries 1\n'.length;
    expect(record).toBe(2 * 6 + 3 + 3 + 1 + 1);
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      const wholeRecords = length === 20 || length === 20 + 12;
      expect(code(() => DictionaryStore.open({ path }))).toMatch(
        wholeRecords ? /no error/ : /CORRUPT|TRUNCATED/,
      );
      expect(readFileSync(path).length).toBe(length);
    }
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const damaged = Buffer.from(whole);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      writeFileSync(path, damaged);
      expect(code(() => DictionaryStore.open({ path }))).toMatch(/CORRUPT|TRUNCATED/);
      expect(readFileSync(path).equals(damaged)).toBe(true);
    }
  });

  test('a folder that is not there, and a path that is none, fail without harm', () => {
    expect(() => DictionaryStore.open({ path: '' })).toThrow(TypeError);
    const store = DictionaryStore.open({ path: join(scratch, 'no/such/folder') });
    expect(() => store.add(one)).toThrow(/ENOENT/);
    expect(store.get('one')).toBeUndefined();
  });
});
