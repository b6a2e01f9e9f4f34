import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countTokens, truncateToTokens } from '@perf/files';

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ maxLength: 200 }),
  fc
    .array(
      fc.constantFrom('the ', 'cache', '  ', '\n', '😀', '👩‍👩‍👧', '漢', '\ud83d', '<|endoftext|>', '1234', '\t'),
      { maxLength: 60 },
    )
    .map((p) => p.join('')),
);

describe('truncateToTokens', () => {
  it('gives a beginning within the limit that ends between code points', () => {
    fc.assert(
      fc.property(text, fc.nat(30), (text, maxTokens) => {
        const cut = truncateToTokens(text, maxTokens);
        expect(text.startsWith(cut)).toBe(true);
        expect(countTokens(cut)).toBeLessThanOrEqual(maxTokens);
        expect(/[\ud800-\udbff]$/.test(cut) && /^[\udc00-\udfff]/.test(text.slice(cut.length))).toBe(false);
        expect(cut === text).toBe(countTokens(text) <= maxTokens);
      }),
      { numRuns: 500 },
    );
  });

  it('wastes little: one more word would not fit', () => {
    const words = Array.from({ length: 200 }, (_, i) => `word${i}`).join(' ');
    for (const maxTokens of [1, 2, 10, 99]) {
      expect(countTokens(truncateToTokens(words, maxTokens))).toBe(maxTokens);
    }
  });

  it('makes progress in emoji that take several tokens each', () => {
    const cut = truncateToTokens('👩‍👩‍👧'.repeat(50), 20);
    expect(cut.length).toBeGreaterThan(10);
  });

  it('refuses a limit or a text that makes no sense', () => {
    for (const limit of [-1, 1.5, Number.NaN, '3' as never])
      expect(() => truncateToTokens('x', limit)).toThrow(RangeError);
    expect(() => truncateToTokens(undefined as never, 3)).toThrow(TypeError);
  });
});

describe('countTokens', () => {
  it('counts as OpenAI does', () => {
    // From OpenAI's own table of examples for o200k_base.
    expect(countTokens('antidisestablishmentarianism')).toBe(6);
    expect(countTokens('2 + 2 = 4')).toBe(7);
    expect(countTokens('お誕生日おめでとう')).toBe(8);
    expect(countTokens('')).toBe(0);
  });

  it('takes the names of special tokens as text', () => {
    expect(countTokens('<|endoftext|>')).toBeGreaterThan(1);
  });

  it('refuses another encoding and what is not text', () => {
    expect(() => countTokens('x', { encoding: 'gpt2' as never })).toThrow(RangeError);
    expect(() => countTokens(7 as never)).toThrow(TypeError);
  });
});
