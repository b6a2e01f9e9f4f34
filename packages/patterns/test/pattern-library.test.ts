import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase } from '@perf/sqlite';
import { PatternsError } from '@perf/patterns';
import { PatternLibrary } from '@perf/patterns/library';

let dir = '';
let path = '';
let nowMs = 1_000;
const clock = { now: () => nowMs };

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'perf-patterns-'));
  path = join(dir, 'patterns.db');
  nowMs = 1_000;
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('a pattern library', () => {
  it('keeps patterns over a restart, in definition order', () => {
    {
      using library = PatternLibrary.open({ path, clock });
      expect(
        library.put({ id: 'b', source: 'x', priority: 1, type: 't', data: { a: [1, null] } }),
      ).toBeUndefined();
      expect(
        library.putAll([
          { id: 'a', source: 'x' },
          { id: 'off', source: 'x', active: false },
        ]),
      ).toEqual([]);
    }
    using library = PatternLibrary.open({ path, clock });
    const { set, errors } = library.load();
    expect(errors).toEqual([]);
    expect(set.ids('x')).toEqual(['b', 'a']);
    expect(library.size).toBe(3);
    expect(library.get('b')).toEqual({
      id: 'b',
      source: 'x',
      flags: '',
      type: 't',
      priority: 1,
      confidence: 1,
      active: true,
      hits: 0,
      successes: 0,
      failures: 0,
      createdAtMs: 1_000,
      data: { a: [1, null] },
    });
    expect(library.get('nope')).toBeUndefined();
  });

  it('replaces a pattern in its place and keeps what was learned', () => {
    using library = PatternLibrary.open({ path, clock });
    library.putAll([
      { id: 'a', source: 'x' },
      { id: 'b', source: 'x' },
    ]);
    library.recordHits(['a', 'a']);
    library.put({ id: 'a', source: 'x|y', confidence: 0.5 });
    expect(library.load().set.ids('x')).toEqual(['a', 'b']);
    expect(library.get('a')).toMatchObject({ hits: 2, source: 'x|y', confidence: 0.5 });
  });

  it('reports definitions that are not valid and stores the rest', () => {
    using library = PatternLibrary.open({ path, clock });
    const errors = library.putAll([
      { id: 'bad', source: '(' },
      { id: 'good', source: 'x' },
    ]);
    expect(errors.map(({ id, code }) => [id, code])).toEqual([['bad', 'ERR_PERF_PATTERNS_SYNTAX']]);
    expect(library.size).toBe(1);
  });

  it('stores nothing of a batch whose source throws', () => {
    using library = PatternLibrary.open({ path, clock });
    const failing = function* (): Generator<{ id: string; source: string }> {
      yield { id: 'a', source: 'x' };
      throw new Error('source failed');
    };
    expect(() => library.putAll(failing())).toThrow('source failed');
    expect(library.size).toBe(0);
  });

  it('holds hits back until a flush, the batch size or close', () => {
    {
      using library = PatternLibrary.open({ path, clock, maxPendingHits: 2 });
      library.putAll([
        { id: 'a', source: 'x' },
        { id: 'b', source: 'x' },
      ]);
      nowMs = 5_000;
      library.recordHits(['a', 'a']);
      const other = openDatabase(path);
      const hits = (): unknown => other.prepare('SELECT hits FROM pattern ORDER BY ordinal').pluck().all();
      expect(hits()).toEqual([0, 0]);
      library.recordHits(['b']);
      expect(hits()).toEqual([2, 1]);
      library.recordHits(['b', 'gone']);
      other.close();
    }
    using library = PatternLibrary.open({ path, clock });
    expect(library.get('b')).toMatchObject({ hits: 2, lastHitMs: 5_000 });
    expect(library.flush()).toBe(0);
  });

  it('ranks by priority and hits through an index', () => {
    using library = PatternLibrary.open({ path, clock });
    library.putAll([
      { id: 'a', source: 'x', type: 't' },
      { id: 'b', source: 'x' },
      { id: 'c', source: 'x', priority: 1, active: false },
    ]);
    library.recordHits(['b']);
    expect(library.list().map((p) => p.id)).toEqual(['c', 'b', 'a']);
    expect(library.list({ active: true, limit: 1 }).map((p) => p.id)).toEqual(['b']);
    expect(library.list({ type: 't' }).map((p) => p.id)).toEqual(['a']);
    const db = openDatabase(path, { readonly: true });
    const sql = 'SELECT * FROM pattern WHERE active = 1 ORDER BY priority DESC, hits DESC, ordinal LIMIT 5';
    expect(db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all()).toEqual([
      expect.objectContaining({ detail: expect.stringContaining('pattern_rank') as string }),
    ]);
    db.close();
  });

  it('moves confidence with outcomes towards the observed rate', () => {
    using library = PatternLibrary.open({ path, clock });
    library.put({ id: 'a', source: 'x', confidence: 0.5 });
    const once = library.recordOutcome('a', 'success');
    expect(once).toBeCloseTo(3 / 5);
    expect(library.recordOutcome('a', 'failure')).toBeCloseTo(3 / 6);
    for (let i = 0; i < 1_000; i++) library.recordOutcome('a', 'failure');
    expect(library.get('a')?.confidence).toBeLessThan(0.01);
    expect(library.load().set.first('x')?.confidence).toBe(library.get('a')?.confidence);
    expect(() => library.recordOutcome('b', 'success')).toThrow(PatternsError);
    expect(() => library.recordOutcome('a', 'maybe' as 'success')).toThrow(RangeError);
  });

  it('warms the regexes that hit most', () => {
    using library = PatternLibrary.open({ path, clock });
    library.putAll([
      { id: 'a', source: 'x' },
      { id: 'b', source: '[y-z]+' },
      { id: 'c', source: 'z?' },
    ]);
    library.recordHits(['c', 'b', 'c']);
    const { set } = library.load();
    expect(library.warm(set, 1)).toBe(1);
    expect(library.warm(set)).toBe(2);
    expect(set.stats().compiled).toBe(2);
  });

  it('prunes what is unused, not trusted or too much, and nothing without a limit', () => {
    using library = PatternLibrary.open({ path, clock });
    library.putAll(['old', 'used', 'wrong', 'rare'].map((id) => ({ id, source: 'x' })));
    for (let i = 0; i < 40; i++) library.recordOutcome('wrong', 'failure');
    nowMs = 10_000;
    library.recordHits(['used', 'used', 'wrong', 'rare']);
    expect(library.prune({})).toEqual([]);
    expect(library.prune({ unusedForMs: 5_000 })).toEqual(['old']);
    expect(library.prune({ minConfidence: 0.5 })).toEqual(['wrong']);
    expect(library.prune({ maxPatterns: 1 })).toEqual(['rare']);
    expect(library.list().map((p) => p.id)).toEqual(['used']);
    expect(() => library.prune({ maxPatterns: -1 })).toThrow(RangeError);
    expect(() => library.prune({ minConfidence: 2 })).toThrow(RangeError);
  });

  it('deletes, and refuses everything after close but closing', () => {
    const library = PatternLibrary.open({ path, clock });
    library.put({ id: 'a', source: 'x' });
    library.recordHits(['a']);
    expect(library.delete('a')).toBe(true);
    expect(library.delete('a')).toBe(false);
    library.close();
    library.close();
    for (const use of [
      () => library.size,
      () => library.load(),
      () => library.recordHits(['a']),
      () => library.flush(),
    ]) {
      expect(use).toThrow(expect.objectContaining({ code: 'ERR_PERF_PATTERNS_CLOSED' }) as Error);
    }
  });

  it('notices what another connection changes and brings a set up to date', () => {
    using library = PatternLibrary.open({ path, clock });
    library.putAll([
      { id: 'a', source: 'x' },
      { id: 'b', source: 'x' },
    ]);
    const { set } = library.load();
    expect(library.changedElsewhere()).toBe(false);
    expect(library.refresh(set)).toBe(false);
    {
      using other = PatternLibrary.open({ path, clock });
      other.delete('a');
      other.putAll([
        { id: 'b', source: 'y' },
        { id: 'c', source: 'x' },
      ]);
    }
    expect(library.changedElsewhere()).toBe(true);
    expect(library.changedElsewhere()).toBe(false);
    expect(library.refresh(set)).toBe(true);
    expect(set.ids('x')).toEqual(['c']);
    expect(set.ids('y')).toEqual(['b']);
  });

  it('names the option that is wrong', () => {
    expect(() => PatternLibrary.open({ path: '' })).toThrow(/path/);
    expect(() => PatternLibrary.open({ path, maxPendingHits: 0 })).toThrow(RangeError);
    expect(() => PatternLibrary.open({ path, flushIntervalMs: '1' as unknown as number })).toThrow(TypeError);
  });
});
