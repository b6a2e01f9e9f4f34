import { starterPatterns } from '@perf/patterns/starter';
import { createTestPerformanceSystem } from '@perf/system';
import { describe, expect, it } from 'vitest';
import { FakeClock, openSystem, scratchFolder } from './opened-system.ts';

const refused = { id: 'refused', source: String.raw`ECONNREFUSED (\S+)`, type: 'network' };
const ids = (matches: readonly { id: string }[]): string[] => matches.map(({ id }) => id);

describe('storePattern', () => {
  it('is seen at once by getPattern, getPatterns and detect', async () => {
    const clock = new FakeClock();
    const system = await openSystem({ clock });
    const stored = await system.storePattern(refused);
    const expected = {
      ...refused,
      confidence: 1,
      usageCount: 0,
      createdAtMs: clock.nowMs,
      lastUsedMs: 0,
    };
    expect(stored).toEqual(expected);
    expect(system.getPattern('refused')).toEqual(expected);
    expect(system.getPatterns(['missing', 'refused'])).toEqual([expected]);
    expect(system.detect('ECONNREFUSED 127.0.0.1')).toMatchObject([
      { id: 'refused', type: 'network', captures: ['ECONNREFUSED 127.0.0.1', '127.0.0.1'], confidence: 1 },
    ]);
    expect(system.getPattern('missing')).toBeUndefined();
  });

  it('is seen before its promise resolves', async () => {
    const system = await openSystem({ lingerMs: 1000 });
    const storing = system.storePattern(refused);
    expect(system.getPattern('refused')).toMatchObject(refused);
    await storing;
  });

  it('replaces a pattern and keeps its age, usage and outcomes', async () => {
    const clock = new FakeClock();
    const system = await openSystem({ clock });
    await system.storePattern({ ...refused, note: 'old' });
    const createdAtMs = clock.nowMs;
    clock.nowMs += 1000;
    system.detect('ECONNREFUSED x');
    await system.updateConfidence('refused', 'failure');
    clock.nowMs += 1000;
    await system.storePattern({ ...refused, source: 'ETIMEDOUT' });
    expect(system.getPattern('refused')).toEqual({
      ...refused,
      source: 'ETIMEDOUT',
      confidence: 10 / 11,
      usageCount: 1,
      createdAtMs,
      lastUsedMs: createdAtMs + 1000,
    });
    expect(system.detect('ECONNREFUSED x')).toEqual([]);
    expect(ids(system.detect('ETIMEDOUT'))).toEqual(['refused']);
  });

  it('ignores counters that the caller hands in', async () => {
    const system = await openSystem({ clock: new FakeClock() });
    const forged = { ...refused, usageCount: 99, createdAtMs: 1, lastUsedMs: 2 };
    expect(await system.storePattern(forged)).toMatchObject({ usageCount: 0, lastUsedMs: 0 });
    expect(system.getPattern('refused')?.createdAtMs).toBe(1_700_000_000_000);
  });

  it('keeps the confidence when a pattern that was read is changed and stored', async () => {
    const system = await openSystem();
    await system.storePattern({ ...refused, confidence: 0.5 });
    const moved = await system.updateConfidence('refused', 'failure');
    const read = system.getPattern('refused');
    await system.storePattern({ ...refused, ...read, priority: 3 });
    expect(system.getPattern('refused')).toMatchObject({ confidence: moved, priority: 3 });
    // A confidence of the caller's own is a new start for the outcomes to move.
    await system.storePattern({ ...refused, confidence: 0.9 });
    expect(system.getPattern('refused')?.confidence).toBeCloseTo((0.9 * 10) / 11, 12);
  });

  it('gives free fields and data back, also after a reopen, as copies', async () => {
    const dir = scratchFolder();
    const data = { fix: ['restart', { after: 3 }], tags: null };
    const first = await openSystem({ dir });
    await first.storePattern({ ...refused, data, author: 'ops', nested: { a: [1] } });
    const got = first.getPattern('refused');
    expect(got).toMatchObject({ data, author: 'ops', nested: { a: [1] } });
    const mine = got?.data as { fix: string[] } | undefined;
    mine?.fix.push('changed by the caller');
    data.fix.push('changed by the caller too');
    expect(first.getPattern('refused')?.data).toEqual({ fix: ['restart', { after: 3 }], tags: null });
    await first.shutdown();
    const second = await openSystem({ dir });
    expect(second.getPattern('refused')).toEqual({
      ...got,
      data: { fix: ['restart', { after: 3 }], tags: null },
    });
  });

  it.each([
    ['does not compile', { id: 'bad', source: '(' }],
    ['has unknown flags', { id: 'bad', source: 'a', flags: 'q' }],
    ['has no source', { id: 'bad' }],
    ['has an empty id', { id: '', source: 'a' }],
    ['has a confidence out of range', { id: 'bad', source: 'a', confidence: 2 }],
  ])('stores nothing that %s', async (_, pattern) => {
    const system = await openSystem();
    await expect(system.storePattern(pattern as never)).rejects.toMatchObject({
      name: 'SystemError',
      code: 'ERR_PERF_SYSTEM_INVALID_PATTERN',
    });
    await system.flush();
    expect(system.getPattern('bad')).toBeUndefined();
    expect(system.getStatistics().patterns).toMatchObject({ stored: 0, compiled: 0 });
  });

  it('leaves the stored pattern as it was when a replacement is not valid', async () => {
    const system = await openSystem();
    await system.storePattern(refused);
    await expect(system.storePattern({ ...refused, source: '[' })).rejects.toThrow(/refused/);
    expect(system.getPattern('refused')).toMatchObject(refused);
    expect(ids(system.detect('ECONNREFUSED x'))).toEqual(['refused']);
  });

  it('refuses what is not JSON', async () => {
    const system = await openSystem();
    await expect(system.storePattern({ ...refused, at: new Date() })).rejects.toThrow(TypeError);
    await expect(system.storePattern(null as never)).rejects.toThrow(TypeError);
    expect(system.getPattern('refused')).toBeUndefined();
  });

  it('keeps the newest of several that are stored at the same time', async () => {
    const dir = scratchFolder();
    const first = await openSystem({ dir });
    await Promise.all(
      Array.from({ length: 50 }, (_, n) => first.storePattern({ id: 'same', source: `word${n}\\b`, n })),
    );
    expect(first.getPattern('same')).toMatchObject({ source: 'word49\\b', n: 49 });
    expect(ids(first.detect('word49'))).toEqual(['same']);
    expect(first.detect('word48')).toEqual([]);
    await first.shutdown();
    const second = await openSystem({ dir });
    expect(second.getPattern('same')).toMatchObject({ n: 49 });
    expect(ids(second.detect('word49'))).toEqual(['same']);
  });
});

