import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { SourceDocument, chunkText, countTokens, loadLanguage } from '@perf/files';
import type { Chunk } from '@perf/files';

beforeAll(async () => {
  await loadLanguage('typescript');
  await loadLanguage('python');
});

const piece = fc.oneof(
  fc.constantFrom(
    '\n',
    '\r\n',
    '\n\n',
    ' ',
    '\t',
    '😀',
    '\ud800',
    '\udc00',
    '\ufeff',
    'é',
    '漢字',
    'function f() {\n  return 1;\n}\n',
    'class A {\n  m() {}\n}\n',
    '// c\n',
    'def g():\n    pass\n',
    '{',
    '}',
    '`',
    '/*',
    '<|endoftext|>',
  ),
  fc.string({ maxLength: 20 }),
);
const source = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(''));
const language = fc.constantFrom('text', 'typescript', 'python');

/** What holds of the chunks of any text. */
function expectChunksOf(text: string, chunks: readonly Chunk[], maxChars: number): void {
  expect(chunks.map((chunk) => chunk.text).join('')).toBe(text);
  expect(new Set(chunks.map(({ id }) => id)).size).toBe(chunks.length);
  let offset = 0;
  for (const chunk of chunks) {
    expect(chunk.start).toBe(offset);
    expect(chunk.end).toBe(offset + chunk.text.length);
    expect(chunk.text.length).toBeGreaterThan(0);
    expect(chunk.text.length).toBeLessThanOrEqual(maxChars);
    expect(chunk.startLine).toBe(text.slice(0, chunk.start).split('\n').length);
    expect(chunk.endLine).toBe(text.slice(0, chunk.end - 1).split('\n').length);
    expect(/[\ud800-\udbff]$/.test(chunk.text) && /^[\udc00-\udfff]/.test(text.slice(chunk.end))).toBe(false);
    expect(chunk.text.endsWith('\r') && text[chunk.end] === '\n').toBe(false);
    offset = chunk.end;
  }
}

it('joins to the text, within maxChars, whatever the text', () => {
  fc.assert(
    fc.property(source, language, fc.integer({ min: 2, max: 200 }), (text, language, maxChars) => {
      const chunks = chunkText(text, { language, maxChars });
      expectChunksOf(text, chunks, maxChars);
      expect(chunks.length).toBeGreaterThanOrEqual(Math.ceil(text.length / maxChars));
    }),
    { numRuns: 400 },
  );
});

it('stays within maxTokens too, whatever the text', () => {
  fc.assert(
    fc.property(source, language, fc.integer({ min: 16, max: 60 }), (text, language, maxTokens) => {
      const chunks = chunkText(text, { language, maxTokens });
      expectChunksOf(text, chunks, Infinity);
      for (const chunk of chunks) expect(countTokens(chunk.text)).toBeLessThanOrEqual(maxTokens);
    }),
    { numRuns: 100 },
  );
});

it('has, after any edits, the chunks of a fresh chunking, and says what each edit did', () => {
  const edit = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), drop: fc.nat(30), text: source });
  fc.assert(
    fc.property(source, language, fc.array(edit, { maxLength: 5 }), (text, language, edits) => {
      const options = { maxChars: 50 };
      const document = SourceDocument.open(text, language, options);
      let expected = text;
      for (const { at, drop, text: inserted } of edits) {
        const start = Math.floor(at * expected.length);
        const end = Math.min(expected.length, start + drop);
        const before = document.chunks;
        const delta = document.edit({ start, end, text: inserted });
        expected = expected.slice(0, start) + inserted + expected.slice(end);
        expect(document.text).toBe(expected);
        expect(document.chunks).toEqual(chunkText(expected, { language, ...options }));

        const ids = new Set(document.chunks.map(({ id }) => id));
        const startsBefore = new Map(before.map(({ id, start }) => [id, start]));
        expect(delta.removed.toSorted()).toEqual(
          before
            .map(({ id }) => id)
            .filter((id) => !ids.has(id))
            .toSorted(),
        );
        expect(delta.added).toEqual(document.chunks.filter(({ id }) => !startsBefore.has(id)));
        expect(delta.moved).toEqual(
          document.chunks
            .filter(({ id, start }) => startsBefore.has(id) && startsBefore.get(id) !== start)
            .map(({ id, start }) => ({ id, from: startsBefore.get(id), to: start })),
        );
        expect(delta.added.length + delta.moved.length + delta.kept).toBe(document.chunks.length);
      }
    }),
    { numRuns: 150 },
  );
});

it('refuses edits outside the text and leaves it as it was', () => {
  const document = SourceDocument.open('abc', 'text');
  for (const edit of [
    { start: -1, end: 0, text: '' },
    { start: 2, end: 1, text: '' },
    { start: 0, end: 4, text: '' },
    { start: 0.5, end: 1, text: '' },
  ]) {
    expect(() => document.edit(edit)).toThrow(RangeError);
  }
  expect(() => document.edit({ start: 0, end: 1, text: 1 as never })).toThrow(TypeError);
  expect(document.text).toBe('abc');
  expect(() => SourceDocument.open('', 'text', { maxChars: 0 })).toThrow(RangeError);
});
