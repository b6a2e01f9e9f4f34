import { mkdtempSync, rmSync, writeFileSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TieredCache } from '@perf/cache';
import type { Entry } from '@perf/cache';
import { SqliteTier } from '@perf/cache/sqlite';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'perf-cache-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (entry: Entry | undefined): string | undefined => entry && new TextDecoder().decode(entry.value);

describe('SqliteTier', () => {
  test('reads see what is pending, and a reopened file has what was flushed on close', async () => {
    const path = join(dir, 'cache.db');
    const tier = SqliteTier.open({ path });
    const entry: Entry = {
      key: 'a',
      value: bytes('one'),
      expiresAtMs: 2e12,
      staleUntilMs: 3e12,
      writtenAtMs: 1e12,
      tags: ['t', 'u'],
      mac: new Uint8Array(32).fill(1),
    };
    await tier.setMany([entry, { key: 'b', value: bytes('two') }]);
    expect((await tier.getMany(['a', 'none', 'b'])).map(text)).toEqual(['one', undefined, 'two']);
    await tier.close();
    await tier.close();
    const again = SqliteTier.open({ path });
    const [a, b] = await again.getMany(['a', 'b']);
    expect({ ...a, value: Uint8Array.from(a!.value), mac: Uint8Array.from(a!.mac!) }).toEqual(entry);
    expect(Object.keys(b!)).toEqual(['key', 'value']);
    expect(again.stats()).toMatchObject({ entries: 2 });
    await again.close();
  });

  test('deletes pending and written entries and counts each once', async () => {
    const tier = SqliteTier.open({ path: ':memory:' });
    await tier.setMany([{ key: 'a', value: bytes('1') }]);
    await tier.flush();
    await tier.setMany([
      { key: 'a', value: bytes('2') },
      { key: 'b', value: bytes('3') },
    ]);
    expect(await tier.deleteMany(['a', 'b', 'c', 'a'])).toBe(2);
    expect((await tier.getMany(['a', 'b'])).map(text)).toEqual([undefined, undefined]);
    await tier.flush();
    expect(tier.stats()).toMatchObject({ entries: 0, sizeBytes: 0 });
    await tier.close();
  });

  test('deletes by tag, judging by the newest version of an entry', async () => {
    const tier = SqliteTier.open({ path: ':memory:' });
    await tier.setMany([
      { key: 'a', value: bytes('1'), tags: ['x'] },
      { key: 'b', value: bytes('2'), tags: ['x', 'y'] },
      { key: 'c', value: bytes('3'), tags: ['x'] },
    ]);
    await tier.flush();
    await tier.setMany([
      { key: 'a', value: bytes('1b'), tags: ['z'] },
      { key: 'd', value: bytes('4'), tags: ['x'] },
    ]);
    expect([...(await tier.deleteByTag('x'))].sort()).toEqual(['b', 'c', 'd']);
    expect((await tier.getMany(['a', 'b', 'c', 'd'])).map(text)).toEqual([
      '1b',
      undefined,
      undefined,
      undefined,
    ]);
    expect(await tier.deleteByTag('y')).toEqual([]);
    await tier.close();
  });

  test('keeps its limits, evicting mostly what was used long ago', async () => {
    let now = 1000;
    let seed = 1;
    const random = (): number => (seed = (seed * 16807) % 2147483647) / 2147483647;
    const tier = SqliteTier.open({ path: ':memory:', maxEntries: 100, clock: { now: () => now }, random });
    for (let i = 0; i < 200; i++) {
      now += 500;
      await tier.setMany([{ key: `k${i}`, value: bytes('v') }]);
      if (i % 10 === 0) await tier.flush();
      if (i % 10 === 5) await tier.getMany(['k3']);
    }
    await tier.flush();
    expect(tier.stats()).toMatchObject({ entries: 100 });
    expect(text((await tier.getMany(['k3']))[0])).toBe('v');
    const recent = await tier.getMany(Array.from({ length: 50 }, (_, i) => `k${150 + i}`));
    expect(recent.filter((entry) => entry !== undefined).length).toBeGreaterThan(35);
    await tier.close();
    const bounded = SqliteTier.open({ path: ':memory:', maxBytes: 10_000 });
    for (let i = 0; i < 50; i++) await bounded.setMany([{ key: `k${i}`, value: new Uint8Array(500) }]);
    await bounded.flush();
    expect(bounded.stats()['sizeBytes']).toBeLessThanOrEqual(10_000);
    expect(bounded.stats()['entries']).toBeGreaterThan(10);
    await bounded.close();
  });

  test('sweeps entries whose time is over in steps', async () => {
    let now = 1000;
    const tier = SqliteTier.open({ path: ':memory:', clock: { now: () => now } });
    await tier.setMany(
      Array.from({ length: 100 }, (_, i) => ({ key: `k${i}`, value: bytes('v'), expiresAtMs: 2000 })),
    );
    await tier.flush();
    now = 2000;
    for (let i = 0; i < 4; i++) {
      await tier.setMany([{ key: 'new', value: bytes('v') }]);
      await tier.flush();
    }
    expect(tier.stats()).toMatchObject({ entries: 1, expirations: 100 });
    await tier.close();
  });

  test('refuses a file that is not a database and leaves it as it was', () => {
    const path = join(dir, 'notes.txt');
    writeFileSync(path, 'these are my notes, not a database '.repeat(50));
    const before = readFileSync(path);
    expect(() => SqliteTier.open({ path })).toThrow(expect.objectContaining({ name: 'SqliteError' }));
    expect(readFileSync(path)).toEqual(before);
  });

  test('refuses options out of range by name, and calls after close', async () => {
    expect(() => SqliteTier.open({ path: ':memory:', flushMs: 0 })).toThrow(/flushMs/);
    expect(() => SqliteTier.open({ path: ':memory:', maxEntries: -1 })).toThrow(/maxEntries/);
    expect(() => SqliteTier.open({ path: 5 as unknown as string })).toThrow(/path/);
    const tier = SqliteTier.open({ path: ':memory:' });
    await tier.close();
    await expect(tier.getMany(['a'])).rejects.toMatchObject({ code: 'ERR_PERF_CACHE_CLOSED' });
    await expect(tier.setMany([])).rejects.toMatchObject({ code: 'ERR_PERF_CACHE_CLOSED' });
  });

  test('under a TieredCache a restart finds everything, with tags and integrity', async () => {
    const path = join(dir, 'cache.db');
    const integrity = { mode: 'always' as const, key: new Uint8Array(32).fill(3) };
    const open = (): TieredCache<{ n: number }> =>
      new TieredCache({ memory: { maxEntries: 10 }, tiers: [SqliteTier.open({ path })], integrity });
    const first = open();
    for (let n = 0; n < 100; n++) await first.set(`k${n}`, { n }, { tags: [`t${n % 2}`] });
    await first.close();
    const second = open();
    expect(await second.warm({ snapshot: true }, { limit: 7 })).toEqual({
      loaded: 7,
      present: 0,
      missing: 0,
    });
    expect((await second.getMany(Array.from({ length: 100 }, (_, n) => `k${n}`))).size).toBe(100);
    expect(await second.get('k42')).toEqual({ n: 42 });
    expect(await second.deleteByTag('t0')).toBe(50);
    expect([await second.get('k42'), await second.get('k43')]).toEqual([undefined, { n: 43 }]);
    expect(second.stats().tiers['sqlite']).toMatchObject({ entries: 50 });
    await second.close();
  });
});
