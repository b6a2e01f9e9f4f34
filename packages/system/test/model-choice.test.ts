import { describe, expect, it } from 'vitest';
import { chooseModel, wilsonLowerBound } from '../src/model-choice.ts';
import { openSystem, scratchFolder } from './opened-system.ts';

const cheap = { id: 'cheap', inputUsdPerMillionTokens: 1, outputUsdPerMillionTokens: 2 };
const dear = { id: 'dear', inputUsdPerMillionTokens: 10, outputUsdPerMillionTokens: 20, contextTokens: 5000 };
const none = { successes: 0, failures: 0 };

describe('wilsonLowerBound', () => {
  // Computed from the formula with z = 1.96 in another program.
  it.each([
    [0, 0, 0],
    [10, 0, 0.72246],
    [0, 10, 0],
    [8, 2, 0.49016],
    [81, 19, 0.72222],
    [990, 10, 0.98169],
  ])('of %i successes and %i failures is %f', (successes, failures, bound) => {
    expect(wilsonLowerBound({ successes, failures })).toBeCloseTo(bound, 4);
  });

  it('rises with every success and falls with every failure', () => {
    for (let n = 1; n < 50; n++) {
      const base = wilsonLowerBound({ successes: n, failures: n });
      expect(wilsonLowerBound({ successes: n + 1, failures: n })).toBeGreaterThan(base);
      expect(wilsonLowerBound({ successes: n, failures: n + 1 })).toBeLessThan(base);
    }
  });
});

describe('chooseModel', () => {
  const proved = { successes: 100, failures: 0 };

  it('takes the first fitting model while none is proved', () => {
    expect(chooseModel([dear, cheap], () => none)).toEqual({
      model: 'dear',
      reason: 'preferred',
      expectedCostUsd: (1000 * 10 + 500 * 20) / 1e6,
      provedSuccessRate: 0,
      runs: 0,
    });
  });

  it('takes the cheapest of the proved ones, whatever their order', () => {
    expect(chooseModel([dear, cheap], () => proved)).toMatchObject({
      model: 'cheap',
      reason: 'proved',
      runs: 100,
    });
    expect(chooseModel([cheap, dear], () => proved)).toMatchObject({ model: 'cheap', reason: 'proved' });
  });

  it('does not take three lucky runs for proof', () => {
    const lucky = (id: string): typeof none => (id === 'cheap' ? { successes: 3, failures: 0 } : none);
    expect(chooseModel([dear, cheap], lucky)?.model).toBe('dear');
  });

  it('leaves out models whose context or cost does not fit', () => {
    expect(chooseModel([dear, cheap], () => none, { inputTokens: 4800 })?.model).toBe('cheap');
    expect(chooseModel([dear, cheap], () => none, { maxCostUsd: 0.003 })?.model).toBe('cheap');
    expect(chooseModel([dear], () => none, { inputTokens: 4800 })).toBeUndefined();
    expect(chooseModel([], () => none)).toBeUndefined();
  });

  it.each([
    { minSuccessRate: 1.1 },
    { minSuccessRate: Number.NaN },
    { inputTokens: -1 },
    { outputTokens: -1 },
    { maxCostUsd: -1 },
  ])('refuses %o', (options) => {
    expect(() => chooseModel([cheap], () => none, options)).toThrow(RangeError);
  });
});

describe('a system that chooses models', () => {
  const run = (
    model: string,
    ok: boolean,
  ): Parameters<Awaited<ReturnType<typeof openSystem>>['track']>[0] => ({
    agent: 'a',
    model,
    task: 'please review this diff',
    startedAtMs: 0,
    durationMs: 10,
    ok,
  });

  it('learns from tracked executions, by the agent that a task is routed to, and keeps it', async () => {
    const dir = scratchFolder();
    const agents = [
      { id: 'reviewer', keywords: ['review'] },
      { id: 'writer', keywords: ['write'] },
    ];
    const models = [dear, cheap];
    const first = await openSystem({ dir, agents, models });
    for (let i = 0; i < 40; i++) await first.track(run('cheap', true));
    expect(first.chooseModel('review my code')).toMatchObject({ model: 'cheap', reason: 'proved', runs: 40 });
    expect(first.chooseModel('write a poem')).toMatchObject({ model: 'dear', reason: 'preferred' });
    expect(first.monitor.costs('model').find(({ key }) => key === 'cheap')).toMatchObject({ executions: 40 });
    await first.shutdown();

    const second = await openSystem({ dir, agents, models });
    expect(second.chooseModel('review my code')).toMatchObject({ model: 'cheap', runs: 40 });
    for (let i = 0; i < 40; i++) await second.track(run('cheap', false));
    expect(second.chooseModel('review my code')).toMatchObject({ model: 'dear', reason: 'preferred' });
  });

  it('says ERR_PERF_SYSTEM_NO_MODEL when none is there or none fits', async () => {
    const without = await openSystem();
    expect(() => without.chooseModel('x')).toThrow(
      expect.objectContaining({ code: 'ERR_PERF_SYSTEM_NO_MODEL' }),
    );
    const small = await openSystem({ models: [dear] });
    expect(() => small.chooseModel('x', { inputTokens: 1e6 })).toThrow(
      expect.objectContaining({ code: 'ERR_PERF_SYSTEM_NO_MODEL' }),
    );
  });

  it('counts executions without a model in the metrics alone', async () => {
    const system = await openSystem({ models: [cheap] });
    await system.track({ agent: 'a', task: 't', startedAtMs: 0, durationMs: 1, ok: true });
    expect(system.chooseModel('t').runs).toBe(0);
  });
});
