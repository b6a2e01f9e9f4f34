// JSON, strictly: what JSON.stringify would drop or bend (functions, dates, NaN, cycles) is a TypeError that says where.

/** Anything JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * JSON with the members of every object sorted by code unit, so that equal values have equal texts. A member that is
 * undefined is one that is not there. O(size).
 * @throws {TypeError} naming the place, when the value is not JSON (functions, symbols, bigint, cycles, NaN, infinities,
 *   instances of classes). `what` names the whole in the message.
 */
export function canonicalJson(value: unknown, what = 'value'): string {
  return serialize(value, new Set(), what, '$');
}

/** A deep copy, several times faster than structuredClone. O(size). */
export function copyJson<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copyJson) as T;
  const copy: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    // Assigning to this one name would set the prototype.
    if (key === '__proto__') {
      Object.defineProperty(copy, key, {
        value: copyJson(member as unknown),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    } else copy[key] = copyJson(member as unknown);
  }
  return copy as T;
}

function serialize(value: unknown, ancestors: Set<object>, what: string, path: string): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`${what} is not JSON: ${path} is ${value}`);
    return JSON.stringify(value);
  }
  if (typeof value !== 'object') throw new TypeError(`${what} is not JSON: ${path} is a ${typeof value}`);
  if (ancestors.has(value)) throw new TypeError(`${what} is not JSON: ${path} refers back to itself`);
  ancestors.add(value);
  let text: string;
  if (Array.isArray(value)) {
    // Array.from also visits holes, which are undefined and not JSON.
    text = `[${Array.from(value, (item: unknown, i) => serialize(item, ancestors, what, `${path}[${i}]`)).join(',')}]`;
  } else if (Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null) {
    const members: string[] = [];
    for (const [key, member] of Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      if (member !== undefined)
        members.push(`${JSON.stringify(key)}:${serialize(member, ancestors, what, `${path}.${key}`)}`);
    }
    text = `{${members.join(',')}}`;
  } else {
    throw new TypeError(`${what} is not JSON: ${path} is an instance of a class`);
  }
  ancestors.delete(value);
  return text;
}
