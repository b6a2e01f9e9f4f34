/**
 * The filter against the slow truth: random regexes and mutated real ones, with texts made of their pieces. A fixed seed
 * keeps the run the same everywhere; the bench case `fuzz` goes on with more.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { compilePatterns } from '@perf/patterns';
import { PatternGenerator, seeded, type RandomPattern } from './random-patterns.ts';

const REAL = ['uap-ua', 'uap-os', 'uap-device'].flatMap(patternsOf);

interface Recorded {
  readonly text: string;
  readonly first: number;
  readonly matches: readonly number[];
}

function patternsOf(name: string): readonly RandomPattern[] {
  return dataOf(`${name}.patterns`) as readonly RandomPattern[];
}

function dataOf(name: string): unknown {
  const path = new URL(`../../../bench/data/patterns/${name}.json.gz`, import.meta.url);
  return JSON.parse(gunzipSync(readFileSync(path)).toString());
}

/** The ids and places of what each RegExp finds by itself. */
function sequential(patterns: readonly RandomPattern[], text: string): unknown[] {
  return patterns.flatMap(({ source, flags }, id) => {
    const match = new RegExp(source, flags).exec(text);
    return match === null ? [] : [[String(id), match.index, [...match]]];
  });
}

it.each([
  ['random', 30],
  ['mutated', 25],
])('answers like running each RegExp, for %s patterns', (kind, rounds) => {
  let filtered = 0;
  let total = 0;
  for (let seed = 1; seed <= rounds; seed++) {
    const generator = new PatternGenerator(seeded(seed));
    const patterns = Array.from({ length: 30 }, () =>
      kind === 'random' ? generator.pattern() : generator.mutant(generator.pick(REAL)),
    );
    const { set } = compilePatterns(
      patterns.map((pattern, id) => ({ id: String(id), ...pattern })),
      { prefilter: 'always' },
    );
    total += patterns.length;
    filtered += patterns.length - set.stats().unfiltered;
    for (let i = 0; i < 20; i++) {
      const tail = i % 5 === 0 ? 'xyz \n'.repeat(150) + generator.text(patterns) : '';
      const text = generator.text(patterns) + tail;
      const expected = sequential(patterns, text);
      const found = set.all(text).map(({ id, index, captures }) => [id, index, captures]);
      expect(found, `seed ${seed}, text ${JSON.stringify(text)}`).toEqual(expected);
      expect(set.ids(text)).toEqual(found.map(([id]) => id));
    }
  }
  expect(filtered / total).toBeGreaterThan(0.8);
});

it.each(['uap-ua', 'uap-os', 'uap-device'])('finds exactly what is recorded for %s', (name) => {
  const patterns = patternsOf(name);
  const { cases } = dataOf(`${name}.cases`) as { cases: readonly Recorded[] };
  const { set, errors } = compilePatterns(patterns.map((pattern, id) => ({ id: String(id), ...pattern })));
  expect(errors).toEqual([]);
  for (const { text, first, matches } of cases) {
    expect(set.ids(text)).toEqual(matches.map(String));
    expect(set.first(text)?.id).toBe(first === -1 ? undefined : String(first));
  }
  expect(set.stats().unfiltered / patterns.length).toBeLessThan(0.005);
});
