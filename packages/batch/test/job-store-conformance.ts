/**
 * What every JobStore does, as a function: `describeJobStore('name', harness)`. A harness opens stores on one shared place, so
 * that two of them are two workers, and can make a worker disappear as if its process had died.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Batcher, type Appended, type JobStore } from '@perf/batch';

export interface StoreHarness {
  /** A worker's handle on the place. */
  open(): Promise<JobStore<unknown>>;
  /** The worker vanishes without a word, and whatever time its leases need to run out passes. */
  abandon(store: JobStore<unknown>): Promise<void>;
  /** Keys expire. Undefined where a store cannot have its clock moved. */
  passKeyTtl?: () => void | Promise<void>;
  cleanUp(): Promise<void>;
}

const job = (item: unknown, extra: object = {}): { item: unknown; priority: number } => ({
  item,
  priority: 4,
  ...extra,
});

async function claimAll(store: JobStore<unknown>): Promise<unknown[]> {
  return (await store.claim(1000)).map((claimed) => claimed.item);
}

function nth<V>(values: readonly V[], index: number): V {
  const value = values[index];
  if (value === undefined) throw new Error(`there is no element ${index}`);
  return value;
}

/** Jobs come leased from stores of one process and queued from shared ones: in both cases this worker has them now. */
async function take(store: JobStore<unknown>, appended: readonly Appended[]): Promise<string[]> {
  if (appended.some(({ status }) => status === 'queued')) await store.claim(1000);
  return appended.map(({ id }) => id);
}

