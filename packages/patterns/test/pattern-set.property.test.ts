import fc from 'fast-check';
import { expect, it } from 'vitest';
import { compilePatterns, type PatternDef } from '@perf/patterns';

const FLAGS = ['', 'i', 'm', 's', 'u', 'v', 'iu', 'iv', 'y', 'g', 'gimsuy', 'd'];
const SOURCES = [
  'a',
  'ab',
  'b+',
  '^a',
  'a$',
  '[ab]c',
  '(?<x>a)|(?<y>b)',
  '(?:)',
  'c(?=a)',
  '(?<!a)b',
  String.raw`(a)\1`,
  'k',
  '\\u212a',
  '.',
];

it('answers like running each RegExp in turn, for every flag', () => {
  const def = fc.record({
    source: fc.constantFrom(...SOURCES),
    flags: fc.constantFrom(...FLAGS),
    priority: fc.integer({ min: 0, max: 2 }),
  });
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'k', 'K', '\u212a', '\n'), maxLength: 12 });
  fc.assert(
    fc.property(fc.array(def, { maxLength: 8 }), fc.array(text, { maxLength: 4 }), (partial, texts) => {
      const defs: PatternDef[] = partial.map((d, i) => ({ ...d, id: `${i}` }));
      const { set, errors } = compilePatterns(defs);
      expect(errors).toEqual([]);
      for (const t of texts) {
        const expected = defs.filter((d) => new RegExp(d.source, d.flags).test(t));
        expect(set.ids(t)).toEqual(expected.map((d) => d.id));
        expect(set.test(t)).toBe(expected.length > 0);
        expect(set.all(t)).toEqual(
          expected.map((d) => {
            const m = new RegExp(d.source, d.flags).exec(t) as RegExpExecArray;
            const groups =
              m.groups === undefined
                ? undefined
                : Object.entries(m.groups).filter(([, v]) => v !== undefined);
            return {
              id: d.id,
              index: m.index,
              end: m.index + m[0].length,
              text: m[0],
              captures: [...m],
              ...(groups === undefined ? {} : { groups: Object.fromEntries(groups) }),
              confidence: 1,
            };
          }),
        );
        const best = expected.toSorted((a, b) => (b.priority ?? 0) - (a.priority ?? 0))[0];
        expect(set.first(t)?.id).toBe(best?.id);
      }
    }),
  );
});
