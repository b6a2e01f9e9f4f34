/** What a cache can be filled from before it is asked. */
export type WarmSource<V> =
  | Iterable<readonly [string, V]>
  | AsyncIterable<readonly [string, V]>
  /** Entries of these keys that the tiers have. */
  | { readonly keys: Iterable<string> }
  /** What this operation used before (`recordOperation`). */
  | { readonly operation: string }
  /** What was hottest when the cache was last closed, with a tier that can keep notes. */
  | { readonly snapshot: true };

export interface WarmOptions {
  /** Most entries to bring in. Default: all. */
  readonly limit?: number;
  /** How values of an iterable are stored. */
  readonly set?: { readonly ttlMs?: number; readonly tags?: readonly string[]; readonly cost?: number };
  readonly signal?: AbortSignal;
}

export interface WarmReport {
  readonly loaded: number;
  /** Were in memory already. */
  readonly present: number;
  /** Are in no tier. */
  readonly missing: number;
}

export function isWarmKeys<V>(source: WarmSource<V>): source is { readonly keys: Iterable<string> } {
  return 'keys' in source && typeof source.keys !== 'function';
}

export function isWarmOperation<V>(source: WarmSource<V>): source is { readonly operation: string } {
  return 'operation' in source && typeof source.operation === 'string';
}

export function isWarmSnapshot<V>(source: WarmSource<V>): source is { readonly snapshot: true } {
  return 'snapshot' in source && source.snapshot;
}

export function encodeSnapshot(keys: readonly string[]): Uint8Array {
  return Buffer.from(JSON.stringify(keys));
}

/** What cannot be read as a list of keys is no snapshot: an empty list. */
export function decodeSnapshot(bytes: Uint8Array): readonly string[] {
  try {
    const keys: unknown = JSON.parse(Buffer.from(bytes).toString());
    return Array.isArray(keys) && keys.every((key) => typeof key === 'string') ? keys : [];
  } catch {
    return [];
  }
}
