/** What a cache can be filled from before it is asked. */
export type WarmSource<V> =
  | Iterable<readonly [string, V]>
  | AsyncIterable<readonly [string, V]>
  /** Entries of these keys that the tiers have. */
  | { readonly keys: Iterable<string> }
  /** What this operation used before (`recordOperation`). */
  | { readonly operation: string };

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
