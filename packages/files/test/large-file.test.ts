import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chunkText, processLargeFile } from '@perf/files';
import type { FileChunk } from '@perf/files';
import { byteLengthOf } from '../src/utf8-offsets.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'perf-files-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, bytes: Uint8Array | string): string {
  const file = path.join(folder, name);
  writeFileSync(file, bytes);
  return file;
}

const keep = (chunk: FileChunk): Promise<FileChunk> => Promise.resolve(chunk);

function expectBytes(chunks: readonly FileChunk[], bytes: Uint8Array): void {
  let at = 0;
  for (const chunk of chunks) {
    expect(chunk.byteStart).toBe(at);
    expect(chunk.byteEnd).toBe(at + chunk.bytes.length);
    at = chunk.byteEnd;
  }
  expect(Buffer.concat(chunks.map((chunk) => chunk.bytes)).equals(Buffer.from(bytes))).toBe(true);
}

/** Bytes in which valid and broken UTF-8 meet. */
const mixedBytes = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 5 }),
      fc.string({ unit: 'binary', maxLength: 5 }).map((s) => Uint8Array.from(Buffer.from(s))),
      fc.constantFrom(
        Uint8Array.of(0xef, 0xbb, 0xbf),
        Uint8Array.of(0xe2, 0x82),
        Uint8Array.of(0xed, 0xa0, 0x80),
        Uint8Array.of(0xf0, 0x9f, 0x98),
        Uint8Array.of(0xf4, 0x90),
        Uint8Array.of(0xef, 0xbf, 0xbd),
        Uint8Array.of(0x0d, 0x0a),
      ),
    ),
    { maxLength: 30 },
  )
  .map((parts) => Buffer.concat(parts));

