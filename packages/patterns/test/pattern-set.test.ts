import { describe, expect, it } from 'vitest';
import { compilePatterns, PatternSet, PatternsError, type PatternDef } from '@perf/patterns';

const DEFS: readonly PatternDef[] = [
  { id: 'number', source: String.raw`(?<sign>-)?(?<digits>\d+)`, type: 'literal' },
  { id: 'word', source: '[a-z]+', flags: 'i', priority: 5, confidence: 0.5 },
  { id: 'pinned', source: 'b', flags: 'y', priority: 5 },
  { id: 'global', source: 'o', flags: 'gd' },
  { id: 'off', source: '.', active: false, priority: 100 },
];

function codeOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof PatternsError) return error.code;
    throw error;
  }
}

describe('matching', () => {
  const { set, errors } = compilePatterns(DEFS);

  it('reports no errors for valid definitions', () => {
    expect(errors).toEqual([]);
    expect(set.size).toBe(5);
  });

  it('returns ids in definition order, whatever the priority', () => {
    expect(set.ids('foo 12')).toEqual(['number', 'word', 'global']);
  });

  it('gives the same answer for the same text again, although global and sticky regexes have a memory', () => {
    for (let i = 0; i < 3; i++) {
      expect(set.ids('boo')).toEqual(['word', 'pinned', 'global']);
      expect(set.ids('xb')).toEqual(['word']);
    }
  });

  it('returns the match of exec with captures and the named groups that took part', () => {
    expect(set.all('a 12')).toEqual([
      {
        id: 'number',
        index: 2,
        end: 4,
        text: '12',
        captures: ['12', undefined, '12'],
        groups: { digits: '12' },
        type: 'literal',
        confidence: 1,
      },
      { id: 'word', index: 0, end: 1, text: 'a', captures: ['a'], confidence: 0.5 },
    ]);
  });

  it('keeps a group that is called __proto__', () => {
    const one = compilePatterns([{ id: 'x', source: '(?<__proto__>a)' }]).set;
    expect(Object.entries(one.first('a')?.groups ?? {})).toEqual([['__proto__', 'a']]);
  });

  it('puts the highest priority first and breaks ties by definition order', () => {
    expect(set.first('b1')?.id).toBe('word');
    expect(set.first('1')?.id).toBe('number');
    expect(set.first('')).toBeUndefined();
  });

  it('tells whether anything matches', () => {
    expect(set.test('1')).toBe(true);
    expect(set.test('-')).toBe(false);
    expect(new PatternSet().test('')).toBe(false);
  });

  it('returns objects the caller may change', () => {
    const [first] = set.all('12') as unknown as { captures: string[] }[];
    first?.captures.push('x');
    expect(set.all('12')[0]?.captures).toEqual(['12', undefined, '12']);
  });

  it('refuses a text that is not a string', () => {
    for (const bad of [undefined, null, 1, {}, ['a'], new String('a')] as unknown as string[]) {
      expect(() => set.test(bad)).toThrow(TypeError);
      expect(() => set.ids(bad)).toThrow(TypeError);
      expect(() => set.all(bad)).toThrow(TypeError);
      expect(() => set.first(bad)).toThrow(TypeError);
    }
  });
});

describe('definitions that are not valid', () => {
  it('are reported with their position and stop nothing else', () => {
    const { set, errors } = compilePatterns([
      { id: 'open', source: 'ab(c' },
      { id: 'flags', source: 'a', flags: 'gg' },
      { id: 'both', source: 'a', flags: 'uv' },
      { id: 'ok', source: 'a' },
      { id: 'ok', source: 'b' },
      { id: 'class', source: 'xy[b-a]' },
    ]);
    expect(set.ids('ab')).toEqual(['ok']);
    expect(errors.map(({ id, code, index }) => ({ id, code, index }))).toEqual([
      { id: 'open', code: 'ERR_PERF_PATTERNS_SYNTAX', index: 4 },
      { id: 'flags', code: 'ERR_PERF_PATTERNS_FLAGS', index: undefined },
      { id: 'both', code: 'ERR_PERF_PATTERNS_FLAGS', index: undefined },
      { id: 'ok', code: 'ERR_PERF_PATTERNS_DUPLICATE_ID', index: undefined },
      { id: 'class', code: 'ERR_PERF_PATTERNS_SYNTAX', index: 6 },
    ]);
    for (const error of errors) expect(error.message).not.toBe('');
  });

  it.each([
    [undefined, 'object'],
    [null, 'object'],
    ['a', 'object'],
    [{ id: '', source: 'a' }, 'id'],
    [{ source: 'a' }, 'id'],
    [{ id: 'a' }, 'source'],
    [{ id: 'a', source: /a/ }, 'source'],
    [{ id: 'a', source: 'a', flags: 1 }, 'flags'],
    [{ id: 'a', source: 'a', type: 1 }, 'type'],
    [{ id: 'a', source: 'a', priority: Number.NaN }, 'priority'],
    [{ id: 'a', source: 'a', priority: '1' }, 'priority'],
    [{ id: 'a', source: 'a', confidence: 1.1 }, 'confidence'],
    [{ id: 'a', source: 'a', confidence: -0.1 }, 'confidence'],
    [{ id: 'a', source: 'a', active: 1 }, 'active'],
  ])('say which field of %j is wrong', (def, field) => {
    const { set, errors } = compilePatterns([def as unknown as PatternDef]);
    expect(set.size).toBe(0);
    expect(errors).toHaveLength(1);
    expect(errors[0]?.code).toBe('ERR_PERF_PATTERNS_DEFINITION');
    expect(errors[0]?.message).toContain(field);
  });

  it('do not hide a wrong option', () => {
    for (const maxCompiled of [0, -1, 1.5, Number.NaN]) {
      expect(() => compilePatterns([], { maxCompiled })).toThrow(RangeError);
    }
  });
});

