import path from 'node:path';
import { describe, expect, test } from 'vitest';

import type { BenchCase } from '../src/case.ts';
import { measureCase, ratioCase } from '../src/case.ts';
import { caseProblem, findCases } from '../src/case-file.ts';
import { expectedTimeMs } from '../src/expected-time.ts';
import { parseBenchArguments } from '../src/arguments.ts';

const fixtures = path.join(import.meta.dirname, 'fixtures');

function race(
  names: readonly string[],
  more: { ours?: string; name?: string; versus?: string; atLeast?: number },
): BenchCase {
  return ratioCase<number, number>({
    name: more.name ?? 'a-race',
    about: 'a race',
    setup: () => 1,
    operations: () => 1,
    contenders: names.map((name) => ({
      name,
      ours: name === (more.ours ?? 'ours'),
      prepare: () => undefined,
      run: () => 1,
    })),
    validate: () => undefined,
    ...(more.versus === undefined ? {} : { goals: [{ versus: more.versus, atLeast: more.atLeast ?? 1 }] }),
  });
}

describe('a declaration', () => {
  test.each<[string, BenchCase, string | undefined]>([
    ['right', race(['ours', 'theirs'], { versus: 'theirs' }), undefined],
    ['without peers', race(['ours'], {}), undefined],
    ['without ours', race(['theirs'], {}), 'exactly one contender must be ours, not 0'],
    ['with a name twice', race(['ours', 'x', 'x'], {}), 'two contenders have the same name'],
    [
      'with a goal against nobody',
      race(['ours'], { versus: 'x' }),
      "a goal is against 'x', who is not a contender",
    ],
    [
      'with a goal against ours',
      race(['ours'], { versus: 'ours' }),
      "a goal is against 'ours', which is ours",
    ],
    [
      'with a goal of 0',
      race(['ours', 'x'], { versus: 'x', atLeast: 0 }),
      "the goal against 'x' must be above 0",
    ],
    ['with a name in capitals', race(['ours'], { name: 'A Race' }), 'its name must be kebab-case'],
    [
      'without forks',
      measureCase({ name: 'm', about: 'a', forks: 0, measure: () => [] }),
      "'forks' must be a positive integer",
    ],
    [
      'that says nothing',
      measureCase({ name: 'm', about: ' ', measure: () => [] }),
      "'about' must say what is timed, on which data",
    ],
  ])('%s', (_title, definition, problem) => {
    expect(caseProblem(definition)).toBe(problem);
  });
});

test('cases are found in the order of files and declarations, by case or file name', async () => {
  const names = async (filter?: string): Promise<string[]> =>
    (await findCases(path.join(fixtures, 'broken'), filter)).map(({ definition }) => definition.name);
  expect(await names()).toEqual(['dies', 'throws', 'reports-nonsense']);
  expect(await names('thr')).toEqual(['throws']);
  expect(await names('crash.bench')).toHaveLength(3);
  expect(await findCases(path.join(fixtures, 'empty'))).toEqual([]);
});

test('the expected time comes from the last run of the same lengths, otherwise from the options', async () => {
  const { run: options } = parseBenchArguments(['--forks', '4']);
  const cases = await findCases(path.join(fixtures, 'misses'));
  const guessed = expectedTimeMs(cases, options);
  expect(guessed).toBe(4 * 1400);
  const previous = {
    options,
    cases: [{ kind: 'measure', name: 'too-big', durationMs: 900, forks: 9 }],
  } as unknown as NonNullable<Parameters<typeof expectedTimeMs>[2]>;
  expect(expectedTimeMs(cases, options, previous)).toBe(400);
  expect(expectedTimeMs(cases, { ...options, rounds: 3 }, previous)).toBe(guessed);
});
