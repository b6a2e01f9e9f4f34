/**
 * A member of a cache that is shared through Redis, driven by messages: each is a call, each answer its
 * result. What the process holds in memory can be asked with `peek`.
 */
import { TieredCache } from '@perf/cache';
import { RedisBus, RedisTier } from '@perf/cache/redis';
import type { RedisAddress } from './redis-server.ts';

export type Call =
  | { readonly call: 'get' | 'peek' | 'delete' | 'deleteByTag'; readonly name: string }
  | { readonly call: 'set'; readonly name: string; readonly value: string; readonly tags?: readonly string[] }
  | { readonly call: 'stats' };

const redis = JSON.parse(process.argv.at(2) ?? '') as RedisAddress;
const key = new Uint8Array(32).fill(5);
const bus = new RedisBus({ redis, key });
const tier = new RedisTier({ redis });
const cache = new TieredCache<string>({
  memory: { maxEntries: 1000 },
  tiers: [tier],
  bus,
  integrity: { mode: 'always', key },
});

async function answer(call: Call): Promise<unknown> {
  if (call.call === 'stats')
    return { available: tier.stats()['available'], subscribed: bus.stats().subscribed };
  if (call.call === 'set') {
    await cache.set(call.name, call.value, call.tags === undefined ? {} : { tags: call.tags });
    return null;
  }
  return (await cache[call.call](call.name)) ?? null;
}

process.on('message', (call: Call) => {
  void answer(call).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
await bus.ready();
process.send?.({ result: 'ready' });
