import { expect, it } from 'vitest';
import { examplesIn } from '../documented-examples.ts';

it('takes the blocks marked ts, with the line of their fence, and leaves fragments and other languages', () => {
  const text = [
    '# A',
    '```ts',
    'const a = 1;',
    '```',
    '```ts no-run',
    'b()',
    '```',
    '```sh',
    'ls',
    '```',
  ].join('\n');
  expect(examplesIn(text, 'README.md')).toEqual([{ file: 'README.md', line: 2, code: 'const a = 1;' }]);
});

it('keeps the lines of a block as they are', () => {
  const text = '```ts\nconst a = `\n  x`;\n```\n';
  expect(examplesIn(text, 'README.md')[0]?.code).toBe('const a = `\n  x`;');
});
