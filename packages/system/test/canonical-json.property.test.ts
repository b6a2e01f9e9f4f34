import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, copyJson } from '../src/canonical-json.ts';

/** The obvious way: sort members all the way down, then stringify. */
function naive(value: unknown): string {
  const sorted = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(sorted);
    if (typeof node !== 'object' || node === null) return node;
    return new Map(
      Object.entries(node)
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, member]) => [key, sorted(member)]),
    );
  };
  const text = (node: unknown): string => {
    if (Array.isArray(node)) return `[${node.map(text).join(',')}]`;
    if (!(node instanceof Map)) return JSON.stringify(node);
    return `{${[...node].map(([key, member]) => `${JSON.stringify(key)}:${text(member)}`).join(',')}}`;
  };
  return text(sorted(value));
}

function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, member]) => [key, shuffled(member)]),
  );
}

describe('canonicalJson', () => {
  it('says what the naive way says, whatever the order of the members', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(canonicalJson(value)).toBe(naive(value));
        expect(canonicalJson(shuffled(value))).toBe(naive(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('gives different values different texts', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        expect(canonicalJson(a) === canonicalJson(b)).toBe(naive(a) === naive(b));
      }),
    );
  });

  it('leaves out members that are undefined', () => {
    expect(canonicalJson({ b: undefined, a: 1 })).toBe('{"a":1}');
  });

  it('accepts the same object twice as long as it does not contain itself', () => {
    const part = { a: 1 };
    expect(canonicalJson([part, part])).toBe('[{"a":1},{"a":1}]');
  });

  const circular: { self?: unknown } = {};
  circular.self = circular;
  it.each([
    ['a function', { f: () => 1 }, '$.f'],
    ['a symbol', [Symbol('s')], '$[0]'],
    ['a bigint', { n: 1n }, '$.n'],
    ['NaN', { n: Number.NaN }, '$.n'],
    ['an infinity', { n: -Infinity }, '$.n'],
    ['undefined', undefined, '$'],
    ['undefined in an array', [undefined], '$[0]'],
    // oxlint-disable-next-line no-sparse-arrays
    ['a hole', [, 1], '$[0]'],
    ['a date', { at: new Date(0) }, '$.at'],
    ['a map', new Map(), '$'],
    ['a cycle', circular, '$.self'],
  ])('refuses %s and says where it is', (_, value, place) => {
    expect(() => canonicalJson(value, 'request')).toThrow(TypeError);
    expect(() => canonicalJson(value, 'request')).toThrow(`request is not JSON: ${place} `);
  });
});

describe('copyJson', () => {
  it('copies like structuredClone and shares nothing', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const copy = copyJson(value);
        expect(copy).toStrictEqual(structuredClone(value));
        expect(typeof value === 'object' && value !== null && Object.is(copy, value)).toBe(false);
      }),
    );
  });

  it('copies a member named __proto__ as a member', () => {
    const value: unknown = JSON.parse('{"__proto__":{"a":1}}');
    const copy = copyJson(value) as object;
    expect(Object.keys(copy)).toEqual(['__proto__']);
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
  });
});
