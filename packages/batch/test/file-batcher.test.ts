import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FileBatcher } from '@perf/batch/files';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'file-batcher-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const at = (name: string): string => path.join(dir, name);
const text = (name: string): string => readFileSync(at(name), 'utf8');

test('writes make folders and leave no temporary file; reads see what was asked before them', async () => {
  await using files = new FileBatcher();
  const written = files.write(at('a/b/c.txt'), 'one');
  const read = files.read(at('a/b/c.txt'));
  await written;
  expect((await read).toString()).toBe('one');
  await files.write(at('a/b/c.txt'), Buffer.from([0, 255, 10]));
  expect(await files.read(at('a/b/c.txt'))).toEqual(Buffer.from([0, 255, 10]));
  expect(readdirSync(at('a/b'))).toEqual(['c.txt']);
});

test('a hundred edits of a file are one read and one write', async () => {
  await using files = new FileBatcher();
  writeFileSync(at('f'), '0');
  await Promise.all(
    Array.from({ length: 100 }, () => files.edit(at('f'), (before) => String(Number(before) + 1))),
  );
  expect(text('f')).toBe('100');
  expect(files.stats()).toMatchObject({ edits: 100, filesRead: 1, filesWritten: 1, failures: 0 });
});

test('an edit that throws or returns nonsense fails alone', async () => {
  await using files = new FileBatcher();
  writeFileSync(at('f'), 'a');
  const outcomes = await Promise.allSettled([
    files.edit(at('f'), (before) => `${before}b`),
    files.edit(at('f'), () => {
      throw new Error('cannot');
    }),
    files.edit(at('f'), (() => undefined) as never),
    files.edit(at('f'), (before) => `${before}c`),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
  expect(text('f')).toBe('abc');
});

test('`run` gives one result per operation, in order', async () => {
  await using files = new FileBatcher();
  writeFileSync(at('file'), '');
  const results = await files.run([
    { kind: 'write', path: at('x'), content: 'x' },
    { kind: 'read', path: at('missing') },
    { kind: 'edit', path: at('x'), edit: (before) => before.toUpperCase() },
    { kind: 'read', path: at('x') },
    { kind: 'write', path: at('file/below'), content: 'no' },
  ]);
  expect(results.map(({ ok }) => ok)).toEqual([true, false, true, true, false]);
  expect(results[1]).toMatchObject({ path: at('missing'), error: { code: 'ENOENT' } });
  expect(results[3]).toMatchObject({ content: Buffer.from('X') });
});

test('mode bits are kept, links are followed, unchanged text is not written', async () => {
  await using files = new FileBatcher();
  writeFileSync(at('script'), 'a');
  chmodSync(at('script'), 0o751);
  symlinkSync('script', at('link'));
  await files.edit(at('link'), (before) => `${before}b`);
  expect(text('script')).toBe('ab');
  expect(statSync(at('script')).mode & 0o777).toBe(0o751);
  expect(lstatSync(at('link')).isSymbolicLink()).toBe(true);
  await files.edit(at('script'), (before) => before);
  expect(files.stats().filesWritten).toBe(1);
});

test('a file that is not UTF-8 is not edited into something else', async () => {
  await using files = new FileBatcher();
  writeFileSync(at('binary'), Buffer.from([0xff, 0xfe, 0]));
  await expect(files.edit(at('binary'), (before) => before)).rejects.toThrow('UTF-8');
  expect(readFileSync(at('binary'))).toEqual(Buffer.from([0xff, 0xfe, 0]));
});

test('streams: write from an iterable, transform and read in chunks, in turn with everything else', async () => {
  await using files = new FileBatcher({ maxReadBytes: 1000 });
  const line = 'x'.repeat(99) + '\n';
  const lines = function* (): Generator<Uint8Array> {
    for (let i = 0; i < 3000; i++) yield Buffer.from(line);
  };
  const writing = files.write(at('large'), lines());
  const transforming = files.transform(at('large'), async function* (chunks) {
    for await (const chunk of chunks) yield Buffer.from(chunk.map((byte) => (byte === 120 ? 121 : byte)));
  });
  let bytes = 0;
  for await (const chunk of files.readStream(at('large'))) {
    bytes += chunk.length;
    expect(chunk.includes(120)).toBe(false);
  }
  await Promise.all([writing, transforming]);
  expect(bytes).toBe(300_000);
  await expect(files.read(at('large'))).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_ITEM_TOO_LARGE' });
});

test('a stream that fails leaves the old file and no temporary one', async () => {
  await using files = new FileBatcher();
  writeFileSync(at('f'), 'old');
  const failing = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('half');
    throw new Error('source');
  };
  await expect(files.write(at('f'), failing())).rejects.toThrow('source');
  expect(text('f')).toBe('old');
  expect(readdirSync(dir)).toEqual(['f']);
});

test('a reader that stops early frees the path; one of a missing file is told', async () => {
  await using files = new FileBatcher();
  writeFileSync(at('f'), 'x'.repeat(300_000));
  for await (const chunk of files.readStream(at('f'))) {
    expect(chunk.length).toBeGreaterThan(0);
    break;
  }
  await files.write(at('f'), 'after');
  expect(text('f')).toBe('after');
  await expect(files.readStream(at('none')).next()).rejects.toMatchObject({ code: 'ENOENT' });
});

test('what waits can be aborted, is bounded, and is finished by close', async () => {
  const files = new FileBatcher({ maxPending: 3 });
  const stop = new AbortController();
  const first = files.write(at('f'), '1');
  const second = files.write(at('f'), '2', { signal: stop.signal });
  const third = files.write(at('g'), '3');
  const tooMuch = files.read(at('f'));
  stop.abort(new Error('enough'));
  await expect(tooMuch).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_FULL' });
  await expect(second).rejects.toThrow('enough');
  await files.close();
  await Promise.all([first, third]);
  expect([text('f'), text('g')]).toEqual(['1', '3']);
  await expect(files.read(at('f'))).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_CLOSED' });
});

test('property: files end as if every operation had been done alone, in order', async () => {
  const operation = fc.record({
    file: fc.constantFrom('a', 'b'),
    kind: fc.constantFrom('read', 'write', 'append', 'fail', 'stream'),
    value: fc.string({ maxLength: 5 }),
  });
  let round = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(operation, { maxLength: 30 }),
      fc.integer({ min: 1, max: 3 }),
      async (ops, concurrency) => {
        round++;
        const expected = new Map<string, string>();
        const outcomes: string[] = [];
        for (const { file, kind, value } of ops) {
          const content = expected.get(file);
          if (kind === 'write' || kind === 'stream') {
            expected.set(file, value);
            outcomes.push('ok');
          } else if (content === undefined || kind === 'fail') {
            outcomes.push('error');
          } else if (kind === 'append') {
            expected.set(file, content + value);
            outcomes.push('ok');
          } else {
            outcomes.push(content);
          }
        }
        const files = new FileBatcher({ concurrency, sync: false });
        const got = await Promise.all(
          ops.map(async ({ file, kind, value }) => {
            const name = at(`${round}-${file}`);
            try {
              if (kind === 'read') return (await files.read(name)).toString();
              if (kind === 'write') await files.write(name, value);
              else if (kind === 'stream') await files.write(name, [Buffer.from(value)]);
              else if (kind === 'append') await files.edit(name, (before) => before + value);
              else {
                await files.edit(name, () => {
                  throw new Error('x');
                });
              }
              return 'ok';
            } catch {
              return 'error';
            }
          }),
        );
        await files.close();
        expect(got).toEqual(outcomes);
        for (const [file, content] of expected) expect(text(`${round}-${file}`)).toBe(content);
      },
    ),
    { numRuns: 100 },
  );
});

test('options and arguments name themselves', async () => {
  expect(() => new FileBatcher({ concurrency: 0 })).toThrow('concurrency');
  await using files = new FileBatcher();
  await expect(files.read('')).rejects.toThrow('path');
  await expect(files.write(at('x'), 5 as never)).rejects.toThrow('content');
  await expect(files.edit(at('x'), 'y' as never)).rejects.toThrow('edit');
});
