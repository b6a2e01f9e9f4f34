import { deserialize, serialize } from 'node:v8';
import { CacheError } from './errors.ts';

/** Turns values into bytes for the tiers below memory. */
export interface Codec<V> {
  encode(value: V): Uint8Array;
  decode(bytes: Uint8Array): V;
}

/** Structured clone: Maps, Sets, Dates, typed arrays and cycles survive; functions and class identity do not. */
export function structuredCloneCodec<V>(): Codec<V> {
  return { encode: (value) => serialize(value), decode: (bytes) => deserialize(bytes) as V };
}

/** @throws {CacheError} ERR_PERF_CACHE_CODEC when the codec cannot encode the value. */
export function encodeValue<V>(codec: Codec<V>, key: string, value: V): Uint8Array {
  try {
    return codec.encode(value);
  } catch (cause) {
    throw new CacheError('ERR_PERF_CACHE_CODEC', `the value of ${JSON.stringify(key)} cannot be encoded`, {
      cause,
    });
  }
}

/** Whether a value is immutable, so that handing it out cannot share state. */
export function isPrimitive(value: unknown): boolean {
  return (typeof value !== 'object' && typeof value !== 'function') || value === null;
}
