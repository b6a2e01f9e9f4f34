import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { chunkText, countTokens, languageOfPath, loadLanguage, supportedLanguages } from '@perf/files';
import type { Chunk } from '@perf/files';

const outline = (chunks: readonly Chunk[]): string[] =>
  chunks.map(({ kind, name, path }) => [kind, ...path, name].filter((part) => part !== undefined).join(' '));

describe('a text without syntax', () => {
  it('is cut between paragraphs, with lines counted from 1', () => {
    const chunks = chunkText('one\ntwo\n\nthree\nfour\n\nfive', { language: 'text', maxChars: 14 });
    expect(
      chunks.map(({ text, start, end, startLine, endLine, kind }) => [
        text,
        start,
        end,
        startLine,
        endLine,
        kind,
      ]),
    ).toEqual([
      ['one\ntwo\n\n', 0, 9, 1, 3, 'text'],
      ['three\nfour\n\n', 9, 21, 4, 6, 'text'],
      ['five', 21, 25, 7, 7, 'text'],
    ]);
  });

  it('gives no chunk when it is empty', () => {
    expect(chunkText('', { language: 'text' })).toEqual([]);
  });

  it('is cut at blanks when a line is too long, and anywhere when there are none', () => {
    expect(chunkText('aaaa bbbb cccc', { language: 'text', maxChars: 7 }).map(({ text }) => text)).toEqual([
      'aaaa ',
      'bbbb ',
      'cccc',
    ]);
    expect(chunkText('abcdefgh', { language: 'text', maxChars: 3 }).map(({ text }) => text)).toEqual([
      'abc',
      'def',
      'gh',
    ]);
  });

  it('is never cut inside a surrogate pair or a CR LF', () => {
    expect(chunkText('a😀b', { language: 'text', maxChars: 2 }).map(({ text }) => text)).toEqual([
      'a',
      '😀',
      'b',
    ]);
    expect(chunkText('a\r\nb', { language: 'text', maxChars: 2 }).map(({ text }) => text)).toEqual([
      'a',
      '\r\n',
      'b',
    ]);
  });

  it('gives equal chunks different ids', () => {
    const ids = chunkText('ab\nab\nab\n', { language: 'text', maxChars: 3 }).map(({ id }) => id);
    expect(new Set(ids).size).toBe(3);
  });

  it('stays the same far from an edit', () => {
    const text = readFileSync(new URL('../src/chunk-text.ts', import.meta.url), 'utf8').repeat(40);
    const options = { language: 'text', maxChars: 1000 };
    // Equal chunks are told apart by their order, so compare texts.
    const before = new Set(chunkText(text, options).map((chunk) => chunk.text));
    const after = chunkText(`// one more line\n${text}`, options);
    const known = after.filter((chunk) => before.has(chunk.text)).length;
    expect(known / after.length).toBeGreaterThan(0.95);
  });
});

it('says `unparsed` for a language whose grammar is not loaded, and `text` for one that has none', () => {
  expect(chunkText('class A {}', { language: 'java' })[0]?.kind).toBe('unparsed');
  expect(chunkText('x', { language: 'cobol' })[0]?.kind).toBe('text');
});

