/** What every `Tier` must do. Each implementation runs this suite. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Entry, Tier } from '@perf/cache';

export interface TierSubject {
  /** An empty tier. */
  open(): Tier | Promise<Tier>;
  /** How tests are declared, where they can be impossible. */
  readonly declare?: (name: string, run: () => Promise<void>) => void;
  /** Unpaired surrogates in keys and tags are told apart. Default true. */
  readonly anyText?: boolean;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const FAR_MS = 4e12;

/** Only what the contract names, with plain arrays, so that it can be compared. */
function plain(entry: Entry | undefined): Entry | undefined {
  if (entry === undefined) return undefined;
  const { mac, ...rest } = entry;
  const value = Uint8Array.from(entry.value);
  return { ...rest, value, ...(mac === undefined ? {} : { mac: Uint8Array.from(mac) }) };
}

export function testTier(subject: TierSubject): void {
  const declare = subject.declare ?? test;
  const define = (name: string, run: (tier: Tier) => Promise<void>): void =>
    declare(name, async () => {
      const tier = await subject.open();
      try {
        await run(tier);
      } finally {
        await tier.close();
      }
    });

  define('an entry comes back with all that it was given, byte for byte', async (tier) => {
    const entries: Entry[] = [
      { key: 'plain', value: bytes('value') },
      { key: 'empty', value: new Uint8Array() },
      { key: 'bytes', value: Uint8Array.from({ length: 256 }, (_, i) => i), expiresAtMs: FAR_MS + 0.5 },
      {
        key: 'full',
        value: bytes('\0\r\n$5\r\n'),
        expiresAtMs: FAR_MS,
        staleUntilMs: FAR_MS + 1000,
        writtenAtMs: 1e12 + 0.25,
        tags: ['t', 'a tag: with "quotes"', 'ü🂡'],
        mac: Uint8Array.from({ length: 32 }, (_, i) => 255 - i),
      },
      { key: 'large', value: new Uint8Array(300_000).fill(7) },
    ];
    await tier.setMany(entries);
    const read = await tier.getMany(entries.map((entry) => entry.key));
    expect(read.map(plain)).toEqual(entries);
  });

  define('answers stand where their keys stood, keys asked for twice and missing keys too', async (tier) => {
    await tier.setMany([
      { key: 'a', value: bytes('1') },
      { key: 'b', value: bytes('2') },
    ]);
    const read = await tier.getMany(['b', 'none', 'a', 'b']);
    expect(read.map((entry) => entry && [entry.key, plain(entry)?.value])).toEqual([
      ['b', bytes('2')],
      undefined,
      ['a', bytes('1')],
      ['b', bytes('2')],
    ]);
    expect(await tier.getMany([])).toEqual([]);
    await tier.setMany([]);
    expect(await tier.deleteMany([])).toBe(0);
  });

  define('the last version of a key counts, within one call too', async (tier) => {
    await tier.setMany([{ key: 'a', value: bytes('1'), tags: ['t'], expiresAtMs: FAR_MS }]);
    await tier.setMany([{ key: 'a', value: bytes('2') }]);
    expect((await tier.getMany(['a'])).map(plain)).toEqual([{ key: 'a', value: bytes('2') }]);
    await tier.setMany([
      { key: 'a', value: bytes('3') },
      { key: 'a', value: bytes('4'), tags: ['t'] },
      { key: 'a', value: bytes('5') },
    ]);
    expect((await tier.getMany(['a'])).map(plain)).toEqual([{ key: 'a', value: bytes('5') }]);
  });

  define('deletes each key once and says how many there were', async (tier) => {
    await tier.setMany(['a', 'b', 'c'].map((key) => ({ key, value: bytes(key) })));
    expect(await tier.deleteMany(['a', 'none', 'b', 'a'])).toBe(2);
    expect((await tier.getMany(['a', 'b', 'c'])).map((entry) => entry?.key)).toEqual([
      undefined,
      undefined,
      'c',
    ]);
  });

  define('keys are any text', async (tier) => {
    const odd = ['', ' ', 'a*b?[c]\\', 'line\nbreak\0', '::', 'é', 'e\u0301', '🂡', 'x'.repeat(10_000)];
    const keys = subject.anyText === false ? odd : [...odd, '\ud800', '\ud801', '"\\ud800"'];
    await tier.setMany(keys.map((key, i) => ({ key, value: bytes(String(i)), tags: [key] })));
    const read = await tier.getMany(keys);
    expect(read.map((entry) => plain(entry)?.value)).toEqual(keys.map((_, i) => bytes(String(i))));
    if (tier.deleteByTag !== undefined) {
      for (const key of keys) expect(await tier.deleteByTag(key)).toEqual([key]);
    } else expect(await tier.deleteMany(keys)).toBe(keys.length);
    expect((await tier.getMany(keys)).every((entry) => entry === undefined)).toBe(true);
  });

  define('clear empties it', async (tier) => {
    await tier.setMany([
      { key: 'a', value: bytes('1'), tags: ['t'] },
      { key: 'b', value: bytes('2') },
    ]);
    await tier.clear();
    expect(await tier.getMany(['a', 'b'])).toEqual([undefined, undefined]);
    expect((await tier.deleteByTag?.('t')) ?? []).toEqual([]);
    await tier.setMany([{ key: 'a', value: bytes('3') }]);
    expect((await tier.getMany(['a'])).map(plain)).toEqual([{ key: 'a', value: bytes('3') }]);
  });

  define('deletes by tag, judging by the newest version of an entry', async (tier) => {
    if (tier.deleteByTag === undefined) return;
    await tier.setMany([
      { key: 'a', value: bytes('1'), tags: ['x'] },
      { key: 'b', value: bytes('2'), tags: ['x', 'y'], expiresAtMs: FAR_MS },
      { key: 'c', value: bytes('3'), tags: ['x'] },
    ]);
    await tier.setMany([
      { key: 'a', value: bytes('1b'), tags: ['z'] },
      { key: 'd', value: bytes('4'), tags: ['x'] },
    ]);
    await tier.deleteMany(['c']);
    expect([...(await tier.deleteByTag('x'))].toSorted()).toEqual(['b', 'd']);
    const left = await tier.getMany(['a', 'b', 'c', 'd']);
    expect(left.map((entry) => entry?.key)).toEqual(['a', undefined, undefined, undefined]);
    expect(await tier.deleteByTag('y')).toEqual([]);
  });

  define('hundreds of entries go through one call', async (tier) => {
    const entries = Array.from({ length: 2500 }, (_, i) => ({
      key: `k${i}`,
      value: bytes(`v${i}`),
      tags: ['all', `mod${i % 7}`],
    }));
    await tier.setMany(entries);
    const read = await tier.getMany(entries.map((entry) => entry.key));
    expect(read.map(plain)).toEqual(entries);
    if (tier.deleteByTag !== undefined) {
      expect(await tier.deleteByTag('mod3')).toHaveLength(357);
      expect(await tier.deleteByTag('all')).toHaveLength(2500 - 357);
    } else expect(await tier.deleteMany(entries.map((entry) => entry.key))).toBe(2500);
  });

  define('behaves as a Map does over any sequence of calls', async (tier) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        await tier.clear();
        const model = new Map<string, Entry>();
        for (const one of steps) await runStep(one, tier, model);
        const keys = [...KEYS];
        expect((await tier.getMany(keys)).map(plain)).toEqual(keys.map((key) => model.get(key)));
      }),
      { numRuns: 40 },
    );
  });

  declare('close can be repeated, and calls afterwards are refused', async () => {
    const tier = await subject.open();
    await tier.close();
    await tier.close();
    const refused = { code: 'ERR_PERF_CACHE_CLOSED' };
    await expect(tier.getMany(['a'])).rejects.toMatchObject(refused);
    await expect(tier.setMany([{ key: 'a', value: bytes('1') }])).rejects.toMatchObject(refused);
    await expect(tier.deleteMany(['a'])).rejects.toMatchObject(refused);
    await expect(tier.clear()).rejects.toMatchObject(refused);
  });
}

