import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { TieredCache } from '@perf/cache';
import type { Entry } from '@perf/cache';
import { MapTier } from './map-tier.ts';

const key = Uint8Array.from({ length: 32 }, (_, i) => i * 7);

/** A linear congruential generator, so that a failure can be repeated. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 16807) % 2147483647;
    return state % below;
  };
}

function open(tier: MapTier, mode: 'always' | 'sampling' = 'always'): TieredCache<string> {
  const integrity = { mode, key, sampleRate: 0.5 };
  return new TieredCache({ memory: { maxEntries: 10_000 }, tiers: [tier], integrity, random: () => 0.4 });
}

async function filled(): Promise<MapTier> {
  const tier = new MapTier('store');
  const cache = open(tier);
  for (let i = 0; i < 50; i++) {
    await cache.set(`key${i}`, 'v'.repeat(i * 3), i % 2 === 0 ? { ttlMs: 1e9, tags: ['t', `u${i}`] } : {});
  }
  return tier;
}

const flip = (bytes: Uint8Array, bit: number): Uint8Array =>
  bytes.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));

describe('integrity', () => {
  test('accepts none of 10,000 flipped bits, truncations and swapped entries', async () => {
    const tier = await filled();
    const originals = [...tier.entries.values()];
    const pick = numbers(20_261_120);
    let accepted = 0;
    const reader = open(tier);
    for (let attempt = 0; attempt < 10_000; attempt++) {
      const original = originals.at(pick(originals.length)) as Entry;
      const other = originals.at(pick(originals.length)) as Entry;
      const { value, mac = new Uint8Array() } = original;
      const forgeries: readonly Entry[] = [
        { ...original, value: flip(value, pick(value.length * 8)) },
        { ...original, mac: flip(mac, pick(mac.length * 8)) },
        { ...original, value: value.subarray(0, pick(value.length)) },
        { ...original, mac: mac.subarray(0, pick(mac.length)) },
        { ...other, key: `${original.key}x` },
        { ...original, expiresAtMs: (original.expiresAtMs ?? 0) + 1 + pick(1000) },
      ];
      const forged = forgeries.at(attempt % forgeries.length) as Entry;
      tier.entries.set(forged.key, forged);
      if ((await reader.get(forged.key)) !== undefined) accepted++;
      await reader.clear({ tier: 'memory' });
      await reader.flush();
      tier.entries.delete(`${original.key}x`);
      tier.entries.set(original.key, original);
    }
    expect(accepted).toBe(0);
    expect((await reader.getMany(originals.map((entry) => entry.key))).size).toBe(50);
  });

  test('is the HMAC-SHA256 that createHmac computes over the same message', async () => {
    const tier = new MapTier('store');
    await open(tier).set('schlüssel', 'value');
    const entry = tier.entries.get('schlüssel') as Entry;
    const text = (value: string): Buffer => {
      const bytes = Buffer.from(value);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      return Buffer.concat([length, bytes]);
    };
    const times = Buffer.alloc(28);
    times.writeDoubleLE(-1, 0);
    times.writeDoubleLE(-1, 8);
    times.writeDoubleLE(entry.writtenAtMs ?? -1, 16);
    const message = Buffer.concat([text('schlüssel'), text('store'), times, entry.value]);
    expect(Buffer.from(entry.mac ?? [])).toEqual(createHmac('sha256', key).update(message).digest());
  });

  test('in sampling mode verifies the sampled share only', async () => {
    const tier = await filled();
    const entry = tier.entries.get('key10') as Entry;
    tier.entries.set('key10', { ...entry, mac: new Uint8Array(32) });
    expect(await open(tier, 'sampling').get('key10')).toBeUndefined();
    tier.entries.set('key10', { ...entry, mac: new Uint8Array(32) });
    const lucky = new TieredCache<string>({
      memory: { maxEntries: 10 },
      tiers: [tier],
      integrity: { mode: 'sampling', key, sampleRate: 0.5 },
      random: () => 0.6,
    });
    expect(await lucky.get('key10')).toBe('v'.repeat(30));
  });

  test('with never neither signs nor verifies', async () => {
    const tier = new MapTier('store');
    const integrity = { mode: 'never' as const, key };
    const cache = new TieredCache<string>({ memory: { maxEntries: 10 }, tiers: [tier], integrity });
    await cache.set('a', 'value');
    expect(tier.entries.get('a')?.mac).toBeUndefined();
    await cache.clear({ tier: 'memory' });
    expect(await cache.get('a')).toBe('value');
  });
});
