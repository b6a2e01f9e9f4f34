// The pattern repository against a Map, through random sequences of everything that can be done to it.
import { rmSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { openDatabase } from '@perf/sqlite';
import { SystemError, createTestPerformanceSystem } from '@perf/system';
import type { PerformanceSystem } from '@perf/system';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PatternRepository } from '../src/pattern-repository.ts';
import { prepareStore } from '../src/store-schema.ts';
import { StoreWriter } from '../src/store-writer.ts';
import { FakeClock } from './opened-system.ts';

const words = ['alpha', 'beta', 'gamma', 'delta'];
const idOf = fc.constantFrom('p1', 'p2', 'p3', 'p4', 'p5');

type Step =
  | { do: 'store'; id: string; word: string; active: boolean; confidence: number | undefined; data: unknown }
  | { do: 'outcome'; id: string; outcome: 'success' | 'failure' }
  | { do: 'detect'; text: string }
  | { do: 'flush' | 'reopen' | 'tick' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('store' as const),
      id: idOf,
      word: fc.constantFrom(...words),
      active: fc.boolean(),
      confidence: fc.option(fc.constantFrom(0, 0.25, 0.5, 1), { nil: undefined }),
      data: fc.jsonValue({ maxDepth: 2 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('outcome' as const),
      id: idOf,
      outcome: fc.constantFrom('success' as const, 'failure' as const),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('detect' as const),
      text: fc.array(fc.constantFrom(...words), { maxLength: 4 }).map((list) => list.join(' ')),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom({ do: 'flush' as const }, { do: 'reopen' as const }, { do: 'tick' as const }),
  },
);

interface Model {
  body: Record<string, unknown>;
  word: string;
  active: boolean;
  prior: number;
  successes: number;
  failures: number;
  usageCount: number;
  createdAtMs: number;
  lastUsedMs: number;
}

const confidence = (m: Model): number => (m.prior * 10 + m.successes) / (10 + m.successes + m.failures);
const json = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

function shown(m: Model): Record<string, unknown> {
  const { usageCount, createdAtMs, lastUsedMs } = m;
  return { ...m.body, confidence: confidence(m), usageCount, createdAtMs, lastUsedMs };
}

/** Answers that differ from the model's, as [got, expected]; none when all is right. */
async function differences(steps: readonly Step[], awaits: boolean): Promise<[unknown, unknown][]> {
  const wrong: [unknown, unknown][] = [];
  const compare = (got: unknown, expected: unknown): void => {
    if (!isDeepStrictEqual(got, expected)) wrong.push([got, expected]);
  };
  const dir = mkdtempSync(path.join(tmpdir(), 'perf-system-model-'));
  const clock = new FakeClock();
  // Only two rows stay in memory, so that reads come from every layer.
  const open = (): Promise<PerformanceSystem> =>
    createTestPerformanceSystem({ dir, clock, lingerMs: 0, starterPatterns: false, maxCachedPatterns: 2 });
  const model = new Map<string, Model>();
  let system = await open();
  const underWay: Promise<unknown>[] = [];
  const wait = async (promise: Promise<unknown>): Promise<void> => {
    if (awaits) await promise;
    else underWay.push(promise);
  };
  try {
    for (const s of steps) {
      if (s.do === 'store') {
        const { id, word, active, data } = s;
        const body = {
          id,
          source: word,
          active,
          data,
          ...(s.confidence === undefined ? {} : { confidence: s.confidence }),
        };
        const before = model.get(id);
        const given = s.confidence ?? 1;
        model.set(id, {
          successes: 0,
          failures: 0,
          usageCount: 0,
          createdAtMs: clock.nowMs,
          lastUsedMs: 0,
          ...before,
          body: json(body) as Record<string, unknown>,
          word,
          active,
          prior: before && given === confidence(before) ? before.prior : given,
        });
        await wait(system.storePattern(body as never));
      } else if (s.do === 'outcome') {
        const m = model.get(s.id);
        if (!m) {
          const refused = await system.updateConfidence(s.id, s.outcome).catch((error: unknown) => error);
          compare(refused instanceof SystemError && refused.code, 'ERR_PERF_SYSTEM_UNKNOWN_PATTERN');
          continue;
        }
        m[s.outcome === 'success' ? 'successes' : 'failures'] += 1;
        const expected = confidence(m);
        await wait(system.updateConfidence(s.id, s.outcome).then((is) => compare(is, expected)));
      } else if (s.do === 'detect') {
        await Promise.all(underWay.splice(0));
        const expected = [...model].filter(([, m]) => m.active && s.text.includes(m.word)).map(([id]) => id);
        const found = system.detect(s.text).map(({ id }) => id);
        compare(found.toSorted(), expected.toSorted());
        for (const id of expected) {
          const m = model.get(id) as Model;
          m.usageCount += 1;
          m.lastUsedMs = clock.nowMs;
        }
      } else if (s.do === 'flush') await wait(system.flush());
      else if (s.do === 'tick') clock.nowMs += 7;
      else {
        await system.shutdown();
        system = await open();
      }
      for (const id of ['p1', 'p2', 'p3', 'p4', 'p5']) {
        const m = model.get(id);
        compare(system.getPattern(id), m && shown(m));
      }
      compare(system.getStatistics().patterns.stored, model.size);
    }
    await Promise.all(underWay);
    await system.flush();
    return wrong;
  } finally {
    await system.shutdown();
    rmSync(dir, { recursive: true, force: true });
  }
}

describe('stored patterns', () => {
  const sequences = fc.array(step, { maxLength: 25 });

  it('are what a Map would hold, when every call is awaited', async () => {
    await fc.assert(
      fc.asyncProperty(sequences, async (steps) => {
        expect(await differences(steps, true)).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  it('are what a Map would hold, when calls are started without waiting', async () => {
    await fc.assert(
      fc.asyncProperty(sequences, async (steps) => {
        expect(await differences(steps, false)).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });
});

describe('PatternRepository', () => {
  it('holds nothing in its overlay once everything is committed, whatever failed on the way', async () => {
    const action = fc.record({
      kind: fc.constantFrom('store', 'outcome', 'hit', 'writeHits', 'flush', 'break', 'mend'),
      id: idOf,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), fc.boolean(), async (actions, sync) => {
        const dir = mkdtempSync(path.join(tmpdir(), 'perf-system-overlay-'));
        const db = openDatabase(path.join(dir, 'store.sqlite'));
        prepareStore(db);
        const writer = new StoreWriter({
          db,
          sync,
          maxQueuedBytes: 1e6,
          lingerMs: 0,
          onFailure: () => undefined,
        });
        const repository = new PatternRepository({
          db,
          writer,
          clock: new FakeClock(),
          maxCachedPatterns: 3,
        });
        const mend = (): void => void db.exec('DROP TRIGGER IF EXISTS poison');
        try {
          const calls: Promise<unknown>[] = [];
          for (const { kind, id } of actions) {
            if (kind === 'store') calls.push(repository.store({ id, source: 'x', n: calls.length }));
            if (kind === 'outcome') calls.push(repository.recordOutcome(id, 'success'));
            if (kind === 'hit') repository.recordHit(id);
            if (kind === 'writeHits') calls.push(repository.writeHits());
            if (kind === 'flush') calls.push(writer.flush());
            if (kind === 'break' || kind === 'mend') await Promise.allSettled(calls);
            if (kind === 'break')
              db.exec(`CREATE TRIGGER IF NOT EXISTS poison BEFORE INSERT ON patterns WHEN new.id = 'p2'
                BEGIN SELECT RAISE(ABORT, 'poisoned'); END`);
            if (kind === 'mend') mend();
          }
          await Promise.allSettled(calls);
          await writer.settle();
          mend();
          await repository.writeHits();
          await writer.flush();
          expect(repository.unwrittenHits).toBe(0);
          expect(repository.uncommitted).toBe(0);
          expect(writer.stats()).toMatchObject({ failedWrites: 0, droppedWrites: 0, held: 0 });
          // What is read from memory is what a new repository reads from the file.
          const fresh = new PatternRepository({ db, writer, clock: new FakeClock(), maxCachedPatterns: 3 });
          for (const id of ['p1', 'p2', 'p3', 'p4', 'p5']) expect(repository.get(id)).toEqual(fresh.get(id));
          expect(repository.size).toBe(fresh.size);
        } finally {
          await writer.close();
          db.close();
          rmSync(dir, { recursive: true, force: true });
        }
      }),
      { numRuns: 60 },
    );
  });
});
