// Answers to identical requests, once: the key is a hash of the request's canonical JSON, so the order of its members
// does not matter; concurrent identical requests share one call.
import { createHash } from 'node:crypto';

/**
 * JSON with the members of every object sorted by code unit, so that equal requests have equal texts.
 * @throws {TypeError} when the value is not JSON (functions, symbols, bigint, cycles, NaN, infinities).
 */
export function canonicalJson(value: unknown): string {
  return serialize(value, new Set(), '$');
}

/** `response:` and the SHA-256 of the canonical request, in base64url. */
export function responseKey(request: unknown): string {
  return `response:${createHash('sha256').update(canonicalJson(request)).digest('base64url')}`;
}

function serialize(value: unknown, ancestors: Set<object>, path: string): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`request is not JSON: ${path} is ${value}`);
    return JSON.stringify(value);
  }
  if (typeof value !== 'object') throw new TypeError(`request is not JSON: ${path} is a ${typeof value}`);
  if (ancestors.has(value)) throw new TypeError(`request is not JSON: ${path} refers back to itself`);
  ancestors.add(value);
  let text: string;
  if (Array.isArray(value)) {
    text = `[${value.map((item, i) => serialize(item, ancestors, `${path}[${i}]`)).join(',')}]`;
  } else if (Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null) {
    const members: string[] = [];
    for (const [key, member] of Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      // As JSON.stringify does, a member that is undefined is one that is not there.
      if (member !== undefined)
        members.push(`${JSON.stringify(key)}:${serialize(member, ancestors, `${path}.${key}`)}`);
    }
    text = `{${members.join(',')}}`;
  } else {
    throw new TypeError(`request is not JSON: ${path} is an instance of a class`);
  }
  ancestors.delete(value);
  return text;
}
