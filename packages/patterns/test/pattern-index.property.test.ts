/** Adding and removing in any order, over the sizes at which filters are built and merged, against a plain list. */
import { describe, expect, it } from 'vitest';
import { compilePatterns, PatternSet, type PatternDef } from '@perf/patterns';
import { PatternGenerator, seeded, type RandomPattern } from './random-patterns.ts';

function expectSame(set: PatternSet, defs: readonly PatternDef[], texts: readonly string[]): void {
  for (const text of texts) {
    const expected = defs.filter(({ source, flags }) => new RegExp(source, flags).test(text));
    expect(set.ids(text)).toEqual(expected.map(({ id }) => id));
    const best = expected.toSorted((a, b) => (b.priority ?? 0) - (a.priority ?? 0))[0];
    expect(set.first(text)?.id).toBe(best?.id);
  }
}

describe.each(['auto', 'always', 'never'] as const)('with prefilter %s', (prefilter) => {
  it('answers like a plain list after any additions and removals', () => {
    const generator = new PatternGenerator(seeded(prefilter.length));
    const set = new PatternSet({ prefilter, maxCompiled: 50 });
    let defs: (PatternDef & RandomPattern)[] = [];
    for (let step = 0; step < 260; step++) {
      if (generator.chance(0.25) && defs.length > 0) {
        const { id } = generator.pick(defs);
        if (!set.remove(id)) throw new Error(`${id} was not removed`);
        defs = defs.filter((def) => def.id !== id);
      } else {
        const def = { id: `p${step}`, ...generator.pattern(), priority: generator.below(3) };
        if (set.add(def) !== undefined) throw new Error(`${def.id} was not added`);
        defs.push(def);
      }
      if (step % 13 === 0) {
        expectSame(
          set,
          defs,
          Array.from({ length: 4 }, () =>
            generator.text(defs.length > 0 ? defs : [{ source: 'a', flags: '' }]),
          ),
        );
      }
    }
    expect(set.size).toBe(defs.length);
    const copy = PatternSet.deserialize(set.serialize(), { prefilter });
    expectSame(copy, defs, [generator.text(defs)]);
  });
});

it('gives the same answers when a filter that lets nearly everything through is switched off', () => {
  const defs = Array.from({ length: 12 }, (_, i) => ({ id: `${i}`, source: `common word[${i % 10}x]` }));
  const { set } = compilePatterns(defs);
  for (let i = 0; i < 700; i++) expect(set.ids('a common wordx')).toHaveLength(12);
  expect(set.ids('a common word3')).toEqual(['3']);
  expect(set.ids('nothing')).toEqual([]);
  expect(set.all('a common word3')[0]?.index).toBe(2);
});

it('finds literals by themselves when the filter is off', () => {
  const { set } = compilePatterns([{ id: 'a', source: 'needle' }], { prefilter: 'never' });
  expect(set.all('a needle')).toMatchObject([{ index: 2, end: 8, captures: ['needle'] }]);
  expect(set.ids('hay')).toEqual([]);
});

it('finds a pattern with thousands of hits in a long text', () => {
  const { set } = compilePatterns(
    [
      { id: 'fixed', source: 'ab[0-9]' },
      { id: 'window', source: '[xy]{0,3}ab[7-9]' },
      { id: 'from', source: '[xy]{0,3}ab.*8' },
    ],
    { prefilter: 'always' },
  );
  const hay = 'ab '.repeat(3_000);
  expect(set.ids(hay)).toEqual([]);
  expect(set.all(`${hay}xab8`).map(({ id, index }) => [id, index])).toEqual([
    ['fixed', 9_001],
    ['window', 9_000],
    ['from', 0],
  ]);
});
