import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compilePatterns, type PatternDef } from '@perf/patterns';
import { ParallelMatcher } from '@perf/patterns/parallel';

const DEFS: readonly PatternDef[] = [
  { id: 'catastrophic', source: '(x+x+)+y' },
  { id: 'word', source: 'needle' },
  { id: 'number', source: String.raw`\d{3}` },
];
const EVIL = `${'x'.repeat(60)} needle 123`;

describe('a parallel matcher', () => {
  const { set } = compilePatterns(DEFS, { prefilter: 'never' });
  let matcher: ParallelMatcher;
  beforeAll(() => {
    matcher = new ParallelMatcher(set, { threads: 2, budgetMs: 30, batchSize: 50 });
  });
  afterAll(() => matcher.close());

  it('answers in the order of the texts, like the set', async () => {
    const texts = Array.from({ length: 400 }, (_, i) => (i % 3 === 0 ? `a needle ${i}` : `${i}${i} äöü 😀`));
    expect(await matcher.ids(texts)).toEqual(texts.map((text) => set.ids(text)));
    expect(await matcher.all(texts)).toEqual(texts.map((text) => set.all(text)));
    expect(await matcher.ids([])).toEqual([]);
  });

  it('stops a catastrophic pattern, reports it, and completes the rest', async () => {
    const found = await matcher.ids(['needle', EVIL, '123', EVIL]);
    expect(found).toEqual([['word'], ['word', 'number'], ['number'], ['word', 'number']]);
    expect(matcher.quarantined()).toEqual([
      { id: 'catastrophic', ranMs: expect.any(Number) as number, textLength: EVIL.length },
    ]);
    expect(await matcher.ids([EVIL])).toEqual([['word', 'number']]);
  });

  it('gives up when the signal says so, and refuses to start after', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    const pending = matcher.ids(
      Array.from({ length: 20_000 }, () => 'needle 123 '.repeat(20)),
      {
        signal: controller.signal,
      },
    );
    controller.abort(reason);
    await expect(pending).rejects.toBe(reason);
    await expect(matcher.ids(['a'], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(await matcher.ids(['needle'])).toEqual([['word']]);
  });

  it('refuses what is not a text', async () => {
    await expect(matcher.ids([1 as unknown as string])).rejects.toThrow(TypeError);
    await expect(matcher.ids('abc' as unknown as string[])).rejects.toThrow(TypeError);
  });
});

it('copies the set, so that changing it afterwards changes no answer', async () => {
  const { set } = compilePatterns([{ id: 'a', source: 'needle' }]);
  await using matcher = new ParallelMatcher(set, { threads: 1 });
  set.remove('a');
  expect(await matcher.ids(['a needle'])).toEqual([['a']]);
  expect(await matcher.ids(['a needle'.repeat(10_000)])).toEqual([['a']]);
});

it('refuses to match after close, which may be called twice', async () => {
  const { set } = compilePatterns(DEFS);
  const matcher = new ParallelMatcher(set, { threads: 1 });
  await matcher.close();
  await matcher.close();
  await expect(matcher.ids(['a'])).rejects.toMatchObject({ code: 'ERR_PERF_PATTERNS_CLOSED' });
});

it('names the option that is out of range', () => {
  const { set } = compilePatterns(DEFS);
  expect(() => new ParallelMatcher(set, { threads: 0 })).toThrow(/threads/);
  expect(() => new ParallelMatcher(set, { batchSize: 1.5 })).toThrow(/batchSize/);
  expect(() => new ParallelMatcher(set, { budgetMs: 0 })).toThrow(/budgetMs/);
});