export function describeJobStore(name: string, makeHarness: () => Promise<StoreHarness>): void {
  describe(`${name} as a JobStore`, () => {
    let harness: StoreHarness;
    let store: JobStore<unknown>;
    const others: JobStore<unknown>[] = [];

    const another = async (): Promise<JobStore<unknown>> => {
      const other = await harness.open();
      others.push(other);
      return other;
    };

    beforeEach(async () => {
      harness = await makeHarness();
      store = await harness.open();
    });
    afterEach(async () => {
      for (const other of others.splice(0)) await other.close();
      await store.close();
      await harness.cleanUp();
    });

    test('ids are strings and never repeat, over reopening too', async () => {
      const first = await take(store, await store.append([job(1), job(2)]));
      await store.settle(first.map((id) => ({ id, kind: 'done', result: undefined })));
      await store.close();
      store = await harness.open();
      const second = await take(store, await store.append([job(3)]));
      expect(new Set([...first, ...second]).size).toBe(3);
      for (const id of first) expect(typeof id).toBe('string');
    });

    test('a finished job is gone; nobody can claim it', async () => {
      const ids = await take(store, await store.append([job('a'), job('b')]));
      expect(await store.settle([{ id: nth(ids, 0), kind: 'done', result: 1 }])).toEqual([true]);
      expect((await store.stats()).unfinished).toBe(1);
      expect(await claimAll(await another())).toEqual([]);
    });

    test('items come back as they went in', async () => {
      const items = [
        'text',
        'ünïcode \u0000 line\n',
        0,
        -1.5,
        true,
        null,
        [1, [2]],
        { a: { b: 'c' } },
        'x'.repeat(70_000),
      ];
      const ids = await take(store, await store.append(items.map((item) => job(item))));
      await store.settle(ids.map((id) => ({ id, kind: 'release' })));
      expect(await claimAll(await another())).toEqual(items);
    });

    test('released jobs are claimed most urgent first, then oldest first, each by one worker', async () => {
      const appended = await store.append(
        [3, 0, 3, 1, 0].map((priority, index) => ({ item: `${priority}-${index}`, priority })),
      );
      const ids = await take(store, appended);
      await store.settle(ids.map((id) => ({ id, kind: 'release' })));
      const other = await another();
      const first = (await other.claim(2)).map((claimed) => claimed.item);
      const rest = await claimAll(store);
      expect([first, rest]).toEqual([
        ['0-1', '0-4'],
        ['1-3', '3-0', '3-2'],
      ]);
    });

    test('jobs of a worker that vanished are claimed by another, and its late outcomes are refused', async () => {
      const appended = await store.append([job('a'), job('b')]);
      const ids = await take(store, appended);
      const other = await another();
      expect(await claimAll(other)).toEqual([]);
      await harness.abandon(store);
      const claimed = await other.claim(10);
      expect(claimed.map(({ item }) => item)).toEqual(['a', 'b']);
      const late = ids.map((id) => ({ id, kind: 'done', result: undefined }) as const);
      expect(await store.settle(late)).toEqual([false, false]);
      expect(await other.settle(claimed.map(({ id }) => ({ id, kind: 'done', result: undefined })))).toEqual([
        true,
        true,
      ]);
      expect((await other.stats()).unfinished).toBe(0);
    });

    test('attempts survive a hand-over', async () => {
      const ids = await take(store, await store.append([job('a')]));
      const id = nth(ids, 0);
      await store.settle([{ id, kind: 'retry', attempts: 2, delayMs: 0 }]);
      await harness.abandon(store);
      const other = await another();
      const [claimed] = await other.claim(1);
      expect(claimed).toMatchObject({ id, item: 'a', attempts: 2 });
    });

    test('a known key is a duplicate of the first job, with its result once it is done', async () => {
      const appended = await store.append([job('a', { key: 'k' })]);
      const [again] = await store.append([job('b', { key: 'k' })]);
      expect(again).toMatchObject({ status: 'duplicate', id: nth(appended, 0).id, first: 'unfinished' });
      await take(store, [nth(appended, 0)]);
      await store.settle([{ id: nth(appended, 0).id, kind: 'done', result: { value: 7 } }]);
      const [after] = await store.append([job('c', { key: 'k' })]);
      expect(after).toEqual({
        status: 'duplicate',
        id: nth(appended, 0).id,
        first: 'done',
        result: { value: 7 },
      });
      expect((await store.stats()).unfinished).toBe(0);
    });

    test('two jobs with one key in one append are one job', async () => {
      const appended = await store.append([job('a', { key: 'k' }), job('b', { key: 'k' })]);
      expect(appended[1]).toMatchObject({ status: 'duplicate', id: nth(appended, 0).id });
      expect((await store.stats()).unfinished).toBe(1);
    });

    test('a key is free again when its job failed for good', async () => {
      const ids = await take(store, await store.append([job('a', { key: 'k' })]));
      await store.settle([{ id: nth(ids, 0), kind: 'dead', attempts: 1, error: new Error('x') }]);
      const [again] = await store.append([job('b', { key: 'k' })]);
      expect(again?.status).not.toBe('duplicate');
    });

    test('a finished key is forgotten after its time', async () => {
      if (harness.passKeyTtl === undefined) return;
      const ids = await take(store, await store.append([job('a', { key: 'k' })]));
      await store.settle([{ id: nth(ids, 0), kind: 'done', result: undefined }]);
      await harness.passKeyTtl();
      const [again] = await store.append([job('b', { key: 'k' })]);
      expect(again?.status).not.toBe('duplicate');
    });

    test('dead jobs can be listed, are not claimed, and can be revived', async () => {
      const ids = await take(store, await store.append([job('a'), job('b')]));
      const deaths = ids.map(
        (id, index) => ({ id, kind: 'dead', attempts: 3, error: new Error(`e${index}`) }) as const,
      );
      expect(await store.settle(deaths)).toEqual([true, true]);
      expect(await store.deadLetters(10)).toEqual([
        { id: ids[0], item: 'a', error: 'Error: e0', attempts: 3 },
        { id: ids[1], item: 'b', error: 'Error: e1', attempts: 3 },
      ]);
      expect(await store.deadLetters(1)).toHaveLength(1);
      expect(await store.stats()).toMatchObject({ unfinished: 0, dead: 2 });
      const other = await another();
      expect(await claimAll(other)).toEqual([]);
      expect(await store.revive([nth(ids, 1), 'unknown', '999999999'])).toBe(1);
      expect(await other.claim(10)).toMatchObject([{ id: ids[1], item: 'b', attempts: 0 }]);
    });

    test('outcomes for unknown jobs are refused', async () => {
      expect(await store.settle([{ id: '123456789', kind: 'done', result: undefined }])).toEqual([false]);
    });

    test('an item that cannot be written is rejected and writes nothing of its append', async () => {
      const circular: { self?: unknown } = {};
      circular.self = circular;
      await expect(store.append([job('ok'), job(circular)])).rejects.toThrow(TypeError);
      expect((await store.stats()).unfinished).toBe(0);
    });

    test('after close every call is rejected, and close can be called again', async () => {
      await store.close();
      await store.close();
      await expect(store.append([job(1)])).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_CLOSED' });
      await expect(store.claim(1)).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_CLOSED' });
      store = await harness.open();
    });

    test('closing gives back what was not finished, to the next worker', async () => {
      await take(store, await store.append([job('a')]));
      await store.close();
      store = await harness.open();
      expect(await claimAll(store)).toEqual(['a']);
    });

    test('a Batcher runs what an earlier worker left, and what it is given, each once', async () => {
      await take(store, await store.append([job('left 1'), job('left 2', { key: 'k' })]));
      await harness.abandon(store);
      const mine = await another();
      const ran: unknown[] = [];
      const batcher = new Batcher<unknown, unknown>({
        store: mine,
        process: async (items) => {
          ran.push(...items);
          return items.map((item) => ({ ok: true, value: item }));
        },
      });
      const fresh = batcher.add('fresh');
      const sameKey = batcher.add('left 2 again', { key: 'k' });
      expect(await fresh.result).toBe('fresh');
      expect(await sameKey.result).toBe('left 2');
      expect(await batcher.close()).toMatchObject({ completed: 3, failed: 0, remaining: 0 });
      expect(ran.map(String).sort()).toEqual(['fresh', 'left 1', 'left 2']);
    });

    test('a Batcher’s failures become dead letters of the store and can be replayed', async () => {
      let healthy = false;
      const batcher = new Batcher<unknown>({
        store,
        process: async () => {
          if (!healthy) throw new Error('down');
        },
      });
      await expect(batcher.add('x').result).rejects.toThrow('down');
      expect(await batcher.deadLetters()).toMatchObject([{ item: 'x', attempts: 1 }]);
      healthy = true;
      expect(await batcher.replay()).toBe(1);
      expect(await batcher.close()).toMatchObject({ remaining: 0, deadLettered: 0, completed: 1 });
    });

    test('a Batcher that is closed in a hurry leaves the rest to the next one', async () => {
      const started: unknown[] = [];
      const stuck = new Batcher<unknown>({
        store,
        maxItems: 1,
        process: (items, { signal }) => {
          started.push(...items);
          return new Promise((_, reject) =>
            signal.addEventListener('abort', () => reject(signal.reason as Error)),
          );
        },
      });
      const tickets = [1, 2, 3].map((item) => stuck.add(item));
      await Promise.all(tickets.map((ticket) => ticket.accepted));
      expect(await stuck.close({ timeoutMs: 20 })).toMatchObject({ remaining: 3, timedOut: true });
      for (const ticket of tickets)
        await expect(ticket.result).rejects.toMatchObject({ code: 'ERR_PERF_BATCH_CLOSED' });
      await store.close();
      store = await harness.open();
      const ran: unknown[] = [];
      const next = new Batcher<unknown>({ store, process: async (items) => void ran.push(...items) });
      expect(await next.drain()).toMatchObject({ remaining: 0 });
      await next.close();
      expect(ran.map(String).sort()).toEqual(['1', '2', '3']);
    });
  });
}