const KEYS = ['a', 'b', 'c', 'd'] as const;
const TAGS = ['s', 't'] as const;
type Step =
  | { readonly kind: 'set'; readonly entries: readonly Entry[] }
  | { readonly kind: 'delete'; readonly keys: readonly string[] }
  | { readonly kind: 'tag'; readonly tag: string };

const entry = fc.record(
  {
    key: fc.constantFrom(...KEYS),
    value: fc.uint8Array({ maxLength: 8 }),
    tags: fc.uniqueArray(fc.constantFrom(...TAGS), { minLength: 1 }),
    expiresAtMs: fc.integer({ min: FAR_MS, max: FAR_MS + 10 }),
  },
  { requiredKeys: ['key', 'value'] },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), entries: fc.array(entry, { maxLength: 3 }) }),
  fc.record({ kind: fc.constant('delete' as const), keys: fc.array(fc.constantFrom(...KEYS)) }),
  fc.record({ kind: fc.constant('tag' as const), tag: fc.constantFrom(...TAGS) }),
);

async function runStep(one: Step, tier: Tier, model: Map<string, Entry>): Promise<void> {
  if (one.kind === 'set') {
    await tier.setMany(one.entries);
    for (const each of one.entries) model.set(each.key, { ...each });
    return;
  }
  if (one.kind === 'delete') {
    const there = [...new Set(one.keys)].filter((key) => model.delete(key));
    expect(await tier.deleteMany(one.keys)).toBe(there.length);
    return;
  }
  if (tier.deleteByTag === undefined) return;
  const tagged = [...model.values()].filter((each) => each.tags?.includes(one.tag) === true);
  for (const each of tagged) model.delete(each.key);
  expect([...(await tier.deleteByTag(one.tag))].toSorted()).toEqual(
    tagged.map((each) => each.key).toSorted(),
  );
}