describe('byte offsets', () => {
  it('are those of the decoder, for any bytes and any cut', () => {
    fc.assert(
      fc.property(mixedBytes, fc.double({ min: 0, max: 1, noNaN: true }), (bytes, at) => {
        const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
        expect(byteLengthOf(bytes, 0, text)).toBe(bytes.length);
        const points = Array.from(text);
        const head = points.slice(0, Math.floor(at * points.length)).join('');
        const cut = byteLengthOf(bytes, 0, head);
        const decode = (part: Uint8Array): string =>
          new TextDecoder('utf-8', { ignoreBOM: true }).decode(part);
        expect(decode(bytes.subarray(0, cut))).toBe(head);
        expect(decode(bytes.subarray(cut))).toBe(text.slice(head.length));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('processLargeFile', () => {
  it('keeps every byte, whole or streamed, and cuts a stream like the whole', async () => {
    await fc.assert(
      fc.asyncProperty(mixedBytes, fc.integer({ min: 2, max: 40 }), async (bytes, maxChars) => {
        const file = write('mixed.bin', bytes);
        const whole = await processLargeFile(file, keep, { maxChars });
        const streamed = await processLargeFile(file, keep, { maxChars, streamFromBytes: 0 });
        expectBytes(whole.results, bytes);
        expect(streamed.streamed).toBe(true);
        expect(streamed.results).toEqual(whole.results);
      }),
      { numRuns: 60 },
    );
  });

  it('streams a file of several blocks like the whole', async () => {
    const text = Array.from(
      { length: 120_000 },
      (_, i) => `línea ${i} 😀${i % 9 === 0 ? '\r\n\r\n' : '\n'}`,
    ).join('');
    const file = write('large.txt', text);
    const { results, streamed, sizeBytes } = await processLargeFile(file, keep, {
      streamFromBytes: 1_000_000,
    });
    expect(streamed).toBe(true);
    expect(sizeBytes).toBeGreaterThan(2 * 2 ** 20);
    const plain = chunkText(text, { language: 'text' });
    expect(results.map(({ id, start, startLine, endLine }) => [id, start, startLine, endLine])).toEqual(
      plain.map(({ id, start, startLine, endLine }) => [id, start, startLine, endLine]),
    );
    expectBytes(results, Buffer.from(text));
  });

  it('cuts source at its syntax without being asked to load it', async () => {
    const file = write('a.java', 'import a.B;\n\nclass A {\n  void m() {}\n}\n');
    const { results, language } = await processLargeFile(file, keep, { maxChars: 30 });
    expect(language).toBe('java');
    expect(results.map(({ kind, name }) => [kind, name])).toEqual([
      ['import', undefined],
      ['class', 'A'],
    ]);
  });

  it('runs at most `concurrency` calls at a time and keeps the results in file order', async () => {
    const file = write('a.txt', 'line\n'.repeat(100));
    let running = 0;
    let most = 0;
    const { results } = await processLargeFile(
      file,
      async ({ start }) => {
        most = Math.max(most, ++running);
        // Later chunks finish earlier.
        for (let turn = 0; turn < 5 - (start % 5); turn++)
          await new Promise((resolve) => setImmediate(resolve));
        running--;
        return start;
      },
      { maxChars: 10, concurrency: 3 },
    );
    expect(most).toBe(3);
    expect(results).toEqual(results.toSorted((a, b) => a - b));
  });

  it('calls fn again only for chunks that the cache does not have', async () => {
    const cache = new Map<string, number>();
    const lines = Array.from({ length: 2000 }, (_, i) => `line number ${i}\n`);
    const file = write('a.txt', lines.join(''));
    const first = await processLargeFile(file, (chunk) => Promise.resolve(chunk.text.length), {
      maxChars: 500,
      cache,
    });
    expect(first.processed).toBe(first.chunks);
    write('a.txt', `inserted\n${lines.join('')}`);
    const second = await processLargeFile(file, (chunk) => Promise.resolve(chunk.text.length), {
      maxChars: 500,
      cache,
    });
    expect(second.reused + second.processed).toBe(second.chunks);
    expect(second.processed).toBeLessThan(second.chunks / 4);
    expect(second.results.reduce((sum, length) => sum + length, 0)).toBe(lines.join('').length + 9);
  });

  it('stops after a failure, waits for what runs, and keeps the cause', async () => {
    const file = write('a.txt', 'line\n'.repeat(100));
    const cause = new Error('boom');
    let calls = 0;
    let finished = 0;
    const failing = processLargeFile(
      file,
      async ({ start }) => {
        calls++;
        if (start === 10) throw cause;
        for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
        finished++;
      },
      { maxChars: 10, concurrency: 2 },
    );
    await expect(failing).rejects.toMatchObject({ code: 'ERR_PERF_FILES_CHUNK_FAILED', cause });
    expect(calls).toBeLessThan(5);
    expect(finished).toBe(calls - 1);
  });

  it('rejects with the reason of its signal, before and during the work', async () => {
    const file = write('a.txt', 'line\n'.repeat(100));
    const reason = new Error('enough');
    await expect(processLargeFile(file, keep, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    let calls = 0;
    const aborted = processLargeFile(
      file,
      () => {
        if (++calls === 3) controller.abort(reason);
        return Promise.resolve();
      },
      { maxChars: 10, concurrency: 1, signal: controller.signal },
    );
    await expect(aborted).rejects.toBe(reason);
    expect(calls).toBe(3);
  });

  it('notices that the file changed while it was read', async () => {
    const file = write('a.txt', 'line\n'.repeat(100));
    const changed = processLargeFile(file, () => Promise.resolve(appendFileSync(file, 'more')));
    await expect(changed).rejects.toMatchObject({ code: 'ERR_PERF_FILES_CHANGED' });
  });

  it('gives an empty report for an empty file, and the error of a missing one', async () => {
    expect(await processLargeFile(write('empty', ''), keep)).toMatchObject({
      chunks: 0,
      sizeBytes: 0,
      results: [],
    });
    await expect(processLargeFile(path.join(folder, 'missing'), keep)).rejects.toMatchObject({
      code: 'ENOENT',
    });
  });

  it('refuses options that make no sense', async () => {
    const file = write('a.txt', 'x');
    for (const [options, error] of [
      [{ concurrency: 0 }, RangeError],
      [{ maxChars: 1 }, RangeError],
      [{ streamFromBytes: -1 }, RangeError],
      [{ language: '' }, TypeError],
    ] as const) {
      await expect(processLargeFile(file, keep, options)).rejects.toThrow(error);
    }
    await expect(processLargeFile('', keep)).rejects.toThrow(TypeError);
    await expect(processLargeFile(file, undefined as never)).rejects.toThrow(TypeError);
  });
});