describe('updateConfidence', () => {
  it('is the mean of a Beta distribution that starts at ten outcomes of the given confidence', async () => {
    const system = await openSystem();
    await system.storePattern({ ...refused, confidence: 0.6 });
    let successes = 0;
    let failures = 0;
    for (const outcome of ['success', 'success', 'failure', 'success'] as const) {
      if (outcome === 'success') successes += 1;
      else failures += 1;
      const expected = (0.6 * 10 + successes) / (10 + successes + failures);
      expect(await system.updateConfidence('refused', outcome)).toBeCloseTo(expected, 12);
      expect(system.getPattern('refused')?.confidence).toBeCloseTo(expected, 12);
      expect(system.detect('ECONNREFUSED x')[0]?.confidence).toBeCloseTo(expected, 12);
    }
  });

  it('counts every one of many at the same time', async () => {
    const system = await openSystem();
    await system.storePattern(refused);
    await Promise.all(Array.from({ length: 30 }, () => system.updateConfidence('refused', 'failure')));
    expect(system.getPattern('refused')?.confidence).toBeCloseTo(10 / 40, 12);
  });

  it('knows neither other ids nor other outcomes', async () => {
    const system = await openSystem();
    await expect(system.updateConfidence('missing', 'success')).rejects.toMatchObject({
      code: 'ERR_PERF_SYSTEM_UNKNOWN_PATTERN',
    });
    await expect(system.updateConfidence('missing', 'perhaps' as never)).rejects.toThrow(TypeError);
  });
});

