import { describe, expect, it } from 'vitest';
import { KeywordRouter, type Route } from '@perf/patterns';

const router = new KeywordRouter([
  { id: 'tester', keywords: ['test', 'unit test', 'coverage'] },
  { id: 'coder', keywords: ['implement', 'c++', 'node.js'] },
  { id: 'reviewer', keywords: ['review', 'test'], weight: 2 },
]);
const ids = (task: string): string[] => router.route(task).map((entry) => entry.id);

describe('finding keywords', () => {
  it('matches whole words, not parts of words', () => {
    expect(ids('the latest attestation of contests')).toEqual([]);
    expect(ids('Run the TEST!')).toEqual(['reviewer', 'tester']);
  });

  it('wants the words of a phrase in order and next to each other', () => {
    const phrases = new KeywordRouter([{ id: 'p', keywords: ['unit test'] }]);
    expect(phrases.route('write a unit test')).toHaveLength(1);
    expect(phrases.route('unit, test')).toHaveLength(1);
    expect(phrases.route('test unit')).toEqual([]);
    expect(phrases.route('unit of test')).toEqual([]);
  });

  it('tells c++ from c and finds names with a dot', () => {
    expect(ids('a C++ compiler')).toEqual(['coder']);
    expect(ids('plan c')).toEqual([]);
    expect(ids('upgrade Node.js')).toEqual(['coder']);
  });

  it('finds a keyword inside a longer one and one that overlaps it', () => {
    const nested = new KeywordRouter([
      { id: 'long', keywords: ['a b c'] },
      { id: 'inner', keywords: ['b'] },
      { id: 'overlap', keywords: ['c d'] },
    ]);
    expect(nested.route('a b c d').map((entry) => entry.id)).toEqual(['long', 'overlap', 'inner']);
  });

  it('segments scripts that are written without spaces', () => {
    const cjk = new KeywordRouter([
      { id: 'zh', keywords: ['测试'] },
      { id: 'th', keywords: ['ทดสอบ'] },
    ]);
    expect(cjk.route('请编写测试代码').map((entry) => entry.id)).toEqual(['zh']);
    expect(cjk.route('เขียนทดสอบ').map((entry) => entry.id)).toEqual(['th']);
  });

  it('ignores case, width and how an accent is composed', () => {
    const accents = new KeywordRouter([{ id: 'r', keywords: ['Café'] }]);
    expect(accents.route('CAFE\u0301')).toHaveLength(1);
    expect(accents.route('ｃａｆé')).toHaveLength(1);
  });
});

describe('confidence', () => {
  it('grows with evidence and weight and stays below 1', () => {
    const [first] = router.route('coverage');
    expect(first).toEqual({ id: 'tester', confidence: 0.5 });
    expect(router.route('unit test coverage')[0]).toEqual({ id: 'tester', confidence: 1 - 2 ** -4 });
    const heavy = new KeywordRouter([{ id: 'x', keywords: ['a'], weight: 1e9 }]);
    expect(heavy.route('a')[0]?.confidence).toBeLessThan(1);
  });

  it('counts a keyword once, however often it occurs', () => {
    expect(router.route('coverage coverage coverage')[0]?.confidence).toBe(0.5);
  });

  it('breaks ties by definition order', () => {
    const tied = new KeywordRouter(['z', 'a', 'm'].map((id) => ({ id, keywords: ['same'] })));
    expect(tied.route('same').map((entry) => entry.id)).toEqual(['z', 'a', 'm']);
  });
});

it('finds each of 10,000 keywords', () => {
  const routes: Route[] = Array.from({ length: 10_000 }, (_, i) => ({
    id: `r${i}`,
    keywords: [`word${i} end`],
  }));
  const large = new KeywordRouter(routes);
  for (const i of [0, 1, 4_711, 9_999]) {
    expect(large.route(`so word${i} end it`)).toEqual([{ id: `r${i}`, confidence: 0.75 }]);
  }
});

it.each([
  ['routes', 'x', TypeError],
  ['id', [{ id: '', keywords: [] }], TypeError],
  [
    'repeats',
    [
      { id: 'a', keywords: [] },
      { id: 'a', keywords: [] },
    ],
    RangeError,
  ],
  ['keywords', [{ id: 'a', keywords: 'a' }], TypeError],
  ['keywords', [{ id: 'a', keywords: [1] }], TypeError],
  ['no word', [{ id: 'a', keywords: ['!?'] }], RangeError],
  ['weight', [{ id: 'a', keywords: ['a'], weight: 0 }], RangeError],
  ['weight', [{ id: 'a', keywords: ['a'], weight: '1' }], TypeError],
])('names what is wrong with a route: %s', (name, routes, kind) => {
  const build = (): KeywordRouter => new KeywordRouter(routes as unknown as Route[]);
  expect(build).toThrow(kind);
  expect(build).toThrow(name);
});

it('refuses a task that is not a string', () => {
  expect(() => router.route(1 as unknown as string)).toThrow(TypeError);
});
