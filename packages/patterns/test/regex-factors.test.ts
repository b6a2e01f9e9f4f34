import { describe, expect, it } from 'vitest';
import { compilePatterns } from '@perf/patterns';

/** What `explain` says has to be in a text. */
function factorsOf(source: string, flags = ''): readonly (readonly string[])[] {
  const { set, errors } = compilePatterns([{ id: 'x', source, flags }], { prefilter: 'always' });
  expect(errors).toEqual([]);
  return set.explain('x').factors;
}

describe('what a regex requires', () => {
  it.each([
    ['Googlebot\\/', '', ['Googlebot/']],
    ['(Foo|Bar)baz', '', ['Foobaz', 'Barbaz']],
    ['[Ss]pider\\d', '', ['[Ss]pider[0123456789]']],
    ['colou?r', '', ['colour', 'color']],
    ['needle', 'i', ['[Nn][Ee][Ee][Dd][Ll][Ee]']],
    ['a{3}b', '', ['aaab']],
    ['(?=needle)\\w+', '', ['needle']],
    ['(?<=needle)\\d+', '', ['needle']],
    ['\\w+@example', '', ['@example']],
  ])('of /%s/%s', (source, flags, strings) => {
    const [trigger] = factorsOf(source, flags);
    expect(new Set(trigger)).toEqual(new Set(strings));
  });

  it.each([
    ['\\d+', ''],
    ['(?!needle)x*', ''],
    ['(?:needle|)', ''],
    ['(?:needle)*', ''],
    ['(?:needle){0}', ''],
    ['needle|\\d', ''],
    ['(?i:needle)', ''],
    ['[\\q{needle|}]', 'v'],
    ['(a)\\1|b', ''],
  ])('is nothing for /%s/%s', (source, flags) => {
    expect(factorsOf(source, flags)).toEqual([]);
  });
});

it('explains why a pattern is not run', () => {
  const { set } = compilePatterns([{ id: 'x', source: 'needle\\d' }], { prefilter: 'always' });
  expect(set.explain('x', 'hay').candidate).toBe(false);
  expect(set.explain('x', 'a needle').candidate).toBe(false);
  expect(set.explain('x', 'needle1')).toMatchObject({ candidate: true, matches: true });
  expect(set.explain('x').reason).toContain('needle[0123456789]');
});