describe('detect', () => {
  it('finds starter and stored patterns, and counts the stored ones', async () => {
    const clock = new FakeClock();
    const system = await openSystem({ starterPatterns: true, clock });
    const text = "TypeError: Cannot read properties of undefined (reading 'x')\nECONNREFUSED y";
    const byStarters = system.detect(text);
    expect(byStarters.length).toBeGreaterThan(0);
    await system.storePattern(refused);
    const all = system.detect(text);
    expect(ids(all)).toEqual([...ids(byStarters), 'refused']);
    expect(system.getPattern('refused')).toMatchObject({ usageCount: 1, lastUsedMs: clock.nowMs });
    const { patterns } = system.getStatistics();
    expect(patterns).toMatchObject({ stored: 1, compiled: starterPatterns.length + 1 });
    expect(patterns.detections).toBe(byStarters.length + all.length);
    expect(patterns.detectionsByType['network']).toBeGreaterThan(0);
  });

  it('leaves out patterns that are not active, and takes them back in', async () => {
    const system = await openSystem();
    await system.storePattern({ ...refused, active: false });
    expect(system.detect('ECONNREFUSED x')).toEqual([]);
    await system.storePattern(refused);
    expect(ids(system.detect('ECONNREFUSED x'))).toEqual(['refused']);
    await system.storePattern({ ...refused, active: false });
    expect(system.detect('ECONNREFUSED x')).toEqual([]);
  });

  it('runs the stored pattern in place of a starter of the same id, which never comes back', async () => {
    const dir = scratchFolder();
    const [starter] = starterPatterns;
    if (!starter) throw new Error('the starter library is empty');
    const example = starter.examples.matches[0] ?? '';
    const first = await openSystem({ dir, starterPatterns: true });
    expect(ids(first.detect(example))).toContain(starter.id);
    await first.storePattern({ id: starter.id, source: 'something else' });
    expect(ids(first.detect(example))).not.toContain(starter.id);
    expect(ids(first.detect('something else'))).toContain(starter.id);
    await first.storePattern({ id: starter.id, source: 'something else', active: false });
    expect(ids(first.detect(`${example} something else`))).not.toContain(starter.id);
    await first.shutdown();
    const second = await openSystem({ dir, starterPatterns: true });
    expect(ids(second.detect(`${example} something else`))).not.toContain(starter.id);
    expect(second.getStatistics().patterns.compiled).toBe(starterPatterns.length - 1);
  });

  it('finds patterns in the order of their last definition, the same after a reopen', async () => {
    const dir = scratchFolder();
    const first = await openSystem({ dir, clock: new FakeClock() });
    for (const id of ['z', 'm', 'a', 'k']) await first.storePattern({ id, source: 'x' });
    await first.storePattern({ id: 'm', source: 'x+' });
    await first.storePattern({ id: 'z', source: 'x' }); // the same as before: keeps its place
    expect(ids(first.detect('x'))).toEqual(['z', 'a', 'k', 'm']);
    await first.shutdown();
    const second = await openSystem({ dir });
    expect(ids(second.detect('x'))).toEqual(['z', 'a', 'k', 'm']);
  });

  it('has its counts written by flush and by shutdown', async () => {
    const dir = scratchFolder();
    const first = await openSystem({ dir });
    await first.storePattern(refused);
    for (let i = 0; i < 3; i++) first.detect('ECONNREFUSED x');
    await first.flush();
    const reader = await openSystem({ dir });
    expect(reader.getPattern('refused')?.usageCount).toBe(3);
    await reader.shutdown();
    first.detect('ECONNREFUSED x');
    await first.shutdown();
    const second = await openSystem({ dir });
    expect(second.getPattern('refused')?.usageCount).toBe(4);
  });

  it('refuses what is not text', async () => {
    const system = await openSystem();
    expect(() => system.detect(7 as never)).toThrow(TypeError);
    expect(() => system.getPattern(7 as never)).toThrow(TypeError);
    expect(() => system.getPatterns('refused' as never)).toThrow(TypeError);
  });
});

describe('two systems on one folder', () => {
  it('see what the other has flushed: new, changed and switched off patterns', async () => {
    const dir = scratchFolder();
    const clock = new FakeClock();
    const one = await openSystem({ dir, clock });
    const two = await openSystem({ dir, clock });
    const flush = async (): Promise<void> => {
      await one.flush();
      clock.nowMs += 1;
    };
    void one.storePattern(refused);
    expect(two.getPattern('refused')).toBeUndefined();
    await flush();
    expect(two.getPattern('refused')).toMatchObject(refused);
    expect(ids(two.detect('ECONNREFUSED x'))).toEqual(['refused']);
    expect(two.getStatistics().patterns.stored).toBe(1);
    await one.storePattern({ ...refused, source: 'ENOTFOUND' });
    await flush();
    expect(two.getPattern('refused')?.source).toBe('ENOTFOUND');
    expect(ids(two.detect('ENOTFOUND'))).toEqual(['refused']);
    await one.storePattern({ ...refused, active: false });
    await flush();
    expect(two.detect('ENOTFOUND ECONNREFUSED x')).toEqual([]);
  });
});

it('two systems on one folder add up what they count', async () => {
  const dir = scratchFolder();
  const clock = new FakeClock();
  const one = await openSystem({ dir, clock });
  const two = await openSystem({ dir, clock });
  await one.storePattern(refused);
  await one.flush();
  clock.nowMs += 1;
  for (let n = 0; n < 5; n++) {
    for (const system of [one, two]) {
      system.detect('ECONNREFUSED x');
      await system.updateConfidence('refused', 'failure');
    }
  }
  await Promise.all([one.flush(), two.flush()]);
  clock.nowMs += 1;
  for (const system of [one, two])
    expect(system.getPattern('refused')).toMatchObject({ usageCount: 10, confidence: 10 / 20 });
});

it('createTestPerformanceSystem uses the starter library unless told otherwise', async () => {
  await using system = await createTestPerformanceSystem();
  expect(system.getStatistics().patterns.compiled).toBe(starterPatterns.length);
});
