import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HashSlots } from '../src/hash-slots.ts';

interface Step {
  readonly what: 'add' | 'remove' | 'clear';
  readonly hash: number;
}

/** What the table and a Map disagree about after the steps. */
function disagreements(steps: readonly Step[]): readonly string[] {
  const table = new HashSlots();
  const model = new Map<number, number>();
  const found: string[] = [];
  for (const { what, hash } of steps) {
    const known = model.get(hash);
    if (what === 'add') {
      const slot = table.findOrAdd(hash);
      const taken = known === undefined && [...model.values()].includes(slot);
      if (slot !== (known ?? slot) || taken || table.hashOf(slot) !== hash) found.push(`add ${hash}`);
      model.set(hash, slot);
    } else if (what === 'clear') {
      table.clear();
      model.clear();
    } else if (known !== undefined) {
      table.remove(known);
      model.delete(hash);
    }
    if (table.size !== model.size) found.push(`size after ${what}`);
    for (const [held, slot] of model) if (table.find(held) !== slot) found.push(`find ${held}`);
  }
  return found;
}

test('a table of hashes agrees with a Map, whatever is added, removed and cleared', () => {
  const step = fc.record({
    what: fc.constantFrom(
      'add' as const,
      'add' as const,
      'add' as const,
      'remove' as const,
      'remove' as const,
      'clear' as const,
    ),
    // Few hashes: long runs of neighbours.
    hash: fc.integer({ min: 0, max: 90 }),
  });
  const property = fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    expect(disagreements(steps)).toEqual([]);
  });
  expect(() => fc.assert(property)).not.toThrow();
});
