import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { TieredCache } from '@perf/cache';
import { SqliteTier } from '@perf/cache/sqlite';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'perf-cache-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const CHILD = fileURLToPath(new URL('sqlite-child.ts', import.meta.url));

function openCache(leaseMs = 10_000): TieredCache<string> {
  const tiers = [SqliteTier.open({ path: join(dir, 'cache.db') })];
  return new TieredCache({ memory: { maxEntries: 100 }, tiers, leaseMs });
}

async function message(child: ChildProcess): Promise<unknown> {
  const [first] = (await once(child, 'message')) as unknown[];
  return first;
}

describe('two processes on one SQLite file', () => {
  test('load a key once between them', async () => {
    const [one, other] = [openCache(), openCache()];
    const answer = Promise.withResolvers<string>();
    const load = vi.fn(() => answer.promise);
    const reads = Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? one : other).getOrLoad('a', load));
    await vi.waitFor(() => expect(load).toHaveBeenCalled());
    answer.resolve('value');
    expect(new Set(await Promise.all(reads))).toEqual(new Set(['value']));
    expect(load).toHaveBeenCalledTimes(1);
    await Promise.all([one.close(), other.close()]);
  });

  test('when the load fails in one, the other takes over', async () => {
    const [one, other] = [openCache(), openCache()];
    const answer = Promise.withResolvers<string>();
    const failing = one.getOrLoad('a', () => answer.promise);
    const waiting = other.getOrLoad('a', () => Promise.resolve('second'));
    answer.reject(new Error('first failed'));
    await expect(failing).rejects.toThrow('first failed');
    expect(await waiting).toBe('second');
    await Promise.all([one.close(), other.close()]);
  });

  test('a lease whose holder is gone ends by its time', async () => {
    const [gone, other] = [openCache(50), openCache(50)];
    void gone.getOrLoad('a', () => new Promise<string>(() => undefined));
    expect(await other.getOrLoad('a', () => Promise.resolve('value'))).toBe('value');
    await other.close();
  });

  test('a delete in one wins over a load in the other', async () => {
    const [one, other] = [openCache(), openCache()];
    const answer = Promise.withResolvers<string>();
    const load = vi.fn(() => answer.promise);
    const loading = one.getOrLoad('a', load);
    await vi.waitFor(() => expect(load).toHaveBeenCalled());
    await other.delete('a');
    answer.resolve('old');
    expect(await loading).toBe('old');
    await one.flush();
    expect([await one.get('a'), await other.get('a')]).toEqual([undefined, undefined]);
    await Promise.all([one.close(), other.close()]);
  });

  test('one of which is killed lose only the batch that was not written', async () => {
    const path = join(dir, 'cache.db');
    const child = fork(CHILD, [path], { execArgv: ['--conditions=@perf/source'] });
    const written = (await message(child)) as number;
    child.kill('SIGKILL');
    await once(child, 'exit');
    const tier = SqliteTier.open({ path });
    const entries = await tier.getMany(Array.from({ length: written }, (_, i) => `k${i}`));
    expect(entries.filter((entry) => entry === undefined)).toEqual([]);
    expect(entries.map((entry) => entry?.value[0])).toEqual(
      Array.from({ length: written }, (_, i) => i % 251),
    );
    await tier.close();
  });
});
