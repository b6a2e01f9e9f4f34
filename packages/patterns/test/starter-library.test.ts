import { describe, expect, it } from 'vitest';
import { compilePatterns } from '@perf/patterns';
import { starterPatterns } from '@perf/patterns/starter';

const { set, errors } = compilePatterns(starterPatterns);

it('compiles without an error and names every pattern once', () => {
  expect(errors).toEqual([]);
  expect(set.size).toBe(starterPatterns.length);
});

it('covers the ecosystems it promises', () => {
  const ecosystems = new Set(starterPatterns.map((pattern) => pattern.id.split('/')[0]));
  expect(ecosystems).toEqual(
    new Set(['git', 'go', 'http', 'java', 'node', 'npm', 'python', 'rust', 'shell', 'sql']),
  );
});

describe.each(starterPatterns.map((pattern) => [pattern.id, pattern] as const))('%s', (id, pattern) => {
  it('has examples of both kinds', () => {
    expect(pattern.examples.matches.length).toBeGreaterThan(0);
    expect(pattern.examples.misses.length).toBeGreaterThan(0);
  });

  it.each(pattern.examples.matches)('matches %j', (text) => {
    expect(set.ids(text)).toContain(id);
  });

  it.each(pattern.examples.misses)('leaves %j alone', (text) => {
    expect(set.ids(text)).not.toContain(id);
  });
});

it('puts the most severe failure of a text first', () => {
  const text = 'Process exited with code 1\nError: ENOSPC: no space left on device, write';
  expect(set.first(text)?.id).toBe('shell/disk-full');
});