describe('a text with syntax', () => {
  beforeAll(async () => {
    for (const language of supportedLanguages()) if (language !== 'java') await loadLanguage(language);
  });

  it('is cut between declarations, with comments and decorators on theirs', () => {
    const source = `import a from 'a';
import b from 'b';

/** Adds. */
export function add(x: number, y: number): number {
  return x + y;
}

// What it is
// about.
@sealed
export class Point {
  readonly x = 1;
}

export const double = (n: number) => n * 2;
`;
    const chunks = chunkText(source, { language: 'ts', maxChars: 110 });
    expect(outline(chunks)).toEqual(['import', 'function add', 'class Point', 'function double']);
    expect(chunks[1]?.text.startsWith('/** Adds. */')).toBe(true);
    expect(chunks[2]?.text.startsWith('// What it is')).toBe(true);
    expect(chunks.map(({ text }) => text).join('')).toBe(source);
  });

  it('cuts a class that is too large between its members, and names where they are', () => {
    const source = `export class Stack {
  #items = [];

  push(item) {
    this.#items.push(item);
  }

  pop() {
    return this.#items.pop();
  }
}
`;
    expect(outline(chunkText(source, { language: 'javascript', maxChars: 70 }))).toEqual([
      'class Stack',
      'method Stack push',
      'method Stack pop',
    ]);
  });

  it('knows functions, classes and methods of Python, Go and Rust', () => {
    const python = 'import os\n\ndef f():\n    return 1\n\nclass A:\n    def m(s):\n        return 2\n';
    expect(outline(chunkText(python, { language: 'py', maxChars: 33 }))).toEqual([
      'import',
      'function f',
      'class A',
      'method A m',
    ]);
    const go =
      'package a\n\nfunc F() int {\n\treturn 1\n}\n\ntype T struct {\n\tx int\n}\n\nfunc (t T) M() {\n}\n';
    expect(outline(chunkText(go, { language: 'go', maxChars: 30 }))).toEqual([
      'code',
      'function F',
      'type T',
      'method M',
    ]);
    const rust =
      'use a::b;\n\nfn f() -> i32 {\n    1\n}\n\nstruct S { x: i32 }\n\nimpl S {\n    fn m(&self) {}\n}\n';
    expect(outline(chunkText(rust, { language: 'rs', maxChars: 34 }))).toEqual([
      'import',
      'function f',
      'struct S',
      'impl S',
    ]);
  });

  it('joins small things into a block', () => {
    const chunks = chunkText('import a from "a";\nlet b = 1;\nf(b);\n', { language: 'js' });
    expect(outline(chunks)).toEqual(['block']);
  });

  it('survives source that does not parse', () => {
    const source = 'function ( { class \n'.repeat(200) + '}}}}'.repeat(50);
    const chunks = chunkText(source, { language: 'ts', maxChars: 100 });
    expect(chunks.map(({ text }) => text).join('')).toBe(source);
    expect(Math.max(...chunks.map(({ text }) => text.length))).toBeLessThanOrEqual(100);
  });

  it('cuts a long line of minified source at blanks', () => {
    const source = `var a=1;${'function f(x){return x+1};'.repeat(100)}`;
    const chunks = chunkText(source, { language: 'js', maxChars: 200 });
    expect(chunks.map(({ text }) => text).join('')).toBe(source);
    expect(Math.max(...chunks.map(({ text }) => text.length))).toBeLessThanOrEqual(200);
  });

  it('keeps every chunk within maxTokens', () => {
    const source = readFileSync(new URL('../src/chunk-text.ts', import.meta.url), 'utf8');
    const chunks = chunkText(source, { language: 'ts', maxTokens: 100 });
    expect(chunks.map(({ text }) => text).join('')).toBe(source);
    for (const { text, tokens } of chunks) {
      expect(tokens).toBe(countTokens(text));
      expect(tokens).toBeLessThanOrEqual(100);
    }
  });
});

it('keeps within maxTokens also where a beginning has more tokens than the whole', () => {
  // " }\n//\n//" is one token, " }\n//\n" is two.
  for (let i = 0; i < 30; i++) {
    const text = `${String.fromCharCode(97 + (i % 26))}${' a'.repeat(14)} }\n//\n// and more${' b'.repeat(i)}`;
    for (const chunk of chunkText(text, { language: 'text', maxTokens: 16 })) {
      expect(countTokens(chunk.text)).toBeLessThanOrEqual(16);
    }
  }
});

it('refuses options that make no sense', async () => {
  for (const options of [
    { language: 'text', maxChars: 1 },
    { language: 'text', maxChars: 2.5 },
    { language: 'text', maxTokens: 15 },
    { language: '' },
    {},
    undefined,
  ]) {
    expect(() => chunkText('x', options as never)).toThrow(/maxChars|maxTokens|language/);
  }
  expect(() => chunkText(1 as never, { language: 'text' })).toThrow(TypeError);
  await expect(loadLanguage('cobol')).rejects.toMatchObject({ code: 'ERR_PERF_FILES_UNKNOWN_LANGUAGE' });
});

it('tells the language of a file by its extension', () => {
  expect(
    ['a.ts', 'b.jsx', 'C.PY', 'x.rs', 'y.md', 'Makefile', 'z.tsx', '.js', 'a.constructor'].map(
      languageOfPath,
    ),
  ).toEqual(['typescript', 'javascript', 'python', 'rust', 'text', 'text', 'tsx', 'text', 'text']);
});

it('serialises with its tokens', () => {
  const [chunk] = chunkText('hello world', { language: 'text' });
  expect(JSON.parse(JSON.stringify(chunk))).toMatchObject({ text: 'hello world', kind: 'text', tokens: 2 });
});
