/**
 * Bytes that a cached value takes, heap and external memory together, without serialising it. Fixed costs are those of
 * V8 on 64-bit Node without pointer compression.
 */

/** Map entry, slot arrays, links and frequencies of one cached entry (see bench case `memory-per-entry`). */
export const ENTRY_OVERHEAD_BYTES = 64;

const POINTER_BYTES = 8;
const STRING_HEADER_BYTES = 16;
const OBJECT_HEADER_BYTES = 24;
const ARRAY_HEADER_BYTES = 48;
/** A Buffer or typed array: view, ArrayBuffer and backing-store bookkeeping on the heap. */
const BYTE_VIEW_BYTES = 200;
const MAP_ENTRY_BYTES = 40;
/** Nested values visited before the rest is extrapolated from what was seen. */
const VISIT_LIMIT = 2000;

/** Bytes of `value` and `key` as one cache entry. Values reached twice count once; functions count 64. */
export function estimateEntryBytes(value: unknown, key: unknown): number {
  return ENTRY_OVERHEAD_BYTES + estimateBytes(key) + estimateBytes(value);
}

/** Bytes of one value with everything it holds. */
export function estimateBytes(value: unknown): number {
  if (typeof value === 'string') return stringBytes(value);
  if (typeof value === 'number') return Number.isInteger(value) && Math.abs(value) < 2 ** 31 ? 0 : 16;
  if (typeof value === 'bigint') return 24 + Math.ceil(value.toString(16).length / 2);
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return 0;
  return treeBytes(value);
}

function stringBytes(value: string): number {
  const width = isOneByte(value) ? 1 : 2;
  return STRING_HEADER_BYTES + Math.ceil((value.length * width) / 8) * 8;
}

/** V8 stores a string of Latin-1 characters in one byte each; long strings are judged by a prefix. */
function isOneByte(value: string): boolean {
  const end = Math.min(value.length, 256);
  for (let i = 0; i < end; i++) if (value.charCodeAt(i) > 255) return false;
  return true;
}

function treeBytes(root: object): number {
  const seen = new Set<object>();
  const pending: unknown[] = [root];
  let bytes = 0;
  let visits = 0;
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value !== 'object' || value === null) {
      bytes += typeof value === 'function' ? 64 : estimateBytes(value);
    } else if (!seen.has(value)) {
      seen.add(value);
      bytes += ownBytes(value, pending);
    }
    if (++visits === VISIT_LIMIT) return bytes + (bytes / visits) * pending.length;
  }
  return bytes;
}

/** Bytes of the object itself; what it refers to is pushed on `pending`. */
function ownBytes(value: object, pending: unknown[]): number {
  if (ArrayBuffer.isView(value)) return BYTE_VIEW_BYTES + value.byteLength;
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer)
    return BYTE_VIEW_BYTES / 2 + value.byteLength;
  if (Array.isArray(value)) {
    for (const item of value) pending.push(item);
    return ARRAY_HEADER_BYTES + value.length * POINTER_BYTES;
  }
  if (value instanceof Map) {
    for (const [key, item] of value) pending.push(key, item);
    return ARRAY_HEADER_BYTES + value.size * MAP_ENTRY_BYTES;
  }
  if (value instanceof Set) {
    for (const item of value) pending.push(item);
    return ARRAY_HEADER_BYTES + value.size * MAP_ENTRY_BYTES;
  }
  if (value instanceof Date) return 2 * OBJECT_HEADER_BYTES;
  let bytes = OBJECT_HEADER_BYTES;
  for (const name of Object.keys(value)) {
    bytes += POINTER_BYTES;
    pending.push((value as Record<string, unknown>)[name]);
  }
  return bytes;
}
