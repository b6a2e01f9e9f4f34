import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { MemoryJobStore, type Appended, type JobStore, type Settlement, type StoredJob } from '@perf/batch';
import { makePlace } from './bullmq-place.ts';
import { testRedis, type TestRedis } from './redis-server.ts';

const server = await testRedis();

type Operation =
  | {
      readonly kind: 'append';
      readonly worker: number;
      readonly jobs: readonly { readonly priority: number; readonly key: string | undefined }[];
    }
  | { readonly kind: 'claim'; readonly worker: number; readonly count: number }
  | {
      readonly kind: 'done' | 'dead' | 'release' | 'retry' | 'revive';
      readonly worker: number;
      readonly pick: number;
    };

const worker = fc.nat(1);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    kind: fc.constant('append' as const),
    worker,
    jobs: fc.array(
      fc.record({
        priority: fc.nat(3),
        key: fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined }),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  }),
  fc.record({ kind: fc.constant('claim' as const), worker, count: fc.integer({ min: 1, max: 3 }) }),
  fc.record({
    kind: fc.constantFrom('done' as const, 'dead' as const, 'release' as const, 'retry' as const),
    worker,
    pick: fc.nat(5),
  }),
  fc.record({ kind: fc.constant('revive' as const), worker, pick: fc.nat(5) }),
);

if (typeof server === 'string') {
  // oxlint-disable-next-line vitest/no-disabled-tests -- its name says why, and PERF_REQUIRE_SERVICES=1 makes it fail
  test.skip(`BullMqJobStore against the store in memory: skipped, because ${server}`, () => undefined);
} else {
  afterAll(() => server.stop());
  test('two workers see what two workers of a store in memory see, whatever they ask', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 40 }), async (operations) => {
        const { ours, theirs } = await playBoth(server, operations);
        expect(ours).toEqual(theirs);
      }),
      { numRuns: 40 },
    );
  });
}

async function playBoth(
  redisServer: TestRedis,
  operations: readonly Operation[],
): Promise<{ ours: unknown[]; theirs: unknown[] }> {
  const place = makePlace(redisServer);
  const memory = new MemoryJobStore<unknown>();
  const real = [await place.open(), await place.open()];
  const model = [memory.worker(), memory.worker()];
  try {
    return { ours: await play(real, operations), theirs: await play(model, operations) };
  } finally {
    for (const store of [...real, ...model, memory]) await store.close();
    await place.cleanUp();
  }
}

/** All answers, with jobs named by the order of their appends, since ids differ from store to store. */
async function play(
  stores: readonly JobStore<unknown>[],
  operations: readonly Operation[],
): Promise<unknown[]> {
  const ids: string[] = [];
  const answers: unknown[] = [];
  const nameOf = (id: string): number => ids.indexOf(id);
  for (const operation of operations) {
    const store = stores[operation.worker];
    if (store === undefined) throw new Error('there are two workers');
    if (operation.kind === 'append') {
      const jobs = operation.jobs.map((extra, i) => ({ item: ids.length + i, ...extra }));
      const appended = await store.append(jobs);
      ids.push(...appended.map(({ id }) => id));
      answers.push(appended.map((answer) => viewAppended(answer, nameOf)));
      // A store that leases at once is brought to where one that queues already is.
      const leased = appended.filter(({ status }) => status === 'leased');
      await store.settle(leased.map(({ id }) => ({ id, kind: 'release' })));
    } else if (operation.kind === 'claim') {
      answers.push((await store.claim(operation.count)).map((claimed) => viewClaimed(claimed, nameOf)));
    } else {
      const index = operation.pick % Math.max(1, ids.length);
      const picked = ids.slice(index, index + 1);
      answers.push(
        operation.kind === 'revive'
          ? await store.revive(picked)
          : await store.settle(picked.map((id) => settlement(id, index, operation.kind))),
      );
    }
    const { unfinished, dead } = await store.stats();
    const letters = await store.deadLetters(100);
    const described = letters.map(({ id, item, error, attempts }) => [nameOf(id), item, error, attempts]);
    answers.push({ unfinished, dead, letters: described.sort((a, b) => Number(a[0]) - Number(b[0])) });
  }
  return answers;
}

function viewAppended(answer: Appended, nameOf: (id: string) => number): object {
  if (answer.status !== 'duplicate') return { job: nameOf(answer.id) };
  return { duplicateOf: nameOf(answer.id), first: answer.first, result: answer.result };
}

function viewClaimed(job: StoredJob<unknown>, nameOf: (id: string) => number): object {
  return { ...job, id: nameOf(job.id) };
}

function settlement(
  id: string,
  index: number,
  kind: 'done' | 'dead' | 'release' | 'retry' | 'revive',
): Settlement {
  if (kind === 'done') return { id, kind, result: { index } };
  if (kind === 'dead') return { id, kind, attempts: 2, error: new Error(String(index)) };
  if (kind === 'retry') return { id, kind, attempts: index + 1, delayMs: 0 };
  return { id, kind: 'release' };
}
