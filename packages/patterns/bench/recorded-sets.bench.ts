import assert from 'node:assert/strict';
import { ratioCase, type BenchCase, type CaseContext } from '@perf/bench';
import { compilePatterns, type PatternDef, type PatternSet } from '@perf/patterns';
import { compiled, idsOneByOne, recordedSet, type RecordedSet } from './recorded-sets.ts';

function load(context: CaseContext, name: string): RecordedSet {
  const set = recordedSet(context, name);
  if (set === undefined) throw new Error(`${name} needs the larger data folder (PERF_SHARED_DATA)`);
  return set;
}

/** A set lives long, so it is made once per process and measured warm; the RegExps it is compared with likewise. */
const sets = new WeakMap<readonly PatternDef[], PatternSet>();
const regexes = new WeakMap<readonly PatternDef[], RegExp[]>();

function setOf(defs: readonly PatternDef[]): PatternSet {
  let set = sets.get(defs);
  if (set === undefined) {
    const compiledSet = compilePatterns(defs);
    assert.deepEqual(compiledSet.errors, []);
    set = compiledSet.set;
    sets.set(defs, set);
  }
  return set;
}

function regexesOf(defs: readonly PatternDef[]): RegExp[] {
  let known = regexes.get(defs);
  if (known === undefined) regexes.set(defs, (known = compiled(defs)));
  return known;
}

/** All ids of each text. */
function idsCase(name: string, atLeast: number): BenchCase {
  return ratioCase<RecordedSet, string[][]>({
    name: `ids-${name}`,
    about: `ids of all patterns that match, ${name}, 800 recorded texts`,
    setup: (context) => load(context, name),
    operations: ({ texts }) => texts.length,
    contenders: [
      {
        name: '@perf/patterns',
        ours: true,
        prepare: ({ defs }) => setOf(defs),
        run: (set: PatternSet, { texts }) => texts.map((text) => set.ids(text)),
      },
      {
        name: 'RegExp one by one',
        prepare: ({ defs }) => regexesOf(defs),
        run: (regexes: RegExp[], { defs, texts }) => texts.map((text) => idsOneByOne(defs, regexes, text)),
      },
      ...(name === 'crawlers' ? [ahoCorasick, re2Set] : []),
    ],
    validate: (answer, { expected }) => assert.deepEqual(answer, expected),
    goals: [{ versus: 'RegExp one by one', atLeast }],
  });
}

/** Literal patterns through one automaton, the others one by one. */
const ahoCorasick = {
  name: 'modern-ahocorasick + RegExp',
  peers: ['modern-ahocorasick'],
  prepare: async ({ defs }: RecordedSet, context: CaseContext) => {
    const { default: AhoCorasick } = await context.peer<{ default: new (words: string[]) => Automaton }>(
      'modern-ahocorasick',
    );
    const literals = new Map<string, number>();
    const others: number[] = [];
    defs.forEach(({ source }, index) => {
      const plain = source.replace(/\\([./()+-])/g, '$1');
      if (/[\\^$*?[\]{}|]/.test(plain) || /[()+.]/.test(source.replace(/\\./g, '')) || literals.has(plain)) {
        others.push(index);
      } else literals.set(plain, index);
    });
    const regexes = compiled(defs);
    return { automaton: new AhoCorasick([...literals.keys()]), literals, others, regexes };
  },
  run: (state: AutomatonState, { defs, texts }: RecordedSet): string[][] =>
    texts.map((text) => {
      const found = new Set<number>();
      for (const { pattern } of state.automaton.search(text))
        found.add(state.literals.get(pattern) as number);
      for (const index of state.others) if (state.regexes[index]?.test(text)) found.add(index);
      return [...found].sort((a, b) => a - b).map((index) => defs[index]?.id ?? '');
    }),
};

interface Automaton {
  search(text: string): { readonly pattern: string }[];
}

interface AutomatonState {
  readonly automaton: Automaton;
  readonly literals: ReadonlyMap<string, number>;
  readonly others: readonly number[];
  readonly regexes: readonly RegExp[];
}

/** Not JavaScript's semantics in general; the same on these patterns, which is checked. */
const re2Set = {
  name: 're2 Set',
  peers: ['re2'],
  prepare: async ({ defs }: RecordedSet, context: CaseContext) => {
    const { default: RE2 } = await context.peer<{
      default: { Set: new (sources: string[], flags: string) => { match(text: string): number[] } };
    }>('re2');
    return new RE2.Set(
      defs.map(({ source }) => source),
      'u',
    );
  },
  run: (set: { match(text: string): number[] }, { texts }: RecordedSet): string[][] =>
    texts.map((text) => [...set.match(text)].sort((a, b) => a - b).map(String)),
};

/** The first match by priority, with its place. */
const firstDevice = ratioCase<RecordedSet, (string | undefined)[]>({
  name: 'first-uap-device',
  about: 'the first pattern that matches, uap-device, 800 recorded texts',
  setup: (context) => load(context, 'uap-device'),
  operations: ({ texts }) => texts.length,
  contenders: [
    {
      name: '@perf/patterns',
      ours: true,
      prepare: ({ defs }) => setOf(defs),
      run: (set: PatternSet, { texts }) => texts.map((text) => set.first(text)?.id),
    },
    {
      name: 'RegExp one by one',
      prepare: ({ defs }) => regexesOf(defs),
      run: (regexes: RegExp[], { defs, texts }) =>
        texts.map((text) => defs[regexes.findIndex((regex) => regex.exec(text) !== null)]?.id),
    },
  ],
  validate: (answer, { expected }) =>
    assert.deepEqual(
      answer,
      expected.map(([id]) => id),
    ),
  goals: [{ versus: 'RegExp one by one', atLeast: 40 }],
});

/** Whether anything matches: the one question an alternation of everything can answer. */
const anyDevice = ratioCase<RecordedSet, boolean[]>({
  name: 'test-uap-ua',
  about: 'whether any pattern matches, uap-ua, 800 recorded texts',
  setup: (context) => load(context, 'uap-ua'),
  operations: ({ texts }) => texts.length,
  contenders: [
    {
      name: '@perf/patterns',
      ours: true,
      prepare: ({ defs }) => setOf(defs),
      run: (set: PatternSet, { texts }) => texts.map((text) => set.test(text)),
    },
    {
      name: 'one alternation',
      prepare: ({ defs }) => new RegExp(defs.map(({ source }) => `(?:${source})`).join('|')),
      run: (regex: RegExp, { texts }) => texts.map((text) => regex.test(text)),
    },
    {
      name: 'RegExp one by one',
      prepare: ({ defs }) => regexesOf(defs),
      run: (regexes: RegExp[], { texts }) => texts.map((text) => regexes.some((regex) => regex.test(text))),
    },
  ],
  validate: (answer, { expected }) =>
    assert.deepEqual(
      answer,
      expected.map((ids) => ids.length > 0),
    ),
});

export const cases: readonly BenchCase[] = [
  idsCase('uap-ua', 40),
  idsCase('uap-device', 40),
  idsCase('log-templates', 60),
  idsCase('crawlers', 80),
  firstDevice,
  anyDevice,
];