describe('changing a set', () => {
  it('appends in definition order and removes', () => {
    const { set } = compilePatterns([{ id: 'a', source: 'x' }]);
    expect(set.add({ id: 'b', source: 'x', priority: 1 })).toBeUndefined();
    expect(set.ids('x')).toEqual(['a', 'b']);
    expect(set.first('x')?.id).toBe('b');
    expect(set.remove('a')).toBe(true);
    expect(set.remove('a')).toBe(false);
    expect(set.ids('x')).toEqual(['b']);
    expect(set.add({ id: 'a', source: 'x' })).toBeUndefined();
    expect(set.ids('x')).toEqual(['b', 'a']);
  });

  it('reports what it does not take', () => {
    const { set } = compilePatterns([{ id: 'a', source: 'x' }]);
    expect(set.add({ id: 'a', source: 'y' })?.code).toBe('ERR_PERF_PATTERNS_DUPLICATE_ID');
    expect(set.add({ id: 'b', source: '(' })?.code).toBe('ERR_PERF_PATTERNS_SYNTAX');
    expect(set.ids('xy')).toEqual(['a']);
  });

  it('counts texts and candidates, and bounds the compiled regexes', () => {
    const defs = Array.from({ length: 20 }, (_, i) => ({ id: `p${i}`, source: `${i}` }));
    const { set } = compilePatterns(defs, { maxCompiled: 4 });
    expect(set.ids('7 11')).toEqual(['p1', 'p7', 'p11']);
    expect(set.stats().texts).toBe(1);
    expect(set.stats().candidates - set.stats().falseCandidates).toBe(3);
    expect(set.stats().compiled).toBeLessThanOrEqual(4);
    expect(set.warm(['p1', 'p2', 'unknown'])).toBe(2);
  });
});

describe('explain', () => {
  const { set } = compilePatterns(DEFS);

  it('says whether the pattern is run on a text and whether it matches', () => {
    expect(set.explain('number', 'abc 1')).toMatchObject({ id: 'number', candidate: true, matches: true });
    expect(set.explain('number', 'abc').matches).toBe(false);
    expect(set.explain('number')).not.toHaveProperty('matches');
    expect(set.explain('off', 'abc')).toMatchObject({ candidate: false, matches: false });
  });

  it('refuses an id the set does not have', () => {
    expect(codeOf(() => set.explain('nope'))).toBe('ERR_PERF_PATTERNS_UNKNOWN_ID');
  });
});

describe('serialised sets', () => {
  const { set } = compilePatterns(DEFS);
  const bytes = set.serialize();

  it('come back with the same answers', () => {
    const back = PatternSet.deserialize(bytes);
    for (const text of ['foo 12', 'boo', '', 'b', '-1']) {
      expect(back.all(text)).toEqual(set.all(text));
      expect(back.first(text)).toEqual(set.first(text));
    }
    expect(back.size).toBe(set.size);
  });

  it('can be read from a view into a larger buffer', () => {
    const larger = new Uint8Array(bytes.length + 7);
    larger.set(bytes, 3);
    expect(PatternSet.deserialize(larger.subarray(3, 3 + bytes.length)).ids('1')).toEqual(['number']);
  });

  it('are refused when truncated at any length', () => {
    for (let length = 0; length < bytes.length; length++) {
      const code = codeOf(() => PatternSet.deserialize(bytes.subarray(0, length)));
      expect(code).toBe(length < 4 ? 'ERR_PERF_PATTERNS_NOT_A_SET' : 'ERR_PERF_PATTERNS_TRUNCATED');
    }
  });

  it('are refused when any byte is changed', () => {
    for (let at = 0; at < bytes.length; at++) {
      const broken = bytes.slice();
      broken[at] = (broken[at] ?? 0) ^ 0x40;
      expect(codeOf(() => PatternSet.deserialize(broken))).toMatch(/^ERR_PERF_PATTERNS_/);
    }
  });

  it('are refused when they are something else, or of another version', () => {
    expect(codeOf(() => PatternSet.deserialize(new TextEncoder().encode('{"patterns":[]}')))).toBe(
      'ERR_PERF_PATTERNS_NOT_A_SET',
    );
    const newer = bytes.slice();
    newer[4] = 99;
    expect(codeOf(() => PatternSet.deserialize(newer))).toBe('ERR_PERF_PATTERNS_VERSION');
    expect(() => PatternSet.deserialize('PPAT' as unknown as Uint8Array)).toThrow(TypeError);
  });
});
