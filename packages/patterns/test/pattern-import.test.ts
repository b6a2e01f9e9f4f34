import { describe, expect, it } from 'vitest';
import { compilePatterns } from '@perf/patterns';
import { fromGrok, fromList, fromUapCore } from '@perf/patterns/library';

describe('fromUapCore', () => {
  it('keeps the order and the flags', () => {
    const document = {
      os_parsers: [
        { regex: 'Android (\\d)', os_replacement: 'x' },
        { regex: 'ios', regex_flag: 'i' },
      ],
    };
    const { set, errors } = compilePatterns(fromUapCore(document, 'os_parsers'));
    expect(errors).toEqual([]);
    expect(set.ids('IOS Android 4')).toEqual(['os_parsers/0', 'os_parsers/1']);
    expect(set.first('IOS Android 4')?.type).toBe('os_parsers');
  });

  it.each([[null], [{}], [{ os_parsers: 'x' }], [{ os_parsers: [{}] }]])('refuses %j', (document) => {
    expect(() => fromUapCore(document, 'os_parsers')).toThrow(
      expect.objectContaining({ code: 'ERR_PERF_PATTERNS_IMPORT' }) as Error,
    );
  });
});

describe('fromGrok', () => {
  it('expands references and names their fields', () => {
    const defs = fromGrok(
      '# comment\nINT (?:[+-]?\\d+)\nPAIR %{INT:left}-%{INT:right:int} (?>x)(?<tail>y)\n',
    );
    const { set, errors } = compilePatterns(defs);
    expect(errors).toEqual([]);
    const pair = set.all('1-22 xy').find(({ id }) => id === 'PAIR');
    expect(pair?.groups).toEqual({ left: '1', right: '22', tail: 'y' });
  });

  it('names a field once, because JavaScript does', () => {
    const { set, errors } = compilePatterns(fromGrok('A a\nB %{A:x}%{A:x}'));
    expect(errors).toEqual([]);
    expect(set.ids('aa')).toEqual(['A', 'B']);
  });

  it.each(['LONELY', 'A %{B}', 'A %{A}'])('refuses %j', (text) => {
    expect(() => fromGrok(text)).toThrow(
      expect.objectContaining({ code: 'ERR_PERF_PATTERNS_IMPORT' }) as Error,
    );
  });
});

it('reads plain lists, with flags where a line is written like a literal', () => {
  const { set, errors } = compilePatterns(fromList('foo\n\n# no\n/BAR/i\na/b/c', 'words'));
  expect(errors).toEqual([]);
  expect(set.ids('foo bar a/b/c')).toEqual(['line 1', 'line 4', 'line 5']);
});
