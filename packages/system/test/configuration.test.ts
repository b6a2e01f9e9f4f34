import { readdirSync } from 'node:fs';
import { PerformanceSystem } from '@perf/system';
import { describe, expect, it } from 'vitest';
import { openSystem, scratchFolder } from './opened-system.ts';

const model = { id: 'm', inputUsdPerMillionTokens: 1, outputUsdPerMillionTokens: 1 };

describe('the options of a system', () => {
  it.each([
    ['dir', { dir: '' }, TypeError],
    ['dir', { dir: 3 }, TypeError],
    ['durability', { durability: 'maybe' }, RangeError],
    ['cacheBytes', { cacheBytes: 0 }, RangeError],
    ['cacheBytes', { cacheBytes: '1' }, TypeError],
    ['diskCacheBytes', { diskCacheBytes: 1.5 }, RangeError],
    ['maxQueuedBytes', { maxQueuedBytes: -1 }, RangeError],
    ['lingerMs', { lingerMs: -1 }, RangeError],
    ['lingerMs', { lingerMs: Number.NaN }, RangeError],
    ['maxCachedPatterns', { maxCachedPatterns: 0 }, RangeError],
    ['starterPatterns', { starterPatterns: 'yes' }, TypeError],
    ['agents', { agents: {} }, TypeError],
    ['models', { models: {} }, TypeError],
    ['models[0]', { models: [null] }, TypeError],
    ['models[0].id', { models: [{ ...model, id: '' }] }, TypeError],
    ['models[1].id', { models: [model, model] }, RangeError],
    [
      'models[0].inputUsdPerMillionTokens',
      { models: [{ ...model, inputUsdPerMillionTokens: undefined }] },
      TypeError,
    ],
    [
      'models[0].outputUsdPerMillionTokens',
      { models: [{ ...model, outputUsdPerMillionTokens: Number.NaN }] },
      RangeError,
    ],
    ['models[0].contextTokens', { models: [{ ...model, contextTokens: 0 }] }, RangeError],
    ['root', { root: '' }, TypeError],
    ['pressureIntervalMs', { pressureIntervalMs: 0 }, RangeError],
    ['metricsIntervalMs', { metricsIntervalMs: -5 }, RangeError],
    ['metricsHistory', { metricsHistory: 0 }, RangeError],
    ['optimizeIntervalMs', { optimizeIntervalMs: '1' }, TypeError],
    ['clock', { clock: {} }, TypeError],
    ['keywords', { agents: [{ id: 'a', keywords: 'no list' }] }, TypeError],
  ])('are refused by name: %s', async (name, wrong, error) => {
    const dir = scratchFolder();
    const options = { dir, ...wrong } as never;
    const refusal: unknown = await PerformanceSystem.open(options).catch((reason: unknown) => reason);
    expect(refusal).toBeInstanceOf(error);
    expect(refusal).toMatchObject({ message: expect.stringContaining(name) });
    expect(readdirSync(dir)).toEqual([]);
  });

  it('are refused when they are no object', async () => {
    await expect(PerformanceSystem.open(undefined as never)).rejects.toThrow(TypeError);
    await expect(PerformanceSystem.open(null as never)).rejects.toThrow(TypeError);
  });

  it('accept the ends of their ranges', async () => {
    const system = await openSystem({
      cacheBytes: 1,
      maxQueuedBytes: 1,
      lingerMs: 0,
      maxCachedPatterns: 1,
      metricsHistory: 1,
    });
    await system.recordMessage('s', 'larger than the whole queue');
    await system.flush();
    expect(system.getStatistics().sessions.messages).toBe(1);
  });
});
